"""Schemas: what a person reads if a file is not valid."""

import pytest
from pydantic import Field, field_validator

from bench.base.errors import SuiteError, UnknownNameError
from bench.base.schema import Frozen, toml_value, validated


class Bowl(Frozen):
    """Nested, with a key that must be given."""

    litres: float = Field(gt=0, le=100, description="how much it holds")
    fish: tuple[str, ...] = ()


class Shelf(Frozen):
    """What is validated."""

    bowl: Bowl
    bowls: tuple[Bowl, ...] = Field((), min_length=0)
    stages: tuple[Bowl, ...] = Field((Bowl(litres=1),), min_length=1)
    count: int = 1
    shiny: bool = False
    colour: str = "red"

    @field_validator("colour")
    @classmethod
    def _is_red(cls, colour):
        if colour != "red":
            raise ValueError("only red is sold")
        return colour


GOOD = {"bowl": {"litres": 1.0}}


def problems(**changes):
    with pytest.raises((SuiteError, UnknownNameError)) as caught:
        validated(Shelf, {**GOOD, **changes}, where="x.toml")
    return str(caught.value)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"bowl": {"litres": 1, "fish": "cod"}}, 'x.toml: bowl.fish needs a list: ["cod"]'),
        ({"bowl": {}}, "x.toml: bowl.litres: missing. Add litres = … (how much it holds)."),
        ({"bowl": {"litres": 0}}, "x.toml: bowl.litres: expected a number above 0, found 0"),
        ({"bowl": {"litres": 101}}, "x.toml: bowl.litres: expected a number of at most 100, found 101"),
        ({"bowl": 3}, "x.toml: bowl: expected a table, found 3"),
        ({"count": "two"}, "x.toml: count: expected a whole number, found 'two'"),
        ({"count": 1.5}, "x.toml: count: expected a whole number, found 1.5"),
        ({"shiny": "very"}, "x.toml: shiny: expected true or false, found 'very'"),
        ({"colour": "blue"}, "x.toml: colour: only red is sold"),
        ({"stages": []}, "x.toml: stages: expected at least 1 entry, found 0"),
        ({"bowls": [{"litres": 1}, {"litres": "x"}]}, "x.toml: bowl 2: litres: expected a number, found 'x'"),
        ({"colur": "red"}, "x.toml: no key named 'colur'. Did you mean 'colour'?"),
        ({"bowls": [{"litre": 1}]}, "x.toml: bowl 1: no key named 'litre'. Did you mean 'litres'?"),
    ],
)
def test_every_problem_is_said_in_words_with_its_place(changes, says):
    assert says in problems(**changes).splitlines()


def test_a_missing_section_is_asked_for_as_a_section():
    with pytest.raises(SuiteError) as caught:
        validated(Shelf, {}, where="x.toml")
    assert str(caught.value) == "x.toml: bowl: missing. Add a [bowl] section; see docs/suites.md."


def test_entries_that_are_wrong_are_not_also_called_missing():
    said = problems(stages=[{"litres": -1}])
    assert said == "x.toml: stage 1: litres: expected a number above 0, found -1"


def test_a_value_of_the_command_line_is_toml_or_a_plain_text():
    assert [toml_value(text) for text in ("3", "[1, 2]", '"a"', "mean", "")] == [3, [1, 2], "a", "mean", ""]
