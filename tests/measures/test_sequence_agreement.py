"""Quality, agreement and stored predictions of translation and language modelling."""

import json
import math
from types import SimpleNamespace

import numpy as np
import pytest
from families import make
from made_pairs import GivenPredictions, make_loaded, make_pair, missing
from made_sequences import joint_tokenizer, sequence_task, tiny_gpt2

from bench.measures.agreement.agreement import Agreement
from bench.measures.agreement.next_tokens import compare_next_tokens
from bench.measures.agreement.recompute import recompute
from bench.measures.base.measure import Reading
from bench.measures.quality.quality import Quality
from bench.measures.robustness.attack import Attack
from bench.measures.robustness.robustness import Robustness
from bench.records.record import Record, write_record
from bench.records.tables import read_table, write_tables
from bench.spec.suite import Task
from bench.tasks.evaluate import Evaluator
from bench.tasks.examples import Example, TaskData
from bench.tasks.prediction_tables import read_predictions
from bench.tasks.predictions import WrittenAnswers

TARGETS = ("one two three four", "five six seven eight", "one three five seven", "two four six eight ten")
ARTIFACT = ("one two three four", "five six seven", "one three five five", "two four six eight")
REFERENCE = ("one two three four", "five six seven eight", "one three five five", "two four six eight")


class Sequences(GivenPredictions):
    """Given texts, which are not cut."""

    def predict(self, loaded, split, limit=None):
        return self._predictions[loaded.content_hash, split]


def translation_pair():
    examples = {
        "validation": tuple(Example(uid=str(n), text="ka lo", target=target) for n, target in enumerate(TARGETS))
    }
    said = {
        ("artifact", "validation"): WrittenAnswers(ARTIFACT),
        ("reference", "validation"): WrittenAnswers(REFERENCE),
    }
    task = sequence_task("translation")
    sides = {name: make_loaded(name, None, joint_tokenizer()) for name in ("artifact", "reference")}
    return make_pair(task, Sequences(task, examples, said), **sides)


def language_pair(*, artifact=None, splits=("validation",), **more):
    generator = np.random.default_rng(0)
    examples = {
        split: tuple(
            Example(uid=f"{split}{n}", text=" ".join(generator.choice(["ka", "lo", "mi"], size=5))) for n in range(30)
        )
        for split in (*splits, "ood")
    }
    task = sequence_task("language_modelling", evaluate=splits, **more)
    data = TaskData(splits=examples, origin="made", revision=None, generated=True)
    evaluator = Evaluator(task=task, data=data, max_length=16, token_budget=256, device="cpu")
    tokenizer = joint_tokenizer()
    sides = {
        "artifact": make_loaded("artifact", artifact or tiny_gpt2(1, std=0.2), tokenizer),
        "reference": make_loaded("reference", tiny_gpt2(0, std=0.2), tokenizer),
    }
    return make_pair(task, evaluator, **sides)


def masked_pair(tokenizer, *, splits=("validation",)):
    generator = np.random.default_rng(0)
    words = ["the", "film", "was", "good", "bad", "story"]
    examples = {
        split: tuple(Example(uid=f"{split}{n}", text=" ".join(generator.choice(words, size=5))) for n in range(30))
        for split in splits
    }
    task = Task(
        name="made",
        kind="masked_language_modelling",
        metrics=("perplexity",),
        data={"source": "s", "subset": "t"},
        evaluate=splits,
    )
    data = TaskData(splits=examples, origin="made", revision=None, generated=True)
    evaluator = Evaluator(task=task, data=data, max_length=16, token_budget=256, device="cpu")
    sides = {
        name: make_loaded(name, make("bert", "masked-language-modelling", seed=seed), tokenizer)
        for seed, name in enumerate(("artifact", "reference"))
    }
    return make_pair(task, evaluator, **sides)


def recorded(tmp_path, pair, *measures):
    readings = {measure.name: measure.read(pair) for measure in measures}
    assert [missing(measure, readings[measure.name]) for measure in measures] == [[] for _ in measures]
    texts = ("key", "suite", "task", "task_kind", "model", "recipe", "recipe_base", "family", "setting_id")
    path = tmp_path / "a.json"
    record = Record.model_validate(
        {
            **dict.fromkeys(texts, "made"),
            "stages": (),
            "setting": {},
            "machine": {},
            "samples": {},
            "warnings": (),
            "spans_s": {},
            "suite_version": 1,
            "generated": True,
            "task_version": 1,
            "seed": 0,
            "machine_id": "made",
            "created": "2026-01-01T00:00:00+00:00",
            "values": {name: value for part in readings.values() for name, value in part.values.items()},
            "reference": {},
            "absent": {},
            "conditions": json.loads(json.dumps({name: part.conditions for name, part in readings.items()})),
            "provenance": {"tables": write_tables(path, [part.tables for part in readings.values()])},
        }
    )
    write_record(path, record)
    return path, record, readings


def test_translations_are_stored_and_give_every_number_again(tmp_path):
    path, record, readings = recorded(tmp_path, translation_pair(), Quality(), Agreement())
    seen = read_predictions(path)["validation"]
    assert (seen.truth, seen.artifact.answers, seen.reference.answers) == (TARGETS, ARTIFACT, REFERENCE)
    expected = {name: record.values[name] for name in ("bleu", "quality", "label_loyalty")}
    assert recompute(path) == pytest.approx(expected, abs=1e-12)
    assert record.values["quality"] == record.values["bleu"] < readings["quality"].reference["bleu"]
    assert record.values["label_loyalty"] == 3 / 4
    assert 0.5 < readings["agreement"].conditions["bleu_against_reference"] < 1
    assert readings["quality"].conditions["scored"]["validation"]["bleu_signature"]
    assert record.values["retention"] == record.values["bleu"] / readings["quality"].reference["bleu"]
    assert record.values["drop_low"] <= record.values["drop"] <= record.values["drop_high"]


