"""Latency, throughput and the speed-up as a paired ratio, artifact and reference interleaved in fresh processes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from typing_extensions import override

from bench.base.statistics import mad, median, percentile, samples_needed
from bench.columns import column, with_intervals
from bench.measures.base.inputs import made_inputs
from bench.measures.base.measure import MEASURES, ExampleProbingMeasure, Pair, Reading
from bench.measures.timing import rounds
from bench.measures.timing.asking import Asked, asked
from bench.measures.timing.calls import WarmUp, forward, pinned
from bench.measures.timing.pairs import Pairs, SpeedUp, drift, laps_table, observed, pooled
from bench.measures.timing.real import COLUMNS as REAL
from bench.measures.timing.real import RealLengths, give_real, time_at_real_lengths
from bench.measures.timing.steady import Clocks, Side, summary, time_steadily
from bench.measures.timing.sweep import SweepPoint, rows, sweep
from bench.measures.timing.typical import ExamplesRead, Typical, typical
from bench.measures.timing.verdict import give_speedup
from bench.measures.timing.watch import Seen, Watch, joined

if TYPE_CHECKING:
    from bench.artifacts.artifact import Loaded
    from bench.measures.base.examples import EvaluationExamples
    from bench.spec.setting import Measuring
    from bench.tasks.kinds.kind import TaskKind

OUTLIER_MADS = 10.0  # in normalised MADs (1.4826 * MAD) above the median, as in hyperfine
OUTLIERS_TOLERATED = 0.05
DRIFT = 0.05  # common change of both floors from which a warning is stored


class LatencyRound(NamedTuple):
    """A round with how it was timed; `sweep` is None in all rounds but the first.

    `real` is None unless the setting asks for real lengths, and the reason if they could not be timed.
    `warm_up` and `blocks`, the calls per block, are those of the artifact and of the reference.
    """

    pairs: Pairs
    result: SpeedUp
    seen: Seen
    processors: tuple[int, ...]
    warm_up: tuple[WarmUp, WarmUp]
    blocks: tuple[int, int]
    sweep: tuple[SweepPoint, ...] | None
    read: ExamplesRead | None = None
    real: RealLengths | str | None = None


@dataclass(frozen=True)
class Latency(ExampleProbingMeasure):
    """Times artifact and reference in interleaved pairs, in several fresh processes with different memory layouts.

    Inputs are random tokens without padding, and tokenisation is not timed; every call runs in `inference_mode`, on
    pinned threads and processors, and ends when the device is idle. Tests replace the clocks.

    If what one of the two models executes depends on the example, both run the same evaluation examples instead
    (`typical`), each with its own length: a sample is then the mean over the examples, so there are no percentiles of
    single calls. So they do if one is a function of texts, and then each call goes from the text to the answer
    (`asking`). With `measuring.real_lengths` all models run them too, at batch 1, for columns of their own (`real`).
    """

    clocks: Clocks = field(default_factory=Clocks)

    name = "latency"
    finds = LatencyRound
    together = True
    columns = with_intervals(
        "latency_p50_s",
        "latency_p90_s",
        "latency_p99_s",
        "latency_mad_s",
        "latency_undisturbed_s",
        "throughput_eps",
        "speedup",
        "speedup_observed",
        *REAL,
    )
    says = "seconds per call after warm-up, also at other lengths and batch sizes; throughput; the paired speed-up"
    budget_s = 2.0  # the timing itself is done in the probes' processes
    of_calls = True
    asks = True
    optional = True

    def probes(self, measuring: Measuring, kind: TaskKind) -> tuple[str, ...]:
        """One process per round."""
        del kind
        return rounds.names(measuring.processes)

    @override
    def probe_with(
        self,
        name: str,
        directories: tuple[Path, ...],
        examples: EvaluationExamples | None,
        *,
        device: str,
        measuring: Measuring,
    ) -> LatencyRound:
        """Time both models in this process."""
        from bench.artifacts.artifact import load

        number = rounds.number_of(name)
        with rounds.laid_out(number):
            models = rounds.load_apart(directories, lambda path: load(path, device=device), seed=number)
            return self.round(*models, number=number, device=device, measuring=measuring, examples=examples)

    def round(
        self,
        artifact: Loaded,
        reference: Loaded,
        *,
        number: int,
        device: str,
        measuring: Measuring,
        examples: EvaluationExamples | None = None,
    ) -> LatencyRound:
        """Interleaved pairs until the machine has settled; the first round has the points of the sweep too."""
        import torch

        clocks = self.clocks.on(device, measuring.threads)
        plan = rounds.share_of(measuring)
        read: Asked | Typical | None = None
        if examples is not None:
            read = asked(artifact, reference, examples) or typical(artifact, reference, examples, device=device)

        def sides(batch_size: int, length: int) -> tuple[Side, Side]:
            if read is not None:
                return read.sides(artifact, reference, batch_size, length, measuring=measuring, device=device)

            def side(loaded: Loaded) -> Side:
                inputs = made_inputs(
                    loaded.model, reference.tokenizer, batch_size=batch_size, length=length, device=device, seed=0
                )
                return Side(loaded.model, forward(loaded.model, inputs, device))

            return side(artifact), side(reference)

        with pinned(measuring.threads) as processors, torch.inference_mode():
            with Watch() as watch:
                steady = time_steadily(
                    *sides(measuring.batch_size, measuring.length),
                    pairs=plan.pairs,
                    seconds=plan.seconds,
                    patience_s=plan.patience_s,
                    width=plan.width,
                    seed=number,
                    device=device,
                    clocks=clocks,
                )
            found = sweep(sides, measuring, seed=number, device=device, clocks=clocks) if number == 0 else None
            real: RealLengths | str | None = None
            if measuring.real_lengths and read is not None and measuring.batch_size == 1:
                real = RealLengths(steady.pairs, steady.result, read.told())  # the same calls
            elif measuring.real_lengths:
                real = time_at_real_lengths(
                    artifact,
                    reference,
                    examples,
                    read,
                    number=number,
                    device=device,
                    measuring=measuring,
                    clocks=clocks,
                )
        return LatencyRound(
            steady.pairs,
            steady.result,
            watch.seen,
            processors=processors,
            warm_up=(steady.artifact, steady.reference),
            blocks=steady.blocks,
            sweep=found,
            read=None if read is None else read.told(),
            real=real,
        )

    def read(self, pair: Pair) -> Reading:
        """What the rounds say together."""
        return self.combine([found for (found,) in self.probed(pair).values()], pair)

    def combine(self, found: Sequence[LatencyRound | str], pair: Pair) -> Reading:
        """A reading of all rounds, each of them a reason if it could not be had."""
        reading = Reading(conditions=_conditions(pair))
        done, reasons = rounds.told(found)
        if not done:
            reading.leave(reasons[0], *self.columns)
            return reading
        if reasons:
            reading.warn(
                "lost-process", f"{len(reasons)} of {len(found)} timing processes gave no result: {reasons[0]}"
            )
        seen = joined([each.seen for each in done])
        first = done[0]
        reading.conditions |= {"processors": list(first.processors), "machine": seen.conditions()}
        reading.conditions |= {"calls_a_block": first.blocks[0], "reference_calls_a_block": first.blocks[1]}
        reading.warnings.extend(seen.warnings())
        if first.read is not None:
            _tell_examples(reading, first.read, pair)
        _give_steady(reading, done)
        give_real(reading, [each.real for each in done])
        points = next((each.sweep for each in done if each.sweep is not None), None)
        if points is None:
            reading.leave(f"the first timing process gave no result: {reasons[0]}", "throughput_eps")
        else:
            _give_sweep(reading, points, pair.setting.measuring.throughput_batch, pair.setting.measuring.length)
        return reading


def _tell_examples(reading: Reading, read: ExamplesRead, pair: Pair) -> None:
    """Store which examples were timed, and warn that their lengths are not the setting's."""
    layers = {"layers": read.layers, "reference_layers": read.reference_layers}
    timed = "from text to answer: tokenisation is timed, of both" if read.from_text else "tokenisation is not timed"
    why = (
        "a function of texts reads no token ids, so both models were timed from text to answer"
        if read.from_text
        else "what a model executes depends on the example, so both models were timed"
    )
    reading.conditions |= {
        "inputs": f"{read.examples} evaluation examples a sample, each with its own length; {timed}",
        "length": read.tokens,
        "examples": read.examples,
        **{f"timed_{name}": value for name, value in layers.items() if value is not None},
    }
    reading.warn(
        "real-lengths",
        f"{why} on evaluation examples, of {read.tokens:.0f} tokens on average. Latency is not comparable with that of "
        f"{pair.setting.measuring.length} tokens in other rows; the speed-up is.",
    )


