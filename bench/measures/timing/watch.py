"""What else the machine did during a measurement: steal, other programs, preemption, clock rate, throttling."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

STEAL = 0.01  # shares of the processors' time from which a warning is stored
OTHER = 0.10
SWITCHES = 20.0  # interruptions of this process per second
FREQUENCY = 0.05  # relative change of the clock rate
_THROTTLES = "thermal_throttle/core_throttle_count"


@dataclass(frozen=True, kw_only=True)
class Seen:
    """Conditions of one measurement; None if this system does not tell.

    `steal` and `other` are shares of the time of all processors: taken by the hypervisor, and used by other processes.
    `switches_per_s` counts involuntary context switches of this process, `frequency_change` is the clock rate at the
    end over that at the start, less 1, and `throttled` how often a core was slowed because of its heat.
    """

    seconds: float
    steal: float | None
    other: float | None
    switches_per_s: float | None
    frequency_change: float | None
    throttled: int | None

    def conditions(self) -> dict[str, Any]:
        """What was seen, for the record."""
        return asdict(self)

    def warnings(self) -> list[tuple[str, str]]:
        """Coded warnings: what disturbed the measurement and what to do."""
        found = []
        if self.steal is not None and self.steal > STEAL:
            says = (
                f"the hypervisor took {self.steal:.1%} of the processors' time while timing. Use a dedicated machine."
            )
            found.append(("cpu-steal", says))
        if self.other is not None and self.other > OTHER:
            says = f"other programs used {self.other:.0%} of the processors while timing. Close them."
            found.append(("busy-machine", says))
        if self.switches_per_s is not None and self.switches_per_s > SWITCHES:
            says = (
                f"the timing process was interrupted {self.switches_per_s:.0f} times per second. Close other programs."
            )
            found.append(("interrupted", says))
        if self.frequency_change is not None and abs(self.frequency_change) > FREQUENCY:
            says = f"the clock rate changed by {self.frequency_change:+.0%} while timing. Set the performance governor."
            found.append(("frequency-drift", says))
        if self.throttled:
            says = (
                f"the processor was throttled by heat {self.throttled} times while timing. Let it cool down, or "
                f"improve its cooling."
            )
            found.append(("thermal-throttle", says))
        return found


def joined(parts: Sequence[Seen]) -> Seen:
    """What was seen in several measurements: shares weighted by their seconds, the largest change of the clock rate."""
    seconds = sum(part.seconds for part in parts)

    def mean(values: Sequence[float | None]) -> float | None:
        known = [value for value in values if value is not None]
        if len(known) < len(parts) or seconds <= 0:
            return None
        return sum(value * part.seconds for value, part in zip(known, parts, strict=True)) / seconds

    changes = [part.frequency_change for part in parts if part.frequency_change is not None]
    throttled = [part.throttled for part in parts if part.throttled is not None]
    return Seen(
        seconds=seconds,
        steal=mean([part.steal for part in parts]),
        other=mean([part.other for part in parts]),
        switches_per_s=mean([part.switches_per_s for part in parts]),
        frequency_change=max(changes, key=abs) if changes else None,
        throttled=sum(throttled) if throttled else None,
    )


class Watch:
    """Context manager: what the machine did during its block is in `seen` afterwards."""

    seen: Seen

    def __enter__(self) -> Watch:
        self._start = _Counters()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.seen = _Counters().since(self._start)


class _Counters:
    """The system's counters now."""

    def __init__(self) -> None:
        import psutil

        self.at_s = time.perf_counter()
        times = psutil.cpu_times()
        idle = times.idle + getattr(times, "iowait", 0.0)
        self.total_s = sum(times) - getattr(times, "guest", 0.0) - getattr(times, "guest_nice", 0.0)
        self.busy_s = self.total_s - idle
        self.steal_s: float | None = getattr(times, "steal", None)
        own = psutil.Process().cpu_times()
        self.own_s = own.user + own.system
        self.switches = _switches()
        self.mhz = _frequency()
        self.throttles = throttles()

    def since(self, start: _Counters) -> Seen:
        """What happened between `start` and now."""
        seconds = self.at_s - start.at_s
        total = self.total_s - start.total_s
        steal = self.steal_s - start.steal_s if self.steal_s is not None and start.steal_s is not None else None
        busy, own = self.busy_s - start.busy_s, self.own_s - start.own_s
        switched = self.switches is not None and start.switches is not None and seconds > 0
        return Seen(
            seconds=seconds,
            steal=steal / total if steal is not None and total > 0 else None,
            other=max(0.0, busy - own - (steal or 0.0)) / total if total > 0 else None,
            switches_per_s=((self.switches or 0) - (start.switches or 0)) / seconds if switched else None,
            frequency_change=self.mhz / start.mhz - 1 if self.mhz and start.mhz else None,
            throttled=None if self.throttles is None or start.throttles is None else self.throttles - start.throttles,
        )


def throttles() -> int | None:
    """How often cores were slowed because of heat since the system started (Linux on Intel); None elsewhere."""
    paths = Path("/sys/devices/system/cpu").glob(f"cpu[0-9]*/{_THROTTLES}")
    counts = [int(path.read_text(encoding="utf-8")) for path in paths]
    return sum(counts) if counts else None


def _switches() -> int | None:
    """Involuntary context switches of this process so far; None if the system has no such count."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    return resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw


def _frequency() -> float | None:
    """The present clock rate in MHz if a governor tells it; what a virtual machine prints never changes."""
    import psutil

    if not Path("/sys/devices/system/cpu/cpu0/cpufreq").is_dir():
        return None
    found = psutil.cpu_freq()
    return float(found.current) if found else None
