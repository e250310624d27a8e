"""Whether a decoder must be given all of its text at every step."""

from __future__ import annotations

from torch import nn


def reads_whole_text(model: nn.Module) -> bool:
    """Whether a module of `model` depends on the words before the one it is given, and keeps none of them.

    Such a module has a true attribute `reads_whole_text`; a cache of keys and values would hide the text from it.
    """
    return any(bool(getattr(module, "reads_whole_text", False)) for module in model.modules())
