"""What a selector is: from scores to masks."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from bench.methods.base.choice import Choice, Choices

if TYPE_CHECKING:
    from torch import Tensor

    from bench.methods.prune.site import Site


class Selector(Choice):
    """Decides which units stay; fields are its arguments."""

    @abstractmethod
    def select(self, sites: Sequence[Site], scores: Mapping[str, Tensor], sparsity: float) -> dict[str, Tensor]:
        """Masks over units by site, bool [count], True where the unit stays.

        Units with a score of -inf are gone already and never stay.

        Args:
            sites: what is pruned together.
            scores: one score a unit, by the site's name.
            sparsity: share of all units to remove, in [0, 1].
        """


def group_of(site: Site, scope: str) -> str:
    """What is ranked or measured together with a site: "global" everything, "class" its kind, "layer" only itself."""
    return {"global": "", "class": site.kind, "layer": site.name}[scope]


SELECTORS: Choices[Selector] = Choices(
    "selector",
    modules=(
        "bench.methods.prune.selectors.largest",
        "bench.methods.prune.selectors.deviation",
        "bench.methods.prune.selectors.two_to_four",
    ),
    group="bench.selectors",
)
