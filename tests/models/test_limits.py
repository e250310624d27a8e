"""The bounds that a configuration states are those at which the model itself breaks."""

import json

import pytest
import torch
from architectures import ARCHITECTURES, make_model
from families import ENCODERS, WITHOUT_SEGMENTS, make
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerFast

from bench.artifacts.source import open_source
from bench.base.errors import ModelError
from bench.measures.base.inputs import made_inputs
from bench.models.limits import choose_segments, limits_of, positions_of
from bench.models.tokenizer import write_tokenizer
from bench.tasks.greedy import decoder_positions


def skipped(family, padding):
    """The token from which a family counts positions."""
    return 1 if family == "mpnet" else padding if "roberta" in family else None


@pytest.mark.parametrize("padding", [0, 1, 3])
@pytest.mark.parametrize("family", ENCODERS)
def test_positions_are_as_many_as_the_model_reads(family, padding):
    model = make(family, pad_token_id=padding)
    positions = positions_of(model.config)
    assert positions == 40 - (skipped(family, padding) + 1 if skipped(family, padding) is not None else 0)
    ids = torch.full((1, positions + 1), 7)
    model(input_ids=ids[:, :-1])
    if family in ("deberta-v2", "modernbert"):
        model(input_ids=ids)  # no table ends: the limit is what such a model is trained for
        return
    with pytest.raises((IndexError, RuntimeError)):
        model(input_ids=ids)


def test_made_inputs_and_decoding_keep_to_the_positions_of_roberta():
    model = make("roberta", pad_token_id=1)
    assert decoder_positions(model) == 38
    assert made_inputs(model, 40, batch_size=1, length=38, device="cpu", seed=0)["input_ids"].shape == (1, 38)
    with pytest.raises(ModelError, match=r"39 tokens.*at most 38"):
        made_inputs(model, 40, batch_size=1, length=39, device="cpu", seed=0)


@pytest.mark.parametrize(
    ("name", "positions"),
    [("marian", 40), ("encoder-decoder", 40), ("bench-lstm-seq2seq", None), ("bench-lstm-lm", None)],
)
def test_the_limits_of_other_architectures(name, positions):
    assert name in ARCHITECTURES
    limits = limits_of(make_model(name).config)
    assert (limits.rows, limits.positions, limits.segments) == (40, positions, 0)


@pytest.mark.parametrize("family", ENCODERS)
def test_segments_are_as_many_as_the_model_tells_apart(family):
    config = make(family).config
    assert limits_of(config).segments == (0 if family in WITHOUT_SEGMENTS else 2)
    assert limits_of(config).padding_id == skipped(family, 0)


def with_tokenizer(tokenizer, *, gives: bool, template: bool = True):
    """A copy of `tokenizer` that gives segment ids or not, and whose template knows two segments or one."""
    from tokenizers import Tokenizer

    inner = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    if not template:
        inner.post_processor = TemplateProcessing(
            single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
        )
    names = ["input_ids", "attention_mask", *(["token_type_ids"] if gives else [])]
    special = {f"{key}_token": f"[{key.upper()}]" for key in ("pad", "unk", "cls", "sep", "mask")}
    return PreTrainedTokenizerFast(tokenizer_object=inner, model_input_names=names, **special)


@pytest.mark.parametrize(
    ("family", "settings", "gives", "template", "choice"),
    [
        ("bert", {}, True, True, "given"),
        ("bert", {}, False, True, "added"),
        ("bert", {}, True, False, "none"),
        ("bert", {}, False, False, "none"),
        ("roberta", {"type_vocab_size": 1}, True, True, "left out"),
        ("roberta", {"type_vocab_size": 1}, False, True, "none"),
        ("distilbert", {}, True, True, "left out"),
    ],
)
def test_a_model_is_given_the_segments_that_it_has(family, settings, gives, template, choice, tokenizer, tmp_path):
    model = make(family, labels=2, **settings)
    model.save_pretrained(tmp_path / "m")
    write_tokenizer(with_tokenizer(tokenizer, gives=gives, template=template), tmp_path / "m")
    source = open_source(str(tmp_path / "m"))
    assert choose_segments(source.stored_tokenizer(), source.limits()) == choice
    encoded = source.tokenizer(list)("good film", "bad", return_tensors="pt")
    expected = {"given": True, "added": True, "left out": False, "none": gives}[choice]
    assert ("token_type_ids" in encoded) == expected
    if choice in ("given", "added"):
        assert encoded["token_type_ids"].tolist() == [[0, 0, 0, 0, 1, 1]]
    with torch.inference_mode():
        logits = model(**encoded).logits
        plain = model(input_ids=encoded["input_ids"]).logits
    assert torch.equal(logits, plain) == (choice in ("left out", "none"))


def test_a_tokenizer_of_special_tokens_alone_is_refused_with_both_sizes(tmp_path):
    make("bert", vocab_size=86).save_pretrained(tmp_path / "m")
    (tmp_path / "m" / "spiece.model").write_text("x", encoding="utf-8")
    with pytest.raises(ModelError, match=r"the tokenizer has 5 entries.*the embedding has 86 rows"):
        open_source(str(tmp_path / "m")).tokenizer(list)


@pytest.mark.parametrize("words", ["", "[PAD]\nthe\n"])
def test_an_empty_vocabulary_and_one_without_its_unknown_token_are_refused(words, tmp_path):
    make("bert").save_pretrained(tmp_path / "m")
    (tmp_path / "m" / "vocab.txt").write_text(words, encoding="utf-8")
    settings = {"tokenizer_class": "BertTokenizer"}
    (tmp_path / "m" / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    with pytest.raises(ModelError, match="a check before training failed"):
        open_source(str(tmp_path / "m")).tokenizer(list)
