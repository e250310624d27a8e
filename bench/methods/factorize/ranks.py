"""Rank policies: how many columns the factors of each matrix get."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from typing_extensions import override

from bench.base.errors import MethodError
from bench.methods.factorize.solver import RankPolicy

if TYPE_CHECKING:
    from bench.methods.factorize.sites import MatrixSite
    from bench.methods.factorize.solver import Factorization, MatrixSolver
    from bench.tasks.features import Batch

# Ranks that are tried, as shares of the largest that saves something, each half as large again as the one before.
SHARES = (0.06, 0.09, 0.13, 0.2, 0.3, 0.44, 0.67, 1.0)


@dataclass(frozen=True, kw_only=True)
class FixedRank(RankPolicy):
    """`rank` itself, or `ratio` of the full rank min(m, n)."""

    rank: int | None = None
    ratio: float | None = None

    @override
    def ranks(self, work: Factorization, sites: Sequence[MatrixSite], solver: MatrixSolver) -> dict[str, int | None]:
        """A rank that saves nothing is refused with the break-even one."""
        found: dict[str, int | None] = {}
        for site in sites:
            rank = self._of(min(site.weight.shape))
            refuse_a_rank_that_saves_nothing(rank, site)
            found[site.name] = rank
        return found

    @override
    def of_width(self, width: int, *, where: str) -> int:
        return self._of(width)

    def _of(self, full: int) -> int:
        return self.rank or max(1, round((self.ratio or 0) * full))


@dataclass(frozen=True, kw_only=True)
class EnergyRank(RankPolicy):
    """The smallest rank that keeps the share `energy` of the squared singular values; dense if none is saved."""

    energy: float

    @override
    def ranks(self, work: Factorization, sites: Sequence[MatrixSite], solver: MatrixSolver) -> dict[str, int | None]:
        from bench.layers.factorized import rank_for_energy

        found: dict[str, int | None] = {}
        for site in sites:
            values = solver.values(site.weight, moment=work.moments.get(site.name))
            rank = rank_for_energy(values, self.energy)
            found[site.name] = rank if rank <= site.most else None
        return found

    @override
    def nothing_saved(self) -> str:
        return f"factorize: energy = {self.energy} saves nothing in any matrix. Lower energy."


@dataclass(frozen=True, kw_only=True)
class ParameterBudget(RankPolicy):
    """The largest ranks whose factors together hold at most the share `parameters` of the matrices' weights.

    Single ranks are bought in the order of what they keep for their price: the squared singular value as a share of its
    matrix's sum of squares, over the weights that one of rank costs. Every matrix has at least rank 1.
    """

    parameters: float

    @override
    def ranks(self, work: Factorization, sites: Sequence[MatrixSite], solver: MatrixSolver) -> dict[str, int | None]:
        """Raises `MethodError` if even ranks of 1 are too many."""
        budget = int(self.parameters * sum(site.weight.numel() for site in sites))
        spent = sum(site.per_rank for site in sites)
        if spent > budget:
            raise MethodError(
                f"factorize: rank 1 everywhere needs {spent} weights, but parameters = {self.parameters} allows "
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


@dataclass(frozen=True, kw_only=True)
class LossBudget(RankPolicy):
    """The smallest rank of each matrix that keeps the loss on the calibration examples within its own budget.

    Matrices are walked in the order of the model, those before at the rank they got. With M of them and an allowed rise
    of the share `loss`, the loss may be at most L (1 + loss)^(i / M) after the i-th: each may use the same ratio, and
    what one leaves is there for the next (DRONE, Chen et al. 2021, algorithm 2, walks modules with a budget each; the
    ratio and the ranks to try are ours, the paper's grid is in an appendix that could not be read). A matrix that no
    rank keeps within the budget stays dense.
    """

    loss: float

    @override
    def ranks(self, work: Factorization, sites: Sequence[MatrixSite], solver: MatrixSolver) -> dict[str, int | None]:
        """Costs at most 8 runs over the calibration examples per matrix."""
        from bench.methods.base.listening import alike

        batches = alike(work.lab, examples=work.examples)
        first = task_loss(work, batches)
        found: dict[str, int | None] = {}
        for number, site in enumerate(sites, start=1):
            allowed = first * (1 + self.loss) ** (number / len(sites))
            found[site.name] = self._smallest(work, site, solver, batches, allowed)
            work.lab.progress(f"rank {found[site.name]} for {site.name}", number / len(sites))
        for site in sites:
            site.restore(work.model)
        return found

    @override
    def nothing_saved(self) -> str:
        return f"factorize: no rank keeps the loss within {self.loss} of the given model's loss. Raise loss."

    def _smallest(
        self, work: Factorization, site: MatrixSite, solver: MatrixSolver, batches: Sequence[Batch], allowed: float
    ) -> int | None:
        for rank in sorted({max(1, round(share * site.most)) for share in SHARES if site.most}):
            solver.put(site, rank, work, seed=work.lab.seed)
            if task_loss(work, batches) <= allowed:
                return rank
        site.restore(work.model)
        return None


def task_loss(work: Factorization, batches: Sequence[Batch]) -> float:
    """The task's mean loss of `work.model` over the examples of `batches`."""
    from bench.methods.base.listening import run
    from bench.tasks.kinds.kind import KINDS

    kind = KINDS.get(work.lab.task.kind)
    total = sum(float(kind.loss(run(work.model, batch), batch.targets)) * len(batch.rows) for batch in batches)
    return total / sum(len(batch.rows) for batch in batches)


def refuse_a_rank_that_saves_nothing(rank: int, site: MatrixSite) -> None:
    """Raise `MethodError` with the break-even rank unless the factors have fewer weights than the matrix."""
    if rank > site.most:
        rows, columns = site.weight.shape
        even = rows * columns / site.per_rank
        extra = "" if site.per_rank == rows + columns else f" + {site.per_rank - rows - columns}"
        raise MethodError(
            f"factorize: {site.name}: rank {rank} of a {rows} x {columns} matrix saves nothing: "
            f"expected a rank below the break-even {rows} * {columns} / ({rows} + {columns}{extra}) = {even:.1f}."
        )
