"""A translator made of one encoder's checkpoint: whose weights it has, and what is fresh."""

from __future__ import annotations

import pytest
import torch
from families import make

from bench.artifacts import artifact
from bench.artifacts.source import open_source
from bench.base.errors import ModelError
from bench.models.adapter import adapter_for
from bench.models.tokenizer import write_tokenizer

FAMILIES = ("bert", "roberta", "xlm-roberta", "electra")


@pytest.fixture
def checkpoint(tmp_path, tokenizer):
    def write(family, head="masked-language-modelling"):
        model = make(family, head, **({"max_position_embeddings": 42} if family == "roberta" else {}))
        model.save_pretrained(tmp_path / family)
        write_tokenizer(tokenizer, tmp_path / family)
        return model, open_source(str(tmp_path / family))

    return write


def build(source, **options):
    tokenizer = source.tokenizer(list)
    return source.build(**{"head": "translation", "labels": None, "tokenizer": tokenizer, "seed": 0, **options})


@pytest.mark.parametrize("family", FAMILIES)
def test_both_halves_have_the_checkpoints_weights_and_cross_attention_alone_is_fresh(family, checkpoint):
    encoder, source = checkpoint(family)
    known = encoder.base_model.state_dict()
    built = build(source)
    halves = {"encoder": built.encoder.state_dict(), "decoder": built.decoder.base_model.state_dict()}
    for half, tensors in halves.items():
        for name, tensor in tensors.items():
            if "crossattention" in name:
                assert half == "decoder"
            else:
                assert torch.equal(tensor, known[name]), (half, name)
    cross = [tensor for name, tensor in halves["decoder"].items() if "crossattention" in name and tensor.dim() == 2]
    assert len(cross) == 4 * 4
    assert torch.cat([tensor.flatten() for tensor in cross]).std().item() == pytest.approx(0.02, rel=0.05)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_decoders_softmax_is_the_checkpoints_too(family, checkpoint):
    encoder, source = checkpoint(family)
    built = build(source)
    adapter = adapter_for(built)
    assert torch.equal(adapter.output_projection(built).weight, adapter_for(encoder).output_projection(encoder).weight)
    assert torch.equal(adapter.output_projection(built).bias, adapter_for(encoder).output_projection(encoder).bias)


def test_the_halves_share_no_memory(checkpoint):
    built = build(checkpoint("bert")[1])
    addresses = [{p.data_ptr() for p in half.parameters()} for half in (built.encoder, built.decoder)]
    assert not addresses[0] & addresses[1]


def test_the_pooler_that_nobody_reads_is_left_out(checkpoint):
    encoder, source = checkpoint("bert", "sequence-classification")
    assert encoder.bert.pooler is not None
    built = build(source)
    assert not [name for name, _ in built.named_parameters() if "pooler" in name]


def test_what_is_fresh_depends_on_the_seed_alone(checkpoint):
    source = checkpoint("bert")[1]
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    one, two, other = build(source), build(source), build(source, seed=1)
    assert torch.equal(torch.random.get_rng_state(), before)
    states = [model.state_dict() for model in (one, two, other)]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    differing = {name for name in states[0] if not torch.equal(states[0][name], states[2][name])}
    assert differing
    assert all("crossattention" in name for name in differing)


def test_depth_cuts_both_halves_and_random_weights_have_the_same_form(checkpoint):
    source = checkpoint("bert")[1]
    model = build(source, depth=2)
    adapter = adapter_for(model)
    assert [adapter.depth(model, stack) for stack in ("encoder", "decoder")] == [2, 2]
    assert (model.config.encoder.num_hidden_layers, model.config.decoder.num_hidden_layers) == (2, 2)
    fresh, pretrained = build(source, pretrained=False), build(source)
    assert {k: v.shape for k, v in fresh.state_dict().items()} == {
        k: v.shape for k, v in pretrained.state_dict().items()
    }


def test_decoding_starts_with_the_class_token_and_ends_with_the_separator(checkpoint, tokenizer):
    config = build(checkpoint("bert")[1]).config
    assert config.decoder_start_token_id == tokenizer.cls_token_id
    assert config.eos_token_id == tokenizer.sep_token_id
    assert config.pad_token_id == tokenizer.pad_token_id


def test_an_artifact_of_it_is_a_source_again(checkpoint, tmp_path, tokenizer):
    built = build(checkpoint("bert")[1])
    artifact.save(built, tmp_path / "a", tokenizer=tokenizer)
    again = build(open_source(str(tmp_path / "a")), seed=5)
    assert all(torch.equal(tensor, built.state_dict()[name]) for name, tensor in again.state_dict().items())


def test_an_encoder_that_cannot_become_a_decoder_is_refused(checkpoint):
    with pytest.raises(ModelError, match="'distilbert' has no cross-attention"):
        build(checkpoint("distilbert")[1])
