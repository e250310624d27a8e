"""Terms of distillation against closed forms: what each compares, over what it is a mean, and what it leaves out."""

from __future__ import annotations

import math

import architectures
import families
import pytest
import torch
from made_terms import guided

from bench.base.errors import MethodError
from bench.layers.exit_rules import ConfidenceRule
from bench.layers.tokens import TopTokenStack
from bench.methods.base.terms.compared import COMPARED
from bench.methods.base.terms.divergences import DIVERGENCES
from bench.models.adapter import adapter_for
from bench.models.exits import grow_exits
from bench.tasks.features import Batch
from bench.tasks.kinds.kind import KINDS
from bench.training.hooks import TrainState
from bench.training.optimizer import make_optimizer
from bench.training.terms.ears import Ears, Place
from bench.training.terms.guidance import Focus

KIND = KINDS.get("classification")
IDS = torch.tensor([[2, 5, 6, 7, 8, 9, 10, 11, 3], [2, 12, 13, 14, 3, 0, 0, 0, 0]])
REAL = (IDS != 0).long()
LAYERED = [name for name, what in COMPARED.items() if what.layered]
EVERYTHING = ["logits", *LAYERED]


@pytest.fixture
def batch():
    return Batch({"input_ids": IDS, "attention_mask": REAL}, {"labels": torch.tensor([0, 2])}, [0, 1])


def loss(terms, student, *teachers, batch, kind=KIND, **options):
    return guided(terms, *teachers, **options).loss(student, batch, student(**batch.inputs), kind)


def made(family, seed=0, **settings):
    """A model whose attention is far from even."""
    model = families.make(family, seed=seed, **settings)
    with torch.no_grad():
        for linear in adapter_for(model).linears(model, ("query", "key", "value")).values():
            linear.weight.mul_(3)
        for module in model.modules():
            if isinstance(module, torch.nn.LayerNorm):
                module.weight.fill_(1.0)
    return model


def bert(seed=0, **settings):
    return made("bert", seed, **settings)


def states(model, batch):
    with torch.no_grad():
        return model(**batch.inputs, output_hidden_states=True).hidden_states


@pytest.mark.parametrize("what", EVERYTHING)
@pytest.mark.parametrize(
    ("family", "divergence"),
    [
        *((family, None) for family in families.FAMILIES),
        *(("bert", name) for name in DIVERGENCES.names() if name != "soft-ce"),
    ],
)
def test_every_term_is_zero_for_a_clone_and_not_for_another_model(what, divergence, family, batch):
    if what in ("attention", "attention-scores") and family in families.POSITIONAL:
        pytest.skip("its scores cannot be heard, which test_attention_scores holds it to")
    terms, teacher = {what: {"divergence": divergence}}, made(family)
    assert loss(terms, made(family), teacher, batch=batch).item() == pytest.approx(0.0, abs=1e-6)
    assert loss(terms, made(family, 1), teacher, batch=batch).item() > 1e-5


@pytest.mark.parametrize("what", ["embeddings", "hidden", "states", "cls"])
def test_a_projection_starts_as_the_identity_so_that_a_clone_has_no_loss(what, batch):
    terms = {what: {"projection": "per-layer"}}
    assert loss(terms, bert(), bert(), batch=batch).item() == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("what", EVERYTHING)
def test_gradients_reach_the_student_alone(what, batch):
    student, teacher = bert(1), bert()
    loss({what: 1.0}, student, teacher, batch=batch).backward()
    assert any(each.grad is not None and each.grad.abs().max() > 0 for each in student.parameters())
    assert all(each.grad is None for each in teacher.parameters())


@pytest.mark.parametrize("what", LAYERED)
def test_padding_changes_nothing(what, batch):
    student, teacher = bert(1), bert()
    padded = batch._replace(inputs={name: torch.nn.functional.pad(each, (0, 3)) for name, each in batch.inputs.items()})
    before, after = (loss({what: 1.0}, student, teacher, batch=each) for each in (batch, padded))
    torch.testing.assert_close(after, before, rtol=1e-4, atol=1e-6)


