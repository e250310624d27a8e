"""What each solver of the factorizer finds, held against the best that there is."""

from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError

from bench.base.errors import BenchError, MethodError
from bench.layers.factorized import FactorizedLinear
from bench.methods.base.listening import alike
from bench.methods.factorize.calibration import Moment, calibrate
from bench.methods.factorize.factorize import Factorize
from bench.methods.factorize.matrix_solvers import Bottleneck, Drone, Svd, semi_nmf
from bench.methods.factorize.sites import find_sites
from bench.methods.factorize.solver import SOLVERS, MatrixSolver
from bench.models.adapter import adapter_for

SHAPES = [(12, 20), (20, 12), (9, 9)]


def normal(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def seen(weight, inputs):
    """The moment of inputs [rows, n], taken in a few rows at a time."""
    moment = Moment(weight)
    for rows in inputs.split(7):
        moment.add(rows)
    return moment


def error(weight, factors, inputs=None):
    second, first = factors
    lost = weight - second @ first
    return (lost if inputs is None else lost @ inputs.t()).norm().item()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("rank", [1, 4, 8])
def test_drone_changes_the_outputs_by_the_least_that_its_rank_allows(shape, rank):
    weight, inputs = normal(*shape), normal(50, shape[1], seed=1) * torch.logspace(0, -2, shape[1])
    factors = Drone().factors(weight, rank, moment=seen(weight, inputs), seed=0)
    least = torch.linalg.svdvals(weight @ inputs.t())[rank:].square().sum().sqrt().item()
    assert error(weight, factors, inputs) == pytest.approx(least, rel=1e-6)
    assert least < error(weight, Svd().factors(weight, rank, moment=None, seed=0), inputs)


def test_drone_is_far_nearer_than_the_singular_value_decomposition_where_inputs_are_of_low_rank():
    weight, inputs = normal(16, 24), normal(200, 6, seed=1) @ normal(6, 24, seed=2)
    drone = Drone().factors(weight, 6, moment=seen(weight, inputs), seed=0)
    svd = Svd().factors(weight, 6, moment=None, seed=0)
    assert error(weight, drone, inputs) < 1e-5 * error(weight, svd, inputs)
    unseen = normal(200, 6, seed=3) @ normal(6, 24, seed=2)
    assert error(weight, drone, unseen) < 1e-5 * error(weight, svd, unseen)


@pytest.mark.parametrize("shape", SHAPES)
def test_drone_is_the_singular_value_decomposition_where_inputs_have_no_direction(shape):
    weight, inputs = normal(*shape), torch.eye(shape[1], dtype=torch.float64) * 3.0
    drone, svd = (solver.factors(weight, 4, moment=seen(weight, inputs), seed=0) for solver in (Drone(), Svd()))
    torch.testing.assert_close(drone[0] @ drone[1], svd[0] @ svd[1], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("shape", SHAPES)
def test_drone_is_the_papers_closed_form(shape):
    """M = V_W S_W^-1 Z_k S_X^-1 U_X^T with Z = S_W V_W^T U_X S_X (Chen et al. 2021, theorem 1)."""
    weight, inputs, rank = normal(*shape), normal(60, shape[1], seed=1), 3
    left_w, s_w, right_w = torch.linalg.svd(weight, full_matrices=False)
    left_x, s_x, _ = torch.linalg.svd(inputs.t(), full_matrices=False)
    u, s, v = torch.linalg.svd(s_w[:, None] * right_w @ left_x * s_x, full_matrices=False)
    nearest = (u[:, :rank] * s[:rank]) @ v[:rank]
    published = left_w @ (nearest / s_x) @ left_x.t()  # W M, in which W's own factors cancel
    second, first = Drone().factors(weight, rank, moment=seen(weight, inputs), seed=0)
    torch.testing.assert_close(second @ first, published, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_state_of_calibration_does_not_grow_with_the_examples(shape):
    few, many = (seen(normal(*shape), normal(rows, shape[1], seed=1)) for rows in (10, 1000))
    assert few.sum.shape == many.sum.shape == (min(shape), min(shape))


def test_calibration_sees_what_each_matrix_is_given_and_nothing_of_padding(make_lab, tiny_bert):
    model, lab = tiny_bert(), make_lab(examples=20)
    sites = find_sites(model, ("query", "ffn_in", "ffn_out"))
    moments = calibrate(model, sites, lab, examples=12)
    inputs = {site.name: [] for site in sites}
    for site in sites:
        site.module.register_forward_pre_hook(lambda m, given, name=site.name: inputs[name].append(given[0]))
    with torch.no_grad():
        for feature in lab.features[:12]:
            model(**{name: torch.tensor([values]) for name, values in feature.inputs.items()})
    for site in sites:
        rows = torch.cat([each.flatten(0, 1) for each in inputs[site.name]]).double()
        rows = rows if site.weight.shape[0] > site.weight.shape[1] else rows @ site.weight.detach().double().t()
        torch.testing.assert_close(moments[site.name].sum, rows.t() @ rows, rtol=1e-4, atol=1e-4)


def test_calibration_needs_examples(make_lab):
    with pytest.raises(MethodError, match="no training examples"):
        alike(make_lab(), examples=5, skip=1000)


def test_drone_on_a_model_tells_the_error_on_other_examples(make_lab, tiny_bert):
    told, lab = [], make_lab(examples=32)
    object.__setattr__(lab, "progress", lambda text, share: told.append(text))
    smaller = Factorize(solver="drone", rank=6, calibration=16, budget=0).compress(tiny_bert(), lab)
    assert all(isinstance(layer, FactorizedLinear) for layer in adapter_for(smaller).linears(smaller).values())
    (share,) = [float(text.split(" by ")[1].split()[0]) for text in told if "outside the calibration" in text]
    assert 0.0 < share < 1.0


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("rank", [1, 4, 8])
def test_semi_nmf_has_no_negative_entry_and_its_error_never_rises(shape, rank):
    weight = normal(*shape)
    found = semi_nmf(weight, rank)
    assert (found.first >= 0).all()
    assert len(found.errors) > 2 or rank == 1
    assert all(after <= before * (1 + 1e-9) for before, after in zip(found.errors, found.errors[1:], strict=False))
    assert found.errors[-1] == pytest.approx((weight - found.second @ found.first).square().sum().item())


@pytest.mark.parametrize("shape", SHAPES)
def test_no_semi_nmf_is_nearer_than_the_singular_value_decomposition_of_its_rank(shape):
    weight = normal(*shape)
    found = semi_nmf(weight, 4)
    best = torch.linalg.svdvals(weight)[4:].square().sum().item()
    assert best < found.errors[-1] < weight.square().sum().item()


def test_semi_nmf_finds_factors_that_are_there():
    weight = normal(12, 3) @ normal(3, 20, seed=1).abs()
    found = semi_nmf(weight, 3, iterations=2000)
    assert found.errors[-1] < 1e-2 * weight.square().sum().item()


def test_a_random_bottleneck_keeps_the_scale_and_nothing_else():
    weight = normal(200, 300) * 0.07
    second, first = Bottleneck().factors(weight, 50, moment=None, seed=4)
    again = Bottleneck().factors(weight, 50, moment=None, seed=4)
    assert torch.equal(second, again[0])
    assert torch.equal(first, again[1])
    assert (second @ first).std().item() == pytest.approx(0.07, rel=0.05)
    assert abs(torch.corrcoef(torch.stack([(second @ first).flatten().double(), weight.flatten()]))[0, 1]) < 0.05


def test_solvers_that_order_no_ranks_take_no_policy_that_needs_an_order(make_lab, tiny_bert):
    with pytest.raises(MethodError, match="does not order its components"):
        Factorize(solver="random", energy=0.5).compress(tiny_bert(), make_lab())


def test_a_third_party_adds_a_solver_in_a_few_lines(make_lab, tiny_bert, monkeypatch):
    monkeypatch.setattr(SOLVERS, "_plugins", dict(SOLVERS._plugins))
    SOLVERS.names()

    @SOLVERS.register("first-rows")
    class FirstRows(MatrixSolver):
        """Keeps the first rows."""

        def factors(self, weight, rank, *, moment, seed):
            return torch.eye(weight.shape[0], rank), weight[:rank]

    smaller = Factorize(solver="first-rows", rank=3, budget=0, targets="query").compress(tiny_bert(), make_lab())
    product = smaller.bert.encoder.layer[0].attention.self.query.dense()
    assert torch.equal(product[:3], tiny_bert().bert.encoder.layer[0].attention.self.query.weight[:3])
    assert product[3:].abs().max() == 0


def test_an_unknown_solver_suggests_the_nearest():
    with pytest.raises(ValidationError, match="Did you mean 'drone'"):
        Factorize(solver="dron", rank=2)


def test_solvers_register_once():
    with pytest.raises(BenchError, match="registered twice"):
        SOLVERS.register("svd")(Svd)
    assert SOLVERS.get("svd") is Svd


def test_semi_nmf_says_of_each_matrix_whether_it_settled(make_lab, tiny_bert, monkeypatch):
    weight = normal(12, 20)
    assert semi_nmf(weight, 1).settled
    assert not semi_nmf(weight, 4, iterations=3).settled
    for rank, rounds, unsettled in ((1, 1000, False), (4, 2, True)):
        told, lab = [], make_lab(examples=4)
        object.__setattr__(lab, "progress", lambda text, share, told=told: told.append(text))
        monkeypatch.setattr(semi_nmf, "__kwdefaults__", {"iterations": rounds})
        Factorize(solver="semi-nmf", rank=rank, budget=0).compress(tiny_bert(), lab)
        assert any("has not converged: its error still fell by" in text for text in told) == unsettled
