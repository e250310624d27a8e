"""Progressive module replacing: BERT-of-Theseus."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, ClassVar, Literal, get_args

from pydantic import Field, model_validator
from typing_extensions import override

from bench.base.errors import MethodError
from bench.methods.base.depth import student_depth
from bench.methods.base.method import METHODS, Lab
from bench.methods.base.trained import TrainedMethod
from bench.spec.saving import Saving

if TYPE_CHECKING:
    from torch import nn

    from bench.training.paths import Replaceable

Replaced = Literal["layer", "attention", "ffn"]
_UNITS = {"attention": "head", "ffn": "neuron"}
_ONLY = {"layer": ("layers",), "attention": ("ratio",), "ffn": ("ratio",)}


@METHODS.register("replace")
class Replace(TrainedMethod):
    """Train successors that replace parts of the given model with rising probability (Xu et al. 2020).

    With unit "layer", groups of N/M predecessor layers have one successor each, which starts as a copy of one of the
    first M layers. With "attention" or "ffn", every such part has a successor with a share `ratio` of its heads or
    neurons, those with the largest gate gradient (Michel et al. 2019). In every step each part runs its successor with
    probability p_t, see `ReplaceSchedule`; once p_t is 1 the successors are fine-tuned together. Only successors are
    trained: embeddings, pooler, head and predecessors are frozen. The result keeps only the successors.
    arXiv:2002.02925, §3.
    """

    saves: ClassVar[frozenset[Saving]] = frozenset({"bytes", "macs", "time"})

    unit: Replaced = Field("layer", description="what one successor stands for")
    layers: int | None = Field(
        None, ge=1, description="number of successor layers, a divisor of the depth; None is half the depth"
    )
    ratio: float = Field(
        0.5, gt=0, lt=1, description="share of its heads or neurons that a successor has, if unit is not 'layer'"
    )
    schedule: Literal["linear", "constant"] = Field(
        "linear", description="how the replacement rate changes until full_at: it rises to 1, or stays at start"
    )
    start: float = Field(0.3, ge=0, le=1, description="replacement rate at the first step (b)")
    full_at: float = Field(
        0.5, ge=0, le=1, description="share of the steps after which everything is replaced (sets k)"
    )
    budget: float = Field(1.0, gt=0, le=100, description="training epochs as a share of the suite's")

    @model_validator(mode="after")
    def _arguments_belong_to_the_unit(self) -> Replace:
        for unit in get_args(Replaced):
            for argument in _ONLY[unit]:
                if argument in self.model_fields_set and argument not in _ONLY[self.unit]:
                    default = type(self).model_fields[argument].default
                    if getattr(self, argument) != default:
                        raise ValueError(f"{argument} has no effect if unit is '{self.unit}'. Leave it out")
        return self

    @override
    def compress(self, model: nn.Module, lab: Lab) -> nn.Module:
        """Raises `MethodError` if the depth is not a multiple of the number of successors, or if one would be empty."""
        from bench.models.modules import copy_model
        from bench.training.paths import ReplaceSchedule, ReplacingHook

        replaced = copy_model(model).to(lab.device)
        replaced.requires_grad_(False).train()  # predecessors leave the model before training switches dropout on
        parts = self._layers(replaced) if self.unit == "layer" else self._modules(replaced, lab)
        parts.run([True] * parts.count)  # what is in the model when training begins is what is optimized
        schedule = ReplaceSchedule(start=self.start, full_at=self.full_at, constant=self.schedule == "constant")
        self.tune(replaced, lab, hooks=[ReplacingHook(parts, schedule=schedule, seed=lab.seed)])
        replaced.requires_grad_(True)  # a later stage may train everything
        return replaced

    def _layers(self, replaced: nn.Module) -> Replaceable:
        """Groups of layers, with copies of the first layers as successors."""
        from bench.models.adapter import adapter_for
        from bench.training.paths import ReplaceableLayers

        adapter = adapter_for(replaced)
        predecessors = adapter.layers(replaced)
        count = student_depth(self.layers, len(predecessors), where="replace")
        if len(predecessors) % count:
            raise MethodError(
                f"replace: {len(predecessors)} layers cannot form {count} groups of equal size. Set layers to one of "
                + ", ".join(
                    str(number) for number in range(1, len(predecessors) + 1) if len(predecessors) % number == 0
                )
                + "."
            )
        successors = copy.deepcopy(predecessors[:count])
        for successor in successors:
            successor.requires_grad_(True)
        size = len(predecessors) // count
        groups = [predecessors[start : start + size] for start in range(0, len(predecessors), size)]
        return ReplaceableLayers(replaced, adapter, groups, successors)

    def _modules(self, replaced: nn.Module, lab: Lab) -> Replaceable:
        """The matrices of every attention or feed-forward part, with those of a narrower model as successors."""
        from bench.methods.prune.prune import Prune
        from bench.methods.shrink.groups import groups
        from bench.methods.shrink.shrink import Shrink
        from bench.models.adapter import adapter_for
        from bench.models.modules import copy_model
        from bench.training.paths import ReplaceableModules

        adapter = adapter_for(replaced)
        predecessors = [group for group in groups(replaced, adapter) if group.part == self.unit]
        importance = {"unit": _UNITS[self.unit], "saliency": "gate-gradient", "scope": "layer", "budget": 0.0}
        pruning = Prune.model_validate({**importance, "sparsity": 1.0 - self.ratio})
        # gates need gradients, and predecessors must keep none
        pruned = pruning.compress(copy_model(replaced).requires_grad_(True).eval(), lab)
        narrow = Shrink().compress(pruned, lab).to(lab.device)
        named = {group.name: group for group in groups(narrow, adapter)}
        if lost := [group.name for group in predecessors if group.name not in named]:
            raise MethodError(f"replace: ratio {self.ratio:g} leaves nothing of {lost[0]}. Give a larger ratio.")
        successors = [named[group.name].modules for group in predecessors]
        for part in successors:
            for module in part:
                module.requires_grad_(True)
                module.train()
        return ReplaceableModules(replaced, [group.modules for group in predecessors], successors)
