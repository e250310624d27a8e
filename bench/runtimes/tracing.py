"""A model of torch as an exporter takes it: plain modules only, inputs by position, outputs by name."""

from __future__ import annotations

import copy
import logging
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bench.base.errors import MethodError
from bench.models.heads import head_of
from bench.runtimes.heads import FIELDS

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True)
class Traced:
    """What an exporter is given.

    `module` takes the `example` inputs by position and gives a tuple of the `outputs`, whose names are those of the
    fields of the head's output. `notes` say which stored forms became floats.
    """

    module: nn.Module
    head: str
    example: Mapping[str, Tensor]
    outputs: tuple[str, ...]
    notes: tuple[str, ...] = field(default=())


def traced(model: nn.Module, inputs: Mapping[str, Tensor]) -> Traced:
    """`model`, which is left as it was, for an exporter.

    Args:
        model: a model with a head of `bench.runtimes.heads.FIELDS`, on the CPU.
        inputs: the inputs of a batch of training examples; their names become those of the graph.

    Raises:
        MethodError: a head that is not supported, or a stored form that no graph can hold.
    """
    head = head_of(model)
    if head not in FIELDS:
        raise MethodError(f"export: a model for {head} cannot be exported. Supported heads: {', '.join(FIELDS)}.")
    plain, notes = portable_copy(model)
    return Traced(
        module=_positional(plain, tuple(inputs), FIELDS[head]),
        head=head,
        example=_example(inputs),
        outputs=FIELDS[head],
        notes=notes,
    )


def portable_copy(model: nn.Module) -> tuple[nn.Module, tuple[str, ...]]:
    """A copy of `model` whose stored forms are those that graphs hold, in evaluation mode; and what that changed.

    What was shared is shared in the copy, tables behind two forms of one coding too.
    """
    from torch import nn

    from bench.layers.layer import StoredModule, StoredStack
    from bench.layers.sharing import replace_everywhere

    made = copy.deepcopy(model).eval().requires_grad_(False)
    changed: Counter[str] = Counter()
    tables: dict[int, Any] = {}
    for name, module in list(made.named_modules()):
        if not isinstance(module, StoredModule):
            continue
        codes = module._buffers.get("weight")
        try:
            plain = module.portable()
        except MethodError as error:
            raise MethodError(f"export: {name or type(made).__name__} ({module.kind}): {error}") from error
        if plain is module:
            continue
        if not isinstance(module, StoredStack):  # whose layers stay as they are
            changed[module.kind] += 1
        if codes is not None and isinstance(plain, nn.Linear | nn.Embedding):
            plain.weight = tables.setdefault(codes.data_ptr() or id(codes), plain.weight)
        replace_everywhere(made, module, plain.eval())
    return made, tuple(_note(kind, count) for kind, count in sorted(changed.items()))


def _note(kind: str, count: int) -> str:
    return (
        f"{count} modules stored as {kind} are plain float32 in the graph: their values stay, the form in which they "
        "were stored, the rounding of their inputs and the bytes that it saved do not"
    )


def _example(inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Two rows of the inputs, since an exporter takes an axis of one for one that always is."""
    import torch

    return {name: torch.cat([values, values])[:2].contiguous() for name, values in inputs.items()}


def _positional(model: nn.Module, names: tuple[str, ...], fields: tuple[str, ...]) -> nn.Module:
    import inspect

    from torch import nn

    options = {"use_cache": False} if "use_cache" in inspect.signature(type(model).forward).parameters else {}

    class ByPosition(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
            output: Any = self.model(**dict(zip(names, tensors, strict=True)), **options)
            return tuple(getattr(output, field) for field in fields)

    return ByPosition().eval()


@contextmanager
def quiet_exporters() -> Iterator[None]:
    """While it lasts the exporters' warnings about their own ways are not shown: nobody here can act on them."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            logger.setLevel(level)
