"""PyTorch as it is: each operator runs when it is called."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from typing_extensions import override

from bench.runtimes.runtime import EAGER, RUNTIMES, Executed, ModuleRuntime

if TYPE_CHECKING:
    from torch import nn


@RUNTIMES.register(EAGER)
class Eager(ModuleRuntime):
    """Runs a module's operators one after the other."""

    name: ClassVar[str] = EAGER
    says: ClassVar[str] = "PyTorch, operator by operator; what every artifact is run by that names no other"

    @override
    def prepare(self, model: nn.Module) -> nn.Module:
        return model

    @override
    def executed(self, model: nn.Module) -> Executed:
        return module_executed(self, model)


def module_executed(runtime: ModuleRuntime, model: nn.Module) -> Executed:
    """What torch says of a module: its device, and the type of its numbers with a fraction."""
    import torch

    tensors = [*model.parameters(), *model.buffers()]
    floats = sorted({str(each.dtype).removeprefix("torch.") for each in tensors if each.is_floating_point()})
    return Executed(
        runtime=runtime.name,
        version=runtime.version(),
        threads=torch.get_num_threads(),
        device=next((str(each.device.type) for each in tensors if not each.is_meta), "cpu"),
        precision=" and ".join(floats) or "float32",
    )
