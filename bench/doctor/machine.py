"""What a diagnosis is, and those of the processor, the clock and the load of this machine."""

from __future__ import annotations

import os
import platform
import time
from pathlib import Path
from typing import Literal, NamedTuple

from bench.measures.timing.watch import OTHER, STEAL, Watch
from bench.records.machine import describe_machine

LOOK_S = 1.0
COARSE_S = 1e-6
_GOVERNOR = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
_CPUINFO = Path("/proc/cpuinfo")
_CLEAR = Path("/proc/self/clear_refs")


def processor(cpuinfo: Path = _CPUINFO, governor: Path = _GOVERNOR) -> list[Diagnosis]:
    """Kind, cores and threads, virtual or not, governor, and what runs int8."""
    import torch

    machine = describe_machine("cpu")
    text = cpuinfo.read_text(encoding="utf-8", errors="replace") if cpuinfo.exists() else ""
    flags = set(next((line.partition(":")[2] for line in text.splitlines() if line.startswith("flags")), "").split())
    virtual = ", in a virtual machine" if "hypervisor" in flags else ""
    cores = machine["cores"]
    found = [
        Diagnosis("processor", "ok", f"{machine['processor']}, {cores} cores, {machine['memory_gib']} GiB{virtual}"),
        Diagnosis(
            "threads", "ok", f"torch uses {torch.get_num_threads()} threads by default; a suite sets its own number"
        ),
        _governor(governor, bool(virtual)),
        _int8(flags),
    ]
    if virtual:
        advice = "Trust paired ratios rather than absolute times, or use a dedicated machine."
        found.append(Diagnosis("neighbours", "note", "other virtual machines may share the cores unnoticed", advice))
    return found


def _governor(path: Path, virtual: bool) -> Diagnosis:
    if not path.exists():
        why = "set by the host" if virtual else "not reported by this system"
        return Diagnosis("governor", "note", f"the clock rate is {why}; its changes cannot be detected")
    name = path.read_text(encoding="utf-8").strip()
    if name == "performance":
        return Diagnosis("governor", "ok", "performance")
    advice = "Fix the clock rate: `cpupower frequency-set -g performance`."
    return Diagnosis("governor", "note", f"{name}: the clock rate follows the load", advice)


def _int8(flags: set[str]) -> Diagnosis:
    from bench.layers.int8 import Int8Linear

    layer = Int8Linear(8, 8)
    if layer.runs_as_float:
        return Diagnosis(
            "int8",
            "note",
            "no integer kernel: int8 saves only storage on this machine",
            "Use a build of torch with fbgemm.",
        )
    vector = "with VNNI" if any("vnni" in flag for flag in flags) else "without VNNI: int8 speeds up little"
    return Diagnosis("int8", "ok", f"{layer.kernel}, {vector}")


def timer() -> Diagnosis:
    """The smallest step of the clock, as measured."""
    steps = []
    for _ in range(100):
        start = time.perf_counter()
        while (now := time.perf_counter()) == start:
            pass
        steps.append(now - start)
    smallest = min(steps)
    if smallest > COARSE_S:
        return Diagnosis(
            "timer", "problem", f"steps of {smallest:.2g} s", "Times close to one step are wrong. Use Linux."
        )
    return Diagnosis("timer", "ok", f"steps of {smallest * 1e9:.0f} ns or less")


def load() -> list[Diagnosis]:
    """Steal and the load of other programs, over one second in which this program sleeps."""
    with Watch() as watch:
        time.sleep(LOOK_S)
    seen = watch.seen
    found = []
    if seen.steal is None:
        found.append(Diagnosis("steal", "note", "not reported by this system"))
    else:
        says = f"the hypervisor took {seen.steal:.1%} of the processor time in the last second"
        much = seen.steal > STEAL
        found.append(Diagnosis("steal", "note" if much else "ok", says, "Use a dedicated machine." if much else ""))
    if seen.other is not None:
        says = f"used {seen.other:.0%} of the processor time in the last second"
        much, advice = seen.other > OTHER, "Close them before measuring."
        found.append(Diagnosis("other programs", "problem" if much else "ok", says, advice if much else ""))
    return found


def memory(clear: Path = _CLEAR) -> Diagnosis:
    """Whether the high-water mark of a process can be reset."""
    if platform.system() != "Linux":
        return Diagnosis("peak memory", "note", "the high-water mark cannot be reset, so peaks are upper bounds")
    if os.access(clear, os.W_OK):
        return Diagnosis("peak memory", "ok", "the high-water mark can be reset")
    return Diagnosis(
        "peak memory", "note", f"{clear} is not writable, so peaks are upper bounds", "Run with permission to write it."
    )


def accelerator() -> Diagnosis:
    """The CUDA devices that torch finds."""
    import torch

    if not torch.cuda.is_available():
        return Diagnosis(
            "gpu", "note", "torch finds no CUDA device, so --device cuda and memory_device_bytes are unavailable"
        )
    names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return Diagnosis("gpu", "ok", ", ".join(names))


class Diagnosis(NamedTuple):
    """What was checked, what was found, and what to do about it, if anything.

    `level` is `ok`, `note` if something cannot be measured or is worth knowing, and `problem` if measurements made
    here now would be unreliable.
    """

    topic: str
    level: Literal["ok", "note", "problem"]
    found: str
    advice: str = ""
