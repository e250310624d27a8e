from types import SimpleNamespace

import numpy as np
import pytest
import torch
from made_terms import guided

from bench.artifacts.artifact import load, save
from bench.artifacts.manifest import Manifest
from bench.base.errors import DataError
from bench.models.heads import from_config
from bench.spec.setting import Training
from bench.spec.suite import Task
from bench.tasks import outputs
from bench.tasks.batching import collate
from bench.tasks.evaluate import Evaluator, predict
from bench.tasks.examples import CORPUS, Example, TaskData
from bench.tasks.kinds.kind import KINDS
from bench.tasks.outputs import vectors
from bench.tasks.predictions import Rankings
from bench.training.loop import train
from bench.training.terms.teacher import Teacher

KIND = KINDS.get("retrieval")
TASK = Task(
    name="made",
    kind="retrieval",
    metrics=("ndcg_at_10", "mrr_at_10", "recall_at_100"),
    data={"source": "retrieval", "subset": "made"},
    evaluate=("test",),
)
OPTIONS = {"task": TASK, "max_length": 16, "token_budget": 256, "device": "cpu"}
WORDS = ("film", "plot", "actor", "good", "bad", "awful", "great", "boring", "fun", "story")


def pair(query, document, uid):
    return Example(uid=f"{query}/{uid}", text=query, pair=document, relevant=((uid, 1),))


DOCUMENTS = tuple(Example(uid=f"d{row}", text=f"the {word} was {word}") for row, word in enumerate(WORDS))
QUERIES = tuple(
    Example(uid=f"q{row}", text=f"is it {word}", relevant=((f"d{row}", 2),)) for row, word in enumerate(WORDS)
)
PAIRS = tuple(pair(query.text, document.text, document.uid) for query, document in zip(QUERIES, DOCUMENTS, strict=True))
DATA = TaskData(
    splits={"train": PAIRS, "test": QUERIES, CORPUS: DOCUMENTS}, origin="made", revision=None, generated=True
)


@pytest.fixture
def encoder(tiny_bert):
    def build(seed=0, **settings):
        config = tiny_bert().config
        config.update({"embedding_pooling": "mean", "embedding_similarity": "cosine", **settings})
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            return from_config(config, "embedding").eval()

    return build


def encoded(examples, tokenizer, training=True):
    return KIND.encode(examples, tokenizer, task=TASK, max_length=16, training=training)


def test_a_training_pair_is_a_query_and_a_document_that_are_read_one_by_one(tokenizer):
    features = encoded(PAIRS[:3], tokenizer)
    batch = collate(features, pad_id=0)
    assert batch.groups == (2, 2, 2)
    assert batch.inputs["input_ids"].shape[0] == 6
    assert tokenizer.decode(batch.inputs["input_ids"][3], skip_special_tokens=True) == PAIRS[1].pair


def made_outputs(queries, documents, scale=2.0):
    """Outputs of a model that gave these vectors, query and document in turns."""
    rows = [vector for both in zip(queries, documents, strict=True) for vector in both]
    return SimpleNamespace(logits=torch.tensor(rows), scale=torch.tensor(scale))


def test_the_loss_is_cross_entropy_over_the_documents_of_the_batch():
    found = made_outputs([[1.0, 0.0], [0.0, 1.0]], [[1.0, 0.5], [0.25, 1.0]])
    targets = {"queries": torch.tensor([0, 2]), "documents": torch.tensor([1, 3])}
    scores = 2 * np.array([[1.0, 0.25], [0.5, 1.0]])
    expected = np.mean([np.log(np.exp(row).sum()) - row[place] for place, row in enumerate(scores)])
    assert KIND.loss(found, targets).item() == pytest.approx(expected)


def test_other_documents_of_a_query_and_the_same_document_are_no_negative_examples():
    found = made_outputs([[1.0], [1.0], [3.0]], [[1.0], [5.0], [1.0]], scale=1.0)
    targets = {"queries": torch.tensor([0, 0, 7]), "documents": torch.tensor([1, 2, 1])}
    batch = SimpleNamespace(targets=targets)
    (scores,) = KIND.logits(found, batch)
    lowest = torch.finfo(torch.float32).min
    assert scores.tolist() == [[1, lowest, lowest], [lowest, 5, 1], [lowest, 15, 3]]
    assert torch.isfinite(KIND.loss(found, targets))


