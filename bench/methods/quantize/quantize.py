"""Quantization: which numbers weights may have, in what cells, over what range, with how many bits, and when."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator
from typing_extensions import override

from bench.base.registry import Registry
from bench.methods.base.choosing import Choosing, known
from bench.methods.base.method import METHODS, Lab, Listed
from bench.methods.base.roles import ROLES, Target
from bench.methods.base.tuned import RefinedMethod
from bench.methods.quantize.allocation import ALLOCATIONS
from bench.methods.quantize.granularity import GRANULARITIES
from bench.methods.quantize.grid import GRIDS, check_widths
from bench.methods.quantize.ranges import RANGES, MovingAverage, check_learned
from bench.methods.quantize.scheme import SCHEMES
from bench.methods.quantize.work import Quantization, Quantizer
from bench.spec.saving import Saving

if TYPE_CHECKING:
    from torch import nn


@METHODS.register("quantize")
class Quantize(RefinedMethod, Choosing):
    """Store weights in a few bits, and multiply 8-bit integers where there are kernels for them (Jacob et al. 2018).

    Five choices make one of the survey's systems: the grid of numbers, the granularity of scales, the range, the bits
    of each matrix, and the mode (`scheme`). The defaults are dynamic INT8: symmetric weights with a scale an output
    channel, activations with a range of each call's own, nothing trained, embeddings, norms, pooler and head in float.
    With a `budget` the model trains on rounded numbers before they are packed (quantization-aware training, §3 there).
    MACs stay, their operands become narrower (`bops`) where integers are multiplied. arXiv:1712.05877.
    """

    saves: ClassVar[frozenset[Saving]] = frozenset({"bytes", "time"})

    plugins: ClassVar[dict[str, Registry[Any]]] = {
        "scheme": SCHEMES,
        "grid": GRIDS,
        "granularity": GRANULARITIES,
        "embedding_granularity": GRANULARITIES,
        "range": RANGES,
        "activation_range": RANGES,
        "allocation": ALLOCATIONS,
    }

    scheme: Annotated[str, known(SCHEMES)] = Field(
        "dynamic", description="weights alone, or activations too, with ranges of each call or of training examples"
    )
    bits: int = Field(8, ge=1, le=8, description="bits of a weight; of an activation too where integers are multiplied")
    targets: Annotated[tuple[Target, ...], Listed] = Field(
        ROLES, min_length=1, description="which matrices, by role, or 'embedding'; query+key on a command line"
    )
    grid: Annotated[str, known(GRIDS)] = Field("symmetric", description="the numbers that weights may have")
    granularity: Annotated[str, known(GRANULARITIES)] = Field("row", description="what has a scale of its own")
    embedding_granularity: Annotated[str | None, known(GRANULARITIES)] = Field(
        None, description="the same for embeddings; None is as the others"
    )
    range: Annotated[str, known(RANGES)] = Field("min-max", description="how much of the weights a grid covers")
    activation_range: Annotated[str, known(RANGES)] = Field(
        "min-max", description="how much of the activations, for schemes 'static' and 'weights'"
    )
    teacher: Literal["reference", "given"] = Field(
        "reference", description="what distillation follows; the given model is as wide as what is trained"
    )
    allocation: Annotated[str, known(ALLOCATIONS)] = Field("constant", description="how each matrix gets its bits")
    role_bits: dict[Target, Annotated[int, Field(ge=1, le=8)]] = Field(
        {}, description="bits of single roles, in place of `bits`"
    )
    examples: int = Field(256, ge=1, description="training examples that calibration or curvature looks at")
    budget: float = Field(
        0.0, ge=0, le=100, description="epochs on rounded numbers as a share of the suite's; 0 is none"
    )

    later: ClassVar[frozenset[str]] = frozenset(
        {
            *("grid", "granularity", "embedding_granularity", "range", "activation_range", "allocation", "role_bits"),
            *("examples", "teacher", *RefinedMethod.model_fields),
        }
    )

    @model_validator(mode="after")
    def _arguments_fit_each_other(self) -> Quantize:
        grid = GRIDS.get(self.grid)
        check_widths(grid, self.grid, [self.bits, *self.role_bits.values()])
        if not grid.ranged and self.range != "min-max":
            raise ValueError(f"range '{self.range}' is for grids of even steps, and grid '{self.grid}' fits itself")
        if issubclass(RANGES.get(self.range), MovingAverage):
            raise ValueError(f"range '{self.range}' follows batches of activations, and weights come in none")
        check_learned("range", self.range, grid=self.grid, budget=self.budget)
        return self

    @override
    def saving(self) -> frozenset[Saving]:
        """Packed weights whose products stay in float claim no time."""
        return SCHEMES.get(self.scheme).saves

    @override
    def seeded(self) -> bool:
        """Ranges of activations that are neither extremes nor averages are found on a drawn sample."""
        drawn = self.activation_range not in ("min-max", "moving-average")
        return super().seeded() or drawn or any(choice.seeded() for choice in self.made())

    @override
    def compress(self, model: nn.Module, lab: Lab) -> nn.Module:
        """Raises `MethodError` for a layer that is neither dense nor factorized in float, or a bit budget too small.

        Raises `ModelError` for a role that the architecture does not have.
        """
        from bench.models.modules import copy_model

        quantized = copy_model(model)
        lab = replace(lab, reference=model) if self.teacher == "given" else lab
        allocation = self.chosen(ALLOCATIONS, self.allocation)
        self.chosen(SCHEMES, self.scheme).apply(self.work(quantized, lab), allocation)
        return quantized.eval()

    def work(self, model: nn.Module, lab: Lab) -> Quantization:
        """What a scheme is given to change `model` in place by the arguments of this stage."""
        return Quantization(
            model=model,
            lab=lab,
            training=self,
            targets=self.targets,
            bits=self.bits,
            role_bits=self.role_bits,
            examples=self.examples,
            quantizer=self._quantizer(self.granularity),
            embedding_quantizer=self._quantizer(self.embedding_granularity or self.granularity),
            activation_range=self.chosen(RANGES, self.activation_range),
        )

    def _quantizer(self, granularity: str) -> Quantizer:
        return Quantizer(
            grid=self.chosen(GRIDS, self.grid),
            granularity=self.chosen(GRANULARITIES, granularity),
            range=self.chosen(RANGES, self.range),
        )
