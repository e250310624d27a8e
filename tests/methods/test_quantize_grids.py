"""Grids, granularities and ranges: the bounds that their papers state, by exact arithmetic on small matrices."""

from __future__ import annotations

import math

import pytest
import torch
from made_quantizers import make_quantizer

from bench.base.errors import MethodError
from bench.layers.cells import Cells
from bench.methods.quantize.codebook import centroids
from bench.methods.quantize.granularity import GRANULARITIES, MatrixShape
from bench.methods.quantize.grid import GRIDS
from bench.methods.quantize.ranges import RANGES


def normal(*shape, seed=0, scale=0.04):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) * scale


def quantizer(**changes):
    return make_quantizer(**{"count": 7, "size": 10, "percent": 99.0, "end": 0.05, **changes})


def coded(values, bits, **changes):
    chosen = quantizer(**changes)
    return chosen.code(values, chosen.cells(tuple(values.shape), role="ffn_in", head_width=8), bits)


EVEN = [(grid, bits) for grid, plugin in GRIDS.items() if plugin.ranged for bits in plugin.widths]
KEEP_ZERO = [(grid, max(plugin.widths)) for grid, plugin in GRIDS.items() if plugin.keeps_zero]
GRANULAR = ["tensor", "row", "groups", "head", "bucket"]


@pytest.mark.parametrize("granularity", GRANULAR)
@pytest.mark.parametrize(("grid", "bits"), EVEN)
def test_no_weight_moves_by_more_than_half_a_step(grid, bits, granularity):
    values = normal(24, 33)
    found = coded(values, bits, grid=grid, granularity=granularity)
    side, cells = found.side, found.coding.cells
    step = side["scale"] if "scale" in side else torch.ldexp(torch.ones(cells.shape), side["exponent"])
    assert int(found.codes.max()) < 2**bits
    assert ((found.values() - values).abs() <= cells.whole(step) / 2 * (1 + 1e-5)).all()
    assert found.codes.dtype == torch.uint8


@pytest.mark.parametrize("granularity", GRANULAR)
@pytest.mark.parametrize(("grid", "bits"), KEEP_ZERO)
def test_zeros_stay_zero_to_the_bit(grid, bits, granularity):
    values = normal(24, 33)
    values[:, ::3] = 0
    values[5] = 0
    given = {"moments": torch.ones_like(values)} if grid == "loss-aware-ternary" else {}
    chosen = quantizer(grid=grid, granularity=granularity)
    found = chosen.code(values, chosen.cells((24, 33), role="query", head_width=8), bits, **given).values()
    assert (found[values == 0].view(torch.int32) == 0).all()


@pytest.mark.parametrize("bits", [2, 3, 8])
def test_symmetric_codes_are_whole_and_within_plus_minus_m(bits):
    values = normal(6, 40)
    found = coded(values, bits)
    most = 2 ** (bits - 1) - 1
    steps = found.values() / found.side["scale"]
    torch.testing.assert_close(steps, steps.round(), rtol=0, atol=1e-4)
    assert steps.abs().max().round() == most
    assert torch.equal(found.side["scale"][:, 0], values.abs().amax(dim=1) / most)


def test_a_power_of_two_scale_is_the_least_that_covers_the_range():
    values = normal(6, 40)
    found = coded(values, 4, grid="power-of-two")
    scale = torch.ldexp(torch.ones(6), found.side["exponent"][:, 0])
    largest = values.abs().amax(dim=1)
    assert (scale * 7 >= largest).all()
    assert (scale / 2 * 7 < largest).all()


@pytest.mark.parametrize("granularity", GRANULAR)
@pytest.mark.parametrize("bits", [2, 3])
def test_an_interval_ends_at_the_least_and_the_largest_weight_of_each_group(bits, granularity):
    values = normal(24, 33)
    found = coded(values, bits, grid="interval", granularity=granularity)
    cells, back = found.coding.cells, found.values()
    assert torch.equal(cells.reduce(back, "amin"), cells.reduce(values, "amin"))
    torch.testing.assert_close(cells.reduce(back, "amax"), cells.reduce(values, "amax"), rtol=1e-6, atol=0)
    assert all(len(cell.unique()) <= 2**bits for cell in cells.split(back))


