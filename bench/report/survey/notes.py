"""What people wrote about results: why a measured figure differs from the published one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydantic import Field

from bench.base.errors import unknown
from bench.base.schema import Frozen, read_toml, validated
from bench.report.survey.sets import ResultSet
from bench.spec.recipe import recipe_names

FILE = "notes.toml"


class Notes(Frozen):
    """Sentences by recipe: for every result set in `notes`, for one of them, by its label, in `sets`.

    A recipe is named with its arguments, as in its rows, or without them for all of its rows.
    """

    notes: dict[str, str] = Field({})
    sets: dict[str, dict[str, str]] = Field({})

    def why(self, label: str, recipe: str, base: str) -> str:
        """The sentence on one recipe in one result set, the narrowest there is; empty if there is none."""
        for told in (self.sets.get(label, {}), self.notes):
            for name in (recipe, base):
                if name in told:
                    return told[name]
        return ""


def read_notes(root: Path, sets: Sequence[ResultSet]) -> Notes:
    """The notes in the results folder, none if there is no file.

    Raises:
        SuiteError: the file is not valid. UnknownNameError: a set or a recipe that does not exist.
    """
    path = root / FILE
    if not path.is_file():
        return Notes()
    notes = validated(Notes, read_toml(path), where=str(path))
    recipes = {*recipe_names(), *(base for each in sets for base in each.recipes().values())}
    for label in notes.sets:
        if label not in {each.label for each in sets}:
            raise unknown("result set", label, [each.label for each in sets], where=f"{path}: sets")
    for told in (notes.notes, *notes.sets.values()):
        for name in told:
            if name.partition("[")[0] not in recipes:
                raise unknown("recipe", name, recipes, where=str(path))
    return notes
