"""Tiny models, a tokenizer and texts for translation and language modelling."""

from __future__ import annotations

from bench.spec.suite import Task

SOURCE = ("ka", "lo", "mi", "nu", "po", "ra", "se", "tu")
TARGET = ("one", "two", "three", "four", "five", "six", "seven", "eight")
SPECIAL = ("<pad>", "<unk>", "<s>", "</s>")


def joint_tokenizer():
    """Whole words of both languages; a text ends with </s>, and only that is added."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from tokenizers.processors import TemplateProcessing
    from transformers import PreTrainedTokenizerFast

    vocabulary = {word: index for index, word in enumerate([*SPECIAL, *SOURCE, *TARGET])}
    inner = Tokenizer(WordLevel(vocabulary, unk_token="<unk>"))
    inner.pre_tokenizer = Whitespace()
    inner.post_processor = TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 3)])
    names = dict(zip(("pad", "unk", "bos", "eos"), SPECIAL, strict=True))
    return PreTrainedTokenizerFast(tokenizer_object=inner, **{f"{key}_token": value for key, value in names.items()})


def tiny_marian(seed: int = 0, *, positions: int = 64, layers: int = 2, width: int = 32, std: float = 0.1):
    """A Marian of some layers a side over the joint vocabulary, weights drawn with `std`."""
    import torch
    from transformers import MarianConfig, MarianMTModel

    config = MarianConfig(
        vocab_size=len(SPECIAL) + len(SOURCE) + len(TARGET),
        d_model=width,
        encoder_layers=layers,
        decoder_layers=layers,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=2 * width,
        decoder_ffn_dim=2 * width,
        max_position_embeddings=positions,
        dropout=0.0,
        init_std=std,
        pad_token_id=0,
        bos_token_id=2,
        eos_token_id=3,
        decoder_start_token_id=2,
        forced_eos_token_id=None,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return MarianMTModel(config).eval()


def tiny_gpt2(seed: int = 0, *, positions: int = 64, std: float = 0.02):
    """A GPT-2 of two layers over the joint vocabulary."""
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(
        vocab_size=len(SPECIAL) + len(SOURCE) + len(TARGET),
        n_embd=32,
        n_layer=2,
        n_head=4,
        n_positions=positions,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        initializer_range=std,
        bos_token_id=2,
        eos_token_id=3,
        pad_token_id=0,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return GPT2LMHeadModel(config).eval()


def sequence_task(kind: str, **more):
    """A task of a kind without labels."""
    metric = {"translation": "bleu", "language_modelling": "perplexity"}[kind]
    return Task(name="made", kind=kind, metrics=(metric,), data={"source": "s", "subset": "t"}, **more)