def test_more_groups_leave_less_error():
    values = normal(768, 96) * torch.linspace(0.5, 2, 768)[torch.randperm(768, generator=torch.Generator())][:, None]
    errors = [
        float((coded(values, 3, grid="interval", granularity="groups", count=count).values() - values).norm())
        for count in (128, 12, 1)
    ]
    assert errors == sorted(errors)
    assert errors[0] < errors[-1]


def test_groups_that_do_not_divide_differ_by_one_row_and_are_contiguous():
    cells = Cells(rows=768, columns=4, groups=128 - 3, bucket=4)
    groups = cells.group_of(torch.arange(768))
    assert set(groups.bincount().tolist()) == {6, 7}
    assert groups.diff().unique().tolist() == [0, 1]
    assert [len(part) for part in cells.split(torch.zeros(768, 4))] == (4 * groups.bincount()).tolist()


def test_heads_are_rows_of_the_query_and_columns_of_the_output_projection():
    def cells(role, rows, columns):
        shape = MatrixShape(rows=rows, columns=columns, role=role, head_width=8)
        return GRANULARITIES.get("head")().cells(shape)

    assert (cells("query", 32, 32).shape, cells("query", 16, 32).shape) == ((4, 1), (2, 1))
    output = cells("attention_output", 32, 16)
    assert (output.shape, output.bucket) == ((1, 2), 8)
    assert cells("ffn_in", 64, 32).shape == cells("ffn_out", 32, 64).shape == (4, 1)


def test_cells_reduce_and_expand_as_loops_do():
    values, cells = normal(13, 29), Cells(rows=13, columns=29, groups=5, bucket=10)
    parts = cells.split(values)
    for how in ("sum", "amax", "amin"):
        expected = torch.stack([getattr(part, how)() for part in parts]).view(5, 3)
        torch.testing.assert_close(cells.reduce(values, how), expected)
    assert cells.sizes().flatten().tolist() == [len(part) for part in parts]
    wide = cells.whole(torch.arange(15.0).view(5, 3))
    assert all(bool((part == number).all()) for number, part in enumerate(cells.split(wide)))


def test_ternary_weights_are_three_numbers_and_the_scale_is_the_best_for_its_support():
    values = normal(6, 200)
    for granularity in ("tensor", "row"):
        found = coded(values, 2, grid="ternary", granularity=granularity)
        back, cells = found.values(), found.coding.cells
        for given, part in zip(cells.split(values), cells.split(back), strict=True):
            scale = part.max()
            assert part.unique().tolist() == [-scale, 0, scale]
            assert torch.equal(part != 0, given.abs() > 0.7 * given.abs().mean())
            best = (given - part).norm()
            assert all((given - part * factor).norm() > best for factor in (0.99, 1.01))
    assert len(found.side["scale"].unique()) == 6


def test_loss_aware_weights_have_the_best_scale_and_support_by_the_curvature():
    values, curvature = normal(1, 300), normal(1, 300, seed=1, scale=1.0).abs() + 0.1
    chosen = quantizer(grid="loss-aware-ternary", granularity="tensor")
    cells = chosen.cells((1, 300), role="query", head_width=None)
    back = chosen.code(values, cells, 2, moments=curvature).values()
    scale = back.max()
    assert torch.equal(back != 0, values.abs() > scale / 2)
    weighted = lambda candidate: float(((values - candidate).square() * curvature).sum())  # noqa: E731
    assert all(weighted(back * factor) > weighted(back) for factor in (0.99, 1.01))
    assert weighted(back) < weighted(coded(values, 2, grid="ternary", granularity="tensor").values())
    with pytest.raises(MethodError, match="needs the curvature"):
        chosen.code(values, cells, 2)


def test_equal_curvature_gives_the_support_of_half_the_scale():
    values = normal(1, 300)
    chosen = quantizer(grid="loss-aware-ternary", granularity="tensor")
    cells = chosen.cells((1, 300), role="query", head_width=None)
    found = [chosen.code(values, cells, 2, moments=torch.full_like(values, c)).values() for c in (1.0, 5.0)]
    torch.testing.assert_close(found[0], found[1])


def test_binary_weights_are_the_mean_magnitude_with_the_sign_and_zero_counts_as_positive():
    values = normal(4, 100)
    values[0, 0] = 0
    back = coded(values, 1, grid="binary").values()
    expected = torch.where(values >= 0, 1.0, -1.0) * values.abs().mean(dim=1, keepdim=True)
    torch.testing.assert_close(back, expected, rtol=1e-6, atol=0)


