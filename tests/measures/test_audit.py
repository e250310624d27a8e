"""The audit of a stage: what its model claims beside what it stores and executes."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from families import state
from torch import nn

from bench.artifacts import artifact
from bench.artifacts.manifest import Manifest, read_manifest, write_manifest
from bench.layers.int8 import Int8Linear
from bench.measures.audit.audit import audit
from bench.methods.base.method import METHODS
from bench.methods.exit.exits import ExitAt, TrainExits
from bench.methods.prune.prune import Prune
from bench.methods.quantize.quantize import Quantize
from bench.records.record import StageLog

# All that a method without a budget looks at.
UNTRAINED = SimpleNamespace(plan=SimpleNamespace(epochs=1.0), device="cpu", seed=0)
LENGTH, HIDDEN, FFN, LAYERS = 16, 32, 64, 4
ENCODER_WEIGHTS = LAYERS * (4 * HIDDEN**2 + 2 * HIDDEN * FFN)
LINEAR_MACS = LENGTH * ENCODER_WEIGHTS
MACS = LINEAR_MACS + 2 * LAYERS * LENGTH**2 * HIDDEN + HIDDEN * HIDDEN + HIDDEN * 2  # attention, pooler, head


@pytest.fixture
def audited(tmp_path, tokenizer):
    def run(model, saves=("bytes",)):
        return audit(model, saves=saves, tokenizer=tokenizer, scratch=tmp_path, length=LENGTH, device="cpu")

    return run


def test_real_bytes_are_those_that_saving_writes_and_nothing_is_left_behind(audited, tiny_bert, tmp_path, tokenizer):
    model = tiny_bert()
    before = state(model)
    found = audited(model)
    assert list(tmp_path.iterdir()) == []
    artifact.save(model, tmp_path / "a", tokenizer=tokenizer)
    assert found.real.bytes == artifact.size_bytes(tmp_path / "a")
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_zeros_are_claimed_in_bytes_and_macs_and_executed_all_the_same(audited, tiny_bert):
    dense = tiny_bert()
    pruned = Prune(sparsity=0.9, budget=0.0).compress(dense, UNTRAINED)
    one, other = audited(dense), audited(pruned)
    zeros = sum(int((tensor == 0).sum()) for tensor in pruned.parameters())
    elements = sum(tensor.numel() for tensor in pruned.parameters())
    assert other.claimed.bytes == 4 * (elements - zeros)
    assert one.real.macs == other.real.macs == one.claimed.macs == MACS
    assert other.claimed.macs == pytest.approx(MACS - 0.9 * LINEAR_MACS, rel=0.001)
    assert other.real.absent == {}


def test_narrow_weights_are_claimed_in_bytes_and_bit_operations(audited, tiny_bert):
    dense = tiny_bert()
    narrow = Quantize().compress(dense, UNTRAINED)
    one, other = audited(dense), audited(narrow)
    rounded_away = sum(int((layer.weight == 0).sum()) for layer in narrow.modules() if isinstance(layer, Int8Linear))
    assert one.claimed.bytes - other.claimed.bytes == 3 * ENCODER_WEIGHTS + rounded_away
    assert one.claimed.bops - other.claimed.bops == LINEAR_MACS * (32 * 32 - 8 * 8)
    assert other.real.stored_bytes_by_dtype["I8"] == ENCODER_WEIGHTS
    assert other.real.macs == MACS


def test_a_model_that_cannot_be_saved_or_counted_gives_reasons(audited, tiny_bert):
    class Odd(nn.Module):
        def __init__(self, inner):
            super().__init__()
            self.inner = inner

        def forward(self, x):
            return torch.fft.fft(self.inner(x)).real

    model = tiny_bert()
    model.bert.encoder.layer[1].intermediate.dense = Odd(model.bert.encoder.layer[1].intermediate.dense)
    found = audited(model)
    assert found.real.bytes is None
    assert "cannot be saved as data" in found.real.absent["bytes"]
    assert found.claimed.bytes > 0
    model.config.max_position_embeddings = LENGTH - 1
    found = audited(model)
    assert found.real.macs is found.claimed.macs is None
    assert "takes at most" in found.real.absent["macs"]


def test_an_audit_survives_the_manifest(audited, tiny_bert, tmp_path):
    found = audited(tiny_bert(), saves=("macs", "bytes"))
    stage = StageLog(method="prune", arguments={}, seconds=1.0, **found._asdict(), unaudited=None)
    write_manifest(tmp_path, Manifest(stages=(stage,)))
    (log,) = read_manifest(tmp_path).stages
    assert log == stage
    assert (log.claimed, log.real, log.unaudited) == (found.claimed, found.real, None)
    assert log.claimed.saves == ("bytes", "macs")


@pytest.mark.parametrize("name", METHODS.names())
def test_every_method_says_what_it_is_meant_to_save(name):
    # These two make a model bear what `shrink` and `exit-at` then save.
    assert METHODS.get(name).saves or name in ("layerdrop", "exits")
    assert METHODS.get(name).saves <= {"bytes", "macs", "time"}


def test_a_model_of_adaptive_depth_is_not_judged_on_one_made_example(audited, tiny_bert):
    grown = TrainExits(budget=0).compress(
        tiny_bert(), SimpleNamespace(**vars(UNTRAINED), task=SimpleNamespace(kind="classification"))
    )
    assert audited(grown).real.macs == MACS
    found = audited(ExitAt(criterion="confidence").compress(grown, UNTRAINED))
    assert found.real.macs is None
    assert "depends on the example" in found.real.absent["macs"]
