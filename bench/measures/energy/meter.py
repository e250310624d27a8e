"""The energy of a block of code by CodeCarbon, with the source of its power and the load it was measured under."""

from __future__ import annotations

import itertools
import threading
import time
from types import TracebackType
from typing import Any, NamedTuple

from bench.base.errors import UnavailableError
from bench.measures.energy.tracker import Log, Samples, grid_year, is_estimate, make_tracker, power_source, sources_of

LEAST_SAMPLES = 10
LEAST_SAMPLE_S = 0.05  # CodeCarbon does not sample more often
OTHER = 0.05  # largest share of the machine's processor time that other work may use while a model's energy is metered
TICKS_S = 0.03  # how far the kernel's count of a block, in steps of 10 ms, may be off


class Load(NamedTuple):
    """Processor seconds of one block: of this process, of everything on the machine, and how many there were."""

    own_s: float
    busy_s: float
    capacity_s: float

    @property
    def busy_share(self) -> float:
        """How busy the machine's processors were, from 0 to 1."""
        return min(self.busy_s / self.capacity_s, 1.0) if self.capacity_s > 0 else 0.0

    @property
    def own_share(self) -> float:
        """This process's part of all processor time that was used, from 0 to 1; the kernel counts in 10 ms ticks."""
        return min(self.own_s / self.busy_s, 1.0) if self.busy_s > 0 else 1.0

    @property
    def other_s(self) -> float:
        """Processor seconds of everything but this process: other programs, and what a hypervisor took."""
        return max(self.busy_s - self.own_s, 0.0)

    @property
    def other_share(self) -> float:
        """How much of the machine's processor time that was, from 0 to 1."""
        return min(self.other_s / self.capacity_s, 1.0) if self.capacity_s > 0 else 0.0

    def disturbance(self) -> str | None:
        """Why the machine's energy of this block is not that of this process; None if it is.

        Sensors and load models see the whole machine. CodeCarbon's load model grows with the cube of the load: with one
        of two processors at work, 5 % of other work make it 17 % too high, and a full machine five times. The threshold
        is ours.
        """
        if self.other_s <= OTHER * self.capacity_s + TICKS_S:
            return None
        return (
            f"the machine was busy: other programs used {self.other_share:.0%} of its processor time while the energy "
            f"was metered; the limit is {OTHER:.0%}. The meter covers the whole machine, so their energy is included. "
            f"Close them and measure again"
        )


class EnergyReading(NamedTuple):
    """Energy of one block: the whole machine's mean power over the samples, times the block's seconds.

    `power_w` holds the mean power between each two samples. `parts_kwh` splits `kwh` into processor, gpu and memory.
    `sources` says by part where the power comes from.
    """

    kwh: float
    seconds: float
    power_w: tuple[float, ...]
    parts_kwh: dict[str, float]
    load: Load
    sources: dict[str, str]
    country: str
    grid_kgco2e_per_kwh: float
    grid_year: int | None
    codecarbon: str

    @property
    def samples(self) -> int:
        """How often the meter was read after the start."""
        return len(self.power_w)

    @property
    def mean_w(self) -> float:
        """Mean gross power over the block."""
        return self.kwh / self.seconds * 3.6e6

    @property
    def power_source(self) -> str:
        """The evidence for the power of processor and GPU: rapl, nvml, load model, constant, or several."""
        return power_source(self.sources)

    @property
    def estimated(self) -> bool:
        """True if any of that is not a measurement."""
        return is_estimate(self.power_source)

    def conditions(self) -> dict[str, Any]:
        """What the number depends on, as records store it."""
        return {
            "power_source": self.power_source,
            "sources": self.sources,
            "estimated": self.estimated,
            "scope": "whole machine",
            "country": self.country,
            "grid_kgco2e_per_kwh": self.grid_kgco2e_per_kwh,
            "grid_year": self.grid_year,
            "codecarbon": self.codecarbon,
        }


