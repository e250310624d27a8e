"""What boards, fronts, grids and comparisons have in common on the command line: their options and printing them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from bench.library.views import TableView

RESULTS = typer.Option(Path("results"), help="The folder of records.")
FORMAT = typer.Option("table", "--format", help="table, md, html, csv or json.")
OUT = typer.Option(None, help="Write to this file; its ending (.md, .html, .csv, .json) sets the format.")
OUTS = typer.Option(
    [],
    help="Write to this file (repeatable): a plot if it ends in .png or .svg, a table if in .md, .html, .csv or .json.",
)
MACHINE = typer.Option(None, help="Only records of this machine id.")
SETTING = typer.Option(None, help="Only records of this setting id.")
RUNTIME = typer.Option(None, help="Only records of models that this runtime ran, such as eager or openvino.")
TASK = typer.Option([], help="Only this task (repeatable).")


def put(view: TableView, form: str, out: Path | Sequence[Path] | None = None) -> None:
    """Print the view, or write it to every file of `out`; remarks go to standard error."""
    for remark in view.remarks:
        typer.echo(remark, err=True)
    paths = [out] if isinstance(out, Path) else out or ()
    for path in paths:
        typer.echo(f"wrote {view.save(path, form)}")
    if not paths:
        typer.echo(view.render(form), nl=False)
