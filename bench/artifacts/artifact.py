"""A compressed model as data on disk: saving, loading and verifying it.

A directory of `config.json` (the architecture), `layers.json` (what is not stock, shared or tied, how tensors are
encoded, and which runtime runs it), `model.safetensors` (each stored tensor once) or the files of a graph, a tokenizer,
and `recipe.json` (how it was made, and the SHA-256 of every other file). Nothing is unpickled and no code from the
directory is run.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from bench.artifacts.functions import is_function, load_function
from bench.artifacts.manifest import (
    ARTIFACT_VERSION,
    MANIFEST,
    Manifest,
    read_json,
    read_manifest,
    write_json,
    write_manifest,
)
from bench.artifacts.weights import names, reader
from bench.base.errors import ArtifactError, ModelError
from bench.runtimes.runtime import EAGER, run_by, runtime_of

if TYPE_CHECKING:
    from torch import Tensor, nn

    from bench.artifacts.graph_form import GraphForm
    from bench.artifacts.structure import Structure
    from bench.runtimes.graph_model import GraphModel

CONFIG, LAYERS, WEIGHTS = "config.json", "layers.json", "model.safetensors"
SCHEMA_VERSION = 1  # of layers.json
RUNTIME_VERSION = 2  # of layers.json if it names a runtime, which a bench that knows none must not overlook
_NOTHING_SAID = Manifest()
# transformers reads the weights from the file that this key of config.json names, in every class, and refuses a name
# that is none, with the text. Without it, it would take integers for weights and make up what it does not find.
_REFUSE = "transformers_weights"
_WHY = "none: the weights are in a compressed form; read them with bench.load_artifact(DIRECTORY)"
# They say where and with what a model was loaded, so equal models would differ in them.
_NOT_ARCHITECTURE = ("_name_or_path", "transformers_version", _REFUSE)


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """A model read from an artifact, in evaluation mode, with its tokenizer; a function of texts has none.

    `manifest` is what `save` was given as `made`, with the hashes of the files.
    """

    model: nn.Module
    tokenizer: Any
    directory: Path
    manifest: Manifest
    content_hash: str


def save(model: nn.Module, directory: Path, *, tokenizer: Any, made: Manifest = _NOTHING_SAID) -> str:
    """Write `model` and `tokenizer` to the new `directory` in one step; after a crash all of it is there or nothing.

    Args:
        model: one with a head of `bench.models.heads`; left as it was.
        directory: must not exist; its parents are made.
        tokenizer: a fast tokenizer.
        made: how it was made; not part of the content hash. Its `files` are set here.

    Returns:
        The content hash: equal architecture, weights and tokenizer give an equal hash.

    Raises:
        ArtifactError: the directory exists or cannot be written, or the model cannot be written down as data.
        ModelError: no supported head, or a tokenizer that is not fast.
    """
    if directory.exists():
        raise ArtifactError(f"{directory}: already exists, and artifacts are never overwritten. Remove it first.")
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(dir=directory.parent, prefix=f".writing-{directory.name}-"))
        try:
            scratch.chmod(0o755)
            _write(model, scratch, tokenizer)
            files = {path.name: _sha256(path) for path in sorted(scratch.iterdir())}
            write_manifest(scratch, made.model_copy(update={"artifact_version": ARTIFACT_VERSION, "files": files}))
            os.rename(scratch, directory)
        except BaseException:
            shutil.rmtree(scratch, ignore_errors=True)
            raise
    except OSError as error:
        raise ArtifactError(f"{directory}: cannot be written: {error.strerror or error}") from error
    return _combined(files)


def load(directory: Path, *, device: str = "cpu") -> Loaded:
    """The model in `directory`, on `device`, giving the outputs of the saved one bit for bit.

    Sparse tensors are dense again in memory. A graph is opened by its runtime, a `GraphModel`; a module that another
    runtime of torch runs is handed to it.

    Raises:
        ArtifactError: a file is missing, altered, not part of the artifact, of a newer version or of an unknown layer
            kind or runtime, it names a function that the user did not name, or a graph cannot be opened.
        UnavailableError: its runtime is not installed.
    """
    from bench.models.heads import config_of
    from bench.models.tokenizer import read_tokenizer

    verify(directory)
    manifest = read_manifest(directory)
    if is_function(directory):
        return Loaded(
            model=load_function(directory).eval(),
            tokenizer=None,
            directory=directory,
            manifest=manifest,
            content_hash=_combined(manifest.files),
        )
    form = _read_layers(directory)
    try:
        settings = read_json(directory / CONFIG)
        settings.pop(_REFUSE, None)
        config = config_of(settings.pop("model_type"), settings)
        model = _rebuilt(directory, form, config).to(device)
        tokenizer = read_tokenizer(directory)
    except (KeyError, ValueError, ModelError) as error:
        raise ArtifactError(f"{directory}: cannot be rebuilt: {error}") from error
    return Loaded(
        model=model if form.runtime is None else run_by(model, form.runtime),
        tokenizer=tokenizer,
        directory=directory,
        manifest=manifest,
        content_hash=_combined(manifest.files),
    )


def content_hash(directory: Path) -> str:
    """The hash over the hashes that `recipe.json` lists; files are not read again, see `verify`."""
    return _combined(read_manifest(directory).files)


def verify(directory: Path) -> None:
    """Raise `ArtifactError`, naming the file, unless `directory` holds exactly what was saved."""
    listed = read_manifest(directory).files
    present = {str(path.relative_to(directory)) for path in directory.rglob("*") if not path.is_dir()} - {MANIFEST}
    for name in sorted(present - set(listed)):
        raise ArtifactError(f"{directory / name}: not part of the artifact; remove it")
    needed = () if is_function(directory) else (CONFIG, LAYERS)
    for name in (*needed, *sorted(listed)):
        if name not in listed or name not in present:
            raise ArtifactError(f"{directory / name}: missing from the artifact; make it again")
        if _sha256(directory / name) != listed[name]:
            raise ArtifactError(
                f"{directory / name}: altered or damaged: its SHA-256 differs from the one in "
                f"{MANIFEST}; make the artifact again"
            )
    for path in () if is_function(directory) else weight_files(directory):
        if path.name not in listed:
            raise ArtifactError(f"{path}: missing from the artifact; make it again")


def weight_files(directory: Path) -> tuple[Path, ...]:
    """The files that hold what the model computes with: `model.safetensors`, or those of its graph."""
    graph = read_json(directory / LAYERS).get("graph")
    names = graph.get("files", ()) if isinstance(graph, dict) else [WEIGHTS]
    return tuple(directory / Path(str(name)).name for name in names)


def graph_in(directory: Path) -> GraphForm | None:
    """What `layers.json` says of the graph that the artifact holds; None if it holds weights or is not there."""
    return _read_layers(directory).graph if is_artifact(directory) else None


def runtime_in(directory: Path) -> str:
    """The name of the runtime that runs the artifact; PyTorch's if there is no artifact yet."""
    form = _read_layers(directory) if is_artifact(Path(directory)) else _Layers()
    return form.runtime or EAGER if form.graph is None else form.graph.runtime


