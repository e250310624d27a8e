"""Decoding: seconds to write a text and one token of it beside the reference, and what encoder and decoder compute."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

from bench.errors import ModelError
from bench.measures.inputs import made_inputs
from bench.measures.measure import MEASURES, Measure, Pair, Reading
from bench.measures.timing.calls import block_size, pinned, warm_up
from bench.measures.timing.pairs import Pairs, SpeedUp, laps_table
from bench.measures.timing.steady import BLOCK_S, WARM_UP_LIMIT_S, Clocks, until_settled
from bench.statistics import median

if TYPE_CHECKING:
    from bench.artifact import Loaded
    from bench.measures.timing.calls import Clock
    from bench.measures.timing.laps import Timed

TIMES = ("decoding_sentence_s", "decoding_token_s")
SPEEDUPS = ("decoding_speedup", "decoding_speedup_low", "decoding_speedup_high")
MACS = ("macs_encoder", "macs_decoder_token")
MOST_PAIRS = 30  # a text has a lap for each token, so few of them see many quiet moments
PATIENCE_S = 6.0  # as `latency` has, but a text takes many calls
_SLICE_S = 1.0


@dataclass(frozen=True)
class Decoding(Measure):
    """Greedy writing of one text, artifact and reference in turns; see `Latency` for how the ratio is taken.

    Source and text have the stated length: a token that would end the text does not, so that both models do equal
    work. The clock is read after the encoder and after each token, at which the device is waited for. Tests replace
    the clocks.
    """

    clocks: Clocks = field(default_factory=Clocks)

    name = "decoding"
    columns = (*TIMES, *SPEEDUPS, *MACS)
    says = "seconds to write a text and a token of it, the paired speed-up, multiply-adds of encoder and decoder apart"
    budget_s = 12.0
    optional = True

    def read(self, pair: Pair) -> Reading:
        """Absent for tasks that have no text written."""
        reading = Reading()
        if pair.task.kind != "translation":
            reading.leave(f"in a {pair.task.kind} task no text is written", *self.columns)
            return reading
        length = pair.setting.measuring.length
        reading.conditions = {
            "batch_size": 1,
            "source_tokens": length,
            "written_tokens": length,
            "threads": pair.setting.measuring.threads,
            "device": pair.device,
            "macs": "one pass over source and target; the decoder's share includes the softmax, and the keys and "
            "values of the source once",
        }
        _give_macs(reading, pair)
        try:
            pairs, result = self._time(pair)
        except ModelError as error:
            reading.leave(str(error), *TIMES, *SPEEDUPS)
            return reading
        _give_times(reading, pairs, result)
        return reading

    def _time(self, pair: Pair) -> tuple[Pairs, SpeedUp]:
        """Pairs until the speed-up counts and is sure enough, or patience ends."""
        import torch

        plan = pair.setting.measuring
        clocks = self.clocks.on(pair.device, plan.threads)
        with pinned(plan.threads), torch.inference_mode():
            mine, theirs = (_timed(pair, loaded, clocks.wall) for loaded in (pair.artifact, pair.reference))
            warm = [warm_up(each, clock=clocks.wall, limit_s=WARM_UP_LIMIT_S) for each in (mine, theirs)]
            return until_settled(
                mine,
                theirs,
                blocks=(block_size(warm[0].call_s, BLOCK_S), block_size(warm[1].call_s, BLOCK_S)),
                pairs=min(plan.pairs, MOST_PAIRS),
                seconds=min(plan.seconds, PATIENCE_S),
                patience_s=min(plan.patience_seconds, PATIENCE_S),
                seed=pair.seed,
                clocks=clocks,
                slice_s=_SLICE_S,
            )


def _timed(pair: Pair, loaded: Loaded, clock: Clock) -> Timed:
    """A function that writes one text and gives the seconds of the encoder and of each token."""
    import torch

    from bench.models.decoding import numbered_layers
    from bench.tasks.greedy import Greedy

    length = pair.setting.measuring.length
    inputs = _inputs(pair, loaded, target_length=1)
    pad_id = pair.reference.tokenizer.pad_token_id
    device = torch.device(pair.device)

    def mark() -> float:
        if device.type == "cuda":
            torch.cuda.synchronize(device)
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


def _inputs(pair: Pair, loaded: Loaded, *, target_length: int) -> dict[str, Any]:
    return made_inputs(
        loaded.model,
        pair.reference.tokenizer,
        batch_size=1,
        length=pair.setting.measuring.length,
        device=pair.device,
        seed=pair.seed,
        target_length=target_length,
    )


def _give_times(reading: Reading, pairs: Pairs, result: SpeedUp) -> None:
    reading.samples["decoding_s"] = pairs.artifact_s
    reading.samples["reference_decoding_s"] = pairs.reference_s
    reading.tables["decoding_laps"] = laps_table(pairs)
    reading.conditions |= {"pairs_measured": result.measured, "pairs_dropped": result.dropped}
    reading.give(TIMES[0], median(pairs.artifact_s), reference=median(pairs.reference_s))
    steps = [
        median([step for turn in turns for laps in turn.laps for step in laps[1:]])
        for turns in (pairs.artifact, pairs.reference)
    ]
    reading.give(TIMES[1], steps[0], reference=steps[1])
    if result.invalid is not None:
        reading.leave(f"invalid: {result.invalid}", *SPEEDUPS)
        return
    reading.give(SPEEDUPS[0], result.ratio.middle, reference=1.0)
    reading.give(SPEEDUPS[1], result.ratio.low)
    reading.give(SPEEDUPS[2], result.ratio.high)


class _Macs(NamedTuple):
    encoder: int
    rest: int


def _give_macs(reading: Reading, pair: Pair) -> None:
    """Multiply-adds of both models, the encoder's and the rest's by token; absent where some cannot be counted."""
    mine, theirs = (_macs(pair, loaded) for loaded in (pair.artifact, pair.reference))
    if isinstance(mine, str):
        reading.leave(mine, *MACS)
        return
    length = pair.setting.measuring.length
    known = None if isinstance(theirs, str) else theirs
    reading.give(MACS[0], mine.encoder, reference=known.encoder if known else None)
    reading.give(MACS[1], mine.rest / length, reference=known.rest / length if known else None)


def _macs(pair: Pair, loaded: Loaded) -> _Macs | str:
    from bench.measures.trace import trace
    from bench.models.decoding import numbered_layers
    from bench.tasks.greedy import encoder_of

    try:
        encoder = encoder_of(loaded.model)
        with numbered_layers(loaded.model):
            ledger = trace(loaded.model, _inputs(pair, loaded, target_length=pair.setting.measuring.length))
    except ModelError as error:
        return str(error)
    if ledger.uncounted:
        return f"no handle counts the operators {', '.join(sorted(ledger.uncounted))}"
    path = next(name for name, module in loaded.model.named_modules() if module is encoder)
    inside = sum(each.macs for each in ledger.operations if f"{each.module}.".startswith(f"{path}."))
    return _Macs(inside, ledger.macs - inside)


MEASURES.register("decoding")(Decoding())
