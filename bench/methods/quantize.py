"""Quantization: which numbers weights may have, in what cells, over what range, with how many bits, and when."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from bench.methods.method import METHODS, Lab, Listed, known
from bench.methods.quantizing.allocation import ALLOCATIONS
from bench.methods.quantizing.granularity import GRANULARITIES
from bench.methods.quantizing.grid import GRIDS
from bench.methods.quantizing.mode import MODES
from bench.methods.quantizing.range import RANGES
from bench.methods.roles import ROLES, Target
from bench.methods.tuned import RefinedMethod
from bench.saving import Saving

if TYPE_CHECKING:
    from torch import nn


@METHODS.register("quantize")
class Quantize(RefinedMethod):
    """Store weights in a few bits, and multiply 8-bit integers where there are kernels for them (Jacob et al. 2018).

    Five choices make one of the survey's systems: the grid of numbers, the granularity of scales, the range, the bits
    of each matrix, and the mode (`scheme`). The defaults are dynamic INT8: symmetric weights with a scale an output
    channel, activations with a range of each call's own, nothing trained, embeddings, norms, pooler and head in float.
    With a `budget` the model trains on rounded numbers before they are packed (quantization-aware training, §3 there).
    MACs stay, their operands become narrower (`bops`) where integers are multiplied. arXiv:1712.05877.
    """

    saves: ClassVar[frozenset[Saving]] = frozenset({"bytes", "time"})

    scheme: Annotated[str, known(MODES)] = Field(
        "dynamic", description="weights alone, or activations too, with ranges of each call or of training examples"
    )
    bits: int = Field(8, ge=1, le=8, description="bits of a weight; of an activation too where integers are multiplied")
    targets: Annotated[tuple[Target, ...], Listed] = Field(
        ROLES, min_length=1, description="which matrices, by role, or 'embedding'; query+key on a command line"
    )
    rest: bool = Field(
        False, description="scheme 'weights': code the maps and tables without a role too: pooler, head, positions"
    )
    grid: Annotated[str, known(GRIDS)] = Field("symmetric", description="the numbers that weights may have")
    granularity: Annotated[str, known(GRANULARITIES)] = Field("row", description="what has a scale of its own")
    embedding_granularity: Annotated[str | None, known(GRANULARITIES)] = Field(
        None, description="the same for embeddings; None is as the others"
    )
    groups: int = Field(128, ge=1, description="runs of output rows a matrix, for granularity 'groups'")
    bucket: int = Field(64, ge=1, description="neighbours in a row, for granularity 'bucket'")
    range: Annotated[str, known(RANGES)] = Field("min-max", description="how much of the weights a grid covers")
    activation_range: Annotated[str, known(RANGES)] = Field(
        "min-max", description="how much of the activations, for schemes 'static' and 'weights'"
    )
    activation_bits: int | None = Field(
        None, ge=2, le=8, description="scheme 'weights': bits that inputs are rounded to; None leaves them in float"
    )
    activation_grid: Literal["symmetric", "affine", "interval"] = Field(
        "symmetric", description="steps about 0, with a zero point, or from one end of the range to the other"
    )
    activation_span: Literal["call", "token", "fixed"] = Field(
        "call", description="scheme 'weights': what has an activation range of its own, or one range that stays"
    )
    activation_momentum: float = Field(
        0.95, ge=0, lt=1, description="weight of earlier batches in the activation range 'moving-average'"
    )
    split: bool = Field(
        False, description="ternary weights become two binary matrices in the midst of training (BinaryBERT)"
    )
    ternary_share: float = Field(0.5, gt=0, lt=1, description="split: share of the budget before the split")
    teacher: Literal["reference", "given"] = Field(
        "reference", description="what distillation follows; the given model is as wide as what is trained"
    )
    delay: float = Field(
        0.0, ge=0, lt=1, description="scheme 'operands': share of the training before anything is rounded"
    )
    percentile: float = Field(99.9, gt=50, le=100, description="share of the values below the range's end, in percent")
    clip: float = Field(2.5, gt=0, description="the end of the range 'clip'")
    allocation: Annotated[str, known(ALLOCATIONS)] = Field("constant", description="how each matrix gets its bits")
    role_bits: dict[Target, Annotated[int, Field(ge=1, le=8)]] = Field(
        {}, description="bits of single roles, in place of `bits`"
    )
    choices: Annotated[tuple[Annotated[int, Field(ge=1, le=8)], ...], Listed] = Field(
        (2, 3), min_length=1, description="hessian: the bits that a layer may get"
    )
    average_bits: float | None = Field(None, gt=0, le=8, description="hessian: most bits of a weight on average")
    size_share: float | None = Field(
        None, gt=0, lt=1, description="hessian: most bytes with scales and the like, as a share of 32-bit floats"
    )
    per: Literal["layer", "matrix"] = Field("layer", description="hessian: what gets bits as one")
    shards: int = Field(10, ge=2, description="hessian: shards of the examples, over which curvature is averaged")
    iterations: int = Field(20, ge=1, description="hessian: most Hessian-vector products a shard and layer")
    examples: int = Field(256, ge=1, description="training examples that calibration or curvature looks at")
    budget: float = Field(
        0.0, ge=0, le=100, description="epochs on rounded numbers as a share of the suite's; 0 is none"
    )

    later: ClassVar[frozenset[str]] = frozenset(
        {
            *("grid", "granularity", "embedding_granularity", "groups", "bucket", "range", "activation_range"),
            *("percentile", "clip", "allocation", "role_bits", "choices", "average_bits", "size_share", "per"),
            *("shards", "iterations", "examples", "activation_bits", "activation_grid", "activation_span"),
            *("activation_momentum", "rest", "delay", *RefinedMethod.model_fields),
            *("split", "ternary_share", "teacher"),
        }
    )

    @model_validator(mode="after")
    def _arguments_fit_each_other(self) -> Quantize:
        refusal = MODES.get(self.scheme).refuses(self)
        if refusal:
            raise ValueError(refusal)
        grid = GRIDS.get(self.grid)
        widths = [self.bits, *self.role_bits.values(), *(self.choices if self.allocation == "hessian" else ())]
        for bits in widths:
            if bits not in grid.widths:
                raise ValueError(
                    f"bits = {bits}: codes of grid '{self.grid}' have {grid.widths.start} to {grid.widths.stop - 1}"
                )
        if not grid.ranged and self.range != "min-max":
            raise ValueError(f"range '{self.range}' is for grids of even steps, and grid '{self.grid}' fits itself")
        self._ranges_fit()
        if self.split and (self.scheme, self.grid, self.allocation) != ("weights", "ternary", "constant"):
            raise ValueError("split is for scheme 'weights' with grid 'ternary' and a constant allocation")
        budgets = [name for name in ("average_bits", "size_share") if getattr(self, name) is not None]
        if len(budgets) != (self.allocation == "hessian"):
            raise ValueError(
                f"allocation '{self.allocation}' with {' and '.join(budgets) or 'no budget'}: 'hessian', and only it, "
                "takes one of average_bits and size_share"
            )
        return self

    def _ranges_fit(self) -> None:
        if RANGES.get(self.range).moving:
            raise ValueError(f"range '{self.range}' follows batches of activations, and weights come in none")
        for name, grid in (("range", self.grid), ("activation_range", self.activation_grid)):
            chosen: str = getattr(self, name)
            if not RANGES.get(chosen).learned:
                continue
            if grid != "symmetric":
                raise ValueError(f"{name} '{chosen}' learns the step of a symmetric grid, found grid '{grid}'")
            if not self.budget:
                raise ValueError(f"{name} '{chosen}' is learned, and a budget of 0 trains nothing")

    def claims(self) -> frozenset[Saving]:
        """See `Method`: packed weights whose products stay in float claim no time."""
        return MODES.get(self.scheme).saves

    def compress(self, model: nn.Module, lab: Lab) -> nn.Module:
        """See `Method`.

        Raises:
            MethodError: a layer that is neither dense nor factorized in floating point, or a budget too small.
            ModelError: a role that the architecture does not have.
        """
        from bench.methods.quantizing.work import Work
        from bench.models.modules import copy_model

        quantized = copy_model(model)
        lab = replace(lab, reference=model) if self.teacher == "given" else lab
        MODES.get(self.scheme).apply(Work(model=quantized, method=self, lab=lab))
        return quantized.eval()
