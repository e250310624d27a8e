"""Claimed against real over a whole cell: each kind of paper saving is flagged, and a real one is not."""

from __future__ import annotations

import pytest
import torch
from made_pairs import make_loaded, make_pair, make_task
from torch import nn

from bench.artifacts.manifest import Manifest
from bench.layers.int8 import Int8Linear
from bench.measures.audit.claims import check_claims, stage_drops
from bench.measures.base.measure import Reading
from bench.records.record import StageLog
from bench.spec.saving import Real, Stated

WIDTH = 64
DENSE_BYTES = 4 * WIDTH * WIDTH


def dense(zeros=0):
    layer = nn.Linear(WIDTH, WIDTH, bias=False)
    with torch.no_grad():
        layer.weight.fill_(0.5)
        layer.weight.view(-1)[:zeros] = 0
    return layer


def stage(method="prune", *, saves=("bytes",), claimed=(100, 100), real=(100, 100)):
    """A stage's log with (bytes, macs) claimed and real."""
    audit = {
        "claimed": Stated(saves=saves, bytes=claimed[0], macs=claimed[1]),
        "real": Real(bytes=real[0], macs=real[1], stored_bytes_by_dtype={}, absent={}),
        "unaudited": None,
    }
    return StageLog(method=method, arguments={}, seconds=1.0, **audit)


def judged(artifact, *, stages=(), values=None, reference=None, stored=None, is_reference=False):
    """The flags by code and the conditions of a cell made by hand; the reference is a dense layer."""
    size = Reading(conditions={"stored_bytes_by_dtype": {"F32": DENSE_BYTES if stored is None else stored}})
    rest = Reading(values=values or {}, reference=reference or {})
    pair = make_pair(
        make_task(),
        None,
        artifact=make_loaded("artifact", artifact),
        reference=make_loaded("reference", dense()),
        made=Manifest(stages=tuple(stages)),
        is_reference=is_reference,
    )
    reading = check_claims({"size": size, "rest": rest}, pair)
    return dict(reading.warnings), reading.conditions


