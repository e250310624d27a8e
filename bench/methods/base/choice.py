"""A choice: an argument of a method that names a plug-in, with arguments of the plug-in's own."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

from pydantic import GetCoreSchemaHandler, SerializationInfo, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import CoreSchema, InitErrorDetails, core_schema
from typing_extensions import override

from bench.base.errors import UnknownNameError, unknown
from bench.base.registry import Registry
from bench.base.schema import Frozen


class Tabled(ABC):
    """An argument of a method that a recipe writes as a table."""

    @abstractmethod
    def table(self, *, stated: bool = False, mode: str = "python") -> Any:
        """As a recipe writes it; with `stated` only arguments that differ from their defaults are in it."""


class Choice(Frozen, Tabled):
    """A plug-in that an argument of a method names; its fields are its arguments.

    In a recipe it is a table, `saliency = { name = "hard-concrete", start = 5 }`, or the plain name if every argument
    is at its default. No argument may be called `name`.
    """

    called: ClassVar[str] = ""  # the name it is registered under

    def fits(self, method: Any) -> None:
        """Raise `ValueError` if arguments of `method`, which has this choice, do not go with it."""

    def seeded(self) -> bool:
        """Whether it draws by the seed, so that another seed gives another result without any training."""
        return False

    def folders(self) -> tuple[str, ...]:
        """Folders of other models that it uses; see `Method.folders`."""
        return ()

    def table(self, *, stated: bool = False, mode: str = "python") -> str | dict[str, Any]:
        """The choice as a recipe writes it: its name, or a table with `name` and its arguments.

        With `stated` only arguments that differ from their defaults are in it.
        """
        values = self.model_dump(mode=mode, exclude_defaults=stated)
        return {"name": self.called, **values} if values else self.called


C = TypeVar("C", bound=Choice)


class Choices(Registry[type[C]], Generic[C]):
    """The registry of the plug-ins that one kind of choice has."""

    @override
    def file(self, name: str, plugin: type[C], *, origin: str) -> None:
        super().file(name, plugin, origin=origin)
        plugin.called = name  # it knows its name from then on

    def default(self, name: str) -> Callable[[], C]:
        """Makes the plug-in `name` with all arguments at their defaults: a `default_factory` that loads nothing yet."""
        return lambda: self.get(name)()

    def made(self, given: object) -> C:
        """The choice that a name or a table stands for; a choice that is made already stays as it is.

        Raises:
            ValueError: neither a name nor a table, or an unknown name. pydantic's `ValidationError`: an argument that
                the plug-in does not have, or a wrong value, at its own place.
        """
        if isinstance(given, Choice):
            return given  # type: ignore[return-value]
        table = {"name": given} if isinstance(given, str) else given
        if not isinstance(table, Mapping) or not isinstance(table.get("name"), str):
            raise ValueError(
                f'expected the name of a {self.kind} or a table such as {{ name = "…", … }}. '
                f"Known: {', '.join(self.names())}"
            )
        try:
            plugin = self.get(table["name"])
        except UnknownNameError as error:
            raise ValueError(str(error)) from error
        arguments = {key: value for key, value in table.items() if key != "name"}
        strange = [self._strange(plugin, key, value) for key, value in arguments.items() if key not in _fields(plugin)]
        if strange:
            raise ValidationError.from_exception_data(plugin.__name__, strange)
        return plugin.model_validate(arguments)

    def _strange(self, plugin: type[C], key: str, value: object) -> InitErrorDetails:
        """What is wrong with an argument that the plug-in does not have."""
        says = str(unknown(f"argument of {self.kind} '{plugin.called}'", key, _fields(plugin)))
        others = [f"'{name}'" for name, other in self.items() if key in _fields(other)]
        if others:
            says += f" It is an argument of {self.kind} {' and '.join(others)}."
        return {"type": "value_error", "loc": (key,), "input": value, "ctx": {"error": ValueError(says)}}


@dataclass(frozen=True)
class Chosen:
    """Makes a field hold a plug-in of a registry: `saliency: Annotated[Saliency, Chosen(SALIENCIES)]`.

    The field takes a name, a table or a choice that is made already, and is dumped as `Choice.table` writes it.
    """

    registry: Choices[Any]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """A plain validator; the class of the field is never built from data by itself."""
        dump = core_schema.plain_serializer_function_ser_schema(_dumped, info_arg=True)
        return core_schema.no_info_plain_validator_function(self.registry.made, serialization=dump)


def registry_of(field: FieldInfo) -> Choices[Any] | None:
    """The registry of a field that is a choice; None for any other field."""
    found = [*field.metadata, *(part for inner in _inner(field.annotation) for part in inner)]
    return next((part.registry for part in found if isinstance(part, Chosen)), None)


def _inner(annotation: Any) -> list[tuple[Any, ...]]:
    """The metadata of the parts of a union, such as `Annotated[Penalty, Chosen(PENALTIES)] | None`."""
    return [getattr(part, "__metadata__", ()) for part in getattr(annotation, "__args__", ())]


def _dumped(value: Choice, info: SerializationInfo) -> str | dict[str, Any]:
    return value.table(mode=info.mode)


def _fields(plugin: type[Choice]) -> dict[str, FieldInfo]:
    return plugin.model_fields