def test_hidden_states_are_compared_at_the_layers_of_the_map_and_real_tokens(batch):
    student, teacher = bert(1, num_hidden_layers=2), bert()
    mine, its, real = states(student, batch), states(teacher, batch), REAL.bool()
    parts = [(mine[layer][real] - its[other][real]).square().mean() for layer, other in ((1, 2), (2, 4))]
    assert loss({"hidden": 1.0}, student, teacher, batch=batch).item() == pytest.approx(sum(parts).item() / 2, rel=1e-5)
    summed = {"hidden": {"weight": 0.5, "reduce": "sum"}}
    assert loss(summed, student, teacher, batch=batch).item() == pytest.approx(sum(parts).item() / 2, rel=1e-5)
    explicit = {"hidden": {"map": {"name": "explicit", "layers": [[2, 1]]}}}
    found = loss(explicit, student, teacher, batch=batch).item()
    assert found == pytest.approx((mine[2][real] - its[1][real]).square().mean().item(), rel=1e-5)


def test_patience_is_the_squared_distance_of_normalised_first_states(batch):
    student, teacher = bert(1, num_hidden_layers=2), bert()
    one, other = states(student, batch)[1][:, 0], states(teacher, batch)[2][:, 0]
    rows = [
        sum((a / math.hypot(*x) - b / math.hypot(*y)) ** 2 for a, b in zip(x, y, strict=True))
        for x, y in zip(one.tolist(), other.tolist(), strict=True)
    ]
    assert loss({"cls": 1.0}, student, teacher, batch=batch).item() == pytest.approx(sum(rows) / 2, rel=1e-4)


def test_patience_lies_between_0_and_4_and_does_not_depend_on_scale():
    patient, draws = DIVERGENCES.made("patient").disparity(), torch.Generator().manual_seed(0)
    one, other = torch.randn(50, 7, generator=draws), torch.randn(50, 7, generator=draws)

    def value(student, teacher):
        return patient.losses(student, teacher, real=None, allowed=None).values

    assert (value(one, other) >= 0).all()
    assert (value(one, other) <= 4).all()
    torch.testing.assert_close(value(one, -3 * one), torch.full((50,), 4.0))
    torch.testing.assert_close(value(7 * one, 0.1 * other), value(one, other))


def test_the_cosine_distance_is_one_minus_the_cosine():
    found = (
        DIVERGENCES.made("cosine")
        .disparity()
        .losses(torch.tensor([[1.0, 0.0], [1.0, 1.0]]), torch.tensor([[0.0, 2.0], [3.0, 3.0]]), real=None, allowed=None)
    )
    torch.testing.assert_close(found.values, torch.tensor([1.0, 0.0]))


def test_the_soft_cross_entropy_is_the_divergence_plus_the_teachers_entropy(batch):
    student, teacher = bert(1), bert()
    soft, kl = (
        loss({"logits": {"divergence": {"name": name, "temperature": 2.0}}}, student, teacher, batch=batch).item()
        for name in ("soft-ce", "kl")
    )
    with torch.no_grad():
        p = (teacher(**batch.inputs).logits / 2).softmax(-1)
    assert soft - kl == pytest.approx(-4 * (p * p.log()).sum(-1).mean().item(), rel=1e-4)
    unscaled = {"logits": {"divergence": {"name": "soft-ce", "temperature": 2.0, "scaled": False}}}
    assert loss(unscaled, student, teacher, batch=batch).item() == pytest.approx(soft / 4, rel=1e-5)


def attention_of(model, batch, layer):
    model.set_attn_implementation("eager")
    with torch.no_grad():
        return model(**batch.inputs, output_attentions=True).attentions[layer]


