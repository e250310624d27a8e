"""Models from safetensors checkpoints: a local directory or a snapshot of the hub."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType, SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple

from typing_extensions import override

from bench.base.errors import ModelError
from bench.models.fingerprint import TOKENIZERS, check_tokenizer_files, fingerprint, weight_files
from bench.models.label_names import FRESH, told_order
from bench.models.limits import Limits, Segments, choose_segments, limits_of, require_words, with_segments
from bench.models.quiet import quiet
from bench.models.source import ModelSource, label_settings, spread
from bench.models.stored import (
    FileTensor,
    Held,
    bytes_by_dtype,
    new_weights,
    require_floats,
    stored_tensors,
    widened_bytes,
)

if TYPE_CHECKING:
    from torch import Tensor, nn

_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
# Heads for one output a token, a text or a span, whose tensors some architectures call alike.
_NAMESAKES = ("ForTokenClassification", "ForMultipleChoice", "ForSequenceClassification", "ForQuestionAnswering")
_DOWNLOADED = ("*.json", "*.txt", "*.model", "model*.safetensors")


class HeadUse(NamedTuple):
    """What became of a stored head; see `Held`."""

    order: tuple[int, ...] = ()
    set_aside: bool = False


@dataclass(frozen=True, kw_only=True)
class CheckpointSource(ModelSource):
    """A directory that transformers can load: `config.json`, a tokenizer and safetensors weights."""

    directory: Path

    def fingerprint(self) -> str:
        """SHA-256 over every file that can change an output; see `bench.models.fingerprint`."""
        return fingerprint(self.directory, where=self.name)

    def limits(self) -> Limits:
        """The bounds of `config.json`."""
        return limits_of(self._config())

    def _config(self) -> Any:
        """The configuration; raises `ModelError` if its settings contradict each other."""
        from huggingface_hub.errors import StrictDataclassError
        from transformers import AutoConfig

        from bench.models.registration import register

        register(_model_type(self.directory, self.name))
        try:
            return AutoConfig.from_pretrained(self.directory, trust_remote_code=False)
        except StrictDataclassError as error:
            raise ModelError(f"{self.name}: config.json contradicts itself: {' '.join(str(error).split())}") from error

    def tokenizer(self, texts: Callable[[], Iterable[str]]) -> Any:
        """The directory's own tokenizer, with the segment ids that the model has; `texts` is not called."""
        tokenizer = self.stored_tokenizer()
        return with_segments(tokenizer, self.segments(tokenizer))

    def segments(self, tokenizer: Any) -> Segments:
        """How segment ids come to the model with its stored `tokenizer`."""
        return choose_segments(tokenizer, self.limits())

    def stored_tokenizer(self) -> Any:
        """The tokenizer as its files say."""
        from transformers import AutoTokenizer

        from bench.models.tokenizer import require_fast

        limits = self.limits()
        try:
            with quiet():
                tokenizer = AutoTokenizer.from_pretrained(
                    self.directory, use_fast=True, local_files_only=True, trust_remote_code=False
                )
        except (OSError, ValueError, KeyError, ImportError) as error:
            raise ModelError(f"{self.name}: its tokenizer cannot be loaded: {error}") from error
        require_fast(tokenizer, where=self.name)
        require_words(tokenizer, limits, where=self.name)
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
        settings: Mapping[str, Any] = MappingProxyType({}),
    ) -> nn.Module:
        """The checkpoint's encoder with its head if that fits, else a new one; see `ModelSource.build`.

        For translation an encoder becomes both halves of a translator (Rothe et al. 2020): all weights of both are the
        checkpoint's, those of the decoder's cross-attention are fresh.
        """
        made = {**label_settings(head, labels), **self.head_settings(head, settings)}
        return self._built(head, labels, tokenizer, made, seed=seed, depth=depth, pretrained=pretrained)[0]

    @override
    def head_settings(self, head: str, settings: Mapping[str, Any]) -> dict[str, Any]:
        if head != "embedding":
            return dict(settings)
        from bench.models.embedding import embedding_settings

        own = SimpleNamespace(**self._settings())
        return dict(embedding_settings(own, self.directory, settings, where=self.name))

    @override
    def stores_head(self, head: str) -> bool:
        import torch

        from bench.models.heads import from_config
        from bench.models.state import head_layout

        config = self._config()
        config.update(label_settings(head, None))
        with torch.device("meta"):
            model = from_config(config, head)
        layout = head_layout(model)
        others = {name for name in model.state_dict() if layout.is_head(name) and ".pooler." not in f".{name}"}
        own = layout.output or others
        return bool(own & stored_tensors(self.directory, where=self.name).keys()) and not self._is_of_another_task(head)

    def held(self, *, head: str, labels: Sequence[str] | None) -> Held | None:
        """What the files hold; see `ModelSource.held`. The model is built once and given up again."""
        tensors = stored_tensors(self.directory, where=self.name)
        made = {**label_settings(head, labels), **self.head_settings(head, {})}
        model, use = self._built(head, labels, self.tokenizer(lambda: ()), made, seed=0)
        return Held(
            bytes_by_dtype=bytes_by_dtype(tensors),
            widened_bytes=self._widened_bytes(model, tensors),
            order=use.order,
            set_aside=use.set_aside,
        )

    def _widened_bytes(self, model: nn.Module, tensors: Mapping[str, FileTensor]) -> int:
        return widened_bytes(model, tensors)

    def _built(
        self,
        head: str,
        labels: Sequence[str] | None,
        tokenizer: Any,
        settings: Mapping[str, Any],
        *,
        seed: int,
        depth: int | None = None,
        pretrained: bool = True,
    ) -> tuple[nn.Module, HeadUse]:
        """The model, and what became of a head that was stored."""
        import torch

        from bench.models.adapter import adapter_for
        from bench.models.heads import from_config

        config = self._config()
        config.update({**settings, "dtype": "float32"})
        if len(tokenizer) > config.vocab_size:
            raise ModelError(
                f"{self.name}: the tokenizer has {len(tokenizer)} tokens, but the embedding has only "
                f"{config.vocab_size} rows"
            )
        use = HeadUse()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            if pretrained:
                model, use = self.trained(head, config, labels, tokenizer)
            else:
                model = from_config(self._for_head(head, config, tokenizer), head)
        adapter = adapter_for(model)
        if depth is not None:
            for stack in adapter.stacks(model):
                layers = adapter.layers(model, stack)
                adapter.set_layers(model, [layers[index] for index in spread(depth, len(layers))], stack)
        return model.float().eval(), use

    def trained(
        self, head: str, config: Any, labels: Sequence[str] | None, tokenizer: Any
    ) -> tuple[nn.Module, HeadUse]:
        """The model with the stored weights, and what became of a head that was stored.

        Fresh weights are drawn from torch's global generator. `config` is changed to that of the task.
        """
        settings = self._for_head(head, config, tokenizer)
        if settings is not config:
            return self._joined(settings), HeadUse()
        return self._pretrained(head, config, labels)

    def _for_head(self, head: str, config: Any, tokenizer: Any) -> Any:
        """The configuration of a model with `head`: that of both halves of a translator for an encoder."""
        from bench.models.encoder_decoder import seq2seq_config

        if head != "translation" or config.is_encoder_decoder:
            return config
        return seq2seq_config(config, tokenizer, where=self.name)

    def match_outputs(self, model: nn.Module, labels: Sequence[str] | None) -> HeadUse:
        """Put the outputs of a head that was trained into the order of the task's labels, by their names."""
        from bench.models.heads import order_outputs

        if labels is None:
            return HeadUse()
        order = told_order(self._settings(), labels, given=self.outputs, where=self.name)
        order_outputs(model, order, where=self.name)
        settings: Any = model.config
        settings.update(label_settings("sequence-classification", labels))
        return HeadUse(order=() if order == sorted(order) else tuple(order))

    def _settings(self) -> dict[str, Any]:
        settings: dict[str, Any] = json.loads((self.directory / "config.json").read_text(encoding="utf-8"))
        return settings

    def _joined(self, config: Any) -> nn.Module:
        """A translator whose halves both have the weights of the checkpoint, cross-attention apart."""
        from transformers import AutoModel, AutoModelForCausalLM

        from bench.models.encoder_decoder import join

        encoder, _ = self._loaded(AutoModel, config.encoder)
        decoder, _ = self._loaded(AutoModelForCausalLM, config.decoder, crossing=True)
        with quiet():  # where a half came from is in its own configuration and not in the joint one
            return join(encoder, decoder, config)

    def _pretrained(self, head: str, config: Any, labels: Sequence[str] | None) -> tuple[nn.Module, HeadUse]:
        from bench.models.heads import auto_class, without_second_bias
        from bench.models.state import body_of

        discard = self.outputs == FRESH or self._is_of_another_task(head)
        discard = discard and head in ("sequence-classification", "question-answering")
        foreign = head == "masked-language-modelling" and self._is_of_another_task(head)
        model, trained = self._loaded(auto_class(head, config), config, discard=discard or foreign)
        use = HeadUse(set_aside=(trained and discard) or (foreign and self._has_head_tensors(model)))
        if use.set_aside:
            model, _ = self._loaded(type(model), config, state=body_of(model, self.directory, where=self.name))
        elif trained and head == "sequence-classification":
            use = self.match_outputs(model, labels)
        elif self.outputs not in ((), FRESH) and labels and not self._has_outputs(model):
            raise ModelError(f"{self.name}: the model has no trained head for --labels; leave it out")
        return without_second_bias(model), use

    def has_head(self, model: nn.Module) -> bool:
        """Whether the outputs of `model`, which `build` made, are those of a trained head that the files hold."""
        from bench.models.heads import head_of
        from bench.models.state import head_layout

        shapes = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
        stored = stored_tensors(self.directory, where=self.name)
        last = head_layout(model).output
        fits = all(name in stored and stored[name].shape == shapes[name] for name in last)
        return bool(last) and fits and not self._is_of_another_task(head_of(model))

    def _has_head_tensors(self, model: nn.Module) -> bool:
        """Whether the file has any tensor by the name of one of the head of `model`."""
        from bench.models.state import head_layout

        layout = head_layout(model)
        own = {name for name in model.state_dict() if layout.is_head(name)}
        return bool(own & stored_tensors(self.directory, where=self.name).keys())

    def new_weights(self, model: nn.Module) -> tuple[str, ...]:
        """The parameters of `model`, which `build` made, that no file of it holds; their values mean nothing yet."""
        return new_weights(model, stored_tensors(self.directory, where=self.name))

    def _has_outputs(self, model: nn.Module) -> bool:
        """Whether the file has the last layer of the head of `model`, with any number of outputs."""
        from bench.models.state import head_layout

        return bool(head_layout(model).output & stored_tensors(self.directory, where=self.name).keys())

    def _is_of_another_task(self, head: str) -> bool:
        """Whether `config.json` names a head that may have the same tensors as `head` has, and another meaning."""
        from bench.models.heads import HEADS

        named = self._settings().get("architectures")
        others = tuple(each for each in _NAMESAKES if each not in HEADS[head][1])
        return isinstance(named, list) and any(str(name).endswith(others) for name in named)

    def _loaded(
        self,
        auto: Any,
        config: Any,
        *,
        crossing: bool = False,
        discard: bool = False,
        state: dict[str, Tensor] | None = None,
    ) -> tuple[nn.Module, bool]:
        """The model, and whether its head came from the file (see `check_state`); `state` stands for the file."""
        import torch
        from safetensors import SafetensorError

        from bench.models.state import check_state

        try:
            with quiet():
                model, report = auto.from_pretrained(
                    self.directory if state is None else None,
                    config=config,
                    state_dict=state,
                    dtype=torch.float32,
                    use_safetensors=True,
                    local_files_only=True,
                    trust_remote_code=False,
                    ignore_mismatched_sizes=True,  # all are named below, with both shapes
                    output_loading_info=True,
                )
                tensors = stored_tensors(self.directory, where=self.name)
                trained = check_state(model, report, tensors, where=self.name, crossing=crossing, discard=discard)
        except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
            raise ModelError(f"{self.name}: its weights cannot be loaded: {error}") from error
        for tensor in (*model.parameters(), *model.buffers()):
            # transformers leaves tensors inside the mapped file, where their addresses are odd; CPU kernels then sum in
            # another order, and the model would not be bit-equal to its own copies.
            tensor.data = tensor.data.clone()
        return model, trained


