"""Attention scores heard from the projections: those the models themselves compute, and what training makes of them."""

from __future__ import annotations

import itertools

import architectures
import families
import pytest
import torch
from made_terms import guided

from bench.base.errors import MethodError
from bench.tasks.features import Batch
from bench.tasks.kinds.kind import KINDS
from bench.training.terms.ears import Ears
from bench.training.terms.readers import RelationReader, ScoreReader

KIND = KINDS.get("classification")
IDS = torch.tensor([[2, 5, 6, 7, 8, 9, 10, 11, 3], [2, 12, 13, 14, 3, 0, 0, 0, 0]])
TRANSFORMERS = tuple(name for name in architectures.TRANSLATORS if name not in architectures.RECURRENT)


@pytest.fixture
def batch():
    return Batch({"input_ids": IDS, "attention_mask": (IDS != 0).long()}, {}, [0, 1])


READER = ScoreReader(softmax=False)
HEARD = [family for family in families.ENCODERS if family not in families.POSITIONAL]


def heard(model, **inputs):
    """The scores of every attention in the order in which they run, with what may be seen."""
    probe = Ears(model, ())
    stacks = [
        (stack, layer + 1)
        for stack in probe.adapter.stacks(model)
        for layer in range(probe.adapter.depth(model, stack))
    ]
    places = [each for stack, layer in stacks for each in READER.places(probe, stack, layer)]
    ears = Ears(model, [place for each in places for place in each])
    ears.open()
    with torch.no_grad():
        model(**inputs)
    batch = Batch(inputs, {}, [0, 1])
    found = [(each[0], READER.read(ears, each, batch)) for each in places]
    ears.close()
    assert not ears.heard
    return found


def probabilities(scores, mask, causal):
    allowed = mask[:, None, None, :].bool().expand_as(scores)
    if causal:
        allowed = allowed & torch.ones_like(scores, dtype=torch.bool).tril()
    return scores.masked_fill(~allowed, float("-inf")).softmax(dim=-1)


@pytest.mark.parametrize("family", HEARD)
def test_the_softmax_of_the_heard_scores_is_the_models_own_attention(family, batch):
    model = families.make(family)
    model.set_attn_implementation("eager")
    with torch.no_grad():
        wanted = model(**batch.inputs, output_attentions=True).attentions
    runs = heard(model, **batch.inputs)
    assert len(runs) == len(wanted) == 4
    for (_, run), its in zip(runs, wanted, strict=True):
        found = probabilities(run.values, batch.inputs["attention_mask"], causal=False)
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
    for (place, run), its in zip(runs, wanted, strict=True):
        length = run.values.shape[-1]
        source = length == inputs["input_ids"].shape[1]
        mask = inputs["attention_mask"] if source else torch.ones(2, length)
        causal = (place.stack, place.part) == ("decoder", "query")
        torch.testing.assert_close(probabilities(run.values, mask, causal), its, rtol=1e-4, atol=1e-6)
        assert causal is not source


def errors(student, teacher, inputs, reduce="mean"):
    batch = Batch(inputs, {}, [0, 1])
    return guided({"attention-scores": {"reduce": reduce}}, teacher).loss(student, batch, None, KIND)


def by_hand(student, teacher, batch):
    """The mean squared difference of every attention's scores over pairs of real tokens."""
    real = batch.inputs["attention_mask"].float()
    pairs = (real[:, None, :, None] * real[:, None, None, :]).expand(-1, 4, -1, -1).bool()
    runs = zip(heard(student, **batch.inputs), heard(teacher, **batch.inputs), strict=True)
    return [(mine.values - its.values)[pairs].square().mean() for (_, mine), (_, its) in runs]


@pytest.mark.parametrize("name", TRANSFORMERS)
def test_scores_that_a_decoder_may_not_see_do_not_count(name):
    student, teacher = architectures.make_model(name, seed=1), architectures.make_model(name, seed=2)
    inputs = architectures.inputs_of(name)
    inputs["decoder_attention_mask"] = (inputs["decoder_input_ids"] != 0).long()
    pairs = zip(heard(student, **inputs), heard(teacher, **inputs), strict=True)
    wanted = []
    for (place, mine), (_, its) in pairs:
        masks = {7: inputs["attention_mask"], 5: inputs["decoder_attention_mask"]}
        rows, columns = (masks[side] for side in mine.values.shape[2:])
        crossed = (place.stack, place.part) != ("decoder", "query")
        squares = [
            (mine.values - its.values)[example, :, query, key].square().mean()
            for example in range(2)
            for query in range(rows.shape[1])
            for key in range(columns.shape[1])
            if rows[example, query] and columns[example, key] and (crossed or key <= query)
        ]
        wanted.append(torch.stack(squares).mean().item())
    assert errors(student, teacher, inputs).item() == pytest.approx(sum(wanted) / len(wanted), rel=1e-4)


