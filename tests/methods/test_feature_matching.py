from __future__ import annotations

import copy
import itertools

import pytest
import torch
from made_terms import guided
from models_for_factors import lively

from bench.methods.factorize.factorize import Factorize
from bench.methods.share.share import Share
from bench.tasks.batching import collate
from bench.tasks.kinds.kind import KINDS
from bench.training.hooks import TrainState
from bench.training.terms.ears import Ears, Place

STATES = {"states": {"what": {"name": "states", "outputs": True}}}
KIND = KINDS.get("classification")


@pytest.fixture
def batch(make_lab):
    return collate(make_lab().features[:6], pad_id=0)


def matched(student, teacher, batch):
    """The loss outside of training, where the student is run again."""
    return guided(STATES, teacher).loss(student, batch, None, KIND)


def test_a_clone_has_no_loss(tiny_bert, batch):
    assert matched(tiny_bert(), tiny_bert(), batch).item() == 0.0


def test_the_loss_is_the_mean_over_embeddings_layers_and_logits(tiny_bert, batch):
    student, teacher = tiny_bert(seed=1), tiny_bert(seed=2)
    runs = [model(**batch.inputs, output_hidden_states=True) for model in (student, teacher)]
    real = batch.inputs["attention_mask"].bool()
    terms = [
        (mine[real] - its[real]).square().mean()
        for mine, its in zip(runs[0].hidden_states, runs[1].hidden_states, strict=True)
    ]
    assert len(terms) == 5  # embeddings and four layers
    terms.append((runs[0].logits - runs[1].logits).square().mean())
    assert matched(student, teacher, batch).item() == pytest.approx(torch.stack(terms).mean().item(), rel=1e-5)


def test_padding_does_not_count(tiny_bert, batch):
    student, teacher = tiny_bert(seed=1), tiny_bert(seed=2)
    before = matched(student, teacher, batch)
    inputs = {name: torch.nn.functional.pad(tensor, (0, 3)) for name, tensor in batch.inputs.items()}
    torch.testing.assert_close(matched(student, teacher, batch._replace(inputs=inputs)), before, rtol=1e-5, atol=1e-6)


def test_only_the_student_gets_gradients_and_no_hook_stays(tiny_bert, batch):
    student, teacher = tiny_bert(seed=1), tiny_bert(seed=2)
    matched(student, teacher, batch).backward()
    assert all(parameter.grad is None for parameter in teacher.parameters())
    assert student.bert.encoder.layer[0].output.dense.weight.grad.abs().max() > 0
    hooks = [
        hook
        for model in (student, teacher)
        for module in model.modules()
        for hook in (*module._forward_hooks, *module._forward_pre_hooks)
    ]
    assert not hooks


def test_within_a_step_what_training_ran_is_heard(tiny_bert, batch):
    student, teacher = tiny_bert(seed=1), tiny_bert(seed=2)
    matching = guided(STATES, teacher)
    state = TrainState(model=student, optimizer=None, step=0, total_steps=1, kind=KINDS.get("classification"))
    expected = matched(student, teacher, batch).item()
    matching.before_step(state)
    outputs = student(**batch.inputs)
    assert matching.loss(student, batch, outputs, KIND).item() == pytest.approx(expected, rel=1e-6)
    matching.after_step(state)
    assert not student.bert.encoder.layer[0]._forward_hooks


def test_a_shared_layer_is_heard_once_for_each_run(make_lab, tiny_bert, batch):
    shared = Share(budget=0).compress(tiny_bert(), make_lab())
    ears = Ears(shared, [Place("encoder", layer) for layer in range(5)])
    ears.open()
    with torch.no_grad():
        wanted = shared(**batch.inputs, output_hidden_states=True).hidden_states
    for layer, states in enumerate(wanted):
        assert torch.equal(ears.at(Place("encoder", layer)), states)
    ears.close()
    assert not ears.heard


def test_the_error_falls_in_every_step_on_a_fixed_batch(make_lab, tiny_bert, batch):
    teacher = lively(tiny_bert(seed=2))
    student = Factorize(rank=6, budget=0).compress(copy.deepcopy(teacher), make_lab())
    optimizer, losses = torch.optim.SGD(student.parameters(), lr=0.01), []
    for _ in range(12):
        loss = matched(student, teacher, batch)
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert all(after < before for before, after in itertools.pairwise(losses))
    assert losses[-1] < 0.9 * losses[0]
