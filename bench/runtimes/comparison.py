"""Comparing a graph with the model that it was made from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch

from bench.base.errors import MethodError, ModelError
from bench.runtimes.graph_model import GraphComparison, GraphModel
from bench.runtimes.heads import FIELDS

if TYPE_CHECKING:
    from torch import Tensor, nn


def compare(
    model: nn.Module, graph: GraphModel, batches: Sequence[Mapping[str, Tensor]], *, examples: int, exact: bool
) -> GraphComparison:
    """Run both on every batch, without gradients.

    The difference is the largest one of any output number, over the standard deviation of all output numbers of
    `model`; a decision is the place of the largest number along the last axis. Padding is left out.

    Args:
        model: in evaluation mode.
        graph: made from it.
        batches: inputs, [batch, length] each.
        examples: how many examples they hold, for the record.
        exact: whether both should compute the same.

    Raises `MethodError` if the graph cannot be run on one of them.
    """
    numbers: list[Tensor] = []
    worst, decisions, changed = 0.0, 0, 0
    for inputs in batches:
        with torch.inference_mode():
            told, said = model(**inputs), _said(graph, inputs)
        for name in FIELDS[graph.graph.head]:
            real, other = (_real(getattr(each, name), inputs) for each in (told, said))
            numbers.append(real.flatten())
            worst = max(worst, float((real - other).abs().max()))
            if real.shape[-1] > 1:
                decisions += real[..., 0].numel()
                changed += int((real.argmax(-1) != other.argmax(-1)).sum())
    spread = float(torch.cat(numbers).std(correction=0))
    return GraphComparison(
        examples=examples,
        difference=worst / spread if spread else worst,
        changed=changed / decisions if decisions else None,
        exact=exact,
    )


def _said(graph: GraphModel, inputs: Mapping[str, Tensor]) -> Any:
    try:
        return graph(**inputs)
    except (ModelError, RuntimeError, ValueError) as error:
        shape = list(inputs["input_ids"].shape)
        raise MethodError(f"export: the graph fails on inputs of shape {shape}: {error}") from error


def _real(output: Tensor, inputs: Mapping[str, Tensor]) -> Tensor:
    """Outputs in float32, those of padding replaced by the first token's, which both models have."""
    found, mask = output.detach().float(), inputs.get("attention_mask")
    if mask is None or found.shape[:2] != mask.shape:
        return found
    seen = mask.bool() if found.dim() == mask.dim() else mask.bool()[..., None]
    return found.where(seen, found[:, :1])
