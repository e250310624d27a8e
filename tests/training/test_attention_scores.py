"""Attention scores heard from the projections: those the models themselves compute, and what training makes of them."""

from __future__ import annotations

import architectures
import families
import pytest
import torch

from bench.base.errors import MethodError
from bench.methods.factorize.factorize import Factorize
from bench.tasks.features import Batch
from bench.tasks.kinds.kind import KINDS
from bench.training.attention_scores import HeardAttention, score_errors
from bench.training.features import FeatureMatching
from bench.training.terms.teacher import Teacher

KIND = KINDS.get("classification")
IDS = torch.tensor([[2, 5, 6, 7, 8, 9, 10, 11, 3], [2, 12, 13, 14, 3, 0, 0, 0, 0]])
TRANSFORMERS = tuple(name for name in architectures.TRANSLATORS if name not in architectures.RECURRENT)


@pytest.fixture
def batch():
    return Batch({"input_ids": IDS, "attention_mask": (IDS != 0).long()}, {}, [0, 1])


def heard(model, **inputs):
    """The attentions of one run, as plain tuples that outlive the listening."""
    ears = HeardAttention(model)
    ears.open()
    with torch.no_grad():
        model(**inputs)
    runs = list(ears.runs)
    ears.close()
    assert not ears.runs
    return runs


def probabilities(scores, mask, causal):
    allowed = mask[:, None, None, :].bool().expand_as(scores)
    if causal:
        allowed = allowed & torch.ones_like(scores, dtype=torch.bool).tril()
    return scores.masked_fill(~allowed, float("-inf")).softmax(dim=-1)


