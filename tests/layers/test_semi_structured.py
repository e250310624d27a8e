"""Two of each four: packing bit for bit, refusals, dense execution without the kernels and sparse with them."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from bench.base.errors import MethodError
from bench.layers import semi_structured
from bench.layers.semi_structured import Packed, SemiStructuredLinear, crowded, lacking, pack, unpack
from bench.measures.storage.theory import claimed_bytes, resident_bytes, theoretical_bytes


def normal(*shape, seed=0, scale=1.0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) * scale


def two_of_four(rows, columns, *, dtype=torch.float32, seed=0, scale=0.05):
    """The two largest magnitudes of each four stay."""
    groups = normal(rows, columns // 4, 4, seed=seed, scale=scale).to(dtype)
    kept = torch.zeros_like(groups, dtype=torch.bool).scatter(-1, groups.abs().float().topk(2).indices, True)
    return torch.where(kept, groups, torch.zeros((), dtype=dtype)).view(rows, columns)


def bits(tensor):
    return tensor.contiguous().view(torch.uint8)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("shape", [(8, 16), (5, 12), (1, 4), (3, 4)])
def test_unpacking_gives_back_every_bit(shape, dtype):
    weight = two_of_four(*shape, dtype=dtype)
    packed = pack(weight)
    assert torch.equal(bits(unpack(packed)), bits(weight))
    elements = shape[0] * shape[1]
    assert packed.values.numel() == elements // 2
    assert packed.positions.numel() == -(-elements // 8)


@pytest.mark.parametrize("places", [[], [0], [1], [2], [3], [0, 1], [0, 2], [0, 3], [1, 2], [1, 3], [2, 3]])
def test_every_pattern_of_at_most_two_in_four_survives(places):
    weight = torch.zeros(2, 8)
    weight[1, [4 + place for place in places]] = torch.tensor([1.5, -2.5])[: len(places)]
    assert torch.equal(unpack(pack(weight)), weight)


def test_positions_are_two_bits_each_the_first_lowest():
    packed = pack(torch.tensor([[0.0, 5.0, 0.0, 6.0, 7.0, 0.0, 8.0, 0.0]]))
    assert packed.values.tolist() == [[5.0, 6.0, 7.0, 8.0]]
    assert packed.positions.tolist() == [1 | 3 << 2 | 0 << 4 | 2 << 6]
    assert unpack(Packed(packed.values, packed.positions)).tolist() == [[0, 5, 0, 6, 7, 0, 8, 0]]


def test_three_in_a_group_of_four_are_refused_and_counted():
    weight = two_of_four(4, 8)
    weight[2, :4], weight[0, 4:7] = 1.0, 1.0
    assert crowded(weight) == 2
    with pytest.raises(MethodError, match="m: 2 of 8 groups of 4 have more than 2 nonzero weights"):
        pack(weight, where="m")
    with pytest.raises(MethodError, match="Prune to 2:4 first"):
        SemiStructuredLinear.from_dense(weight, None)


def test_rows_that_are_no_groups_of_four_and_weights_beyond_half_precision_are_refused():
    with pytest.raises(MethodError, match="cannot be split into groups of 4"):
        pack(torch.zeros(4, 6))
    with pytest.raises(MethodError, match="multiple of 4"):
        SemiStructuredLinear(6, 4)
    with pytest.raises(MethodError, match="does not fit float16"):
        SemiStructuredLinear.from_dense(torch.tensor([[1e5, 0, 0, 0]]), None)


def test_bytes_are_nine_sixteenths_of_the_dense_half_precision_matrix():
    layer = SemiStructuredLinear.from_dense(two_of_four(64, 128), None)
    layer(normal(2, 128))
    dense = 2 * 64 * 128
    assert resident_bytes(layer) == theoretical_bytes(layer) == dense * 9 // 16
    assert claimed_bytes(layer) == dense // 2


@pytest.mark.parametrize("shape", [(3, 32), (2, 5, 32), (1, 32), (0, 32)])
@pytest.mark.parametrize("bias", [True, False])
def test_without_kernels_the_masked_matrix_is_multiplied_dense_and_the_layer_says_so(shape, bias):
    weight, shift = two_of_four(16, 32), normal(16) if bias else None
    layer, inputs = SemiStructuredLinear.from_dense(weight, shift), normal(*shape, seed=2)
    assert torch.equal(layer(inputs), functional.linear(inputs, weight.half().float(), shift))
    assert layer.kernel == "dequantized"
    assert layer.macs(10) == 10 * 16 * 32
    assert [int(tensor.count_nonzero()) for tensor in layer.multiplied()] == [16 * 16]


def test_on_sparse_tensor_cores_half_of_the_products_are_executed_all_with_a_weight(monkeypatch):
    monkeypatch.setattr(semi_structured, "lacking", lambda device: None)
    layer = SemiStructuredLinear.from_dense(two_of_four(16, 32), None)
    assert layer.kernel == "cusparselt 2:4"
    assert layer.macs(10) == 10 * 16 * 32 // 2
    assert [int(tensor.count_nonzero()) for tensor in layer.multiplied()] == [16 * 16]
    # A side that the library has no kernel for.
    assert SemiStructuredLinear.from_dense(two_of_four(16, 24), None).kernel == "dequantized"


def test_what_a_device_lacks_is_named(monkeypatch):
    assert lacking("cpu") == "a CUDA device of compute capability 8.0 or later (this is 'cpu')"
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 5))
    assert lacking("cuda") == "compute capability 8.0 or later (this GPU has 7.5)"
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    monkeypatch.setattr(torch.backends.cusparselt, "is_available", lambda: False)
    assert lacking("cuda") == "a build of torch with cuSPARSELt"


def test_training_through_the_layer_is_refused():
    layer, inputs = SemiStructuredLinear.from_dense(two_of_four(8, 16), None), normal(2, 16).requires_grad_()
    assert not layer.eval()(inputs).requires_grad
    with pytest.raises(MethodError, match="sparsify in the last stage"):
        layer.train()(inputs)


@pytest.mark.cuda
@pytest.mark.parametrize("shape", [(128, 384), (1, 384), (2, 17, 384)])
def test_the_sparse_product_is_that_of_the_masked_dense_layer_in_half_precision(shape):
    missing = lacking("cuda") if torch.cuda.is_available() else lacking("cpu")
    if missing:
        pytest.skip(f"2:4 kernels need {missing}")
    weight, shift = two_of_four(1536, 384), normal(1536)
    layer = SemiStructuredLinear.from_dense(weight, shift).cuda()
    assert layer.kernel == "cusparselt 2:4"
    with torch.inference_mode():
        found = layer(normal(*shape, seed=2).cuda())
    expected = functional.linear(normal(*shape, seed=2), weight, shift)
    assert found.dtype == torch.float32
    assert torch.allclose(found.cpu(), expected, atol=2e-2, rtol=1e-2)
