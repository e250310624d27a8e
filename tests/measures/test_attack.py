"""The attack: what it may never do, on classifiers that can be understood."""

import dataclasses
import json
import math
from types import SimpleNamespace

import pytest
import torch
from made_pairs import classes, given_pair, labelled, make_loaded, make_pair, make_task, missing
from pyarrow import parquet

from bench.measures.robustness.attack import WIDEST, Attack
from bench.measures.robustness.attacks.outcomes import Rate
from bench.measures.robustness.attacks.source import ATTACK_SOURCES, TypingSource
from bench.records.tables import write_tables
from bench.tasks.evaluate import Evaluator, Remembered, predict
from bench.tasks.examples import Example, TaskData

ATTACK = Attack()
GOOD, BAD = ("good", "great", "fun"), ("bad", "awful", "boring")


class BagOfWords(torch.nn.Module):
    """Sums a vector of two logits a token: good words speak for class 1, bad ones for class 0, others for nothing.

    A third number, equal for all tokens and ignored by the sum, keeps texts alike whose words differ.
    """

    def __init__(self, tokenizer, *, weight=2.0, lean=0.0):
        super().__init__()
        vocabulary = tokenizer.get_vocab()
        table = torch.zeros(len(vocabulary), 3)
        table[:, 2] = 9.0
        for words, label in ((GOOD, 1), (BAD, 0)):
            for word in words:
                table[vocabulary[word], label] = weight
        self.embedding = torch.nn.Embedding.from_pretrained(table)
        self.lean = torch.tensor([lean, 0.0])
        self.config = SimpleNamespace(vocab_size=len(vocabulary))

    def get_input_embeddings(self):
        return self.embedding

    def forward(self, input_ids, attention_mask, **_):
        counts = self.embedding(input_ids)[..., :2] * attention_mask[..., None]
        return SimpleNamespace(logits=counts.sum(1) + self.lean)


@pytest.fixture
def sentiment():
    """Twenty labelled reviews over the test vocabulary; one of them is mislabelled on purpose."""
    texts = [f"the film was {word} and the {noun}" for word in GOOD + BAD for noun in ("plot", "actor", "story")]
    rows = [Example(uid=str(n), text=text, label=int(n < 9)) for n, text in enumerate(texts)]
    rows += [Example(uid="18", text="good good good great fun", label=1), Example(uid="19", text="not good", label=0)]
    return tuple(rows)


@pytest.fixture(autouse=True)
def typing_errors_only(monkeypatch):
    """What a dictionary on this machine has to say changes nothing here; returns what undoes it."""
    known = dict(ATTACK_SOURCES.items())
    monkeypatch.setattr(ATTACK_SOURCES, "_plugins", {"typing-errors": known["typing-errors"]})
    return lambda: monkeypatch.setattr(ATTACK_SOURCES, "_plugins", known)


def rows(reading):
    """The table of the attack, one dictionary a row."""
    table = reading.tables["attack"]
    return [dict(zip(table, row, strict=True)) for row in zip(*table.values(), strict=True)]


def attack_pair(tokenizer, examples, *, artifact=None, reference=None, known=(), **more):
    task = make_task()
    data = TaskData(splits={"validation": examples}, origin="made", revision=None, generated=True)
    evaluator = Evaluator(task=task, data=data, max_length=32, token_budget=512, device="cpu", known=known)
    loaded = make_loaded("artifact", artifact or BagOfWords(tokenizer), tokenizer)
    beside = make_loaded("reference", reference or BagOfWords(tokenizer), tokenizer)
    return make_pair(task, evaluator, artifact=loaded, reference=beside, **more)


