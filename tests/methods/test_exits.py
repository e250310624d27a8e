"""Early exit as methods: training once, choosing a criterion, what is stored, counted and refused (rows X1, X2, X4)."""

from __future__ import annotations

import dataclasses
import itertools
from types import SimpleNamespace

import pytest
import torch
from families import SIZES, make, outputs, same_outputs, same_state, state
from made_pruning import prune
from made_seq2seq import made_marian

from bench.artifacts.artifact import load, save
from bench.artifacts.manifest import Manifest
from bench.base.errors import MethodError, TrainingError
from bench.layers.exits import ExitHeads, exits_of
from bench.measures.computation.depth import dynamic_depth
from bench.measures.computation.executions import executions
from bench.measures.computation.trace import trace
from bench.measures.storage.parameters import elements, stored_parameters
from bench.methods.distill.distill import Distill
from bench.methods.exit.criteria import CRITERIA
from bench.methods.exit.exits import ExitAt, TrainExits
from bench.methods.exit.halt import Halt
from bench.methods.exit.losses import EXIT_LOSSES
from bench.methods.factorize.factorize import Factorize
from bench.methods.quantize.quantize import Quantize
from bench.methods.share.share import Share
from bench.methods.shrink.shrink import Shrink
from bench.models.adapter import adapter_for
from bench.plan.recipes import load_recipe, methods_of
from bench.tasks.kinds.kind import KINDS
from bench.training.exits import EveryExit, diversity
from bench.training.objective import Objective, TaskTerm, Term

IDS = torch.tensor([[2, 5, 6, 7, 8, 9, 10, 11, 3]])
INPUTS = {"input_ids": IDS, "attention_mask": torch.ones_like(IDS)}
LOOPING = ("bert", "roberta", "distilbert", "electra")
CHEAP = {"name": "confidence", "threshold": 0.5}


@pytest.fixture
def exiting(make_lab):
    """A model with exits after `criterion`; without a budget its exits are drawn and not trained."""

    def build(model=None, *, criterion="never", **arguments):
        lab = make_lab()
        grown = TrainExits(**{"budget": 0, **arguments}).compress(make("bert") if model is None else model, lab)
        return ExitAt(criterion=criterion).compress(grown, lab)

    return build


def parameters(model):
    return elements(stored_parameters(model))


@pytest.mark.parametrize(("pooler", "each"), [("own", 32 * 32 + 32 + 32 * 3 + 3), ("shared", 32 * 3 + 3)])
def test_parameters_grow_by_one_classifier_for_each_layer_but_the_last(exiting, pooler, each):
    assert parameters(exiting(pooler=pooler)) == parameters(make("bert")) + 3 * each


@pytest.mark.parametrize("family", LOOPING)
def test_before_training_and_a_criterion_the_model_gives_what_it_gave(exiting, family):
    assert same_outputs(exiting(make(family)), make(family))


def test_multiply_adds_are_those_of_the_layers_and_exits_that_ran(exiting):
    model = exiting(criterion=CHEAP)
    layer, head = 9 * (4 * 32 * 32 + 2 * 32 * 64) + 2 * 9 * 9 * 32, 32 * 32 + 32 * 3
    for depth in (1, 2, 3):
        with dynamic_depth(model).leaving_after(depth):
            assert trace(model, INPUTS).macs == depth * (layer + head)
    with dynamic_depth(model).leaving_after(4):
        assert trace(model, INPUTS).macs == 4 * (layer + head)
    found = executions(model, INPUTS, {1: 3, 4: 1})
    assert found.mean(lambda ledger: ledger.macs) == (3 * (layer + head) + 4 * (layer + head)) / 4
    assert found.coverage == 1.0


def test_before_a_criterion_is_chosen_the_model_is_of_fixed_depth_and_its_exits_cost_nothing(exiting):
    model = exiting()
    assert dynamic_depth(model) is None
    assert trace(model, INPUTS).macs == trace(make("bert"), INPUTS).macs


