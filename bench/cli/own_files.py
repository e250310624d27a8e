"""What `bench run` runs: the suite that is named, or one that is made of files of one's own; and how it is saved."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from bench.base.errors import SuiteError

if TYPE_CHECKING:
    from bench.spec.suite import Suite


@dataclass(frozen=True, kw_only=True)
class OwnOptions:
    """The options that go with `--data`: files by split, columns and keys of reading by option, and the task's."""

    data: Path | None
    validation: Path | None
    test: Path | None
    holdout: float | None
    columns: Mapping[str, str | Sequence[str] | None]
    reading: Mapping[str, str | None]
    quotes: bool
    header: bool
    task: Mapping[str, Any]  # kind, metrics, max_length
    data_dir: Path | None

    def first_given(self) -> str | None:
        """The first option that makes no sense without `--data`, None if there is none."""
        plain = {"validation": self.validation, "test": self.test, "holdout": self.holdout}
        every = {
            **plain,
            **self.columns,
            **self.reading,
            **self.task,
            "no-header": not self.header,
            "no-quotes": not self.quotes,
        }
        return next((f"--{key.replace('_', '-')}" for key, value in every.items() if value), None)


@dataclass(frozen=True, kw_only=True)
class ChosenSuite:
    """A suite to run, and comments on its keys for the file that it may be saved to."""

    suite: str | Suite
    comments: Mapping[str, str] = field(default_factory=dict)


def choose_suite(suite: str | None, own: OwnOptions) -> ChosenSuite:
    """The suite that is named or made of files; says what was taken without being asked for.

    Raises `SuiteError` if neither or both are given, and what `bench.own_suite` raises.
    """
    if own.data is None:
        if suite is None:
            raise SuiteError(
                "nothing to run. Name a suite (`bench list suites`), or give your own file, for example\n"
                "  bench run --data train.csv --text message --label intent --model DIR"
            )
        if own.first_given():
            raise SuiteError(f"{own.first_given()} needs --data, the file to train on. Suite {suite} has its own data.")
        return ChosenSuite(suite=suite)
    if suite is not None:
        raise SuiteError(f"{suite} with --data {own.data}: give a suite or files of your own, not both")
    from bench.library.own_columns import spec_of
    from bench.library.own_data import draft
    from bench.library.own_files import Files

    files = Files.of(own.data, own.validation, own.test, holdout=own.holdout, data_dir=own.data_dir)
    columns = {option: spec for option, given in own.columns.items() if (spec := spec_of(given or ())) is not None}
    reading: dict[str, Any] = {key: value for key, value in own.reading.items() if value is not None}
    reading |= {} if own.quotes else {"quotes": False}
    task = {key: value for key, value in own.task.items() if value}
    made = draft(files, columns, reading=reading, header=own.header, **task)
    for says in made.taken:
        typer.echo(says, err=True)
    return ChosenSuite(suite=made.suite, comments=made.comments)


def save(
    path: Path, suite: Suite, comments: Mapping[str, str], options: Mapping[str, str | bool | Sequence[str] | None]
) -> None:
    """Write the suite that was run to `path`; `options` are what a run of it needs besides, by name.

    Raises `SuiteError` if another file is there.
    """
    from bench.library.suite_file import suite_text, write_suite

    words = ["bench", "run", path.as_posix()]
    for name, value in options.items():
        if value is True:
            words.append(f"--{name}")
            continue
        for each in [value] if isinstance(value, str) else value or ():
            words += [f"--{name}", each]
    head = [f"Run it again with: {shlex.join(words)}", "Its keys are explained in docs/suites.md.", ""]
    write_suite(path, suite_text(suite, folder=path.parent, head=head, comments=comments))
    typer.echo(f"wrote {path}", err=True)
