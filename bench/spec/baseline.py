"""The curve of a baseline that the rows of a board are scored against, as a suite states it."""

from __future__ import annotations

from pydantic import Field, field_validator, model_validator

from bench.base.schema import Frozen


class Coordinate(Frozen):
    """One point of a curve: a model of the baseline, by its cost and its quality on the task."""

    flops: float = Field(gt=0, description="2 * multiply-adds for one example at the suite's measuring.length")
    quality: float = Field(ge=-1, le=1, description="mean of the task's metrics, as a share")


class BaselineCurve(Frozen):
    """The published points of the baseline on one task."""

    task: str
    points: tuple[Coordinate, ...] = Field(min_length=2)
    source: str
    verified: bool = True

    @field_validator("points")
    @classmethod
    def _one_quality_per_cost(cls, points: tuple[Coordinate, ...]) -> tuple[Coordinate, ...]:
        costs = [point.flops for point in points]
        twice = sorted({cost for cost in costs if costs.count(cost) > 1})
        if twice:
            raise ValueError(f"two points with the same FLOPs: {', '.join(f'{cost:g}' for cost in twice)}")
        return tuple(sorted(points, key=lambda point: point.flops))


class Baseline(Frozen):
    """A family of models at several costs, whose curve of quality over FLOPs is zero of the board's score.

    The curve of a task is the one in `curves`, or else it runs through the board's own rows of `recipe` and through the
    reference, trained and measured as all others. Rows of one model and recipe that differ only in the arguments
    `exits` are the points of one model with several costs, such as an early exit's thresholds.
    """

    title: str
    recipe: str | None = None
    curves: tuple[BaselineCurve, ...] = ()
    exits: tuple[str, ...] = Field((), description="arguments of recipes that only move a model along its own curve")

    @model_validator(mode="after")
    def _has_a_curve(self) -> Baseline:
        if self.recipe is None and not self.curves:
            raise ValueError("needs a recipe, whose rows are the curve, or published curves")
        tasks = [curve.task for curve in self.curves]
        twice = sorted({task for task in tasks if tasks.count(task) > 1})
        if twice:
            raise ValueError(f"two curves for the same task: {', '.join(twice)}")
        return self
