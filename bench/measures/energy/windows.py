"""Metered windows, first idle and then of each model in turn, and the evidence for the power behind them."""

from __future__ import annotations

import os
import platform
import random
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from bench.measures.energy.meter import LEAST_SAMPLE_S, LEAST_SAMPLES, TICKS_S, EnergyMeter, EnergyReading
from bench.measures.energy.tracker import Log, Samples, is_estimate, make_tracker, sources_of

if TYPE_CHECKING:
    from bench.spec.setting import Measuring

INFERENCES = 1000  # what the energy columns count
BUSY = 0.1  # largest share of the machine's processor time that may be used in the idle window
CHANGE = 0.1  # largest change of other work from the idle window to the inferences, as a share of their own
_SETTLE_S = 0.1  # threads of earlier work spin for some milliseconds before they sleep
_PATIENCE = 2  # a window may last this many times its length if a busy machine delays its samples


class Window(NamedTuple):
    """One metered block of one model's forward calls, with the examples in it."""

    energy: EnergyReading
    inferences: int

    @property
    def share(self) -> float:
        """What to multiply the window with to have 1,000 inferences."""
        return INFERENCES / self.inferences

    @property
    def kwh(self) -> float:
        """Gross energy of 1,000 inferences."""
        return self.energy.kwh * self.share

    def net_kwh(self, idle_w: float) -> float:
        """Energy of 1,000 inferences above what the machine would have drawn idle in the same seconds."""
        return (self.energy.kwh - idle_w * self.energy.seconds / 3.6e6) * self.share


class Metered(NamedTuple):
    """The windows of one model by round, and the reasons of those that have no reading."""

    windows: dict[int, Window]
    reasons: tuple[str, ...]


class Session(NamedTuple):
    """Everything metered for one pair: the idle machine, then each model; `idle` is None if it was not asked for."""

    idle: EnergyReading | str | None
    models: dict[str, Metered]


def joined(sessions: Sequence[Session]) -> Session:
    """One session of those of several processes, each with rounds of its own; the first idle window counts."""
    idle = next((each.idle for each in sessions if each.idle is not None), "the process that meters it gave no result")
    models = {
        name: Metered(
            {index: window for each in sessions for index, window in each.models[name].windows.items()},
            tuple(reason for each in sessions for reason in each.models[name].reasons),
        )
        for name in sessions[0].models
    }
    return Session(idle, models)


def window_count(measuring: Measuring) -> int:
    """How many windows a model has: as many as `energy_seconds` can fill with ten samples each, one at the least."""
    adequate_s = LEAST_SAMPLES * max(measuring.energy_sample_s, LEAST_SAMPLE_S)
    return max(1, min(measuring.energy_windows, int(measuring.energy_seconds / adequate_s + 1e-9)))


def meter_models(calls: Mapping[str, Callable[[], int]], *, measuring: Measuring, rounds: Sequence[int]) -> Session:
    """Meter the idle machine, if the first round is among `rounds`, and then the models.

    Each round holds one window of every model, in an order drawn for the round, so that a drift of the machine's
    temperature or load falls on all alike. A window with too much other load has this reason instead of a reading.

    Args:
        calls: by model, a function that runs one batch to its end and returns how many examples it had.
        measuring: the setting's lengths, numbers and country.
        rounds: the numbers of the rounds to meter, of those from 0 to `window_count`.
    """
    seconds = measuring.energy_seconds / window_count(measuring)
    time.sleep(_SETTLE_S)
    idle = None
    if 0 in rounds:
        idle, _ = _block(measuring, measuring.idle_seconds or seconds, lambda: _wait(measuring.energy_sample_s))
    found: dict[str, dict[int, Window]] = {name: {} for name in calls}
    reasons: dict[str, list[str]] = {name: [] for name in calls}
    for index in rounds:
        for name in random.Random(index).sample(list(calls), len(calls)):
            energy, inferences = _block(measuring, seconds, calls[name])
            why = energy if isinstance(energy, str) else energy.load.disturbance()
            if why is not None:
                reasons[name].append(why)
            elif not isinstance(energy, str):
                found[name][index] = Window(energy, inferences)
    return Session(idle, {name: Metered(found[name], tuple(reasons[name])) for name in calls})


def idle_power_w(idle: EnergyReading | str | None, windows: Sequence[EnergyReading]) -> float | str:
    """Mean power of the idle machine, or why the idle window does not tell it.

    The load of other programs in the idle window cancels only if it is the same during the inferences.

    Args:
        idle: the window in which nothing ran.
        windows: the windows, at least one, that it is a baseline for.
    """
    source = windows[0].power_source
    if idle is None or isinstance(idle, str):
        return f"idle window: {idle or 'not metered'}"
    if idle.power_source != source:
        return f"the power of the idle window was read from {idle.power_source}, that of the inferences from {source}"
    if idle.load.busy_share > BUSY:
        return (
            f"the machine was not idle: other work used {idle.load.busy_share:.0%} of its processor time in the idle "
            f"window; the limit is {BUSY:.0%}. Close other programs and measure again"
        )
    before = idle.load.other_s / idle.seconds
    beside = statistics.fmean(window.load.other_s / window.seconds for window in windows)
    own = statistics.fmean(window.load.own_s / window.seconds for window in windows)
    unsure = TICKS_S / idle.seconds + TICKS_S / min(window.seconds for window in windows)
    if abs(beside - before) > CHANGE * own + unsure:
        return (
            f"other programs kept {before:.2g} processors busy in the idle window and {beside:.2g} during the "
            f"inferences, which used {own:.2g} themselves, so the idle window is no baseline. Close them and measure "
            f"again"
        )
    return idle.mean_w


