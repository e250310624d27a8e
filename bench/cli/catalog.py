"""`bench list`, `bench show` and `bench check`: what there is, one thing in full, and whether a suite is sound."""

from __future__ import annotations

import json
from typing import Any

import typer

FORMAT = typer.Option("table", "--format", help="table, md, csv or json.")


def list_(
    kind: str = typer.Argument("suites", help="suites, tasks, models, recipes, methods, choices, measures or columns."),
    format_: str = FORMAT,
) -> None:
    """Everything of one kind, a line each; md, csv and json say all of it."""
    from bench.library.catalog import listing

    rows = listing(kind, full=format_ != "table")
    if format_ == "table":
        for line in _aligned([list(rows[0]), *(list(row.values()) for row in rows)]):
            typer.echo(line)
        return
    from bench.analysis.table import ResultTable
    from bench.report.render import render

    table = ResultTable(title=kind.capitalize(), columns=tuple(rows[0]), rows=tuple(dict(row) for row in rows))
    typer.echo(render(table, format_))


def show(
    name: str = typer.Argument(help="The name of anything that `bench list` lists."), format_: str = FORMAT
) -> None:
    """One thing in full: parts, arguments, citation, published numbers and whether they were verified."""
    from bench.library.catalog import describe

    found = describe(name)
    if format_ == "json":
        typer.echo(json.dumps(found, indent=1))
        return
    for kind, data in found.items():
        typer.echo(f"{name} ({kind})")
        for line in _lines(data, "  "):
            typer.echo(line)


def check(suite: str = typer.Argument(help="A suite's name, or a path to a TOML file.")) -> None:
    """Validate a suite, its recipes and every argument without running anything."""
    from bench.analysis.arguments import check_finding
    from bench.measures.base.measure import MEASURES
    from bench.plan.check import check_suite
    from bench.plan.recipes import expand
    from bench.spec.suite import load_suite

    chosen = load_suite(suite)
    check_suite(chosen, where=suite)
    recipes = [
        recipe
        for index, choice in enumerate(chosen.recipes)
        for recipe in expand(choice, where=f"{suite}: recipes[{index}]")
    ]
    for index, finding in enumerate(chosen.findings):
        check_finding(finding, recipes, where=f"{suite}: findings[{index}]")
    cells = len(chosen.tasks) * len(recipes) * len(chosen.seeds)
    typer.echo(
        f"{chosen.name} is sound: {len(chosen.tasks)} tasks x {len(recipes)} recipes x {len(chosen.seeds)} seeds"
        f" = {cells} cells, {len(MEASURES.names())} measures, setting {chosen.setting_id}"
    )


def _aligned(rows: list[list[str]]) -> list[str]:
    """Rows as lines whose columns start below each other; the last column, a sentence, runs on."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _lines(data: Any, indent: str) -> list[str]:
    """Nested data as indented `key: value` lines."""
    if isinstance(data, dict):
        lines = []
        for key, value in data.items():
            if isinstance(value, (dict, list, tuple)) and value:
                lines += [f"{indent}{key}:", *_lines(value, indent + "  ")]
            elif value not in ((), [], {}, None, ""):
                lines.append(f"{indent}{key}: {_text(value, indent)}")
        return lines
    if isinstance(data, (list, tuple)):
        if all(not isinstance(item, (dict, list, tuple)) for item in data):
            sentences = any(", " in str(item) for item in data)
            return [f"{indent}- {item}" for item in data] if sentences else [indent + ", ".join(map(str, data))]
        lines = []
        for item in data:
            first, *rest = _lines(item, indent + "  ")
            lines += [f"{indent}- {first.strip()}", *rest]
        return lines
    return [f"{indent}{data}"]


def _text(value: Any, indent: str) -> str:
    """A value on its line; further lines of a longer text are indented below it."""
    lines = str(value).strip().splitlines()
    return f"\n{indent}  ".join(line.strip() for line in lines) if len(lines) > 1 else str(value)
