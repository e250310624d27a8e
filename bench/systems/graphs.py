"""Graphs of ONNX and OpenVINO that were exported elsewhere, with the configuration and the tokenizer beside them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from typing_extensions import override

from bench.artifacts.artifact import content_hash, graph_in, is_artifact, load, save
from bench.artifacts.manifest import Manifest
from bench.artifacts.store import Store
from bench.base.errors import ModelError
from bench.models.checkpoint import CheckpointSource
from bench.models.fingerprint import is_of_the_tokenizer
from bench.models.heads import config_of, head_of
from bench.models.label_names import told_order
from bench.models.source import label_settings
from bench.plan.fit import examine
from bench.plan.given import GivenSystem
from bench.runtimes.graph_model import GraphModel
from bench.runtimes.heads import ORDER
from bench.runtimes.runtime import Files, Precision, graph_runtime
from bench.systems.folders import link
from bench.systems.system import FiledSystem, System, TaskOf, Wishes, file_as_artifact
from bench.tasks.evaluate import predict
from bench.tasks.kinds.kind import KINDS
from bench.tasks.predictions import ClassLogits

if TYPE_CHECKING:
    from torch import nn

    from bench.models.limits import Limits

_CONFIG = "config.json"
_TRIED = 4  # examples that a graph is run on before anything is trained or timed


class _GraphKind(NamedTuple):
    """What graphs of one ending are: the runtime that reads them, how precise it is asked to be, and their endings.

    `endings` are those of the files beside each other, in the order of the runtime's own names; precision "default" is
    what the runtime does by itself, as people deploy it.
    """

    runtime: str
    precision: Precision
    endings: tuple[str, ...]


_FORMS = {
    ".onnx": _GraphKind("onnxruntime", "float32", (".onnx",)),
    ".xml": _GraphKind("openvino", "default", (".xml", ".bin")),
}


def holds_graph(directory: Path) -> bool:
    """Whether a folder is an artifact of bench whose weights are those of a graph."""
    return is_artifact(directory) and graph_in(directory) is not None


def graph_file(path: Path) -> Path | None:
    """The graph that a path is, or that a folder without other weights holds; None if there is none.

    Raises `ModelError` for a folder with several.
    """
    if path.is_file():
        return path if path.suffix in _FORMS else None
    if not path.is_dir() or any(path.glob("*.safetensors")) or (path / "layers.json").exists():
        return None
    found = sorted(each for each in path.iterdir() if each.suffix in _FORMS and each.is_file())
    if len(found) > 1:
        raise ModelError(f"{path}: several graphs: {', '.join(each.name for each in found)}. Name the file to score.")
    return found[0] if found else None


def open_graph(path: Path, wishes: Wishes) -> GraphSystem:
    """The graph in a file.

    Raises:
        ModelError: a file that it needs is missing: its weights, config.json or a tokenizer. UnavailableError: the
            runtime that reads it is not installed.
    """
    form = _FORMS[path.suffix]
    runtime = graph_runtime(form.runtime)
    runtime.require()
    beside = [path.with_suffix(ending) for ending in form.endings]
    for each in beside:
        if not each.is_file():
            raise ModelError(f"{path}: its weights are in {each.name}, which is not beside it. Copy it there.")
    folders = [path.parent, *([wishes.tokenizer] if wishes.tokenizer else [])]
    configured = next((folder / _CONFIG for folder in folders if (folder / _CONFIG).is_file()), None)
    if configured is None:
        raise ModelError(
            f"{path}: a graph does not say what it reads and what its outputs are. Put the {_CONFIG} of the model that "
            "it was exported from beside it, or give the folder of that model with --tokenizer."
        )
    tokens = wishes.tokenizer or path.parent
    if not tokens.is_dir() or not any(is_of_the_tokenizer(each) for each in tokens.iterdir()):
        raise ModelError(f"{tokens}: no tokenizer files. Put tokenizer.json beside the graph, or give --tokenizer.")
    name = path.parent.resolve().name if path.stem in ("model", "openvino_model") else path.stem
    files = dict(zip(runtime.files, beside, strict=True))
    return GraphSystem(path=path, name=name, reading=form, files=files, config=configured, tokens=tokens, wishes=wishes)


@dataclass(frozen=True, kw_only=True)
class GraphSystem(System):
    """A graph, the configuration that says what it is, and the folder of its tokenizer."""

    path: Path
    name: str
    reading: _GraphKind
    files: Files
    config: Path
    tokens: Path
    wishes: Wishes

    @override
    def stated(self) -> GivenSystem:
        tokenizer = sorted(each for each in self.tokens.iterdir() if each.is_file() and is_of_the_tokenizer(each))
        graph = [Path(str(each)) for each in self.files.values()]
        return GivenSystem(
            form=self.reading.runtime,
            name=self.name,
            fingerprint=_hash([*graph, self.config, *tokenizer]),
            about={"outputs": list(self.wishes.labels)} if self.wishes.labels else {},
        )

    @override
    def file(self, on: TaskOf, store: Store) -> FiledSystem:
        """Open the graph with its runtime, run it on some evaluation examples, and file it."""
        task = on.task
        kind, where = KINDS.get(task.kind), str(self.path)
        if self.wishes.pooling is not None:
            raise ModelError(f"{where}: a graph pools its vectors itself; leave out --pooling")
        settings: dict[str, Any] = json.loads(self.config.read_text(encoding="utf-8"))
        source = _Configured(name=where, kind="directory", directory=self.tokens, configured=self.config.parent)
        fit = examine(source, on.suite, [(task, on.data)], called=self.name)
        tokenizer = source.tokenizer(lambda: ())
        head = {**label_settings(kind.head, task.labels or None), **kind.head_settings(task)}
        if task.labels and kind.head == "sequence-classification":
            order = told_order(settings, task.labels, given=self.wishes.labels, where=where)
            head |= {} if order == sorted(order) else {ORDER: order}
        model_type = str(settings.pop("model_type", None))
        settings = {key: value for key, value in settings.items() if key not in ("id2label", "label2id", "num_labels")}
        model = GraphModel.from_files(
            self.reading.runtime,
            self.files,
            config_of(model_type, {**settings, **head}),
            kind.head,
            precision=self.reading.precision,
            where=where,
        )
        _try(model, tokenizer, on, where=where)
        made = Manifest(title=f"{self.name}, given")
        key = file_as_artifact(store, lambda folder: save(model, folder, tokenizer=tokenizer, made=made))
        return FiledSystem(key, fit)


@dataclass(frozen=True, kw_only=True)
class GraphArtifactSystem(System):
    """An artifact of bench that holds a graph, filed as it is."""

    directory: Path
    name: str
    wishes: Wishes

    @override
    def stated(self) -> GivenSystem:
        about = {"outputs": list(self.wishes.labels)} if self.wishes.labels else {}
        return GivenSystem(form="artifact", name=self.name, fingerprint=content_hash(self.directory), about=about)

    @override
    def file(self, on: TaskOf, store: Store) -> FiledSystem:
        """Check its head and the order of its outputs, run it on some evaluation examples, and file it."""
        task, where = on.task, str(self.directory)
        kind, loaded = KINDS.get(task.kind), load(self.directory)
        for option, given in (("--pooling", self.wishes.pooling), ("--tokenizer", self.wishes.tokenizer)):
            if given is not None:
                raise ModelError(f"{where}: an artifact with a graph is used as it is; leave out {option}")
        if head_of(loaded.model) != kind.head:
            raise ModelError(f"{where}: it has a {head_of(loaded.model)} head, task {task.name} needs {kind.head}")
        if task.labels and kind.head == "sequence-classification":
            settings: dict[str, Any] = json.loads((self.directory / _CONFIG).read_text(encoding="utf-8"))
            order = told_order(settings, task.labels, given=self.wishes.labels, where=where)
            if order != sorted(order):
                raise ModelError(
                    f"{where}: its outputs are not in the order of the task's labels ({', '.join(task.labels)}). Give "
                    "the graph's own file, whose outputs are put in order, or export it again."
                )
        source = _Configured(name=where, kind="artifact", directory=self.directory, configured=self.directory)
        fit = examine(source, on.suite, [(task, on.data)], called=self.name)
        _try(loaded.model, loaded.tokenizer, on, where=where)
        return FiledSystem(file_as_artifact(store, lambda folder: link(self.directory, folder)), fit)


def _try(model: nn.Module, tokenizer: Any, on: TaskOf, *, where: str) -> None:
    """Run a graph on some evaluation examples; raises `ModelError` if it gives no numbers, or too many or few."""
    task = on.task
    said = predict(
        model,
        tokenizer,
        on.data.splits[task.evaluate[0]][:_TRIED],
        task=task,
        max_length=on.suite.max_length(task),
        token_budget=on.suite.setting.evaluation_tokens,
        device="cpu",
    )
    if isinstance(said, ClassLogits) and task.labels and said.logits.shape[1] != len(task.labels):
        raise ModelError(
            f"{where}: it gives {said.logits.shape[1]} outputs, but its configuration and task {task.name} have "
            f"{len(task.labels)} labels. Check that {_CONFIG} belongs to the graph."
        )


@dataclass(frozen=True, kw_only=True)
class _Configured(CheckpointSource):
    """The tokenizer of a folder beside a configuration that may be in another one."""

    configured: Path

    @override
    def limits(self) -> Limits:
        return CheckpointSource(name=self.name, kind="directory", directory=self.configured).limits()


def _hash(files: list[Path]) -> str:
    """SHA-256 over the files' sizes and contents in this order."""
    digest = hashlib.sha256()
    for path in files:
        digest.update(f"{path.suffix}\0{path.stat().st_size}\0".encode())
        with path.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()
