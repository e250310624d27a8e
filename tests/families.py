"""The supported encoders, tiny, with fixed random weights."""

from __future__ import annotations

SIZES = {
    "vocab_size": 40,
    "hidden_size": 32,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 40,
    "pad_token_id": 0,
}
EXTRA = {
    "bert": {},
    "roberta": {},
    "roberta-prelayernorm": {},
    "xlm-roberta": {},
    "mpnet": {"pad_token_id": 1, "relative_attention_num_buckets": 32},
    "deberta-v2": {
        "relative_attention": True,
        "position_buckets": 6,
        "max_relative_positions": -1,
        "norm_rel_ebd": "layer_norm",
        "share_att_key": True,
        "pos_att_type": ["p2c", "c2p"],
        "position_biased_input": False,
        "type_vocab_size": 0,
        "pooler_hidden_act": "gelu",
    },
    "modernbert": {"bos_token_id": 2, "eos_token_id": 3, "cls_token_id": 2, "sep_token_id": 3, "local_attention": 6},
    "distilbert": {"hidden_dim": 64},
    "albert": {"embedding_size": 16, "num_hidden_groups": 1},
    "electra": {"embedding_size": 16},
    # As wide inside its blocks as the others are throughout; 0.02 would leave its unnormalised states at zero.
    "mobilebert": {"embedding_size": 16, "intra_bottleneck_size": 32, "hidden_size": 48},
}
FAMILIES = tuple(name for name in EXTRA if name != "mobilebert")  # with one width and one MLP per layer
ENCODERS = tuple(EXTRA)


def make(family: str, head: str = "sequence-classification", *, labels: int = 3, seed: int = 0, **settings):
    """A model in evaluation mode whose every tensor, biases too, is drawn from N(0, 0.2)."""
    import torch
    from transformers import AutoConfig

    from bench.models.heads import from_config

    config = AutoConfig.for_model(family, **{**SIZES, **EXTRA[family], "num_labels": labels, **settings})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = from_config(config, head).eval()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.normal_(0, 0.2)
    return model


POSITIONAL = ("mpnet", "deberta-v2", "modernbert")  # whose scores hold more than the product of two projections
# Those that tell no token from another by its segment.
WITHOUT_SEGMENTS = ("distilbert", "mpnet", "deberta-v2", "modernbert")


def prefix(family: str) -> str:
    """How the names of the family's tensors begin."""
    return {"xlm-roberta": "roberta", "deberta-v2": "deberta", "modernbert": "model"}.get(
        family, family.replace("-", "_")
    )


def outputs(model):
    """Every output tensor on a fixed padded batch of ids [2, 9]."""
    import torch

    ids = torch.tensor([[2, 5, 6, 7, 8, 9, 10, 11, 3], [2, 12, 13, 14, 3, 0, 0, 0, 0]])
    with torch.inference_mode():
        return model(input_ids=ids, attention_mask=(ids != 0).long()).to_tuple()


def same_outputs(one, other) -> bool:
    """Whether two models agree bit for bit on the fixed batch."""
    import torch

    pairs = list(zip(outputs(one), outputs(other), strict=True))
    return bool(pairs) and all(torch.equal(left, right) for left, right in pairs)


def state(model):
    """A copy of every tensor of the model by name, to compare with later."""
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


def same_state(model, before) -> bool:
    """Whether the model holds exactly the tensors of `before`."""
    import torch

    now = model.state_dict()
    return now.keys() == before.keys() and all(torch.equal(now[name], before[name]) for name in before)
