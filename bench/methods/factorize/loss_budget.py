"""The rank policy that spends an allowed rise of the training loss, matrix by matrix."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.methods.factorize.ranks import RankPolicy

if TYPE_CHECKING:
    from bench.methods.factorize.sites import Site
    from bench.methods.factorize.solver import MatrixSolver, Work
    from bench.tasks.kinds.kind import Batch

# Ranks that are tried, as shares of the largest that saves something, each half as large again as the one before.
SHARES = (0.06, 0.09, 0.13, 0.2, 0.3, 0.44, 0.67, 1.0)


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

    def ranks(self, work: Work, sites: Sequence[Site], solver: MatrixSolver) -> dict[str, int | None]:
        """See `RankPolicy`; costs at most 8 runs over the calibration examples a matrix."""
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

    def nothing_saved(self) -> str:
        """See `RankPolicy`."""
        return f"factorize: no rank keeps the loss within {self.loss} of the given model's. Raise loss."

    def _smallest(
        self, work: Work, site: Site, solver: MatrixSolver, batches: Sequence[Batch], allowed: float
    ) -> int | None:
        for rank in sorted({max(1, round(share * site.most)) for share in SHARES if site.most}):
            solver.put(site, rank, work, seed=work.lab.seed)
            if task_loss(work, batches) <= allowed:
                return rank
        site.restore(work.model)
        return None


def task_loss(work: Work, batches: Sequence[Batch]) -> float:
    """The task's mean loss of `work.model` over the examples of `batches`."""
    from bench.methods.base.listening import run
    from bench.tasks.kinds.kind import KINDS

    kind = KINDS.get(work.lab.task.kind)
    total = sum(float(kind.loss(run(work.model, batch), batch.targets)) * len(batch.rows) for batch in batches)
    return total / sum(len(batch.rows) for batch in batches)
