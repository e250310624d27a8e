"""The interfaces of solvers and rank policies, and the data that they work with."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from typing_extensions import override

from bench.base.errors import MethodError
from bench.methods.base.choice import Choice, Choices
from bench.methods.base.method import Target

if TYPE_CHECKING:
    from torch import Tensor, nn

    from bench.methods.base.method import Lab
    from bench.methods.factorize.calibration import Moment
    from bench.methods.factorize.sites import MatrixSite


@dataclass(frozen=True, kw_only=True)
class Factorization:
    """One factorization: `model` is changed in place; the rest says what of it, and how far.

    `given` is the model before, bit-equal afterwards; `examples` is how many training examples calibrate.
    """

    model: nn.Module
    given: nn.Module
    lab: Lab
    targets: tuple[Target, ...]
    ranks: RankPolicy
    examples: int
    moments: dict[str, Moment] = field(default_factory=dict)


class RankPolicy(ABC):
    """Chooses ranks; instances are small frozen data."""

    @abstractmethod
    def ranks(self, work: Factorization, sites: Sequence[MatrixSite], solver: MatrixSolver) -> dict[str, int | None]:
        """A rank for each site by name, None if it stays dense.

        Raises `MethodError` if a rank would save nothing.
        """

    def of_width(self, width: int, *, where: str) -> int:
        """The rank of a form that replaces no single matrix, for a width; raises `MethodError` if it has no such."""
        raise MethodError(f"{where} does not replace single matrices, so it needs rank or ratio. Give one of them.")

    def nothing_saved(self) -> str:
        """What to say if every matrix stays dense."""
        return "factorize: no rank saves anything in any matrix. Factorize less."


class Solver(Choice):
    """Replaces the targets of a model by forms of fewer weights; fields are its arguments."""

    @abstractmethod
    def apply(self, work: Factorization) -> None:
        """Change `work.model` in place; raises `MethodError` if the targets have no such form."""


class MatrixSolver(Solver):
    """A solver that takes one matrix W [m, n] at a time and gives `second` [m, rank] and `first` [rank, n].

    `calibrated` says whether it needs the second moment of what W is applied to.
    """

    calibrated: ClassVar[bool] = False

    @abstractmethod
    def factors(self, weight: Tensor, rank: int, *, moment: Moment | None, seed: int) -> tuple[Tensor, Tensor]:
        """`second` [m, rank] and `first` [rank, n], whose product stands for `weight` [m, n]."""

    def values(self, weight: Tensor, *, moment: Moment | None) -> Tensor:
        """In falling order, the numbers whose squares say how much of the error each further rank takes away.

        Raises `MethodError` if the solver has no such order, so that no policy may build on it.
        """
        raise MethodError("factorize: this solver does not order its components by importance. Give rank or ratio.")

    @override
    def apply(self, work: Factorization) -> None:
        """Apply the rank policy, then factorize each matrix; raises `MethodError` if nothing is saved."""
        from bench.methods.factorize.calibration import calibrate, held_out_errors
        from bench.methods.factorize.sites import find_sites

        sites = find_sites(work.model, work.targets)
        if self.calibrated:
            work.moments.update(calibrate(work.model, sites, work.lab, examples=work.examples))
        ranks = work.ranks.ranks(work, sites, self)
        changed = [site for site in sites if ranks[site.name] is not None]
        if not changed:
            raise MethodError(work.ranks.nothing_saved())
        for number, site in enumerate(changed):
            self.put(site, ranks[site.name] or 0, work, seed=work.lab.seed + number)
        if self.calibrated:
            text = held_out_errors(work.given, changed, work.lab, skip=work.examples)
            work.lab.progress(text, 0.0)

    def put(self, site: MatrixSite, rank: int, work: Factorization, *, seed: int) -> None:
        """Solve one site at `rank` and put the factors in its place."""
        moment = work.moments.get(site.name)
        second, first = self.factors(site.weight.detach(), rank, moment=moment, seed=seed)
        site.put(work.model, second.to(site.weight.dtype), first.to(site.weight.dtype))


SOLVERS: Choices[Solver] = Choices(
    "solver",
    modules=(
        "bench.methods.factorize.matrix_solvers",
        "bench.methods.factorize.block_term",
        "bench.methods.factorize.self_attentive",
    ),
    group="bench.solvers",
)


def only(targets: Iterable[Target], allowed: Iterable[Target], *, where: str) -> None:
    """Raise `MethodError` if a target is not one of those that a solver can replace."""
    known = tuple(allowed)
    for target in targets:
        if target not in known:
            raise MethodError(
                f"{where}: target '{target}' cannot be stored in this form. Give targets among: {', '.join(known)}."
            )