@pytest.mark.parametrize("family", families.FAMILIES)
def test_the_softmax_of_the_heard_scores_is_the_models_own_attention(family, batch):
    model = families.make(family)
    model.set_attn_implementation("eager")
    with torch.no_grad():
        wanted = model(**batch.inputs, output_attentions=True).attentions
    runs = heard(model, **batch.inputs)
    assert len(runs) == len(wanted) == 4
    for run, its in zip(runs, wanted, strict=True):
        found = probabilities(run.dot_products(), batch.inputs["attention_mask"], causal=False)
        torch.testing.assert_close(found, its, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", TRANSFORMERS)
def test_a_translators_three_sorts_of_attention_are_heard_in_the_order_in_which_they_run(name):
    model, inputs = architectures.make_model(name), architectures.inputs_of(name)
    model.set_attn_implementation("eager")
    with torch.no_grad():
        out = model(**inputs, output_attentions=True)
    runs = heard(model, **inputs)
    crossed = [each for pair in zip(out.decoder_attentions, out.cross_attentions, strict=True) for each in pair]
    wanted = [*out.encoder_attentions, *crossed]
    assert len(runs) == len(wanted) > 4
    for run, its in zip(runs, wanted, strict=True):
        length = run.key.shape[1]
        source = length == inputs["input_ids"].shape[1]
        mask = inputs["attention_mask"] if source else torch.ones(2, length)
        torch.testing.assert_close(probabilities(run.dot_products(), mask, run.seen.causal), its, rtol=1e-4, atol=1e-6)
        assert run.seen.causal is not source


def errors(student, teacher, inputs):
    ears = HeardAttention(student), HeardAttention(teacher)
    for each in ears:
        each.open()
    for model in (student, teacher):
        model(**inputs)
    found = score_errors(*ears, inputs)
    for each in ears:
        each.close()
    return found


@pytest.mark.parametrize("name", TRANSFORMERS)
def test_scores_that_a_decoder_may_not_see_do_not_count(name):
    student, teacher = architectures.make_model(name, seed=1), architectures.make_model(name, seed=2)
    inputs = architectures.inputs_of(name)
    inputs["decoder_attention_mask"] = (inputs["decoder_input_ids"] != 0).long()
    found = errors(student, teacher, inputs)
    pairs = zip(heard(student, **inputs), heard(teacher, **inputs), strict=True)
    for error, (mine, its) in zip(found, pairs, strict=True):
        masks = {7: inputs["attention_mask"], 5: inputs["decoder_attention_mask"]}
        rows, columns = masks[mine.query.shape[1]], masks[mine.key.shape[1]]
        crossed = rows.shape[1] == 7 or columns.shape[1] == 7  # not within the target
        squares = [
            (mine.dot_products() - its.dot_products())[example, :, query, key].square().mean()
            for example in range(2)
            for query in range(rows.shape[1])
            for key in range(columns.shape[1])
            if rows[example, query] and columns[example, key] and (crossed or key <= query)
        ]
        assert error.item() == pytest.approx(torch.stack(squares).mean().item(), rel=1e-4)


@pytest.mark.parametrize("family", families.FAMILIES)
def test_a_clone_has_no_loss_and_another_model_has(family, batch):
    matching = FeatureMatching(Teacher(families.make(family)), attention=1.0, summed=True)
    assert matching.loss(families.make(family), batch, None, KIND).item() == 0.0
    assert matching.loss(families.make(family, seed=1), batch, None, KIND).item() > 0.1


def test_ternarybert_sums_over_embeddings_layers_and_scores_without_logits(batch):
    student, teacher = families.make("bert", seed=1), families.make("bert", seed=2)
    real = batch.inputs["attention_mask"].bool()
    with torch.no_grad():
        runs = [model(**batch.inputs, output_hidden_states=True).hidden_states for model in (student, teacher)]
    states = sum((mine[real] - its[real]).square().mean() for mine, its in zip(*runs, strict=True))
    scores = sum(errors(student, teacher, batch.inputs))
    found = FeatureMatching(Teacher(teacher), attention=0.5, summed=True).loss(student, batch, None, KIND)
    assert found.item() == pytest.approx((states + 0.5 * scores).item(), rel=1e-5)
    mean = FeatureMatching(Teacher(teacher), attention=0.5).loss(student, batch, None, KIND)
    without = FeatureMatching(Teacher(teacher)).loss(student, batch, None, KIND)
    assert mean.item() == pytest.approx((without + 0.5 * scores / 4).item(), rel=1e-5)


def test_padding_does_not_count(batch):
    student, teacher = families.make("bert", seed=1), families.make("bert", seed=2)
    padded = {name: torch.nn.functional.pad(tensor, (0, 3)) for name, tensor in batch.inputs.items()}
    before, after = (torch.stack(errors(student, teacher, inputs)) for inputs in (batch.inputs, padded))
    torch.testing.assert_close(after, before, rtol=1e-5, atol=1e-6)


def test_only_the_student_gets_gradients_and_no_hook_stays(batch):
    student, teacher = families.make("bert", seed=1), families.make("bert", seed=2)
    torch.stack(errors(student, teacher, batch.inputs)).sum().backward()
    assert all(parameter.grad is None for parameter in teacher.parameters())
    attention = student.bert.encoder.layer[0].attention
    assert attention.self.key.weight.grad.abs().max() > 0
    assert attention.self.value.weight.grad.abs().max() > 0  # of the layers above it
    assert not any(module._forward_hooks for model in (student, teacher) for module in model.modules())


def test_a_shared_layer_is_heard_once_for_each_run(batch):
    model = families.make("albert")
    assert len({id(run.query) for run in heard(model, **batch.inputs)}) == 4


def test_models_without_attention_or_of_another_number_of_heads_are_refused(batch):
    with pytest.raises(MethodError, match="no attention"):
        HeardAttention(architectures.make_model("bench-bilstm")).open()
    student, teacher = families.make("bert"), families.make("bert", hidden_size=16, num_attention_heads=4)
    with pytest.raises(MethodError, match="8 heads in the student and 4 in the teacher"):
        errors(families.make("bert", num_attention_heads=8), teacher, batch.inputs)
    with pytest.raises(MethodError, match="4 attention modules and its teacher 2"):
        errors(student, families.make("bert", num_hidden_layers=2), batch.inputs)


def test_how_features_are_matched_is_only_stated_if_they_are():
    for arguments in ({"attention": 1.0}, {"feature_terms": "sum"}):
        with pytest.raises(ValueError, match="Give features above 0"):
            Factorize(rank=4, **arguments)
        assert Factorize(rank=4, features=0.5, **arguments).stated() == {"rank": 4, "features": 0.5, **arguments}
        assert Factorize(rank=4).stated() == {"rank": 4}
