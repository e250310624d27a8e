"""Where answering programs keep the layers of their encoders: names inside each are those of its own architecture."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import nn

from bench.models.adapter import ADAPTERS, Adapter, Part, Role, adapter_of_type
from bench.models.architectures import BertAdapter


class AnsweringAdapter(Adapter):
    """An adapter of encoders whose layers are named as BERT's; `configs` names the configuration of each stack."""

    paths: ClassVar[dict[str, str]] = {}
    roles: ClassVar[dict[Role, str]] = {}
    part_names: ClassVar[dict[Part, tuple[str, ...]]] = BertAdapter.part_names
    activation: ClassVar[str | None] = BertAdapter.activation
    configs: ClassVar[dict[str, str]] = {}

    def _path(self, model: nn.Module, stack: str) -> str:
        place = self.paths[stack]
        return f"{place}.{self._inside(model).stack_name(model.get_submodule(place))}"

    def _role_names(self, model: nn.Module) -> dict[Role, str]:
        return self._inside(model).roles

    def _set_depth(self, model: nn.Module, count: int, stack: str) -> None:
        setattr(getattr(model.config, self.configs[stack]), self._inside(model).depths["encoder"], count)

    def _inside(self, model: nn.Module) -> Adapter:
        config: Any = model.config
        return adapter_of_type(
            str(getattr(config, next(iter(self.configs.values()))).model_type), where=type(model).__name__
        )


@ADAPTERS.register("bench-retriever-reader")
class RetrieverReaderAdapter(AnsweringAdapter):
    """The reader's layers are the stack "encoder"; the retriever has one of its own."""

    model_types: ClassVar[tuple[str, ...]] = ("bench-retriever-reader",)
    paths: ClassVar[dict[str, str]] = {"encoder": "reader", "retriever": "retriever"}
    configs: ClassVar[dict[str, str]] = {"encoder": "reader_config", "retriever": "retriever_config"}


@ADAPTERS.register("bench-listed-answers")
class ListedAnswersAdapter(AnsweringAdapter):
    """The layers of its one encoder."""

    model_types: ClassVar[tuple[str, ...]] = ("bench-listed-answers",)
    paths: ClassVar[dict[str, str]] = {"encoder": "encoder"}
    configs: ClassVar[dict[str, str]] = {"encoder": "encoder_config"}
