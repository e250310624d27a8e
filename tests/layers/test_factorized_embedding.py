from __future__ import annotations

import pytest
import torch

from bench.base.errors import MethodError
from bench.layers.factorized import FactorizedEmbedding, decompose, truncated


def factors(table, rank):
    return (part.float() for part in truncated(decompose(table), rank))


def test_its_weights_are_v_e_plus_e_h_which_for_the_published_sizes_is_3_94_million():
    small = FactorizedEmbedding(50, 12, 5)
    assert sum(parameter.numel() for parameter in small.parameters()) == 50 * 5 + 5 * 12
    assert small.macs(7) == 7 * 5 * 12
    with torch.device("meta"):
        published = FactorizedEmbedding(30_000, 768, 128)
    assert sum(parameter.numel() for parameter in published.parameters()) == 3_938_304


def test_at_full_width_the_singular_value_start_gives_the_same_rows():
    torch.manual_seed(0)
    table, ids = torch.randn(50, 12), torch.tensor([[0, 3], [49, 3]])
    layer = FactorizedEmbedding.from_factors(*factors(table, 12), padding_idx=None)
    torch.testing.assert_close(layer(ids), table[ids], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(layer.dense(), table, rtol=1e-5, atol=1e-5)


def test_a_narrow_one_is_the_nearest_table_of_its_rank():
    torch.manual_seed(0)
    table = torch.randn(50, 12)
    layer = FactorizedEmbedding.from_factors(*factors(table, 4), padding_idx=None)
    dropped = torch.linalg.svdvals(table.double())[4:].square().sum().item()
    assert (table - layer.dense()).square().sum().item() == pytest.approx(dropped, rel=1e-4)


def test_a_rank_of_zero_is_refused():
    with pytest.raises(MethodError, match="at least 1"):
        FactorizedEmbedding(5, 4, 0)
