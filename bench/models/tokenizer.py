"""Writing a fast tokenizer as two files whose bytes depend only on what it does, and reading them again."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

from bench.base.errors import ModelError


def require_fast(tokenizer: Any, *, where: str) -> None:
    """Raise `ModelError` unless `tokenizer` is a fast one, which alone is stored whole and gives character offsets."""
    from transformers import PreTrainedTokenizerFast

    if not isinstance(tokenizer, PreTrainedTokenizerFast):
        raise ModelError(
            f"{where}: found {type(tokenizer).__name__}, expected a fast tokenizer (a tokenizer.json). "
            "Convert it with transformers' convert_slow_tokenizer and save it beside the model."
        )


def write_tokenizer(tokenizer: Any, directory: Path) -> None:
    """Write `tokenizer` into `directory`; the padding and truncation of its last call are left out.

    Raises `ModelError` if it is not a fast tokenizer.
    """
    require_fast(tokenizer, where=str(directory))
    inner = copy.deepcopy(tokenizer.backend_tokenizer)
    inner.no_padding()
    inner.no_truncation()
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": tokenizer.model_max_length,
        "model_input_names": list(tokenizer.model_input_names),
        "padding_side": tokenizer.padding_side,
        "truncation_side": tokenizer.truncation_side,
        **{name: str(token) for name, token in tokenizer.special_tokens_map.items() if isinstance(token, str)},
    }
    (directory / "tokenizer.json").write_text(inner.to_str(pretty=False), encoding="utf-8")
    (directory / "tokenizer_config.json").write_text(json.dumps(settings, indent=1, sort_keys=True), encoding="utf-8")


def read_tokenizer(directory: Path) -> Any:
    """The tokenizer that `write_tokenizer` wrote; raises `ModelError` if a file is missing or malformed."""
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

    try:
        settings = json.loads((directory / "tokenizer_config.json").read_text(encoding="utf-8"))
        text = (directory / "tokenizer.json").read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise ModelError(f"{directory}: no tokenizer can be read: {error}") from error
    settings.pop("tokenizer_class", None)
    return PreTrainedTokenizerFast(tokenizer_object=Tokenizer.from_str(text), **settings)