def test_truncation_points_are_ordinary_models_and_monotone_in_size_and_computation(exiting, tokenizer, tmp_path):
    grown, sizes, macs = exiting(), [], []
    for layer in (1, 2, 3, 4):
        static = ExitAt(criterion={"name": "layer", "layer": layer}).compress(grown, SimpleNamespace())
        assert not any(isinstance(module, ExitHeads) for module in static.modules())
        assert dynamic_depth(static) is None
        assert adapter_for(static).depth(static) == static.config.num_hidden_layers == layer
        sizes.append(parameters(static))
        macs.append(trace(static, INPUTS).macs)
        save(static, tmp_path / str(layer), tokenizer=tokenizer, made=Manifest(title="static"))
        assert same_outputs(load(tmp_path / str(layer)).model, static)
    one = parameters(make("bert", num_hidden_layers=2)) - parameters(make("bert", num_hidden_layers=1))
    assert {b - a for a, b in itertools.pairwise(sizes)} == {one}
    assert len({b - a for a, b in itertools.pairwise(macs)}) == 1
    assert macs[0] < macs[-1] == trace(make("bert"), INPUTS).macs
    assert same_outputs(static, make("bert"))


@pytest.mark.parametrize("family", LOOPING)
@pytest.mark.parametrize("pooler", ["own", "shared"])
def test_the_artifact_leaves_as_before_bit_for_bit(exiting, tokenizer, tmp_path, family, pooler):
    model = exiting(make(family), criterion={"name": "patience", "patience": 1}, pooler=pooler)
    before, depth = outputs(model), dynamic_depth(model).executed_layers().tolist()
    save(model, tmp_path / "artifact", tokenizer=tokenizer, made=Manifest(title="exits"))
    loaded = load(tmp_path / "artifact").model
    assert all(torch.equal(left, right) for left, right in zip(outputs(loaded), before, strict=True))
    assert dynamic_depth(loaded).executed_layers().tolist() == depth
    assert parameters(loaded) == parameters(model)
    assert exits_of(loaded).rule.arguments() == {"patience": 1, "tolerance": 0.1}
    again = ExitAt(criterion=CHEAP).compress(loaded, SimpleNamespace())
    assert same_outputs(again, ExitAt(criterion=CHEAP).compress(model, SimpleNamespace()))


@pytest.mark.parametrize("criterion", CRITERIA.names())
def test_every_criterion_is_stored_with_its_arguments(exiting, tokenizer, tmp_path, criterion):
    model = exiting(criterion={"name": criterion, **({"layer": 2} if criterion == "layer" else {})})
    save(model, tmp_path / "artifact", tokenizer=tokenizer, made=Manifest(title="exits"))
    assert same_outputs(load(tmp_path / "artifact").model, model)


@pytest.mark.parametrize(
    "method",
    [Quantize(), Factorize(rank=4, budget=0), Share(budget=0, parts=["ffn"])],
)
@pytest.mark.parametrize("first", [True, False])
def test_exits_go_before_and_after_other_methods(exiting, make_lab, tokenizer, tmp_path, method, first):
    lab = make_lab()
    if first:
        model = ExitAt(criterion=CHEAP).compress(method.compress(exiting(), lab), lab)
    else:
        model = exiting(method.compress(make("bert"), lab), criterion=CHEAP)
    before, depth = outputs(model), dynamic_depth(model).executed_layers().tolist()
    assert all(torch.isfinite(tensor).all() for tensor in before)
    save(model, tmp_path / "artifact", tokenizer=tokenizer, made=Manifest(title="both"))
    loaded = load(tmp_path / "artifact").model
    assert same_outputs(loaded, model)
    assert dynamic_depth(loaded).executed_layers().tolist() == depth


@pytest.mark.parametrize("loss", EXIT_LOSSES.names())
def test_training_lowers_the_loss_of_every_exit(make_lab, tiny_bert, loss):
    lab = make_lab(epochs=6.0)
    grown = TrainExits(budget=0).compress(tiny_bert(), lab)
    trained = TrainExits(loss=loss).compress(tiny_bert(), lab)
    before, after = losses(grown, lab), losses(trained, lab)
    assert len(before) == 4
    assert all(late < early for early, late in zip(before, after, strict=True))
    assert not trained.training
    assert all(parameter.requires_grad for parameter in trained.parameters())
    assert not exits_of(trained).equilibrium


