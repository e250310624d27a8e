"""Distillation where each token has a target: a mean over tokens, padding left out."""

import pytest
import torch
from made_sequences import joint_tokenizer, sequence_task, tiny_gpt2, tiny_marian
from made_terms import guided, softened

from bench.tasks.batching import collate
from bench.tasks.examples import Example
from bench.tasks.kinds.kind import KINDS

TEXTS = (("ka lo mi", "one two three"), ("nu", "four five six seven eight"))


@pytest.mark.parametrize("kind", ["translation", "language_modelling"])
def test_the_divergence_is_the_mean_over_the_targets_tokens(kind):
    task, handler = sequence_task(kind), KINDS.get(kind)
    build = tiny_marian if kind == "translation" else tiny_gpt2
    student, teacher = build(0, std=0.2), build(1, std=0.2)
    examples = [Example(uid=source, text=source, target=target) for source, target in TEXTS]
    features = handler.encode(examples, joint_tokenizer(), task=task, max_length=6, training=True)
    batch = collate(features, pad_id=0)
    assert (batch.targets["labels"] == -100).any()
    outputs = student(**batch.inputs)
    found = guided(softened(2.0), teacher).loss(student, batch, outputs, handler)
    each = []
    with torch.no_grad():
        wanted = teacher(**batch.inputs).logits
    for row, place in (batch.targets["labels"] != -100).nonzero().tolist():
        p, q = (logits[row, place].div(2).softmax(-1) for logits in (wanted, outputs.logits))
        each.append((p * (p / q).log()).sum() * 4)
    assert found.item() == pytest.approx((sum(each) / len(each)).item(), rel=1e-4)
    found.backward()
    assert any(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in student.parameters())
