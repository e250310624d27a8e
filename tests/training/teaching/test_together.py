"""Several models that are fine-tuned as one."""

from __future__ import annotations

import pytest
import torch

from bench.base.errors import ModelError
from bench.spec.setting import Training
from bench.tasks.batching import collate
from bench.tasks.kinds.kind import KINDS
from bench.training.loop import train
from bench.training.objective import Objective
from bench.training.teaching.together import EachOfThem, Together

KIND = KINDS.get("classification")
PLAN = Training(epochs=1.0, batch_size=16, learning_rate=1e-3)


def test_pooler_and_head_are_one_object_each_and_everything_else_is_not(tiny_bert):
    models = [tiny_bert(layers=layers, seed=layers) for layers in (4, 3, 2)]
    Together(models)
    first = models[0]
    for other in models[1:]:
        assert other.classifier is first.classifier
        assert other.bert.pooler is first.bert.pooler
        assert other.bert.embeddings is not first.bert.embeddings
        assert not {id(each) for each in other.bert.encoder.parameters()} & {id(each) for each in first.parameters()}


def test_the_shared_head_is_trained_once_on_the_sum_of_the_losses(tiny_bert, keyword_features):
    models = [tiny_bert(layers=layers, seed=layers) for layers in (3, 2)]
    together = Together(models).eval()
    batch = collate(keyword_features(16), pad_id=0)
    loss = EachOfThem().loss(together, batch, together(**batch.inputs), KIND)
    apart = [KIND.loss(model(**batch.inputs), batch.targets) for model in models]
    assert loss.item() == pytest.approx(sum(each.item() for each in apart), rel=1e-6)
    loss.backward()
    found = models[0].classifier.weight.grad.clone()
    together.zero_grad()
    expected = sum(torch.autograd.grad(each, models[0].classifier.weight)[0] for each in apart)
    torch.testing.assert_close(found, expected)


def test_one_model_trains_as_it_does_alone(tiny_bert, keyword_features):
    alone, one = tiny_bert(seed=1), tiny_bert(seed=1)
    every = {"kind": KIND, "pad_id": 0, "plan": PLAN, "seed": 3, "device": "cpu"}
    train(alone, keyword_features(), **every)
    train(Together([one]), keyword_features(), objective=Objective(terms=((1.0, EachOfThem()),)), **every)
    assert all(torch.equal(tensor, one.state_dict()[name]) for name, tensor in alone.state_dict().items())


@pytest.mark.parametrize("architecture", ["DistilBert", "Electra", "Roberta", "Albert"])
def test_other_architectures_share_their_heads_too(architecture):
    import transformers

    sizes = (
        {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 64}
        if architecture == "DistilBert"
        else {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
    )
    config = getattr(transformers, f"{architecture}Config")(vocab_size=100, max_position_embeddings=64, **sizes)
    models = [getattr(transformers, f"{architecture}ForSequenceClassification")(config).eval() for _ in range(2)]
    own = {name for name, _ in models[1].named_parameters()}
    before = {name: id(value) for name, value in models[1].named_parameters()}
    Together(models)
    after = {name: id(value) for name, value in models[1].named_parameters()}
    shared = {name for name in own if after[name] != before[name]}
    prefix = models[0].base_model_prefix
    assert shared == {name for name in own if not name.startswith(f"{prefix}.") or ".pooler." in name}
    assert all(after[name] == id(dict(models[0].named_parameters())[name]) for name in shared)


def test_a_head_over_the_vocabulary_cannot_be_shared():
    from transformers import BertConfig, BertForMaskedLM

    config = BertConfig(
        vocab_size=100, hidden_size=32, num_hidden_layers=1, num_attention_heads=4, intermediate_size=64
    )
    with pytest.raises(ModelError, match="no head for classes or spans that models could share"):
        Together([BertForMaskedLM(config), BertForMaskedLM(config)])
