"""Group lasso: the sum of the norms of units."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bench.methods.prune.penalty import PENALTIES, Penalty

if TYPE_CHECKING:
    from bench.methods.prune.site import Site
    from bench.training.hooks import Hook


class GroupLasso(Penalty):
    """weight * sum over units of ||w_unit||_2 (Narang et al. 2017, arXiv:1711.02782, §3.2), by proximal steps.

    The norms are not weighed by the sizes of units, as Yuan and Lin's (2006) are: one matrix has blocks of one size.
    The paper adds the term to the loss of plain SGD and needs a threshold to reach zeros. The proximal step of the same
    penalty, taken after the optimizer's as AdamW takes its weight decay, reaches them by itself.
    """

    def hook(self, sites: Sequence[Site]) -> Hook:
        """See `Penalty`."""
        from bench.methods.prune.proximal import Shrinking

        return Shrinking(sites, self.weight)


PENALTIES.register("group-lasso")(GroupLasso)