def losses(model, lab):
    """The mean loss of every exit over the lab's training examples."""
    from bench.tasks.batching import collate

    batch, kind = collate(lab.features, pad_id=0), KINDS.get("classification")
    found = []
    for layer in range(1, 5):
        static = ExitAt(criterion={"name": "layer", "layer": layer}).compress(model, lab)
        with torch.inference_mode():
            found.append(float(kind.loss(static(**batch.inputs), batch.targets)))
    return found


@pytest.mark.parametrize("pooler", ["own", "shared"])
def test_exits_trained_separately_leave_the_backbone_and_its_classifier_as_they_are(make_lab, tiny_bert, pooler):
    lab, given = make_lab(epochs=6.0), tiny_bert()
    trained = TrainExits(separate=True, pooler=pooler).compress(given, lab)
    assert same_state(ExitAt(criterion={"name": "layer", "layer": 4}).compress(trained, lab), state(given))
    drawn = losses(TrainExits(budget=0, pooler=pooler).compress(given, lab), lab)
    learned = losses(trained, lab)
    assert learned[3] == drawn[3]
    assert all(late < early for early, late in zip(drawn[:3], learned[:3], strict=True))
    assert all(parameter.requires_grad for parameter in trained.parameters())


def spoken(said):
    """A model whose exits said `said` in its last call in training."""
    exits = ExitHeads()
    exits.teach(said[:-1])
    return torch.nn.ModuleList([exits])


class Output(SimpleNamespace):
    """What a model gives, which can be made anew with other logits."""


@pytest.mark.parametrize(
    ("loss", "step", "weights"),
    [
        ("by-depth", 0, [1 / 10, 2 / 10, 3 / 10, 4 / 10]),
        ("equal", 0, [1 / 4] * 4),
        ("equilibrium", 0, [1.0] * 4),
        ("grouped", 0, [1 / 3, 0, 1 / 3, 1 / 3]),
        ("grouped", 1, [0, 1 / 2, 0, 1 / 2]),
        ("diverse", 0, [1 / 4] * 4),
    ],
)
def test_the_objective_is_the_weighted_sum_of_the_exits_losses(loss, step, weights):
    draws = torch.Generator().manual_seed(0)
    said = [torch.randn(5, 3, generator=draws) for _ in range(4)]
    labels = torch.tensor([0, 1, 2, 1, 0])
    choice = EXIT_LOSSES.made({"name": loss, "diversity": 0.0} if loss == "diverse" else loss)
    assert choice.weights(4, step) == pytest.approx(weights)
    every = EveryExit(Objective(), choice.weights, diversity_weight=choice.diversity_weight())
    every.before_step(SimpleNamespace(step=step))
    batch = SimpleNamespace(targets={"labels": labels})
    found = every.loss(spoken(said), batch, Output(logits=said[-1]), KINDS.get("classification"))
    plain = [-(logits.log_softmax(-1)[range(5), labels]).mean() for logits in said]
    assert float(found) == pytest.approx(sum(w * float(each) for w, each in zip(weights, plain, strict=True)), rel=1e-5)


def test_the_diversity_of_an_exit_is_its_least_cross_entropy_to_one_before_it():
    draws = torch.Generator().manual_seed(0)
    said = [torch.randn(2, 3, generator=draws, requires_grad=True) for _ in range(3)]
    shares = [logits.softmax(-1).tolist() for logits in said]
    total = 0.0
    for later in (1, 2):
        for row in range(2):
            crossed = [
                -sum(
                    p * torch.tensor(q).log().item()
                    for p, q in zip(shares[early][row], shares[later][row], strict=True)
                )
                for early in range(later)
            ]
            total += min(crossed) / 2
    found = diversity(said)
    assert found.item() == pytest.approx(total / 3, rel=1e-5)
    found.backward()
    assert said[0].grad is None
    batch = SimpleNamespace(targets={"labels": torch.tensor([0, 1])})
    kind, plain = KINDS.get("classification"), EveryExit(Objective(), EXIT_LOSSES.made("equal").weights)
    diverse = EveryExit(Objective(), EXIT_LOSSES.made("diverse").weights, diversity_weight=0.25)
    less = [each.loss(spoken(said), batch, Output(logits=said[-1]), kind) for each in (plain, diverse)]
    assert (less[0] - less[1]).item() == pytest.approx(0.25 * total / 3, rel=1e-4)


class Constant(Term):
    """A term that listens to something else than the outputs."""

    def loss(self, model, batch, outputs, kind):
        return torch.tensor(2.0)


