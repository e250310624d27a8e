"""Opening a model by its name: a built-in architecture, a local directory, an artifact, or the hub."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from bench.artifacts.artifact import content_hash, graph_in, is_artifact, is_plain, load
from bench.base.errors import ModelError, unknown
from bench.models.builtin import BUILTINS, BuiltinSource
from bench.models.checkpoint import CheckpointSource, HeadUse, check_directory, open_directory, open_hub
from bench.models.label_names import FRESH
from bench.models.source import ModelSource

if TYPE_CHECKING:
    from torch import nn

    from bench.models.limits import Segments
    from bench.models.stored import FileTensor


@dataclass(frozen=True, kw_only=True)
class ArtifactSource(CheckpointSource):
    """An artifact of bench: its weights have the forms, its head and its tokenizer the choices it was made with.

    If all its modules are stock and its weights plain, so that its files are those of a checkpoint as well, it can be
    given another head by the rules of checkpoints: a student that was distilled on a corpus is fine-tuned so.
    """

    @override
    def fingerprint(self) -> str:
        return content_hash(self.directory)

    @override
    def segments(self, tokenizer: Any) -> Segments:
        return "given" if "token_type_ids" in tokenizer.model_input_names else "none"

    @override
    def stored_tokenizer(self) -> Any:
        from bench.models.tokenizer import read_tokenizer

        return read_tokenizer(self.directory)

    @override
    def trained(
        self, head: str, config: Any, labels: Sequence[str] | None, tokenizer: Any
    ) -> tuple[nn.Module, HeadUse]:
        from bench.models.heads import head_of

        model = load(self.directory).model
        found: Any = model.config
        other = head_of(model) != head or found.num_labels != config.num_labels
        if (other or self.outputs == FRESH) and is_plain(self.directory):
            return super().trained(head, config, labels, tokenizer)
        if other:
            raise ModelError(
                f"{self.name}: the artifact has a {head_of(model)} head with {found.num_labels} outputs, the task "
                f"needs {head} with {config.num_labels}. Only an artifact of stock modules with plain weights can "
                f"be given another head."
            )
        if self.outputs == FRESH:
            raise ModelError(
                f"{self.name}: an artifact whose modules or weights have other forms keeps its head; leave out "
                "'--labels fresh'"
            )
        if head == "embedding":
            from bench.models.embedding import POOLING, SIMILARITY

            found.update({key: getattr(config, key) for key in (POOLING, SIMILARITY)})
        return model, self.match_outputs(model, labels)

    @override
    def has_head(self, model: nn.Module) -> bool:
        from bench.models.heads import head_of

        own = load(self.directory).model
        labels = (own.config.num_labels, model.config.num_labels)  # type: ignore[union-attr]
        return self.outputs != FRESH and head_of(own) == head_of(model) and labels[0] == labels[1]

    @override
    def new_weights(self, model: nn.Module) -> tuple[str, ...]:
        return () if self.has_head(model) else super().new_weights(model)

    @override
    def stores_head(self, head: str) -> bool:
        from bench.models.heads import head_of

        return head_of(load(self.directory).model) == head

    @override
    def _widened_bytes(self, model: nn.Module, tensors: Mapping[str, FileTensor]) -> int:
        return 0


def open_source(
    name: str, *, revision: str | None = None, outputs: Sequence[str] = (), trust_remote_code: bool = False
) -> ModelSource:
    """The source called `name`: a built-in model, else an existing directory, else an id of the hub.

    A hub model is downloaded here (configuration, tokenizer and safetensors only) if it is not cached.

    Raises:
        ModelError: nothing of that name; a directory without configuration, tokenizer or safetensors weights; weights
            that are quantized; an architecture without an adapter; a hub that cannot be reached; `outputs` for a
            built-in model, which has no head yet; or `trust_remote_code`, which bench refuses.
    """
    if trust_remote_code:
        raise ModelError(
            f"{name}: this model needs its own code, and bench runs no code from model files. Use one of "
            f"the supported architectures"
        )
    if name in BUILTINS:
        if outputs:
            raise ModelError(f"{name}: a built-in model gets a new head for each task; leave out --labels")
        return BuiltinSource(name=name, kind="builtin")
    path = Path(name).expanduser()
    if path.is_dir():
        return open_folder(name, outputs=outputs)
    if name.startswith((".", "~", os.sep)) or name.count("/") > 1 or path.exists():
        raise ModelError(f"{name}: no such directory; expected one with config.json, a tokenizer and *.safetensors")
    if "/" not in name and difflib.get_close_matches(name, BUILTINS, n=1, cutoff=0.75):
        raise ModelError(str(unknown("built-in model", name, BUILTINS)))
    return open_hub(name, revision=revision, outputs=outputs)


def open_folder(name: str, *, outputs: Sequence[str] = ()) -> CheckpointSource:
    """The model in the directory `name`, an artifact or a checkpoint; raises `ModelError` as `open_source` does."""
    path = Path(name).expanduser()
    if not path.is_dir():
        raise ModelError(f"{name}: no such directory; expected an artifact of bench or a checkpoint of transformers")
    if not is_artifact(path):
        return open_directory(path, name=name, outputs=outputs)
    if graph_in(path) is not None:
        raise ModelError(
            f"{name}: an artifact that `export` made holds a graph, which cannot be trained or compressed. Give the "
            "model that it was exported from."
        )
    check_directory(path, name, plain=False)
    return ArtifactSource(name=name, kind="artifact", directory=path, outputs=tuple(outputs))
