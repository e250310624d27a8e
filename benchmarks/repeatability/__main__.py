"""How far five measurements of the same pair are apart: paired ratio, and two means measured apart.

    python benchmarks/repeatability ARTIFACT REFERENCE [--runs 5] [--threads 1] [--json FILE]

ARTIFACT and REFERENCE are artifact folders (`bench cache path KEY`). Every run is a fresh process.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

WAYS = {
    "speedup": "paired: ratio of undisturbed times (the column)",
    "observed": "paired: median of the pairs' ratios",
    "fastest": "paired: ratio of the fastest calls",
    "pooled_p10": "paired: ratio of pooled 10 % quantiles of calls",
    "means": "paired: ratio of the means over all pairs",
    "apart": "measured apart: mean over mean, one model after the other",
}


def main() -> None:
    """Run the pair several times and print max / min - 1 of every way to make a ratio of it."""
    options = _parse()
    if options.once:
        print(json.dumps(once(options)))
        return
    runs = []
    for number in range(options.runs):
        command = [sys.executable, __file__, *sys.argv[1:], "--once"]
        runs.append(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
        print(f"run {number + 1}: {_line(runs[-1])}", flush=True)
    print()
    for way, says in WAYS.items():
        found = [run[way] for run in runs if run[way] is not None]
        spread = f"{max(found) / min(found) - 1:6.1%}" if len(found) > 1 else "  none"
        print(f"{spread}  {says}; {len(found)} of {len(runs)} runs, {_values(found)}")
    for side in ("artifact", "reference"):
        times = [run[f"{side}_mean_s"] for run in runs]
        print(f"{max(times) / min(times) - 1:6.1%}  mean seconds a call of the {side}, measured apart")
    if options.json:
        options.json.write_text(json.dumps(runs, indent=1) + "\n", encoding="utf-8")


def once(options: argparse.Namespace) -> dict[str, Any]:
    """One measurement of the pair, and of each model alone, in this process."""
    import numpy as np
    import torch

    from bench.artifact import load
    from bench.measures.inputs import made_inputs
    from bench.measures.timing.calls import forward, pinned, time_calls
    from bench.measures.timing.pairs import observed
    from bench.measures.timing.steady import Clocks, Side, time_steadily
    from bench.measures.timing.watch import Watch

    artifact, reference = load(options.artifact), load(options.reference)

    def side(loaded: Any) -> Side:
        inputs = made_inputs(
            loaded.model, reference.tokenizer, batch_size=1, length=options.length, device="cpu", seed=0
        )
        return Side(loaded.model, forward(loaded.model, inputs, "cpu"))

    with pinned(options.threads), torch.inference_mode():
        apart = {}
        for name, loaded in (("artifact", artifact), ("reference", reference)):
            one, calls, end = side(loaded), [], time.perf_counter() + options.seconds / 2
            time_calls(one.call, 5, time.perf_counter)
            while time.perf_counter() < end:
                calls += time_calls(one.call, 1, time.perf_counter)
            apart[name] = statistics.fmean(calls)
        with Watch() as watch:
            timed = time_steadily(
                side(artifact),
                side(reference),
                pairs=options.pairs,
                seconds=options.seconds,
                patience_s=options.patience,
                seed=random.SystemRandom().randrange(2**31),
                device="cpu",
                clocks=Clocks().on("cpu", options.threads),
            )
    result, pairs = timed.result, timed.pairs
    return {
        "speedup": None if result.invalid else result.ratio.middle,
        "low": result.ratio.low,
        "high": result.ratio.high,
        "invalid": result.invalid,
        "flatness": result.flatness,
        "pairs": result.measured,
        "dropped": result.dropped,
        "observed": observed(pairs),
        "fastest": min(pairs.reference_s) / min(pairs.artifact_s),
        "pooled_p10": float(np.quantile(pairs.reference_s, 0.1) / np.quantile(pairs.artifact_s, 0.1)),
        "means": statistics.fmean(pairs.reference_s) / statistics.fmean(pairs.artifact_s),
        "apart": apart["reference"] / apart["artifact"],
        "artifact_mean_s": apart["artifact"],
        "reference_mean_s": apart["reference"],
        "artifact_undisturbed_s": result.artifact_s,
        "reference_undisturbed_s": result.reference_s,
        "machine": watch.seen.conditions(),
    }


def _line(run: dict[str, Any]) -> str:
    said = f"{run['speedup']:.3f}" if run["speedup"] else "invalid"
    return (
        f"speed-up {said} [{run['low']:.3f}, {run['high']:.3f}], flatness {run['flatness']:.3f}, {run['pairs']} pairs, "
        f"{run['dropped']} dropped, observed {run['observed']:.3f}, apart {run['apart']:.3f}, "
        f"other load {run['machine']['other']:.0%}, steal {run['machine']['steal']:.1%}"
    )


def _values(found: list[float]) -> str:
    return " ".join(f"{value:.3f}" for value in found)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("artifact", type=Path)
    parser.add_argument("reference", type=Path)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--length", type=int, default=128)
    parser.add_argument("--pairs", type=int, default=70, help="least number of pairs")
    parser.add_argument("--seconds", type=float, default=8.0, help="least seconds of pairs")
    parser.add_argument("--patience", type=float, default=30.0, help="most seconds of pairs")
    parser.add_argument("--json", type=Path, help="write what every run found here")
    parser.add_argument("--once", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