def test_a_codebook_leaves_outliers_untouched_and_others_at_one_of_eight_numbers():
    values = normal(200, 300)
    values[3, 7] = 0.5
    found = coded(values, 3, grid="codebook", granularity="tensor")
    deviation = float(values.std(correction=0))
    density = -((values - values.mean()) ** 2) / (2 * deviation**2) - math.log(deviation * math.sqrt(2 * math.pi))
    outside = density < -4
    assert found.coding.outliers == int(outside.sum())
    back = found.values()
    assert torch.equal(back[outside], values[outside])
    assert outside[3, 7]
    assert len(back[~outside].unique()) == 8


def test_outliers_of_gaussian_weights_are_a_few_in_ten_thousand():
    found = coded(normal(1000, 1000), 3, grid="codebook", granularity="tensor")
    assert 2e-4 <= found.coding.outliers / 1e6 <= 1e-3


def test_the_error_of_a_codebook_never_rises_and_is_below_even_steps():
    values = normal(300, 300).flatten()
    for bits in (2, 3, 4):
        fitted = centroids(values, bits)
        assert fitted.errors == sorted(fitted.errors, reverse=True)
        nearest = (values[:, None] - fitted.book).abs().min(dim=1).values
        assert float(nearest.double().sum()) == pytest.approx(fitted.errors[-1], rel=1e-5)
        even = coded(values.view(300, 300), bits, grid="interval", granularity="tensor").values()
        assert fitted.errors[-1] < float((even.flatten() - values).abs().double().sum())


def test_a_codebook_that_still_moves_after_its_rounds_is_refused(monkeypatch):
    values = normal(3000)
    assert len(centroids(values, 3).errors) > 3
    monkeypatch.setattr("bench.methods.quantize.codebook._MOST_ROUNDS", 2)
    with pytest.raises(MethodError, match="8 centroids of a codebook of 3,000 weights still move after 2 rounds"):
        centroids(values, 3)


def test_a_codebook_of_few_or_equal_weights_is_exact():
    for values in (torch.tensor([[0.5, 0.5, 0.5, 0.5]]), torch.tensor([[1.0, -2.0, 3.0]])):
        assert torch.equal(coded(values, 3, grid="codebook", granularity="tensor").values(), values)


def test_the_range_of_least_square_error_is_never_worse_than_min_max_and_may_clip():
    values = normal(24, 100)
    for grid, bits in (("symmetric", 3), ("interval", 2), ("affine", 2), ("power-of-two", 3)):
        full, best = (coded(values, bits, grid=grid, range=name) for name in ("min-max", "square-error"))
        errors = [(found.values() - values).square().sum(dim=1) for found in (full, best)]
        assert (errors[1] <= errors[0] * (1 + 1e-6)).all()
        assert errors[1].sum() < errors[0].sum()


def test_a_percentile_leaves_its_share_outside_and_a_clip_is_what_was_said():
    values = normal(3, 1000)
    found = coded(values, 8, range="percentile")
    ends = found.side["scale"][:, 0] * 127
    assert ((values.abs() > ends[:, None]).float().mean(dim=1) <= 0.02).all()
    assert ((values > ends[:, None]).any(dim=1) | (values < -ends[:, None]).any(dim=1)).all()
    clipped = coded(values, 8, range="clip").values()
    assert float(clipped.abs().max()) == pytest.approx(0.05)
    inside = values.abs() <= 0.05
    assert ((clipped - values).abs()[inside] <= 0.05 / 254 * (1 + 1e-5)).all()


def test_every_name_is_there():
    assert {"symmetric", "affine", "interval", "power-of-two", "ternary", "binary", "codebook"} <= set(GRIDS.names())
    assert {"min-max", "percentile", "clip", "square-error"} <= set(RANGES.names())
    assert set(GRANULAR) <= set(GRANULARITIES.names())


def test_a_width_that_the_grid_lacks_is_refused():
    with pytest.raises(MethodError, match="grid Ternary needs 2 to 2 bits, found bits = 3"):
        coded(normal(4, 4), 3, grid="ternary")


@pytest.mark.parametrize("grid", [name for name in GRIDS.names() if name != "loss-aware-ternary"])
def test_a_matrix_of_zeros_stays_one(grid):
    assert not coded(torch.zeros(4, 6), max(GRIDS.get(grid).widths), grid=grid).values().any()
