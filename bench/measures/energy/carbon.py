"""Energy and carbon: of a thousand inferences, and of making the artifact."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from typing_extensions import override

from bench.columns import with_intervals
from bench.measures.base.inputs import made_inputs
from bench.measures.base.measure import MEASURES, ExampleProbingMeasure, Pair, Reading
from bench.measures.energy.inference import Inference, break_even, inference
from bench.measures.energy.tracker import is_estimate
from bench.measures.energy.windows import Session, Window, idle_power_w, joined, meter_models, window_count
from bench.measures.timing import rounds
from bench.measures.timing.calls import forward
from bench.measures.timing.typical import CHOSEN, Typical, depends_on_example, in_turn, typical

if TYPE_CHECKING:
    from bench.artifacts.artifact import Loaded
    from bench.artifacts.manifest import EnergySpent
    from bench.measures.base.examples import EvaluationExamples
    from bench.spec.setting import Measuring
    from bench.tasks.kinds.kind import TaskKind

_WARM_UP = 3
_INFERENCE = with_intervals(
    "energy_kwh",
    "energy_net_kwh",
    "power_w",
    "power_idle_w",
    "emissions_kgco2e",
    "water_l",
    "emissions_lacoste_kgco2e",
    "energy_eit_kwh",
)


_NOTHING = "nothing was compressed"


class Carbon(ExampleProbingMeasure):
    """CodeCarbon's energy of windows of forward calls, divided by the inferences in them; whole machine.

    One inference is one example of the given length, or, if one of the models is of dynamic depth, the mean of
    evaluation examples (`bench.measures.timing.typical`). An idle window comes first, then windows of artifact and
    reference, each round in a fresh process and each window with its own tracker, so that the interval over windows
    includes the differences between processes; together a model's windows last `energy_seconds`. Energy is gross, the
    machine's idle power included, and net of it in `energy_net_kwh`; neither includes the PUE; emissions and water do.
    A window in which other programs used more than a fixed share of the processors does not count, and if none counts,
    all of this is absent with that reason; the same holds for the energy of compressing. If the power is estimated from
    CPU load or a constant, the record's `power_source` names it, and the warning `energy-estimated` is given.
    """

    name = "carbon"
    finds = Session
    together = True
    columns = (
        *_INFERENCE,
        "compress_energy_kwh",
        "compress_s",
        "compress_cpu_s",
        "compress_epochs",
        "break_even_inferences",
    )
    says = "energy, CO2-equivalent and water per 1,000 inferences; energy and seconds to make the artifact"
    budget_s = 1.0  # metering itself is done in the probes' processes
    of_calls = True
    optional = True

    def unavailable(self, device: str) -> dict[str, tuple[str, ...]]:
        """What needs a power meter that this machine does not have; the other columns are estimates without."""
        from bench.measures.energy.windows import nvidia_access, rapl_access

        access = nvidia_access() if device.startswith("cuda") else rapl_access()
        return {} if access.readable else {f"{access.why}; {access.advice}": ("energy_eit_kwh",)}

    def probes(self, measuring: Measuring, kind: TaskKind) -> tuple[str, ...]:
        """One process per round of windows."""
        del kind
        return rounds.names(window_count(measuring))

    @override
    def probe_with(
        self,
        name: str,
        directories: tuple[Path, ...],
        examples: EvaluationExamples | None,
        *,
        device: str,
        measuring: Measuring,
    ) -> Session:
        """The round called `name`: a window of each model; of the one model if the artifact is the reference."""
        from bench.artifacts.artifact import load

        number = rounds.number_of(name)
        with rounds.laid_out(number):
            once = tuple(dict.fromkeys(directories))
            models = rounds.load_apart(once, lambda path: load(path, device=device), seed=number)
            named = dict(zip(("artifact", "reference"), models, strict=False))
            return self.session(named, [number], device=device, measuring=measuring, examples=examples)

    def session(
        self,
        models: dict[str, Loaded],
        numbers: Sequence[int],
        *,
        device: str,
        measuring: Measuring,
        examples: EvaluationExamples | None = None,
    ) -> Session:
        """The windows of these rounds, of every model."""
        import torch

        threads = torch.get_num_threads()
        torch.set_num_threads(measuring.threads)
        try:
            with torch.inference_mode():
                read = _read_examples(models, examples, device)
                calls = {name: _call(loaded, device, measuring, read) for name, loaded in models.items()}
                for call in calls.values():
                    for _ in range(_WARM_UP):
                        call()
                return meter_models(calls, measuring=measuring, rounds=numbers)
        finally:
            torch.set_num_threads(threads)

    def read(self, pair: Pair) -> Reading:
        """Join the windows, take over what making the artifact cost, and set the one against the other."""
        reading = Reading()
        done, reasons = rounds.told([found for (found,) in self.probed(pair).values()])
        if done:
            _read_inference(reading, pair, joined(done))
            if reasons:
                count = f"{len(reasons)} of {len(done) + len(reasons)}"
                reading.warn("lost-process", f"{count} metering processes gave no result: {reasons[0]}")
        else:
            reading.leave(reasons[0], *_INFERENCE, "break_even_inferences")
        _read_making(reading, pair)
        _warn(reading)
        return reading


def _read_examples(models: dict[str, Loaded], examples: EvaluationExamples | None, device: str) -> Typical | None:
    """The evaluation examples to run if a model is of dynamic depth."""
    artifact = models["artifact"]
    return None if examples is None else typical(artifact, models.get("reference", artifact), examples, device=device)


def _call(loaded: Loaded, device: str, measuring: Measuring, read: Typical | None) -> Callable[[], int]:
    """One or several forward calls, waited for, that return their number of examples."""
    if read is not None:
        batches = read.batches(measuring.batch_size, loaded.tokenizer.pad_token_id)
    else:
        batches = [
            made_inputs(
                loaded.model,
                loaded.tokenizer,
                batch_size=measuring.batch_size,
                length=measuring.length,
                device=device,
                seed=0,
            )
        ]
    run = in_turn([forward(loaded.model, inputs, device) for inputs in batches])
    count = sum(len(inputs["input_ids"]) for inputs in batches)

    def call() -> int:
        run()
        return count

    return call


def _read_inference(reading: Reading, pair: Pair, session: Session) -> None:
    """File what the windows say of 1,000 inferences, or why they say nothing."""
    artifact = session.models["artifact"]
    if not artifact.windows:
        reading.leave(artifact.reasons[-1], *_INFERENCE, "break_even_inferences")
        return
    beside = session.models.get("reference", artifact)
    first = next(iter(artifact.windows.values())).energy
    own = _inference_of(artifact.windows, pair, session)
    reference = _inference_of(beside.windows, pair, session)
    for name in _INFERENCE:
        value, other = own.values.get(name), reference.values.get(name)
        if value is None:
            reading.leave(own.absent[name], name)
        else:
            reading.give(name, value, reference=other)
    if pair.is_reference:
        reading.leave(_NOTHING, "break_even_inferences")
    else:
        _read_break_even(reading, pair.made.energy, own, reference, beside.reasons)
    _keep(reading, session, own, reference, is_reference=pair.is_reference)
    measuring = pair.setting.measuring
    reading.conditions = {
        **first.conditions(),
        **own.conditions,
        "windows": len(artifact.windows),
        "windows_reference": len(beside.windows),
        "windows_without_reading": len(artifact.reasons) + (0 if pair.is_reference else len(beside.reasons)),
        "other_share": max(window.energy.load.other_share for window in artifact.windows.values()),
        "samples": min(window.energy.samples for window in artifact.windows.values()),
        "window_s": statistics.fmean(window.energy.seconds for window in artifact.windows.values()),
        "inferences": sum(window.inferences for window in artifact.windows.values()),
        "inferences_reference": sum(window.inferences for window in beside.windows.values()),
        "batch_size": measuring.batch_size,
        "length": measuring.length,
        "threads": measuring.threads,
        "device": pair.device,
    }
    if any(depends_on_example(side.model) for side in (pair.artifact, pair.reference)):
        reading.conditions |= {"length": None, "inputs": f"up to {CHOSEN} evaluation examples, each of its own length"}
    if session.idle is not None and not isinstance(session.idle, str):
        reading.conditions |= {"idle_s": session.idle.seconds, "idle_busy_share": session.idle.load.busy_share}


def _inference_of(windows: Mapping[int, Window], pair: Pair, session: Session) -> Inference:
    """What the windows of one model say, net of the idle machine if the idle window is a baseline for them."""
    readings = [window.energy for window in windows.values()]
    idle_w = idle_power_w(session.idle, readings) if readings else "no window has a reading"
    return inference(windows, idle_w=idle_w, measuring=pair.setting.measuring, device=pair.device)


def _read_break_even(
    reading: Reading, made: EnergySpent, own: Inference, reference: Inference, reasons: Sequence[str]
) -> None:
    """File after how many inferences compressing has paid for itself, or why that is not known."""
    if made.kwh is None:
        reason = f"energy of compressing: {made.absent or 'nothing was compressed'}"
    elif not reference.by_round:
        reason = f"energy of the reference: {reasons[-1]}"
    else:
        found = break_even(made.kwh, own, reference)
        if isinstance(found, int):
            reading.give("break_even_inferences", found)
            return
        reason = found
    reading.leave(reason, "break_even_inferences")


def _keep(reading: Reading, session: Session, own: Inference, reference: Inference, *, is_reference: bool) -> None:
    """Store the raw values: energy of every window, power between every two samples."""
    for name, end, found in (("artifact", "", own), ("reference", "_reference", reference)):
        if found.by_round and not (is_reference and end):
            reading.samples[f"energy_window_kwh{end}"] = list(found.by_round.values())
            windows = session.models[name].windows.values()
            reading.samples[f"energy_power_w{end}"] = [watts for item in windows for watts in item.energy.power_w]
    if session.idle is not None and not isinstance(session.idle, str):
        reading.samples["energy_power_w_idle"] = list(session.idle.power_w)


def _read_making(reading: Reading, pair: Pair) -> None:
    """File what compressing cost, as the process that compressed has noted it; gross, like the inferences' energy."""
    made = pair.made
    if made.compress_s is None:
        reading.leave(_NOTHING, "compress_s")
    else:
        reading.give("compress_s", made.compress_s)
    _read_processor_time(reading, pair)
    if made.energy.kwh is None:
        reading.leave(made.energy.absent or _NOTHING, "compress_energy_kwh")
        return
    reading.give("compress_energy_kwh", made.energy.kwh)
    if made.energy.power_source:
        reading.conditions["compress_power_source"] = made.energy.power_source