def divergence_of(p, q, real):
    """The mean over heads and real queries of KL(p || q) over real keys, by loops."""
    found = []
    for example in range(len(p)):
        count = int(real[example].sum())
        for head in range(p.shape[1]):
            for query in range(count):
                rows = zip(
                    p[example, head, query, :count].tolist(), q[example, head, query, :count].tolist(), strict=True
                )
                found.append(sum(a * math.log(a / b) for a, b in rows))
    return sum(found) / len(found)


def test_attention_is_the_divergence_of_the_models_own_probabilities(batch):
    student, teacher = bert(1), bert(2)
    p, q = attention_of(teacher, batch, -1), attention_of(student, batch, -1)
    expected = divergence_of(p, q, REAL)
    assert loss({"attention": 1.0}, student, teacher, batch=batch).item() == pytest.approx(expected, rel=1e-4)
    squared = loss({"attention": {"divergence": "mse"}}, student, teacher, batch=batch).item()
    pairs = (REAL[:, None, :, None] * REAL[:, None, None, :]).bool().expand_as(p)
    assert squared == pytest.approx((p - q)[pairs].square().mean().item(), rel=1e-4)


def values_of(model, batch, role="value"):
    """What the projection of the last layer gives."""
    seen = []
    module = model.bert.encoder.layer[-1].attention.self.get_submodule(role)
    handle = module.register_forward_hook(lambda module, inputs, outputs: seen.append(outputs))
    with torch.no_grad():
        model(**batch.inputs)
    handle.remove()
    return seen[0]


def relation(vectors, heads):
    """softmax over real keys of X X^T / sqrt(d), one head after the other."""
    width = vectors.shape[-1] // heads
    parts = [vectors[..., head * width : (head + 1) * width] for head in range(heads)]
    scores = torch.stack([part @ part.transpose(1, 2) / math.sqrt(width) for part in parts], dim=1)
    return scores.masked_fill(REAL[:, None, None, :] == 0, float("-inf")).softmax(-1)


def test_minilms_relation_of_values_is_that_of_the_equation(batch):
    student, teacher = bert(1), bert(2)
    sides = [relation(values_of(model, batch), 4) for model in (teacher, student)]
    expected = divergence_of(*sides, REAL)
    assert loss({"values": 1.0}, student, teacher, batch=batch).item() == pytest.approx(expected, rel=1e-4)


def test_minilms_terms_compare_models_of_different_widths_and_depths_with_the_same_heads(batch):
    student, teacher = bert(1, hidden_size=64, num_hidden_layers=2), bert()
    for what in ("attention", "values"):
        assert loss({what: 1.0}, student, teacher, batch=batch).item() > 0
    other = bert(1, num_attention_heads=8)
    with pytest.raises(MethodError, match="8 heads in the student and 4 in the teacher"):
        loss({"values": 1.0}, other, teacher, batch=batch)


def test_with_its_own_heads_and_values_alone_minilmv2_is_minilm(batch):
    student, teacher = bert(1), bert(2)
    wanted = loss({"values": 1.0}, student, teacher, batch=batch).item()
    for heads in (None, 4):
        only = {"relations": {"what": {"name": "relations", "of": "value", "heads": heads}}}
        assert loss(only, student, teacher, batch=batch).item() == pytest.approx(wanted, rel=1e-6)


def test_relation_heads_join_models_of_different_heads_and_widths(batch):
    student, teacher = bert(1, num_attention_heads=8, hidden_size=64), bert(2)
    terms = {"relations": {"what": {"name": "relations", "heads": 16}}}
    roles = ("query", "key", "value")
    expected = [
        divergence_of(*(relation(values_of(model, batch, role), 16) for model in (teacher, student)), REAL)
        for role in roles
    ]
    assert loss(terms, student, teacher, batch=batch).item() == pytest.approx(sum(expected) / 3, rel=1e-4)
    with pytest.raises(MethodError, match="cannot be split into 5 relation heads"):
        loss({"relations": {"what": {"name": "relations", "heads": 5}}}, student, teacher, batch=batch)


