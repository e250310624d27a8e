"""How far an attacked text may be from the text that it was made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bench.tasks.wording.words import Words

if TYPE_CHECKING:
    import numpy as np
    from torch import nn

    Array = np.ndarray[Any, Any]

LEAST_COSINE = 0.9  # our decision, as is the next
MOST_WORDS = 0.2  # rounded down, but one word may always change


class Bound:
    """At most a fifth of the words changed, and mean input embeddings whose cosine is 0.9 or more.

    The embeddings are the reference's, averaged over the tokens of the text without special tokens, for the attack on
    either model, so that both are held to the same bound. TextFooler (Jin et al. 2020, arXiv:1907.11932) bounds the
    cosine of Universal Sentence Encoder vectors instead, which must be downloaded.

    Args:
        model: the reference; the module that `get_input_embeddings` gives is called.
        tokenizer: the reference's.
        device: where the model is.
    """

    def __init__(self, model: nn.Module, tokenizer: Any, *, device: str) -> None:
        self._embedding: Any = model.get_input_embeddings()  # type: ignore[operator]
        self._tokenizer = tokenizer
        self._device = device
        self._known: dict[str, Array] = {}

    def allows(self, text: str, other: str) -> bool:
        """Whether `other` is near enough to `text`; never if it has another number of words."""
        words, others = Words.of(text), Words.of(other)
        if len(words) != len(others):
            return False
        changed = sum(words.word(index) != others.word(index) for index in range(len(words)))
        return changed <= most_words(text) and self.cosine(text, other) >= LEAST_COSINE

    def cosine(self, text: str, other: str) -> float:
        """Of the mean input embeddings of the two texts; 0 if just one of them is zero."""
        import numpy as np

        if text not in self._known:
            self._known[text] = self._mean(text)
        mine, its = self._known[text], self._mean(other)
        if np.array_equal(mine, its):
            return 1.0
        norms = float(np.linalg.norm(mine) * np.linalg.norm(its))
        return float(mine @ its) / norms if norms else 0.0

    def _mean(self, text: str) -> Array:
        """The mean input embedding of the tokens of `text`, float64 [width]; zeros if it has none."""
        import torch

        tokens = self._tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
        with torch.inference_mode():
            rows = self._embedding(torch.tensor([tokens], dtype=torch.long, device=self._device))[0]  # [tokens, width]
            mean: Array = (rows.double().sum(dim=0) / max(1, len(tokens))).cpu().numpy()
        return mean


def most_words(text: str) -> int:
    """How many words of `text` may change."""
    return max(1, int(MOST_WORDS * len(Words.of(text))))
