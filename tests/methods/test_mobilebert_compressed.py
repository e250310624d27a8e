"""Methods on MobileBERT, whose layers have bottlenecks and several feed-forward parts."""

from __future__ import annotations

import pytest
import torch
from families import make, outputs, same_outputs

from bench.artifacts import artifact
from bench.base.errors import MethodError
from bench.methods.factorize.factorize import Factorize
from bench.methods.prune.prune import Prune
from bench.methods.quantize.integer import Integer
from bench.methods.quantize.quantize import Quantize
from bench.methods.share.share import Share
from bench.methods.shrink.shrink import Shrink
from bench.models.roles import BOTTLENECK_ROLES, ROLES

WIDE, NARROW, LAYERS = 48, 32, 4


@pytest.fixture
def model():
    return make("mobilebert", labels=2)


def count(model) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


COMPRESSED = {
    "pruned": Prune(sparsity=0.5, scope="layer", budget=0),
    "heads": Prune(sparsity=0.25, unit="head", budget=0),
    "neurons": Prune(sparsity=0.25, unit="neuron", budget=0),
    "shallow": Shrink(depth=2),
    "shared": Share(budget=0),
    "bottlenecks": Share(parts="bottleneck+norms", budget=0),
    "int8": Quantize(targets=(*ROLES, *BOTTLENECK_ROLES)),
    "low-rank": Factorize(ratio=0.25, budget=0),
}


@pytest.mark.parametrize("name", COMPRESSED)
def test_every_compressed_form_is_stored_and_loaded_bit_for_bit(name, model, make_lab, tmp_path, tokenizer):
    compressed = COMPRESSED[name].compress(model, make_lab(model))
    artifact.save(compressed, tmp_path / "a", tokenizer=tokenizer)
    assert same_outputs(artifact.load(tmp_path / "a").model, compressed)
    assert torch.isfinite(outputs(compressed)[0]).all()


def test_sharing_bottlenecks_stores_them_once(model, make_lab):
    shared = Share(parts="bottleneck", budget=0).compress(model, make_lab(model))
    assert count(model) - count(shared) == (LAYERS - 1) * (3 * WIDE * NARROW + 2 * NARROW + WIDE)


def test_integer_only_layers_refuse_it(model, make_lab):
    with pytest.raises(MethodError, match="is not an encoder layer of six matrices and two norms"):
        Integer(examples=8).compress(model, make_lab(model))