@pytest.mark.parametrize("family", HEARD)
def test_a_clone_has_no_loss_and_another_model_has(family, batch):
    matching = guided({"states": {"reduce": "sum"}, "attention-scores": {"reduce": "sum"}}, families.make(family))
    assert matching.loss(families.make(family), batch, None, KIND).item() == 0.0
    assert matching.loss(families.make(family, seed=1), batch, None, KIND).item() > 0.1


@pytest.mark.parametrize("family", families.POSITIONAL)
def test_scores_that_depend_on_distances_are_refused_and_relations_are_those_of_the_projections(family, batch):
    model = families.make(family)
    with pytest.raises(MethodError, match="depend on the distance of two tokens as well, which cannot be heard"):
        heard(model, **batch.inputs)
    ears = Ears(model, ())
    adapter = ears.adapter
    readers = {role: RelationReader(role) for role in ("query", "key", "value")}
    places = {role: reader.places(ears, "encoder", 2)[0] for role, reader in readers.items()}
    ears = Ears(model, [place for each in places.values() for place in each])
    given = {}

    def keep_first(role, inputs):  # DeBERTa runs query and key on distances afterwards
        given.setdefault(role, inputs[0].detach())

    block = adapter.blocks(model)[1]
    hooks = [
        block.module.get_submodule(block.names[role]).register_forward_hook(
            lambda module, inputs, output, role=role: keep_first(role, inputs)
        )
        for role in readers
    ]
    ears.open()
    with torch.no_grad():
        model(**batch.inputs)
    for number, (role, reader) in enumerate(readers.items()):
        matrix = block.module.get_submodule(block.names[role])
        rows = slice(32 * number, 32 * number + 32) if adapter.fused else slice(None)
        bias = 0 if matrix.bias is None else matrix.bias[rows]
        vectors = (given[role] @ matrix.weight[rows].T + bias).detach().view(2, 9, 4, 8).transpose(1, 2)
        wanted = vectors @ vectors.transpose(2, 3) / 8**0.5
        found = reader.read(ears, places[role], Batch(batch.inputs, {}, [0, 1])).values
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)
    ears.close()
    for hook in hooks:
        hook.remove()


def test_ternarybert_sums_over_embeddings_layers_and_scores_without_logits(batch):
    student, teacher = families.make("bert", seed=1), families.make("bert", seed=2)
    real = batch.inputs["attention_mask"].bool()
    with torch.no_grad():
        runs = [model(**batch.inputs, output_hidden_states=True).hidden_states for model in (student, teacher)]
    states = sum((mine[real] - its[real]).square().mean() for mine, its in zip(*runs, strict=True))
    scores = sum(by_hand(student, teacher, batch))
    terms = {"states": {"reduce": "sum"}, "attention-scores": {"weight": 0.5, "reduce": "sum"}}
    found = guided(terms, teacher).loss(student, batch, None, KIND)
    assert found.item() == pytest.approx((states + 0.5 * scores).item(), rel=1e-5)
    assert errors(student, teacher, batch.inputs).item() == pytest.approx((scores / 4).item(), rel=1e-5)


def test_padding_does_not_count(batch):
    student, teacher = families.make("bert", seed=1), families.make("bert", seed=2)
    padded = {name: torch.nn.functional.pad(tensor, (0, 3)) for name, tensor in batch.inputs.items()}
    before, after = (errors(student, teacher, inputs) for inputs in (batch.inputs, padded))
    torch.testing.assert_close(after, before, rtol=1e-5, atol=1e-6)


def test_only_the_student_gets_gradients_and_no_hook_stays(batch):
    student, teacher = families.make("bert", seed=1), families.make("bert", seed=2)
    errors(student, teacher, batch.inputs).backward()
    assert all(parameter.grad is None for parameter in teacher.parameters())
    attention = student.bert.encoder.layer[0].attention
    assert attention.self.key.weight.grad.abs().max() > 0
    assert attention.self.value.weight.grad.abs().max() > 0  # of the layers above it
    assert not any(module._forward_hooks for model in (student, teacher) for module in model.modules())


def test_a_shared_layer_is_heard_once_for_each_run(batch):
    model = families.make("albert")
    runs = [run.values for _, run in heard(model, **batch.inputs)]
    assert len(runs) == 4
    assert not any(torch.equal(one, other) for one, other in itertools.pairwise(runs))


def test_models_without_attention_or_of_another_number_of_heads_are_refused(batch):
    lstm = architectures.make_model("bench-bilstm")
    with pytest.raises(MethodError, match="no attention"):
        errors(lstm, lstm, batch.inputs)
    student, teacher = families.make("bert"), families.make("bert", hidden_size=16, num_attention_heads=4)
    with pytest.raises(MethodError, match="8 heads in the student and 4 in the teacher"):
        errors(families.make("bert", num_attention_heads=8), teacher, batch.inputs)
    with pytest.raises(MethodError, match="student has 4 layers and its teacher 2"):
        errors(student, families.make("bert", num_hidden_layers=2), batch.inputs)