def test_a_budget_of_nothing_changes_nothing(tokenizer, sentiment):
    reading = ATTACK.read(attack_pair(tokenizer, sentiment, attack_queries=0))
    assert reading.values["attack_accuracy"] == reading.values["attack_clean_accuracy"] == 19 / 20
    assert reading.values["attack_success"] == reading.values["attack_queries"] == 0
    assert reading.values["attack_transfer_accuracy"] == 1
    assert reading.absent["attack_words"] == "no example was flipped"
    assert "was flipped for the reference" in reading.absent["attack_transfer_success"]
    assert missing(ATTACK, reading) == []
    table = rows(reading)
    assert {row["uid"]: row["text"] for row in table} == {
        row.uid: row.text if row.uid != "19" else None for row in sentiment
    }
    assert len(table) == 40


def test_every_rate_of_a_bag_of_words_is_known_beforehand(tokenizer, sentiment):
    """Losing its only good word leaves a text two equal logits, and so class 0; nothing turns class 0 into class 1.

    The last text is all good words, of which one may change.
    """
    reading = ATTACK.read(attack_pair(tokenizer, sentiment, is_reference=True, attack_queries=100))
    good, right = 9, 19
    assert reading.values["attack_success"] == reading.values["attack_typing_success"] == good / right
    assert reading.values["attack_accuracy"] == (right - good) / 20
    assert reading.values["attack_words"] == pytest.approx(1 / 7)


def test_typing_errors_and_other_words_are_attacks_of_their_own(tokenizer, sentiment, monkeypatch):
    """The one synonym of "good" says nothing to the model, as every typing error does; nothing else has a synonym."""

    class Story:
        kind = "word"

        def open(self, ground):
            return SimpleNamespace(of=lambda word: ["story"] if word == "good" else [])

    known = {"typing-errors": TypingSource, "story": Story}
    monkeypatch.setattr(ATTACK_SOURCES, "_plugins", known)
    reading = ATTACK.read(attack_pair(tokenizer, sentiment))
    assert reading.values["attack_word_success"] == 3 / 19
    assert reading.values["attack_typing_success"] == reading.values["attack_success"] == 9 / 19
    assert reading.conditions["sources"] == {"story": "word", "typing-errors": "typing"}
    row = next(row for row in rows(reading) if row["word_flipped"])
    assert row["text"] == row["word_text"] == "the film was story and the plot"
    assert row["typing_text"] not in (row["text"], None)
    other = next(row for row in rows(reading) if row["flipped"] and not row["word_flipped"])
    assert other["text"] == other["typing_text"]
    assert missing(ATTACK, reading) == []


def test_without_a_dictionary_typing_errors_go_on_and_the_rest_is_absent(
    tokenizer, sentiment, monkeypatch, tmp_path, typing_errors_only
):
    typing_errors_only()
    monkeypatch.setenv("BENCH_WORDNET", str(tmp_path))
    reading = ATTACK.read(attack_pair(tokenizer, sentiment))
    assert "Install Debian's package wordnet-base" in reading.absent["attack_word_success"]
    assert reading.values["attack_typing_success"] == reading.values["attack_success"] == 9 / 19
    assert list(reading.conditions["sources"]) == ["typing-errors"]
    assert set(reading.conditions["sources_missing"]) == {"wordnet", "embedding-neighbours"}
    (says,) = (says for code, says in reading.warnings if code == "attack-lacks-sources")
    assert "ran without embedding-neighbours, wordnet" in says
    assert missing(ATTACK, reading) == []


def test_the_record_says_which_attack_it_was(tokenizer, sentiment):
    conditions = ATTACK.read(attack_pair(tokenizer, sentiment)).conditions
    assert conditions["version"] == 2
    assert conditions["bound"]["least_cosine"] == 0.9
    assert conditions["bound"]["most_words_changed"] == 0.2


def test_a_constant_classifier_cannot_be_flipped(tokenizer, sentiment):
    constant = BagOfWords(tokenizer, weight=0.0, lean=1.0)
    reading = ATTACK.read(attack_pair(tokenizer, sentiment, artifact=constant))
    assert reading.values["attack_accuracy"] == reading.values["attack_clean_accuracy"] == 10 / 20
    assert reading.values["attack_success"] == reading.values["attack_success_common"] == 0
    assert reading.reference["attack_success"] > 0


