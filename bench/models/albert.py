"""Where ALBERT (Lan et al. 2020, arXiv:1909.11942) keeps its shared layer groups and linear modules."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, cast

from torch import nn

from bench.models.adapter import ADAPTERS, Adapter, Part, Role


@ADAPTERS.register("albert")
class AlbertAdapter(Adapter):
    """ALBERT: `num_hidden_layers` runs over `num_hidden_groups` stored groups of `inner_group_num` blocks each.

    One layer here is one group. Run i uses group floor(i * groups / layers), as in the original.
    """

    model_types: ClassVar[tuple[str, ...]] = ("albert",)
    paths: ClassVar[dict[str, str]] = {"encoder": "encoder.albert_layer_groups"}
    roles: ClassVar[dict[Role, str]] = {
        "query": "attention.query",
        "key": "attention.key",
        "value": "attention.value",
        "attention_output": "attention.dense",
        "ffn_in": "ffn",
        "ffn_out": "ffn_output",
    }
    part_names: ClassVar[dict[Part, tuple[str, ...]]] = {
        "attention": ("attention.query", "attention.key", "attention.value", "attention.dense"),
        "ffn": ("ffn", "ffn_output"),
        "norms": ("attention.LayerNorm", "full_layer_layer_norm"),
    }
    activation: ClassVar[str | None] = "activation"
    attention_tail: ClassVar[tuple[str, str] | None] = ("output_dropout", "LayerNorm")
    iterates: ClassVar[bool] = False

    def layers(self, model: nn.Module, stack: str | None = None) -> list[nn.Module]:
        """The groups in the order in which they run; the one group of a standard ALBERT is repeated."""
        groups = self._stored(model, self._stack(model, stack))
        runs = int(model.config.num_hidden_layers)  # type: ignore[union-attr, arg-type]
        # Written like the model's own loop, so that rounding agrees for every pair of numbers.
        return [groups[int(run / (runs / len(groups)))] for run in range(runs)]

    def _place(self, model: nn.Module, layers: Sequence[nn.Module], stack: str) -> None:
        """Store one group where all runs share it, else one slot a run (slots may hold the same group)."""
        alike = all(layer is layers[0] for layer in layers)
        super()._place(model, layers[:1] if alike else layers, stack)
        model.config.num_hidden_groups = 1 if alike else len(layers)  # type: ignore[union-attr]

    def _inner(self, layer: nn.Module) -> list[tuple[str, nn.Module]]:
        blocks = cast(nn.ModuleList, layer.albert_layers)
        return [(f"albert_layers.{index}.", block) for index, block in enumerate(blocks)]