def size_bytes(directory: Path) -> int:
    """Bytes of the weights and side data: `weight_files` and `layers.json`."""
    if not is_artifact(directory):
        raise ArtifactError(f"{directory}: not an artifact: {LAYERS} is missing")
    try:
        return sum(path.stat().st_size for path in (*weight_files(directory), directory / LAYERS))
    except OSError as error:
        raise ArtifactError(f"{directory}: not an artifact: {error.filename} is missing") from error


def is_artifact(directory: Path) -> bool:
    """Whether `directory` looks like an artifact: it has a `layers.json`."""
    return (directory / LAYERS).is_file()


def is_plain(directory: Path) -> bool:
    """Whether transformers can read the weights of an artifact as well: only stock modules, and nothing encoded."""
    return _REFUSE not in read_json(directory / CONFIG)


def _write(model: nn.Module, directory: Path, tokenizer: Any) -> None:
    """Everything but `recipe.json`."""
    from bench.models.tokenizer import write_tokenizer
    from bench.runtimes.graph_model import GraphModel

    if isinstance(model, GraphModel):
        _write_graph(model, directory)
    else:
        _write_weights(model, directory)
    write_tokenizer(tokenizer, directory)


def _write_graph(model: GraphModel, directory: Path) -> None:
    from bench.artifacts.graph_form import write_graph

    form = write_graph(model, directory)
    write_json(directory / CONFIG, {**_settings(model), _REFUSE: _WHY, "architectures": [type(model).__name__]})
    write_json(directory / LAYERS, {"schema_version": RUNTIME_VERSION, "graph": form.model_dump(mode="json")})


