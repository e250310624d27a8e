"""The break-even density of benchmarks/sparse: the interpolation, and that what is timed is the same product."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import torch

PATH = Path(__file__).parents[2] / "benchmarks" / "sparse" / "__main__.py"
spec = importlib.util.spec_from_file_location("sparse", PATH)
sparse = importlib.util.module_from_spec(spec)
spec.loader.exec_module(sparse)


def points(speedups, settled=True):
    return [sparse.Point(density, speedup, settled) for density, speedup in speedups.items()]


@pytest.mark.parametrize("at", [0.4, 0.2, 0.123, 0.03])
def test_a_time_proportional_to_the_density_gives_its_break_even_exactly(at):
    found = sparse.break_even(points({density: at / density for density in sparse.DENSITIES}))
    assert float(found) == pytest.approx(at, abs=5e-4)


def test_a_crossing_outside_the_densities_is_said_and_an_unsettled_one_marked():
    assert sparse.break_even(points({0.5: 1.1, 0.02: 9.0})) == "above 0.5"
    assert sparse.break_even(points({0.5: 0.1, 0.02: 0.9})) == "below 0.02"
    assert sparse.break_even(points({0.5: 0.5, 0.125: 2.0}, settled=False)) == "~0.250"


def test_both_forms_that_are_timed_give_the_same_outputs():
    generator = torch.Generator().manual_seed(0)
    rows, dense = sparse.made((32, 48), 0.2, 4, generator)
    inputs = torch.randn(3, 48, generator=generator)
    with torch.inference_mode():
        for mine, its in zip(rows(inputs), dense(inputs), strict=True):
            assert torch.allclose(mine, its, atol=1e-4)
    assert len(rows.layers) == sparse.MATRICES
    assert all(0.05 < layer.density < 0.4 for layer in rows.layers)