def open_directory(path: Path, *, name: str, outputs: Sequence[str] = ()) -> CheckpointSource:
    """The checkpoint in `path`; raises `ModelError` if something that it needs is missing or unsafe."""
    check_directory(path, name)
    return CheckpointSource(name=name, kind="directory", directory=path, outputs=tuple(outputs))


def open_hub(name: str, *, revision: str | None, outputs: Sequence[str] = ()) -> CheckpointSource:
    """A snapshot of hub model `name`, from the cache or downloaded; `revision` becomes the commit.

    Raises `ModelError` if the hub has no such model or revision, or cannot be reached.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError

    try:
        with quiet():
            path = Path(snapshot_download(name, revision=revision, allow_patterns=list(_DOWNLOADED)))
    except (OSError, ValueError, HfHubHTTPError) as error:
        wanted = f" at revision '{revision}'" if revision else ""
        raise ModelError(
            f"{name}: neither a built-in model nor a directory, and it could not be loaded from the hub{wanted} "
            f"({type(error).__name__}). Check the name, go online, or give a local directory."
        ) from error
    check_directory(path, name)
    return CheckpointSource(name=name, kind="hub", revision=path.name, directory=path, outputs=tuple(outputs))


def check_directory(path: Path, name: str, *, plain: bool = True) -> None:
    """Raise `ModelError` unless `path` holds a supported architecture, a tokenizer and safetensors weights.

    Args:
        path: the directory.
        name: the model's name, for messages.
        plain: whether the weights must be floats in the layout of transformers, as all but artifacts have them.
    """
    from bench.models.adapter import adapter_of_type

    adapter_of_type(_model_type(path, name), where=f"{name}: config.json")
    files = sorted(entry.name for entry in path.iterdir())
    if not any(file.endswith(".safetensors") for file in files):
        pickled = [file for file in files if file.endswith(_PICKLES) and file != "training_args.bin"]
        if pickled:
            raise ModelError(
                f"{name}: its weights are a pickle ({pickled[0]}), which can run code when it is loaded. If you trust "
                f"it, convert it once: load it with transformers' from_pretrained and call save_pretrained, which "
                f"writes model.safetensors."
            )
    if "adapter_config.json" in files:
        raise ModelError(
            f"{name}: contains an adapter (adapter_config.json), which transformers ignores silently if peft is not "
            f"installed. Merge it with merge_and_unload and save the merged model."
        )
    if plain:
        weight_files(path, where=name)
    if not any(file in TOKENIZERS for file in files):
        raise ModelError(f"{name}: no tokenizer: save tokenizer.json in the directory of the weights")
    check_tokenizer_files(path, where=name)
    if plain:
        require_floats(path, where=name)


def _model_type(path: Path, name: str) -> str:
    """The architecture that `config.json` names; raises `ModelError` if there is none to read."""
    if not (path / "config.json").is_file():
        raise ModelError(f"{name}: no config.json in the directory; expected a model saved by transformers or bench")
    try:
        config = json.loads((path / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{name}: config.json cannot be read: {error}") from error
    return str(config.get("model_type") if isinstance(config, dict) else None)
