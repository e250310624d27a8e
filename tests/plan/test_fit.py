"""What is found out of model, tokenizer and texts before anything is trained."""

import json

import pytest
from families import make

from bench.artifacts.source import open_source
from bench.base.errors import ModelError
from bench.models.tokenizer import write_tokenizer
from bench.plan.fit import REFUSE_ABOVE, WARN_ABOVE, examine, unread_share
from bench.spec.suite import Suite, Task, validated
from bench.tasks.examples import Example, TaskData

KNOWN = "good film"


def suite(max_length=32, length=16):
    task = {"name": "t", "kind": "classification", "labels": ["a", "b"], "metrics": ["accuracy"]}
    data = {
        "name": "s",
        "title": "S",
        "setting": {"max_length": max_length, "measuring": {"country": "USA", "length": length}},
        "tasks": [{**task, "data": {"source": "generated", "subset": "x"}}],
    }
    return validated(Suite, data, where="s.toml")


def read(chosen, texts, pairs=None) -> list[tuple[Task, TaskData]]:
    pairs = pairs or [None] * len(texts)
    examples = tuple(
        Example(uid=str(row), text=text, pair=pair, label=0)
        for row, (text, pair) in enumerate(zip(texts, pairs, strict=True))
    )
    half = max(1, len(examples) // 2)
    splits = {"train": examples[:half], "validation": examples[half:]}
    return [(chosen.tasks[0], TaskData(splits=splits, origin="here", revision=None, generated=True))]


@pytest.fixture
def source(tmp_path, tokenizer):
    """A function that opens a tiny checkpoint, with settings of its tokenizer changed."""

    def build(family="bert", tokens=None, **settings):
        make(family, labels=2, **settings).save_pretrained(tmp_path / "m")
        write_tokenizer(tokenizer, tmp_path / "m")
        path = tmp_path / "m" / "tokenizer_config.json"
        given = {"model_input_names": ["input_ids", "token_type_ids", "attention_mask"]}
        found = {**json.loads(path.read_text()), **given, **(tokens or {})}
        path.write_text(json.dumps({key: value for key, value in found.items() if value is not None}))
        return open_source(str(tmp_path / "m"))

    return build


def test_unread_shares_count_unknown_tokens_and_the_characters_in_them(tokenizer):
    found = unread_share(tokenizer, ["good film", "zzzzzz film", "  "])
    assert found == (1 / 4, pytest.approx(6 / 18), 3)
    assert unread_share(tokenizer, []) == (0, 0, 0)


def test_characters_that_a_tokenizer_drops_without_a_word_are_unread():
    from tokenizers import Tokenizer
    from tokenizers.models import BPE
    from transformers import PreTrainedTokenizerFast

    inner = Tokenizer(BPE(vocab={"a": 0, "b": 1}, merges=[]))
    found = unread_share(PreTrainedTokenizerFast(tokenizer_object=inner), ["abxx"])
    assert (found.tokens, found.characters) == (0, 0.5)


def test_a_model_that_fits_is_described_and_nothing_is_said(source):
    chosen = suite()
    fit = examine(source(), chosen, read(chosen, [KNOWN] * 4), called="m")
    assert fit.warnings == ()
    assert fit.conditions == {
        "tokenizer_entries": 26,
        "embedding_rows": 40,
        "positions": 40,
        "segment_ids": "given",
        "unknown_tokens": 0,
        "unread_characters": 0,
        "texts_read": 4,
    }


def share_of_unknown(share, count=100):
    return [("zzzz" if row < round(share * count) else "good") for row in range(count)]


@pytest.mark.parametrize(
    ("share", "warned"), [(0, False), (WARN_ABOVE, False), (WARN_ABOVE + 0.01, True), (REFUSE_ABOVE, True)]
)
def test_unknown_tokens_above_the_stated_share_are_a_warning(share, warned, source):
    chosen = suite()
    fit = examine(source(), chosen, read(chosen, share_of_unknown(share)), called="m")
    assert fit.conditions["unknown_tokens"] == pytest.approx(share)
    assert [code for code, _ in fit.warnings] == ["unknown-tokens"] * warned
    if warned:
        says = fit.warnings[0][1]
        assert f"{share:.1%} of the tokens of t are unknown to the tokenizer of m" in says
        assert "/" not in says  # a record holds no path of the machine


def test_hardly_any_known_token_is_an_error_with_both_sizes(source):
    chosen = suite()
    message = r"91\.0% of the tokens.*26 entries, the embedding 40 rows"
    with pytest.raises(ModelError, match=message):
        examine(source(), chosen, read(chosen, share_of_unknown(REFUSE_ABOVE + 0.01)))


def test_the_evaluation_texts_are_read_as_well(source):
    chosen = suite()
    fit = examine(source(), chosen, read(chosen, ["good"] * 5 + ["zzzz"] * 5))
    assert fit.conditions["unknown_tokens"] == 0.5


def test_a_tokenizer_without_padding_is_refused(source):
    chosen = suite()
    with pytest.raises(ModelError, match=r'no padding token.*"pad_token"'):
        examine(source(tokens={"pad_token": None}), chosen, read(chosen, [KNOWN] * 2))


def test_an_id_beyond_the_embedding_is_refused_with_both_numbers(source):
    chosen = suite()
    with pytest.raises(ModelError, match="the highest with the id 25, but the embedding has 25 rows"):
        examine(source(vocab_size=25), chosen, read(chosen, [KNOWN] * 2))


@pytest.mark.parametrize(("family", "most"), [("bert", 40), ("roberta", 38)])
def test_lengths_beyond_the_positions_are_refused_before_training(family, most, source):
    model = source(family, pad_token_id=1 if family == "roberta" else 0)
    fits, texts = suite(max_length=most, length=most), [KNOWN] * 2
    assert examine(model, fits, read(fits, texts)).conditions["positions"] == most
    long = suite(max_length=most + 1)
    with pytest.raises(ModelError, match=rf"max_length {most + 1}.*at most {most}.*--set max_length={most}"):
        examine(model, long, read(long, texts))
    measured = suite(length=most + 1)
    with pytest.raises(ModelError, match=rf"measuring\.length is {most + 1}.*--set measuring\.length={most}"):
        examine(model, measured, read(measured, texts))


def test_a_task_with_its_own_length_names_its_own_key_and_so_does_one_that_is_only_trained_on(source):
    chosen = suite()
    long = chosen.tasks[0].model_copy(update={"name": "other", "max_length": 41})
    with pytest.raises(ModelError, match=r"--set other\.max_length=40"):
        examine(source(), chosen, read(chosen, [KNOWN] * 2), also=[long])


@pytest.mark.parametrize(("name", "most"), [("demo-bert", 128), ("demo-transformer", 128)])
def test_a_built_in_model_is_held_to_its_positions(name, most):
    chosen = suite(max_length=most + 1)
    with pytest.raises(ModelError, match=f"at most {most} tokens"):
        examine(open_source(name), chosen, read(chosen, [KNOWN] * 2))


def test_a_recurrent_model_reads_texts_of_any_length():
    chosen = suite(max_length=4000)
    assert examine(open_source("demo-lstm"), chosen, read(chosen, [KNOWN] * 2)).conditions["positions"] is None


def test_padding_that_is_not_the_models_own_is_a_warning(source):
    chosen = suite()
    fit = examine(source("roberta", pad_token_id=1, type_vocab_size=1), chosen, read(chosen, [KNOWN] * 2), called="m")
    assert [code for code, _ in fit.warnings] == ["padding-differs"]
    assert "token 1 ('[UNK]')" in fit.warnings[0][1]
    assert fit.segments == "left out"


@pytest.mark.parametrize("pairs", [None, ["bad film"] * 2])
def test_segments_that_the_tokenizer_cannot_tell_apart_are_a_warning_for_pairs(pairs, source, tmp_path):
    model, chosen = source(), suite()
    path = tmp_path / "m" / "tokenizer.json"
    path.write_text(path.read_text().replace('"type_id":1', '"type_id":0'))
    fit = examine(model, chosen, read(chosen, [KNOWN] * 2, pairs))
    assert [code for code, _ in fit.warnings] == (["no-segment-ids"] if pairs else [])


def test_a_segment_that_the_model_lacks_is_refused(source, tmp_path):
    model, chosen = source(), suite()
    path = tmp_path / "m" / "tokenizer.json"
    text = path.read_text()
    changed = text.replace('{"SpecialToken":{"id":"[CLS]","type_id":0}}', '{"SpecialToken":{"id":"[CLS]","type_id":2}}')
    assert changed != text
    path.write_text(changed)
    with pytest.raises(ModelError, match="segment id 2, but the model has only 2"):
        examine(model, chosen, read(chosen, [KNOWN] * 2, ["bad"] * 2))
