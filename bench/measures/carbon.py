"""Energy and carbon: of a thousand inferences, and of making the artifact."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from bench.errors import ModelError
from bench.measures.energy_meter import EnergyMeter, EnergyReading
from bench.measures.inputs import made_inputs
from bench.measures.measure import MEASURES, Measure, Pair, Reading

if TYPE_CHECKING:
    from bench.artifact import Loaded

INFERENCES = 1000  # what the energy columns count
_WARM_UP = 3


class Carbon(Measure):
    """CodeCarbon's energy of a window of forward calls, divided by the inferences in it; gross, whole machine.

    One inference is one example of the stated length. Each model has a window and a tracker of its own, one after the
    other. kg CO2e = kWh x the grid intensity that CodeCarbon holds for the stated country. Where the power is a model
    of the load or a constant, the record says so in `power_source` and carries the warning `energy-estimated`.
    """

    name = "carbon"
    columns = ("energy_kwh", "emissions_kgco2e", "compress_energy_kwh", "compress_s")
    says = "energy and CO2-equivalent of 1,000 inferences, and energy and seconds of making the artifact"

    def read(self, pair: Pair) -> Reading:
        """Measure both models' windows, and take over what making the artifact cost."""
        reading = Reading()
        _read_inference(reading, pair)
        _read_making(reading, pair.made)
        return reading


def _read_inference(reading: Reading, pair: Pair) -> None:
    """File energy and emissions of 1,000 inferences, or why they are absent."""
    names = ("energy_kwh", "emissions_kgco2e")
    try:
        artifact = _window(pair, pair.artifact)
        reference = artifact if pair.is_reference else _window(pair, pair.reference)
    except ModelError as error:
        reading.leave(str(error), *names)
        return
    energy, inferences = artifact
    if isinstance(energy, str):
        reading.leave(energy, *names)
        return
    share = INFERENCES / inferences
    beside, beside_inferences = reference
    known = None if isinstance(beside, str) else beside
    beside_share = INFERENCES / beside_inferences
    reading.give("energy_kwh", energy.kwh * share, reference=known.kwh * beside_share if known else None)
    reading.give("emissions_kgco2e", energy.kgco2e * share, reference=known.kgco2e * beside_share if known else None)
    reading.samples["energy_power_w"] = list(energy.power_w)
    if known:
        reading.samples["energy_power_w_reference"] = list(known.power_w)
    measuring = pair.setting.measuring
    reading.conditions = {
        **energy.conditions(),
        "inferences": inferences,
        "inferences_reference": beside_inferences,
        "batch_size": measuring.batch_size,
        "length": measuring.length,
        "threads": measuring.threads,
        "device": pair.device,
    }
    if energy.estimated:
        sentence = (
            f"energy is an estimate: its power comes from {energy.power_source}. Compare it on this machine only, "
            "or run where RAPL (Linux, readable by you) or NVML can be read."
        )
        reading.warn("energy-estimated", sentence)


def _window(pair: Pair, loaded: Loaded) -> tuple[EnergyReading | str, int]:
    """Energy of at least `energy_seconds` of forward calls, and how many examples they had in all."""
    import torch

    measuring = pair.setting.measuring
    inputs = made_inputs(
        loaded.model,
        loaded.tokenizer,
        batch_size=measuring.batch_size,
        length=measuring.length,
        device=pair.device,
        seed=pair.seed,
    )
    gpu = pair.device.startswith("cuda")
    threads = torch.get_num_threads()
    torch.set_num_threads(measuring.threads)
    calls = 0
    try:
        with torch.inference_mode():
            for _ in range(_WARM_UP):
                loaded.model(**inputs)
            if gpu:
                torch.cuda.synchronize(pair.device)
            with EnergyMeter(country=measuring.country, sample_s=measuring.energy_sample_s) as meter:
                end = time.perf_counter() + measuring.energy_seconds
                while calls == 0 or time.perf_counter() < end:
                    loaded.model(**inputs)
                    if gpu:
                        torch.cuda.synchronize(pair.device)
                    calls += 1
    finally:
        torch.set_num_threads(threads)
    return meter.reading, calls * measuring.batch_size


def _read_making(reading: Reading, made: dict[str, Any]) -> None:
    """File what compressing cost, as the process that compressed has noted it."""
    if "compress_s" in made:
        reading.give("compress_s", made["compress_s"])
    else:
        reading.leave("nothing was compressed", "compress_s")
    if made.get("energy_kwh") is not None:
        reading.give("compress_energy_kwh", made["energy_kwh"])
        if made.get("power_source"):
            reading.conditions["compress_power_source"] = made["power_source"]
    else:
        reading.leave(str(made.get("energy_absent", "nothing was compressed")), "compress_energy_kwh")


MEASURES.register("carbon")(Carbon())
