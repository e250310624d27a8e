"""Mixed examples: shares 1 and 0 are the examples themselves, masks are united, and both models mix alike."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from architectures import make_model

from bench.base.errors import MethodError
from bench.models.heads import config_of, from_config
from bench.tasks.features import Batch
from bench.training.mixup import Mixture, mixed_inputs, require_embeddings

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
