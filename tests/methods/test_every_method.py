"""What holds for each registered method, whatever it does."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import pytest
import torch
from made_pruning import prune

from bench.base.errors import MethodError
from bench.methods.base.method import METHODS
from bench.methods.base.terms.table import Terms
from bench.methods.base.trained import TrainedMethod
from bench.methods.distill.distill import Distill
from bench.methods.exit.exits import TrainExits
from bench.methods.exit.halt import Halt
from bench.methods.factorize.factorize import Factorize
from bench.methods.prune.prune import Prune
from bench.methods.prune.sparsify import Sparsify
from bench.methods.quantize.integer import Integer
from bench.methods.quantize.quantize import Quantize
from bench.methods.replace.replace import Replace
from bench.methods.share.share import Share
from bench.methods.shrink.layerdrop import LayerDrop
from bench.methods.shrink.shallow import Shallow
from bench.methods.shrink.shrink import Shrink
from bench.methods.tokens.drop import DropTokens
from bench.models.adapter import adapter_for

EACH = {
    "distill": Distill(),
    "drop-tokens": DropTokens(),
    "exits": TrainExits(),
    "factorize": Factorize(ratio=0.25),
    "halt": Halt(),
    "integer": Integer(examples=16),
    "layerdrop": LayerDrop(),
    "prune": prune(sparsity=0.5, schedule__rounds=2),
    "quantize": Quantize(),
    "replace": Replace(),
    "shallow": Shallow(),
    "share": Share(),
    "shrink": Shrink(depth=2),
    "sparsify": Sparsify(at_most=1.0),
}

# They make other programs out of an answering program; see test_answer.py.
OF_PROGRAMS = ("closed-book", "nearest-question")
# They need a model that another method made; see test_exits.py.
AFTER_ANOTHER = ("exit-at",)
# They give a graph; see test_export.py.
TO_GRAPHS = ("export",)

REFUSED = {
    ("drop-tokens", "Albert"): "only an encoder that loops over a list of layers, each with a norm after its attention",
    ("drop-tokens", "MobileBert"): "only an encoder that loops over a list of layers, each with a norm after its",
    ("exits", "Albert"): "only an encoder that loops over a list of layers, with a head",
    ("exits", "MobileBert"): "only an encoder that loops over a list of layers, with a head",
    ("halt", "Albert"): "only an encoder that loops over a list of layers can",
    ("integer", "Albert"): "only an encoder that loops over a list of layers can",
    ("integer", "MobileBert"): "is not an encoder layer of six matrices and two norms",
    ("layerdrop", "Albert"): "only a Transformer that loops over a list of layers can",
}


def test_every_registered_method_is_tested_here():
    assert sorted([*EACH, *OF_PROGRAMS, *AFTER_ANOTHER, *TO_GRAPHS]) == METHODS.names()


@pytest.mark.parametrize("name", EACH)
def test_compressing_leaves_the_given_model_and_the_reference_bit_equal(name, make_lab, tiny_bert, state_of, logits_of):
    model, reference = tiny_bert(), tiny_bert()
    before = {key: (state_of(one), logits_of(one)) for key, one in (("model", model), ("reference", reference))}
    modules = [type(module) for module in model.modules()]
    result = EACH[name].compress(model, make_lab(reference))
    for key, one in (("model", model), ("reference", reference)):
        state, logits = before[key]
        assert all(torch.equal(tensor, state[tensor_name]) for tensor_name, tensor in one.state_dict().items())
        assert torch.equal(logits_of(one), logits)
        assert not one.training
        assert all(parameter.requires_grad and parameter.grad is None for parameter in one.parameters())
    assert [type(module) for module in model.modules()] == modules
    assert model.config.num_hidden_layers == 4
    shared = {tensor.data_ptr() for tensor in result.state_dict().values()} & {
        tensor.data_ptr() for tensor in [*model.state_dict().values(), *reference.state_dict().values()]
    }
    assert not shared


@pytest.mark.parametrize("name", EACH)
def test_the_result_is_ready_to_be_evaluated_and_differs_from_the_given_model(
    name, make_lab, tiny_bert, logits_of, state_of
):
    model = tiny_bert()
    result = EACH[name].compress(model, make_lab(model))
    assert not any(module.training for module in result.modules())
    assert torch.isfinite(logits_of(result)).all()
    # Outputs may be equal to the bit, as those of a sparse form are on some processors: what is stored differs.
    kinds = [[(place, type(module)) for place, module in each.named_modules()] for each in (model, result)]
    before, after = state_of(model), state_of(result)
    changed = before.keys() != after.keys() or any(not torch.equal(before[key], after[key]) for key in before)
    assert kinds[0] != kinds[1] or changed


@pytest.mark.parametrize("name", EACH)
def test_the_same_seed_gives_the_same_result(name, make_lab, tiny_bert, state_of):
    first, second = (state_of(EACH[name].compress(tiny_bert(), make_lab(tiny_bert()))) for _ in range(2))
    assert all(torch.equal(tensor, second[key]) for key, tensor in first.items())


UNSEEDED = {
    "factorize": Factorize(ratio=0.25, budget=0),
    "factorize-semi-nmf": Factorize(solver="semi-nmf", ratio=0.25, budget=0),
    "factorize-drone": Factorize(solver="drone", ratio=0.25, budget=0),
    "integer": Integer(examples=16),
    "prune": Prune(sparsity=0.5, budget=0),
    "prune-fisher": prune(sparsity=0.5, budget=0, saliency="fisher", saliency__examples=8),
    "prune-heads": prune(sparsity=0.5, budget=0, unit="head", saliency="gate-gradient", saliency__examples=8),
    "quantize": Quantize(),
    "quantize-static": Quantize(scheme="static", examples=16),
    "quantize-codebook": Quantize(scheme="weights", grid="codebook", bits=3),
    "share": Share(budget=0),
    "shrink": Shrink(depth=2),
    "sparsify": Sparsify(at_most=1.0),
}
SEEDED = {
    **{
        name: EACH[name]
        for name in ("distill", "exits", "factorize", "halt", "layerdrop", "prune", "replace", "shallow", "share")
    },
    "factorize-random": Factorize(solver="random", ratio=0.25, budget=0),
    "exits-untrained": TrainExits(budget=0),
    "halt-untrained": Halt(budget=0),
    "integer-trained": Integer(examples=16, budget=1),
    "prune-random": Prune(sparsity=0.5, budget=0, saliency="random"),
    "prune-obd": prune(sparsity=0.5, budget=0, saliency="obd", saliency__examples=8, saliency__probes=1),
    "quantize-trained": Quantize(budget=1),
}


@pytest.mark.parametrize("name", UNSEEDED)
def test_what_is_not_seeded_is_the_same_under_another_seed(name, make_lab, tiny_bert, state_of):
    method = UNSEEDED[name]
    assert not method.seeded()
    labs = (make_lab(tiny_bert()), dataclasses.replace(make_lab(tiny_bert()), seed=7))
    first, second = (state_of(method.compress(tiny_bert(), lab)) for lab in labs)
    assert all(torch.equal(tensor, second[key]) for key, tensor in first.items())


@pytest.mark.parametrize("name", SEEDED)
def test_what_is_seeded_is_another_under_another_seed(name, make_lab, tiny_bert, state_of):
    method = SEEDED[name]
    assert method.seeded()
    labs = (make_lab(tiny_bert()), dataclasses.replace(make_lab(tiny_bert()), seed=7))
    first, second = (state_of(method.compress(tiny_bert(), lab)) for lab in labs)
    assert not all(torch.equal(tensor, second[key]) for key, tensor in first.items())


@pytest.mark.parametrize("name", EACH)
def test_every_argument_is_described(name):
    fields = METHODS.get(name).model_fields
    undescribed = [key for key, field in fields.items() if not field.description]
    assert not undescribed


@pytest.mark.parametrize("name", [name for name, method in EACH.items() if isinstance(method, TrainedMethod)])
def test_the_budget_is_a_share_of_the_suites_epochs(name, make_lab, tiny_bert):
    lab = make_lab(epochs=4.0)
    seen = []
    object.__setattr__(lab, "train", lambda model, *, epochs, **options: seen.append(epochs))
    EACH[name].model_copy(update={"budget": 0.5}).compress(lab.reference, lab)
    assert sum(seen) == pytest.approx(2.0)


@pytest.mark.parametrize("name", ["prune", "factorize", "share"])
def test_budget_zero_trains_nothing(name, make_lab, tiny_bert):
    lab = make_lab()
    object.__setattr__(lab, "train", lambda *args, **options: pytest.fail("it trained"))
    EACH[name].model_copy(update={"budget": 0.0}).compress(lab.reference, lab)


@pytest.mark.parametrize("name", ["prune", "factorize", "share"])
def test_terms_of_a_teacher_train_another_model(name, make_lab, tiny_bert, state_of):
    plain = EACH[name]
    guided = plain.model_copy(update={"terms": Terms.made({"logits": 1.0})})
    reference = tiny_bert(seed=5)
    first, second = (state_of(method.compress(tiny_bert(), make_lab(reference))) for method in (plain, guided))
    assert not all(torch.equal(tensor, second[key]) for key, tensor in first.items())


def test_listing_the_methods_imports_no_torch():
    code = (
        "import sys; from bench.methods.base.method import METHODS; METHODS.names(); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("architecture", ["Albert", "DistilBert", "Electra", "MobileBert", "Roberta"])
def test_every_method_works_on_every_architecture(architecture, make_lab, logits_of):
    import transformers

    sizes = (
        {"dim": 32, "n_layers": 4, "n_heads": 4, "hidden_dim": 64}
        if architecture == "DistilBert"
        else {
            "hidden_size": 32,
            "num_hidden_layers": 4,
            "num_attention_heads": 4,
            "intermediate_size": 64,
            "embedding_size": 32,
        }
    )
    config = getattr(transformers, f"{architecture}Config")(vocab_size=100, max_position_embeddings=64, **sizes)

    def build(depth=4):
        smaller = type(config)(**{**config.to_dict(), "num_hidden_layers": depth})
        torch.manual_seed(0)
        return getattr(transformers, f"{architecture}ForSequenceClassification")(smaller).eval()

    model = build()
    lab = make_lab(model, epochs=0.5)
    object.__setattr__(lab, "fresh", lambda depth, pretrained: build(depth))
    before = logits_of(model)
    for name, method in EACH.items():
        if (name, architecture) in REFUSED:
            with pytest.raises(MethodError, match=REFUSED[name, architecture]):
                method.compress(model, lab)
            continue
        result = method.compress(model, lab)
        depth = 2 if name in ("distill", "replace", "shallow", "shrink") else 4
        assert adapter_for(result).depth(result) == depth, name
        assert torch.isfinite(logits_of(result)).all(), name
        assert torch.equal(logits_of(model), before), name
