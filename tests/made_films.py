"""A folder of made reviews in GLUE's layout, and the head of a suite that trains on them for moments."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

WORDS = ["film", "plot", "story", "actor", "good", "bad", "awful", "great", "very", "the", "a", "was", "not"]
FILMS = """
name = "tried"
title = "Tried"
[setting]
max_length = 32
training = { epochs = 0.5, batch_size = 8, learning_rate = 1e-3 }
measuring = { country = "USA", length = 8 }
[[tasks]]
name = "sst2"
kind = "classification"
labels = ["negative", "positive"]
metrics = ["accuracy"]
data = "glue/sst2"
"""


def write_films(folder: Path) -> Callable[[], str]:
    """Write 40 training and 10 development reviews below `folder`; gives what draws one more text."""
    draws = random.Random(0)

    def text() -> str:
        return " ".join(draws.choices(WORDS, k=draws.randrange(4, 9)))

    (folder / "glue" / "SST-2").mkdir(parents=True)
    for split, count in (("train", 40), ("dev", 10)):
        rows = ["sentence\tlabel", *(f"{text()}\t{row % 2}" for row in range(count))]
        (folder / "glue" / "SST-2" / f"{split}.tsv").write_text("\n".join(rows) + "\n")
    return text