def test_texts_that_flip_the_reference_are_replayed_on_the_artifact(tokenizer, sentiment):
    """The reference is attacked on 10 texts of class 1, of which 9 flip, and on 9 of class 0, of which none does."""

    def transfer(**artifact):
        reading = ATTACK.read(attack_pair(tokenizer, sentiment, artifact=BagOfWords(tokenizer, **artifact)))
        assert reading.reference["attack_success"] == 9 / 19
        assert reading.reference["attack_transfer_accuracy"] == pytest.approx(1 - 9 / 19)
        assert missing(ATTACK, reading) == []
        return reading

    always_one, always_zero = transfer(weight=0.0, lean=-1.0), transfer(weight=0.0, lean=1.0)
    assert always_one.values["attack_transfer_accuracy"] == 10 / 19
    assert always_one.values["attack_transfer_success"] == 0
    assert always_one.reference["attack_transfer_success"] == 1
    assert always_one.conditions["transferable"] == 9
    assert always_zero.values["attack_transfer_accuracy"] == 9 / 19
    assert "no example that the artifact had right" in always_zero.absent["attack_transfer_success"]
    leaning = transfer(lean=-0.1)  # says 1 where good and bad words are gone: wrong where the attack of class 0 failed
    assert leaning.values["attack_transfer_success"] == 0
    assert leaning.values["attack_transfer_accuracy"] == 10 / 19


@pytest.mark.parametrize("budget", [0, 8, 12, 100])
def test_the_reference_replayed_on_itself_ends_as_its_own_attack(tokenizer, sentiment, budget):
    apart = ATTACK.read(attack_pair(tokenizer, sentiment, attack_queries=budget))  # two copies, the texts scored again
    itself = ATTACK.read(attack_pair(tokenizer, sentiment, attack_queries=budget, is_reference=True))
    assert apart.values == itself.values == itself.reference
    assert apart.values["attack_transfer_accuracy"] == pytest.approx(1 - apart.values["attack_success"])
    assert apart.values.get("attack_transfer_success", 1) == 1
    assert [row["transfer_right"] for row in rows(apart)] == [
        None if row["flipped"] is None else not row["flipped"] for row in rows(apart)
    ]


def test_a_reference_that_is_never_right_has_no_texts_to_replay(tokenizer, sentiment):
    ones = tuple(row for row in sentiment if row.label == 1)
    wrong = BagOfWords(tokenizer, weight=0.0, lean=1.0)
    reading = ATTACK.read(attack_pair(tokenizer, ones, reference=wrong))
    assert reading.absent["attack_transfer_accuracy"].startswith("the reference had no sampled example right")
    assert reading.absent["attack_success_common"] == "no sampled example was right with both models"
    assert missing(ATTACK, reading) == []


