"""The solver that replaces self-attention by a block-term tensor: multi-linear attention."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pydantic import Field
from typing_extensions import override

from bench.base.errors import MethodError
from bench.methods.base.method import Target
from bench.methods.factorize.solver import SOLVERS, Factorization, Solver, only

if TYPE_CHECKING:
    from torch import nn

    from bench.methods.base.method import Lab

WHERE = "factorize: solver block-term"
ATTENTION: tuple[Target, ...] = ("query", "key", "value", "attention_output")


class _SelfAttention(NamedTuple):
    """One self-attention: `module` is called for it; `output` is its last matrix if that is outside of it."""

    name: str
    module: nn.Module
    output: nn.Module | None
    width: int
    causal: bool


@SOLVERS.register("block-term")
class BlockTerm(Solver):
    """Every self-attention becomes a `BlockTermAttention` of fresh weights (Ma et al. 2019, arXiv:1906.09777).

    Query, key, value and output are replaced together. The new weights are random, so train the model.
    """

    cores: int = Field(2, ge=1, description="number of cores that are averaged")
    length: int | None = Field(
        None, ge=1, description="maximum number of positions; None is the longest training input"
    )

    @override
    def seeded(self) -> bool:
        """True: its weights are drawn."""
        return True

    @override
    def apply(self, work: Factorization) -> None:
        """Raises `MethodError` for other targets, or a length at which nothing is saved."""
        import torch
        from torch import nn

        from bench.layers.block_term_attention import BlockTermAttention
        from bench.layers.sharing import replace_everywhere

        only(work.targets, ATTENTION, where=WHERE)
        length = self.length or _longest(work.lab)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(work.lab.seed)
            for place in _attentions(work.model):
                rank = work.ranks.of_width(place.width, where=WHERE)
                _refuse_what_saves_nothing(place, rank, self.cores, length)
                layer = BlockTermAttention(
                    place.width,
                    rank,
                    self.cores,
                    length,
                    causal=place.causal,
                    own_output=place.output is None,
                    layer_idx=getattr(place.module, "layer_idx", None),
                )
                like = next(place.module.parameters())
                replace_everywhere(work.model, place.module, layer.to(like).train(place.module.training))
                if place.output is not None:
                    dense = nn.Linear(length**2, place.width, bias=False).to(like)
                    replace_everywhere(work.model, place.output, dense)


def _attentions(model: nn.Module) -> list[_SelfAttention]:
    """Every self-attention of the model, each stored one once."""
    from torch import nn

    from bench.models.adapter import adapter_for

    adapter = adapter_for(model)
    names = {role: list(adapter.linears(model, (role,))) for role in ("query", "key", "value", "attention_output")}
    decoder = f"{adapter.stack_name(model, 'decoder')}." if "decoder" in adapter.stacks(model) else None
    found = []
    for query, key, value, output in zip(*names.values(), strict=True):
        parent = query.rpartition(".")[0]
        module = model.get_submodule(parent)
        inside = output.rpartition(".")[0] == parent
        expected = (query, key, value, output) if inside else (query, key, value)
        linears = [model.get_submodule(name) for name in expected]
        held = {id(tensor) for tensor in module.parameters()}
        if held != {id(tensor) for linear in linears for tensor in linear.parameters()}:
            raise MethodError(
                f"{WHERE}: {parent} ({type(module).__name__}) has more parts than its linear maps, or shares them, so "
                f"it cannot be replaced as a whole. Use an architecture whose attention is a separate, unshared module."
            )
        first = linears[0]
        if not isinstance(first, nn.Linear):
            raise MethodError(f"{WHERE}: {query} is a {type(first).__name__}. Replace attention before other stages.")
        outer = None if inside else model.get_submodule(output)
        causal = decoder is not None and query.startswith(decoder)
        found.append(_SelfAttention(parent, module, outer, first.in_features, causal))
    return found


def _longest(lab: Lab) -> int:
    """Tokens of the longest training input."""
    longest: int = max(feature.longest for feature in lab.features)
    return longest


def _refuse_what_saves_nothing(place: _SelfAttention, rank: int, cores: int, length: int) -> None:
    """3 d R + cores R + N^2 d must be below the 4 d^2 of the attention that it replaces (biases not counted)."""
    new, old = 3 * place.width * rank + cores * rank + length**2 * place.width, 4 * place.width**2
    if new >= old:
        room = 4 * place.width - 3 * rank - cores * rank / place.width
        even = f"fewer than {room**0.5:.1f} positions" if room > 0 else f"a rank below {4 * place.width / 3:.1f}"
        raise MethodError(
            f"{WHERE}: {place.name}: rank {rank} and {length} positions turn {old} weights into {new}, which saves "
            f"nothing: expected {even}. Shorten the suite's inputs, or give a lower rank or a wider model."
        )
