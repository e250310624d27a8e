"""`bench export`: an artifact as files that others use without bench."""

from __future__ import annotations

from pathlib import Path

import typer


def export(
    artifact: Path = typer.Argument(help="The folder of an artifact."),
    directory: Path = typer.Argument(help="The new folder to write."),
    to: str = typer.Option(..., help="What to write: onnx, openvino or transformers."),
    dense: bool = typer.Option(False, help="For transformers: multiply products out and repeat shared layers."),
) -> None:
    """Write an artifact as a graph or for transformers, with its configuration and tokenizer.

    Outputs are compared with the artifact's before the folder is there.
    """
    import bench

    written = bench.export(artifact, directory, to=to, dense=dense)
    for note in written.notes:
        typer.echo(f"note: {note}", err=True)
    typer.echo(
        f"wrote {written.directory}: {', '.join(written.files)}. On {written.examples} made texts the largest "
        f"difference is {written.difference:.1e} of the outputs' standard deviation."
    )
