"""What each operator costs in multiply-adds: formulas over shapes, and which operators cost nothing.

Convention: one multiply-add is 1 MAC. Products that are summed count: linear maps, matrix products, attention products,
convolutions, recurrent cells. Everything element by element counts 0, norms, activations, softmax, biases, outer
products and look-ups included; fvcore itself would add five "flops" an element for layer norm and nothing for softmax.
What a dense kernel executes is counted whether or not it matters: zeros of a weight, of a padding, under a causal mask.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor, nn

    from bench.runtimes.operators import Elements

# The operand whose last axis is summed over, by operator: MACs = elements of the output * length of that axis.
SUMMED = {
    "aten::linear": 0,
    "aten::matmul": 0,
    "aten::mm": 0,
    "aten::bmm": 0,
    "aten::mv": 0,
    "aten::dot": 0,
    "aten::inner": 0,
    "aten::addmm": 1,
    "aten::addmv": 1,
    "aten::baddbmm": 1,
    "bench::integer_matmul": 0,
}
RECURRENT = ("aten::lstm", "aten::gru", "aten::rnn_tanh", "aten::rnn_relu")

# Operators without summed products, beyond those that fvcore ignores: 0 MACs by the convention above. An operator that
# is in neither place is taken to be heavy, so that a total is never too small without saying so.
_LIGHT_NAMES = """
    abs add add_ alias all amax amin any argmax argmin batch_norm bitwise_and bitwise_or clamp_max clamp_min clone cos
    cumsum detach_ diag_embed diagonal diff dim div div_ embedding embedding_bag empty_like erf exp expand_as fill_ flip
    floor_ full_like gelu gelu_ group_norm hardtanh index_select instance_norm is_nonzero isinf isnan item layer_norm le
    leaky_relu lift_fresh linalg_vector_norm log log_softmax logical_and logical_not logical_or lt masked_fill_ maximum
    mean min minimum movedim mul mul_ ne neg new_ones norm numel numpy_T one_hot ones_like outer pad pow prelu
    reciprocal relu6 repeat repeat_interleave resolve_conj resolve_neg rms_norm round round_ rsqrt rsub scalar_tensor
    scatter scatter_ sigmoid sigmoid_ sign silu sin softmax softplus sort sqrt square sub sub_ sum swapaxes tanh tanh_
    tensor_split tile searchsorted topk tril triu unflatten unfold unsafe_chunk unsafe_split var view_as where zero_
    Bool Float FloatImplicit IntImplicit __or__ __xor__ __lshift__ __rshift__ _pack_padded_sequence _pad_packed_sequence
    argsort ceil