def _conditions(pair: Pair) -> dict[str, Any]:
    plan = pair.setting.measuring
    keys = ("threads", "batch_size", "length", "throughput_batch", "processes", "pairs", "seconds", "patience_seconds")
    return {
        **{key: getattr(plan, key) for key in keys},
        "device": pair.device,
        "inputs": "random token ids without padding; tokenisation is not timed",
    }


def _give_steady(reading: Reading, done: Sequence[LatencyRound]) -> None:
    pairs = pooled([each.pairs for each in done])
    result = rounds.together([each.result for each in done])
    reading.samples["latency_s"] = pairs.artifact_s
    reading.samples["reference_latency_s"] = pairs.reference_s
    reading.samples["pair_ratio"] = pairs.ratios
    reading.samples["process_speedup"] = [each.result.ratio.middle for each in done]
    reading.tables["laps"] = laps_table([each.pairs for each in done])
    reading.conditions |= summary(result)
    for index, (side, times) in enumerate((("artifact", pairs.artifact_s), ("reference", pairs.reference_s))):
        _warn_unsteady(reading, side, [each.warm_up[index] for each in done], times)
    reading.give("latency_p50_s", median(pairs.artifact_s), reference=median(pairs.reference_s))
    _give_middle_interval(reading, done)
    reading.give("latency_mad_s", mad(pairs.artifact_s), reference=mad(pairs.reference_s))
    for name, share in (("latency_p90_s", 0.90), ("latency_p99_s", 0.99)):
        if done[0].read is None:
            _give_percentile(reading, name, share, pairs)
        else:
            reading.leave(f"a sample is the mean over {done[0].read.examples} examples, not one call", name)
    reading.give("speedup_observed", observed(pairs), reference=1.0)  # whether the ratio of floors counts or not
    give_speedup(reading, result, speedup="speedup", undisturbed="latency_undisturbed_s")
    moved = max((drift(each.pairs) for each in done), key=abs)
    if abs(moved) > DRIFT:
        reading.warn(
            "drift",
            f"the calls of both models became {abs(moved):.0%} {'slower' if moved > 0 else 'faster'} during timing. "
            f"The clock rate changed, or another program used the same core. Absolute times are less reliable than "
            f"the ratio.",
        )


