"""Quantizers made of choices by name."""

from __future__ import annotations

from bench.methods.quantize.granularity import GRANULARITIES
from bench.methods.quantize.grid import GRIDS
from bench.methods.quantize.ranges import RANGES
from bench.methods.quantize.work import Quantizer

REGISTRIES = {"grid": GRIDS, "granularity": GRANULARITIES, "range": RANGES}
PLAIN = {"grid": "symmetric", "granularity": "row", "range": "min-max"}


def make_quantizer(**given):
    """A quantizer of the choices `given` or plain; each takes those of the other arguments that are its own."""
    chosen = {}
    for name, registry in REGISTRIES.items():
        plugin = registry.get(given.get(name, PLAIN[name]))
        chosen[name] = plugin(**{key: value for key, value in given.items() if key in plugin.model_fields})
    return Quantizer(**chosen)
