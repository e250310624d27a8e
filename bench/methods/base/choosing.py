"""Methods whose arguments name plug-ins, and the arguments that these plug-ins have of their own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, TypeVar

from pydantic import AfterValidator, ConfigDict, ValidationError, model_validator
from pydantic.fields import FieldInfo
from pydantic_core import InitErrorDetails, PydanticCustomError

from bench.base.errors import MethodError, UnknownNameError, unknown
from bench.base.registry import Registry
from bench.methods.base.choice import Choice
from bench.methods.base.method import Method


def known(registry: Registry[Any]) -> AfterValidator:
    """The check of an argument that names a plug-in of `registry`, or none; it suggests the nearest name."""

    def check(name: str | None) -> str | None:
        try:
            if name is not None:
                registry.get(name)
        except UnknownNameError as error:
            raise ValueError(str(error)) from error
        return name

    return AfterValidator(check)


C = TypeVar("C", bound=Choice)


class Choosing(Method):
    """A method some of whose arguments are made choices: `plugins` says by the argument's name which there are."""

    model_config = ConfigDict(extra="allow")  # what choices take, each of which checks its own

    plugins: ClassVar[Mapping[str, Registry[Any]]] = {}

    @classmethod
    def arguments(cls) -> dict[str, FieldInfo]:
        """A name that several choices have stands for one of them."""
        plugins = [plugin for registry in cls.plugins.values() for _, plugin in registry.items()]
        own = {name: field for plugin in plugins for name, field in plugin.model_fields.items()}
        return own | dict(cls.model_fields)

    def chosen(self, registry: Registry[type[C]], name: str) -> C:
        """The plug-in `name` of `registry` with those of the given arguments that are its own.

        Raises `MethodError` if it declares an argument that the method has.
        """
        plugin = registry.get(name)
        clash = sorted(plugin.model_fields.keys() & type(self).model_fields.keys())
        if clash:
            raise MethodError(
                f"{registry.kind} '{name}': the method has an argument '{clash[0]}' too. Give it another name."
            )
        given = self.model_extra or {}
        return plugin.model_validate({key: value for key, value in given.items() if key in plugin.model_fields})

    def made(self) -> list[Choice]:
        """Every choice that was made, with its arguments."""
        names = [(registry, getattr(self, argument)) for argument, registry in self.plugins.items()]
        return [self.chosen(registry, name) for registry, name in names if name is not None]

    @model_validator(mode="after")
    def _every_argument_belongs_to_a_choice_made(self) -> Choosing:
        made = self.made()
        given = self.model_extra or {}
        taken = {key for choice in made for key in type(choice).model_fields}
        if given.keys() - taken:
            stray = [self._stray(key, value) for key, value in given.items() if key not in taken]
            raise ValidationError.from_exception_data(type(self).__name__, stray)
        used = {key: value for choice in made for key, value in choice.model_dump(exclude_defaults=True).items()}
        given.clear()
        given.update(used)
        for choice in made:
            choice.fits(self)
        return self

    def _stray(self, key: str, value: object) -> InitErrorDetails:
        """What is wrong with an argument that neither the method nor a choice made has."""
        owners: dict[str, None] = {}
        found: dict[str, None] = {}
        for argument, registry in self.plugins.items():
            names = [f"'{name}'" for name, plugin in registry.items() if key in plugin.model_fields]
            if names:
                owners[f"{registry.kind} {' or '.join(names)}"] = None
                made = getattr(self, argument)
                found[f"no {registry.kind}" if made is None else f"'{made}'"] = None
        belongs = f"{key} belongs to {' or '.join(owners)}, found {' and '.join(found)}"
        says = belongs if owners else str(unknown("key", key, self.arguments()))
        return {"type": PydanticCustomError("stray_argument", "{says}", {"says": says}), "loc": (key,), "input": value}
