"""Two methods, and a solver of the method `factorize`."""

from __future__ import annotations

from pydantic import Field

from bench.methods.base.method import METHODS, Lab, Method
from bench.methods.factorize.solver import SOLVERS, MatrixSolver


@METHODS.register("drop-last")
class DropLast(Method):
    """Remove the last layers of the encoder, then train on."""

    layers: int = Field(1, ge=1, description="layers to remove")

    def compress(self, model, lab: Lab):
        from bench.models.adapter import adapter_for
        from bench.models.modules import copy_model

        smaller = copy_model(model)
        adapter = adapter_for(smaller)
        adapter.set_layers(smaller, adapter.layers(smaller)[: -self.layers])
        lab.train(smaller)
        return smaller


@METHODS.register("halve")
class Halve(Method):
    """Store the matrices of all layers in 16-bit floats."""

    saves = frozenset({"bytes"})

    def seeded(self):
        return False

    def compress(self, model, lab: Lab):
        from bench.models.adapter import adapter_for
        from bench.models.modules import copy_model
        from outside.layers import HalfLinear

        halved = copy_model(model)
        for name, linear in adapter_for(halved).linears(halved).items():
            parent, _, leaf = name.rpartition(".")
            setattr(halved.get_submodule(parent), leaf, HalfLinear.of(linear))
        return halved


@SOLVERS.register("rows")
class Rows(MatrixSolver):
    """Keep the rows of largest norm, and write the others as combinations of these."""

    def factors(self, weight, rank, *, moment, seed):
        import torch

        kept = weight[weight.norm(dim=1).topk(rank).indices]
        return torch.linalg.lstsq(kept.T.double(), weight.T.double()).solution.T.to(weight.dtype), kept