def test_losses_are_stored_and_give_every_number_again(tmp_path):
    path, record, readings = recorded(tmp_path, language_pair(splits=("a", "b")), Quality(), Agreement())
    found = recompute(path)
    expected = ("perplexity", "quality", "label_loyalty", "fidelity_kl")
    assert found == pytest.approx({name: record.values[name] for name in expected}, rel=1e-12)
    stored = read_predictions(path)["a"].artifact.losses
    assert stored[:, 1].tolist() == [6.0] * 30
    by_split = readings["quality"].conditions["by_split"]["artifact"]
    assert by_split["a"]["perplexity"] == pytest.approx(math.exp(stored[:, 0].sum() / 180))
    qualities = [1 / by_split[split]["perplexity"] for split in ("a", "b")]
    assert record.values["quality"] == pytest.approx(sum(qualities) / 2)
    assert readings["quality"].conditions["scored"]["a"]["vocabulary"] == 20


def test_masked_places_are_stored_and_give_every_number_again(tmp_path, tokenizer):
    pair = masked_pair(tokenizer, splits=("a", "b"))
    path, record, readings = recorded(tmp_path, pair, Quality(), Agreement())
    expected = ("perplexity", "quality", "label_loyalty", "fidelity_kl")
    assert recompute(path) == pytest.approx({name: record.values[name] for name in expected}, rel=1e-12)
    seen = read_predictions(path)["a"]
    assert np.array_equal(seen.artifact.losses[:, 1], seen.reference.losses[:, 1])  # the same places for both
    assert not np.array_equal(seen.artifact.losses[:, 0], seen.reference.losses[:, 0])
    places = sum(read_predictions(path)[split].artifact.losses[:, 1].sum() for split in ("a", "b"))
    assert len(read_table(path, "next_tokens")["same"]) == places
    conditions = readings["agreement"].conditions
    assert conditions["label_loyalty"] == "share of chosen tokens for which both models have the same most likely token"
    assert conditions["next_tokens"].endswith("from the first 128 blocks of each split")
    scored = readings["quality"].conditions["scored"]["a"]
    assert (scored["vocabulary"], scored["predicted_tokens"]) == (26, seen.artifact.losses[:, 1].sum())
    assert record.values["drop_low"] < record.values["drop"] < record.values["drop_high"]
    assert "fidelity_kl_train" in readings["agreement"].absent


def test_retention_of_one_text_is_the_inverse_quotient_of_perplexities():
    reading = Quality().read(language_pair())
    assert reading.values["retention"] == pytest.approx(reading.reference["perplexity"] / reading.values["perplexity"])
    assert reading.values["quality_low"] < reading.values["quality"] < reading.values["quality_high"]


def test_next_tokens_are_compared_by_brute_force(tmp_path):
    import torch

    pair = language_pair()
    path, record, _ = recorded(tmp_path, pair, Agreement())
    stream = [3]
    for example in pair.evaluator.examples("validation"):
        stream += [*pair.reference.tokenizer.convert_tokens_to_ids(example.text.split()), 3]
    length = pair.setting.max_length
    divergences, same = [], []
    for first in range(0, len(stream) - 1, length - 1):
        ids = torch.tensor([stream[first : first + length]])
        with torch.no_grad():
            mine, theirs = (
                side.model(input_ids=ids).logits[0, :-1].softmax(-1) for side in (pair.artifact, pair.reference)
            )
        divergences += [float((q * (q / p).log()).sum()) for p, q in zip(mine, theirs, strict=True)]
        same += [bool(p.argmax() == q.argmax()) for p, q in zip(mine, theirs, strict=True)]
    assert record.values["fidelity_kl"] == pytest.approx(np.mean(divergences), rel=1e-4)
    assert record.values["label_loyalty"] == pytest.approx(np.mean(same))
    assert len(read_table(path, "next_tokens")["same"]) == len(stream) - 1


def test_a_model_agrees_with_itself():
    pair = language_pair(artifact=tiny_gpt2(0, std=0.2))
    reading = Agreement().read(pair)
    assert (reading.values["fidelity_kl"], reading.values["label_loyalty"]) == (0.0, 1.0)
    assert missing(Agreement(), reading) == []


def test_models_of_different_vocabularies_are_not_compared():
    sides = {"artifact": SimpleNamespace(tokenizer=range(7)), "reference": SimpleNamespace(tokenizer=range(8))}
    found = compare_next_tokens(Reading(), SimpleNamespace(**sides))
    assert set(found) == {"label_loyalty", "probability_loyalty", "fidelity_kl", "output_correlation"}
    assert all("different vocabularies" in reason for reason in found.values())


def test_what_makes_no_sense_is_absent_with_a_reason():
    translated = translation_pair()
    for measure, pair in ((Attack(), translated), (Attack(), language_pair()), (Robustness(), translated)):
        reading = measure.read(pair)
        assert missing(measure, reading) == []
        assert reading.values == {}
    assert "class probabilities" in Quality().read(translated).absent["calibration_ece"]


def test_a_shifted_text_has_a_gap_in_quality():
    reading = Robustness().read(language_pair(ood=("ood",)))
    assert missing(Robustness(), reading) == []
    assert 0 < reading.values["ood_quality"] < 1
    assert len(reading.tables["shifted"]["uid"]) == 30
