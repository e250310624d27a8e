"""bench: an efficiency benchmark harness for compressed language models, as a library.

Every name below is imported when it is first used, so `import bench` costs nothing and loads no torch. `__init__.pyi`
says the same to type checkers and editors; docs/library.md shows each name at work.
"""

from __future__ import annotations

import importlib

from bench.base.version import __version__

_HOMES = {
    "bench.base.errors": ("BenchError",),
    "bench.columns": ("COLUMNS", "Column"),
    "bench.plan.recipes": ("load_recipe",),
    "bench.spec.recipe": ("Recipe",),
    "bench.spec.suite": ("Suite", "Task", "load_suite"),
    "bench.records.record": ("Record",),
    "bench.artifacts.artifact": ("Loaded",),
    "bench.models.adapter": ("Adapter",),
    "bench.tasks.kinds.kind": ("TaskKind",),
    "bench.tasks.metrics.metric": ("Metric",),
    "bench.tasks.sources.source": ("DataSource",),
    "bench.methods.base.choice": ("Choice",),
    "bench.methods.base.method": ("Lab", "Method"),
    "bench.measures.base.measure": ("Measure", "Pair", "ProbingMeasure", "Reading"),
    "bench.library.running": ("run",),
    "bench.library.results": ("Results", "compare", "leaderboard", "load_results", "pareto", "pivot"),
    "bench.library.making": ("compress", "load_artifact", "save_artifact"),
    "bench.library.exporting": ("export",),
    "bench.library.measuring": ("measure",),
    "bench.library.scoring": ("score",),
    "bench.library.submitting": ("Submission", "submit"),
    "bench.library.own_data": ("own_suite",),
    "bench.library.plugins": ("register",),
    "bench.library.listing": (
        *("check", "examine_machine", "list_choices", "list_columns", "list_datasets", "list_kinds", "list_measures"),
        *("list_methods", "list_metrics", "list_models", "list_recipes", "list_sources", "list_suites", "list_tasks"),
        *("list_transforms", "show", "survey"),
    ),
}
_MODULES = {name: module for module, names in _HOMES.items() for name in names}

__all__ = ["__version__", *_MODULES]


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module 'bench' has no attribute '{name}'")
    found = globals()[name] = getattr(importlib.import_module(_MODULES[name]), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
