"""The top eigenvalue of each layer's block of the loss's Hessian, by power iteration on shards of training data."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn

from bench.errors import MethodError
from bench.models.differentiable import differentiable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.methods.quantizing.work import Work
    from bench.tasks.kinds.kind import Batch

_CLOSE = 1e-3  # relative change of the eigenvalue at which the iteration ends


class Curvature(NamedTuple):
    """The top eigenvalue of one block on each shard; `omega` is |mean| + deviation (n in the denominator)."""

    eigenvalues: tuple[float, ...]

    @property
    def omega(self) -> float:
        """|mean| + standard deviation over shards."""
        mean = sum(self.eigenvalues) / len(self.eigenvalues)
        variance = sum((each - mean) ** 2 for each in self.eigenvalues) / len(self.eigenvalues)
        return abs(mean) + math.sqrt(variance)


def top_eigenvalue(
    loss: Callable[[], Tensor], weights: Sequence[Tensor], *, iterations: int, draws: torch.Generator
) -> float:
    """The eigenvalue of largest magnitude of the Hessian of `loss` in `weights`, by its Rayleigh quotient.

    One gradient with its graph, then a Hessian-vector product an iteration (Yao et al. 2020, arXiv:1912.07145), until
    the quotient changes by less than a thousandth or for `iterations`.

    Args:
        loss: computes the scalar.
        weights: tensors that it depends on and that take gradients.
        iterations: most products.
        draws: of the first vector.
    """
    gradients = torch.autograd.grad(loss(), weights, create_graph=True)
    vector = _unit([torch.randn(weight.shape, generator=draws).to(weight) for weight in weights])
    found = 0.0
    for _ in range(iterations):
        product = torch.autograd.grad(gradients, weights, grad_outputs=vector, retain_graph=True)
        before, found = found, float(_dot(product, vector))
        length = _dot(product, product).sqrt()
        if not float(length):
            return 0.0
        vector = [part / length for part in product]
        if abs(found - before) < _CLOSE * abs(found):
            break
    return found


def curvature(
    blocks: Mapping[str, Sequence[Tensor]], work: Work, *, shards: int, iterations: int
) -> dict[str, Curvature]:
    """The curvature of each block of weights of `work.model`, which is left as it was.

    The first `examples` training examples are dealt to `shards`, each a batch of its own; the model runs in evaluation
    mode. Raises `MethodError` where there are fewer examples than shards.
    """
    from bench.tasks.kinds.kind import KINDS

    kind = KINDS.get(work.lab.task.kind)
    draws = torch.Generator().manual_seed(work.lab.seed)
    batches = dealt(work, shards)
    found: dict[str, list[float]] = {name: [] for name in blocks}
    with _frozen(work.model), differentiable(work.model):
        for number, (name, weights) in enumerate(blocks.items(), start=1):
            for weight in weights:
                weight.requires_grad_(True)
            for batch in batches:

                def loss(batch: Batch = batch) -> Tensor:
                    return kind.loss(work.model(**batch.inputs), batch.targets)

                found[name].append(top_eigenvalue(loss, weights, iterations=iterations, draws=draws))
            for weight in weights:
                weight.requires_grad_(False)  # so that other blocks' graphs end above this one
            work.lab.progress(f"curvature of {name}", number / len(blocks))
    return {name: Curvature(tuple(values)) for name, values in found.items()}


def dealt(work: Work, count: int) -> list[Batch]:
    """The `count` shards of the training examples, on the device."""
    from bench.tasks.batching import collate
    from bench.tasks.kinds.kind import Batch

    lab = work.lab
    chosen = list(lab.features[: work.method.examples])
    if len(chosen) < count:
        raise MethodError(f"quantize: {len(chosen)} training examples do not make {count} shards. Lower `shards`.")
    batches = []
    for start in range(count):
        batch = collate(chosen[start::count], pad_id=lab.tokenizer.pad_token_id)
        inputs, targets = ({key: value.to(lab.device) for key, value in part.items()} for part in batch[:2])
        batches.append(Batch(inputs, targets, batch.rows))
    return batches


@contextmanager
def _frozen(model: nn.Module) -> Iterator[None]:
    """No parameter with a gradient, as long as the context is open."""
    wanted = {name: each.requires_grad for name, each in model.named_parameters()}
    model.requires_grad_(False)
    try:
        yield
    finally:
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(wanted[name])


def _dot(left: Sequence[Any], right: Sequence[Any]) -> Tensor:
    return torch.stack([(a * b).sum() for a, b in zip(left, right, strict=True)]).sum()


def _unit(parts: Sequence[Tensor]) -> list[Tensor]:
    length = _dot(parts, parts).sqrt()
    return [part / length for part in parts]