def test_a_training_example_without_a_document_is_named(tokenizer):
    with pytest.raises(DataError, match="q3 has no document"):
        encoded(QUERIES[3:4], tokenizer)


def test_every_query_gets_the_documents_in_the_order_of_their_scores(encoder, tokenizer):
    model = encoder()
    found = predict(model, tokenizer, QUERIES, corpus=DOCUMENTS, **OPTIONS)
    assert isinstance(found, Rankings)
    asked, known = (vectors(model, tokenizer, texts, **OPTIONS) for texts in (QUERIES, DOCUMENTS))
    scores = asked @ known.T
    for row, ranking in enumerate(found.rankings):
        order = np.argsort(-scores[row], kind="stable")
        assert ranking.documents == tuple(f"d{place}" for place in order)
        assert np.allclose(ranking.scores, scores[row][order], atol=1e-6)


def test_vectors_are_the_same_in_portions_and_in_a_file(encoder, tokenizer, monkeypatch):
    model = encoder()
    whole = vectors(model, tokenizer, DOCUMENTS, **OPTIONS)
    monkeypatch.setattr(outputs, "_PORTION", 3)
    monkeypatch.setattr(outputs, "_IN_MEMORY", 0)
    parts = vectors(model, tokenizer, DOCUMENTS, **OPTIONS)
    assert isinstance(parts, np.memmap)
    assert np.allclose(parts, whole, atol=1e-6)


def test_training_examples_are_answered_from_their_own_documents(encoder, tokenizer):
    found = predict(encoder(), tokenizer, PAIRS[:4], **OPTIONS)
    assert {uid for ranking in found.rankings for uid in ranking.documents} == {"d0", "d1", "d2", "d3"}


@pytest.fixture
def trained(encoder, tokenizer):
    model = encoder()
    plan = Training(epochs=30, batch_size=10, learning_rate=2e-3, warmup=0.1)
    log = train(model, encoded(PAIRS, tokenizer), kind=KIND, pad_id=0, plan=plan, seed=0, device="cpu")
    return model, log


def test_a_bi_encoder_learns_which_document_belongs_to_a_query(trained, encoder, tokenizer):
    model, log = trained
    assert log.losses[-1] < 0.5 * log.losses[0]

    def score(each):
        return KIND.score(predict(each, tokenizer, QUERIES, corpus=DOCUMENTS, **OPTIONS), QUERIES, TASK.metrics)

    assert score(model)["ndcg_at_10"] > score(encoder())["ndcg_at_10"]
    assert score(model)["mrr_at_10"] > 0.8


def test_the_teacher_of_a_distillation_sees_the_same_batch(trained, encoder, tokenizer):
    model, _ = trained
    teacher = Teacher(model)
    batch = collate(encoded(PAIRS, tokenizer), pad_id=0, rows=[4, 1, 7])
    objective = guided({"logits": 1.0}, teacher)
    itself = objective.loss(model, batch, model(**batch.inputs), KIND)
    assert itself.item() == pytest.approx(0.0, abs=1e-6)
    other = encoder(seed=3)
    assert objective.loss(other, batch, other(**batch.inputs), KIND).item() > 0.01


def test_the_corpus_is_encoded_once_per_model(encoder, tokenizer, tmp_path, monkeypatch):
    save(encoder(), tmp_path / "artifact", tokenizer=tokenizer, made=Manifest(title="a bi-encoder"))
    loaded = load(tmp_path / "artifact")
    evaluator = Evaluator(task=TASK, data=DATA, max_length=16, token_budget=256, device="cpu")
    first = evaluator.predict(loaded, "test")
    index = evaluator.index(loaded)
    assert index.vectors.shape == (len(DOCUMENTS), 32)
    assert evaluator.index(loaded) is index
    assert evaluator.seconds >= index.seconds
    told = Evaluator(
        task=TASK,
        data=DATA,
        max_length=16,
        token_budget=256,
        device="cpu",
        known=evaluator.known(loaded.content_hash),
    )
    assert told.predict(loaded, "test") == first
    assert evaluator.score(loaded, "test").keys() == set(TASK.metrics)


def test_a_query_without_relevant_documents_is_hidden_and_not_a_zero():
    lacking = (Example(uid="q", text="is it good"),)
    with pytest.raises(DataError, match="have no relevant documents"):
        KIND.known_truths(lacking)
