"""Latency, throughput and the speed-up as a paired ratio, artifact and reference interleaved in one process."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bench.measures.inputs import made_inputs
from bench.measures.measure import MEASURES, Measure, Pair, Reading
from bench.measures.sweep import rows, sweep
from bench.measures.timing.calls import WarmUp, forward, pinned
from bench.measures.timing.pairs import Pairs, SpeedUp, drift, laps_table, observed
from bench.measures.timing.steady import UNCERTAIN, Clocks, Side, Steady, summary, time_steadily
from bench.measures.timing.watch import Watch
from bench.statistics import mad, median, percentile, samples_needed

if TYPE_CHECKING:
    from bench.artifact import Loaded

OUTLIER_MADS = 10.0  # in normalised MADs (1.4826 * MAD) above the median, as in hyperfine
OUTLIERS_TOLERATED = 0.05
DRIFT = 0.05  # common change of both floors from which a warning is stored


@dataclass(frozen=True)
class Latency(Measure):
    """Times the artifact beside its reference, before anything else has run in this process.

    Inputs are made, without padding, and tokenisation is outside the clock; every call runs in `inference_mode`, on
    pinned threads and processors, and ends when the device is idle. Tests replace the clocks.
    """

    clocks: Clocks = field(default_factory=Clocks)

    name = "latency"
    columns = (
        "latency_p50_s",
        "latency_p90_s",
        "latency_p99_s",
        "latency_mad_s",
        "latency_undisturbed_s",
        "throughput_eps",
        "speedup",
        "speedup_low",
        "speedup_high",
        "speedup_observed",
    )
    says = "seconds to answer steadily, at other lengths and batches too; throughput; the paired speed-up"
    budget_s = 25.0
    optional = True
    first = True

    def read(self, pair: Pair) -> Reading:
        """Time interleaved pairs until the machine has settled, then the points of the sweep."""
        import torch

        plan = pair.setting.measuring
        reading = Reading(conditions=_conditions(pair))
        clocks = self.clocks.on(pair.device, plan.threads)
        with pinned(plan.threads) as processors, torch.inference_mode():
            with Watch() as watch:
                steady = time_steadily(
                    *_sides(pair, plan.batch_size, plan.length),
                    pairs=plan.pairs,
                    seconds=plan.seconds,
                    patience_s=plan.patience_seconds,
                    seed=pair.seed,
                    device=pair.device,
                    clocks=clocks,
                )
            found = sweep(
                lambda batch, length: _sides(pair, batch, length),
                plan,
                seed=pair.seed,
                device=pair.device,
                clocks=clocks,
            )
        reading.conditions |= {"processors": list(processors), "machine": watch.seen.conditions()}
        reading.warnings.extend(watch.seen.warnings())
        _give_steady(reading, steady)
        _give_sweep(reading, found, plan.throughput_batch, plan.length)
        return reading


def _sides(pair: Pair, batch_size: int, length: int) -> tuple[Side, Side]:
    def side(loaded: Loaded) -> Side:
        inputs = made_inputs(
            loaded.model,
            pair.reference.tokenizer,
            batch_size=batch_size,
            length=length,
            device=pair.device,
            seed=pair.seed,
        )
        return Side(loaded.model, forward(loaded.model, inputs, pair.device))

    return side(pair.artifact), side(pair.reference)


def _conditions(pair: Pair) -> dict[str, Any]:
    plan = pair.setting.measuring
    keys = ("threads", "batch_size", "length", "throughput_batch", "pairs", "seconds", "patience_seconds")
    return {
        **{key: getattr(plan, key) for key in keys},
        "device": pair.device,
        "inputs": "random token ids without padding; tokenisation outside the clock",
        "order_seed": pair.seed,
    }


def _give_steady(reading: Reading, steady: Steady) -> None:
    pairs = steady.pairs
    reading.samples["latency_s"] = pairs.artifact_s
    reading.samples["reference_latency_s"] = pairs.reference_s
    reading.samples["pair_ratio"] = pairs.ratios
    reading.tables["laps"] = laps_table(pairs)
    reading.conditions |= summary(steady)
    for side, warm, times in (
        ("artifact", steady.artifact, pairs.artifact_s),
        ("reference", steady.reference, pairs.reference_s),
    ):
        _warn_unsteady(reading, side, warm, times)
    reading.give("latency_p50_s", median(pairs.artifact_s), reference=median(pairs.reference_s))
    reading.give("latency_mad_s", mad(pairs.artifact_s), reference=mad(pairs.reference_s))
    for name, share in (("latency_p90_s", 0.90), ("latency_p99_s", 0.99)):
        _give_percentile(reading, name, share, pairs)
    _give_speedup(reading, steady.result, observed(pairs))
    moved = drift(pairs)
    if abs(moved) > DRIFT:
        reading.warn(
            "drift",
            f"both models' calls became {abs(moved):.0%} {'slower' if moved > 0 else 'faster'} while they were timed: "
            "a clock rate that changed, or a neighbour on the same core. Absolute times are less sure than the ratio.",
        )


def _give_percentile(reading: Reading, name: str, share: float, pairs: Pairs) -> None:
    value = percentile(pairs.artifact_s, share)
    if value is None:
        reading.leave(f"{len(pairs.artifact_s)} samples; p{round(100 * share)} needs {samples_needed(share)}", name)
    else:
        reading.give(name, value, reference=percentile(pairs.reference_s, share))


def _give_speedup(reading: Reading, result: SpeedUp, seen: float) -> None:
    """File the ratio of floors, or why it is invalid; the raw ratio is always there beside it."""
    reading.give("speedup_observed", seen, reference=1.0)
    if result.invalid is not None:
        names = ("speedup", "speedup_low", "speedup_high", "latency_undisturbed_s")
        reading.leave(f"invalid: {result.invalid}", *names)
        reading.warn("not-settled", f"no speed-up is given: {result.invalid}.")
        return
    reading.give("latency_undisturbed_s", result.artifact_s, reference=result.reference_s)
    reading.give("speedup", result.ratio.middle, reference=1.0)
    reading.give("speedup_low", result.ratio.low)
    reading.give("speedup_high", result.ratio.high)
    if result.ratio.relative_width > UNCERTAIN:
        reading.warn(
            "speedup-uncertain",
            f"the speed-up's 95 % interval is {result.ratio.low:.2f} to {result.ratio.high:.2f} after "
            f"{result.measured} pairs, wider than {UNCERTAIN:.0%} of it. Quieten the machine, or raise measuring.pairs "
            "or measuring.patience_seconds.",
        )


def _give_sweep(reading: Reading, found: dict[tuple[int, int], Any], batch: int, length: int) -> None:
    """Keep every point; the throughput batch's is the throughput column."""
    reading.conditions["sweep"] = rows(found)
    pairs = found[batch, length]
    if isinstance(pairs, str):
        reading.leave(pairs, "throughput_eps")
        return
    reading.samples["throughput_call_s"] = pairs.artifact_s
    reading.samples["reference_throughput_call_s"] = pairs.reference_s
    reading.give("throughput_eps", batch / median(pairs.artifact_s), reference=batch / median(pairs.reference_s))


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


MEASURES.register("latency")(Latency())
