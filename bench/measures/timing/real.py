"""Latency at real lengths: both models on the same evaluation examples, one per call and without padding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from bench.base.errors import DataError
from bench.base.statistics import median
from bench.columns import with_intervals
from bench.measures.timing import rounds
from bench.measures.timing.pairs import Pairs, SpeedUp, observed, pooled
from bench.measures.timing.steady import Clocks, summary, time_steadily
from bench.measures.timing.typical import ExamplesRead, Typical, representative
from bench.measures.timing.verdict import give_speedup
from bench.tasks.kinds.kind import KINDS

if TYPE_CHECKING:
    from bench.artifacts.artifact import Loaded
    from bench.measures.base.examples import EvaluationExamples
    from bench.measures.base.measure import Reading
    from bench.measures.timing.asking import Asked
    from bench.spec.setting import Measuring

COLUMNS = with_intervals("latency_real_p50_s", "latency_real_undisturbed_s", "speedup_real")
OFF = "not asked for: measuring.real_lengths of the setting is false"


class RealLengths(NamedTuple):
    """What one process found on evaluation examples, in seconds per example; a sample is the mean over all of them."""

    pairs: Pairs
    result: SpeedUp
    read: ExamplesRead


def time_at_real_lengths(
    artifact: Loaded,
    reference: Loaded,
    examples: EvaluationExamples | None,
    read: Asked | Typical | None,
    *,
    number: int,
    device: str,
    measuring: Measuring,
    clocks: Clocks,
) -> RealLengths | str:
    """Interleaved pairs of both models on the same evaluation examples at batch 1; or why there are none.

    Args:
        artifact: the compressed model.
        reference: what it is compared with.
        examples: where the examples are read, unless `read` holds them.
        read: the examples, if they have been chosen already.
        number: the place of this process, the seed of the order within pairs.
        device: where both run.
        measuring: the conditions; the shares of pairs and seconds are those of the other timing.
        clocks: of the wall and of the processor.
    """
    if examples is None:
        return "there are no evaluation examples at hand"
    kind = KINDS.get(examples.task.kind)
    if kind.writes or kind.self_contained:
        return f"an example of a {kind.name} task is more than one call of the model"
    try:
        read = read or representative(artifact, reference, examples, device=device)
    except DataError as error:
        return f"the evaluation examples cannot be timed: {error}"
    plan = rounds.share_of(measuring)
    steady = time_steadily(
        *read.sides(artifact, reference, 1, measuring.length, measuring=measuring, device=device),
        pairs=plan.pairs,
        seconds=plan.seconds,
        patience_s=plan.patience_s,
        width=plan.width,
        seed=number,
        device=device,
        clocks=clocks,
    )
    return RealLengths(steady.pairs, steady.result, read.told())


def give_real(reading: Reading, found: Sequence[RealLengths | str | None]) -> None:
    """The columns at real lengths from what every process found, None if it was not asked."""
    done, reasons = rounds.told([OFF if each is None else each for each in found])
    if not done:
        reading.leave(reasons[0], *COLUMNS)
        return
    pairs = pooled([each.pairs for each in done])
    result = rounds.together([each.result for each in done])
    first = done[0].read
    reading.samples["real_latency_s"] = pairs.artifact_s
    reading.samples["reference_real_latency_s"] = pairs.reference_s
    reading.samples["real_pair_ratio"] = pairs.ratios
    reading.samples["real_process_speedup"] = [each.result.ratio.middle for each in done]
    reading.conditions["real_lengths"] = {
        "examples": first.examples,
        "tokens": first.tokens,
        "batch_size": 1,
        **({"from_text": True} if first.from_text else {}),
        "speedup_observed": observed(pairs),
        **summary(result),
    }
    reading.give("latency_real_p50_s", median(pairs.artifact_s), reference=median(pairs.reference_s))
    give_speedup(reading, result, speedup="speedup_real", undisturbed="latency_real_undisturbed_s")
