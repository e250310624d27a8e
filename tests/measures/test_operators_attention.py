"""Closed forms of attention, written out, fused and inside torch's own layers."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional
from traced import traced


@pytest.mark.parametrize("how", ["eager", "sdpa"])
@pytest.mark.parametrize(
    ("queries", "keys", "key_width", "value_width"), [(7, 7, 8, 8), (7, 7, 8, 5), (7, 12, 8, 8), (1, 12, 4, 6)]
)
def test_attention_costs_both_products_whichever_way_it_runs(how, queries, keys, key_width, value_width):
    heads = 4

    def body(self, q, k, v):
        if how == "sdpa":
            return functional.scaled_dot_product_attention(q, k, v)
        return (q @ k.transpose(-1, -2) / key_width**0.5).softmax(-1) @ v

    q, k = torch.randn(2, heads, queries, key_width), torch.randn(2, heads, keys, key_width)
    found = traced(body, {"q": q, "k": k, "v": torch.randn(2, heads, keys, value_width)})
    assert found.macs == 2 * heads * queries * keys * (key_width + value_width)
    assert found.macs_effective() == found.macs


def test_attention_with_grouped_queries_costs_as_much_as_with_a_key_for_each():
    def body(self, q, k, v):
        return functional.scaled_dot_product_attention(q, k, v, enable_gqa=True)

    q, k = torch.randn(2, 8, 5, 4), torch.randn(2, 2, 9, 4)
    assert traced(body, {"q": q, "k": k, "v": k}).macs == 2 * 8 * 5 * 9 * (4 + 4)


def test_a_causal_mask_saves_nothing_by_the_convention():
    def body(self, q):
        return functional.scaled_dot_product_attention(q, q, q, is_causal=True)

    assert traced(body, {"q": torch.randn(1, 2, 6, 4)}).macs == 2 * 2 * 6 * 6 * 4


def attention_layer(queries, keys, *, width, key_width, value_width):
    """Projections of query, keys, values and output, and both products; batch 2."""
    projections = queries * width * 2 * width + keys * width * (key_width + value_width)
    return 2 * (projections + 2 * queries * keys * width)


@pytest.mark.parametrize("weights", [False, True])
@pytest.mark.parametrize(("key_width", "value_width"), [(8, 8), (6, 8), (6, 5)])
def test_multihead_attention_over_another_sequence_meets_its_closed_form(weights, key_width, value_width):
    layer = nn.MultiheadAttention(8, 2, kdim=key_width, vdim=value_width, batch_first=True)
    inputs = {"q": torch.randn(2, 7, 8), "k": torch.randn(2, 5, key_width), "v": torch.randn(2, 5, value_width)}
    found = traced(lambda self, q, k, v: self.layer(q, k, v, need_weights=weights)[0], inputs, layer=layer)
    assert found.macs == attention_layer(7, 5, width=8, key_width=key_width, value_width=value_width)
    assert found.uncounted == {}


def test_zeros_are_seen_in_a_matrix_of_which_each_call_uses_a_slice():
    layer = nn.MultiheadAttention(8, 2, batch_first=True)
    with torch.no_grad():
        layer.in_proj_weight[8:16] = 0  # the projection of the keys
    inputs = {"q": torch.randn(2, 7, 8), "k": torch.randn(2, 5, 8)}
    found = traced(lambda self, q, k: self.layer(q, k, k)[0], inputs, layer=layer)
    assert found.macs - found.macs_effective() == 2 * 5 * 8 * 8


def fused_layer(layer, x):
    """What `nn.TransformerEncoderLayer` calls on its fast path, which it leaves while hooks look on."""
    attention, norms = layer.self_attn, (layer.norm1, layer.norm2)
    return torch._transformer_encoder_layer_fwd(
        x,
        attention.embed_dim,
        attention.num_heads,
        attention.in_proj_weight,
        attention.in_proj_bias,
        attention.out_proj.weight,
        attention.out_proj.bias,
        False,
        False,
        layer.norm1.eps,
        *(tensor for norm in norms for tensor in (norm.weight, norm.bias)),
        *(tensor for linear in (layer.linear1, layer.linear2) for tensor in (linear.weight, linear.bias)),
    )


@pytest.mark.parametrize(
    ("fused", "fast_body", "slow_body"),
    [
        (
            "_native_multi_head_attention",
            lambda self, x: self.layer.self_attn(x, x, x)[0],
            # Another object with the same content, so that the layer does not know query and key to be the same.
            lambda self, x: self.layer.self_attn(x, x.clone(), x.clone())[0],
        ),
        (
            "_transformer_encoder_layer_fwd",
            lambda self, x: fused_layer(self.layer, x),
            lambda self, x: self.layer.linear2(self.layer.linear1(self.layer.self_attn(x, x.clone(), x.clone())[0])),
        ),
    ],
)
def test_a_fused_call_costs_what_its_parts_cost(fused, fast_body, slow_body):
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    with torch.no_grad():
        for weight in layer.parameters():
            weight[weight < 0] = 0
    inputs = {"x": torch.randn(2, 7, 8)}
    fast, slow = (traced(body, inputs, layer=layer) for body in (fast_body, slow_body))
    assert list(fast.by_operator()) == [fused]
    assert fused not in slow.by_operator()
    ffn = 2 * 2 * 7 * 8 * 16 if "layer" in fused else 0
    assert fast.macs == slow.macs == attention_layer(7, 7, width=8, key_width=8, value_width=8) + ffn
    assert fast.macs_effective() == slow.macs_effective() < fast.macs
    assert fast.bops == slow.bops
    assert fast.coverage == slow.coverage == 1.0


def test_a_stack_of_torchs_own_encoder_layers_meets_its_closed_form():
    stack = nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), 3)
    found = traced(lambda self, x: self.stack(x), {"x": torch.randn(2, 7, 8)}, stack=stack)
    assert found.macs == 3 * (attention_layer(7, 7, width=8, key_width=8, value_width=8) + 2 * 2 * 7 * 8 * 16)
    assert found.coverage == 1.0


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
def test_torchs_encoder_runs_padded_batches_on_nested_tensors_and_is_then_not_covered():
    stack = nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), 2)
    padding = torch.tensor([[False] * 7, [False] * 4 + [True] * 3])
    found = traced(
        lambda self, x, padding: self.stack(x, src_key_padding_mask=padding),
        {"x": torch.randn(2, 7, 8), "padding": padding},
        stack=stack,
    )
    assert found.coverage < 1
    assert "aten::_nested_tensor_from_mask" in found.uncounted
