"""`bench cache`: list and clear the trained references, compressed artifacts and data kept so that a run can resume."""

from __future__ import annotations

from pathlib import Path

import typer

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="List, locate or delete what is cached on this machine.",
)

_ROOT = typer.Option(None, "--cache", help="The cache folder; default: BENCH_CACHE or the user's cache directory.")


@app.command("list")
def list_(root: Path | None = _ROOT) -> None:
    """List cached references, artifacts and data sets."""
    from bench.artifacts.store import Store, default_root

    store = Store(root or default_root())
    entries = store.entries()
    for entry in entries:
        typer.echo(f"{entry.kind.removesuffix('s'):9}  {entry.key}  {entry.bytes / 1e6:9.1f} MB  {entry.title}")
    typer.echo(f"{len(entries)} entries, {sum(entry.bytes for entry in entries) / 1e6:.1f} MB in {store.root}")


@app.command("clear")
def clear(
    key: list[str] = typer.Argument(None, help="Remove only entries whose key starts with this; default: all."),
    root: Path | None = _ROOT,
) -> None:
    """Delete cached references, artifacts and data sets.

    Records are kept.
    """
    from bench.artifacts.store import Store, default_root

    gone = Store(root or default_root()).clear(tuple(key or ()))
    typer.echo(f"removed {len(gone)} entries, {sum(entry.bytes for entry in gone) / 1e6:.1f} MB")


@app.command("path")
def path(key: str = typer.Argument(help="The key of an entry, or the start of it.")) -> None:
    """Print the folder of one entry.

    Use it to load a compressed model elsewhere.
    """
    from bench.artifacts.store import Store, default_root
    from bench.base.errors import unknown

    store = Store(default_root())
    found = [entry for entry in store.entries() if entry.key.startswith(key)]
    if len(found) != 1:
        raise unknown("cache entry", key, [entry.key for entry in store.entries()])
    typer.echo(store.path(found[0].kind, found[0].key))
