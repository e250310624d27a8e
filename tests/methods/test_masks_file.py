"""Masks on disk are the masks in memory, at a bit each."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file

from bench.base.errors import ArtifactError
from bench.methods.prune.masks_file import load_masks, save_masks


def test_masks_come_back_bit_for_bit_whatever_their_shape(tmp_path):
    draws = torch.Generator().manual_seed(0)
    shapes = [(1,), (8,), (13,), (3, 5), (2, 3, 7), (0,)]
    masks = {f"layer.{index}": torch.rand(shape, generator=draws) > 0.5 for index, shape in enumerate(shapes)}
    save_masks(masks, tmp_path / "masks.safetensors")
    loaded = load_masks(tmp_path / "masks.safetensors")
    assert list(loaded) == list(masks)
    for name, mask in masks.items():
        assert loaded[name].dtype == torch.bool
        assert loaded[name].shape == mask.shape
        assert torch.equal(loaded[name], mask)


def test_a_mask_takes_a_bit_an_entry(tmp_path):
    path = tmp_path / "masks.safetensors"
    save_masks({"large": torch.ones(1000, 800, dtype=torch.bool)}, path)
    assert 100_000 <= path.stat().st_size < 100_500


def test_the_masks_of_a_pruning_make_the_same_model_again(make_lab, tiny_bert, tmp_path):
    from bench.methods.prune.prune import Prune
    from bench.methods.prune.run import Pruning

    first, second = (Pruning(tiny_bert(), Prune(sparsity=0.7, unit="head"), make_lab()) for _ in range(2))
    first.cut(0.7)
    save_masks(first.masks, tmp_path / "masks")
    second.keep(load_masks(tmp_path / "masks"))
    other = second.model.state_dict()
    assert first.sparsity > 0.5
    assert all(torch.equal(tensor, other[name]) for name, tensor in first.model.state_dict().items())


def test_another_file_is_refused(tmp_path):
    save_file({"weight": torch.ones(3)}, tmp_path / "weights", metadata={"format": "pt"})
    (tmp_path / "text").write_text("no tensors")
    with pytest.raises(ArtifactError, match="the format is 'pt', expected 'bench masks 1'"):
        load_masks(tmp_path / "weights")
    for name in ("text", "nothing"):
        with pytest.raises(ArtifactError, match="cannot be read as a mask file"):
            load_masks(tmp_path / name)
