"""The tokens at which a decoder starts and at which a text ends."""

from __future__ import annotations

from typing import Any

from bench.base.errors import DataError


def start_id(tokenizer: Any) -> int:
    """What a decoder is given first: the tokenizer's start token, else its class token, else padding as Marian has it.

    Training and decoding both take it from here, whatever a model's configuration says.
    """
    known = (tokenizer.bos_token_id, tokenizer.cls_token_id, tokenizer.pad_token_id)
    found = next((token for token in known if token is not None), None)
    if found is None:
        raise DataError("the tokenizer has no bos, cls or pad token, so a decoder has no start token; set one")
    return int(found)


def end_id(tokenizer: Any) -> int:
    """What ends a text: the tokenizer's end token, else its separator."""
    found = tokenizer.sep_token_id if tokenizer.eos_token_id is None else tokenizer.eos_token_id
    if found is None:
        raise DataError("the tokenizer has no eos or sep token, so generated text has no end token; set one")
    return int(found)