def test_every_share_can_be_counted_again_from_the_table(tokenizer, sentiment):
    artifact, reference = BagOfWords(tokenizer, weight=0.5, lean=-1.2), BagOfWords(tokenizer, lean=-0.1)
    long = "bad awful boring" + 4 * " the film was"  # of 15 words three may change
    examples = (*sentiment, Example(uid="20", text=long, label=0))
    reading = ATTACK.read(attack_pair(tokenizer, examples, artifact=artifact, reference=reference, attack_examples=21))
    table = {side: [row for row in rows(reading) if row["side"] == side] for side in ("artifact", "reference")}
    mine, theirs = table["artifact"], table["reference"]
    assert [row["uid"] for row in mine] == [row["uid"] for row in theirs]
    attacked = [row for row in mine if row["right_before"]]
    common = [a for a, b in zip(mine, theirs, strict=True) if a["right_before"] and b["right_before"]]
    replayed = [a for a, b in zip(mine, theirs, strict=True) if b["right_before"]]
    carried = [a for a, b in zip(mine, theirs, strict=True) if a["right_before"] and b["flipped"]]
    assert 0 < len(common) < len(replayed)
    assert len(carried) > 0
    assert reading.values["attack_clean_accuracy"] == len(attacked) / 21
    assert reading.values["attack_accuracy"] == sum(not row["flipped"] for row in attacked) / 21
    assert reading.values["attack_success_common"] == sum(row["flipped"] for row in common) / len(common)
    assert reading.values["attack_transfer_accuracy"] == sum(row["transfer_right"] for row in replayed) / len(replayed)
    assert reading.values["attack_transfer_success"] == sum(row["transferred"] for row in carried) / len(carried)
    assert reading.values["attack_queries"] == sum(row["queries"] for row in attacked) / len(attacked)
    assert {row["split"] for row in mine} == {"validation"}
    assert any(b["flipped"] and not a["right_before"] for a, b in zip(mine, theirs, strict=True))
    assert all(row["transferred"] is None for row in mine if row not in carried)
    assert all(row["text"] is None for row in mine if not row["right_before"])


def test_a_text_is_kept_as_it_is(tokenizer):
    text = "<b>good</b>\t| film; =1+1"
    reading = ATTACK.read(attack_pair(tokenizer, (Example(uid="0", text=text, label=1),), attack_queries=0))
    assert reading.tables["attack"]["text"] == [text, text]


@pytest.mark.parametrize("budget", [0, 40])
def test_the_table_survives_being_written_with_its_gaps(tokenizer, sentiment, tmp_path, budget):
    reading = ATTACK.read(attack_pair(tokenizer, sentiment, attack_queries=budget))
    write_tables(tmp_path / "cell.json", [reading.tables])
    assert parquet.read_table(tmp_path / "cell.attack.parquet").to_pydict() == reading.tables["attack"]


def test_the_reference_is_attacked_once_for_all_cells_of_a_task(tokenizer, sentiment):
    first = attack_pair(tokenizer, sentiment)
    fresh = ATTACK.read(first)
    kept = [Remembered(*each) for each in json.loads(json.dumps(first.evaluator.known("reference")))]
    assert len(kept) == 1
    unusable = BagOfWords(tokenizer)
    unusable.forward = None
    second = attack_pair(tokenizer, sentiment, reference=unusable, known=kept)
    assert ATTACK.read(second) == fresh
    other = attack_pair(tokenizer, sentiment, reference=unusable, known=kept, attack_queries=99)
    with pytest.raises(TypeError):  # another budget is another attack
        ATTACK.read(other)


def test_a_larger_budget_never_leaves_more_accuracy(tokenizer, sentiment):
    budgets = (0, 3, 7, 8, 12, 16, 20, 40, 80, 200)
    left = [
        ATTACK.read(attack_pair(tokenizer, sentiment, attack_queries=budget)).values["attack_accuracy"]
        for budget in budgets
    ]
    assert left == sorted(left, reverse=True)
    assert left[0] == 19 / 20
    assert left[-1] < left[0]


def test_queries_are_the_texts_that_were_scored(tokenizer, sentiment, monkeypatch):
    scored = []

    def counting(model, tokenizer, examples, **options):
        scored.append(len(examples))
        return predict(model, tokenizer, examples, **options)

    monkeypatch.setattr("bench.tasks.evaluate.predict", counting)
    reading = ATTACK.read(attack_pair(tokenizer, sentiment, is_reference=True, attack_queries=30))
    assert reading.values["attack_queries"] * 19 == pytest.approx(sum(scored) - len(sentiment))
    assert reading.values["attack_queries"] <= 30
    assert len(scored) == 1 + max(row["queries"] or 0 for row in rows(reading))  # all examples side by side
    assert reading.reference == reading.values