"""
LIGHT = tuple(f"aten::{name}" for name in _LIGHT_NAMES.split())


class Operation(NamedTuple):
    """One call of a heavy operator.

    `module` is the path of the innermost module that made the call. `weights` are the stored tensors among its
    operands: tensors of one group are used one beside the other, each element equally often, and groups are multiplied
    with each other; there is none if two activations are multiplied. `activation_macs` is the part of `macs` in
    which no weight takes part though others do, as inside a fused attention layer.
    """

    operator: str
    module: str
    macs: int
    weight_bits: int
    activation_bits: int
    weights: tuple[tuple[Tensor | Elements, ...], ...]
    activation_macs: int = 0

    @property
    def effective(self) -> int:
        """The multiply-adds whose weights are not zero; products of two activations count in full.

        Exact if each weight is used equally often and is multiplied by activations, which is so for linear maps,
        convolutions and recurrent cells; for a product of two stored tensors it is right on average.
        """
        kept = used = 1
        for group in self.weights:
            used *= sum(tensor.numel() for tensor in group)
            kept *= sum(int(tensor.count_nonzero()) for tensor in group)
        weighted = self.macs - self.activation_macs
        return self.activation_macs + (weighted * kept + used // 2) // used if used else self.macs

    @property
    def bops(self) -> int:
        """MACs * weight bits * activation bits (van Baalen et al. 2020, Bayesian Bits, arXiv:2005.07093)."""
        return self.macs * self.weight_bits * self.activation_bits


def attention_macs(output: Sequence[int], *, keys: int, key_width: int) -> int:
    """Both products of attention, scores and their weighted sum of values.

    Args:
        output: shape [..., heads, queries, value width]; grouped queries and broadcasts are in it already.
        keys: how many keys each query sees, masked ones included.
        key_width: width of one query and one key of one head.
    """
    return prod(output[:-1]) * keys * (key_width + output[-1])


def attention_layer_macs(rows: int, keys: int, width: int) -> tuple[int, int]:
    """(linear, attention) MACs of a self-attention layer: 4 * rows * width^2, and 2 * rows * keys * width."""
    return 4 * rows * width**2, 2 * rows * keys * width


def convolution_macs(
    inputs: Sequence[int], weight: Sequence[int], output: Sequence[int], *, transposed: bool = False
) -> int:
    """Weight elements times positions times batch: groups are in the weight [out, in / groups, *kernel] already.

    Products with padding zeros count. A transposed convolution applies its kernel once at every input position.
    """
    positions = inputs[2:] if transposed else output[2:]
    return inputs[0] * prod(weight) * prod(positions)


def einsum_macs(equation: str, shapes: Sequence[Sequence[int]], path: Sequence[int] | None = None) -> int:
    """MACs of `torch.einsum`, which contracts pair by pair.

    An axis that only one operand has and nothing needs later is summed first, without products; a pair that sums
    nothing is a product element by element and counts 0.

    Args:
        equation: as torch takes it, ellipses and implicit outputs included.
        shapes: of the operands.
        path: positions of each pair, flat, its result appended last (opt_einsum's form); None is from left to right.
    """
    terms, output, sizes = _parsed(equation, shapes)
    left_to_right = path is None
    pairs = iter([0, 1] * (len(terms) - 1) if path is None else path)
    total = 0
    for first, second in zip(pairs, pairs, strict=False):
        pair = [terms.pop(place) for place in sorted((first, second), reverse=True)]
        needed = output.union(*terms)
        one, other = (axes & (needed | pair[1 - place]) for place, axes in enumerate(pair))
        summed = (one & other) - needed
        total += prod(sizes[axis] for axis in one | other) if summed else 0
        result = (one | other) - summed
        terms.insert(0 if left_to_right else len(terms), result)
    return total


Letter = str | int  # a letter, or an axis of the ellipsis counted from its end
Letters = frozenset[Letter]


def _parsed(equation: str, shapes: Sequence[Sequence[int]]) -> tuple[list[Letters], Letters, dict[Letter, int]]:
    """Axes of each operand and of the output, and the length of every axis (the longest of those that broadcast)."""
    left, arrow, right = equation.replace(" ", "").partition("->")
    sizes: dict[Letter, int] = {}
    named: list[list[Letter]] = []
    for term, shape in zip(left.split(","), shapes, strict=True):
        named.append(_axes(term, len(shape)))
        for axis, size in zip(named[-1], shape, strict=True):
            sizes[axis] = max(size, sizes.get(axis, 1))
    unnamed = {axis for axis in sizes if isinstance(axis, int)}
    letters = [axis for axes in named for axis in axes if isinstance(axis, str)]
    if arrow:
        output = {letter for letter in right if letter != "."} | (unnamed if "..." in right else set())
    else:
        output = {letter for letter in letters if letters.count(letter) == 1} | unnamed
    return [frozenset(axes) for axes in named], frozenset(output), sizes


def _axes(term: str, dimensions: int) -> list[Letter]:
    before, dots, after = term.partition("...")
    hidden = range(len(before) + len(after) - dimensions, 0) if dots else range(0)
    return [*before, *hidden, *after]


_MARK = "bench-module-"


@contextmanager
def scoped(model: nn.Module) -> Iterator[list[str]]:
    """While it lasts, a trace of `model` notes the module of every operator; all hooks added meanwhile go at the end.

    A module that is shared has several names. Under one call of its parent, its first call has the first name that it
    has there, its second call the second, and so on from the start again: the layers of a stack that share their
    weights are distinguished, a layer that is called in a loop is not.

    Yields:
        The paths of the calls so far, for `path_of`.
    """
    calls = _Calls(model)
    modules = list(model.modules())
    before = [(set(module._forward_pre_hooks), set(module._forward_hooks)) for module in modules]
    for module in modules:
        module.register_forward_pre_hook(calls.enter)
        module.register_forward_hook(calls.leave)
    try:
        yield calls.paths
    finally:
        # fvcore leaves its own hooks behind if the model raises.
        for module, known in zip(modules, before, strict=True):
            for hooks, kept in zip((module._forward_pre_hooks, module._forward_hooks), known, strict=True):
                for key in set(hooks) - kept:
                    del hooks[key]


def path_of(node: Any, paths: Sequence[str]) -> str:
    """The path of the innermost module that ran a node of the traced graph; empty for the model itself."""
    marks = [scope for scope in node.scopeName().split("/") if scope.startswith(_MARK)]
    return paths[int(marks[-1].removeprefix(_MARK))] if marks else ""


class _Calls:
    """The modules being called now, innermost last, each with the number of calls of each module under it."""

    def __init__(self, model: nn.Module) -> None:
        self.paths: list[str] = []
        self._names: dict[int, list[str]] = {}
        for name, module in model.named_modules(remove_duplicate=False):
            self._names.setdefault(id(module), []).append(name)
        self._open: list[tuple[str, Counter[int]]] = []

    def enter(self, module: nn.Module, _inputs: Any) -> None:
        import torch

        path = self._path(module)
        self._open.append((path, Counter()))
        tracing = torch._C._get_tracing_state()
        if tracing is not None:
            tracing.push_scope(f"{_MARK}{len(self.paths)}")
        self.paths.append(path)

    def leave(self, _module: nn.Module, _inputs: Any, _output: Any) -> None:
        import torch

        self._open.pop()
        tracing = torch._C._get_tracing_state()
        if tracing is not None:
            tracing.pop_scope()

    def _path(self, module: nn.Module) -> str:
        names = self._names[id(module)]
        if not self._open:
            return names[0]
        caller, calls = self._open[-1]
        inside = [name for name in names if not caller or name.startswith(f"{caller}.")]
        number = calls[id(module)]
        calls[id(module)] += 1
        return inside[number % len(inside)] if inside else names[0]
