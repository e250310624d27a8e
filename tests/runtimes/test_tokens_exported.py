"""Models that drop tokens, as graphs: one that keeps the first token after the last layer does, others are refused."""

import copy

import pytest
import torch
from made_graphs import batch
from transformers import BertConfig, BertForSequenceClassification

from bench.base.errors import MethodError
from bench.layers.tokens import TopTokenStack
from bench.models.adapter import adapter_for
from bench.models.modules import replace_module
from bench.runtimes.tracing import portable_copy


def dropping(shares):
    config = BertConfig(
        vocab_size=100, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=48, num_labels=3
    )
    with torch.random.fork_rng():
        torch.manual_seed(1)
        model = BertForSequenceClassification(config).eval()
    made, adapter = copy.deepcopy(model), adapter_for(model)
    stack = TopTokenStack(*adapter.attention_places, shares)
    replace_module(made, adapter.stack_name(made), stack.adopt(adapter.layers(made)).eval())
    return model, made


def test_the_graph_of_one_that_keeps_the_first_token_last_runs_its_last_map_on_that_token_alone():
    model, made = dropping([1.0, 0.0])
    plain, notes = portable_copy(made)
    assert notes == ()
    seen = []
    plain.bert.encoder.layer[-1].intermediate.register_forward_hook(lambda _m, args, _o: seen.append(args[0].shape[1]))
    inputs = batch(3, 9, padded=True)
    with torch.inference_mode():
        torch.testing.assert_close(plain(**inputs).logits, model(**inputs).logits, rtol=0, atol=1e-5)
    assert seen == [1]
    assert [name for name, _ in plain.named_modules() if "token" in type(_).__name__.lower()] == []


@pytest.mark.parametrize("shares", [[0.5, 0.25], [0.0, 0.0], [1.0, 0.5]])
def test_one_whose_choice_depends_on_the_text_has_no_graph(shares):
    _, made = dropping(shares)
    with pytest.raises(MethodError, match="decides for each input which tokens it drops"):
        portable_copy(made)
