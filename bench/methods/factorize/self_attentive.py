"""The solver that replaces word embeddings by narrow tables with a small Transformer layer: SAFE."""

from __future__ import annotations

from typing import TYPE_CHECKING

from typing_extensions import override

from bench.base.errors import MethodError
from bench.methods.factorize.solver import SOLVERS, Factorization, Solver, only

if TYPE_CHECKING:
    from torch import nn

    from bench.layers.safe_embedding import SafeEmbedding
    from bench.methods.factorize.sites import EmbeddingSite

_HEAD_WIDTH = 64  # the authors' code has heads of 64, or ten of them if the width is no multiple
_OTHER_HEADS = 10


@SOLVERS.register("self-attentive")
class SelfAttentive(Solver):
    """Each table [V, d] becomes a `SafeEmbedding` of width r with fresh weights (Reid et al. 2021, §3.2).

    If encoder and decoder share a table, they still do; each has its own layer, and the decoder's is causal. A
    tied softmax becomes d -> r and then the same table. The new weights are random, so train the model.
    """

    @override
    def seeded(self) -> bool:
        """True: its weights are drawn."""
        return True

    @override
    def apply(self, work: Factorization) -> None:
        """Raises `MethodError` if the embedding is not a target, or if the new form has more weights."""
        import torch

        from bench.methods.factorize.sites import embedding_sites

        only(work.targets, ("embedding",), where="factorize: solver self-attentive")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(work.lab.seed)
            for site in embedding_sites(work.model):
                rank = work.ranks.of_width(site.weight.shape[1], where="factorize: solver self-attentive")
                _replace(work, site, rank)


def _replace(work: Factorization, site: EmbeddingSite, rank: int) -> None:
    import torch
    from torch import nn

    from bench.layers.sharing import replace_everywhere
    from bench.methods.factorize.sites import tied_softmax

    made: dict[bool, SafeEmbedding] = {}  # one of each kind: a table that no half reads, only held, is the encoder's
    for embedding in site.embeddings:
        causal = _in_decoder(work.model, embedding)
        if causal not in made:
            made[causal] = _fresh(embedding, rank, causal=causal).to(embedding.weight)
        replace_everywhere(work.model, embedding, made[causal].train(embedding.training))
    first, *others = made.values()
    for layer in others:
        layer.table = first.table
    new = sum(parameter.numel() for parameter in nn.ModuleList(made.values()).parameters())
    if site.tied is not None:
        width = site.weight.shape[1]
        narrowing = torch.empty(rank, width)
        nn.init.xavier_uniform_(narrowing)
        softmax = tied_softmax(site.tied, first.table, narrowing.to(site.weight))
        replace_everywhere(work.model, site.tied, softmax)
        new += narrowing.numel()
    if new >= site.weight.numel():
        raise MethodError(
            f"factorize: {site.name}: rank {rank} turns {site.weight.numel()} weights into {new}, which saves nothing. "
            f"Give a lower rank: a table [{site.weight.shape[0]}, rank] and a layer of its width must be smaller."
        )


def _fresh(embedding: nn.Embedding, rank: int, *, causal: bool) -> SafeEmbedding:
    """The new embedding, its outputs at the scale of the rows that it replaces."""
    import torch

    from bench.layers.safe_embedding import SafeEmbedding

    layer = SafeEmbedding(
        embedding.num_embeddings,
        embedding.embedding_dim,
        rank,
        heads=_heads(rank),
        causal=causal,
        padding_idx=embedding.padding_idx,
    )
    layer.reset()
    with torch.no_grad():
        layer.final_norm.weight.fill_(float(embedding.weight.std()))
    return layer


def _heads(rank: int) -> int:
    if rank % _HEAD_WIDTH == 0:
        return rank // _HEAD_WIDTH
    return _OTHER_HEADS if rank % _OTHER_HEADS == 0 else 1


def _in_decoder(model: nn.Module, embedding: nn.Embedding) -> bool:
    """Whether a decoder reads the embedding, which must then be causal."""
    from bench.models.adapter import adapter_for

    adapter = adapter_for(model)
    if "decoder" not in adapter.stacks(model):
        return False
    half = model.get_submodule(adapter.half_name(model, "decoder"))
    return any(module is embedding for module in half.modules())
