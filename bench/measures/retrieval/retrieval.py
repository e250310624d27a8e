"""The bytes of the index, and the seconds of one query: encoding it, and exact search in the real index."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.base.statistics import median
from bench.measures.base.measure import MEASURES, Measure, Pair, Reading
from bench.measures.timing.calls import Clock, pinned

if TYPE_CHECKING:
    from bench.artifacts.artifact import Loaded
    from bench.tasks.features import Batch

SIZE, LATENCY = "index_bytes", "query_latency_p50_s"
QUERIES = 20  # different queries that are timed, evenly spread over the first evaluated split
WARM_UP = 3  # questions


@dataclass(frozen=True)
class RetrievalCost(Measure):
    """Both models in turns, query by query, each with its own index of the whole corpus.

    After a warm-up, rounds ask every one of the queries once, at least one round and until `measuring.seconds` have
    passed. Texts are in tokens before the clock starts. `clock` is for tests.
    """

    name = "retrieval"
    columns = (SIZE, LATENCY)
    says = "dense retrieval: bytes of the index, and seconds to encode a query and search exactly"
    budget_s = 10.0

    clock: Clock = time.perf_counter

    def read(self, pair: Pair) -> Reading:
        """Both columns; absent for tasks that search no documents."""
        reading = Reading()
        if not pair.kind.searches:
            reading.leave(f"a {pair.task.kind} task searches no documents", *self.columns)
            return reading
        mine, theirs = (pair.evaluator.index(loaded) for loaded in (pair.artifact, pair.reference))
        reading.give(SIZE, mine.vectors.nbytes, reference=theirs.vectors.nbytes)
        measuring = pair.setting.measuring
        batches = _queries(pair)
        with pinned(measuring.threads):
            asks = [
                [_asked(pair, loaded, index.vectors, batch) for batch in batches]
                for loaded, index in ((pair.artifact, mine), (pair.reference, theirs))
            ]
            times = self._in_turns(asks, seconds=measuring.seconds)
        reading.samples = {"query_s": times[0], "reference_query_s": times[1]}
        reading.give(LATENCY, median(times[0]), reference=median(times[1]))
        reading.conditions = {
            "documents": len(mine.vectors),
            "width": mine.vectors.shape[1],
            "index_dtype": "float32",
            "index_encoded_s": {"artifact": mine.seconds, "reference": theirs.seconds},
            "search": "exact, by blocks of documents, on the CPU",
            "queries_timed": len(batches),
            "batch_size": 1,
            "threads": measuring.threads,
            "device": pair.device,
            "embedding": _embedding(pair.artifact),
        }
        return reading

    def _in_turns(self, asks: list[list[Callable[[], Any]]], *, seconds: float) -> tuple[list[float], list[float]]:
        """Seconds of every question to the artifact and to the reference, one after the other."""
        times: tuple[list[float], list[float]] = ([], [])
        for questions in asks:
            for question in questions[:WARM_UP]:
                question()
        end, rounds = self.clock() + seconds, 0
        while not rounds or self.clock() < end:
            for number, questions in enumerate(zip(*asks, strict=True)):
                # The model that comes first finds other things in the caches, so the two take turns in that, too.
                for side in (0, 1) if (number + rounds) % 2 else (1, 0):
                    started = self.clock()
                    questions[side]()
                    times[side].append(self.clock() - started)
            rounds += 1
        return times


def _queries(pair: Pair) -> list[Batch]:
    """Some queries in batches of one."""
    from bench.tasks.batching import collate

    examples = pair.evaluator.examples(pair.task.evaluate[0])
    chosen = examples[:: max(1, len(examples) // QUERIES)][:QUERIES]
    tokenizer = pair.reference.tokenizer
    features = pair.kind.encode(chosen, tokenizer, task=pair.task, max_length=pair.max_length, training=False)
    return [collate([feature], pad_id=tokenizer.pad_token_id) for feature in features]


def _asked(pair: Pair, loaded: Loaded, index: Any, batch: Batch) -> Callable[[], Any]:
    """A function that encodes a query and searches for its documents."""
    import torch

    from bench.tasks.predictions import KEPT
    from bench.tasks.search import search

    inputs = {name: values.to(pair.device) for name, values in batch.inputs.items()}
    loaded.model.eval()

    def ask() -> Any:
        with torch.inference_mode():
            vector = loaded.model(**inputs).logits.float().cpu().numpy()
        return search(vector, index, count=KEPT)

    return ask


def _embedding(loaded: Loaded) -> dict[str, str]:
    config: Any = loaded.model.config
    return {"pooling": str(config.embedding_pooling), "similarity": str(config.embedding_similarity)}


MEASURES.register("retrieval")(RetrievalCost())
