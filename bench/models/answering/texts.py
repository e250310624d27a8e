"""Texts inside a model: their UTF-8 bytes in one tensor, so that they are saved and counted with its weights."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn


class StoredTexts(nn.Module):
    """`count` texts of `size` bytes together: `content` uint8 [size], and `ends` int64 [count], where each one ends."""

    def __init__(self, count: int, size: int) -> None:
        super().__init__()
        self.register_buffer("content", torch.zeros(size, dtype=torch.uint8))
        self.register_buffer("ends", torch.zeros(count, dtype=torch.int64))

    def fill(self, texts: Sequence[str]) -> None:
        """Store `texts` in place; their number and their bytes are those of the constructor."""
        parts = [text.encode() for text in texts]
        self.content.copy_(torch.tensor(list(b"".join(parts)), dtype=torch.uint8))  # type: ignore[operator]
        self.ends.copy_(torch.tensor([len(part) for part in parts], dtype=torch.int64).cumsum(0))  # type: ignore[operator]

    def text(self, place: int) -> str:
        """The text at `place`."""
        ends: torch.Tensor = self.ends  # type: ignore[assignment]
        content: torch.Tensor = self.content  # type: ignore[assignment]
        start = int(ends[place - 1]) if place else 0
        return bytes(content[start : int(ends[place])].tolist()).decode()


def size_of(texts: Sequence[str]) -> int:
    """Bytes of `texts` together in UTF-8."""
    return sum(len(text.encode()) for text in texts)