def test_a_weaker_model_is_compared_on_the_common_examples(tokenizer, sentiment):
    weak = BagOfWords(tokenizer, weight=0.5, lean=3.0)
    reference = BagOfWords(tokenizer, lean=-0.1)
    reading = ATTACK.read(attack_pair(tokenizer, sentiment, artifact=weak, reference=reference))
    assert reading.conditions["common"] == 9
    assert reading.values["attack_success_common"] == reading.values["attack_success"] * 10 / 9 == 0
    assert reading.reference["attack_success_common"] == 1.0


def test_the_sample_follows_the_seed(tokenizer, sentiment):
    def clean(seed):
        reading = ATTACK.read(attack_pair(tokenizer, sentiment, attack_examples=5, attack_queries=0, seed=seed))
        return reading.values["attack_clean_accuracy"]

    assert clean(1) == clean(1)
    assert {clean(seed) for seed in range(8)} == {0.8, 1.0}


def test_the_second_text_of_a_pair_is_attacked(tokenizer, sentiment):
    pairs = tuple(dataclasses.replace(row, text="it is", pair=row.text) for row in sentiment)
    alone = ATTACK.read(attack_pair(tokenizer, sentiment))
    paired = ATTACK.read(attack_pair(tokenizer, pairs))
    assert paired.values == alone.values


def test_tasks_without_classes_and_hidden_labels_have_a_reason():
    task, said = make_task("regression", metrics=("pearson",)), {"validation": classes(0, 1)}
    reading = ATTACK.read(given_pair(task, {"validation": labelled([0.5, 1.0])}, said, said))
    assert "regression" in reading.absent["attack_accuracy"]
    assert missing(ATTACK, reading) == []
    reading = ATTACK.read(given_pair(make_task(), {"validation": labelled([None, None])}, said, said))
    assert set(reading.absent.values()) == {"the labels are hidden"}


def test_the_interval_of_a_share_is_wilsons():
    z = 1.959963984540054
    for hits, count in ((0, 10), (3, 10), (19, 20), (50, 50)):
        share, spread = hits / count, z * z / count
        centre = (share + spread / 2) / (1 + spread)
        half = math.sqrt(share * (1 - share) * spread + spread * spread / 4) / (1 + spread)
        found = Rate(hits, count).interval()
        assert found.middle == share
        assert (found.low, found.high) == pytest.approx((centre - half, centre + half), abs=1e-12)


def test_few_examples_are_flagged_with_their_interval_and_what_to_do(tokenizer, sentiment):
    reading = ATTACK.read(attack_pair(tokenizer, sentiment))
    low, high = reading.conditions["intervals"]["artifact"]["attack_accuracy"]
    assert low < reading.values["attack_accuracy"] < high
    (says,) = (says for code, says in reading.warnings if code == "few-attacked")
    assert f"20 sampled examples: its 95 % interval is {low:.2f} to {high:.2f}" in says
    assert "Raise measuring.attack_examples" in says


def test_a_hundred_examples_are_never_flagged(tokenizer, sentiment):
    many = tuple(dataclasses.replace(row, uid=f"{n}-{row.uid}") for n in range(5) for row in sentiment)
    reading = ATTACK.read(attack_pair(tokenizer, many, attack_examples=100, attack_queries=9))
    assert 0.3 < reading.values["attack_accuracy"] < 0.7
    assert "few-attacked" not in dict(reading.warnings)
    widths = [end.high - end.low for end in (Rate(hits, 100).interval() for hits in range(101))]
    assert max(widths) < WIDEST


def test_intervals_are_given_for_the_shares_that_have_a_value(tokenizer, sentiment):
    reading = ATTACK.read(attack_pair(tokenizer, sentiment, attack_queries=0))
    given = reading.conditions["intervals"]["artifact"]
    assert set(given) == set(reading.values) - {"attack_queries"}
    assert given["attack_success"][0] == pytest.approx(0, abs=1e-12)
