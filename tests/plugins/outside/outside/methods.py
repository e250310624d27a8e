"""Two methods, and choices of four methods of bench and of a term."""

from __future__ import annotations

from pydantic import Field

from bench.methods.base.method import METHODS, Lab, Method
from bench.methods.base.terms.divergences import DIVERGENCES, Divergence
from bench.methods.distill.students import STUDENTS, Student
from bench.methods.factorize.solver import SOLVERS, MatrixSolver
from bench.methods.prune.saliencies import SALIENCIES, Elementwise
from bench.methods.quantize.grid import CellBounds
from bench.methods.quantize.ranges import RANGES, MinMax


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


@STUDENTS.register("lowest")
class Lowest(Student):
    """The first layers of the given model."""

    layers: int = Field(1, ge=1, description="layers of the student")

    def made(self, model, lab: Lab):
        from bench.models.adapter import adapter_for
        from bench.models.modules import copy_model

        student = copy_model(model)
        adapter = adapter_for(student)
        adapter.set_layers(student, adapter.layers(student)[: self.layers])
        return student


@DIVERGENCES.register("absolute")
class Absolute(Divergence):
    """The mean of the absolute differences."""

    def disparity(self):
        from outside.terms import AbsoluteDisparity

        return AbsoluteDisparity()


@SOLVERS.register("rows")
class Rows(MatrixSolver):
    """Keep the rows of largest norm, and write the others as combinations of these."""

    def factors(self, weight, rank, *, moment, seed):
        import torch

        kept = weight[weight.norm(dim=1).topk(rank).indices]
        return torch.linalg.lstsq(kept.T.double(), weight.T.double()).solution.T.to(weight.dtype), kept


@SALIENCIES.register("share-of-row")
class ShareOfRow(Elementwise):
    """|w| over the largest of its row, to a power."""

    power: float = Field(1.0, gt=0, description="the power")

    def elements(self, sites, subject):
        weights = {piece.name: subject.change(piece).abs() for site in sites for piece in site.pieces}
        return {
            name: (weight / weight.amax(-1, keepdim=True).clamp_min(1e-12)) ** self.power
            for name, weight in weights.items()
        }


@RANGES.register("inner")
class Inner(MinMax):
    """A share of the range from the least to the largest value."""

    share: float = Field(0.9, gt=0, le=1, description="the share")

    def bounds(self, given):
        full = super().bounds(given)
        return CellBounds(full.low * self.share, full.high * self.share)
