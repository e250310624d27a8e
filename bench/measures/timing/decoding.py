"""Decoding: seconds per generated text and token, compared with the reference, and MACs of encoder and decoder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from bench.base.errors import ModelError
from bench.base.statistics import median
from bench.columns import with_intervals
from bench.measures.base.inputs import made_inputs
from bench.measures.base.measure import MEASURES, Pair, ProbingMeasure, Reading
from bench.measures.timing import rounds
from bench.measures.timing.calls import block_size, pinned, warm_up
from bench.measures.timing.pairs import laps_table, pooled
from bench.measures.timing.rounds import Round
from bench.measures.timing.steady import BLOCK_S, WARM_UP_LIMIT_S, Clocks, summary, until_settled
from bench.measures.timing.watch import Watch, joined

if TYPE_CHECKING:
    from bench.artifacts.artifact import Loaded
    from bench.measures.timing.calls import Clock, Timed
    from bench.spec.setting import Measuring
    from bench.tasks.kinds.kind import TaskKind

TIMES = ("decoding_sentence_s", "decoding_token_s")
SPEEDUPS = with_intervals("decoding_speedup")
MACS = ("macs_encoder", "macs_decoder_token")
MOST_PAIRS = 30  # a text has a lap for each token, so few of them see many quiet moments
PATIENCE_S = 6.0  # of all processes together, as `latency` has, but a text takes many calls
_SLICE_S = 1.0


@dataclass(frozen=True)
class Decoding(ProbingMeasure):
    """Greedy decoding of one text, artifact and reference in turns; see `Latency` for processes and the ratio.

    Source and text have the stated length: an end token does not end the text, so that both models do equal work. The
    clock is read after the encoder and after each token, after synchronising the device. Tests replace the clocks.
    """

    clocks: Clocks = field(default_factory=Clocks)

    name = "decoding"
    finds = Round
    together = True
    columns = (*TIMES, *SPEEDUPS, *MACS)
    says = "seconds per generated text and per token, the paired speed-up, multiply-adds of encoder and decoder"
    budget_s = 3.0  # the timing itself is done in the probes' processes
    optional = True

    def probes(self, measuring: Measuring, kind: TaskKind) -> tuple[str, ...]:
        """One process per round, if the task has texts written."""
        return rounds.names(measuring.processes) if kind.writes else ()

    def probe(self, name: str, directories: tuple[Path, ...], *, device: str, measuring: Measuring) -> Round:
        """Time both models in this process."""
        from bench.artifacts.artifact import load

        number = rounds.number_of(name)
        with rounds.laid_out(number):
            models = rounds.load_apart(directories, lambda path: load(path, device=device), seed=number)
            return self.round(models[0], models[1], number=number, device=device, measuring=measuring)

    def round(self, artifact: Loaded, reference: Loaded, *, number: int, device: str, measuring: Measuring) -> Round:
        """Pairs until the speed-up counts and is sure enough, or patience ends."""
        import torch

        clocks = self.clocks.on(device, measuring.threads)
        plan = rounds.share_of(measuring)
        share = measuring.processes
        with pinned(measuring.threads), torch.inference_mode(), Watch() as watch:
            mine, theirs = (
                _timed(loaded, reference, clocks.wall, device=device, length=measuring.length)
                for loaded in (artifact, reference)
            )
            warm = [warm_up(each, clock=clocks.wall, limit_s=WARM_UP_LIMIT_S) for each in (mine, theirs)]
            pairs, result = until_settled(
                mine,
                theirs,
                blocks=(block_size(warm[0].call_s, BLOCK_S), block_size(warm[1].call_s, BLOCK_S)),
                pairs=min(plan.pairs, max(5, MOST_PAIRS // share)),
                seconds=min(plan.seconds, PATIENCE_S / share),
                patience_s=min(plan.patience_s, PATIENCE_S / share),
                seed=number,
                clocks=clocks,
                slice_s=_SLICE_S / share,
                width=plan.width,
            )
        return Round(pairs, result, watch.seen)

    def read(self, pair: Pair) -> Reading:
        """What the rounds say together; absent for tasks that have no text written."""
        return self.combine([found for (found,) in self.probed(pair).values()], pair)

    def combine(self, found: Sequence[Round | str], pair: Pair) -> Reading:
        """A reading of all rounds, each of them a reason if it could not be had."""
        reading = Reading()
        if not pair.kind.writes:
            reading.leave(f"a {pair.task.kind} task generates no text", *self.columns)
            return reading
        length = pair.setting.measuring.length
        reading.conditions = {
            "batch_size": 1,
            "source_tokens": length,
            "written_tokens": length,
            "processes": pair.setting.measuring.processes,
            "threads": pair.setting.measuring.threads,
            "device": pair.device,
            "macs": "one pass over source and target; the decoder includes the softmax, and the keys and values of "
            "the source once",
        }
        _give_macs(reading, pair)
        done, reasons = rounds.told(found)
        if not done:
            reading.leave(reasons[0], *TIMES, *SPEEDUPS)
            return reading
        if reasons:
            reading.warn(
                "lost-process", f"{len(reasons)} of {len(found)} timing processes gave no result: {reasons[0]}"
            )
        _give_times(reading, done)
        return reading


def _timed(loaded: Loaded, reference: Loaded, clock: Clock, *, device: str, length: int) -> Timed:
    """A function that writes one text and gives the seconds of the encoder and of each token."""
    import torch

    from bench.models.encoder_decoder import numbered_layers
    from bench.tasks.greedy import Greedy

    inputs = _inputs(loaded, reference, device=device, length=length, target_length=1)
    pad_id = reference.tokenizer.pad_token_id
    target = torch.device(device)

    def mark() -> float:
        if target.type == "cuda":
            torch.cuda.synchronize(target)
        return clock()

    def timed() -> list[float]:
        with numbered_layers(loaded.model):
            marks = [mark()]
            greedy = Greedy(loaded.model, inputs, pad_id=pad_id)
            marks.append(mark())
            for _ in range(length):
                token, _ = greedy.step()
                greedy.write(token)
                marks.append(mark())
        return [after - before for before, after in pairwise(marks)]

    return timed


def _inputs(loaded: Loaded, reference: Loaded, *, device: str, length: int, target_length: int) -> dict[str, Any]:
    return made_inputs(
        loaded.model,
        reference.tokenizer,
        batch_size=1,
        length=length,
        device=device,
        seed=0,
        target_length=target_length,
    )


def _give_times(reading: Reading, done: Sequence[Round]) -> None:
    pairs = pooled([each.pairs for each in done])
    result = rounds.together([each.result for each in done])
    reading.samples["decoding_s"] = pairs.artifact_s
    reading.samples["reference_decoding_s"] = pairs.reference_s
    reading.samples["process_decoding_speedup"] = [each.result.ratio.middle for each in done]
    reading.tables["decoding_laps"] = laps_table([each.pairs for each in done])
    reading.conditions |= {**summary(result), "machine": joined([each.seen for each in done]).conditions()}
    reading.give(TIMES[0], median(pairs.artifact_s), reference=median(pairs.reference_s))
    steps = [
        median([step for turn in turns for laps in turn.laps for step in laps[1:]])
        for turns in (pairs.artifact, pairs.reference)
    ]
    reading.give(TIMES[1], steps[0], reference=steps[1])
    if result.invalid is not None:
        reading.leave(f"invalid: {result.invalid}", *SPEEDUPS)
        return
    for name, value, reference in zip(SPEEDUPS, result.ratio, (1.0, None, None), strict=True):
        reading.give(name, value, reference=reference)


class _Macs(NamedTuple):
    encoder: int
    rest: int


def _give_macs(reading: Reading, pair: Pair) -> None:
    """Multiply-adds of both models, the encoder's and the rest's by token; absent if some cannot be counted."""
    mine, theirs = (_macs(pair, loaded) for loaded in (pair.artifact, pair.reference))
    if isinstance(mine, str):
        reading.leave(mine, *MACS)
        return
    length = pair.setting.measuring.length
    known = None if isinstance(theirs, str) else theirs
    reading.give(MACS[0], mine.encoder, reference=known.encoder if known else None)
    reading.give(MACS[1], mine.rest / length, reference=known.rest / length if known else None)


def _macs(pair: Pair, loaded: Loaded) -> _Macs | str:
    from bench.measures.computation.trace import trace
    from bench.models.encoder_decoder import numbered_layers
    from bench.tasks.greedy import encoder_of

    length = pair.setting.measuring.length
    try:
        encoder = encoder_of(loaded.model)
        with numbered_layers(loaded.model):
            inputs = _inputs(loaded, pair.reference, device=pair.device, length=length, target_length=length)
            ledger = trace(loaded.model, inputs)
    except ModelError as error:
        return str(error)
    if ledger.uncounted:
        return f"no counting formula for the operators {', '.join(sorted(ledger.uncounted))}"
    path = next(name for name, module in loaded.model.named_modules() if module is encoder)
    inside = sum(each.macs for each in ledger.operations if f"{each.module}.".startswith(f"{path}."))
    return _Macs(inside, ledger.macs - inside)


MEASURES.register("decoding")(Decoding())
