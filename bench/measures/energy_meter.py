"""The energy of a block of code by CodeCarbon: offline, silent, nothing written, and with the source of its power."""

from __future__ import annotations

import inspect
import itertools
import logging
import threading
import time
from types import TracebackType
from typing import Any, NamedTuple

from bench.errors import UnavailableError

LEAST_SAMPLES = 10
PUE = 1.0  # the machine alone; what a data centre adds is not known here
_NEVER_S = 1e6
_MODES = {
    "intel_rapl": "rapl",
    "windows_emi": "rapl",
    "intel_power_gadget": "power gadget",
    "cpu_load": "load model",
    "constant": "constant",
}
_ESTIMATES = {"load model", "constant", "unknown"}


class EnergyReading(NamedTuple):
    """Energy of one block: the whole machine's mean power over the samples, times the block's seconds.

    `power_w` holds the mean power between each two samples. `sources` says by part (processor, gpu, memory) where the
    power comes from; `power_source` sums up all but the memory, which CodeCarbon always estimates from its size.
    """

    kwh: float
    kgco2e: float
    seconds: float
    power_w: tuple[float, ...]
    sources: dict[str, str]
    country: str
    grid_kgco2e_per_kwh: float
    codecarbon: str

    @property
    def samples(self) -> int:
        """How often the meter was read after the start."""
        return len(self.power_w)

    @property
    def power_source(self) -> str:
        """The evidence for the power of processor and GPU: rapl, nvml, load model, constant, or several."""
        return " + ".join(dict.fromkeys(source for part, source in self.sources.items() if part != "memory"))

    @property
    def estimated(self) -> bool:
        """True where any of that is not a measurement."""
        return any(source in _ESTIMATES for part, source in self.sources.items() if part != "memory")

    def conditions(self) -> dict[str, Any]:
        """What the number depends on, as records store it."""
        return {
            "power_source": self.power_source,
            "sources": self.sources,
            "estimated": self.estimated,
            "scope": "whole machine, gross",
            "country": self.country,
            "grid_kgco2e_per_kwh": self.grid_kgco2e_per_kwh,
            "pue": PUE,
            "codecarbon": self.codecarbon,
            "samples": self.samples,
            "window_s": self.seconds,
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
    """

    def __init__(self, *, country: str, sample_s: float) -> None:
        self.reading: EnergyReading | str = "the block has not ended"
        self._country = country.upper()
        self._sample_s = sample_s
        self._log = _Log()
        self._samples = _Samples()
        self._tracker: Any = None
        self._began = 0.0
        self._ended = threading.Event()
        self._sampler = threading.Thread(target=self._sample, name="energy-meter", daemon=True)

    def __enter__(self) -> EnergyMeter:
        self._log.attach()
        try:
            self._tracker = _tracker(self._country, self._samples)
            self._tracker.start()
            self._sampler.start()
        except UnavailableError as error:
            self._tracker = None
            self.reading = str(error)
            self._log.detach()
        except BaseException:
            self._log.detach()
            raise
        self._began = time.perf_counter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        seconds = time.perf_counter() - self._began
        if self._tracker is None:
            return
        self._ended.set()
        self._sampler.join()
        try:
            self._tracker.stop()
        finally:
            self._log.detach()
        self.reading = "the block failed" if kind is not None else self._result(seconds)

    def _sample(self) -> None:
        while not self._ended.wait(self._sample_s):
            self._tracker.flush()

    def _result(self, seconds: float) -> EnergyReading | str:
        data = getattr(self._tracker, "final_emissions_data", None)
        points = self._samples.points
        if data is None or len(points) < 2:
            return f"CodeCarbon gave no reading: {self._log.last or 'no cause in its log'}"
        if len(points) - 1 < LEAST_SAMPLES:
            return (
                f"{len(points) - 1} samples in {seconds:.2f} s, one every {self._sample_s:g} s; "
                f"at least {LEAST_SAMPLES} are needed"
            )
        covered_s, counted_kwh = points[-1]
        kwh = counted_kwh / covered_s * seconds
        grid = data.emissions / data.energy_consumed
        pairs = itertools.pairwise(points)
        return EnergyReading(
            kwh=kwh,
            kgco2e=kwh * grid,
            seconds=seconds,
            power_w=tuple((b_kwh - a_kwh) / (b_s - a_s) * 3.6e6 for (a_s, a_kwh), (b_s, b_kwh) in pairs),
            sources=sources_of(getattr(self._tracker, "_hardware", [])),
            country=self._country,
            grid_kgco2e_per_kwh=grid,
            codecarbon=str(data.codecarbon_version),
        )


class _Samples:
    """CodeCarbon output handler that keeps (seconds, kWh) since the start at every sample, the start itself first."""

    def __init__(self) -> None:
        self.points: list[tuple[float, float]] = [(0.0, 0.0)]

    def out(self, total: Any, delta: Any) -> None:
        if total.energy_consumed > self.points[-1][1]:  # equal where CodeCarbon found the last sample fresh enough
            self.points.append((total.duration, total.energy_consumed))

    def live_out(self, total: Any, delta: Any) -> None: ...

    def task_out(self, data: Any, experiment_name: str) -> None: ...

    def exit(self) -> None: ...


class _Log(logging.Filter):
    """Keeps CodeCarbon's log from the terminal and remembers its last warning, where its swallowed errors go."""

    def __init__(self) -> None:
        super().__init__()
        self.last = ""

    def attach(self) -> None:
        import codecarbon  # noqa: F401  # importing it sets up the logger's level and handler

        logging.getLogger("codecarbon").addFilter(self)

    def detach(self) -> None:
        logging.getLogger("codecarbon").removeFilter(self)

    def filter(self, record: logging.LogRecord) -> bool:
        if record.exc_info and record.exc_info[1] is not None:
            self.last = f"{type(record.exc_info[1]).__name__}: {record.exc_info[1]}"
        return False


def _tracker(country: str, samples: _Samples) -> Any:
    """A tracker that reaches no network and writes no file; `UnavailableError` where it cannot be had."""
    import codecarbon.core.emissions  # noqa: F401  # else imported, and timed, in the first sample
    from codecarbon import OfflineEmissionsTracker
    from codecarbon.emissions_tracker import BaseEmissionsTracker
    from codecarbon.input import DataSource

    if country not in DataSource().get_global_energy_mix_data():
        raise UnavailableError(
            f"measuring.country: CodeCarbon has no grid data for '{country}' and would take the world's average. "
            "Give an ISO 3166 alpha-3 code, for example DEU."
        )
    options: dict[str, Any] = {
        "measure_power_secs": _NEVER_S,
        "api_call_interval": -1,
        "output_handlers": [samples],
        "output_methods": [],
        "output_dir": ".",
        "emissions_endpoint": None,
        "electricitymaps_api_token": "",  # None would let a token from a configuration file through
        "tracking_mode": "machine",
        "log_level": "warning",
        "gpu_ids": None,
        "force_cpu_power": None,
        "force_ram_power": None,
        "force_carbon_intensity_g_co2e_kwh": None,
        "force_mode_cpu_load": False,
        "rapl_include_dram": False,
        "rapl_prefer_psys": False,
        "pue": PUE,
        "wue": 0.0,
        "allow_multiple_runs": True,
    }
    known = inspect.signature(BaseEmissionsTracker.__init__).parameters
    if "output_methods" not in known:
        options["save_to_file"] = False  # CodeCarbon before output_methods
    return OfflineEmissionsTracker(
        country_iso_code=country,
        region=None,
        cloud_provider=None,
        cloud_region=None,
        **{key: value for key, value in options.items() if key in known},
    )


def sources_of(hardware: list[Any]) -> dict[str, str]:
    """Where CodeCarbon takes the power of each part from, read off the objects it set up."""
    found: dict[str, str] = {}
    for part in hardware:
        kind = type(part).__name__
        if kind == "CPU":
            found["processor"] = _MODES.get(getattr(part, "_mode", ""), "unknown")
        elif kind == "GPU":
            devices = getattr(part.devices, "devices", [])
            found["gpu"] = "nvml" if all("nvidia" in type(item).__name__.lower() for item in devices) else "amdsmi"
        elif kind == "RAM":
            found["memory"] = "constant"
        else:  # Apple's chips and the Raspberry Pi, which measure by part
            name = {"CPU": "processor", "GPU": "gpu", "RAM": "memory"}.get(getattr(part, "chip_part", ""), "other")
            found[name] = {"AppleSiliconChip": "powermetrics", "Raspberry": "pmic"}.get(kind, "unknown")
    return found if "processor" in found else {"processor": "unknown", **found}


def prime() -> None:
    """Look this machine's processor up once, which takes CodeCarbon two seconds; later meters reuse it.

    For a fork server: what it looks up and imports, its children inherit.
    """
    import codecarbon.core.emissions
    import codecarbon.core.resource_tracker  # noqa: F401
    from codecarbon.core import cpu
    from codecarbon.core.hardware_cache import get_cached_tdp

    log = _Log()
    log.attach()
    try:
        get_cached_tdp(cpu)
    finally:
        log.detach()
