"""The result sets below a folder: records that may be ranked together, with their rows as a board has them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from bench.analysis.membership import renamed, shared_names
from bench.analysis.paired import StoredRecord
from bench.analysis.standings import Standing, Standings, standings
from bench.base.errors import RecordError, unknown
from bench.records.record import Failure, read_failure, read_record
from bench.spec.suite import Suite, load_suite, suite_names

_FAILED = ".failed.json"


class _Key(NamedTuple):
    """What the records of one set have in common; `folder` is the one above the machine's."""

    folder: Path
    suite: str
    model: str
    machine: str
    setting: str


@dataclass(frozen=True, kw_only=True)
class ResultSet:
    """The records of one suite, model, setting and machine in one folder.

    `label` names the set: its folder below the results, and what distinguishes it from other sets in that folder.
    """

    label: str
    folder: Path
    suite: Suite
    model: str
    items: tuple[StoredRecord, ...]
    standings: Standings

    def runs(self, base: str) -> list[Standing]:
        """The rows that have a record of the recipe `base`, with whatever arguments."""
        return [row for row in self.standings.rows if self.recipes().get(row.recipe) == base]

    def recipes(self) -> dict[str, str]:
        """Every recipe with a record here: its name with arguments, and its own name."""
        return {item.record.recipe: item.record.recipe_base for item in self.items}

    def cells(self, recipe: str) -> dict[tuple[str, int], StoredRecord]:
        """The records of one recipe by task and seed."""
        return {(item.record.task, item.record.seed): item for item in self.items if item.record.recipe == recipe}


def result_sets(root: Path, suites: Mapping[str, Suite] | None = None) -> tuple[ResultSet, ...]:
    """Every result set below `root`, in the order of folders; records of generated data are in none.

    Args:
        root: a folder with `<suite>/<machine>/*.json` at any depth.
        suites: suites by name that the package does not have; the file `<suite>/<suite>.toml` is read if it is there.

    Raises:
        RecordError: no such folder, a damaged record, or records of one cell twice. UnknownNameError: a record of a
        suite that is neither given nor the package's.
    """
    if not root.is_dir():
        raise RecordError(
            f"{root}: no such folder. Make records with `bench run SUITE`, or give their folder with --results."
        )
    found: dict[_Key, list[StoredRecord]] = defaultdict(list)
    failures: dict[Path, list[Failure]] = defaultdict(list)
    for path in sorted(root.glob("**/*.json")):
        folder = path.parent.parent
        if path.name.endswith(_FAILED):
            failures[folder].append(read_failure(path))
        elif not path.name.startswith("."):
            record = read_record(path)
            if not record.generated:
                key = _Key(folder, record.suite, record.model, record.machine_id, record.setting_id)
                found[key].append(StoredRecord(record=record, path=path))
    apart, noted = _told_apart(found, failures)
    keys = sorted(apart)
    return tuple(_set(key, _label(key, keys, root), apart[key], noted[key.folder], suites or {}) for key in keys)


def _told_apart(
    found: Mapping[_Key, Sequence[StoredRecord]], failures: Mapping[Path, Sequence[Failure]]
) -> tuple[dict[_Key, list[StoredRecord]], dict[Path, list[Failure]]]:
    """The same records and failures; models of one folder that share a name but not their content get their own."""
    shared = {
        folder: shared_names([item.record for key, items in found.items() if key.folder == folder for item in items])
        for folder in {key.folder for key in found}
    }
    apart: dict[_Key, list[StoredRecord]] = defaultdict(list)
    for key, items in found.items():
        for item in items:
            record = renamed(item.record, shared[key.folder])
            apart[key._replace(model=record.model)].append(replace(item, record=record))
    noted = {folder: [renamed(each, shared[folder]) for each in failures.get(folder, ())] for folder in shared}
    return apart, noted


def _set(
    key: _Key, label: str, items: Sequence[StoredRecord], failures: Sequence[Failure], suites: Mapping[str, Suite]
) -> ResultSet:
    suite = suites.get(key.suite) or _suite_of(key)
    seen = {item.record.task for item in items}
    own = [
        item for item in failures if (item.suite, item.model, item.setting_id) == (key.suite, key.model, key.setting)
    ]
    tasks = [task.name for task in suite.tasks if task.name in seen]
    rows = standings(suite, [item.record for item in items], [item for item in own if item.task in seen], tasks)
    return ResultSet(label=label, folder=key.folder, suite=suite, model=key.model, items=tuple(items), standings=rows)


def _suite_of(key: _Key) -> Suite:
    """The package's suite, or the one whose file lies beside the folders of its records."""
    if key.suite in suite_names():
        return load_suite(key.suite)
    beside = key.folder / f"{key.suite}.toml"
    if key.folder.name == key.suite and beside.is_file():
        return load_suite(str(beside))
    raise unknown(
        "suite", key.suite, suite_names(), where=f"{key.folder} (put its file there, or give it with --suite)"
    )


def _label(key: _Key, keys: Sequence[_Key], root: Path) -> str:
    """The folder below `root`, with what differs from the other sets of the same folder in brackets."""
    inside = key.folder.relative_to(root).as_posix() if key.folder.is_relative_to(root) else "."
    name = root.name if inside == "." else inside
    beside = [other for other in keys if other.folder == key.folder]
    differing = [
        own for own, *all_ in zip(key[1:], *(other[1:] for other in beside), strict=True) if len(set(all_)) > 1
    ]
    return f"{name} ({', '.join(differing)})" if differing else name
