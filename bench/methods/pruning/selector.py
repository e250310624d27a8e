"""What a selector is: from scores to masks."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from bench.methods.choosing import Choice
from bench.registry import Registry

if TYPE_CHECKING:
    from torch import Tensor

    from bench.methods.pruning.site import Site


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


SELECTORS: Registry[type[Selector]] = Registry(
    "selector",
    modules=(
        "bench.methods.pruning.selectors.largest",
        "bench.methods.pruning.selectors.deviation",
        "bench.methods.pruning.selectors.two_to_four",
    ),
    group="bench.selectors",
)
