"""Running an encoder's layers in integers only, after training."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeVar, cast

from pydantic import Field
from typing_extensions import override

from bench.base.errors import MethodError
from bench.methods.base.method import METHODS, Lab
from bench.methods.base.trained import TrainedMethod
from bench.spec.saving import Saving

if TYPE_CHECKING:
    from torch import Tensor, nn

    from bench.layers.integer.convert import FloatLayer, Ranges
    from bench.layers.integer.layer import Activation
    from bench.models.adapter import Adapter
    from bench.models.roles import LayerBlock

    Plain = TypeVar("Plain", bound=nn.Module)
    Largest = dict[tuple[nn.Module, str], float]  # by module and "input" or "output"

MOMENTUM = 0.95  # I-BERT's code: QuantAct, act_range_momentum


@METHODS.register("integer")
class Integer(TrainedMethod):
    """Run encoder layers in integers only, including GELU, softmax and norms (Kim et al. 2021, I-BERT).

    Weights are symmetric with one scale per output channel; activations have one scale per tensor, found on training
    examples (`activation_ranges`) and fixed. See `IntegerLayer` for what a layer computes. Embeddings, pooler and head
    stay in float: the states are quantized before the first layer and dequantized after the last. With a `budget`, the
    model is first trained with weights and linear inputs rounded to the same grids. It saves no time on a CPU, where
    torch's integer product is slower than its float one and the functions between products run as single elementary
    operations. arXiv:2101.01321.
    """

    saves: ClassVar[frozenset[Saving]] = frozenset({"bytes"})

    bits: Literal[8] = Field(8, description="bits of weights and of the activations that are multiplied")
    examples: int = Field(256, ge=1, description="number of training examples to calibrate ranges")
    budget: float = Field(
        0.0, ge=0, le=100, description="epochs of quantization-aware training, as a share of the suite's"
    )

    @override
    def compress(self, model: nn.Module, lab: Lab) -> nn.Module:
        """Raises `MethodError` for what has no integer form, or without training examples.

        Only an encoder that loops over a list of post-norm layers has one, dense and in floating point, with GELU or
        ReLU.
        """
        from bench.layers.integer.convert import RoundedWeights, integer_layer, scale_of
        from bench.layers.integer.layer import IntegerStack
        from bench.models.adapter import adapter_for
        from bench.models.modules import copy_model, replace_module

        converted = copy_model(model).eval()
        adapter = adapter_for(converted)
        _refuse_other_stacks(converted, adapter)
        parts = {block.module: _parts(block, adapter, converted) for block in adapter.blocks(converted)}
        layers = adapter.layers(converted)
        heard = dict.fromkeys([*parts, *(part for each in parts.values() for part in _modules(each))])
        with self._tuned(converted, [part for each in parts.values() for part in _modules(each)], lab):
            found = activation_ranges(converted, heard, lab, examples=self.examples)
        boundaries = _boundaries(layers, found)
        made: dict[nn.Module, nn.Module] = {}
        weights = RoundedWeights()
        for place, layer in enumerate(layers):
            if layer not in made:
                ranges = _ranges(parts[layer], found, boundaries[place], boundaries[place + 1])
                made[layer] = integer_layer(parts[layer], ranges, weights)
        stack = IntegerStack().to(next(converted.parameters()).device)
        stack.first_scale.fill_(scale_of(boundaries[0]))
        stack.last_scale.fill_(scale_of(boundaries[-1]))
        replace_module(converted, adapter.stack_name(converted), stack.adopt([made[layer] for layer in layers]))
        return converted.eval()

    def _tuned(self, model: nn.Module, linears: Sequence[nn.Linear], lab: Lab) -> AbstractContextManager[None]:
        """Train on rounded numbers for the budget; the model stands on them as long as the context is open."""
        if not self.budget:
            return nullcontext()
        from torch import nn

        from bench.layers.cells import Cells
        from bench.methods.quantize.activations import MovingInputs
        from bench.methods.quantize.aware import AwareTraining, train_aware
        from bench.methods.quantize.granularity import PerRow
        from bench.methods.quantize.grids import Symmetric
        from bench.methods.quantize.ranges import MinMax
        from bench.methods.quantize.work import Quantizer, RoundedParameter

        channels = Quantizer(grid=Symmetric(), granularity=PerRow(), range=MinMax())
        places = []
        once = list(dict.fromkeys(linears))
        for linear in once:
            rows, columns = linear.weight.shape
            cells = Cells(rows=rows, columns=columns, groups=rows, bucket=columns)
            places.append(
                RoundedParameter(
                    parameter=cast(nn.Parameter, linear.weight), quantizer=channels, cells=cells, bits=self.bits
                )
            )
        aware = AwareTraining(places, {linear: MovingInputs(self.bits, momentum=MOMENTUM) for linear in once})
        train_aware(self, model, lab, aware)
        return aware.standing()


def activation_ranges(
    model: nn.Module, modules: Collection[nn.Module], lab: Lab, *, examples: int, momentum: float = MOMENTUM
) -> Largest:
    """The largest magnitude of the inputs and outputs of each module, averaged over batches.

    r <- momentum * r + (1 - momentum) * max |x| of a batch, from the first batch's own, as in I-BERT. A module that
    runs several times per batch counts with its largest. The model runs in evaluation mode on batches of examples of
    one length, so that no padding is counted.

    Args:
        model: left as it was.
        modules: those to listen to; of a tuple the first entry counts.
        lab: where the examples are from.
        examples: how many training examples are read, from the first.
        momentum: weight of what was known before each batch.

    Raises:
        MethodError: there are no training examples.
    """
    from bench.methods.base.listening import alike, run

    if not lab.features:
        raise MethodError("there are no training examples to calibrate the ranges of activations")
    batch_largest: Largest = {}
    handles = [handle for module in modules for handle in _listen(module, batch_largest)]
    found: Largest = {}
    try:
        for batch in alike(lab, examples=examples):
            batch_largest.clear()
            run(model, batch)
            for place, largest in batch_largest.items():
                found[place] = momentum * found[place] + (1 - momentum) * largest if place in found else largest
    finally:
        for handle in handles:
            handle.remove()
    return found


def _listen(module: nn.Module, largest: Largest) -> list[Any]:
    """Hooks that keep the largest magnitudes of one module in `largest`, and how they are removed."""

    def keep(side: str) -> Callable[[Any], None]:
        def add(values: Any) -> None:
            tensor: Tensor = values[0] if isinstance(values, tuple) else values
            largest[module, side] = max(largest.get((module, side), 0.0), float(tensor.detach().abs().max()))

        return add

    inputs, outputs = keep("input"), keep("output")
    return [
        module.register_forward_pre_hook(lambda module, given: inputs(given)),
        module.register_forward_hook(lambda module, given, result: outputs(result)),
    ]


def _refuse_other_stacks(model: nn.Module, adapter: Adapter) -> None:
    from bench.layers.layer import StoredStack

    name = type(model).__name__
    if adapter.stacks(model) != ("encoder",) or not adapter.takes_stack(model.config):
        raise MethodError(
            f"integer: {name} cannot run in integers: only an encoder that loops over a list of layers can"
        )
    if not adapter.post_norm:
        raise MethodError(
            f"integer: {name} cannot run in integers: its norms are before the parts of a layer, not after"
        )
    if adapter.positions_in_attention:
        raise MethodError(
            f"integer: {name} cannot run in integers: its attention adds what depends on the distance of two tokens, "
            f"which has no integer form"
        )
    if isinstance(model.get_submodule(adapter.stack_name(model)), StoredStack):
        raise MethodError(f"integer: the layers of this {name} already run in another stored form")


def _parts(block: LayerBlock, adapter: Adapter, model: nn.Module) -> FloatLayer:
    """The parts of a layer by what they do; raises `MethodError` if it is not dense, post-norm and in float."""
    from torch import nn

    from bench.layers.integer.convert import FloatLayer
    from bench.models.roles import ROLES

    linears = {role: block.module.get_submodule(name) for role, name in block.names.items()}
    norms = [block.module.get_submodule(name) for name in adapter.parts(block.module).get("norms", ())]
    if set(linears) != set(ROLES) or len(norms) != 2:
        raise MethodError(f"integer: {block.name} is not an encoder layer of six matrices and two norms")
    dense = {role: _plain(linear, nn.Linear, block) for role, linear in linears.items()}
    return FloatLayer(
        query=dense["query"],
        key=dense["key"],
        value=dense["value"],
        attention_output=dense["attention_output"],
        attention_norm=_plain(norms[0], nn.LayerNorm, block),
        ffn_in=dense["ffn_in"],
        ffn_out=dense["ffn_out"],
        output_norm=_plain(norms[1], nn.LayerNorm, block),
        activation=_activation(block, adapter),
        head_width=adapter.head_width(model),
    )


def _plain(module: nn.Module, expected: type[Plain], block: LayerBlock) -> Plain:
    """The module, which is of no other class than `expected`."""
    if type(module) is not expected:
        raise MethodError(
            f"integer: {block.name} has a {type(module).__name__} where a plain {expected.__name__} was expected. "
            "Only dense float layers have an integer form."
        )
    return module


def _activation(block: LayerBlock, adapter: Adapter) -> Activation:
    """What the MLP applies; the forms of GELU differ by less than its polynomial does from each."""
    found = type(block.module.get_submodule(adapter.activation or "")).__name__
    if found in ("GELU", "GELUActivation", "GELUTanh", "NewGELUActivation", "FastGELUActivation"):
        return "gelu"
    if found == "ReLU":
        return "relu"
    raise MethodError(f"integer: {block.name} applies {found}; only GELU and ReLU have an integer form")


def _modules(layer: FloatLayer) -> list[nn.Linear]:
    return [layer.query, layer.key, layer.value, layer.attention_output, layer.ffn_in, layer.ffn_out]


def _boundaries(layers: list[nn.Module], found: Largest) -> list[float]:
    """The largest state before each layer and after the last; one number for those that shared layers tie together.

    A layer has one scale for its inputs and one for its outputs wherever it runs, and hands its states on as they are.
    """
    group = list(range(len(layers) + 1))

    def merge(one: int, other: int) -> None:
        old, new = group[one], group[other]
        group[:] = [new if each == old else each for each in group]

    for place, layer in enumerate(layers):
        first = layers.index(layer)
        merge(place, first)
        merge(place + 1, first + 1)
    sizes = [found[layers[0], "input"]]
    for layer, after in zip(layers, [*layers[1:], None], strict=True):
        sizes.append(max(found[layer, "output"], found[after, "input"] if after is not None else 0.0))
    return [max(size for size, other in zip(sizes, group, strict=True) if other == own) for own in group]


def _ranges(layer: FloatLayer, found: Largest, before: float, after: float) -> Ranges:
    from bench.layers.integer.convert import Ranges

    return Ranges(
        states=before,
        query=found[layer.query, "output"],
        key=found[layer.key, "output"],
        value=found[layer.value, "output"],
        context=found[layer.attention_output, "input"],
        attended=found[layer.ffn_in, "input"],
        activated=found[layer.ffn_out, "input"],
        outputs=after,
    )
