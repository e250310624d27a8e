"""Rank policies: how many columns the factors of each matrix get."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.base.errors import MethodError

if TYPE_CHECKING:
    from bench.methods.factorize.sites import Site
    from bench.methods.factorize.solver import MatrixSolver, Work


class RankPolicy(ABC):
    """Chooses ranks; instances are small frozen data."""

    @abstractmethod
    def ranks(self, work: Work, sites: Sequence[Site], solver: MatrixSolver) -> dict[str, int | None]:
        """A rank for each site by name, None where it stays dense.

        Raises `MethodError` where a rank would save nothing.
        """

    def of_width(self, width: int, *, where: str) -> int:
        """The rank of a form that replaces no single matrix, for a width; raises `MethodError` where it has no such."""
        raise MethodError(f"{where} replaces no single matrix, so only rank or ratio can say how narrow. Give one.")

    def nothing_saved(self) -> str:
        """What to say where every matrix stays dense."""
        return "factorize: no rank saves anything in any matrix. Factorize less."


@dataclass(frozen=True, kw_only=True)
class FixedRank(RankPolicy):
    """`rank` itself, or `ratio` of the full rank min(m, n)."""

    rank: int | None = None
    ratio: float | None = None

    def ranks(self, work: Work, sites: Sequence[Site], solver: MatrixSolver) -> dict[str, int | None]:
        """See `RankPolicy`; a rank that saves nothing is refused with the break-even one."""
        found: dict[str, int | None] = {}
        for site in sites:
            rank = self._of(min(site.weight.shape))
            refuse_a_rank_that_saves_nothing(rank, site)
            found[site.name] = rank
        return found

    def of_width(self, width: int, *, where: str) -> int:
        """See `RankPolicy`."""
        return self._of(width)

    def _of(self, full: int) -> int:
        return self.rank or max(1, round((self.ratio or 0) * full))


@dataclass(frozen=True, kw_only=True)
class EnergyRank(RankPolicy):
    """The smallest rank that keeps the share `energy` of the squared singular values; dense where none is saved."""

    energy: float

    def ranks(self, work: Work, sites: Sequence[Site], solver: MatrixSolver) -> dict[str, int | None]:
        """See `RankPolicy`."""
        from bench.layers.svd import rank_for_energy

        found: dict[str, int | None] = {}
        for site in sites:
            values = solver.values(site.weight, moment=work.moments.get(site.name))
            rank = rank_for_energy(values, self.energy)
            found[site.name] = rank if rank <= site.most else None
        return found

    def nothing_saved(self) -> str:
        """See `RankPolicy`."""
        return f"factorize: keeping {self.energy} of the energy saves nothing in any matrix. Lower energy."


@dataclass(frozen=True, kw_only=True)
class ParameterBudget(RankPolicy):
    """The largest ranks whose factors together hold at most the share `parameters` of the matrices' weights.

    Single ranks are bought in the order of what they keep for their price: the squared singular value as a share of its
    matrix's sum of squares, over the weights that one of rank costs. Every matrix has at least rank 1.
    """

    parameters: float

    def ranks(self, work: Work, sites: Sequence[Site], solver: MatrixSolver) -> dict[str, int | None]:
        """See `RankPolicy`; raises `MethodError` where even ranks of 1 are too many."""
        budget = int(self.parameters * sum(site.weight.numel() for site in sites))
        spent = sum(site.per_rank for site in sites)
        if spent > budget:
            raise MethodError(
                f"factorize: rank 1 everywhere needs {spent} weights, and parameters = {self.parameters} allows "
                f"{budget}. Raise parameters."
            )
        offers = []
        for number, site in enumerate(sites):
            squares = solver.values(site.weight, moment=work.moments.get(site.name)).square()
            kept = (squares / squares.sum().clamp_min(1e-300) / site.per_rank).tolist()
            offers += [(-worth, number, place) for place, worth in enumerate(kept[1 : site.most], start=2)]
        ranks = [1] * len(sites)
        for _, number, place in sorted(offers):
            price = sites[number].per_rank
            if ranks[number] == place - 1 and spent + price <= budget:
                ranks[number], spent = place, spent + price
        return {site.name: rank if site.most else None for site, rank in zip(sites, ranks, strict=True)}


def refuse_a_rank_that_saves_nothing(rank: int, site: Site) -> None:
    """Raise `MethodError` with the break-even rank unless the factors have fewer weights than the matrix."""
    if rank > site.most:
        rows, columns = site.weight.shape
        even = rows * columns / site.per_rank
        extra = "" if site.per_rank == rows + columns else f" + {site.per_rank - rows - columns}"
        raise MethodError(
            f"factorize: {site.name}: rank {rank} of a {rows} x {columns} matrix saves nothing: "
            f"expected a rank below the break-even {rows} * {columns} / ({rows} + {columns}{extra}) = {even:.1f}."
        )
