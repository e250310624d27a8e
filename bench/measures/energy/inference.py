"""What the windows of one model say of 1,000 inferences, and whether compressing pays for itself."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bench.base.statistics import over_seeds
from bench.columns import column
from bench.measures.energy import calculators
from bench.measures.energy.tracker import processor_tdp
from bench.measures.energy.windows import INFERENCES, Window

if TYPE_CHECKING:
    from bench.spec.setting import Measuring

_S_PER_KWH_W = 3.6e6


@dataclass(frozen=True, kw_only=True)
class Inference:
    """Columns of 1,000 inferences: each has a value or a reason; `by_round` is the gross energy of every window."""

    values: dict[str, float] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)
    conditions: dict[str, Any] = field(default_factory=dict)
    by_round: dict[int, float] = field(default_factory=dict)


def inference(windows: Mapping[int, Window], *, idle_w: float | str, measuring: Measuring, device: str) -> Inference:
    """Every column of 1,000 inferences; none if there is no window.

    A value is the mean over the windows, each having the same length and so the same weight.

    Args:
        windows: the windows with a reading, by round.
        idle_w: power of the idle machine, or why it is not known.
        measuring: the setting's PUE, WUE, offset and hardware power.
        device: what the model ran on.
    """
    found = Inference(by_round={index: window.kwh for index, window in windows.items()})
    if not windows:
        return found
    grid = next(iter(windows.values())).energy.grid_kgco2e_per_kwh
    gross = statistics.fmean(found.by_round.values())
    found.values["energy_kwh"] = gross
    found.values["power_w"] = statistics.fmean(window.energy.mean_w for window in windows.values())
    found.values["emissions_kgco2e"] = calculators.emissions_kgco2e(gross, pue=measuring.pue, grid_kgco2e_per_kwh=grid)
    if measuring.wue_l_per_kwh is None:
        found.absent["water_l"] = (
            "the setting has no wue_l_per_kwh (litres of water per kWh), which depends on the site"
        )
    else:
        found.values["water_l"] = calculators.water_l(gross, pue=measuring.pue, wue_l_per_kwh=measuring.wue_l_per_kwh)
    found.conditions.update(
        pue=measuring.pue, wue_l_per_kwh=measuring.wue_l_per_kwh, carbon_offset=measuring.carbon_offset
    )
    _interval(found)
    _net(found, windows, idle_w)
    _lacoste(found, windows, grid, measuring, device)
    _impact_tracker(found, windows)
    return found


def break_even(compress_kwh: float, artifact: Inference, reference: Inference) -> int | str:
    """After how many inferences compressing is paid back, or why that cannot be said.

    The savings of the rounds are paired. If there are several and their 95 % t interval reaches zero, the quotient
    would be noise over noise.
    """
    rounds = sorted(artifact.by_round.keys() & reference.by_round.keys())
    savings = over_seeds([reference.by_round[index] - artifact.by_round[index] for index in rounds])
    if savings is not None and savings.middle > 0 >= savings.low:
        return (
            f"the saving of {savings.middle:.3g} kWh per {INFERENCES} inferences is not significant: its interval "
            f"over {len(rounds)} windows begins at {savings.low:.3g}. Raise measuring.energy_seconds"
        )
    try:
        return calculators.break_even_inferences(
            compress_kwh,
            reference_kwh=reference.values["energy_kwh"],
            artifact_kwh=artifact.values["energy_kwh"],
            inferences=INFERENCES,
        )
    except ValueError as error:
        return str(error)


def _interval(found: Inference) -> None:
    """The 95 % Student t interval of the mean over windows.

    Not a bootstrap: resamples of two to five windows hardly leave the range of these windows, which has far less than
    the stated coverage, while t is right for any number of them if windows are about normal. Samples within a
    window are no replacement, as they follow each other too closely to be independent.
    """
    ends = column("energy_kwh").ends.names()
    interval = over_seeds(list(found.by_round.values()))
    if interval is None:
        reason = (
            "an interval needs two windows with a reading: raise measuring.energy_seconds, or lower "
            "measuring.energy_sample_s, until each window has ten samples"
        )
    elif interval.low <= 0:
        reason = (
            f"the {len(found.by_round)} windows differ too much: their interval extends down to {interval.low:.3g} kWh"
        )
    else:
        found.values.update(zip(ends, interval[1:], strict=True))
        return
    found.absent.update(dict.fromkeys(ends, reason))


def _net(found: Inference, windows: Mapping[int, Window], idle_w: float | str) -> None:
    """Energy above that of the idle machine."""
    if isinstance(idle_w, str):
        found.absent.update(power_idle_w=idle_w, energy_net_kwh=idle_w)
        return
    found.values["power_idle_w"] = idle_w
    net = statistics.fmean(window.net_kwh(idle_w) for window in windows.values())
    if net > 0:
        found.values["energy_net_kwh"] = net
    else:
        found.absent["energy_net_kwh"] = (
            f"running took no more power than idling: {found.values['power_w']:.4g} W against {idle_w:.4g} W"
        )


def _lacoste(found: Inference, windows: Mapping[int, Window], grid: float, measuring: Measuring, device: str) -> None:
    """Thermal design power times the seconds of 1,000 inferences."""
    watts, source = _hardware_power_w(measuring, device)
    if watts is None:
        found.absent["emissions_lacoste_kgco2e"] = source
        return
    seconds = statistics.fmean(window.energy.seconds * window.share for window in windows.values())
    found.values["emissions_lacoste_kgco2e"] = calculators.lacoste_kgco2e(
        watts=watts, seconds=seconds, grid_kgco2e_per_kwh=grid, offset=measuring.carbon_offset
    )
    found.conditions.update(hardware_power_w=watts, lacoste_power_source=source)


def _hardware_power_w(measuring: Measuring, device: str) -> tuple[float | None, str]:
    """Thermal design power of what the model ran on, with its source; None with the reason."""
    if measuring.hardware_power_w is not None:
        return measuring.hardware_power_w, "thermal design power, given in the setting"
    if device != "cpu":
        return None, "CodeCarbon has no thermal design powers of GPUs: set measuring.hardware_power_w"
    tdp = processor_tdp()
    if tdp.watts is None:
        return None, f"CodeCarbon's table has no processor '{tdp.model}': set measuring.hardware_power_w to its TDP"
    return tdp.watts, f"thermal design power of {tdp.model} in CodeCarbon's table"


def _impact_tracker(found: Inference, windows: Mapping[int, Window]) -> None:
    """Energy of this process alone, by sensors alone, with the tool's own PUE."""
    sources = next(iter(windows.values())).energy.sources
    used = {part: sources[part] for part in ("processor", "gpu") if part in sources}
    if any(source != {"processor": "rapl", "gpu": "nvml"}[part] for part, source in used.items()):
        named = ", ".join(f"{part}: {source}" for part, source in used.items())
        found.absent["energy_eit_kwh"] = f"it is defined for RAPL and NVML only; power here is from {named}"
        return
    found.values["energy_eit_kwh"] = statistics.fmean(_attributed_kwh(window) for window in windows.values())
    found.conditions["eit_pue"] = calculators.EIT_PUE


def _attributed_kwh(window: Window) -> float:
    energy = window.energy
    watts = {part: kwh * _S_PER_KWH_W / energy.seconds for part, kwh in energy.parts_kwh.items()}
    own_w = calculators.attributable_w(
        processor_w=watts["processor"], processor_share=energy.load.own_share, gpu_w=watts.get("gpu", 0.0)
    )
    return calculators.impact_tracker_kwh([(energy.seconds, own_w)]) * window.share
