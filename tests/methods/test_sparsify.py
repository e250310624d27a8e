"""Sparse forms of pruned models, and pruning together with the other mechanisms."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from pydantic import ValidationError

from bench.artifacts import artifact
from bench.base.errors import MethodError
from bench.layers.csr import CsrLinear
from bench.layers.factorized import FactorizedLinear
from bench.layers.int8 import Int8Linear
from bench.layers.semi_structured import SemiStructuredLinear
from bench.measures.audit.audit import audit
from bench.measures.audit.claims import stage_drops
from bench.measures.computation.computation import Computation
from bench.measures.storage.theory import resident_bytes
from bench.methods.factorize.factorize import Factorize
from bench.methods.prune.prune import Prune
from bench.methods.prune.sparsify import BREAK_EVEN, Sparsify
from bench.methods.quantize.quantize import Quantize
from bench.models.adapter import adapter_for
from bench.records.record import StageLog
from bench.spec.setting import Measuring, Setting

PRUNE = Prune(sparsity=0.9, scope="layer", budget=0)


def linears(model):
    return adapter_for(model).linears(model)


def two_to_four(model):
    """The two largest magnitudes of each four stay, in place."""
    with torch.no_grad():
        for linear in linears(model).values():
            groups = linear.weight.view(-1, 4)
            smallest = groups.abs().topk(2, largest=False).indices
            groups.scatter_(1, smallest, 0.0)
    return model


@pytest.fixture
def saved(tmp_path, tokenizer):
    """A function that saves a model and gives the bytes of its artifact and the model loaded again."""

    def save(model, name):
        artifact.save(model, tmp_path / name, tokenizer=tokenizer)
        return artifact.size_bytes(tmp_path / name), artifact.load(tmp_path / name).model

    return save


def test_pruned_matrices_become_rows_with_the_same_outputs_and_their_own_multiply_adds(make_lab, tiny_bert, logits_of):
    lab = make_lab()
    pruned = PRUNE.compress(tiny_bert(), lab)
    sparse = Sparsify().compress(pruned, lab)
    torch.testing.assert_close(logits_of(sparse), logits_of(pruned), rtol=0, atol=1e-5)
    for name, layer in linears(sparse).items():
        dense = linears(pruned)[name]
        assert isinstance(layer, CsrLinear)
        assert layer.macs(1) == int(dense.weight.count_nonzero()) == round(0.1 * dense.weight.numel())
        assert torch.equal(layer.dense(), dense.weight)
        assert torch.equal(layer.bias, dense.bias)


@pytest.mark.parametrize("form", ["csr", "2:4"])
def test_a_sparse_model_is_saved_and_loaded_bit_for_bit_and_holds_no_dense_matrix(
    form, make_lab, tiny_bert, logits_of, saved
):
    lab, pruned = make_lab(), two_to_four(PRUNE.compress(tiny_bert(), make_lab()))
    sparse = Sparsify(form=form, dense_elsewhere=form == "2:4").compress(pruned, lab)
    logits = logits_of(sparse)
    _, loaded = saved(sparse, "sparse")
    assert torch.equal(logits_of(loaded), logits)
    assert {type(layer) for layer in linears(loaded).values()} == {CsrLinear if form == "csr" else SemiStructuredLinear}
    assert resident_bytes(loaded) == resident_bytes(sparse) < 0.8 * resident_bytes(pruned)


def test_what_pruning_promised_is_delivered_by_the_sparse_stage(make_lab, tiny_bert, tokenizer, tmp_path):
    lab, models = make_lab(), [tiny_bert()]
    for method in (PRUNE, Sparsify()):
        models.append(method.compress(models[-1], lab))
    audits = [
        audit(model, saves=saves, tokenizer=tokenizer, scratch=tmp_path, length=16, device="cpu")._asdict()
        for model, saves in zip(models, ((), PRUNE.saves, Sparsify().saves), strict=True)
    ]
    logs = [StageLog(method="x", arguments={}, seconds=1.0, **each) for each in audits]
    start = {"macs": (logs[0].claimed.macs, logs[0].real.macs), "bytes": (logs[0].claimed.bytes, logs[0].real.bytes)}
    drops = stage_drops(logs[1:], start)
    assert drops[0]["bytes"].delivered
    assert (drops[1]["macs"].claimed, drops[1]["macs"].delivered) == (0, True)
    weights = sum(linear.weight.numel() for linear in linears(models[0]).values())
    stays = sum(int(linear.weight.count_nonzero()) for linear in linears(models[1]).values())
    assert drops[1]["macs"].real == 16 * (weights - stays)


@pytest.mark.parametrize(("form", "flags"), [("csr", []), ("2:4", ["sparse-executes-dense"])])
def test_zeros_that_are_executed_are_flagged_and_the_kernels_are_named(form, flags, make_lab, tiny_bert, tokenizer):
    lab, model = make_lab(), two_to_four(tiny_bert())
    most = {"at_most": 0.5} if form == "csr" else {"dense_elsewhere": True}
    sparse = Sparsify(form=form, **most).compress(model, lab)
    sides = [SimpleNamespace(model=each, tokenizer=tokenizer) for each in (sparse, tiny_bert())]
    setting = Setting(measuring=Measuring(country="DEU", length=16))
    reading = Computation().read(
        SimpleNamespace(artifact=sides[0], reference=sides[1], setting=setting, device="cpu", seed=0)
    )
    encoder = 16 * sum(linear.weight.numel() for linear in linears(model).values())
    assert [code for code, _ in reading.warnings] == flags
    assert reading.reference["macs"] - reading.values["macs_effective"] == encoder // 2
    assert reading.reference["macs"] - reading.values["macs"] == (encoder // 2 if form == "csr" else 0)
    assert list(reading.conditions["kernels"].values()) == [24]


def test_too_dense_matrices_stay_dense_and_the_progress_says_so(make_lab, tiny_bert):
    lab, told = make_lab(), []
    object.__setattr__(lab, "progress", lambda text, share: told.append(text))
    model = tiny_bert()
    with torch.no_grad():
        for name, linear in linears(model).items():
            if name.endswith("query"):
                linear.weight[:, 4:] = 0.0
    sparse = Sparsify().compress(model, lab)
    forms = {name: type(layer) for name, layer in linears(sparse).items()}
    assert {name for name, form in forms.items() if form is CsrLinear} == {
        name for name in forms if name.endswith("query")
    }
    (text,) = told
    assert text.startswith("20 of 24 matrices stay dense: bert.encoder.layer.0.attention.self.key (density 1.000, ")
    assert text.endswith("and 17 more")


def test_the_limit_is_kept_to_the_weight(make_lab, tiny_bert):
    model = tiny_bert()
    with torch.no_grad():
        for linear in linears(model).values():
            linear.weight.fill_(0.0).view(-1)[: linear.weight.numel() // 4] = 1.0
    assert all(
        type(layer) is CsrLinear for layer in linears(Sparsify(at_most=0.25).compress(model, make_lab())).values()
    )
    with pytest.raises(MethodError, match=r"none of 24 .*density 0.250, above 0.249"):
        Sparsify(at_most=0.249).compress(model, make_lab())


def test_where_no_matrix_qualifies_the_densities_and_the_limit_are_named(make_lab, tiny_bert):
    with pytest.raises(MethodError, match=rf"density 1.000, above {BREAK_EVEN}.*raise at_most"):
        Sparsify().compress(tiny_bert(), make_lab())
    with pytest.raises(MethodError, match=r"256 of 256 groups of 4 keep more than 2.*Prune to 2:4 first"):
        Sparsify(form="2:4", dense_elsewhere=True).compress(tiny_bert(), make_lab())


def test_whole_blocks_are_stored_where_they_are_asked_for(make_lab, tiny_bert, logits_of):
    model = tiny_bert()
    with torch.no_grad():
        for linear in linears(model).values():
            linear.weight[:, 8:] = 0.0
            linear.weight[8, :] = 0.0
    sparse = Sparsify(block=8, at_most=0.3).compress(model, make_lab())
    torch.testing.assert_close(logits_of(sparse), logits_of(model), rtol=0, atol=1e-5)
    layer = next(iter(linears(sparse).values()))
    assert (layer.stored, layer.density) == (4, 0.25)
    with pytest.raises(MethodError, match=r"query: blocks of 5 x 5 do not divide"):
        Sparsify(block=5).compress(model, make_lab())


def test_two_to_four_is_refused_without_kernels_unless_dense_execution_is_accepted(make_lab, tiny_bert, logits_of):
    model = two_to_four(tiny_bert())
    with pytest.raises(MethodError, match=r"need a CUDA device of compute capability 8.0.*dense_elsewhere"):
        Sparsify(form="2:4").compress(model, make_lab())
    stored = Sparsify(form="2:4", dense_elsewhere=True).compress(model, make_lab())
    torch.testing.assert_close(logits_of(stored), logits_of(model), rtol=0, atol=1e-3)


def test_only_dense_float_layers_are_sparsified(make_lab, tiny_bert):
    lab, model = make_lab(), tiny_bert()
    for before in (Quantize(), Factorize(rank=4, budget=0), Sparsify(at_most=1.0)):
        with pytest.raises(MethodError, match="has no sparse form"):
            Sparsify(at_most=1.0).compress(before.compress(model, lab), lab)


@pytest.mark.parametrize(
    "arguments", [{"form": "2:4", "at_most": 0.1}, {"form": "2:4", "block": 4}, {"dense_elsewhere": True}]
)
def test_an_argument_of_the_other_form_is_refused(arguments):
    with pytest.raises(ValidationError, match=r"(is an argument|are arguments) of form"):
        Sparsify(**arguments)


def test_targets_choose_matrices_by_role(make_lab, tiny_bert):
    sparse = Sparsify(at_most=1.0, targets=("query",)).compress(tiny_bert(), make_lab())
    assert sum(type(layer) is CsrLinear for layer in linears(sparse).values()) == 4


def test_pruned_int8_is_stored_as_sparse_int8(make_lab, tiny_bert, saved, logits_of):
    lab, model = make_lab(), tiny_bert()
    pruned = Quantize().compress(PRUNE.compress(model, lab), lab)
    sparse_bytes, loaded = saved(pruned, "pruned")
    dense_bytes, _ = saved(Quantize().compress(model, lab), "dense")
    assert torch.equal(logits_of(loaded), logits_of(pruned))
    least = 0
    for name, layer in linears(pruned).items():
        assert isinstance(layer, Int8Linear)
        kept = int(layer.weight.count_nonzero())
        assert kept <= int(linears(PRUNE.compress(model, lab))[name].weight.count_nonzero())
        least += layer.weight.numel() - (layer.weight.numel() // 8 + kept)
    # What bitmasks save, less their entries in the header and in layers.json.
    assert dense_bytes - least <= sparse_bytes < dense_bytes - least + 24 * 512


def test_both_factors_of_a_factorized_model_are_pruned_and_stored_sparse(make_lab, tiny_bert, saved, logits_of):
    lab = make_lab()
    thin = Factorize(rank=12, budget=0).compress(tiny_bert(), lab)
    pruned = PRUNE.compress(thin, lab)
    for layer in linears(pruned).values():
        assert isinstance(layer, FactorizedLinear)
        for factor in (layer.first, layer.second):
            assert int(factor.count_nonzero()) == factor.numel() - round(0.9 * factor.numel())
    pruned_bytes, loaded = saved(pruned, "pruned")
    assert pruned_bytes < saved(thin, "thin")[0]
    assert torch.equal(logits_of(loaded), logits_of(pruned))