def _block(measuring: Measuring, seconds: float, work: Callable[[], int]) -> tuple[EnergyReading | str, int]:
    """Meter `work` again and again for `seconds`, longer if samples come late, and what it counted in all."""
    meter = EnergyMeter(country=measuring.country, sample_s=measuring.energy_sample_s)
    attainable = seconds >= LEAST_SAMPLES * measuring.energy_sample_s
    latest = seconds * (_PATIENCE if attainable else 1)
    done, spent = 0, 0.0
    with meter:
        begun = time.perf_counter()
        while spent < seconds or (meter.samples < LEAST_SAMPLES and spent < latest):
            done += work()
            spent = time.perf_counter() - begun
    return meter.reading, done


def _wait(seconds: float) -> int:
    time.sleep(seconds)
    return 0


POWERCAP = Path("/sys/class/powercap")
_NVIDIA_DRIVER = Path("/proc/driver/nvidia/version")
_CPUINFO = Path("/proc/cpuinfo")
_ANY_COUNTRY = "DEU"  # the grid has no part in where power comes from
_COUNTER_S = 0.03  # RAPL counters move every millisecond


class PowerEvidence(NamedTuple):
    """One part of the machine: its power source, whether that is a measurement, and how to come by a better one."""

    part: str
    source: str
    measured: bool
    why: str
    advice: str


class Access(NamedTuple):
    """Whether a sensor can be read; else what was found and what to do."""

    readable: bool
    why: str = ""
    advice: str = ""


def power_evidence(
    *, powercap: Path = POWERCAP, nvidia_driver: Path = _NVIDIA_DRIVER, cpuinfo: Path = _CPUINFO
) -> tuple[PowerEvidence, ...]:
    """What CodeCarbon would take for processor, GPU and memory here, found without metering anything.

    Takes up to three seconds the first time in a process, in which CodeCarbon looks the processor up.
    """
    sources = hardware_sources()
    processor = sources["processor"]
    rapl = rapl_access(powercap, cpuinfo=cpuinfo)
    found = [_part("processor", processor, rapl)]
    if processor == "rapl" and not rapl.readable:  # CodeCarbon looks whether it may read, not whether the counter moves
        found = [PowerEvidence("processor", processor, False, rapl.why, rapl.advice)]
    if "gpu" in sources:
        counters = Access(False, "the GPU's driver reports neither energy nor power", "use a GPU that reports them")
        found.append(_part("gpu", sources["gpu"], counters))
    else:
        access = nvidia_access(nvidia_driver)
        found.append(PowerEvidence("gpu", "none", False, access.why, access.advice))
    memory = (
        "CodeCarbon reads no memory sensor. It assumes a constant power for the memory's size, which cancels in "
        "net energy"
    )
    found.append(PowerEvidence("memory", sources.get("memory", "unknown"), False, memory, "nothing can be done"))
    return tuple(found)


def hardware_sources() -> dict[str, str]:
    """The power source of every part, as CodeCarbon sets itself up for them here."""
    with Log():
        tracker = make_tracker(_ANY_COUNTRY, Samples())
        ready = getattr(tracker, "_ensure_hardware_ready", None)
        if ready is not None:  # older versions set up when they are made
            ready()
        return sources_of(getattr(tracker, "_hardware", []))


def rapl_access(powercap: Path = POWERCAP, *, cpuinfo: Path = _CPUINFO) -> Access:
    """Whether the energy counters of the processor packages exist, may be read, and move."""
    if platform.system() != "Linux":
        return Access(False, f"RAPL can be read on Linux only; this is {platform.system()}", "run on Linux")
    counters = [path / "energy_uj" for path in sorted(powercap.glob("intel-rapl*:*")) if path.name.count(":") == 1]
    counters = [path for path in counters if path.exists()]
    if not counters:
        if "hypervisor" in _text(cpuinfo):
            return Access(False, f"no RAPL counter under {powercap}: this is a virtual machine", "run on bare metal")
        return Access(
            False,
            f"no RAPL counter under {powercap}",
            "load it with `sudo modprobe intel_rapl_msr`; in a container, mount the folder into it",
        )
    closed = [path for path in counters if not os.access(path, os.R_OK)]
    if closed:
        return Access(
            False,
            f"{closed[0]} is readable by root only",
            f"run `sudo chmod a+r {powercap}/*/energy_uj` (lasts until the next reboot)",
        )
    before = [_text(path) for path in counters]
    time.sleep(_COUNTER_S)
    if [_text(path) for path in counters] == before:
        return Access(False, f"{counters[0]} does not change", "run on bare metal")
    return Access(True)


def nvidia_access(driver: Path = _NVIDIA_DRIVER) -> Access:
    """Whether NVML answers; else whether there is an NVIDIA driver at all."""
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        if not driver.exists():
            return Access(
                False, "no NVIDIA driver on this machine", "install the driver if the machine has an NVIDIA GPU"
            )
        return Access(
            False,
            f"NVML cannot be used: {error}",
            "install the NVIDIA libraries of the same version as the loaded driver",
        )
    pynvml.nvmlShutdown()
    return Access(True, "NVML works, but CodeCarbon found no `nvidia-smi`", "put `nvidia-smi` on the PATH")


def _part(name: str, source: str, better: Access) -> PowerEvidence:
    if is_estimate(source):
        return PowerEvidence(name, source, False, better.why, better.advice)
    return PowerEvidence(name, source, True, "", "")


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
