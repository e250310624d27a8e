"""Models from safetensors checkpoints: a local directory, a snapshot of the hub, or an artifact of bench."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.artifact import content_hash, is_artifact
from bench.errors import ModelError
from bench.models.fingerprint import TOKENIZERS, check_tokenizer_files, fingerprint, weight_files
from bench.models.limits import Limits, Segments, choose_segments, limits_of, require_words, with_segments
from bench.models.source import ModelSource, label_settings, spread

if TYPE_CHECKING:
    from torch import nn

_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
_DOWNLOADED = ("*.json", "*.txt", "*.model", "model*.safetensors")


@dataclass(frozen=True, kw_only=True)
class CheckpointSource(ModelSource):
    """A directory that transformers can load: `config.json`, a tokenizer and safetensors weights."""

    directory: Path

    def fingerprint(self) -> str:
        """SHA-256 over every file that can change an output; see `bench.models.fingerprint`."""
        if self.kind == "artifact":
            return content_hash(self.directory)
        return fingerprint(self.directory, where=self.name)

    def limits(self) -> Limits:
        """The bounds of `config.json`."""
        from transformers import AutoConfig

        from bench.models.recurrent.auto import register

        register(_model_type(self.directory, self.name))
        return limits_of(AutoConfig.from_pretrained(self.directory, trust_remote_code=False))

    def tokenizer(self, texts: Callable[[], Iterable[str]]) -> Any:
        """The directory's own tokenizer, with the segment ids that the model has; `texts` is not called."""
        tokenizer = self.stored_tokenizer()
        return with_segments(tokenizer, self.segments(tokenizer))

    def segments(self, tokenizer: Any) -> Segments:
        """How segment ids come to the model with its stored `tokenizer`; an artifact's was chosen when it was made."""
        if self.kind == "artifact":
            return "given" if "token_type_ids" in tokenizer.model_input_names else "none"
        return choose_segments(tokenizer, self.limits())

    def stored_tokenizer(self) -> Any:
        """The tokenizer as its files say."""
        from transformers import AutoTokenizer

        from bench.models.tokenizer import read_tokenizer, require_fast

        if self.kind == "artifact":
            return read_tokenizer(self.directory)
        try:
            with _quiet():
                tokenizer = AutoTokenizer.from_pretrained(
                    self.directory, use_fast=True, local_files_only=True, trust_remote_code=False
                )
        except (OSError, ValueError, KeyError, ImportError) as error:
            raise ModelError(f"{self.name}: its tokenizer cannot be loaded: {error}") from error
        require_fast(tokenizer, where=self.name)
        require_words(tokenizer, self.limits(), where=self.name)
        return tokenizer

    def build(
        self,
        *,
        head: str,
        labels: Sequence[str] | None,
        tokenizer: Any,
        seed: int,
        depth: int | None = None,
        pretrained: bool = True,
    ) -> nn.Module:
        """The checkpoint's encoder with its head where that fits, else a new one; see `ModelSource.build`.

        For translation an encoder becomes both halves of a translator (Rothe et al. 2020): all weights of both are the
        checkpoint's, those of the decoder's cross-attention are fresh.
        """
        import torch
        from transformers import AutoConfig

        from bench.models.adapter import adapter_for
        from bench.models.encoder_decoder import seq2seq_config
        from bench.models.heads import from_config
        from bench.models.recurrent.auto import register

        register(_model_type(self.directory, self.name))
        config: Any = AutoConfig.from_pretrained(self.directory, trust_remote_code=False)
        outputs = config.num_labels
        config.update({**label_settings(head, labels), "dtype": "float32"})
        if len(tokenizer) > config.vocab_size:
            raise ModelError(f"{self.name}: tokenizer has {len(tokenizer)} tokens, embedding {config.vocab_size} rows")
        joined = head == "translation" and not config.is_encoder_decoder
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            if self.kind == "artifact" and pretrained:
                model = self._artifact(head, config)
            elif joined:
                both = seq2seq_config(config, tokenizer, where=self.name)
                model = self._joined(both) if pretrained else from_config(both, head)
            elif not pretrained:
                model = from_config(config, head)
            else:
                model = self._pretrained(head, config, resized=config.num_labels != outputs)
        adapter = adapter_for(model)
        if depth is not None:
            for stack in adapter.stacks(model):
                layers = adapter.layers(model, stack)
                adapter.set_layers(model, [layers[index] for index in spread(depth, len(layers))], stack)
        return model.float().eval()

    def _artifact(self, head: str, config: Any) -> nn.Module:
        from bench.artifact import load
        from bench.models.heads import head_of

        model = load(self.directory).model
        found: Any = model.config
        if head_of(model) != head or found.num_labels != config.num_labels:
            raise ModelError(
                f"{self.name}: the artifact has a {head_of(model)} head with {found.num_labels} outputs, "
                f"the task needs {head} with {config.num_labels}"
            )
        return model

    def _joined(self, config: Any) -> nn.Module:
        """A translator whose halves both have the weights of the checkpoint, cross-attention apart."""
        from transformers import AutoModel, AutoModelForCausalLM

        from bench.models.encoder_decoder import join

        encoder = self._loaded(AutoModel, config.encoder, resized=False)
        decoder = self._loaded(AutoModelForCausalLM, config.decoder, resized=False)
        with _quiet():  # where a half came from is in its own configuration and not in the joint one
            return join(encoder, decoder, config)

    def _pretrained(self, head: str, config: Any, *, resized: bool) -> nn.Module:
        from bench.models.heads import auto_class, without_second_bias

        return without_second_bias(self._loaded(auto_class(head, config), config, resized=resized))

    def _loaded(self, auto: Any, config: Any, *, resized: bool) -> nn.Module:
        import torch
        from safetensors import SafetensorError

        try:
            with _quiet():
                model, report = auto.from_pretrained(
                    self.directory,
                    config=config,
                    dtype=torch.float32,
                    use_safetensors=True,
                    local_files_only=True,
                    trust_remote_code=False,
                    ignore_mismatched_sizes=resized,
                    output_loading_info=True,
                )
        except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
            raise ModelError(f"{self.name}: its weights cannot be loaded: {error}") from error
        base = f"{model.base_model_prefix}." if hasattr(model, model.base_model_prefix) else ""
        fresh = (".crossattention.", "pooler.")
        lost = sorted(
            key for key in report["missing_keys"] if key.startswith(base) and not any(part in key for part in fresh)
        )
        if lost:
            raise ModelError(
                f"{self.name}: weights of '{lost[0]}' are missing from the checkpoint ({len(lost)} such); "
                "they would be random. Save the encoder again with its own architecture."
            )
        for tensor in (*model.parameters(), *model.buffers()):
            # transformers leaves tensors inside the mapped file, where their addresses are odd; CPU kernels then sum in
            # another order, and the model would not be bit-equal to its own copies.
            tensor.data = tensor.data.clone()
        return model  # type: ignore[no-any-return]


