"""One quantization in progress: a copy of the model, the arguments of the stage, and what was looked up for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.methods.quantize.allocation import ALLOCATIONS
from bench.methods.quantize.granularity import GRANULARITIES
from bench.methods.quantize.grid import GRIDS
from bench.methods.quantize.quantizer import Quantizer
from bench.methods.quantize.range import RANGES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor, nn

    from bench.layers.cells import Cells
    from bench.methods.base.method import Lab
    from bench.methods.quantize.grid import Coded
    from bench.methods.quantize.latent import Place
    from bench.methods.quantize.quantize import Quantize
    from bench.methods.quantize.range import Range
    from bench.methods.quantize.site import Site


@dataclass(frozen=True, kw_only=True)
class Work:
    """What a mode is given: `model` is changed in place, `method` holds the arguments of the stage."""

    model: nn.Module
    method: Quantize
    lab: Lab

    def quantizer(self, site: Site) -> Quantizer:
        """The choices for the weights of a site."""
        method = self.method
        granularity = method.granularity
        if site.role == "embedding" and method.embedding_granularity is not None:
            granularity = method.embedding_granularity
        return Quantizer(
            grid=method.chosen(GRIDS, method.grid),
            granularity=method.chosen(GRANULARITIES, granularity),
            range=method.chosen(RANGES, method.range),
        )

    @property
    def activation_range(self) -> Range:
        """The choice for activations."""
        return self.method.chosen(RANGES, self.method.activation_range)

    def bits(self, sites: Sequence[Site]) -> dict[str, int]:
        """Bits of a weight by the site's name, as they are allocated."""
        return self.method.chosen(ALLOCATIONS, self.method.allocation).bits(sites, self)

    def cells(self, site: Site, weight: Tensor) -> Cells:
        """The cells of one matrix of a site."""
        from bench.models.adapter import adapter_for

        has_heads = hasattr(self.model.config, "num_attention_heads")
        width = adapter_for(self.model).head_width(self.model) if has_heads else None
        rows, columns = weight.shape
        return self.quantizer(site).cells((rows, columns), role=site.role, head_width=width)

    def place(self, site: Site, weight: nn.Parameter, bits: int) -> Place:
        """One matrix of a site as training sees it."""
        from bench.methods.quantize.latent import Place

        return Place(parameter=weight, quantizer=self.quantizer(site), cells=self.cells(site, weight), bits=bits)

    def coded(self, site: Site, weight: Tensor, bits: int) -> Coded:
        """One matrix of a site at `bits`."""
        return self.quantizer(site).code(weight, self.cells(site, weight), bits)
