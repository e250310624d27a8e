"""Latency, throughput and the speed-up as a paired ratio, artifact and reference interleaved in one process."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from bench.measures.inputs import made_inputs
from bench.measures.measure import MEASURES, Measure, Pair, Reading
from bench.measures.timing import Call, Clock, Pairs, WarmUp, block_size, forward, interleave, pinned_threads, warm_up
from bench.statistics import Interval, bootstrap, mad, median, percentile, samples_needed

if TYPE_CHECKING:
    from torch import nn

    from bench.artifact import Loaded

BLOCK_S = 0.004  # one model's turn in a pair, unless a single call is longer
WARM_UP_LIMIT_S = 3.0
LOADS = 3
THROUGHPUT_PAIRS = 5
THROUGHPUT_S = 0.5
UNCERTAIN = 0.10  # widest interval, as a share of the speed-up, that passes without a warning
OUTLIER_MADS = 10.0  # in normalised MADs (1.4826 * MAD) above the median, as in hyperfine
OUTLIERS_TOLERATED = 0.05
SLOW_START = 10.0


def _load(directory: Path, device: str) -> Loaded:
    from bench.artifact import load

    return load(directory, device=device)


class Calls(NamedTuple):
    """Both models ready to be called on the same inputs."""

    artifact: Call
    reference: Call


class Steady(NamedTuple):
    """The steady state at the latency batch: raw times and how each model was warmed up."""

    pairs: Pairs
    artifact: WarmUp
    reference: WarmUp


@dataclass(frozen=True)
class Latency(Measure):
    """Times the artifact beside its reference.

    Inputs are made, without padding, and tokenisation is outside the clock; every call runs in `inference_mode`, on
    pinned threads, and ends when the device is idle. Clock and loader are fields so that tests can replace them.
    """

    clock: Clock = time.perf_counter
    load: Callable[[Path, str], Any] = _load

    name = "latency"
    columns = (
        "latency_p50_s",
        "latency_p90_s",
        "latency_p99_s",
        "latency_mad_s",
        "load_s",
        "first_call_s",
        "throughput_eps",
        "speedup",
        "speedup_low",
        "speedup_high",
    )
    says = "seconds to load, to answer first and to answer steadily; throughput; the paired speed-up"

    def read(self, pair: Pair) -> Reading:
        """Measure load and first call, then steady latency in interleaved pairs, then throughput."""
        import torch

        plan = pair.setting.measuring
        reading = Reading(conditions=_conditions(pair))
        with pinned_threads(plan.threads), torch.inference_mode():
            self._read_start(pair, reading)
            steady = self._time_pairs(pair)
            self._read_throughput(pair, reading)
        _give_steady(reading, steady, seed=pair.seed)
        _warn_slow_start(reading)
        return reading

    def _read_start(self, pair: Pair, reading: Reading) -> None:
        """Load each model from disk `LOADS` times in turns, and call it once; the medians are the columns."""
        sides = {"": pair.artifact_dir, "reference_": pair.reference_dir}
        times: dict[str, list[float]] = {f"{side}{name}": [] for side in sides for name in ("load_s", "first_call_s")}
        for _ in range(LOADS):
            for side, directory in sides.items():
                start = self.clock()
                loaded = self.load(directory, pair.device)
                times[f"{side}load_s"].append(self.clock() - start)
                call = self._call(pair, loaded.model, pair.setting.measuring.batch_size)
                start = self.clock()
                call()
                times[f"{side}first_call_s"].append(self.clock() - start)
        reading.samples.update(times)
        for name in ("load_s", "first_call_s"):
            reading.give(name, median(times[name]), reference=median(times[f"reference_{name}"]))

    def _time_pairs(self, pair: Pair) -> Steady:
        plan = pair.setting.measuring
        calls = self._calls(pair, plan.batch_size)
        mine, theirs = (warm_up(call, clock=self.clock, limit_s=WARM_UP_LIMIT_S) for call in calls)
        pairs = interleave(
            *calls,
            blocks=(block_size(mine.call_s, BLOCK_S), block_size(theirs.call_s, BLOCK_S)),
            pairs=plan.pairs,
            seconds=plan.seconds,
            order=random.Random(pair.seed),
            clock=self.clock,
        )
        return Steady(pairs, mine, theirs)

    def _read_throughput(self, pair: Pair, reading: Reading) -> None:
        """Examples a second at the throughput batch: batch size over the median call, after one call of warm-up."""
        batch = pair.setting.measuring.throughput_batch
        calls = self._calls(pair, batch)
        for call in calls:
            call()
        pairs = interleave(
            *calls,
            blocks=(1, 1),
            pairs=THROUGHPUT_PAIRS,
            seconds=THROUGHPUT_S,
            order=random.Random(pair.seed),
            clock=self.clock,
        )
        reading.samples["throughput_call_s"] = pairs.artifact_s
        reading.samples["reference_throughput_call_s"] = pairs.reference_s
        reading.give("throughput_eps", batch / median(pairs.artifact_s), reference=batch / median(pairs.reference_s))

    def _calls(self, pair: Pair, batch_size: int) -> Calls:
        return Calls(*(self._call(pair, side.model, batch_size) for side in (pair.artifact, pair.reference)))

    def _call(self, pair: Pair, model: nn.Module, batch_size: int) -> Call:
        inputs = made_inputs(
            model,
            pair.reference.tokenizer,
            batch_size=batch_size,
            length=pair.setting.measuring.length,
            device=pair.device,
            seed=pair.seed,
        )
        return forward(model, inputs, pair.device)


def _conditions(pair: Pair) -> dict[str, Any]:
    plan = pair.setting.measuring
    keys = ("threads", "batch_size", "length", "throughput_batch", "pairs", "seconds")
    return {
        **{key: getattr(plan, key) for key in keys},
        "device": pair.device,
        "inputs": "random token ids without padding; tokenisation outside the clock",
        "load": f"median of {LOADS}, files in the page cache",
        "order_seed": pair.seed,
    }


def _give_steady(reading: Reading, steady: Steady, *, seed: int) -> None:
    import numpy as np

    pairs = steady.pairs
    reading.samples["latency_s"] = pairs.artifact_s
    reading.samples["reference_latency_s"] = pairs.reference_s
    reading.samples["pair_ratio"] = pairs.ratios
    reading.conditions["pairs_measured"] = len(pairs.ratios)
    for side, warm, block, times in (
        ("", steady.artifact, pairs.artifact_block, pairs.artifact_s),
        ("reference_", steady.reference, pairs.reference_block, pairs.reference_s),
    ):
        reading.conditions |= {f"{side}warm_up_calls": warm.calls, f"{side}calls_a_block": block}
        _warn_unsteady(reading, "reference" if side else "artifact", warm, times)
    reading.give("latency_p50_s", median(pairs.artifact_s), reference=median(pairs.reference_s))
    reading.give("latency_mad_s", mad(pairs.artifact_s), reference=mad(pairs.reference_s))
    for name, share in (("latency_p90_s", 0.90), ("latency_p99_s", 0.99)):
        _give_percentile(reading, name, share, pairs)
    _give_speedup(reading, bootstrap(pairs.ratios, generator=np.random.default_rng(seed)), len(pairs.ratios))


def _give_percentile(reading: Reading, name: str, share: float, pairs: Pairs) -> None:
    value = percentile(pairs.artifact_s, share)
    if value is None:
        reading.leave(f"{len(pairs.artifact_s)} samples; p{round(100 * share)} needs {samples_needed(share)}", name)
    else:
        reading.give(name, value, reference=percentile(pairs.reference_s, share))


def _give_speedup(reading: Reading, ratio: Interval, count: int) -> None:
    reading.give("speedup", ratio.middle, reference=1.0)
    reading.give("speedup_low", ratio.low)
    reading.give("speedup_high", ratio.high)
    if ratio.relative_width > UNCERTAIN:
        reading.warn(
            "speedup-uncertain",
            f"the speed-up's 95 % interval is {ratio.low:.2f} to {ratio.high:.2f} after {count} pairs, wider than "
            f"{UNCERTAIN:.0%} of it. Quieten the machine, or raise measuring.pairs or measuring.seconds.",
        )


def _warn_unsteady(reading: Reading, side: str, warm: WarmUp, times: list[float]) -> None:
    if not warm.steady:
        reading.warn(
            "not-steady",
            f"calls of the {side} still became faster after {warm.calls} calls of warm-up. Quieten the machine.",
        )
    limit = median(times) + OUTLIER_MADS * 1.4826 * mad(times)
    outliers = sum(time > limit for time in times)
    if outliers > OUTLIERS_TOLERATED * len(times):
        reading.warn(
            "outliers",
            f"{outliers} of {len(times)} calls of the {side} took more than {OUTLIER_MADS:.0f} normalised MADs above "
            "the median. Close other programs on the machine.",
        )


def _warn_slow_start(reading: Reading) -> None:
    first, steady = reading.values["first_call_s"], reading.values["latency_p50_s"]
    if first > SLOW_START * steady:
        reading.warn(
            "slow-start",
            f"the first call took {first:.3g} s, {first / steady:.0f} times the median of later ones. Where every "
            "process answers only once, compare first_call_s instead of latency_p50_s.",
        )


MEASURES.register("latency")(Latency())
