import copy
import json

import pytest
import torch
from transformers import AutoConfig, BertModel

from bench.artifacts.artifact import load, save
from bench.artifacts.manifest import Manifest
from bench.artifacts.source import open_source
from bench.base.errors import ModelError
from bench.models.adapter import adapter_for
from bench.models.embedding import embedding_class, embedding_settings
from bench.models.heads import from_config, head_of

WIDTH = 32


@pytest.fixture
def encoder(tiny_bert):
    """A function that builds a tiny bi-encoder with a fixed seed."""

    def build(pooling="mean", similarity="cosine", seed=0):
        config = copy.deepcopy(tiny_bert().config)
        config.update({"embedding_pooling": pooling, "embedding_similarity": similarity})
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            return from_config(config, "embedding").eval()

    return build


@pytest.fixture
def inputs():
    """Two texts, the second of three tokens and two of padding."""
    ids = torch.tensor([[2, 10, 11, 12, 3], [2, 13, 3, 0, 0]])
    return {"input_ids": ids, "attention_mask": (ids != 0).long()}


def hidden(model, inputs):
    return BertModel.forward(model, **inputs).last_hidden_state


def test_the_mean_is_over_real_tokens_only(encoder, inputs):
    model = encoder(similarity="dot")
    states = hidden(model, inputs)
    expected = torch.stack([states[0].mean(dim=0), states[1, :3].mean(dim=0)])
    assert torch.allclose(model(**inputs).logits, expected, atol=1e-6)


def test_the_first_token_is_the_vector_of_a_text_with_cls_pooling(encoder, inputs):
    model = encoder("cls", "dot")
    assert torch.equal(model(**inputs).logits, hidden(model, inputs)[:, 0])


def test_cosines_are_dot_products_of_vectors_of_length_one(encoder, inputs):
    plain, unit = encoder(similarity="dot")(**inputs), encoder()(**inputs)
    assert torch.allclose(unit.logits.norm(dim=1), torch.ones(2), atol=1e-6)
    cosine = torch.nn.functional.cosine_similarity(plain.logits[0], plain.logits[1], dim=0)
    assert torch.allclose(unit.logits[0] @ unit.logits[1], cosine, atol=1e-6)
    assert (plain.scale.item(), unit.scale.item()) == (1.0, 20.0)


def test_a_bi_encoder_has_no_pooler_and_the_layers_of_its_architecture(encoder):
    model = encoder()
    assert head_of(model) == "embedding"
    assert not [name for name, _ in model.named_parameters() if "pooler" in name]
    assert len(adapter_for(model).layers(model)) == 4
    assert embedding_class(BertModel) is embedding_class(BertModel)


def test_an_artifact_keeps_vectors_and_how_they_are_made(encoder, inputs, tokenizer, tmp_path):
    model = encoder("cls", "dot")
    save(model, tmp_path / "artifact", tokenizer=tokenizer, made=Manifest(title="a bi-encoder"))
    again = load(tmp_path / "artifact").model
    assert torch.equal(again(**inputs).logits, model(**inputs).logits)
    source = open_source(str(tmp_path / "artifact"))
    assert source.head_settings("embedding", {}) == {"embedding_pooling": "cls", "embedding_similarity": "dot"}


def test_a_checkpoint_says_itself_how_its_vectors_are_made_and_the_task_may_say_otherwise(
    encoder, inputs, tokenizer, tmp_path
):
    model = encoder(similarity="dot")
    bare = tmp_path / "checkpoint"
    model.save_pretrained(bare)
    tokenizer.save_pretrained(bare)
    for key in ("embedding_pooling", "embedding_similarity"):
        config = json.loads((bare / "config.json").read_text())
        config.pop(key)
        (bare / "config.json").write_text(json.dumps(config))
    (bare / "1_Pooling").mkdir()
    pools = {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}
    (bare / "1_Pooling" / "config.json").write_text(json.dumps(pools))
    (bare / "config_sentence_transformers.json").write_text(json.dumps({"similarity_fn_name": "dot"}))
    source = open_source(str(bare))
    build = {"head": "embedding", "labels": None, "tokenizer": tokenizer, "seed": 0}
    assert torch.allclose(source.build(**build)(**inputs).logits, hidden(model, inputs)[:, 0], atol=1e-6)
    wanted = {"embedding_pooling": "mean", "embedding_similarity": "cosine"}
    assert torch.allclose(
        source.build(**build, settings=wanted)(**inputs).logits, encoder()(**inputs).logits, atol=1e-6
    )


def test_without_a_word_from_anyone_the_mean_and_the_cosine_are_taken(tmp_path):
    expected = {"embedding_pooling": "mean", "embedding_similarity": "cosine"}
    assert embedding_settings(AutoConfig.for_model("bert"), tmp_path, {}, where="model") == expected


def test_a_pooling_that_bench_does_not_have_is_refused_with_advice(tmp_path):
    (tmp_path / "1_Pooling").mkdir()
    (tmp_path / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode_max_tokens": True}))
    with pytest.raises(ModelError, match=r'pooling = "mean"'):
        embedding_settings(None, tmp_path, {}, where="model")
    told = embedding_settings(None, tmp_path, {"embedding_pooling": "cls"}, where="model")
    assert told["embedding_pooling"] == "cls"


@pytest.mark.parametrize("kind", ["marian", "bert", "roberta", "distilbert", "albert", "electra"])
def test_encoders_have_the_head_and_translators_do_not(kind):
    small = {"hidden_size": 16, "embedding_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    small |= {"intermediate_size": 16, "vocab_size": 50}
    if kind == "distilbert":
        small = {"dim": 16, "n_layers": 1, "n_heads": 2, "hidden_dim": 16, "vocab_size": 50}
    config = AutoConfig.for_model(kind, **({} if kind == "marian" else small))
    config.update({"embedding_pooling": "mean", "embedding_similarity": "cosine"})
    if kind == "marian":
        with pytest.raises(ModelError, match="no embedding head"):
            from_config(config, "embedding")
        return
    ids = torch.tensor([[2, 7, 3]])
    found = from_config(config, "embedding").eval()(input_ids=ids, attention_mask=torch.ones_like(ids))
    assert found.logits.shape == (1, 16)