def test_a_term_of_something_else_than_outputs_counts_once_and_does_not_suffice():
    said = [torch.zeros(1, 2) for _ in range(3)]
    batch, kind = SimpleNamespace(targets={"labels": torch.tensor([0])}), KINDS.get("classification")
    weights = EXIT_LOSSES.made("equilibrium").weights
    both = EveryExit(Objective(terms=((1.0, TaskTerm()), (0.5, Constant()))), weights)
    plain = EveryExit(Objective(), weights)
    found = [each.loss(spoken(said), batch, Output(logits=said[-1]), kind) for each in (both, plain)]
    assert float(found[0] - found[1]) == pytest.approx(1.0)
    with pytest.raises(TrainingError, match="need a term of the outputs"):
        EveryExit(Objective(terms=((1.0, Constant()),)), weights).loss(spoken(said), batch, Output(), kind)
    with pytest.raises(TrainingError, match="has no exits to train"):
        plain.loss(torch.nn.Identity(), batch, Output(), kind)


def test_every_exit_learns_from_the_teachers_logits(make_lab, tiny_bert):
    lab = make_lab(tiny_bert(seed=5), epochs=8.0)
    method = TrainExits(terms={"labels": 0.0, "logits": 1.0})
    far, near = (each.compress(tiny_bert(), lab) for each in (TrainExits(budget=0), method))
    ids = IDS.clamp(max=20)
    with torch.inference_mode():
        wanted = lab.reference(input_ids=ids).logits.softmax(-1)
        for layer in (1, 2, 3, 4):
            at = ExitAt(criterion={"name": "layer", "layer": layer})
            gaps = [
                (at.compress(one, lab)(input_ids=ids).logits.softmax(-1) - wanted).abs().sum() for one in (far, near)
            ]
            assert gaps[1] < gaps[0]


def test_hidden_states_are_matched_once_beside_the_exits_own_terms(make_lab, tiny_bert):
    lab = make_lab(tiny_bert(seed=5), epochs=8.0)
    states = {"what": "hidden", "weight": 1.0, "divergence": "mse"}
    near = TrainExits(terms={"labels": 1.0, "logits": 0.5, "states": states}).compress(tiny_bert(), lab)
    plain = TrainExits(terms={"labels": 1.0, "logits": 0.5}).compress(tiny_bert(), lab)
    cut = {"name": "layer", "layer": 3}
    ids = IDS.clamp(max=20)
    with torch.inference_mode():
        wanted = lab.reference.bert(input_ids=ids, output_hidden_states=True).hidden_states[3]
        found = [ExitAt(criterion=cut).compress(one, lab).bert(input_ids=ids)[0] for one in (near, plain)]
    assert (found[0] - wanted).square().mean() < (found[1] - wanted).square().mean()


def pre_norm():
    """A pre-norm encoder with a head, whose last norm stands between the two."""
    from bench.models.heads import config_of, from_config

    config = config_of("roberta-prelayernorm", {**SIZES, "num_labels": 3})
    return from_config(config, "sequence-classification").eval()


@pytest.mark.parametrize("build", [lambda: make("albert"), lambda: made_marian(), pre_norm])
def test_architectures_that_cannot_exit_are_refused_with_a_reason(make_lab, build):
    with pytest.raises(MethodError, match="only an encoder that loops over a list of layers, with a head"):
        TrainExits(budget=0).compress(build(), make_lab())


@pytest.mark.parametrize("kind", [name for name, each in KINDS.items() if not each.exits])
def test_kinds_that_are_not_answered_from_the_first_tokens_state_are_refused(make_lab, kind):
    lab = make_lab()
    other = dataclasses.replace(lab, task=SimpleNamespace(kind=kind))
    with pytest.raises(MethodError, match=f"a {kind} task cannot exit early: only kinds .* classification, regression"):
        TrainExits(budget=0).compress(make("bert"), other)


