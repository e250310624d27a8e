"""The table of terms that a method with training has: what is minimised, as data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, GetCoreSchemaHandler, SerializationInfo, TypeAdapter, model_validator
from pydantic_core import CoreSchema, core_schema

from bench.base.schema import Frozen
from bench.methods.base.choice import Choice, Chosen, Tabled, registry_of
from bench.methods.base.terms.compared import COMPARED, Compared, OfLayers
from bench.methods.base.terms.divergences import DIVERGENCES, Divergence
from bench.methods.base.terms.maps import LAYER_MAPS, LayerMap
from bench.methods.base.terms.weights import EXAMPLE_WEIGHTS, WEIGHT_SCHEDULES, ExampleWeight, WeightSchedule

if TYPE_CHECKING:
    from bench.methods.base.method import Lab
    from bench.training.terms.comparison import Pairs
    from bench.training.terms.guidance import Goal


class TermTable(Frozen):
    """One term: what is compared, of which layers, how, and with which weight."""

    what: Annotated[Compared, Chosen(COMPARED)] = Field(description="what is compared; by default the key of the term")
    weight: float = Field(1.0, ge=0, le=1e6, description="weight of the term in the sum")
    schedule: Annotated[WeightSchedule, Chosen(WEIGHT_SCHEDULES)] = Field(
        default_factory=WEIGHT_SCHEDULES.default("constant"), description="factor on the weight over the training"
    )
    by: Annotated[ExampleWeight, Chosen(EXAMPLE_WEIGHTS)] | None = Field(
        None, description="factor on the weight of each example; None is 1"
    )
    map: Annotated[LayerMap, Chosen(LAYER_MAPS)] | None = Field(
        None, description="which layers are compared; None is the usual map of what is compared"
    )
    divergence: Annotated[Divergence, Chosen(DIVERGENCES)] | None = Field(
        None, description="how far the student is from the teacher; None is the usual one of what is compared"
    )
    projection: Literal["none", "per-layer", "shared"] = Field(
        "none", description="a learned linear map between widths, thrown away after training: one per layer, or one"
    )
    projected: Literal["student", "teacher"] = Field("student", description="which side the projection maps")
    reduce: Literal["mean", "sum"] = Field("mean", description="over the layers or parts of the term")
    teachers: Literal["mean", "sum"] = Field("sum", description="over several teachers")

    @model_validator(mode="after")
    def _arguments_have_an_effect(self) -> TermTable:
        what = self.what
        idle = [
            ("map", self.map is not None and what.usual_map is None),
            ("divergence", self.divergence is not None and not what.taught),
            ("projection", self.projection != "none" and not what.projectable),
            ("projected", self.projected != "student" and self.projection == "none"),
            ("reduce", self.reduce != "mean" and not what.layered),
            ("teachers", self.teachers != "sum" and not what.taught),
        ]
        smooths = self.by is not None and self.by.smooths
        if smooths and (not what.taught or what.layered):
            raise ValueError(
                f"by.effect = 'smooth' softens what a teacher's head says, and '{what.called}' is none of that. Put it "
                f"on logits, or leave it out"
            )
        for name, wrong in idle:
            if wrong:
                raise ValueError(f"{name} has no effect on a term of '{what.called}'. Leave it out")
        return self

    def shortened(self) -> TermTable:
        """The same term without a divergence or map that it would have anyway, so that one term has one form."""
        idle: dict[str, None] = {}
        if self.divergence is not None and self.divergence == DIVERGENCES.made(self.what.usual):
            idle["divergence"] = None
        if self.map is not None and self.map == LAYER_MAPS.made(self.what.usual_map):
            idle["map"] = None
        return self.model_copy(update=idle)

    def goal(self, lab: Lab) -> Goal:
        """The term as training takes it."""
        from bench.training.terms.comparison import Layered
        from bench.training.terms.guidance import Goal

        what = self.what
        layered = None
        if isinstance(what, OfLayers):
            layered = Layered(
                readers=what.readers(),
                disparity=self._divergence().disparity(),
                pairs=self._pairs(),
                embedded=what.embedded,
                projection=self.projection,
                projected=self.projected,
            )
        return Goal(
            weight=self.weight,
            factor=self.schedule.factor,
            layered=layered,
            outputs=self._divergence().disparity() if what.taught and not what.layered else None,
            weigher=None if self.by is None else self.by.weigher(lab),
            squared_heads=bool(getattr(what, "outputs", False)),
            reduce=self.reduce,
            over_teachers=self.teachers,
        )

    @property
    def plain(self) -> bool:
        """Whether it is the task's loss at a constant weight, the same for all examples."""
        return not self.what.taught and self.by is None and self.schedule.called == "constant"

    def _divergence(self) -> Divergence:
        return self.divergence or DIVERGENCES.made(self.what.usual)

    def _pairs(self) -> Pairs | None:
        if self.map is not None:
            return self.map.pairs
        return None if self.what.usual_map is None else LAYER_MAPS.made(self.what.usual_map).pairs

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


class Terms(Tabled, Mapping[str, TermTable]):
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
        made = _TERMS.validate_python({str(key): opened(str(key), value) for key, value in given.items()})
        return cls({key: term.shortened() for key, term in made.items()})

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


_TERMS: TypeAdapter[dict[str, TermTable]] = TypeAdapter(dict[str, TermTable])


def opened(key: str, value: object) -> dict[str, Any]:
    """A term that was given as a number, or without `what`, as a table with it."""
    if isinstance(value, TermTable):
        return dict(value)
    if isinstance(value, Mapping):
        return {"what": key, **value}
    return {"what": key, "weight": value}


def changed(terms: Mapping[str, Any], path: str, value: object) -> dict[str, Any]:
    """The table of terms with one argument changed; a term that it lacks is added.

    Args:
        terms: as a recipe writes it.
        path: `logits` for a whole term, `logits.weight`, or `logits.divergence.temperature`.
        value: of the argument.

    Raises `ValueError` if the argument has none of its own, or belongs to a choice that the term has not made.
    """
    key, _, rest = path.partition(".")
    if not rest:
        return {**terms, key: value}
    term = opened(key, terms.get(key, {}))
    argument, _, inside = rest.partition(".")
    if not inside:
        return {**terms, key: {**term, argument: value}}
    field = TermTable.model_fields.get(argument)
    registry = None if field is None else registry_of(field)
    if registry is None:
        raise ValueError(f"'{argument}' of a term has no arguments of its own")
    given = term.get(argument) or _usual(term["what"], argument)
    if given is None:
        raise ValueError(f"term '{key}' has no {argument}. Name one of: {', '.join(registry.names())}")
    table = given if isinstance(given, Mapping) else {"name": given}
    return {**terms, key: {**term, argument: {**table, inside: value}}}


def _usual(what: object, argument: str) -> str | None:
    """The choice that a term has made if it names none."""
    compared = COMPARED.made(what)
    return {"divergence": compared.usual, "map": compared.usual_map, "schedule": "constant"}.get(argument)
