"""Functions of texts: tried on some examples of the task first, then filed by their name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from typing_extensions import override

from bench.artifacts.functions import NamedFunction, save_function
from bench.artifacts.store import Store
from bench.base.errors import ModelError, UnavailableError
from bench.models.texts import TextFunction
from bench.plan.fit import Fit
from bench.plan.given import GivenSystem
from bench.systems.system import FiledSystem, System, TaskOf, Wishes, file_as_artifact
from bench.tasks.outputs import answers_of
from bench.tasks.predictions import LabelDecisions

_TRIED = 16  # examples that a function is asked about before anything is trained or timed


@dataclass(frozen=True, kw_only=True)
class FunctionSystem(System):
    """A function that its user named; its labels come from the user or from its attribute `labels`."""

    function: NamedFunction
    wishes: Wishes
    form: ClassVar[str] = "function"

    @property
    def labels(self) -> tuple[str, ...]:
        """What its numbers stand for in their order; none if it says so itself, or if it was not told."""
        told: Sequence[str] = getattr(self.function.call, "labels", ())
        return self.wishes.labels or tuple(map(str, told))

    @override
    def stated(self) -> GivenSystem:
        return GivenSystem(
            form=self.form,
            name=self.function.name,
            fingerprint=self.function.source_hash,
            about={"outputs": list(self.labels)} if self.labels else {},
            function=self.function.name,
        )

    @override
    def file(self, on: TaskOf, store: Store) -> FiledSystem:
        """Ask the function about some evaluation examples, check its answers, and file its name."""
        for option, given in (("--tokenizer", self.wishes.tokenizer), ("--pooling", self.wishes.pooling)):
            if given is not None:
                raise ModelError(f"{self.function.name}: a function reads texts itself; leave out {option}")
        asked = TextFunction(self.function.name, self.function.call, self.labels)
        examples = on.data.splits[on.task.evaluate[0]][:_TRIED]
        fit = Fit(conditions={"asked_about": len(examples)})
        try:
            _refuse_probabilities(answers_of(asked, examples, task=on.task), self.function.name)
        except UnavailableError as error:
            fit = Fit(conditions={"not_asked": str(error)})
        title = f"{self.function.name}, given"
        write = save_function
        key = file_as_artifact(store, lambda folder: write(self.function, folder, labels=self.labels, title=title))
        return FiledSystem(key, fit)


def _refuse_probabilities(said: object, name: str) -> None:
    """Raise `ModelError` if the log-odds of labels all look like probabilities: each would then be said to belong."""
    if isinstance(said, LabelDecisions) and all(0 <= value <= 1 for row in said.logits for value in row):
        raise ModelError(
            f"{name}: every number is from 0 to 1, but a label is said to belong to a text if its number is above 0. "
            "Return log-odds, log(p / (1 - p)), not probabilities."
        )
