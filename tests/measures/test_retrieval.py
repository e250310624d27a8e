import numpy as np
import pytest
from made_pairs import GivenPredictions, make_loaded, make_setting, make_task

from bench.measures.agreement.agreement import Agreement
from bench.measures.base.measure import Pair
from bench.measures.retrieval.retrieval import QUERIES, RetrievalCost
from bench.models.heads import from_config
from bench.tasks.evaluate import Evaluator
from bench.tasks.examples import CORPUS, Example, TaskData
from bench.tasks.predictions import Ranking, Rankings

WORDS = ("film", "plot", "actor", "good", "bad", "awful", "great")


def make_pair(task, evaluator, artifact, reference, **measuring):
    return Pair(
        task=task,
        setting=make_setting(**measuring),
        artifact=artifact,
        reference=reference,
        artifact_dir=artifact.directory,
        reference_dir=reference.directory,
        evaluator=evaluator,
        device="cpu",
        seed=0,
        is_reference=False,
        made=artifact.manifest,
    )


@pytest.fixture
def pair(tiny_bert, tokenizer):
    """Two bi-encoders of width 32, the reference with four layers and the artifact with one, and seven documents."""

    def encoder(name, layers):
        config = tiny_bert(layers=layers).config
        config.update({"embedding_pooling": "mean", "embedding_similarity": "cosine"})
        return make_loaded(name, from_config(config, "embedding").eval(), tokenizer)

    documents = tuple(Example(uid=word, text=f"the {word} was {word}") for word in WORDS)
    queries = tuple(Example(uid=f"q{word}", text=f"is it {word}", relevant=((word, 1),)) for word in WORDS)
    task = make_task("retrieval", metrics=("ndcg_at_10",), evaluate=("test",))
    data = TaskData(splits={"test": queries, CORPUS: documents}, origin="made", revision=None, generated=True)
    evaluator = Evaluator(task=task, data=data, max_length=16, token_budget=256, device="cpu")
    return make_pair(task, evaluator, encoder("artifact", 1), encoder("reference", 4), seconds=0.01)


def test_the_index_has_four_bytes_per_document_and_dimension(pair):
    reading = RetrievalCost().read(pair)
    assert reading.values["index_bytes"] == len(WORDS) * 32 * 4
    assert reading.reference["index_bytes"] == len(WORDS) * 32 * 4
    assert reading.conditions["documents"] == len(WORDS)
    assert reading.conditions["embedding"] == {"pooling": "mean", "similarity": "cosine"}


def test_latency_of_a_query_is_the_median_of_encoding_and_search(pair):
    now = [0.0]

    def taking(model, seconds):
        forward = model.forward

        def slow(*args, **given):
            now[0] += seconds
            return forward(*args, **given)

        model.forward = slow

    taking(pair.artifact.model, 0.25)
    taking(pair.reference.model, 1.0)
    reading = RetrievalCost(clock=lambda: now[0]).read(pair)
    assert reading.values["query_latency_p50_s"] == pytest.approx(0.25)
    assert reading.reference["query_latency_p50_s"] == pytest.approx(1.0)
    assert len(reading.samples["query_s"]) == len(WORDS)
    assert reading.conditions["queries_timed"] == min(QUERIES, len(WORDS))


def test_other_tasks_have_no_index_and_no_query_latency():
    task = make_task()
    pair = make_pair(task, None, make_loaded("artifact"), make_loaded("reference"))
    reading = RetrievalCost().read(pair)
    assert reading.absent == dict.fromkeys(
        ("index_bytes", "query_latency_p50_s"), "a classification task searches no documents"
    )


def rankings(*orders):
    return Rankings(tuple(Ranking(tuple(order), tuple(np.linspace(1, 0, len(order)))) for order in orders))


def test_the_overlap_of_rankings_is_that_of_their_first_ten():
    task = make_task("retrieval", metrics=("ndcg_at_10",), evaluate=("test",))
    queries = tuple(Example(uid=f"q{row}", text="a film", relevant=(("a", 1),)) for row in range(2))
    said = {
        ("artifact", "test"): rankings("abcdefghijkl", "bacdefghij"),
        ("reference", "test"): rankings("abcdefghiklj", "abcdefghij"),
    }
    evaluator = GivenPredictions(task, {"test": queries}, said)
    pair = make_pair(task, evaluator, make_loaded("artifact"), make_loaded("reference"))
    reading = Agreement().read(pair)
    assert reading.values["ranking_overlap"] == pytest.approx((0.9 + 1.0) / 2)
    assert reading.values["label_loyalty"] == 0.5
    assert reading.reference["ranking_overlap"] == 1.0
    assert reading.absent["fidelity_kl"] == "a ranking has no class probabilities"
    assert reading.tables["predictions"]["truth"][0] == {"documents": ["a"], "grades": [1]}
