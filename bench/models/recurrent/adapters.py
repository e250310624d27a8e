"""The recurrent architectures: their layers and gate matrices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from torch import nn

from bench.base.errors import ModelError
from bench.models.adapter import ADAPTERS, Adapter, Part, Role


class RecurrentAdapter(Adapter):
    """What they share: two stacks of gate matrices a layer and direction, and no attention heads."""

    roles: ClassVar[dict[Role, str]] = {"input_gates": "input_gates", "hidden_gates": "hidden_gates"}
    part_names: ClassVar[dict[Part, tuple[str, ...]]] = {"gates": ("input_gates", "hidden_gates")}
    iterates: ClassVar[bool] = False

    def heads(self, model: nn.Module) -> int:
        """Raises `ModelError`: there are none."""
        raise ModelError(f"{type(model).__name__}: an LSTM has no attention heads")


@ADAPTERS.register("bench-lstm-lm")
class LstmAdapter(RecurrentAdapter):
    """The LSTM language model."""

    model_types: ClassVar[tuple[str, ...]] = ("bench-lstm-lm",)
    paths: ClassVar[dict[str, str]] = {"decoder": "layers"}
    depths: ClassVar[dict[str, str]] = {"decoder": "num_hidden_layers"}


@ADAPTERS.register("bench-lstm-seq2seq")
class LstmSeq2SeqAdapter(RecurrentAdapter):
    """The LSTM translator; the matrices of its one attention, above the decoder's layers, have no role."""

    model_types: ClassVar[tuple[str, ...]] = ("bench-lstm-seq2seq",)
    paths: ClassVar[dict[str, str]] = {"encoder": "encoder.layers", "decoder": "decoder.layers"}
    depths: ClassVar[dict[str, str]] = {"encoder": "encoder_layers", "decoder": "decoder_layers"}


class TwoWayAdapter(RecurrentAdapter):
    """A layer is both directions."""

    paths: ClassVar[dict[str, str]] = {"encoder": "layers"}

    def _inner(self, layer: nn.Module) -> list[tuple[str, nn.Module]]:
        return [(f"{name}.", layer.get_submodule(name)) for name in ("ahead", "back")]


@ADAPTERS.register("bench-bilstm")
class BiLstmAdapter(TwoWayAdapter):
    """The biLSTM classifier over the mean of its tokens."""

    model_types: ClassVar[tuple[str, ...]] = ("bench-bilstm",)

    def _place(self, model: nn.Module, layers: Sequence[nn.Module], stack: str) -> None:
        """If the number of layers changes, the mix over them starts again with equal shares."""
        from bench.models.recurrent.bilstm import ScalarMix

        changed = len(layers) != len(self._stored(model, stack))
        super()._place(model, layers, stack)
        if changed:
            weight = next(layers[0].parameters())
            model.get_submodule(self.half_name(model, stack)).mix = ScalarMix(len(layers)).to(weight.device)


@ADAPTERS.register("bench-state-bilstm")
class StateBiLstmAdapter(TwoWayAdapter):
    """The biLSTM whose last states are classified."""

    model_types: ClassVar[tuple[str, ...]] = ("bench-state-bilstm",)
