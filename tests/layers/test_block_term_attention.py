from __future__ import annotations

import itertools

import pytest
import torch

from bench.base.errors import MethodError
from bench.layers.block_term_attention import BlockTermAttention, block_term

WIDTH, RANK, LENGTH = 32, 5, 6


def made(*, causal=False, own_output=True, cores=2):
    torch.manual_seed(1)
    return BlockTermAttention(WIDTH, RANK, cores, LENGTH, causal=causal, own_output=own_output).eval()


def states(length=LENGTH, seed=2):
    return torch.randn(2, length, WIDTH, generator=torch.Generator().manual_seed(seed))


def test_the_tensor_is_the_naive_triple_loop():
    torch.manual_seed(0)
    query, key, value, core = (
        torch.randn(2, 3, RANK),
        torch.randn(2, 4, RANK),
        torch.randn(2, 4, RANK),
        torch.rand(RANK),
    )
    found = block_term(query, key, value, core)
    assert found.shape == (2, 3, 4, 4)
    for batch, i, j, k in itertools.product(range(2), range(3), range(4), range(4)):
        expected = sum(core[r] * query[batch, i, r] * key[batch, j, r] * value[batch, k, r] for r in range(RANK))
        assert found[batch, i, j, k].item() == pytest.approx(expected.item(), abs=1e-5)


def test_cores_start_as_shares_and_their_mean_is_one_core():
    several, one = made(cores=3), made(cores=1)
    assert torch.allclose(several.core.sum(dim=-1), torch.ones(3))
    one.load_state_dict({**several.state_dict(), "core": several.core.detach().mean(dim=0, keepdim=True)})
    torch.testing.assert_close(several(states())[0], one(states())[0])


@pytest.mark.parametrize("own_output", [True, False])
def test_with_the_causal_mask_a_position_does_not_depend_on_later_ones_and_without_it_does(own_output):
    before, after = states(), states()
    after[:, 4:] += 1.0
    causal, open_ = made(causal=True, own_output=own_output), made(own_output=own_output)
    first, second = causal(before)[0], causal(after)[0]
    assert torch.equal(first[:, :4], second[:, :4])
    assert not torch.allclose(first[:, 4:], second[:, 4:])
    assert not torch.allclose(open_(before)[0][:, :4], open_(after)[0][:, :4])


@pytest.mark.parametrize("additive", [True, False])
def test_padding_has_no_effect_on_what_is_real(additive):
    layer, long = made(), states()
    seen = torch.tensor([1, 1, 1, 1, 0, 0]).bool()[None, None, None, :].expand(2, 1, LENGTH, LENGTH)
    mask = torch.zeros(seen.shape).masked_fill(~seen, torch.finfo(torch.float32).min) if additive else seen
    padded = layer(long, attention_mask=mask)[0][:, :4]
    torch.testing.assert_close(padded, layer(long[:, :4])[0], rtol=1e-5, atol=1e-6)


def test_it_has_fewer_weights_than_multi_head_attention_of_the_same_width():
    layer = made()
    weights = sum(parameter.numel() for parameter in layer.parameters())
    assert weights == 3 * WIDTH * RANK + 2 * RANK + LENGTH**2 * WIDTH < 4 * WIDTH**2


def test_more_positions_than_it_was_built_for_are_refused():
    with pytest.raises(MethodError, match="built for 6 positions, found 7"):
        made()(states(7))


def test_a_step_with_cached_keys_and_values_gives_what_the_whole_sequence_gives():
    from transformers import DynamicCache

    layer, whole, cache = made(causal=True), states(), DynamicCache()
    layer.layer_idx = 0
    steps = [layer(whole[:, [step]], past_key_values=cache)[0] for step in range(LENGTH)]
    torch.testing.assert_close(torch.cat(steps, dim=1), layer(whole)[0], rtol=1e-5, atol=1e-6)
