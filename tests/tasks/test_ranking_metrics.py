import math
import random

import numpy as np
import pytest

from bench.tasks.kinds.kind import KINDS
from bench.tasks.metrics.metric import METRICS, scorer
from bench.tasks.predictions import Ranking, Rankings

NAMES = ("ndcg_at_10", "mrr_at_10", "recall_at_100")


def score(name, ranked, relevant):
    return METRICS.get(name).compute([ranked], [relevant])


def test_ndcg_by_hand_on_one_query():
    # Grades 3, 0, 1 at ranks 1 to 3; another document of grade 2 was not found.
    gain = 3 / math.log2(2) + 1 / math.log2(4)
    ideal = 3 / math.log2(2) + 2 / math.log2(3) + 1 / math.log2(4)
    assert score("ndcg_at_10", [3, 0, 1], [3, 2, 1]) == pytest.approx(gain / ideal)


def test_the_gain_is_the_grade_and_not_a_power_of_two():
    assert score("ndcg_at_10", [1, 3], [3, 1]) == pytest.approx((1 + 3 / math.log2(3)) / (3 + 1 / math.log2(3)))


def test_documents_beyond_the_tenth_count_for_neither_ndcg_nor_the_reciprocal_rank():
    late = [0] * 10 + [1]
    assert score("ndcg_at_10", late, [1]) == 0
    assert score("mrr_at_10", late, [1]) == 0
    assert score("recall_at_100", late, [1]) == 1
    assert score("mrr_at_10", [0] * 9 + [2], [2]) == pytest.approx(0.1)


def test_recall_counts_relevant_documents_among_the_first_hundred():
    assert score("recall_at_100", [0] * 99 + [1, 1], [1, 1, 1]) == pytest.approx(1 / 3)


@pytest.fixture(scope="module")
def judged():
    """Forty queries over 150 documents with grades 0 to 4, and rankings of them with distinct scores."""
    draws = random.Random(7)
    documents = [f"d{number}" for number in range(150)]
    truth, rankings = [], []
    for _ in range(40):
        relevant = draws.sample(documents, draws.randint(1, 12))
        truth.append({"documents": relevant, "grades": [draws.randint(1, 4) for _ in relevant]})
        order = sorted(documents, key=lambda uid, known=relevant: draws.random() - 0.3 * (uid in known))[:100]
        rankings.append(Ranking(tuple(order), tuple(float(100 - rank) for rank in range(100))))
    return Rankings(tuple(rankings)), truth


def test_metrics_of_rankings_equal_those_of_trec_eval(judged):
    pytrec_eval = pytest.importorskip("pytrec_eval")
    said, truth = judged
    qrels = {str(row): dict(zip(each["documents"], each["grades"], strict=True)) for row, each in enumerate(truth)}
    runs = {str(row): dict(zip(each.documents, each.scores, strict=True)) for row, each in enumerate(said.rankings)}
    ten = {row: dict(sorted(run.items(), key=lambda pair: -pair[1])[:10]) for row, run in runs.items()}
    full = pytrec_eval.RelevanceEvaluator(qrels, {"ndcg_cut.10", "recall.100"}).evaluate(runs)
    first = pytrec_eval.RelevanceEvaluator(qrels, {"recip_rank"}).evaluate(ten)
    expected = {
        "ndcg_at_10": np.mean([each["ndcg_cut_10"] for each in full.values()]),
        "mrr_at_10": np.mean([each["recip_rank"] for each in first.values()]),
        "recall_at_100": np.mean([each["recall_100"] for each in full.values()]),
    }
    for name in NAMES:
        compared = said.compared(truth)
        assert METRICS.get(name).compute(*compared) == pytest.approx(expected[name], abs=1e-9)
        assert METRICS.get(name).official().compute(predictions=compared[0], references=compared[1])[
            name
        ] == pytest.approx(expected[name], abs=1e-9)


def test_a_metric_of_chosen_queries_is_that_of_these_queries_alone(judged):
    said, truth = judged
    chosen = [3, 3, 8, 21]
    part = Rankings(tuple(said.rankings[row] for row in chosen))
    for name in NAMES:
        whole = scorer(name, said, truth)
        assert whole(np.array(chosen)) == pytest.approx(
            METRICS.get(name).compute(*part.compared([truth[row] for row in chosen]))
        )


def test_rankings_are_read_back_as_they_were_stored_and_are_of_no_other_form(judged):
    said, _ = judged
    assert Rankings.read(said.stored()) == said
    forms = {kind.predicts for _, kind in KINDS.items()}
    assert [form for form in forms if form.holds(said.stored()[0])] == [Rankings]


def test_the_agreement_of_rankings_is_their_first_document_and_the_overlap_of_ten():
    mine = Rankings((Ranking(tuple("abcdefghijkl"), (0.0,) * 12), Ranking(("a", "b"), (1.0, 0.5))))
    its = Rankings((Ranking(tuple("abcdefghiklj"), (0.0,) * 12), Ranking(("b", "a"), (1.0, 0.5))))
    found = mine.agreement(its)
    assert found["label_loyalty"] == 0.5
    assert found["ranking_overlap"] == pytest.approx((0.9 + 1) / 2)
    assert isinstance(found["fidelity_kl"], str)