def test_orders_and_arguments_that_make_no_sense_are_refused(exiting, make_lab):
    lab = make_lab()
    with pytest.raises(MethodError, match="already halt, exit or run"):
        TrainExits(budget=0).compress(exiting(), lab)
    with pytest.raises(MethodError, match="already halt, exit or run"):
        TrainExits(budget=0).compress(Halt(budget=0).compress(make("bert"), lab), lab)
    with pytest.raises(MethodError, match="already halt"):
        Halt(budget=0).compress(exiting(), lab)
    with pytest.raises(MethodError, match="has one layer"):
        TrainExits(budget=0).compress(make("bert", num_hidden_layers=1), lab)
    with pytest.raises(MethodError, match=r"has no exits\. Train them in an earlier stage"):
        ExitAt().compress(make("bert"), lab)
    with pytest.raises(MethodError, match="layer is 5, but this BertForSequenceClassification has 4 layers"):
        ExitAt(criterion={"name": "layer", "layer": 5}).compress(exiting(), lab)
    for method in (Share(budget=0), Shrink(depth=2)):
        with pytest.raises(MethodError, match=r"Share, replace or remove layers first|already"):
            method.compress(exiting(), make_lab(exiting()))


def test_terms_that_read_layers_alone_are_refused_because_no_exit_would_learn():
    with pytest.raises(ValueError, match=r"terms\.hidden compares layers, from which exits learn nothing"):
        TrainExits(terms={"hidden": 1.0})
    TrainExits(terms={"states": {"what": {"name": "states", "outputs": True}}})


@pytest.mark.parametrize("criterion", ["never", CHEAP])
def test_a_later_training_is_refused_since_exits_would_read_what_is_no_longer_there(
    exiting, make_lab, tiny_bert, criterion
):
    model = exiting(tiny_bert(), criterion=criterion)
    for method in (Factorize(rank=4), Distill(student="same"), prune(sparsity=0.5)):
        with pytest.raises(TrainingError, match="a training that is not theirs would change the layers that they read"):
            method.compress(model, make_lab(tiny_bert()))
    cut = ExitAt(criterion={"name": "layer", "layer": 2}).compress(model, make_lab())
    Distill(student="same").compress(cut, make_lab(tiny_bert()))


def test_what_needs_classes_is_refused_for_a_score(exiting, make_lab):
    with pytest.raises(MethodError, match="needs classes, but the model gives one score"):
        TrainExits(loss="diverse", budget=0).compress(make("bert", labels=1), make_lab())
    grown = TrainExits(budget=0).compress(make("bert", labels=1), make_lab())
    for criterion in ("entropy", "confidence", "vote"):
        with pytest.raises(MethodError, match="Choose patience or layer"):
            ExitAt(criterion=criterion).compress(grown, make_lab())
    outputs(ExitAt(criterion="patience").compress(grown, make_lab()))


def test_choosing_a_criterion_trains_nothing_and_shares_the_trained_stage():
    trained = TrainExits()
    assert not ExitAt().seeded()
    assert trained.seeded()
    assert trained.saving() == frozenset()
    assert ExitAt().saving() == {"macs", "time"}
    assert ExitAt(criterion={"name": "layer", "layer": 2}).saving() == {"macs", "time", "bytes"}
    assert ExitAt().stated() == {}
    assert ExitAt(criterion=CHEAP).stated() == {"criterion": CHEAP}


def test_pruned_heads_and_neurons_keep_their_exits(exiting, make_lab, tokenizer, tmp_path):
    lab = make_lab()
    pruned = prune(unit="neuron", sparsity=0.5, budget=0).compress(make("bert"), lab)
    model = exiting(pruned, criterion=CHEAP)
    save(model, tmp_path / "artifact", tokenizer=tokenizer, made=Manifest(title="pruned"))
    assert same_outputs(load(tmp_path / "artifact").model, model)


def test_the_recipes_are_the_published_settings():
    exits, at = methods_of(load_recipe("pabee"))
    assert (exits.pooler, exits.loss.called, exits.separate) == ("shared", "by-depth", False)
    assert (at.criterion.called, at.criterion.patience) == ("patience", 6)
    exits, at = methods_of(load_recipe("exit-ensemble"))
    assert (exits.loss.called, at.criterion.called) == ("diverse", "vote")
    exits, at = methods_of(load_recipe("elasticbert"))
    assert (exits.pooler, exits.loss.called, at.criterion.called) == ("own", "equilibrium", "layer")
    for name in ("early-exit-entropy", "early-exit-confidence"):
        assert methods_of(load_recipe(name))[1].criterion.called == name.rpartition("-")[2]
