"""Mixed examples: shares 1 and 0 are the examples themselves, masks are united, and both models mix alike."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from architectures import make_model
from torch.nn import functional

from bench.base.errors import MethodError
from bench.models.heads import config_of, from_config
from bench.tasks.features import Batch
from bench.tasks.kinds.kind import KINDS
from bench.training.mixup import MixedTerm, Mixture, mixed_inputs, require_embeddings
from bench.training.terms.teacher import Teacher

SETTINGS = {
    "vocab_size": 40,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 40,
    "pad_token_id": 0,
}
DISTIL = {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 64, "vocab_size": 40, "max_position_embeddings": 40}
ENCODERS = {
    "bert": SETTINGS,
    "roberta": {**SETTINGS, "pad_token_id": 1},
    "electra": {**SETTINGS, "embedding_size": 16},
    "distilbert": DISTIL,
    "albert": {**SETTINGS, "embedding_size": 16},
}


def build(name):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return from_config(config_of(name, ENCODERS[name]), "sequence-classification").eval()


def batch_for(name):
    pad = ENCODERS[name].get("pad_token_id", 0)
    ids = torch.tensor([[5, 6, 7, 8, 9, 3], [11, 12, 13, 3, pad, pad], [4, 6, 3, pad, pad, pad]])
    inputs = {"input_ids": ids, "attention_mask": (ids != pad).long()}
    if name == "bert":
        inputs["token_type_ids"] = torch.tensor([[0, 0, 0, 1, 1, 1], [0, 0, 1, 1, 0, 0], [0, 1, 1, 0, 0, 0]])
    return Batch(inputs, {"labels": torch.tensor([0, 1, 1])}, [0, 1, 2])


def mixture(share):
    return Mixture(share, torch.tensor([1, 2, 0]))


@pytest.mark.parametrize("name", ENCODERS)
def test_a_share_of_one_is_the_example_and_of_zero_its_partner(name):
    model, batch = build(name), batch_for(name)
    with torch.no_grad():
        plain = model(**batch.inputs).logits
        for share, expected in ((1.0, plain), (0.0, plain[[1, 2, 0]])):
            found = model(**mixed_inputs(model, batch, mixture(share))).logits
            # the same sums, but a lookup is replaced by a product with 1 and a sum with 0 times finite numbers
            torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


def test_the_mask_is_the_union_and_segments_are_those_of_whoever_is_there():
    batch = batch_for("bert")
    inputs = mixed_inputs(build("bert"), batch, mixture(0.25))
    assert inputs["attention_mask"].tolist() == [[1] * 6, [1, 1, 1, 1, 0, 0], [1] * 6]
    assert inputs["token_type_ids"].tolist() == [[0, 0, 0, 1, 1, 1], [0, 0, 1, 1, 0, 0], [0, 1, 1, 1, 1, 1]]
    assert "input_ids" not in inputs


def test_the_embeddings_are_the_weighted_means_of_both_words():
    model, batch = build("bert"), batch_for("bert")
    table, ids = model.get_input_embeddings().weight, batch.inputs["input_ids"]
    expected = 0.25 * table[ids] + 0.75 * table[ids[[1, 2, 0]]]
    torch.testing.assert_close(mixed_inputs(model, batch, mixture(0.25))["inputs_embeds"], expected)


def test_shares_are_drawn_from_the_beta_distribution_by_the_seed():
    batch = batch_for("bert")
    count, a = 20_000, 0.4
    draws = np.random.default_rng(0)
    shares = np.array([Mixture.drawn(batch, concentration=a, draws=draws).share for _ in range(count)])
    variance = 1 / (4 * (2 * a + 1))  # of Beta(a, a)
    assert abs(shares.mean() - 0.5) < 5 * (variance / count) ** 0.5
    assert abs(shares.var() - variance) < 0.05 * variance
    first, again = (Mixture.drawn(batch, concentration=a, draws=np.random.default_rng(7)) for _ in range(2))
    assert first.share == again.share
    assert first.partners.tolist() == again.partners.tolist()
    assert sorted(first.partners.tolist()) == [0, 1, 2]


def test_a_model_that_reads_tokens_only_is_refused():
    with pytest.raises(MethodError, match=r"mixup: BiLstmForSequenceClassification takes tokens only"):
        require_embeddings(make_model("bench-bilstm"), where="mixup")
    require_embeddings(build("bert"), where="mixup")


def term(teachers=(), *, labels=1.0, logits=1.0):
    return MixedTerm(teachers, concentration=0.4, labels=labels, logits=logits, seed=0)


def test_at_a_share_of_one_the_losses_are_those_of_plain_distillation():
    student, teacher, batch, kind = build("bert"), build("bert"), batch_for("bert"), KINDS.get("classification")
    with torch.no_grad():
        for parameter in teacher.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
        found = term([Teacher(teacher)], labels=0.3, logits=2.0).mixed_loss(student, batch, kind, mixture(1.0))
        mine, its = student(**batch.inputs).logits, teacher(**batch.inputs).logits
    expected = 0.3 * functional.cross_entropy(mine, batch.targets["labels"]) + 2.0 * (mine - its).square().mean()
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


def test_the_loss_is_the_cross_entropy_with_the_mixed_labels():
    student, batch, kind = build("bert"), batch_for("bert"), KINDS.get("classification")
    with torch.no_grad():
        found = term(labels=1.0, logits=0.0).mixed_loss(student, batch, kind, mixture(0.3))
        mixed = student(**mixed_inputs(student, batch, mixture(0.3))).logits
    hot = functional.one_hot(batch.targets["labels"], 2).float()
    expected = functional.cross_entropy(mixed, 0.3 * hot + 0.7 * hot[[1, 2, 0]])
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


def test_a_clone_of_the_teacher_is_not_told_anything_at_any_share():
    student, batch, kind = build("bert"), batch_for("bert"), KINDS.get("classification")
    loss = term([Teacher(build("bert"))], labels=0.0).loss(student, batch, None, kind)
    assert float(loss.detach()) == 0.0
    loss.backward()
    assert all(not parameter.grad.any() for parameter in student.parameters() if parameter.grad is not None)


def test_no_gradient_reaches_the_teacher():
    student, teacher, batch, kind = build("bert"), build("bert"), batch_for("bert"), KINDS.get("classification")
    teacher.train()  # with dropout, so that the outputs differ
    term([Teacher(teacher)]).loss(student, batch, None, kind).backward()
    assert all(parameter.grad is None for parameter in teacher.parameters())
    assert any(parameter.grad is not None for parameter in student.parameters())
