"""Agreement of two language models on the next or a masked token: the same most likely one, close distributions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from bench.tasks.batching import collate
from bench.tasks.features import IGNORED

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from bench.artifacts.artifact import Loaded
    from bench.measures.base.measure import Pair, Reading
    from bench.tasks.features import Batch

    Array = np.ndarray[Any, Any]

TABLE = "next_tokens"


class NextTokens(NamedTuple):
    """Per predicted token of the sampled blocks: KL(reference || artifact) in nats, and if the top tokens are equal."""

    nats: Array
    same: Array

    def values(self) -> dict[str, float]:
        """The agreement columns that these give."""
        return {"label_loyalty": float(self.same.mean()), "fidelity_kl": float(self.nats.mean())}

    def table(self) -> dict[str, list[Any]]:
        """A row per token, for the record."""
        return {"kl_nats": self.nats.tolist(), "same": self.same.tolist()}


def from_table(table: dict[str, list[Any]]) -> NextTokens:
    """What `NextTokens.table` wrote."""
    import numpy as np

    return NextTokens(np.array(table["kl_nats"], dtype=np.float64), np.array(table["same"], dtype=bool))


def compare_next_tokens(reading: Reading, pair: Pair) -> dict[str, float | str]:
    """The columns that compare outputs, or why they are absent; the sampled tokens become a table of `reading`."""
    found = next_tokens(pair)
    names = ("label_loyalty", "probability_loyalty", "fidelity_kl", "output_correlation")
    if isinstance(found, str):
        return dict.fromkeys(names, found)
    reading.tables[TABLE] = found.table()
    reading.conditions |= {
        "label_loyalty": f"share of {pair.kind.asked} tokens for which both models have the same most likely token",
        "next_tokens": f"{len(found.same)}, from the first {pair.kind.tokens_compared} blocks of each split",
    }
    return {
        **found.values(),
        "probability_loyalty": "not computed over a vocabulary; see fidelity_kl, which compares the same distributions",
        "output_correlation": "a language model predicts token probabilities, not a score",
    }


def next_tokens(pair: Pair) -> NextTokens | str:
    """Both models on the first blocks of each evaluation split, or why they cannot be compared."""
    import numpy as np

    if len(pair.artifact.tokenizer) != len(pair.reference.tokenizer):
        return "the two models have different vocabularies, so their next tokens cannot be compared"
    kind = pair.kind
    nats, same = [], []
    for split in pair.task.evaluate:
        examples = pair.evaluator.examples(split)
        features = kind.encode(
            examples, pair.reference.tokenizer, task=pair.task, max_length=pair.max_length, training=True
        )
        for row in range(min(kind.tokens_compared, len(features))):
            batch = collate(features, pad_id=pair.reference.tokenizer.pad_token_id, rows=[row])
            theirs, mine = (_log_probabilities(pair, loaded, batch) for loaded in (pair.reference, pair.artifact))
            nats.append((theirs.exp() * (theirs - mine)).sum(dim=-1).clamp(min=0).cpu().numpy())
            same.append((theirs.argmax(dim=-1) == mine.argmax(dim=-1)).cpu().numpy())
    return NextTokens(np.concatenate(nats), np.concatenate(same))


def _log_probabilities(pair: Pair, loaded: Loaded, batch: Batch) -> Tensor:
    """Of every token of the vocabulary at every predicted place, [places, vocabulary] float64."""
    import torch

    moved = batch.to(pair.device)
    with torch.inference_mode():
        (logits,) = pair.kind.logits(loaded.model(**moved.inputs), moved)
    places = batch.targets["labels"][0] != IGNORED
    return torch.log_softmax(logits[0, places.to(logits.device)].double(), dim=-1)
