"""What the weights of a recurrent layer do to its Jacobian through time, before any training."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from bench.base.errors import MethodError
from bench.methods.prune.saliencies import SALIENCIES, DataAware, Elementwise
from bench.methods.prune.site import Subject

if TYPE_CHECKING:
    from torch import Tensor, nn

    from bench.methods.prune.site import Site

STEPS = 4  # of the end of the sequence, as in the paper's §4
_FLOOR = 1e-6  # of the mean magnitude of all normalisers


@SALIENCIES.register("jacobian")
class Jacobian(DataAware, Elementwise):
    """|theta dchi/dtheta| over the expected size of theta's gradient of h, chi = ||J 1||_2 with J = dh_T/dh_(T-4).

    Zhang and Stadie 2020 (arXiv:1912.00120): one batch of 64 examples and its last four steps, no labels. The paper's
    exact normaliser could not be read; here it is the mean over examples of |d(1^T h_T)/dtheta| through the same steps.
    chi is the mean over examples, summed over layers and directions. Each layer is treated separately, with its inputs
    and its state before the four steps held fixed; the cell of an LSTM at T-4 is held fixed too. Sequences shorter than
    four steps use the steps that they have.
    """

    def elements(self, sites: Sequence[Site], subject: Subject) -> Mapping[str, Tensor]:
        """Raises `MethodError` for anything but the gates of a recurrent model."""
        import torch

        from bench.methods.prune.gradients import batches, parameters_of
        from bench.models.modules import differentiable

        parameters = parameters_of(sites)
        _refuse_others(subject.model, parameters)
        names, leaves = [*parameters], [*parameters.values()]
        reach = {name: torch.zeros_like(parameter) for name, parameter in parameters.items()}
        usual = {name: torch.zeros_like(parameter) for name, parameter in parameters.items()}
        listed = batches(subject, self.examples)
        examples = sum(len(batch.rows) for batch in listed)
        with differentiable(subject.model):
            for batch in listed:
                for run in _runs(subject.model, batch.inputs):
                    _add(reach, names, _gradients(norms(run.roll(), run.hidden).sum(), leaves))
                    for row in range(len(run.hidden)):
                        alone = run.only(row)
                        one = _gradients(alone.roll()(alone.hidden).sum(), leaves)
                        _add(usual, names, [part.abs() for part in one])
        count = sum(part.numel() for part in usual.values())
        floor = _FLOOR * sum(float(part.sum()) for part in usual.values()) / (count * examples)
        return {
            piece.name: (subject.change(piece) * reach[piece.name] / examples).abs()
            / (usual[piece.name] / examples).clamp_min(floor)
            for site in sites
            for piece in site.pieces
        }


class LayerRun(NamedTuple):
    """The last steps of one layer: its inputs there [batch, steps, width], and the state before [batch, width]."""

    layer: nn.Module
    inputs: Tensor
    hidden: Tensor
    cell: Tensor

    def roll(self) -> Callable[[Tensor], Tensor]:
        """From the hidden state before the steps to the one after them, [batch, width] both."""
        import torch

        return lambda hidden: self.layer(self.inputs, torch.stack([hidden, self.cell], dim=1))[1][:, 0]

    def only(self, row: int) -> LayerRun:
        """The run of one example."""
        inputs, hidden, cell = (tensor[row : row + 1] for tensor in (self.inputs, self.hidden, self.cell))
        return LayerRun(self.layer, inputs, hidden, cell)


def norms(roll: Callable[[Tensor], Tensor], hidden: Tensor) -> Tensor:
    """||J 1||_2 of each example [batch], J the derivative of `roll` at `hidden` [batch, width]; differentiable.

    J 1 is the derivative by u of 1^T (J^T u), which is linear in u.
    """
    import torch

    start = hidden.detach().requires_grad_()
    end = roll(start)
    along = torch.zeros_like(end, requires_grad=True)
    (back,) = torch.autograd.grad(end, start, along, create_graph=True)
    (moved,) = torch.autograd.grad(back, along, torch.ones_like(back), create_graph=True)
    found: Tensor = moved.norm(dim=1)
    return found


def _runs(model: nn.Module, inputs: Mapping[str, Tensor]) -> list[LayerRun]:
    """What every recurrent layer did for a batch without padding, once for each time it ran."""
    import torch

    from bench.models.recurrent.layer import LstmLayer

    heard: list[tuple[LstmLayer, Tensor, Tensor | None]] = []

    def listen(layer: nn.Module, given: tuple[Any, ...]) -> None:
        heard.append((cast(LstmLayer, layer), given[0], given[1] if len(given) > 1 else None))

    handles = [each.register_forward_pre_hook(listen) for each in model.modules() if isinstance(each, LstmLayer)]
    found = []
    try:
        with torch.no_grad():
            model(**inputs)
    finally:
        for handle in handles:
            handle.remove()
    with torch.no_grad():
        for layer, values, state in heard:
            first = values.new_zeros(len(values), 2, layer.width) if state is None else state
            before = values[:, :-STEPS]
            start = layer(before, first)[1] if before.size(1) else first
            found.append(LayerRun(layer, values[:, -STEPS:], start[:, 0], start[:, 1]))
    return found


def _gradients(value: Tensor, leaves: Sequence[Tensor]) -> tuple[Tensor, ...]:
    import torch

    return torch.autograd.grad(value, list(leaves), allow_unused=True, materialize_grads=True)


def _add(totals: Mapping[str, Tensor], names: Sequence[str], parts: Sequence[Tensor]) -> None:
    for name, part in zip(names, parts, strict=True):
        totals[name].add_(part)


def _refuse_others(model: nn.Module, parameters: Mapping[str, nn.Parameter]) -> None:
    from bench.models.recurrent.layer import LstmLayer

    layers = [module for module in model.modules() if isinstance(module, LstmLayer)]
    inside = {id(parameter) for layer in layers for parameter in layer.parameters()}
    for name, parameter in parameters.items():
        if id(parameter) not in inside:
            raise MethodError(
                f"prune: saliency 'jacobian' scores the gates of recurrent layers, but {name} of "
                f"{type(model).__name__} is not one. Prune the gates of an LSTM, or give another saliency."
            )
