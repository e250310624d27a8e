from __future__ import annotations

import pytest
import torch

from bench.base.errors import MethodError
from bench.layers.safe_embedding import SafeEmbedding

V, D, R = 40, 24, 8


def made(*, causal=False, padding=0):
    torch.manual_seed(3)
    layer = SafeEmbedding(V, D, R, heads=2, causal=causal, padding_idx=padding)
    layer.reset()
    return layer.eval()


def test_its_weights_are_v_r_plus_a_small_layer():
    attention, norms = 4 * (R * R + R), 2 * R + 2 * D
    ffn = R * R + R + R * D + D
    assert sum(parameter.numel() for parameter in made().parameters()) == V * R + attention + norms + ffn


def test_a_row_depends_on_the_words_around_it_and_in_a_decoder_on_none_after_it():
    before, after = torch.tensor([[5, 6, 7, 8]]), torch.tensor([[5, 6, 9, 10]])
    assert not torch.allclose(made()(before)[:, :2], made()(after)[:, :2])
    causal = made(causal=True)
    torch.testing.assert_close(causal(before)[:, :2], causal(after)[:, :2], rtol=0, atol=1e-6)
    assert not torch.allclose(causal(before)[:, 2:], causal(after)[:, 2:])


def test_padding_has_no_effect_on_real_words():
    layer = made()
    torch.testing.assert_close(
        layer(torch.tensor([[5, 6, 7, 0, 0]]))[:, :3], layer(torch.tensor([[5, 6, 7]])), rtol=1e-5, atol=1e-6
    )


def test_the_same_word_differs_by_its_position():
    rows = made()(torch.tensor([[5, 5, 5]]))[0]
    assert not torch.allclose(rows[0], rows[1], atol=1e-3)


def test_the_table_starts_with_the_published_deviation_and_padding_at_zero():
    torch.manual_seed(0)
    layer = SafeEmbedding(4000, 64, 16, padding_idx=0)
    layer.reset()
    assert layer.table.weight[1:].std().item() == pytest.approx(64**-0.5, rel=0.02)
    assert layer.table.weight[0].abs().max() == 0


def test_a_width_that_its_heads_do_not_divide_is_refused():
    with pytest.raises(MethodError, match="multiple of its 3 heads"):
        SafeEmbedding(V, D, 8, heads=3)