class EnergyMeter:
    """Context manager: the energy of its block is in `reading` afterwards, or the reason why there is none.

    One meter measures one block: CodeCarbon's trackers add up over several starts. Settings from CodeCarbon's own
    configuration files and environment variables are overridden, so that equal suites measure alike. The samples are
    asked for by a thread of the meter: CodeCarbon does not wait for its own when it stops, and then may count the
    last interval twice.

    Args:
        country: ISO 3166 alpha-3 code of the country whose grid is assumed.
        sample_s: seconds between two samples; CodeCarbon does not sample more often than every 0.05 s.
        hasty: take the first ten samples as fast as CodeCarbon can, for a block that nobody knows the length of.
    """

    def __init__(self, *, country: str, sample_s: float, hasty: bool = False) -> None:
        self.reading: EnergyReading | str = "the metering has not ended"
        self._country = country.upper()
        self._sample_s = sample_s
        self._first_s = min(sample_s, LEAST_SAMPLE_S) if hasty else sample_s
        self._log = Log()
        self._samples = Samples()
        self._tracker: Any = None
        self._began = 0.0
        self._began_load = Load(0.0, 0.0, 0.0)
        self._ended = threading.Event()
        self._sampler = threading.Thread(target=self._sample, name="energy-meter", daemon=True)

    def __enter__(self) -> EnergyMeter:
        self._log.attach()
        try:
            self._tracker = make_tracker(self._country, self._samples)
            self._tracker.start()
            self._sampler.start()
        except UnavailableError as error:
            self._tracker = None
            self.reading = str(error)
            self._log.detach()
        except BaseException:
            self._log.detach()
            raise
        self._began_load = _load()
        self._began = time.perf_counter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        seconds = time.perf_counter() - self._began
        load = Load(*(end - start for end, start in zip(_load(), self._began_load, strict=True)))
        if self._tracker is None:
            return
        self._ended.set()
        self._sampler.join()
        try:
            self._tracker.stop()
        finally:
            self._log.detach()
        self.reading = "the metered code failed" if kind is not None else self._result(seconds, load)

    @property
    def samples(self) -> int:
        """How many samples there are so far."""
        return len(self._samples.points) - 1

    def _sample(self) -> None:
        while not self._ended.wait(self._first_s if self.samples < LEAST_SAMPLES else self._sample_s):
            self._tracker.flush()

    def _result(self, seconds: float, load: Load) -> EnergyReading | str:
        data = getattr(self._tracker, "final_emissions_data", None)
        points = self._samples.points
        if data is None or len(points) < 2:
            return f"CodeCarbon gave no reading: {self._log.last or 'its log gives no cause'}"
        if self.samples < LEAST_SAMPLES:
            return (
                f"{self.samples} samples in {seconds:.2f} s, one every {self._first_s:g} s; "
                f"at least {LEAST_SAMPLES} are needed"
            )
        sources = sources_of(getattr(self._tracker, "_hardware", []))
        for part in ("processor", "gpu"):
            if part in sources and self._samples.parts_kwh[part] <= 0:
                return (
                    f"{sources[part]} counted no energy of the {part} in {seconds:.2f} s. In virtual machines such "
                    f"counters often do not change. Run `bench doctor` to see what this machine has."
                )
        covered_s, counted_kwh = points[-1]
        scale = seconds / covered_s
        pairs = itertools.pairwise(points)
        return EnergyReading(
            kwh=counted_kwh * scale,
            seconds=seconds,
            power_w=tuple((b_kwh - a_kwh) / (b_s - a_s) * 3.6e6 for (a_s, a_kwh), (b_s, b_kwh) in pairs),
            parts_kwh={part: kwh * scale for part, kwh in self._samples.parts_kwh.items()},
            load=load,
            sources=sources,
            country=self._country,
            grid_kgco2e_per_kwh=round(data.emissions / data.energy_consumed, 12),  # a quotient of sums, so rounded
            grid_year=grid_year(self._country),
            codecarbon=str(data.codecarbon_version),
        )


def _load() -> Load:
    """Processor seconds since some moment in the past."""
    import psutil

    times = psutil.cpu_times()
    guests = getattr(times, "guest", 0.0) + getattr(times, "guest_nice", 0.0)  # counted in user and nice as well
    every = sum(times) - guests
    idle = times.idle + getattr(times, "iowait", 0.0)
    return Load(time.process_time(), every - idle, every)