def _give_middle_interval(reading: Reading, done: Sequence[LatencyRound]) -> None:
    """The t interval of the median call over processes."""
    names = column("latency_p50_s").ends.names()
    mine = rounds.spread([median(each.pairs.artifact_s) for each in done])
    theirs = rounds.spread([median(each.pairs.reference_s) for each in done])
    if mine is None or theirs is None:
        reading.leave("an interval needs two processes: raise measuring.processes", *names)
        return
    middle, other = reading.values["latency_p50_s"], reading.reference["latency_p50_s"]
    for name, factor, other_factor in ((names[0], 1 / mine, 1 / theirs), (names[1], mine, theirs)):
        reading.give(name, middle * factor, reference=other * other_factor)


def _give_percentile(reading: Reading, name: str, share: float, pairs: Pairs) -> None:
    value = percentile(pairs.artifact_s, share)
    if value is None:
        reading.leave(f"{len(pairs.artifact_s)} samples, but p{round(100 * share)} needs {samples_needed(share)}", name)
    else:
        reading.give(name, value, reference=percentile(pairs.reference_s, share))


def _give_sweep(reading: Reading, found: Sequence[SweepPoint], batch: int, length: int) -> None:
    """Keep every point; the throughput batch's is the throughput column."""
    reading.conditions["sweep"] = rows(found)
    (pairs,) = (point.pairs for point in found if (point.batch_size, point.length) == (batch, length))
    if isinstance(pairs, str):
        reading.leave(pairs, "throughput_eps")
        return
    reading.samples["throughput_call_s"] = pairs.artifact_s
    reading.samples["reference_throughput_call_s"] = pairs.reference_s
    reading.give("throughput_eps", batch / median(pairs.artifact_s), reference=batch / median(pairs.reference_s))


def _warn_unsteady(reading: Reading, side: str, warm: Sequence[WarmUp], times: list[float]) -> None:
    restless = [each for each in warm if not each.steady]
    if restless:
        reading.warn(
            "not-steady",
            f"calls of the {side} were still becoming faster after {restless[0].calls} warm-up calls in "
            f"{len(restless)} of {len(warm)} processes. Close other programs on the machine.",
        )
    limit = median(times) + OUTLIER_MADS * 1.4826 * mad(times)
    outliers = sum(time > limit for time in times)
    if outliers > OUTLIERS_TOLERATED * len(times):
        reading.warn(
            "outliers",
            f"{outliers} of {len(times)} calls of the {side} were more than {OUTLIER_MADS:.0f} normalised MADs above "
            f"the median. Close other programs on the machine.",
        )


MEASURES.register("latency")(Latency())
