"""The noise floor: the paired speed-up of a model over itself, which should be 1."""

from __future__ import annotations

from bench.doctor.machine import Diagnosis
from bench.measures.timing.calls import forward, pinned
from bench.measures.timing.steady import Clocks, Side, time_steadily

LENGTH = 128
PAIRS = 70
TOLERATED = 0.01  # an interval that misses 1 by less than this is not a problem: no recipe is judged on less


def noise(*, threads: int, seconds: float, patience_s: float) -> Diagnosis:
    """Time an encoder of 6 layers and width 384, with random weights, against itself at batch 1 and length 128."""
    import torch
    from transformers import BertConfig, BertModel

    config = BertConfig(
        vocab_size=1000, hidden_size=384, num_hidden_layers=6, num_attention_heads=12, intermediate_size=1536
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = BertModel(config).eval()
        ids = torch.randint(1000, (1, LENGTH))
    side = Side(model, forward(model, {"input_ids": ids}, "cpu"))
    with pinned(threads), torch.inference_mode():
        timed = time_steadily(
            side,
            side,
            pairs=PAIRS,
            seconds=seconds,
            patience_s=patience_s,
            seed=0,
            device="cpu",
            clocks=Clocks().on("cpu", threads),
        )
    result, ratio = timed.result, timed.result.ratio
    found = (
        f"{ratio.middle:.3f} [{ratio.low:.3f}, {ratio.high:.3f}] for a model against itself, {result.measured} pairs, "
        f"{result.dropped} dropped, {threads} thread{'s' if threads > 1 else ''}, {result.artifact_s * 1e3:.1f} ms "
        "per call"
    )
    if result.invalid:
        return Diagnosis("noise floor", "problem", f"{found}; invalid: {result.invalid}", "Close other programs.")
    if not ratio.low - TOLERATED <= 1 <= ratio.high + TOLERATED:
        return Diagnosis(
            "noise floor",
            "problem",
            f"{found}; the interval excludes 1",
            "Close other programs, then run `bench doctor` again.",
        )
    return Diagnosis("noise floor", "ok", found)
