"""Tiny translation and LSTM models with fixed random weights, and their tokens."""

from __future__ import annotations

import torch

SOURCE = torch.tensor([[5, 9, 12, 3], [8, 7, 6, 3]])
TARGET = torch.tensor([[2, 6, 7, 8, 9], [2, 11, 10, 9, 8]])


def translator(*, width=32, entries=100, seed=0):
    """A Marian of 2 + 2 layers whose three places share one table."""
    from transformers import MarianConfig, MarianMTModel

    halves = {
        f"{half}_{name}": value
        for half in ("encoder", "decoder")
        for name, value in (("layers", 2), ("attention_heads", 4), ("ffn_dim", 64))
    }
    config = MarianConfig(
        vocab_size=entries,
        d_model=width,
        max_position_embeddings=32,
        pad_token_id=0,
        eos_token_id=3,
        decoder_start_token_id=2,
        **halves,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return MarianMTModel(config).eval()


def language_model(*, tied=False, seed=0):
    """An LSTM language model of 2 layers of width 24 over 60 words."""
    from bench.models.recurrent.language_model import LstmConfig, LstmForCausalLM

    config = LstmConfig(vocab_size=60, hidden_size=24, num_hidden_layers=2, dropout=0.0, tie_word_embeddings=tied)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return LstmForCausalLM(config).eval()


def translated(model, target=TARGET):
    """Logits [2, 5, vocabulary] for fixed tokens."""
    with torch.inference_mode():
        return model(input_ids=SOURCE, attention_mask=torch.ones_like(SOURCE), decoder_input_ids=target).logits


def continued(model, tokens=TARGET):
    """Logits [2, 5, vocabulary] of a language model for fixed tokens."""
    with torch.inference_mode():
        return model(input_ids=tokens).logits


def count(module):
    """Stored weights, shared ones once."""
    return sum(parameter.numel() for parameter in module.parameters())


def lively(model):
    """The model with its layers' matrices five times as large: fresh ones hardly change what goes through them."""
    from bench.models.adapter import adapter_for

    with torch.no_grad():
        for linear in adapter_for(model).linears(model).values():
            linear.weight.mul_(5.0)
    return model