def _write_weights(model: nn.Module, directory: Path) -> None:
    from safetensors.torch import save_file

    from bench.artifacts.codec import encode
    from bench.artifacts.structure import is_stock, structure_of
    from bench.layers.sharing import slots

    structure = structure_of(model)
    parts: dict[str, Tensor] = {}
    encodings: dict[str, Any] = {}
    for name, slot in slots(model).items():
        if name in structure.tied:
            continue
        form, stored = encode(slot.tensor)
        if form is not None:
            encodings[name] = form
        parts.update({f"{name}:{part}" if part else name: tensor for part, tensor in stored.items()})
    settings = _settings(model)
    if encodings or not is_stock(model, structure):
        settings[_REFUSE] = _WHY
    write_json(directory / CONFIG, {**settings, "architectures": [structure.architecture]})
    runtime = runtime_of(model)
    marked = {} if runtime == EAGER else {"runtime": runtime}
    version = RUNTIME_VERSION if marked else SCHEMA_VERSION
    layers = {"schema_version": version, "structure": structure.model_dump(), "encodings": encodings, **marked}
    write_json(directory / LAYERS, layers)
    save_file(parts, directory / WEIGHTS, metadata={"format": "pt"})


def _settings(model: nn.Module) -> dict[str, Any]:
    """The architecture as `config.json` has it."""
    settings: dict[str, Any] = model.config.to_dict()  # type: ignore[union-attr, operator]
    return {key: value for key, value in settings.items() if key not in _NOT_ARCHITECTURE}


class _Layers(NamedTuple):
    """What `layers.json` says: the graph, or the structure of modules with its encodings and what runs them."""

    graph: GraphForm | None = None
    structure: Structure | None = None
    encodings: dict[str, Any] | None = None
    runtime: str | None = None


def _rebuilt(directory: Path, form: _Layers, config: Any) -> nn.Module:
    if form.graph is not None:
        from bench.artifacts.graph_form import read_graph

        return read_graph(directory, form.graph, config)
    if form.structure is None:
        raise ArtifactError(f"{directory / LAYERS}: neither a structure nor a graph")
    from bench.artifacts.structure import empty, fill

    model = empty(config, form.structure, where=str(directory))
    weights = directory / WEIGHTS
    fill(model, form.structure, reader(weights, form.encodings or {}), names(weights), where=str(weights))
    return model


def _read_layers(directory: Path) -> _Layers:
    from pydantic import ValidationError

    from bench.artifacts.graph_form import GraphForm
    from bench.artifacts.structure import Structure

    path = directory / LAYERS
    data = read_json(path)
    version = data.get("schema_version")
    if version not in (SCHEMA_VERSION, RUNTIME_VERSION):
        raise ArtifactError(
            f"{path}: schema version {version}, expected {SCHEMA_VERSION} or {RUNTIME_VERSION}. Use the version of "
            "bench that made it."
        )
    try:
        if version == RUNTIME_VERSION and "graph" in data:
            return _Layers(graph=GraphForm.model_validate(data["graph"]))
        structure, runtime = Structure.model_validate(data.get("structure")), data.get("runtime")
        return _Layers(structure=structure, encodings=dict(data["encodings"]), runtime=runtime)
    except (ValidationError, KeyError, TypeError) as error:
        raise ArtifactError(f"{path}: not a valid structure: {error}") from error


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _combined(files: dict[str, str]) -> str:
    return hashlib.sha256("".join(f"{name}\0{files[name]}\n" for name in sorted(files)).encode()).hexdigest()
