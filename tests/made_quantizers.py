"""Quantizers made of choices by name, and methods with the arguments of their choices written flat."""

from __future__ import annotations

from bench.methods.quantize.granularity import GRANULARITIES
from bench.methods.quantize.grid import GRIDS
from bench.methods.quantize.quantize import Quantize
from bench.methods.quantize.ranges import RANGES
from bench.methods.quantize.work import Quantizer

REGISTRIES = {"grid": GRIDS, "granularity": GRANULARITIES, "range": RANGES}
PLAIN = {"grid": "symmetric", "granularity": "row", "range": "min-max"}


def make_quantizer(**given):
    """A quantizer of the choices `given` or plain; each takes those of the other arguments that are its own."""
    known = {field for registry in REGISTRIES.values() for _, each in registry.items() for field in each.model_fields}
    assert given.keys() <= known | PLAIN.keys(), given.keys() - known
    chosen = {}
    for name, registry in REGISTRIES.items():
        plugin = registry.get(given.get(name, PLAIN[name]))
        chosen[name] = plugin(**{key: value for key, value in given.items() if key in plugin.model_fields})
    return Quantizer(**chosen)


def quantize(**arguments):
    """`Quantize` with arguments of its choices written `scheme__rest=True`; a choice not named is the default one."""
    tables = {}
    for key, value in arguments.items():
        choice, dunder, inner = key.partition("__")
        if dunder:
            default = Quantize.model_fields[choice].get_default(call_default_factory=True)
            tables.setdefault(choice, {"name": arguments.get(choice, default and default.called)})[inner] = value
    return Quantize(**{key: value for key, value in arguments.items() if "__" not in key} | tables)
