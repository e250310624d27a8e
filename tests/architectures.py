"""The architectures beyond encoders, tiny, with fixed random weights, inputs and their closed-form multiply-adds."""

from __future__ import annotations

VOCABULARY, WIDTH, FFN = 40, 32, 64
_TOKENS = {"vocab_size": VOCABULARY, "pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3}
_MARIAN = {
    "d_model": WIDTH,
    "encoder_layers": 2,
    "decoder_layers": 3,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": FFN,
    "decoder_ffn_dim": FFN,
    "max_position_embeddings": 40,
    "scale_embedding": True,
    "decoder_start_token_id": 2,
    "forced_eos_token_id": None,
    "use_cache": False,
}
_BERT = {
    "hidden_size": WIDTH,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": FFN,
    "max_position_embeddings": 40,
}
# Head and settings by `config.model_type`.
ARCHITECTURES = {
    "marian": ("translation", _MARIAN),
    "encoder-decoder": ("translation", _BERT),
    "bench-lstm-seq2seq": (
        "translation",
        {"hidden_size": WIDTH, "encoder_layers": 2, "decoder_layers": 3, "decoder_start_token_id": 2},
    ),
    "bench-lstm-lm": ("causal-language-modelling", {"hidden_size": WIDTH, "num_hidden_layers": 2}),
    "bench-bilstm": ("sequence-classification", {"hidden_size": WIDTH, "num_hidden_layers": 2, "num_labels": 3}),
}
TRANSLATORS = tuple(name for name, (head, _) in ARCHITECTURES.items() if head == "translation")
RECURRENT = tuple(name for name in ARCHITECTURES if name.startswith("bench-"))


def make_model(name: str, *, seed: int = 0, **settings):
    """A model in evaluation mode whose every tensor that trains is drawn from N(0, 0.2)."""
    from types import SimpleNamespace

    import torch

    from bench.models.encoder_decoder import seq2seq_config
    from bench.models.heads import config_of, from_config

    head, defaults = ARCHITECTURES[name]
    joined = name == "encoder-decoder"
    config = config_of("bert" if joined else name, {**_TOKENS, **defaults, **settings})
    if joined:
        config = seq2seq_config(
            config, SimpleNamespace(pad_token_id=0, cls_token_id=2, sep_token_id=3), where="the tests"
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = from_config(config, head).eval()
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.requires_grad:
                    parameter.normal_(0, 0.2)
    return model


def inputs_of(name: str):
    """A fixed padded batch: sources of 7 and 4 tokens, targets of 5."""
    import torch

    ids = torch.tensor([[5, 6, 7, 8, 9, 10, 3], [11, 12, 13, 3, 0, 0, 0]])
    if name == "bench-lstm-lm":
        return {"input_ids": ids}
    inputs = {"input_ids": ids, "attention_mask": (ids != 0).long()}
    if name in TRANSLATORS:
        inputs["decoder_input_ids"] = torch.tensor([[2, 14, 15, 16, 17], [2, 18, 19, 3, 0]])
    return inputs


def run(model, name: str):
    """Every output tensor on the fixed batch."""
    import torch

    with torch.inference_mode():
        return [value for value in model(**inputs_of(name)).values() if isinstance(value, torch.Tensor)]


def same_run(one, other, name: str) -> bool:
    """Whether two models agree bit for bit on the fixed batch."""
    import torch

    pairs = list(zip(run(one, name), run(other, name), strict=True))
    return bool(pairs) and all(torch.equal(left, right) for left, right in pairs)


def _attention(queries: int, keys: int) -> int:
    """Four maps, of which two are over the keys, and both products."""
    return 2 * (queries + keys) * WIDTH**2 + 2 * queries * keys * WIDTH


def closed_form_macs(name: str, *, source: int, target: int) -> int:
    """Multiply-adds of one example, from the architecture's definition."""
    h, v = WIDTH, VOCABULARY
    encoder = _attention(source, source) + 2 * source * h * FFN
    decoder = _attention(target, target) + _attention(target, source) + 2 * target * h * FFN
    lstm = 8 * h * h  # four gates, each over input and state
    return {
        "marian": 2 * encoder + 3 * decoder + target * h * v,
        "encoder-decoder": 2 * encoder + 2 * decoder + target * h * h + target * h * v,
        "bench-lstm-seq2seq": (2 * source + 3 * target) * lstm
        + target * (h * h + 2 * source * h + 2 * h * h)
        + target * h * v,
        "bench-lstm-lm": 2 * source * lstm + source * h * v,
        "bench-bilstm": 2 * 2 * source * lstm + 2 * h * 3,
    }[name]
