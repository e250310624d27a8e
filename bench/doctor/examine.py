"""All checks of the doctor, in order."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from bench.doctor.machine import Diagnosis

Check = Callable[[], list[Diagnosis]]


def examine(*, threads: int, seconds: float, patience_s: float) -> Iterator[Diagnosis]:
    """Run the checks one by one, the slowest last.

    Args:
        threads: threads used to time the noise floor.
        seconds: minimum duration of the noise floor; 0 skips it.
        patience_s: maximum duration of it if the machine does not settle.
    """
    import torch

    from bench.doctor import machine
    from bench.doctor.noise import noise

    yield from machine.processor()
    yield machine.accelerator()
    yield machine.timer()
    yield machine.memory()
    yield from machine.load()
    yield from _power()
    yield from _columns("cuda" if torch.cuda.is_available() else "cpu")
    if seconds > 0:
        yield noise(threads=threads, seconds=seconds, patience_s=patience_s)


def _power() -> list[Diagnosis]:
    """The power source of each part of the machine."""
    from bench.measures.energy.windows import power_evidence

    found = []
    for part in power_evidence():
        says = f"{part.source}, measured" if part.measured else f"{part.source}: {part.why}"
        found.append(Diagnosis(f"power of {part.part}", "ok" if part.measured else "note", says, part.advice))
    return found


def _columns(device: str) -> list[Diagnosis]:
    """Columns that are always absent on this machine, each with its reason."""
    from bench.measures.base.measure import MEASURES

    found = []
    for _, measure in MEASURES.items():
        for reason, names in measure.unavailable(device).items():
            found.append(Diagnosis("absent columns", "note", f"{', '.join(names)}: {reason}"))
    return found
