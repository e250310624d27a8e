"""Comparing a graph with the model that it was made from, on training examples."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bench.base.errors import MethodError, ModelError
from bench.methods.export.inputs import spread
from bench.runtimes.graph_model import Compared, GraphModel
from bench.runtimes.heads import FIELDS

if TYPE_CHECKING:
    from torch import Tensor, nn

    from bench.methods.base.method import Lab

_TOGETHER = 8  # in the padded batch


def compared(model: nn.Module, graph: GraphModel, lab: Lab, *, examples: int, exact: bool) -> Compared:
    """Run both on `examples` training examples of different lengths, one by one and some in one padded batch.

    The difference is the largest one of any output number, over the standard deviation of all output numbers of
    `model`; a decision is the place of the largest number along the last axis. Padding is left out. Raises
    `MethodError` if the graph cannot be run on one of them.
    """
    from bench.methods.base.listening import run
    from bench.tasks.batching import collate

    chosen, pad = spread(lab, examples), lab.tokenizer.pad_token_id
    batches = [collate([each], pad_id=pad).inputs for each in chosen]
    batches.append(collate(chosen[:: max(1, len(chosen) // _TOGETHER)], pad_id=pad).inputs)
    import torch

    numbers: list[Tensor] = []
    worst, decisions, changed = 0.0, 0, 0
    for inputs in batches:
        told = run(model, _Inputs(inputs))  # type: ignore[arg-type]
        try:
            with torch.inference_mode():
                said = graph(**inputs)
        except (ModelError, RuntimeError, ValueError) as error:
            shape = list(inputs["input_ids"].shape)
            raise MethodError(f"export: the graph fails on inputs of shape {shape}: {error}") from error
        for name in FIELDS[graph.graph.head]:
            real, other = (_real(getattr(each, name), inputs) for each in (told, said))
            numbers.append(real.flatten())
            worst = max(worst, float((real - other).abs().max()))
            if real.shape[-1] > 1:
                decisions += real[..., 0].numel()
                changed += int((real.argmax(-1) != other.argmax(-1)).sum())
    spread_of_all = float(torch.cat(numbers).std(correction=0))
    return Compared(
        examples=len(chosen),
        difference=worst / spread_of_all if spread_of_all else worst,
        changed=changed / decisions if decisions else None,
        exact=exact,
    )


class _Inputs:
    """Inputs as `run` takes them."""

    def __init__(self, inputs: Any) -> None:
        self.inputs = inputs


def _real(output: Tensor, inputs: dict[str, Tensor]) -> Tensor:
    """Outputs in float32, those of padding replaced by the first token's, which both models have."""
    found = output.detach().float()
    mask = inputs.get("attention_mask")
    if mask is None or found.shape[:2] != mask.shape or found.dim() > 3:
        return found
    seen = mask.bool() if found.dim() == 2 else mask.bool()[..., None]
    return found.where(seen, found[:, :1])
