"""Quantization: which numbers weights may have, in what cells, over what range, with how many bits, and when."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field, model_validator
from typing_extensions import override

from bench.methods.base.choice import Chosen
from bench.methods.base.method import METHODS, ROLES, Lab, Listed, Target
from bench.methods.base.trained import TrainedMethod
from bench.methods.quantize.allocation import ALLOCATIONS, Allocation
from bench.methods.quantize.granularity import GRANULARITIES, Granularity
from bench.methods.quantize.grid import GRIDS, Grid, check_widths
from bench.methods.quantize.ranges import RANGES, MinMax, MovingAverage, Range, check_learned
from bench.methods.quantize.scheme import SCHEMES, Scheme
from bench.methods.quantize.work import Quantization, Quantizer
from bench.spec.saving import Saving

if TYPE_CHECKING:
    from torch import nn


@METHODS.register("quantize")
class Quantize(TrainedMethod):
    """Store weights in few bits, and multiply 8-bit integers if the machine has kernels for them (Jacob et al. 2018).

    Five choices define a quantization method: the grid of values, the granularity of scales, the range, the bits
    of each matrix, and the scheme. The defaults are dynamic INT8: symmetric weights with one scale per output channel,
    activations with a new range per call, no training, embeddings, norms, pooler and head in float.
    With a `budget`, the model is first trained with rounded weights (quantization-aware training, §3 there).
    MACs do not change; their operands have fewer bits (`bops`) if integers are multiplied. arXiv:1712.05877.
    """

    saves: ClassVar[frozenset[Saving]] = frozenset({"bytes", "time"})

    scheme: Annotated[Scheme, Chosen(SCHEMES)] = Field(
        default_factory=SCHEMES.default("dynamic"),
        description="weights only, or activations too, with ranges from each call or from training examples",
    )
    bits: int = Field(8, ge=1, le=8, description="bits per weight; also per activation if integers are multiplied")
    targets: Annotated[tuple[Target, ...], Listed] = Field(
        ROLES, min_length=1, description="which matrices, by role, or 'embedding'; on a command line: query+key"
    )
    grid: Annotated[Grid, Chosen(GRIDS)] = Field(
        default_factory=GRIDS.default("symmetric"), description="the values that quantized weights can take"
    )
    granularity: Annotated[Granularity, Chosen(GRANULARITIES)] = Field(
        default_factory=GRANULARITIES.default("row"),
        description="granularity of the scales (per-tensor, per-channel, per-group)",
    )
    embedding_granularity: Annotated[Granularity, Chosen(GRANULARITIES)] | None = Field(
        None, description="granularity for embeddings; None takes that of the matrices"
    )
    range: Annotated[Range, Chosen(RANGES)] = Field(
        default_factory=RANGES.default("min-max"), description="how the range of the weights is found"
    )
    activation_range: Annotated[Range, Chosen(RANGES)] = Field(
        default_factory=RANGES.default("min-max"),
        description="how the range of the activations is found, for schemes 'static' and 'weights'",
    )
    teacher: Literal["reference", "given"] = Field(
        "reference",
        description="teacher of the distillation: the reference, or the given model, which has the same "
        "width as the student",
    )
    allocation: Annotated[Allocation, Chosen(ALLOCATIONS)] = Field(
        default_factory=ALLOCATIONS.default("constant"), description="how bits are assigned to matrices"
    )
    role_bits: dict[Target, Annotated[int, Field(ge=1, le=8)]] = Field(
        {}, description="bits of single roles, instead of `bits`"
    )
    examples: int = Field(256, ge=1, description="number of training examples for calibration or curvature")
    budget: float = Field(
        0.0, ge=0, le=100, description="epochs of quantization-aware training as a share of the suite's; 0 means none"
    )

    @model_validator(mode="after")
    def _arguments_fit_each_other(self) -> Quantize:
        grid, span = self.grid, self.range.called
        check_widths(grid, [self.bits, *self.role_bits.values()])
        if not grid.ranged and span != "min-max":
            raise ValueError(f"range '{span}' is for uniform grids, but grid '{grid.called}' fits its own range")
        if isinstance(self.range, MovingAverage):
            raise ValueError(f"range '{span}' averages over batches of activations, and weights have no batches")
        check_learned("range", self.range, grid=grid.called, budget=self.budget)
        return self

    @override
    def saving(self) -> frozenset[Saving]:
        """Packed weights whose products stay in float claim no time."""
        return self.scheme.saves

    @override
    def seeded(self) -> bool:
        """Ranges of activations that are neither extremes nor averages are found on a drawn sample."""
        drawn = not isinstance(self.activation_range, MinMax | MovingAverage)
        return super().seeded() or drawn or any(choice.seeded() for choice in self.choices())

    @override
    def compress(self, model: nn.Module, lab: Lab) -> nn.Module:
        """Raises `MethodError` for a layer that is neither dense nor factorized in float, or a bit budget too small.

        Raises `ModelError` for a role that the architecture does not have.
        """
        from bench.models.modules import copy_model

        quantized = copy_model(model)
        lab = replace(lab, reference=model) if self.teacher == "given" else lab
        self.scheme.apply(self.work(quantized, lab), self.allocation)
        return quantized.eval()

    def work(self, model: nn.Module, lab: Lab) -> Quantization:
        """What a scheme is given to change `model` in place by the arguments of this stage."""
        return Quantization(
            model=model,
            lab=lab,
            training=self,
            targets=self.targets,
            bits=self.bits,
            role_bits=self.role_bits,
            examples=self.examples,
            quantizer=self._quantizer(self.granularity),
            embedding_quantizer=self._quantizer(self.embedding_granularity or self.granularity),
            activation_range=self.activation_range,
        )

    def _quantizer(self, granularity: Granularity) -> Quantizer:
        return Quantizer(grid=self.grid, granularity=granularity, range=self.range)