def open_directory(path: Path, *, name: str) -> CheckpointSource:
    """The checkpoint or artifact in `path`; raises `ModelError` where something that it needs is missing or unsafe."""
    _check(path, name)
    return CheckpointSource(name=name, kind="artifact" if is_artifact(path) else "directory", directory=path)


def open_hub(name: str, *, revision: str | None) -> CheckpointSource:
    """A snapshot of hub model `name`, from the cache or downloaded; `revision` becomes the commit.

    Raises `ModelError` where the hub has no such model or revision, or cannot be reached.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError

    try:
        with _quiet():
            path = Path(snapshot_download(name, revision=revision, allow_patterns=list(_DOWNLOADED)))
    except (OSError, ValueError, HfHubHTTPError) as error:
        wanted = f" at revision '{revision}'" if revision else ""
        raise ModelError(
            f"{name}: neither a built-in model nor a directory, and the hub did not give it{wanted} "
            f"({type(error).__name__}). Check the name, go online, or give a local directory."
        ) from error
    _check(path, name)
    return CheckpointSource(name=name, kind="hub", revision=path.name, directory=path)


def _check(path: Path, name: str) -> None:
    """Raise `ModelError` unless `path` holds a supported architecture, a tokenizer and safetensors weights."""
    from bench.models.adapter import adapter_of_type

    adapter_of_type(_model_type(path, name), where=f"{name}: config.json")
    files = sorted(entry.name for entry in path.iterdir())
    if not any(file.endswith(".safetensors") for file in files):
        pickled = [file for file in files if file.endswith(_PICKLES) and file != "training_args.bin"]
        if pickled:
            raise ModelError(
                f"{name}: weights only as a pickle ({pickled[0]}), which can run code when read. Where you trust it, "
                "convert it once: load it with transformers' from_pretrained and call save_pretrained, which writes "
                "model.safetensors."
            )
    if "adapter_config.json" in files:
        raise ModelError(
            f"{name}: holds an adapter (adapter_config.json), which transformers leaves out without a word if peft is "
            "not installed. Merge it into the model with merge_and_unload, and save that."
        )
    if not is_artifact(path):
        weight_files(path, where=name)
    if not any(file in TOKENIZERS for file in files):
        raise ModelError(f"{name}: no tokenizer: expected tokenizer.json beside the weights; save it there")
    check_tokenizer_files(path, where=name)


def _model_type(path: Path, name: str) -> str:
    """The architecture that `config.json` names; raises `ModelError` where there is none to read."""
    if not (path / "config.json").is_file():
        raise ModelError(f"{name}: no config.json in the directory; expected a model saved by transformers or bench")
    try:
        config = json.loads((path / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{name}: config.json cannot be read: {error}") from error
    return str(config.get("model_type") if isinstance(config, dict) else None)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without transformers' progress bars and notes on new heads, which say nothing that is not known here."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