def _read_processor_time(reading: Reading, pair: Pair) -> None:
    """Store the processor seconds of compressing, also in epochs of the reference's training."""
    seconds = pair.made.compress_cpu_s
    if seconds is None:
        counted = pair.made.compress_s is not None
        reason = "the artifact was made by a version that did not count processor time" if counted else _NOTHING
        reading.leave(reason, "compress_cpu_s", "compress_epochs")
        return
    reading.give("compress_cpu_s", seconds)
    if pair.reference.manifest.training is None:
        reading.leave("the reference was not trained here: it is a model as it was given", "compress_epochs")
    elif pair.epoch_cpu_s:
        reading.give("compress_epochs", seconds / pair.epoch_cpu_s)
    else:
        reading.leave("the reference was trained by a version that did not count processor time", "compress_epochs")


def _warn(reading: Reading) -> None:
    """Warn once that the energy is an estimate, of inference or of compressing."""
    found = [reading.conditions.get(key) for key in ("power_source", "compress_power_source")]
    estimates = dict.fromkeys(source for source in found if source and is_estimate(source))
    if estimates:
        sentence = (
            f"energy is estimated ({', '.join(estimates)}), not metered. Compare it only with results of this "
            f"machine, or run on a machine with readable RAPL counters (Linux) or NVML."
        )
        reading.warn("energy-estimated", sentence)


MEASURES.register("carbon")(Carbon())
