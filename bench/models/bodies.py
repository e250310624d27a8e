"""Models beside a given one, with its head: of another size or architecture, or with its body under another head."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from bench.base.errors import ModelError
from bench.models.embedding import POOLING, SIMILARITY
from bench.models.heads import config_of, from_config, head_of

if TYPE_CHECKING:
    from torch import nn

# What a configuration says of the head and of nothing else, whatever the architecture.
OF_HEAD = ("id2label", "label2id", "problem_type", POOLING, SIMILARITY)
# What it says of how and where it was made.
_MADE = ("_name_or_path", "architectures", "model_type", "transformers_version")


def beside(like: nn.Module, model_type: str, settings: Mapping[str, Any], *, seed: int) -> nn.Module:
    """A model of another architecture with fresh weights that can take the place of `like`: with a head like its own.

    Args:
        like: a model with a head of `bench.models.heads`.
        model_type: the architecture's `config.model_type`.
        settings: its configuration, as far as it differs from the architecture's defaults; the vocabulary among them.
        seed: of the weights; torch's global random state is left as it was.

    Raises:
        ModelError: the architecture cannot have such a head.
    """
    own = _settings_of(like)
    return _fresh(model_type, {**{key: own[key] for key in OF_HEAD if key in own}, **settings}, head_of(like), seed)


def resized(like: nn.Module, sizes: Mapping[str, int], *, seed: int) -> nn.Module:
    """A model of the architecture, vocabulary and head of `like` with other sizes and fresh weights.

    Args:
        like: a model with a head.
        sizes: by the names of `bench.models.roles.Size`; those that are left out stay.
        seed: of the weights.

    Raises:
        ModelError: sizes that the architecture cannot change, or a width that its heads do not divide.
    """
    from bench.models.adapter import adapter_for

    adapter = adapter_for(like)
    config: Any = like.config
    if not adapter.sizes:
        raise ModelError(f"{type(like).__name__}: the sizes of architecture '{config.model_type}' cannot be changed")
    changed = _settings_of(like) | {adapter.sizes[size]: value for size, value in sizes.items()}  # type: ignore[index]
    width, heads = changed[adapter.sizes["width"]], changed[adapter.sizes["heads"]]
    if width % heads:
        raise ModelError(f"{heads} heads do not divide a width of {width}. Give a width that is a multiple of heads.")
    return _fresh(config.model_type, changed, head_of(like), seed)


def under_head(model: nn.Module, head: str, *, seed: int) -> nn.Module:
    """The body of `model`, copied, under a fresh `head` of `bench.models.heads`.

    Raises:
        ModelError: the architecture cannot have it, or parts of the body are no longer as its configuration makes them.
    """
    config: Any = model.config
    made = _fresh(config.model_type, _settings_of(model), head, seed)
    carry_body(model, made)
    return made


def carry_body(source: nn.Module, target: nn.Module) -> None:
    """Put every tensor of the body of `source` into `target`, in place; the head of `target` stays.

    So does its pooler, which only a head reads, if `source` has none.

    Raises:
        ModelError: two bodies of different form.
    """
    below = f"{target.base_model_prefix}."
    theirs, own = source.state_dict(), target.state_dict()
    wanted = [name for name in own if name.startswith(below) and (name in theirs or ".pooler." not in name)]
    for name in wanted:
        found = None if name not in theirs else tuple(theirs[name].shape)
        if found != tuple(own[name].shape):
            raise ModelError(
                f"{type(target).__name__}: its body cannot be that of another model: '{name}' is "
                f"{list(own[name].shape)} here and {'absent' if found is None else list(found)} there. Only models "
                f"whose modules are as their configuration makes them can change their head."
            )
    target.load_state_dict(own | {name: theirs[name] for name in wanted})


def with_head_of(model: nn.Module, like: nn.Module, *, seed: int) -> nn.Module:
    """The modules of the body of `model`, taken over, under a fresh head such as `like` has.

    Stored forms and shared layers of the body stay what they are, and `model` is used up. A pooler belongs to the head:
    it is fresh if `model` has none.

    Args:
        model: with any head.
        like: its head's kind and labels are taken, no weights.
        seed: of the fresh weights.

    Returns:
        The model in evaluation mode, on the device of `model`.

    Raises:
        ModelError: the architecture of `model` cannot have this head.
    """
    config: Any = model.config
    told = _settings_of(like)
    settings = _settings_of(model) | {key: told[key] for key in OF_HEAD if key in told}
    made = _fresh(config.model_type, settings, head_of(like), seed)
    body, place = _body(model), _body(made)
    for name, child in list(body.named_children()):
        if getattr(place, name, None) is not None:
            setattr(place, name, child)
    for name, parameter in list(body.named_parameters(recurse=False)):
        setattr(place, name, parameter)
    return made.to(next(model.parameters()).device)


def _settings_of(model: nn.Module) -> dict[str, Any]:
    """What the configuration says of the model, and not of how it was made."""
    config: Any = model.config
    return {key: value for key, value in config.to_dict().items() if key not in _MADE}


def _body(model: nn.Module) -> nn.Module:
    """The model below the head; a model of embeddings is its own."""
    found: Any = getattr(model, str(getattr(model, "base_model_prefix", "")), model)
    return model if found is None else found


def _fresh(model_type: str, settings: Mapping[str, Any], head: str, seed: int) -> nn.Module:
    import torch

    config = config_of(model_type, dict(settings))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return from_config(config, head).float().eval()
