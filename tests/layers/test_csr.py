"""Compressed sparse rows: equal to the masked dense layer, nothing dense kept, nothing but the stored weights run."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys

import pytest
import torch
from torch.nn import functional

from bench.base.errors import MethodError
from bench.layers.csr import CsrLinear
from bench.measures.storage.theory import claimed_bytes, resident_bytes, theoretical_bytes


def normal(*shape, seed=0, scale=1.0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) * scale


def sparse(rows, columns, *, density, block=1, seed=0):
    """Weights of which about `density` are not zero, in whole blocks."""
    generator = torch.Generator().manual_seed(seed + 1)
    kept = torch.rand(rows // block, columns // block, generator=generator) < density
    mask = kept.repeat_interleave(block, 0).repeat_interleave(block, 1)
    return torch.where(mask, normal(rows, columns, seed=seed, scale=0.05), torch.zeros(()))


@pytest.mark.parametrize("shape", [(1, 48), (7, 48), (2, 5, 48), (0, 48)])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("density", "block"), [(0.0, 1), (0.1, 1), (1.0, 1), (0.3, 4), (0.0, 4), (0.3, 16)])
def test_the_product_is_that_of_the_masked_dense_layer(shape, bias, density, block):
    weight, shift = sparse(32, 48, density=density, block=block), normal(32, seed=3) if bias else None
    layer, inputs = CsrLinear.from_dense(weight, shift, block=block), normal(*shape, seed=4)
    found = layer(inputs)
    assert torch.allclose(found, functional.linear(inputs, weight, shift), atol=1e-5, rtol=0)
    assert found.is_contiguous()
    assert torch.equal(layer.dense(), weight)


def test_the_buffers_are_those_of_torchs_own_conversion():
    weight = sparse(32, 48, density=0.2)
    layer, theirs = CsrLinear.from_dense(weight, None), weight.to_sparse_csr()
    assert torch.equal(layer.weight, theirs.values())
    assert torch.equal(layer.columns.long(), theirs.col_indices())
    assert torch.equal(layer.row_starts.long(), theirs.crow_indices())


def test_zeros_inside_a_stored_block_are_stored_and_multiplied_and_negative_zeros_outside_are_not():
    weight = torch.zeros(4, 8)
    weight[0, 0], weight[3, 7] = 1.0, -0.0
    assert CsrLinear.from_dense(weight, None).macs(3) == 3
    blocks = CsrLinear.from_dense(weight, None, block=4)
    assert (blocks.macs(3), blocks.density) == (3 * 16, 0.5)


def test_bytes_are_four_a_weight_four_an_index_and_four_a_row_and_no_dense_copy_is_kept():
    weight = sparse(200, 300, density=0.1)
    layer, stored = CsrLinear.from_dense(weight, normal(200)), int(weight.count_nonzero())
    expected = 8 * stored + 4 * 201 + 4 * 200
    layer(normal(2, 300))
    assert resident_bytes(layer) == theoretical_bytes(layer) == expected
    assert claimed_bytes(layer) == 4 * stored + 4 * 200
    held = [value for value in vars(layer).values() if isinstance(value, torch.Tensor)]
    assert [tensor.layout for tensor in held] == [torch.sparse_csr]
    assert held[0].values().data_ptr() == layer.weight.data_ptr()
    assert held[0].col_indices().data_ptr() == layer.columns.data_ptr()


def test_a_layer_of_blocks_needs_an_index_a_block():
    weight = sparse(64, 64, density=0.2, block=8)
    layer, blocks = CsrLinear.from_dense(weight, None, block=8), int(weight.count_nonzero()) // 64
    assert resident_bytes(layer) == 4 * 64 * blocks + 4 * blocks + 4 * 9


@pytest.mark.parametrize("copier", [copy.deepcopy, lambda layer: pickle.loads(pickle.dumps(layer))])
def test_a_used_layer_can_be_copied_and_the_copy_is_its_own(copier):
    layer, inputs = CsrLinear.from_dense(sparse(8, 16, density=0.5), normal(8)), normal(4, 16, seed=4)
    before = layer(inputs)
    copied = copier(layer)
    assert torch.equal(copied(inputs), before)
    copied.load_state_dict({**copied.state_dict(), "weight": torch.zeros_like(layer.weight)})
    assert torch.equal(copied(inputs), layer.bias.expand(4, 8))
    assert torch.equal(layer(inputs), before)


def test_inputs_of_half_precision_keep_their_dtype():
    layer, inputs = CsrLinear.from_dense(sparse(8, 16, density=0.5), None), normal(4, 16)
    assert torch.allclose(layer(inputs.half()).float(), layer(inputs), atol=2e-3)
    assert layer(inputs.half()).dtype == torch.float16


def test_indices_out_of_range_are_found_before_a_kernel_reads_them():
    layer = CsrLinear.from_dense(sparse(8, 16, density=0.5), None)
    layer.columns = layer.columns + 16
    with pytest.raises(RuntimeError, match="col_indices"):
        layer(normal(2, 16))


def test_training_through_the_layer_is_refused():
    layer, inputs = CsrLinear.from_dense(sparse(8, 16, density=0.5), None), normal(2, 16).requires_grad_()
    assert not layer.eval()(inputs).requires_grad
    with pytest.raises(MethodError, match="sparsify in the last stage"):
        layer.train()(inputs)


def test_blocks_that_do_not_divide_the_matrix_and_too_many_of_them_are_refused():
    with pytest.raises(MethodError, match="do not divide a matrix of 8 x 18"):
        CsrLinear.from_dense(torch.ones(8, 18), None, block=4)
    with pytest.raises(MethodError, match="do not divide"):
        CsrLinear(16, 8, 1, block=0)
    with pytest.raises(MethodError, match="9 blocks of 4 x 4 do not fit into 8 x 16"):
        CsrLinear(16, 8, 9, block=4)


@pytest.mark.parametrize("block", [1, 2])
def test_torchs_notice_that_the_layout_is_beta_is_kept_from_the_user(block):
    code = (
        "import torch, warnings; warnings.simplefilter('error')\n"
        "from bench.layers.csr import CsrLinear\n"
        f"CsrLinear.from_dense(torch.eye(4), None, block={block})(torch.ones(3, 4))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
