"""In which order a student learns: which terms and layers count in which training, and how fast."""

from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError

from bench.base.errors import MethodError
from bench.methods.distill.curricula import CURRICULA
from bench.methods.distill.distill import Distill
from bench.models.adapter import adapter_for
from bench.tasks.batching import collate
from bench.tasks.kinds.kind import KINDS
from bench.training.hooks import TrainState
from bench.training.optimizer import make_optimizer
from bench.training.rates import SlowerBelow

KIND = KINDS.get("classification")
TERMS = {"labels": 0.5, "logits": 0.5, "cls": {"map": "uniform"}, "attention": {"map": "uniform"}}


@pytest.fixture
def trainings(make_lab, tiny_bert):
    """The share of the budget of each training of a curriculum, and which layers of the student had a gradient."""

    def run(curriculum, *, terms=TERMS, layers=3, depth=6):
        lab, seen = make_lab(tiny_bert(layers=depth), epochs=6.0), []
        batch = collate(lab.features[:4], pad_id=0)

        def train(model, *, epochs, objective, hooks, **others):
            model.train().zero_grad(set_to_none=True)
            state = TrainState(
                model=model,
                optimizer=make_optimizer(model, learning_rate=1e-3, weight_decay=0.0),
                step=0,
                total_steps=1,
                kind=KIND,
                batch=batch,
            )
            for hook in hooks:
                hook.before_step(state)
            objective.loss(model, batch, model(**batch.inputs), KIND).backward()
            for hook in hooks:
                hook.after_step(state)
            parts = [*adapter_for(model).layers(model), model.classifier]
            moved = [any(p.grad is not None and p.grad.abs().max() > 0 for p in part.parameters()) for part in parts]
            seen.append((epochs, moved))

        object.__setattr__(lab, "train", train)
        student = {"name": "layers", "layers": layers}
        Distill(student=student, terms=terms, curriculum=curriculum).compress(lab.reference, lab)
        return seen

    return run


def test_at_once_is_one_training_of_everything(trainings):
    ((epochs, moved),) = trainings("at-once")
    assert epochs == 6.0
    assert all(moved)


@pytest.mark.parametrize("curriculum", ["layer-by-layer", {"name": "layer-by-layer", "stacked": True}, "progressive"])
def test_stages_go_up_and_nothing_above_a_stage_has_a_gradient(trainings, curriculum):
    seen = trainings(curriculum)
    assert [epochs for epochs, _ in seen] == pytest.approx([1.0, 1.0, 1.0, 3.0])
    assert [moved for _, moved in seen] == [
        [True, False, False, False],
        [True, True, False, False],
        [True, True, True, False],
        [True, True, True, True],
    ]


def focuses(monkeypatch, curriculum, make_lab, tiny_bert, **options):
    seen = []
    monkeypatch.setattr(Distill, "tune", lambda self, *given, focus=None, **others: seen.append(focus))
    method = Distill(student={"name": "layers", "layers": 3}, terms=options.pop("terms", TERMS), curriculum=curriculum)
    lab = make_lab(tiny_bert(layers=6))
    method.compress(lab.reference, lab)
    return [(sorted(each.layers), each.outputs) for each in seen]


def test_progressive_stages_have_one_layer_and_stacked_ones_all_below(monkeypatch, make_lab, tiny_bert):
    alone = [([0, 1], False), ([2], False), ([3], False), ([], True)]
    assert focuses(monkeypatch, "layer-by-layer", make_lab, tiny_bert) == alone
    assert focuses(monkeypatch, "progressive", make_lab, tiny_bert) == alone
    stacked = {"name": "layer-by-layer", "stacked": True}
    below = [([0, 1], False), ([0, 1, 2], False), ([0, 1, 2, 3], False), ([], True)]
    assert focuses(monkeypatch, stacked, make_lab, tiny_bert) == below


def test_there_is_a_stage_for_each_layer_that_a_term_reads(monkeypatch, make_lab, tiny_bert):
    terms = {"labels": 1.0, "cls": {"map": "skip"}}  # leaves out the last
    found = focuses(monkeypatch, "layer-by-layer", make_lab, tiny_bert, terms=terms)
    assert found == [([0, 1], False), ([2], False), ([], True)]


@pytest.mark.parametrize("terms", [{"labels": 1.0, "logits": 1.0}, {"cls": 1.0}])
@pytest.mark.parametrize("name", ["layer-by-layer", "progressive"])
def test_a_curriculum_by_layers_needs_terms_of_layers_and_of_outputs(name, terms):
    with pytest.raises(ValidationError, match="needs terms of both"):
        Distill(terms=terms, curriculum=name)


def test_what_lies_below_learns_at_a_share_of_the_rate(tiny_bert):
    """With the same gradient everywhere, Adam's first step is the learning rate, whatever the gradient is."""
    model = tiny_bert().train()
    optimizer = make_optimizer(model, learning_rate=1e-3, weight_decay=0.0)
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    state = TrainState(model=model, optimizer=optimizer, step=0, total_steps=2, kind=KIND)
    hook = SlowerBelow(model, 3, factor=0.1)
    for step in range(2):
        state.step = step
        for group in optimizer.param_groups:
            group["lr"] = 1e-3  # as the loop does before each step
        hook.before_step(state)
        for parameter in model.parameters():
            parameter.grad = torch.ones_like(parameter)
        optimizer.step()
    moved = {name: (before[name] - parameter).abs().mean().item() for name, parameter in model.named_parameters()}
    for name, distance in moved.items():
        full = "encoder.layer.2." in name or "encoder.layer.3." in name
        assert distance == pytest.approx(2e-3 if full else 2e-4, rel=1e-2)
    assert len(list(model.parameters())) == sum(len(group["params"]) for group in optimizer.param_groups)


def test_a_progressive_training_leaves_layers_above_bit_equal(make_lab, tiny_bert):
    lab = make_lab(tiny_bert(layers=4), epochs=2.0)
    seen = []
    whole = type(lab).train

    def train(model, **options):
        before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        whole(lab, model, **options)
        layers = (f"encoder.layer.{layer}." for layer in range(2))
        state = model.state_dict()
        seen.append([any(layer in n and not torch.equal(before[n], state[n]) for n in before) for layer in layers])

    object.__setattr__(lab, "train", train)
    Distill(terms=TERMS, curriculum="progressive").compress(lab.reference, lab)
    assert seen == [[True, False], [True, True], [True, True]]


def test_every_curriculum_is_known_by_name():
    assert CURRICULA.names() == ["at-once", "layer-by-layer", "progressive"]


def test_a_term_that_the_student_lacks_is_refused_before_any_training(make_lab):
    import architectures

    model = architectures.make_model("bench-bilstm", vocab_size=100, num_labels=2)
    lab = make_lab(model)
    with pytest.raises(MethodError, match="no attention"):
        Distill(terms={"attention": 1.0, "labels": 1.0}).compress(model, lab)
