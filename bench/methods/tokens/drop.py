"""Fewer tokens: each layer drops those that others attend to least."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field, model_validator
from typing_extensions import override

from bench.base.errors import MethodError
from bench.methods.base.choice import Choice, Choices, Chosen
from bench.methods.base.method import METHODS, Lab
from bench.methods.base.trained import TrainedMethod
from bench.spec.saving import Saving

if TYPE_CHECKING:
    from torch import nn

    from bench.layers.tokens import TokenStack
    from bench.models.roles import AttentionPlaces


class TokenRule(Choice):
    """Which tokens a layer keeps, and how a model learns to do with them."""

    learns: ClassVar[bool] = True  # whether there is anything to get used to

    @abstractmethod
    def stack(self, places: AttentionPlaces, depth: int) -> TokenStack:
        """The empty stack that decides, for `depth` layers."""

    def train(self, method: DropTokens, model: nn.Module, lab: Lab, stack: TokenStack) -> None:
        """Train `model`, which has `stack`, in place: by default with all its decisions from the first step on."""
        del stack
        method.tune(model, lab)


TOKEN_RULES: Choices[TokenRule] = Choices("token rule", modules=(), group="bench.token_rules")


@TOKEN_RULES.register("top-k")
class TopK(TokenRule):
    """Keep a share of the tokens, those of highest score (PoWER-BERT: Goyal et al. 2020, arXiv:2001.08950).

    The share falls with the layers, to `keep` after the last one: linearly, or by the same factor each. The paper
    learns the counts per layer with a soft mask first, for one padded length; here they are given, as shares of each
    text's own length.
    """

    keep: float = Field(0.25, gt=0, le=1, description="share of the tokens that are left after the last layer")
    fall: Literal["linear", "geometric"] = Field("linear", description="how the share falls from layer to layer")

    @override
    def stack(self, places: AttentionPlaces, depth: int) -> TokenStack:
        from bench.layers.tokens import TopTokenStack

        done = [(layer + 1) / depth for layer in range(depth)]
        linear = self.fall == "linear"
        return TopTokenStack(*places, [1 - (1 - self.keep) * part if linear else self.keep**part for part in done])


@TOKEN_RULES.register("last-layer")
class LastLayer(TokenRule):
    """Keep every token up to the attention of the last layer, and only the first one after it.

    No output changes, because the answer is read from the first token alone, so nothing is trained.
    """

    learns: ClassVar[bool] = False

    @override
    def stack(self, places: AttentionPlaces, depth: int) -> TokenStack:
        from bench.layers.tokens import TopTokenStack

        return TopTokenStack(*places, [*[1.0] * (depth - 1), 0.0])


@TOKEN_RULES.register("threshold")
class Threshold(TokenRule):
    """Keep the tokens whose score reaches a threshold learned per layer (LTP: Kim et al. 2022, arXiv:2107.00910).

    Thresholds rise linearly with the layers at first, to `start` at the last one. For a share of the budget no token
    leaves: states are multiplied by a sigmoid, through which thresholds learn, and the mean factor is a term of the
    objective. Then thresholds are fixed, tokens leave, and the weights get used to it.
    """

    start: float = Field(0.01, ge=0, le=1, description="threshold of the last layer before training")
    temperature: float = Field(0.001, gt=0, le=10, description="of the sigmoid that stands for leaving")
    price: float = Field(0.1, ge=0, le=1000, description="weight of the mean share of kept tokens in the objective")
    soft: float = Field(0.5, ge=0, le=1, description="share of the budget in which thresholds are learned")

    @override
    def stack(self, places: AttentionPlaces, depth: int) -> TokenStack:
        import torch

        from bench.layers.tokens import TokenThresholdStack

        made = TokenThresholdStack(*places, depth, self.temperature)
        with torch.no_grad():
            made.thresholds.copy_(self.start * torch.arange(1, depth + 1) / depth)
        return made

    @override
    def train(self, method: DropTokens, model: nn.Module, lab: Lab, stack: TokenStack) -> None:
        from bench.layers.tokens import TokenThresholdStack
        from bench.training.tokens import TokenPrice

        if not isinstance(stack, TokenThresholdStack):
            raise TypeError(f"expected a stack with thresholds, found {type(stack).__name__}")
        stack.soft = True
        try:
            method.tune(model, lab, share=self.soft, terms=[(self.price, TokenPrice())] if self.price else [])
        finally:
            stack.soft = False
        stack.thresholds.requires_grad_(False)
        try:
            method.tune(model, lab, share=1 - self.soft)
        finally:
            stack.thresholds.requires_grad_(True)


@METHODS.register("drop-tokens")
class DropTokens(TrainedMethod):
    """Let each layer drop the tokens that others attend to least; see `TokenStack` for where and how.

    Nothing of the weights is saved. Time and multiply-adds fall with the tokens that are left, so most on long texts.
    Of a task with one answer per text the first token's state is enough, and it always stays.
    """

    saves: ClassVar[frozenset[Saving]] = frozenset({"macs", "time"})

    rule: Annotated[TokenRule, Chosen(TOKEN_RULES)] = Field(
        default_factory=TOKEN_RULES.default("top-k"), description="which tokens stay"
    )

    @model_validator(mode="after")
    def _states_are_not_compared(self) -> DropTokens:
        for name, term in self.terms.working.items():
            if term.what.layered:
                raise ValueError(
                    f"terms.{name} compares layers token by token, and tokens leave. Compare outputs, such as logits, "
                    f"or distil in a stage before this one"
                )
        return self

    @override
    def seeded(self) -> bool:
        """Without a budget, or with a rule that changes no output, nothing is trained."""
        return super().seeded() and self.rule.learns

    @override
    def compress(self, model: nn.Module, lab: Lab) -> nn.Module:
        """Raises `MethodError` if the model or the task cannot do without some tokens.

        It has more than a post-norm encoder that loops over a list of layers, has a stack of its own form already, or
        its task is not answered from the first token's state.
        """
        from bench.models.adapter import adapter_for
        from bench.models.modules import copy_model, replace_module

        made = copy_model(model)
        adapter = adapter_for(made)
        places = self._places(made, lab)
        layers = adapter.layers(made)
        stack = self.rule.stack(places, len(layers))
        stack.adopt(layers).to(next(made.parameters()).device)
        replace_module(made, adapter.stack_name(made), stack.train(made.training))
        if self.budget and self.rule.learns:
            self.rule.train(self, made, lab, stack)
        return made.eval()

    def _places(self, model: nn.Module, lab: Lab) -> AttentionPlaces:
        from bench.layers.layer import StoredStack
        from bench.models.adapter import adapter_for
        from bench.tasks.kinds.kind import KINDS

        name, kind, adapter = type(model).__name__, KINDS.get(lab.task.kind), adapter_for(model)
        if not kind.exits:
            raise MethodError(
                f"drop-tokens: a {kind.name} task needs all tokens: only kinds whose answer is read from the first "
                f"token's state of one input do not, which are "
                f"{', '.join(each for each, other in KINDS.items() if other.exits)}"
            )
        places = adapter.attention_places
        if (
            adapter.stacks(model) != ("encoder",)
            or not adapter.iterates
            or places is None
            or adapter.head_names(model) is None
        ):
            raise MethodError(
                f"drop-tokens: {name} cannot drop tokens: only an encoder that loops over a list of layers, each with "
                f"a norm after its attention, and that has a head on its first token, can"
            )
        if isinstance(model.get_submodule(adapter.stack_name(model)), StoredStack):
            raise MethodError(
                f"drop-tokens: the layers of this {name} are in another stored form already, such as one that halts, "
                f"exits or drops tokens; only one of these is possible"
            )
        return places
