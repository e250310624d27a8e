"""CodeCarbon's tracker as the meter uses it: offline, silent, nothing written, and asked where its power comes from."""

from __future__ import annotations

import functools
import inspect
import logging
from typing import Any, NamedTuple

from bench.base.errors import UnavailableError

_NEVER_S = 1e6
_MODES = {
    "intel_rapl": "rapl",
    "windows_emi": "rapl",
    "intel_power_gadget": "power gadget",
    "cpu_load": "load model",
    "constant": "constant",
}
_ESTIMATES = frozenset({"load model", "constant", "unknown", "powermetrics"})  # its manual page: "values are estimated"


class Tdp(NamedTuple):
    """Thermal design power of the machine's processors by CodeCarbon's table; None if the table lacks the model."""

    model: str
    watts: float | None


class Samples:
    """CodeCarbon output handler that keeps (seconds, kWh) since the start at every sample, the start itself first.

    `parts_kwh` are processor, GPU and memory at the last sample.
    """

    def __init__(self) -> None:
        self.points: list[tuple[float, float]] = [(0.0, 0.0)]
        self.parts_kwh: dict[str, float] = {}

    def out(self, total: Any, delta: Any) -> None:
        """Keep one sample."""
        if total.energy_consumed > self.points[-1][1]:  # equal if CodeCarbon found the last sample fresh enough
            self.points.append((total.duration, total.energy_consumed))
            self.parts_kwh = {
                "processor": total.cpu_energy,
                "gpu": total.gpu_energy,
                "memory": total.ram_energy,
            }

    def live_out(self, total: Any, delta: Any) -> None:
        """Nothing: CodeCarbon calls it by its own clock, which is switched off."""

    def task_out(self, data: Any, experiment_name: str) -> None:
        """Nothing: there are no tasks."""

    def exit(self) -> None:
        """Nothing: no file is open."""


class Log(logging.Filter):
    """Keeps CodeCarbon's log from the terminal and remembers its last warning, where its swallowed errors go."""

    def __init__(self) -> None:
        super().__init__()
        self.last = ""

    def __enter__(self) -> Log:
        self.attach()
        return self

    def __exit__(self, *_: object) -> None:
        self.detach()

    def attach(self) -> None:
        """Begin to listen."""
        import codecarbon  # noqa: F401  # importing it sets up the logger's level and handler

        logging.getLogger("codecarbon").addFilter(self)

    def detach(self) -> None:
        """Listen no longer."""
        logging.getLogger("codecarbon").removeFilter(self)

    def filter(self, record: logging.LogRecord) -> bool:
        """Let nothing through."""
        if record.exc_info and record.exc_info[1] is not None:
            self.last = f"{type(record.exc_info[1]).__name__}: {record.exc_info[1]}"
        return False


def make_tracker(country: str, samples: Samples) -> Any:
    """A tracker that reaches no network and writes no file; `UnavailableError` if it cannot be had.

    Its PUE is 1: what the sensors saw, and nothing added. PUE, grid and water are applied by `calculators`.
    """
    import codecarbon.core.emissions  # noqa: F401  # else imported, and timed, in the first sample
    from codecarbon import OfflineEmissionsTracker
    from codecarbon.emissions_tracker import BaseEmissionsTracker

    grid_year(country)
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
        "pue": 1.0,
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


def grid_year(country: str) -> int | None:
    """The year of the grid data that CodeCarbon holds for a country; `UnavailableError` if it holds none."""
    from codecarbon.input import DataSource

    grids = DataSource().get_global_energy_mix_data()
    if country not in grids:
        raise UnavailableError(
            f"measuring.country: CodeCarbon has no grid data for '{country}' and would use the world average. "
            "Give an ISO 3166 alpha-3 code, for example DEU."
        )
    year = grids[country].get("year")
    return None if year is None else int(year)


def sources_of(hardware: list[Any]) -> dict[str, str]:
    """Where CodeCarbon takes the power of each part from, read off the objects it set up."""
    found: dict[str, str] = {}
    for part in hardware:
        kind = type(part).__name__
        if kind == "CPU":
            found["processor"] = _MODES.get(getattr(part, "_mode", ""), "unknown")
        elif kind == "GPU":
            found["gpu"] = _gpu_source(getattr(part.devices, "devices", []))
        elif kind == "RAM":
            found["memory"] = "constant"
        else:  # Apple's chips and the Raspberry Pi, which measure by part
            name = {"CPU": "processor", "GPU": "gpu", "RAM": "memory"}.get(getattr(part, "chip_part", ""), "other")
            found[name] = {"AppleSiliconChip": "powermetrics", "Raspberry": "pmic"}.get(kind, "unknown")
    return found if "processor" in found else {"processor": "unknown", **found}


def _gpu_source(devices: list[Any]) -> str:
    """NVML or AMD SMI; unknown if a device gives neither energy nor power, which CodeCarbon then counts as 0."""
    for device in devices:
        watts = getattr(device, "_read_power_watts", None)
        if watts is not None and getattr(device, "last_energy", None) is None and watts() is None:
            return "unknown"
    return "nvml" if all("nvidia" in type(item).__name__.lower() for item in devices) else "amdsmi"


def power_source(sources: dict[str, str]) -> str:
    """The evidence for the power of processor and GPU; memory is left out, which CodeCarbon always takes from its size.

    One of rapl, nvml, power gadget, powermetrics, pmic, amdsmi, load model, constant, unknown, or several with +.
    """
    return " + ".join(dict.fromkeys(source for part, source in sources.items() if part != "memory"))


def is_estimate(source: str) -> bool:
    """Whether any part of a `power_source` is not a measurement."""
    return not _ESTIMATES.isdisjoint(source.split(" + "))


@functools.cache
def processor_tdp() -> Tdp:
    """Thermal design power of all processors of this machine together.

    CodeCarbon's own answer cannot be taken: for a model that its table lacks it makes up 4 W a thread.
    """
    from codecarbon.core import cpu
    from codecarbon.core.hardware_cache import get_cached_tdp
    from codecarbon.core.util import count_physical_cpus

    with Log():
        tdp = get_cached_tdp(cpu)
        look_up = getattr(tdp, "_get_cpu_power_from_registry", None)
        watts = look_up(tdp.model) if look_up else None
        return Tdp(str(tdp.model), watts * count_physical_cpus() if watts else None)


def prime() -> None:
    """Look this machine's processor up once, which takes CodeCarbon two seconds; later meters reuse it.

    For a fork server: what it looks up and imports, its children inherit.
    """
    import codecarbon.core.emissions
    import codecarbon.core.resource_tracker  # noqa: F401

    processor_tdp()
