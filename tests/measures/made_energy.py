"""Readings of an energy meter made by hand."""

from __future__ import annotations

from types import SimpleNamespace

from bench.measures.energy.meter import EnergyReading, Load

QUIET = Load(0.01, 0.02, 2.0)


def make_reading(watts=100.0, seconds=36.0, **more):
    """A block at constant power: 100 W for 36 s are 1 Wh, of which the processor has four fifths."""
    kwh = watts * seconds / 3.6e6
    fields = {
        "kwh": kwh,
        "seconds": seconds,
        "power_w": (watts,) * 12,
        "parts_kwh": {"processor": 0.8 * kwh, "gpu": 0.0, "memory": 0.2 * kwh},
        "load": Load(seconds, seconds, 2 * seconds),
        "sources": {"processor": "rapl", "memory": "constant"},
        "country": "DEU",
        "grid_kgco2e_per_kwh": 0.5,
        "grid_year": 2023,
        "codecarbon": "3",
    }
    return EnergyReading(**{**fields, **more})


def make_idle(watts=40.0, **more):
    return make_reading(watts, **{"load": QUIET, **more})


class FakeMeter:
    """Stands for the energy meter: gives readings in turn, and says at once that it has its samples."""

    samples = 10

    def __init__(self, *readings):
        self.readings = list(readings)

    def __call__(self, *, country, sample_s):
        assert country == "DEU"
        block = SimpleNamespace(samples=self.samples, reading=self.readings.pop(0))
        return _Block(block)


class _Block:
    def __init__(self, block):
        self.samples, self.reading = block.samples, block.reading

    def __enter__(self):
        return self

    def __exit__(self, *_): ...
