"""Where this machine's power would be read from, why no better source is had, and what to do about it."""

from __future__ import annotations

import os
import platform
import time
from pathlib import Path
from typing import NamedTuple

from bench.measures.energy.tracker import Log, Samples, is_estimate, make_tracker, sources_of

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
