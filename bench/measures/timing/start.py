"""Loading and the first call, each model once in a fresh process of its own."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from bench.base.statistics import median
from bench.measures.base.inputs import made_inputs
from bench.measures.base.measure import MEASURES, Pair, ProbingMeasure, Reading
from bench.measures.timing.calls import forward, pinned, time_calls
from bench.runtimes.runtime import RUNTIMES

if TYPE_CHECKING:
    from bench.spec.setting import Measuring
    from bench.tasks.kinds.kind import TaskKind

SLOW = 10.0  # first calls over later ones from which a warning is stored
_LATER = 5


class Began(NamedTuple):
    """Seconds to load, of the first call, and the median of the few after it."""

    load_s: float
    first_call_s: float
    later_call_s: float


class Start(ProbingMeasure):
    """From files in the page cache to a model ready to be called, and its first call at the latency batch.

    The libraries are imported before; what they initialise at their first use counts for the loaded model, as it
    does if a process answers only once.
    """

    name = "start"
    finds = Began
    columns = ("load_s", "first_call_s")
    says = "seconds to load and to the first answer, in a fresh process"
    budget_s = 3.0
    optional = True

    def probes(self, measuring: Measuring, kind: TaskKind) -> tuple[str, ...]:
        """One process for each model."""
        del measuring, kind
        return ("start",)

    def probe(self, name: str, directories: tuple[Path, ...], *, device: str, measuring: Measuring) -> Began:
        """Load the artifact, call it, and call it again a few times."""
        import torch

        from bench.artifacts.artifact import load, runtime_in

        RUNTIMES.get(runtime_in(directories[0]))().prime()
        with pinned(measuring.threads), torch.inference_mode():
            start = time.perf_counter()
            loaded = load(directories[0], device=device)
            load_s = time.perf_counter() - start
            inputs = made_inputs(
                loaded.model,
                loaded.tokenizer,
                batch_size=measuring.batch_size,
                length=measuring.length,
                device=device,
                seed=0,
            )
            call = forward(loaded.model, inputs, device)
            first, *later = time_calls(call, 1 + _LATER, time.perf_counter)
        return Began(load_s, first, median(later))

    def read(self, pair: Pair) -> Reading:
        """What the probes of artifact and reference found."""
        return self.combine(*self.probed(pair)["start"])

    def combine(self, artifact: Began | str, reference: Began | str) -> Reading:
        """A reading of two starts, each of them a reason if it could not be had."""
        reading = Reading(conditions={"files": "in the page cache", "processes": 1})
        if isinstance(artifact, str):
            reading.leave(artifact, *self.columns)
            return reading
        known = None if isinstance(reference, str) else reference
        reading.give("load_s", artifact.load_s, reference=known.load_s if known else None)
        reading.give("first_call_s", artifact.first_call_s, reference=known.first_call_s if known else None)
        reading.conditions["later_call_s"] = artifact.later_call_s
        if artifact.first_call_s > SLOW * artifact.later_call_s:
            reading.warn(
                "slow-start",
                f"the first call took {artifact.first_call_s:.3g} s, "
                f"{artifact.first_call_s / artifact.later_call_s:.0f} times as long as later calls. If each of your "
                f"processes answers only once, compare first_call_s instead of latency_p50_s.",
            )
        return reading


MEASURES.register("start")(Start())
