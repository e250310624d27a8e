"""Tiny translation models with fixed random weights, one from scratch and one made of two encoders."""

from __future__ import annotations

VOCABULARY = 50


def made_marian(*, encoder=4, decoder=None, seed=0):
    """A Transformer for translation with 32 hidden units."""
    from transformers import MarianConfig

    config = MarianConfig(
        vocab_size=VOCABULARY,
        d_model=32,
        encoder_layers=encoder,
        decoder_layers=encoder if decoder is None else decoder,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=64,
        decoder_ffn_dim=64,
        max_position_embeddings=40,
        pad_token_id=0,
        bos_token_id=2,
        eos_token_id=3,
        forced_eos_token_id=3,
        decoder_start_token_id=2,
    )
    return _built(config, seed)


def made_bert2bert(*, layers=4, seed=0):
    """BERT(H=32) as encoder and, with cross-attention, as decoder."""
    from transformers import BertConfig, EncoderDecoderConfig

    half = BertConfig(
        vocab_size=VOCABULARY,
        hidden_size=32,
        num_hidden_layers=layers,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=40,
    )
    other = BertConfig(**half.to_dict())
    config = EncoderDecoderConfig.from_encoder_decoder_configs(half, other)
    config.decoder_start_token_id, config.pad_token_id, config.eos_token_id = 2, 0, 3
    return _built(config, seed)


def batch():
    """Source and target ids, and a mask with padding."""
    import torch

    ids = torch.tensor([[2, 5, 9, 12, 3], [2, 8, 7, 3, 0]])
    target = torch.tensor([[2, 6, 11, 4], [2, 9, 9, 14]])
    return {"input_ids": ids, "attention_mask": (ids != 0).long(), "decoder_input_ids": target}


def logits(model):
    """The logits of the fixed batch, in evaluation mode."""
    import torch

    with torch.inference_mode():
        return model.eval()(**batch()).logits


def parameters(model):
    """Stored parameters, each once."""
    return sum(parameter.numel() for parameter in model.parameters())


def _built(config, seed):
    import torch

    from bench.models.heads import from_config

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = from_config(config, "translation").eval()
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.requires_grad:
                    parameter.add_(torch.randn(parameter.shape) * 0.1)
    return model
