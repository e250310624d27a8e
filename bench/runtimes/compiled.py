"""PyTorch's own compiler: the modules stay, their calls are compiled in each process."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, ClassVar

from typing_extensions import override

from bench.runtimes.eager import module_executed
from bench.runtimes.runtime import RUNTIMES, Executed, ModuleRuntime

if TYPE_CHECKING:
    from torch import nn

_COMPILERS = ("c++", "g++", "clang++", "clang")


@RUNTIMES.register("compile")
class Compiled(ModuleRuntime):
    """`torch.compile` with dynamic shapes, in place: the weights of the artifact are ordinary ones.

    Each process compiles at its first calls, once more for a batch of one; warming up takes that in, so it is no
    latency, and `first_call_s` shows it.
    """

    name: ClassVar[str] = "compile"
    says: ClassVar[str] = "PyTorch, compiled by torch.compile in each process at the first calls"

    @override
    def missing(self, *, making: bool = False) -> str | None:
        import os

        if os.environ.get("CXX") or any(map(shutil.which, _COMPILERS)):
            return None
        return (
            "runtime 'compile' needs a compiler of C++, since torch.compile writes C++ for a CPU. Install g++ or "
            "clang, or name one in CXX"
        )

    @override
    def prepare(self, model: nn.Module) -> nn.Module:
        with warnings.catch_warnings():
            # torch 2.13's compiler uses parts of torch.jit whose end it announces itself.
            warnings.filterwarnings("ignore", message=r".torch\.jit", category=DeprecationWarning)
            model.compile(dynamic=True)
        return model

    @override
    def executed(self, model: nn.Module) -> Executed:
        return module_executed(self, model)


@contextmanager
def uncompiled(model: nn.Module) -> Iterator[None]:
    """While it lasts a compiled `model` runs operator by operator, so that what it calls can be seen."""
    compiled = model.__dict__.get("_compiled_call_impl")
    model.__dict__.pop("_compiled_call_impl", None)
    try:
        yield
    finally:
        if compiled is not None:
            model.__dict__["_compiled_call_impl"] = compiled