def test_an_honest_saving_is_not_flagged():
    small = nn.Linear(WIDTH, WIDTH // 2, bias=False)
    log = stage(
        "factorize",
        saves=("bytes", "macs", "time"),
        claimed=(DENSE_BYTES // 2, 50),
        real=(DENSE_BYTES // 2 + 90, 50),
    )
    values = {"size_bytes": DENSE_BYTES // 2 + 90, "bops": 50, "speedup": 1.9, "speedup_low": 1.8}
    reference = {"size_bytes": DENSE_BYTES + 80, "bops": 100, "macs": 100, "macs_effective": 100}
    flags, conditions = judged(small, stages=[log], values=values, reference=reference, stored=DENSE_BYTES // 2)
    assert flags == {}
    told = conditions["stages"][0]
    assert told["claims"] == ["bytes", "macs", "time"]
    assert told["bytes"] == {"claimed": DENSE_BYTES / 2, "real": DENSE_BYTES / 2 - 10, "delivered": True}
    assert told["macs"]["delivered"]
    assert conditions["promised_speedup"] == 2


def test_the_reference_claims_nothing():
    assert judged(dense(), is_reference=True) == ({}, {})


def test_zeros_stored_dense_are_claimed_and_not_stored():
    zeros = WIDTH * WIDTH // 2
    log = stage(claimed=(DENSE_BYTES // 2, 50), real=(DENSE_BYTES, 100))
    flags, conditions = judged(
        dense(zeros), stages=[log], values={"size_bytes": DENSE_BYTES}, reference={"size_bytes": DENSE_BYTES}
    )
    assert list(flags) == ["claimed-not-stored"]
    assert "stage 1 (prune)" in flags["claimed-not-stored"]
    assert conditions["claimed_bytes"] == DENSE_BYTES // 2
    # The same without an audit is seen at the end of the recipe.
    assert list(judged(dense(zeros))[0]) == ["claimed-not-stored"]


def test_narrow_numbers_held_wide_are_claimed_and_not_stored(monkeypatch):
    layer = Int8Linear.from_float(torch.ones(WIDTH, WIDTH), None)
    stored = WIDTH * WIDTH + 4 * WIDTH
    assert judged(layer, stored=stored)[0] == {}
    monkeypatch.setattr(Int8Linear, "weight_bits", 2)
    assert list(judged(layer, stored=stored)[0]) == ["claimed-not-stored"]


def test_masked_heads_that_are_executed_are_flagged_by_stage():
    log = stage("prune", saves=("macs",), claimed=(100, 40), real=(100, 100))
    reference = {"macs": 100, "macs_effective": 100}
    flags, _ = judged(dense(), stages=[log], reference=reference)
    assert list(flags) == ["claimed-not-executed"]
    honest = stage("prune", saves=("macs",), claimed=(100, 40), real=(100, 40))
    assert judged(dense(), stages=[honest], reference=reference)[0] == {}


def test_a_stage_is_held_against_the_one_before_it_and_only_for_what_it_claims():
    first = stage("distill", saves=("bytes", "macs"), claimed=(60, 50), real=(60, 50))
    second = stage("share", saves=("bytes",), claimed=(20, 50), real=(25, 50))
    drops = stage_drops([first, second], {"bytes": (100, 100), "macs": (100, 100)})
    assert drops == [{"bytes": (40, 40), "macs": (50, 50)}, {"bytes": (40, 35)}]
    unknown = StageLog(method="old", arguments={}, seconds=1.0)
    assert unknown.unaudited
    assert stage_drops([unknown, second], {"bytes": (100, 100)}) == [{}, {}]


def test_a_saving_that_even_the_claim_does_not_show_is_not_delivered():
    (drops,) = stage_drops([stage(claimed=(100, 1), real=(100, 1))], {"bytes": (100, 100)})
    assert not drops["bytes"].delivered


def test_a_stage_that_makes_real_what_an_earlier_one_promised_is_delivered_and_one_that_does_not_is_flagged():
    prune = stage("prune", claimed=(50, 50), real=(50, 100))
    reference = {"macs": 100, "macs_effective": 100}
    executed = stage("sparsify", saves=("macs",), claimed=(50, 50), real=(60, 50))
    assert judged(dense(), stages=[prune, executed], reference=reference)[0] == {}
    in_vain = stage("sparsify", saves=("macs",), claimed=(50, 50), real=(60, 100))
    assert list(judged(dense(), stages=[prune, in_vain], reference=reference)[0]) == ["claimed-not-executed"]


def test_weights_dense_again_in_memory_are_flagged():
    values, reference = {"size_bytes": DENSE_BYTES // 2}, {"size_bytes": DENSE_BYTES}
    flags, conditions = judged(dense(), values=values, reference=reference)
    assert list(flags) == ["decompressed-at-load"]
    assert conditions["loaded_tensors_saved_bytes"] == 0
    small = nn.Linear(WIDTH, WIDTH // 2, bias=False)
    assert judged(small, values=values, reference=reference, stored=DENSE_BYTES // 2)[0] == {}


def test_copies_that_kernels_keep_are_flagged_where_the_saving_is_above_the_noise():
    small = nn.Linear(WIDTH, WIDTH // 2, bias=False)
    mib = 2**20

    def flags(*, disk, memory):
        values = {"size_bytes": DENSE_BYTES // 2, "memory_inference_bytes": 200 * mib - memory}
        reference = {"size_bytes": DENSE_BYTES // 2 + disk, "memory_inference_bytes": 200 * mib}
        big = nn.Linear(disk // 4, 1, bias=False, device="meta")
        pair = make_pair(
            make_task(),
            None,
            artifact=make_loaded("artifact", small),
            reference=make_loaded("reference", big),
            made=Manifest(),
        )
        size = Reading(conditions={"stored_bytes_by_dtype": {"F32": DENSE_BYTES // 2}})
        readings = {"size": size, "memory": Reading(values=values, reference=reference)}
        return [code for code, _ in check_claims(readings, pair).warnings]

    assert flags(disk=32 * mib, memory=7 * mib) == ["not-smaller-in-memory"]
    assert flags(disk=32 * mib, memory=16 * mib) == []  # int8 with its packed copy
    assert flags(disk=8 * mib, memory=0) == []


@pytest.mark.parametrize(
    ("bops", "low", "codes"),
    [(50, 0.9, ["not-faster"]), (50, 1.0, ["not-faster"]), (50, 1.1, []), (90, 0.9, []), (100, 0.9, [])],
)
def test_a_promised_speed_up_whose_interval_reaches_one_is_flagged(bops, low, codes):
    values = {"bops": bops, "speedup": low + 0.1, "speedup_low": low, "speedup_high": low + 0.2}
    flags, _ = judged(dense(), values=values, reference={"bops": 100})
    assert list(flags) == codes


def test_a_speed_up_that_was_not_measured_is_not_judged():
    assert judged(dense(), values={"bops": 50}, reference={"bops": 100})[0] == {}


def test_a_last_stage_whose_computation_depends_on_the_example_is_held_against_what_was_measured():
    grown = stage("exits", saves=(), claimed=(100, 100), real=(100, 100))
    leaving = stage("exit-at", saves=("macs",), claimed=(100, None), real=(100, None))
    start = {"macs": (100, 100)}
    assert stage_drops([grown, leaving], start) == [{}, {}]
    assert stage_drops([grown, leaving], start, {"macs": (45, 50)}) == [{}, {"macs": (55, 50)}]
    assert stage_drops([leaving, grown], start, {"macs": (45, 50)}) == [{}, {}]
