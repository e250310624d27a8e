"""A runtime that runs modules of torch as PyTorch does."""

from __future__ import annotations

from bench.runtimes.eager import module_executed
from bench.runtimes.runtime import RUNTIMES, ModuleRuntime


@RUNTIMES.register("again")
class Again(ModuleRuntime):
    """PyTorch as it is, under another name."""

    name = "again"
    says = "PyTorch as it is, under another name"

    def prepare(self, model):
        return model.eval()

    def executed(self, model):
        return module_executed(self, model)
