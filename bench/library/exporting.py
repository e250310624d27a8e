"""Writing an artifact as files that others use without bench, compared with it before they are called done."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from bench.artifacts.artifact import CONFIG, Loaded, load
from bench.base.errors import ArtifactError, MethodError, unknown

if TYPE_CHECKING:
    from torch import Tensor

EXACT = 1e-3  # share of the outputs' standard deviation; rounding in float32 explains less
_LENGTHS = (4, 11, 32)  # of the made texts on which outputs are compared, as far as the model has positions
_COPIES = ("tokenizer", "vocab", "merges", "special_tokens", "spiece", "sentencepiece", "added_tokens", "chat_template")


class Exported(NamedTuple):
    """What was written.

    `difference` is the largest one of any output, as a share of the outputs' standard deviation, on `examples` made
    texts; `notes` say what became of stored forms.
    """

    directory: Path
    files: tuple[str, ...]
    difference: float
    examples: int
    notes: tuple[str, ...] = ()


Writer = Callable[[Loaded, Path, bool], Exported]


def export(artifact: str | Path, directory: str | Path, *, to: str, dense: bool = False) -> Exported:
    """Write an artifact for others, with its configuration and tokenizer, to the new folder `directory`.

    Args:
        artifact: a folder that bench made.
        directory: must not exist; it is there only if all went well.
        to: one of `WRITERS`: `onnx` and `openvino` write a graph, `transformers` a folder that it loads by itself.
        dense: for transformers, whether products are multiplied out and shared layers repeated, which makes it larger.

    Raises:
        UnknownNameError: no such form. ArtifactError: the artifact cannot be read, or the folder exists. MethodError:
            the model has no such form, or its outputs there differ. UnavailableError: the runtime is not installed.
    """
    if to not in WRITERS:
        raise unknown("form", to, WRITERS, where="--to")
    target = Path(directory)
    if target.exists():
        raise ArtifactError(f"{target}: already exists, and exports never overwrite. Remove it first.")
    loaded = load(Path(artifact))
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".writing-{target.name}-") as scratch:
        draft = Path(scratch) / "draft"
        written = WRITERS[to](loaded, draft, dense)
        draft.rename(target)
    return written._replace(directory=target)


def _write_transformers(loaded: Loaded, directory: Path, dense: bool) -> Exported:
    from bench.artifacts.to_transformers import EXAMPLES, to_transformers

    done = to_transformers(loaded.model, directory, tokenizer=loaded.tokenizer, dense=dense)
    names = tuple(sorted(path.name for path in directory.iterdir()))
    notes = ("products are multiplied out, shared layers repeated",) if dense else ()
    return Exported(directory, names, done.difference, EXAMPLES, notes)


def _write_graph(loaded: Loaded, directory: Path, dense: bool, *, runtime: str) -> Exported:
    """A graph for `runtime`, in float32; one that the artifact holds already is written as it is."""
    from bench.runtimes.comparison import compare
    from bench.runtimes.graph_model import GraphModel
    from bench.runtimes.runtime import graph_runtime
    from bench.runtimes.tracing import traced

    if dense:
        raise MethodError("--dense is for --to transformers; a graph holds products as they are")
    model: Any = loaded.model
    notes: tuple[str, ...] = ()
    batches = _batches(loaded)
    if isinstance(model, GraphModel):
        if model.graph.runtime != runtime:
            raise MethodError(
                f"{loaded.directory}: the artifact holds a graph for '{model.graph.runtime}', which cannot be turned "
                f"into one for '{runtime}'. Export the artifact of the stage before."
            )
        made = model
    else:
        graphs = graph_runtime(runtime)
        graphs.require(making=True)
        found = traced(model, batches[-1])
        notes = found.notes
        files = graphs.export(found)
        made = GraphModel.from_files(runtime, files, model.config, found.head, found.outputs, where=str(directory))
    compared = compare(model, made, batches, examples=sum(map(_rows, batches)), exact=not notes)
    if compared.exact and not compared.difference <= EXACT:
        raise MethodError(
            f"{loaded.directory}: the graph's outputs differ from the artifact's by {compared.difference:.2g} of their "
            f"standard deviation, above {EXACT:g}, so it was not written. Try another form."
        )
    directory.mkdir()
    for name, content in made.files.items():
        if isinstance(content, bytes):
            (directory / name).write_bytes(content)
        else:
            shutil.copyfile(content, directory / name)
    copy_beside(loaded, directory)
    names = tuple(sorted(path.name for path in directory.iterdir()))
    return Exported(directory, names, compared.difference, compared.examples, tuple(notes))


def copy_beside(loaded: Loaded, directory: Path) -> None:
    """Put configuration and tokenizer of an artifact beside what was written, without bench's own keys."""
    config: Any = loaded.model.config
    config.to_json_file(directory / CONFIG, use_diff=False)
    for path in loaded.directory.iterdir():
        if path.name.startswith(_COPIES):
            shutil.copyfile(path, directory / path.name)


def _batches(loaded: Loaded) -> list[dict[str, Tensor]]:
    """Made texts of several lengths, one at a time, and two of different lengths in one padded batch."""
    from bench.measures.base.inputs import made_inputs
    from bench.models.limits import positions_of

    most = positions_of(loaded.model.config) or max(_LENGTHS)
    lengths = [length for length in _LENGTHS if length <= most] or [most]

    def made(rows: int, length: int) -> dict[str, Tensor]:
        return made_inputs(loaded.model, loaded.tokenizer, batch_size=rows, length=length, device="cpu", seed=0)

    found = [made(1, length) for length in lengths]
    padded = made(2, lengths[-1])
    if "attention_mask" in padded:
        padded["attention_mask"][0, max(1, lengths[-1] // 2) :] = 0
    if "token_type_ids" in loaded.tokenizer.model_input_names:
        for inputs in (*found, padded):
            inputs["token_type_ids"] = inputs["input_ids"].new_zeros(inputs["input_ids"].shape)
    return [*found, padded]


def _rows(batch: Mapping[str, Tensor]) -> int:
    return len(batch["input_ids"])


WRITERS: Mapping[str, Writer] = {
    "onnx": partial(_write_graph, runtime="onnxruntime"),
    "openvino": partial(_write_graph, runtime="openvino"),
    "transformers": _write_transformers,
}