def state_of(student, step=0, total=1):
    optimizer = make_optimizer(student, learning_rate=1e-2, weight_decay=0.0)
    return TrainState(model=student, optimizer=optimizer, step=step, total_steps=total, kind=KIND)


def test_nothing_is_recorded_of_layers_that_no_term_reads(batch):
    student, teacher = bert(1, num_hidden_layers=2), bert()
    guidance = guided({"hidden": {"map": {"name": "explicit", "layers": [[2, 3]]}}, "logits": 1.0}, teacher)
    guidance.before_step(state_of(student))
    hooked = [name for name, module in student.named_modules() if module._forward_hooks or module._forward_pre_hooks]
    assert hooked == ["bert.encoder.layer.1"]
    outputs = student(**batch.inputs)
    heard = guidance._listening.student.heard
    assert list(heard) == [Place("encoder", 2)]
    guidance.loss(student, batch, outputs, KIND)
    guidance.after_step(state_of(student))
    assert not heard
    models = (student, teacher)
    assert not any(module._forward_hooks for model in models for module in model.modules())


def test_terms_of_outputs_alone_hook_nothing_and_run_the_teacher_once_an_example(batch):
    student, teacher, runs = bert(1), bert(), []
    guidance = guided({"labels": 0.5, "logits": 0.5}, teacher)
    teacher.register_forward_hook(lambda *given: runs.append(1))
    for step in range(3):
        guidance.before_step(state_of(student, step, 3))
        assert not any(module._forward_hooks for module in student.modules())
        guidance.loss(student, batch, student(**batch.inputs), KIND)
        guidance.after_step(state_of(student))
    assert len(runs) == 1


@pytest.mark.parametrize("projection", ["shared", "per-layer"])
def test_projections_are_trained_with_the_student_and_gone_afterwards(projection, batch):
    student, teacher = bert(1, hidden_size=16), bert()
    names = set(student.state_dict())
    guidance, state = guided({"hidden": {"projection": projection}}, teacher), state_of(student)
    for _ in range(2):
        guidance.before_step(state)
        guidance.loss(student, batch, student(**batch.inputs), KIND).backward()
        maps = guidance.projected()
        assert all(parameter.grad.abs().max() > 0 for parameter in maps)
        before = [parameter.detach().clone() for parameter in maps]
        state.optimizer.step()
        assert not any(torch.equal(old, new) for old, new in zip(before, guidance.projected(), strict=True))
        state.optimizer.zero_grad()
        guidance.after_step(state)
    assert [tuple(each.shape) for each in maps] == [(32, 16), (32,)] * (1 if projection == "shared" else 4)
    assert {id(each) for each in maps} <= {
        id(each) for group in state.optimizer.param_groups for each in group["params"]
    }
    guidance.on_evaluate(state)
    assert guidance.projected() == []
    assert set(student.state_dict()) == names


def test_a_projection_may_map_the_teacher(batch):
    student, teacher = bert(1, hidden_size=16), bert()
    guidance = guided({"hidden": {"projection": "shared", "projected": "teacher"}}, teacher)
    guidance.loss(student, batch, None, KIND)
    assert [tuple(each.shape) for each in guidance.projected()] == [(16, 32), (16,)]


@pytest.mark.parametrize(("projected", "maps"), [("student", 1), ("teacher", 2)])
def test_two_layers_of_the_teacher_beside_one_have_a_map_each_if_theirs_are_mapped(projected, maps, batch):
    """MT-BERT's W_ij maps layer j of teacher i; a map of the student's layer is one."""
    pairs = {"name": "explicit", "layers": [[1, 1], [1, 2]]}
    term = {"projection": "per-layer", "projected": projected, "map": pairs}
    guidance, student = guided({"hidden": term}, bert()), bert(1, hidden_size=16)
    guidance.loss(student, batch, student(**batch.inputs), KIND)
    assert len(guidance.projected()) == 2 * maps


