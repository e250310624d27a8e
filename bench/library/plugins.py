"""Adding a plug-in from Python: which registry a kind of plug-in belongs to."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import TypeVar

from bench.base.errors import unknown
from bench.base.registry import Registry, calling_module

T = TypeVar("T")

# Imported on demand, so that using one loads no other.
_REGISTRIES = {
    "method": "bench.methods.base.method:METHODS",
    "measure": "bench.measures.base.measure:MEASURES",
    "metric": "bench.tasks.metrics.metric:METRICS",
    "task kind": "bench.tasks.kinds.kind:KINDS",
    "data source": "bench.tasks.sources.source:SOURCES",
    "transform": "bench.tasks.sources.transforms.transform:TRANSFORMS",
    "generator": "bench.tasks.generated.generator:GENERATORS",
    "adapter": "bench.models.adapter:ADAPTERS",
    "layer": "bench.layers.layer:LAYER_KINDS",
    "runtime": "bench.runtimes.runtime:RUNTIMES",
}


def register(kind: str, name: str) -> Callable[[T], T]:
    """A decorator that files a plug-in under the name that suites and recipes use.

    Children of a run import plug-ins by themselves. Put yours in a module with an entry point (docs/methods.md); one
    that a script or notebook registers is known to that process only.

    Args:
        kind: `method`, `measure`, `metric`, `task kind`, `data source`, `transform`, `generator`, `adapter`, `layer`,
            `runtime`, or the kind of a choice as `bench.list_choices()` gives it, such as `saliency`.
        name: a name that is not yet used for this kind.

    Raises:
        UnknownNameError: no such kind. PluginError: the name is taken.
    """
    registry, origin = _registry(kind), calling_module()

    def file(plugin: T) -> T:
        registry.file(name, plugin, origin=origin)
        return plugin

    return file


def _registry(kind: str) -> Registry[object]:
    if kind in _REGISTRIES:
        module, attribute = _REGISTRIES[kind].split(":")
        found: Registry[object] = getattr(importlib.import_module(module), attribute)
        return found
    from bench.library.choices import CHOICES

    choices = {registry.kind: registry for registry, _ in CHOICES}
    if kind not in choices:
        raise unknown("kind of plug-in", kind, [*_REGISTRIES, *choices])
    return choices[kind]
