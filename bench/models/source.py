"""Where a model to be compressed comes from: a built-in architecture, a local directory, an artifact, or the hub."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from bench.base.errors import ModelError

if TYPE_CHECKING:
    from torch import nn

    from bench.models.limits import Limits
    from bench.models.stored import Held

Origin = Literal["builtin", "directory", "hub", "artifact"]


@dataclass(frozen=True, kw_only=True)
class ModelSource(ABC):
    """One model as it was named: `revision` is the hub commit it was resolved to, None elsewhere.

    `outputs` are what the user calls the outputs of its head, in their order and in the task's spelling; none if the
    names in its configuration will do, `bench.models.label_names.FRESH` for a new head.
    """

    name: str
    kind: Origin
    revision: str | None = None
    outputs: tuple[str, ...] = ()

    @abstractmethod
    def fingerprint(self) -> str:
        """SHA-256 of the weights, configuration and tokenizer files; of its definition for a built-in model."""

    @abstractmethod
    def limits(self) -> Limits:
        """What the model can be given, by its configuration, without its weights."""

    @abstractmethod
    def tokenizer(self, texts: Callable[[], Iterable[str]]) -> Any:
        """The model's fast tokenizer; a built-in model trains its own on `texts()`, equal texts giving equal ones."""

    @abstractmethod
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
        """A float32 model in evaluation mode; torch's global random state is left as it was.

        Args:
            head: one of `bench.models.heads.HEADS`; an encoder with "translation" becomes both halves of a translator.
            labels: names of the classes; None with a classification head is regression (one output).
            tokenizer: what `tokenizer` gave.
            seed: of every weight that is not loaded, such as a new head.
            depth: keep this many layers, spread evenly (see `spread`); None keeps all.
            pretrained: False leaves the source's weights unused and starts from random ones.
            settings: what the task says of its head, as keys of the configuration (`TaskKind.head_settings`).

        Raises:
            ModelError: weights that do not fit, a depth that the source does not have, too small a vocabulary, or a
                head whose outputs cannot be told apart (see `outputs`).
        """

    def head_settings(self, head: str, settings: Mapping[str, Any]) -> dict[str, Any]:
        """The keys of a configuration that a model with `head` has beside those of its labels, the task's `settings`
        among them; a model that says itself how texts become vectors adds that.
        """
        if head != "embedding":
            return dict(settings)
        from bench.models.embedding import embedding_settings

        return dict(embedding_settings(None, None, settings, where=self.name))

    def stores_head(self, head: str) -> bool:
        """Whether its files hold weights of such a head, so that `build` need not draw them; False without files."""
        del head
        return False

    def held(self, *, head: str, labels: Sequence[str] | None) -> Held | None:
        """What its files hold; None for a model without files. Raises as `build` does, before anything is trained."""
        del head, labels
        return None


def spread(depth: int, layers: int) -> list[int]:
    """Which of `layers` a shallower model keeps: round((i + 1) * layers / depth) - 1 for i < depth.

    Even steps that end with the last layer, whose output the heads were made for: 2 of 6 are [2, 5].
    Raises `ModelError` if `depth` is not from 1 to `layers`.
    """
    if not 1 <= depth <= layers:
        raise ModelError(f"depth {depth}: the model has {layers} layers; give 1 to {layers}")
    return [round((index + 1) * layers / depth) - 1 for index in range(depth)]


def label_settings(head: str, labels: Sequence[str] | None) -> dict[str, Any]:
    """The configuration keys that a head with these `labels` needs; question answering has two outputs, always."""
    if head == "question-answering":
        return {"num_labels": 2}
    if head != "sequence-classification":
        return {}
    if labels is None:
        return {"num_labels": 1, "problem_type": "regression"}
    return {
        "id2label": dict(enumerate(labels)),
        "label2id": {label: index for index, label in enumerate(labels)},
        "problem_type": "single_label_classification",
    }