def test_layers_of_a_teacher_that_lets_inputs_leave_are_not_compared(batch):
    teacher = bert()
    exits = grow_exits(teacher, shared=True, seed=0)
    assert torch.isfinite(loss({"hidden": 1.0}, bert(1), teacher, batch=batch))
    exits.rule = ConfidenceRule(0.0)
    with pytest.raises(MethodError, match="decides for each input how many layers it runs"):
        loss({"hidden": 1.0}, bert(1), teacher, batch=batch)
    assert torch.isfinite(loss({"logits": 1.0}, bert(1), teacher, batch=batch))


@pytest.mark.parametrize("who", ["teacher", "student"])
def test_layers_are_not_compared_if_tokens_were_dropped(who, batch):
    sides = {"student": bert(), "teacher": bert()}
    dropping = sides[who].bert.encoder
    stack = TopTokenStack("attention.self", "attention.output.LayerNorm", [0.5] * len(dropping.layer))
    dropping.layer = stack.adopt(list(dropping.layer))
    with pytest.raises(MethodError, match=f"the {who}, .* drops tokens from layer to layer"):
        loss({"hidden": 1.0}, sides["student"], sides["teacher"], batch=batch)
    assert torch.isfinite(loss({"logits": 1.0}, sides["student"], sides["teacher"], batch=batch))


def test_other_widths_without_a_projection_are_refused_with_what_to_do(batch):
    with pytest.raises(MethodError, match=r"is 16 wide and layer 1 of its teacher 32\. Give the term projection"):
        loss({"hidden": 1.0}, bert(1, hidden_size=16), bert(), batch=batch)


def test_a_scheduled_weight_follows_its_line(batch):
    student, teacher = bert(1), bert()
    schedule = {"name": "linear", "start": 1.0, "end": 0.0}
    guidance = guided({"logits": {"weight": 2.0, "schedule": schedule}}, teacher)
    plain = loss({"logits": 1.0}, student, teacher, batch=batch).item()
    for step, factor in enumerate((1.0, 0.75, 0.5, 0.25, 0.0)):
        guidance.before_step(state_of(student, step, 5))
        found = guidance.loss(student, batch, student(**batch.inputs), KIND)
        guidance.after_step(state_of(student))
        assert found.item() == pytest.approx(2 * factor * plain, rel=1e-5, abs=1e-12)
        assert found.requires_grad


def test_a_teachers_error_lowers_the_weight_of_an_example(batch):
    student, teacher = bert(1), bert()
    with torch.no_grad():
        p, q = (model(**batch.inputs).logits.log_softmax(-1) for model in (teacher, student))
    errors = -p[torch.arange(2), batch.targets["labels"]]
    each = (p.exp() * (p - q)).sum(-1)
    guidance = guided({"logits": {"by": "teacher-error"}}, teacher)
    for _ in range(2):  # the second time from memory
        found = guidance.loss(student, batch, student(**batch.inputs), KIND).item()
        assert found == pytest.approx((each / (1 + errors)).mean().item(), rel=1e-4)
    hidden = {"hidden": {"by": "teacher-error", "map": "top"}}
    squares = (states(student, batch)[-1] - states(teacher, batch)[-1]).square().mean(-1) * REAL
    weighted = (squares / (1 + errors)[:, None]).sum() / REAL.sum()
    assert loss(hidden, student, teacher, batch=batch).item() == pytest.approx(weighted.item(), rel=1e-4)


@pytest.mark.parametrize("how", ["sum", "mean"])
def test_several_teachers_are_summed_or_averaged(how, batch):
    student, teachers = bert(1), (bert(2), bert(3, num_hidden_layers=8))
    for what in ("logits", "hidden"):
        each = [loss({what: 1.0}, student, teacher, batch=batch).item() for teacher in teachers]
        found = loss({what: {"teachers": how}}, student, *teachers, batch=batch).item()
        assert found == pytest.approx(sum(each) / (2 if how == "mean" else 1), rel=1e-5)


