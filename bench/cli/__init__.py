"""The commands: the only part of the program that prints."""

from __future__ import annotations

import os
import sys

import typer

from bench.base.errors import BenchError
from bench.base.registry import broken_plugins
from bench.base.version import __version__
from bench.cli import cache, catalog, compare, doctor, export, init, pivot, results, run, score, submit, survey
from bench.cli.terminal import replace_what_is_lacking

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Measure compressed language models next to their uncompressed references.",
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"bench {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
) -> None:
    """Options before the command."""


app.command("run")(run.run)
app.command("score")(score.score)
app.command("init")(init.init)
app.command("check")(catalog.check)
app.command("list")(catalog.list_)
app.command("show")(catalog.show)
app.command("submit")(submit.submit)
app.command("table")(results.table)
app.command("leaderboard")(results.leaderboard)
app.command("pareto")(results.pareto)
app.command("pivot")(pivot.pivot)
app.command("export")(export.export)
app.command("compare")(compare.compare)
app.command("survey")(survey.survey)
app.command("doctor")(doctor.doctor)
app.add_typer(cache.app, name="cache")


def main() -> None:
    """Run a command; a problem that the user can solve is printed to stderr, with exit status 2."""
    replace_what_is_lacking()
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "1")  # bench needs none of them, and looking for them takes 20 ms
    message = ""
    try:
        app()
    except BenchError as error:
        message = str(error)
        typer.echo(f"bench: {message}", err=True)
        sys.exit(2)
    finally:
        for broken in broken_plugins():
            if str(broken) not in message:
                typer.echo(f"bench: skipped: {broken}", err=True)
