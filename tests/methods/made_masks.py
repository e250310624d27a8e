"""Tiny models of every architecture with attention, heads and neurons masked by hand, and what that saves."""

from __future__ import annotations

import architectures
import families

WIDTH, FFN, HEADS, HEAD = 32, 64, 4, 8
ENCODERS = families.FAMILIES
TRANSLATORS = ("marian", "encoder-decoder")
EVERY = (*ENCODERS, *TRANSLATORS)
SOURCE, TARGET = 7, 5
ROLES = {
    "attention": ("query", "key", "value", "attention_output"),
    "cross_attention": ("cross_query", "cross_key", "cross_value", "cross_output"),
}
# Layer 0 loses some of everything, layer 1 its whole attention, and what it has of cross-attention and MLP.
DEAD = {
    (0, "attention"): (1, 2),
    (0, "cross_attention"): (0, 3),
    (0, "ffn"): tuple(range(5, 50)),
    (1, "attention"): tuple(range(HEADS)),
    (1, "cross_attention"): tuple(range(HEADS)),
    (1, "ffn"): tuple(range(FFN)),
}


def made(name, **settings):
    """A model with every tensor drawn from N(0, 0.2)."""
    return families.make(name, **settings) if name in ENCODERS else architectures.make_model(name, **settings)


def outputs(model, name):
    """Every output tensor on a fixed padded batch."""
    return families.outputs(model) if name in ENCODERS else architectures.run(model, name)


def distance(one, other, name):
    """The largest difference of any output."""
    pairs = list(zip(outputs(one, name), outputs(other, name), strict=True))
    assert pairs
    return max((left - right).abs().max().item() for left, right in pairs)


def matrices(model):
    """Each block's matrices by stack, stored layer and role."""
    from bench.models.adapter import adapter_for

    found = {}
    for block in adapter_for(model).blocks(model):
        for role, name in block.names.items():
            found[block.stack, block.layer, role] = block.module.get_submodule(name)
    return found


def masked(model, dead=None):
    """`model` with the units of `dead` zeroed, in place, each in one of the ways that make it add nothing.

    Even heads lose their values and value biases, odd ones their columns; even neurons lose their row and keep their
    bias, odd ones lose their column.
    """
    import torch

    from bench.models.adapter import adapter_for

    found = matrices(model)
    values = 2 * HEADS * HEAD if adapter_for(model).fused else 0  # where they begin among the giver's rows
    with torch.no_grad():
        for stack in dict.fromkeys(key[0] for key in found):
            for (layer, part), units in (DEAD if dead is None else dead).items():
                if part == "ffn":
                    giver, taker, width = found.get((stack, layer, "ffn_in")), (stack, layer, "ffn_out"), 1
                else:
                    _, _, value, output = ROLES[part]
                    giver, taker, width = found.get((stack, layer, value)), (stack, layer, output), HEAD
                for unit in units if giver is not None else ():
                    cells = slice(unit * width, (unit + 1) * width)
                    rows = slice(cells.start + values, cells.stop + values) if part != "ffn" else cells
                    if unit % 2:
                        found[taker].weight[:, cells] = 0
                    else:
                        giver.weight[rows] = 0
                        if part != "ffn" and giver.bias is not None:
                            giver.bias[rows] = 0
    return model


def present(model):
    """Units that `masked` zeroes, by stack, layer and part."""
    keys = {(stack, layer) for stack, layer, _ in matrices(model)}
    cross = {key[:2] for key in matrices(model) if key[2] == "cross_query"}
    return {
        (stack, layer, part): len(units)
        for (number, part), units in DEAD.items()
        for stack, layer in keys
        if layer == number and (part != "cross_attention" or (stack, layer) in cross)
    }


def parameters(model):
    """Stored parameters, each once."""
    return sum(parameter.numel() for parameter in model.parameters())


def saved_parameters(model):
    """4 H d and 3 d biases a head, 2 H + 1 a neuron; a gated MLP without biases has 3 H a neuron."""
    from bench.models.adapter import adapter_for

    gated = adapter_for(model).gated
    head, neuron = 4 * WIDTH * HEAD + (0 if gated else 3 * HEAD), 3 * WIDTH if gated else 2 * WIDTH + 1
    return sum(count * (neuron if part == "ffn" else head) for (_, _, part), count in present(model).items())


def saved_macs(model, name):
    """A head: two maps over the queries, two over the keys, both products. A neuron: its row and its column.

    A head of DeBERTa also maps all distances to a query and a key, and multiplies both with the tokens' keys and
    queries. A gated neuron has two rows.
    """
    from bench.models.adapter import adapter_for

    adapter = adapter_for(model)
    runs = len(adapter.layers(model)) if name == "albert" else 1
    total = 0
    for (stack, _, part), count in present(model).items():
        queries = TARGET if stack == "decoder" else SOURCE
        keys = SOURCE if part == "cross_attention" else queries
        head = 2 * (queries + keys) * WIDTH * HEAD + 2 * queries * keys * HEAD
        if name == "deberta-v2":
            distances = 2 * model.config.position_buckets
            head += 2 * distances * WIDTH * HEAD + 2 * queries * distances * HEAD
        total += runs * count * ((3 if adapter.gated else 2) * queries * WIDTH if part == "ffn" else head)
    return total


def one_example(name):
    """Inputs of one example: a source of SOURCE tokens and, of a translator, a target of TARGET."""
    import torch

    ids = torch.arange(5, 5 + SOURCE)[None]
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    return inputs if name in ENCODERS else {**inputs, "decoder_input_ids": torch.arange(5, 5 + TARGET)[None]}
