"""The table of terms that a method with training has: what is minimised, as data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Annotated, Any

from pydantic import Field, GetCoreSchemaHandler, SerializationInfo, model_validator
from pydantic_core import CoreSchema, core_schema

from bench.base.schema import Frozen
from bench.methods.base.choice import Choice, Chosen
from bench.methods.base.terms.compared import COMPARED, Compared
from bench.methods.base.terms.divergences import DIVERGENCES, Divergence


class TermTable(Frozen):
    """One term: what is compared, how, and with which weight."""

    what: Annotated[Compared, Chosen(COMPARED)] = Field(description="what is compared; by default the key of the term")
    weight: float = Field(1.0, ge=0, le=1e6, description="weight of the term in the sum")
    divergence: Annotated[Divergence, Chosen(DIVERGENCES)] | None = Field(
        None, description="how far the student is from the teacher; None is the usual one of what is compared"
    )

    @model_validator(mode="after")
    def _labels_are_not_compared(self) -> TermTable:
        if not self.what.taught and self.divergence is not None:
            raise ValueError(f"{self.what.called} are compared with no teacher. Leave out divergence")
        return self

    def table(self, key: str, *, stated: bool, mode: str = "python") -> float | dict[str, Any]:
        """The term as a recipe writes it under `key`: its weight, or a table.

        With `stated` only arguments that differ from their defaults are in it.
        """
        dumped = self.model_dump(mode=mode)
        values: dict[str, Any] = {}
        for name, field in type(self).model_fields.items():
            value = getattr(self, name)
            if name == "what":
                plain = value.table(stated=True) == key
            else:
                plain = value == field.get_default(call_default_factory=True)
            if not plain or not (stated or name == "what"):
                values[name] = value.table(stated=stated, mode=mode) if isinstance(value, Choice) else dumped[name]
        return self.weight if stated and values.keys() <= {"weight"} else values


class Terms(Mapping[str, TermTable]):
    """The terms of an objective by key: `{ labels = 0.5, logits = { weight = 0.5, divergence = "kl" } }`.

    A key says what is compared unless the term has a `what`, so that two terms of one kind may stand beside each other.
    A number is the weight of a term that is at its defaults otherwise.
    """

    def __init__(self, terms: Mapping[str, TermTable]) -> None:
        self._terms = dict(terms)

    def __getitem__(self, key: str) -> TermTable:
        """The term under `key`."""
        return self._terms[key]

    def __iter__(self) -> Iterator[str]:
        """Keys in the order in which they were given."""
        return iter(self._terms)

    def __len__(self) -> int:
        """How many terms there are."""
        return len(self._terms)

    def __eq__(self, other: object) -> bool:
        """Equal terms under equal keys; the order does not matter."""
        return isinstance(other, Terms) and self._terms == other._terms

    def __hash__(self) -> int:
        """Of keys only."""
        return hash(frozenset(self._terms))

    def __repr__(self) -> str:
        """As a recipe writes it."""
        return f"Terms({self.table(stated=True)})"

    @classmethod
    def made(cls, given: object) -> Terms:
        """The terms that a table stands for; raises `ValueError` for another value."""
        if isinstance(given, Terms):
            return given
        if not isinstance(given, Mapping):
            raise ValueError("expected a table such as { labels = 0.5, logits = 0.5 }")
        return cls({str(key): TermTable.model_validate(opened(str(key), value)) for key, value in given.items()})

    def table(self, *, stated: bool = False, mode: str = "python") -> dict[str, Any]:
        """The terms as a recipe writes them; with `stated` only what differs from the defaults."""
        return {key: self._terms[key].table(key, stated=stated, mode=mode) for key in sorted(self._terms)}

    @cached_property
    def working(self) -> dict[str, TermTable]:
        """Those with a weight above 0."""
        return {key: term for key, term in self._terms.items() if term.weight}

    @property
    def taught(self) -> bool:
        """Whether any of them needs a teacher."""
        return any(term.what.taught for term in self.working.values())

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """A plain validator, dumped as `table` writes it."""

        def dumped(terms: Terms, info: SerializationInfo) -> dict[str, Any]:
            return terms.table(mode=info.mode)

        serialization = core_schema.plain_serializer_function_ser_schema(dumped, info_arg=True)
        return core_schema.no_info_plain_validator_function(cls.made, serialization=serialization)


def opened(key: str, value: object) -> dict[str, Any]:
    """A term that was given as a number, or without `what`, as a full table."""
    if isinstance(value, TermTable):
        return dict(value)
    if isinstance(value, Mapping):
        return {"what": key, **value}
    return {"what": key, "weight": value}
