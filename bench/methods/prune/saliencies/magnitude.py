"""The magnitude of weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from bench.methods.prune.saliency import SALIENCIES, Elementwise, Subject

if TYPE_CHECKING:
    from torch import Tensor

    from bench.methods.prune.site import Site


class Magnitude(Elementwise):
    """|w| (Han et al. 2015, arXiv:1506.02626, §3); pooled by "l2" it is the group norm, by "max" that of a block."""

    def elements(self, sites: Sequence[Site], subject: Subject) -> Mapping[str, Tensor]:
        """See `Elementwise`."""
        return {piece.name: subject.change(piece).abs() for site in sites for piece in site.pieces}


SALIENCIES.register("magnitude")(Magnitude)
