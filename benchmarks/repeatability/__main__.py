"""How far apart several measurements of one pair are, and how often their intervals contain the true ratio.

    python benchmarks/repeatability ARTIFACT REFERENCE [--runs 10] [--processes 5] [--json FILE]

ARTIFACT and REFERENCE are artifact folders (`bench cache path KEY`). A run does what the measure does: it times the
pair in several fresh processes. The true ratio is 1 if both folders hold the same model, otherwise the geometric mean
of all runs.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from timed import timed

from bench.artifacts.artifact import load
from bench.base.statistics import Interval
from bench.engine.processes import Child, start_server, wait_for
from bench.measures.timing import rounds
from bench.measures.timing.pairs import observed, pooled
from bench.measures.timing.rounds import Round
from bench.spec.setting import Measuring

MATTERS = 0.03  # the smallest difference that `bench compare` calls
WAYS = {
    "speedup": "ratio of undisturbed times, all processes (the column)",
    "observed": "median of all pairs' ratios",
    "fastest": "ratio of the fastest calls",
    "means": "ratio of the means over all pairs",
    "alone": "ratio of undisturbed times, the first process of each run",
}


def main() -> None:
    """Run the pair several times; print spread, coverage and how often equal models are called different."""
    options = _parse()
    start_server()
    measuring = Measuring(
        country="DEU",
        threads=options.threads,
        length=options.length,
        processes=options.processes,
        pairs=options.pairs,
        seconds=options.seconds,
        patience_seconds=options.patience,
        throughput_batch=1,
        sweep_seconds=0.01,
    )
    runs = []
    for number in range(options.runs):
        runs.append(_run(options, measuring, number))
        print(f"run {number + 1}: {_line(runs[-1])}", flush=True)
    same = load(options.artifact).content_hash == load(options.reference).content_hash
    print()
    for way, says in WAYS.items():
        found = [run[way] for run in runs if run[way] is not None]
        print(f"{_spread(found)}  {says}; {len(found)} of {len(runs)} runs, {_values(found)}")
    for which in ("all processes", "one process"):
        print(_verdicts([run["intervals"][which] for run in runs], which, 1.0 if same else None))
    if options.json:
        options.json.write_text(json.dumps(runs, indent=1) + "\n", encoding="utf-8")


def _run(options: argparse.Namespace, measuring: Measuring, number: int) -> dict[str, Any]:
    """One measurement: its processes, one after the other. Memory layouts and loading orders differ between runs."""
    done: list[Round] = []
    for index in range(measuring.processes):
        name = f"process-{number * measuring.processes + index + 1}"
        found = _in_a_child((name, (options.artifact, options.reference), measuring))
        done.append(found)
    results = [each.result for each in done]
    together, pairs = rounds.together(results), pooled([each.pairs for each in done])
    return {
        "speedup": None if together.invalid else together.ratio.middle,
        "observed": observed(pairs),
        "fastest": min(pairs.reference_s) / min(pairs.artifact_s),
        "means": statistics.fmean(pairs.reference_s) / statistics.fmean(pairs.artifact_s),
        "alone": None if results[0].invalid else results[0].ratio.middle,
        "intervals": {
            "all processes": None if together.invalid else list(together.ratio),
            "one process": None if results[0].invalid else list(results[0].ratio),
        },
        "processes": [each.ratio.middle for each in results],
        "artifact_s": [each.artifact_s for each in results],
        "reference_s": [each.reference_s for each in results],
        "invalid": together.invalid,
        "flatness": together.flatness,
        "pairs": together.measured,
        "machine": [each.seen.conditions() for each in done],
    }


def _in_a_child(job: Any) -> Round:
    child = Child(timed, job, log=Path(tempfile.gettempdir()) / "bench-repeatability.log")
    while (outcome := child.poll(lambda *_: None)) is None:
        wait_for([child])
    if outcome.cause is not None:
        sys.exit(f"a timing process failed: {outcome.cause}")
    found: Round = outcome.result
    return found


def _verdicts(intervals: Sequence[Sequence[float] | None], which: str, truth: float | None) -> str:
    """How many intervals contain the truth, and how many ordered pairs of runs would be called different."""
    found = [Interval(*each) for each in intervals if each is not None]
    if len(found) < 2:
        return f"{which}: fewer than two valid runs"
    middle = statistics.geometric_mean([each.middle for each in found]) if truth is None else truth
    held = sum(each.low <= middle <= each.high for each in found)
    width = statistics.fmean((each.high - each.low) / (2 * each.middle) for each in found)
    pairs = list(itertools.permutations(found, 2))
    worse = sum(_worse(one, other) for one, other in pairs)
    return (
        f"{which}: {held} of {len(found)} intervals (± {width:.1%} on average) contain {middle:.3f}; in {worse} of "
        f"{len(pairs)} ordered pairs of runs one is called worse than the other"
    )


def _worse(one: Interval, other: Interval) -> bool:
    """Whether `other` is significantly slower than `one`, and by more than `MATTERS`."""
    change = math.log(other.middle / one.middle)
    above = math.hypot(math.log(other.high / other.middle), math.log(one.middle / one.low))
    return change + above < 0 and change < math.log(1 - MATTERS)


def _spread(found: Sequence[float]) -> str:
    return f"{max(found) / min(found) - 1:6.1%}" if len(found) > 1 else "  none"


def _line(run: dict[str, Any]) -> str:
    interval = run["intervals"]["all processes"]
    said = f"{interval[0]:.3f} [{interval[1]:.3f}, {interval[2]:.3f}]" if interval else f"invalid: {run['invalid']}"
    other = statistics.fmean(seen["other"] or 0.0 for seen in run["machine"])
    return f"speed-up {said}, processes {_values(run['processes'])}, {run['pairs']} pairs, other load {other:.0%}"


def _values(found: Sequence[float]) -> str:
    return " ".join(f"{value:.3f}" for value in found)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("artifact", type=Path)
    parser.add_argument("reference", type=Path)
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--processes", type=int, default=5, help="fresh processes per run")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--length", type=int, default=128)
    parser.add_argument("--pairs", type=int, default=70, help="least number of pairs, all processes together")
    parser.add_argument("--seconds", type=float, default=2.0, help="least seconds of pairs, likewise")
    parser.add_argument("--patience", type=float, default=20.0, help="most seconds of pairs, likewise")
    parser.add_argument("--json", type=Path, help="write what every run found here")
    return parser.parse_args()


if __name__ == "__main__":
    main()
