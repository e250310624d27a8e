"""Factorizing other matrices than an encoder's: gates, cross-attention, softmax and embeddings, alone and composed."""

from __future__ import annotations

import pytest
import torch
from models_for_factors import SOURCE, TARGET, continued, count, language_model, translated, translator
from pydantic import ValidationError
from torch import nn

from bench.artifacts.artifact import load, save
from bench.base.errors import MethodError, ModelError
from bench.layers.composite import ProductLinear
from bench.layers.factorized import FactorizedEmbedding, FactorizedLinear, decompose, truncated
from bench.layers.safe_embedding import SafeEmbedding
from bench.methods.factorize.factorize import Factorize
from bench.methods.quantize.quantize import Quantize
from bench.methods.share.share import Share
from bench.models.adapter import adapter_for
from bench.models.recurrent.layer import LstmLayer
from bench.tasks.greedy import Greedy

GATES = ("input_gates", "hidden_gates")


def made_whole(linear):
    """The factorized form of full rank, which the method itself refuses."""
    second, first = (part.float() for part in truncated(decompose(linear.weight), min(linear.weight.shape)))
    return FactorizedLinear.from_factors(first, second, linear.bias)


@pytest.mark.parametrize("roles", [("input_gates",), ("hidden_gates",), GATES])
def test_an_lstm_layer_with_full_rank_gates_gives_the_outputs_of_torchs_lstm(roles):
    torch.manual_seed(0)
    theirs, layer, inputs = nn.LSTM(10, 8, batch_first=True), LstmLayer(10, 8), torch.randn(3, 7, 10)
    with torch.no_grad():
        layer.input_gates.weight.copy_(theirs.weight_ih_l0)
        layer.hidden_gates.weight.copy_(theirs.weight_hh_l0)
        layer.input_gates.bias.copy_(theirs.bias_ih_l0 + theirs.bias_hh_l0)
        for role in roles:
            setattr(layer, role, made_whole(getattr(layer, role)))
        expected, (hidden, cell) = theirs(inputs)
        outputs, state = layer(inputs)
    torch.testing.assert_close(outputs, expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(state, torch.stack([hidden[0], cell[0]], dim=1), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("solver", ["svd", "semi-nmf", "random"])
def test_gates_are_factorized_by_role_and_the_rest_is_left(make_lab, solver):
    model = language_model()
    smaller = Factorize(solver=solver, rank=5, targets="hidden_gates", budget=0).compress(model, make_lab())
    found = [name for name, module in smaller.named_modules() if isinstance(module, FactorizedLinear)]
    assert found == ["model.layers.0.hidden_gates", "model.layers.1.hidden_gates"]
    assert count(model) - count(smaller) == 2 * (4 * 24 * 24 - 5 * 5 * 24)
    assert torch.isfinite(continued(smaller)).all()
    assert not torch.equal(continued(smaller), continued(model))


def test_semi_nmf_gates_have_no_negative_entry_in_the_first_factor(make_lab):
    smaller = Factorize(solver="semi-nmf", rank=5, targets=GATES, budget=0).compress(language_model(), make_lab())
    layers = adapter_for(smaller).linears(smaller, GATES).values()
    assert all((layer.first >= 0).all() and (layer.second < 0).any() for layer in layers)


def test_the_error_of_the_outputs_does_not_rise_with_the_rank_where_singular_values_fall(make_lab):
    model = language_model()
    with torch.no_grad():
        for linear in adapter_for(model).linears(model, GATES).values():
            left, values, right = decompose(linear.weight)
            linear.weight.copy_(left * 3.0 * 0.8 ** torch.arange(len(values)) @ right)
    exact = continued(model)
    errors = [
        (continued(Factorize(rank=rank, targets=GATES, budget=0).compress(model, make_lab())) - exact).norm().item()
        for rank in (1, 4, 9, 14, 18)
    ]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.5 * errors[0]


def test_the_published_sizes_of_a_low_rank_lstm_follow_from_its_shapes():
    """Grachev et al. 2017: PTB's 10,000 words, two layers of 650, float32."""
    from bench.models.recurrent.language_model import LstmConfig, LstmForCausalLM

    with torch.device("meta"):
        model = LstmForCausalLM(LstmConfig(vocab_size=10_000, hidden_size=650, tie_word_embeddings=False))
    assert 4 * count(model) / 1e6 == pytest.approx(79.1, abs=0.05)
    rank = 100
    each_gate, tables = 16 * rank * (650 + 650), 2 * rank * (10_000 + 650)
    assert 4 * (each_gate + tables) / 1e6 == pytest.approx(16.8, abs=0.05)
    stacks = 4 * rank * (4 * 650 + 650)  # what is built here: the four gates of a layer as one matrix
    assert 4 * (stacks + tables) / 1e6 == pytest.approx(13.7, abs=0.05)


def test_a_random_softmax_of_an_lstm_has_h_r_plus_r_v_weights(make_lab):
    model = language_model()
    smaller = Factorize(solver="random", rank=4, targets="softmax", budget=0).compress(model, make_lab())
    layer = smaller.lm_head
    assert (layer.first.numel(), layer.second.numel()) == (24 * 4, 4 * 60)
    assert torch.equal(layer.bias, model.lm_head.bias)
    assert layer.macs(3) == 3 * 4 * (24 + 60)


@pytest.mark.parametrize("make", [lambda: language_model(tied=True), translator])
def test_a_softmax_that_is_tied_to_the_embedding_is_refused_alone(make_lab, make):
    with pytest.raises(MethodError, match=r"tied to the embedding.*Give the target 'embedding'"):
        Factorize(rank=4, targets="softmax").compress(make(), make_lab())


def test_cross_attention_is_a_target(make_lab):
    smaller = Factorize(rank=4, targets="cross_key+cross_value", budget=0).compress(translator(), make_lab())
    found = [name for name, module in smaller.named_modules() if isinstance(module, FactorizedLinear)]
    assert found == [f"model.decoder.layers.{layer}.encoder_attn.{leaf}_proj" for layer in (0, 1) for leaf in "kv"]


def test_a_role_that_the_architecture_lacks_is_refused_with_those_it_has(make_lab, tiny_bert):
    with pytest.raises(ModelError, match=r"no matrix with the role 'input_gates'\. It has: query"):
        Factorize(rank=4, targets="input_gates").compress(tiny_bert(), make_lab())


def test_a_tied_embedding_becomes_one_narrow_table_in_all_three_places(make_lab, tmp_path, tokenizer):
    model = translator()
    smaller = Factorize(rank=8, targets="embedding", budget=0).compress(model, make_lab())
    encoder, decoder = (half.embed_tokens for half in (smaller.model.encoder, smaller.model.decoder))
    assert isinstance(encoder, FactorizedEmbedding)
    assert encoder.table.weight is decoder.table.weight is smaller.lm_head.second
    assert count(model) - count(smaller) == 100 * 32 - 100 * 8 - 2 * 32 * 8
    table = model.lm_head.weight.detach()
    dropped = torch.linalg.svdvals(table.double())[8:].square().sum().item()
    assert (table - encoder.dense()).square().sum().item() == pytest.approx(dropped, rel=1e-4)
    torch.testing.assert_close(smaller.lm_head.dense(), encoder.dense())
    save(smaller, tmp_path / "kept", tokenizer=tokenizer)
    again = load(tmp_path / "kept").model
    assert again.model.encoder.embed_tokens.table.weight is again.lm_head.second
    assert torch.equal(translated(again), translated(smaller))


def test_an_embedding_without_a_softmax_is_a_target_too(make_lab, tiny_bert, logits_of):
    model = tiny_bert()
    smaller = Factorize(rank=20, targets="embedding", budget=0).compress(model, make_lab())
    assert isinstance(smaller.bert.embeddings.word_embeddings, FactorizedEmbedding)
    assert type(smaller.bert.embeddings.position_embeddings) is nn.Embedding
    assert count(model) - count(smaller) == 100 * 32 - 20 * 132
    assert not torch.equal(logits_of(smaller), logits_of(model))


def test_the_break_even_of_a_tied_embedding_counts_the_matrix_of_its_softmax(make_lab):
    with pytest.raises(MethodError, match=r"100 \* 32 / \(100 \+ 32 \+ 32\) = 19\.5"):
        Factorize(rank=20, targets="embedding").compress(translator(), make_lab())
    Factorize(rank=19, targets="embedding", budget=0).compress(translator(), make_lab())


def test_a_narrow_embedding_claims_bytes_alone():
    assert Factorize(rank=8, targets="embedding").saving() == {"bytes"}
    assert Factorize(rank=8, targets="embedding+ffn_in").saving() == {"bytes", "macs", "time"}


def test_an_embedding_is_factorized_once(make_lab):
    once = Factorize(rank=8, targets="embedding", budget=0).compress(translator(), make_lab())
    with pytest.raises(MethodError, match="FactorizedEmbedding, not a dense table"):
        Factorize(rank=4, targets="embedding").compress(once, make_lab())


def test_data_aware_factors_of_an_embedding_are_refused(make_lab, tiny_bert):
    with pytest.raises(MethodError, match="an embedding has none"):
        Factorize(solver="drone", rank=4, targets="embedding").compress(tiny_bert(), make_lab())


def test_self_attentive_embeddings_share_their_table_with_the_softmax_and_know_their_half(
    make_lab, tmp_path, tokenizer
):
    model = translator(entries=600)
    smaller = Factorize(solver="self-attentive", rank=8, targets="embedding", budget=0).compress(model, make_lab())
    encoder, decoder = smaller.model.encoder.embed_tokens, smaller.model.decoder.embed_tokens
    assert isinstance(encoder, SafeEmbedding)
    assert (encoder.causal, decoder.causal) == (False, True)
    assert encoder.table.weight is decoder.table.weight is smaller.lm_head.second
    assert encoder.query.weight is not decoder.query.weight
    layer = 5 * (8 * 8 + 8) + 2 * 8 + 8 * 32 + 32 + 2 * 32
    others = count(model) - 600 * 32
    assert count(smaller) == others + 600 * 8 + 2 * layer + 8 * 32
    save(smaller, tmp_path / "kept", tokenizer=tokenizer)
    assert torch.equal(translated(load(tmp_path / "kept").model), translated(smaller))


def test_a_self_attentive_decoder_predicts_from_what_is_written_and_is_decoded_without_a_cache(make_lab):
    method = Factorize(solver="self-attentive", rank=8, targets="embedding", budget=0)
    smaller = method.compress(translator(entries=600), make_lab())
    later = TARGET.clone()
    later[:, 3:] = 17
    torch.testing.assert_close(translated(smaller)[:, :3], translated(smaller, later)[:, :3], rtol=1e-5, atol=1e-6)
    inputs = {"input_ids": SOURCE, "attention_mask": torch.ones_like(SOURCE), "decoder_input_ids": TARGET[:, :1]}
    written = TARGET[:, :1]
    with torch.inference_mode():
        decoder = Greedy(smaller, inputs, pad_id=0)
        for _ in range(4):
            token, _ = decoder.step()
            decoder.write(token)
            whole = translated(smaller, written)[:, -1]
            whole[:, 0] = float("-inf")
            assert torch.equal(token, whole.argmax(dim=-1))
            written = torch.cat([written, token[:, None]], dim=1)


def test_a_self_attentive_embedding_that_saves_nothing_is_refused(make_lab):
    with pytest.raises(MethodError, match=r"rank 16 turns 3200 weights into \d+, which saves nothing"):
        Factorize(solver="self-attentive", rank=16, targets="embedding").compress(translator(), make_lab())


@pytest.mark.parametrize("solver", ["self-attentive", "block-term"])
def test_solvers_of_a_form_of_their_own_name_their_targets_and_need_a_width(make_lab, tiny_bert, solver):
    with pytest.raises(MethodError, match="target 'ffn_in' cannot be stored in this form"):
        Factorize(solver=solver, rank=4, targets="ffn_in").compress(tiny_bert(), make_lab())
    given = {"targets": "embedding"} if solver == "self-attentive" else {"targets": "query"}
    with pytest.raises(MethodError, match="needs rank or ratio"):
        Factorize(solver=solver, energy=0.5, **given).compress(tiny_bert(), make_lab())


def test_an_argument_of_another_solver_is_refused():
    with pytest.raises(ValidationError, match=r"named 'cores'.*It is an argument of solver 'block-term'"):
        Factorize(rank=4, solver={"name": "svd", "cores": 3})


def attention(**changes):
    whole = ("query", "key", "value", "attention_output")
    solver = {"name": "block-term", "length": 8}
    return Factorize(**{"solver": solver, "rank": 6, "targets": whole, "budget": 0, **changes})


def test_block_term_attention_takes_the_place_of_a_translators_and_its_decoder_is_causal(make_lab, tmp_path, tokenizer):
    model = translator()
    smaller = attention().compress(model, make_lab())
    old, new = 4 * (32 * 32 + 32), 3 * 32 * 6 + 2 * 6 + 64 * 32
    assert count(model) - count(smaller) == 4 * (old - new)
    later = TARGET.clone()
    later[:, 3:] = 17
    torch.testing.assert_close(translated(smaller)[:, :3], translated(smaller, later)[:, :3], rtol=1e-5, atol=1e-6)
    assert not torch.allclose(translated(smaller)[:, 3:], translated(smaller, later)[:, 3:])
    save(smaller, tmp_path / "kept", tokenizer=tokenizer)
    assert torch.equal(translated(load(tmp_path / "kept").model), translated(smaller))


def test_block_term_attention_takes_the_place_of_an_encoders_with_its_output(make_lab, tiny_bert, logits_of):
    model = tiny_bert()
    smaller = attention().compress(model, make_lab())
    old, new = 4 * (32 * 32 + 32), 3 * 32 * 6 + 2 * 6 + 64 * 32
    assert count(model) - count(smaller) == 4 * (old - new)
    assert torch.isfinite(logits_of(smaller)).all()


def test_the_length_is_that_of_the_longest_training_input_unless_it_is_given(make_lab, tiny_bert):
    lab = make_lab()
    smaller = attention(solver="block-term").compress(tiny_bert(), lab)
    longest = max(len(feature.inputs["input_ids"]) for feature in lab.features)
    assert smaller.bert.encoder.layer[0].attention.self.length == longest


def test_a_length_at_which_nothing_is_saved_is_refused_with_the_break_even(make_lab, tiny_bert):
    with pytest.raises(MethodError, match=r"saves nothing: expected fewer than 10\.5 positions"):
        attention(solver={"name": "block-term", "length": 12}).compress(tiny_bert(), make_lab())


def test_attention_that_holds_more_than_its_maps_is_refused(make_lab):
    import transformers

    sizes = {"hidden_size": 32, "embedding_size": 32, "num_attention_heads": 4, "intermediate_size": 64}
    config = transformers.AlbertConfig(vocab_size=100, num_hidden_layers=2, **sizes)
    model = transformers.AlbertForSequenceClassification(config).eval()
    with pytest.raises(MethodError, match="has more parts than its linear maps"):
        attention().compress(model, make_lab())


def test_sharing_then_factorizing_then_integers_keeps_one_stored_layer_and_saves_each_time(
    make_lab, tiny_bert, tmp_path, tokenizer, logits_of
):
    lab, model, sizes = make_lab(), tiny_bert(), []
    stages = (Share(budget=0), Factorize(rank=8, budget=0), Quantize())
    for number, stage in enumerate(stages):
        model = stage.compress(model, lab)
        save(model, tmp_path / str(number), tokenizer=tokenizer)
        sizes.append((tmp_path / str(number) / "model.safetensors").stat().st_size)
        assert torch.equal(logits_of(load(tmp_path / str(number)).model), logits_of(model))
    layers = model.bert.encoder.layer
    assert all(layer is layers[0] for layer in layers)
    assert isinstance(layers[3].output.dense, ProductLinear)
    assert sizes[0] > sizes[1] > sizes[2]


def test_factorizing_then_sharing_keeps_the_factors(make_lab, tiny_bert):
    lab = make_lab()
    thin = Factorize(rank=8, budget=0).compress(tiny_bert(), lab)
    shared = Share(budget=0, init="mean").compress(thin, lab)
    layers = shared.bert.encoder.layer
    assert layers[0] is layers[3]
    mean = torch.stack([layer.output.dense.first for layer in thin.bert.encoder.layer]).mean(dim=0)
    torch.testing.assert_close(layers[0].output.dense.first, mean)


def test_what_is_integer_already_is_not_factorized(make_lab, tiny_bert):
    lab = make_lab()
    with pytest.raises(MethodError, match=r"Int8Linear, not a dense matrix\. Factorize before other stages"):
        Factorize(rank=4, budget=0).compress(Quantize().compress(tiny_bert(), lab), lab)


def test_a_fresh_start_after_another_stage_is_refused(make_lab, tiny_bert):
    lab = make_lab()
    shared = Share(budget=0).compress(lab.reference, lab)
    with pytest.raises(MethodError, match="Make it the first stage"):
        Factorize(rank=4, start="fresh").compress(shared, lab)


def test_a_fresh_start_keeps_nothing_of_the_given_weights(make_lab, tiny_bert):
    lab = make_lab()
    smaller = Factorize(rank=4, start="fresh", budget=0).compress(lab.reference, lab)
    assert not torch.equal(smaller.classifier.weight, lab.reference.classifier.weight)
    assert torch.equal(smaller.classifier.weight, tiny_bert(seed=12).classifier.weight)