def test_a_focus_on_layers_leaves_everything_above_without_a_gradient(batch):
    student, teacher = bert(1), bert()
    terms = {"labels": 1.0, "logits": 1.0, "cls": {"map": "uniform"}, "attention": {"map": "uniform"}}
    loss(terms, student, teacher, batch=batch, focus=Focus(layers=frozenset([2]), outputs=False)).backward()
    moved = [
        any(each.grad is not None and each.grad.abs().max() > 0 for each in layer.parameters())
        for layer in student.bert.encoder.layer
    ]
    assert moved == [True, True, False, False]
    assert all(each.grad is None for each in student.classifier.parameters())


def test_a_focus_on_several_layers_has_the_losses_of_each(batch):
    student, teacher = bert(1), bert()
    terms = {"cls": {"map": "uniform", "reduce": "sum"}}

    def value(*layers):
        focus = Focus(layers=frozenset(layers), outputs=False)
        return loss(terms, student, teacher, batch=batch, focus=focus).item()

    assert value(1, 2, 3) == pytest.approx(value(1) + value(2) + value(3), rel=1e-5)


def inputs_for(name):
    inputs = architectures.inputs_of(name)
    if "decoder_input_ids" in inputs:
        inputs["decoder_attention_mask"] = (inputs["decoder_input_ids"] != 0).long()
        labels = inputs["decoder_input_ids"].masked_fill(inputs["decoder_input_ids"] == 0, -100)
        return Batch(inputs, {"labels": labels}, [0, 1]), KINDS.get("translation")
    if name == "bench-lstm-lm":
        return Batch(inputs, {"labels": inputs["input_ids"]}, [0, 1]), KINDS.get("language_modelling")
    return Batch(inputs, {"labels": torch.tensor([0, 1])}, [0, 1]), KIND


@pytest.mark.parametrize("what", ["logits", "hidden", "states", "embeddings"])
@pytest.mark.parametrize("name", architectures.ARCHITECTURES)
def test_terms_work_on_every_architecture(name, what):
    batch, kind = inputs_for(name)
    teacher = architectures.make_model(name)
    clone = loss({what: 1.0}, architectures.make_model(name), teacher, batch=batch, kind=kind)
    assert clone.item() == pytest.approx(0.0, abs=1e-6)
    assert loss({what: 1.0}, architectures.make_model(name, seed=1), teacher, batch=batch, kind=kind).item() > 1e-6


@pytest.mark.parametrize("what", ["attention", "values", "relations"])
@pytest.mark.parametrize("name", [name for name in architectures.TRANSLATORS if name not in architectures.RECURRENT])
def test_attention_of_decoders_is_compared_as_far_as_they_may_see(name, what):
    batch, kind = inputs_for(name)
    teacher, student = (architectures.make_model(name, seed=seed) for seed in range(2))
    assert loss({what: 1.0}, teacher, teacher, batch=batch, kind=kind).item() == pytest.approx(0.0, abs=1e-6)
    found = loss({what: 1.0}, student, teacher, batch=batch, kind=kind).item()
    assert math.isfinite(found)
    assert found > 1e-6


def test_a_layer_that_does_not_run_is_an_error_that_says_so():
    ears = Ears(bert(), [Place("encoder", 2)])
    with pytest.raises(MethodError, match="nothing was heard at the state of layer 2 of the encoder"):
        ears.at(Place("encoder", 2))


def test_models_of_other_stacks_are_compared_by_outputs_alone(batch):
    translator = architectures.make_model("marian")
    with pytest.raises(MethodError, match="stacks encoder and its teacher encoder, decoder"):
        loss({"hidden": 1.0}, bert(), translator, batch=batch)


def test_terms_that_need_a_teacher_are_refused_without_one():
    with pytest.raises(MethodError, match="need a teacher"):
        guided({"logits": 1.0})
