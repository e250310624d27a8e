"""Translation: what is encoded, what is learnt, what is written, and how it is scored."""

import hashlib
import random
from types import SimpleNamespace

import pytest
from made_sequences import SOURCE, TARGET, joint_tokenizer, sequence_task, tiny_marian

from bench.base.errors import DataError, ModelError
from bench.spec.setting import Training
from bench.tasks.batching import collate
from bench.tasks.evaluate import predict
from bench.tasks.examples import Example, TaskData
from bench.tasks.greedy import EXTRA_TOKENS, Greedy, write
from bench.tasks.kinds.kind import KINDS
from bench.tasks.predictions import WrittenAnswers
from bench.training.loop import train

KIND = KINDS.get("translation")
TASK = sequence_task("translation")


@pytest.fixture(scope="module")
def tokenizer():
    return joint_tokenizer()


def sentences(count, seed=0, *, longest=9):
    draws = random.Random(seed)
    rows = [[draws.randrange(8) for _ in range(draws.randint(4, longest))] for _ in range(count)]
    return [
        Example(
            uid=f"e{number}",
            text=" ".join(SOURCE[word] for word in row),
            target=" ".join(TARGET[word] for word in row),
        )
        for number, row in enumerate(rows)
    ]


def encode(examples, tokenizer, *, training=True, max_length=16):
    return KIND.encode(examples, tokenizer, task=TASK, max_length=max_length, training=training)


def said(model, tokenizer, examples, *, budget=256):
    return predict(model, tokenizer, examples, task=TASK, max_length=16, token_budget=budget, device="cpu").answers


def test_the_decoder_reads_the_target_one_place_behind_what_it_predicts(tokenizer):
    (feature,) = encode([Example(uid="a", text="ka lo", target="one two")], tokenizer)
    one, two = tokenizer.convert_tokens_to_ids(["one", "two"])
    assert feature.inputs["input_ids"] == [*tokenizer.convert_tokens_to_ids(["ka", "lo"]), 3]
    assert feature.inputs["decoder_input_ids"] == [2, one, two]
    assert feature.targets["labels"] == [one, two, 3]


def test_in_evaluation_the_decoder_is_given_its_start_alone(tokenizer):
    (feature,) = encode([Example(uid="a", text="ka lo")], tokenizer, training=False)
    assert feature.inputs["decoder_input_ids"] == [2]
    assert feature.targets == {}


def test_long_texts_are_cut_and_the_cut_target_still_ends(tokenizer):
    (feature,) = encode([Example(uid="a", text="ka " * 20, target="one " * 20)], tokenizer, max_length=8)
    assert [len(feature.inputs["input_ids"]), len(feature.targets["labels"])] == [8, 8]
    assert feature.targets["labels"][-1] == 3


def test_a_hidden_target_neither_trains_nor_scores(tokenizer):
    hidden = [*sentences(1), Example(uid="h", text="ka")]
    with pytest.raises(DataError, match=r"targets of 1 of 2 examples are hidden \(first: h\)"):
        encode(hidden, tokenizer)
    with pytest.raises(DataError, match="hidden"):
        KIND.score(WrittenAnswers(("", "")), hidden, ["bleu"])


def test_a_tokenizer_without_an_end_is_refused(tokenizer):
    bare = SimpleNamespace(bos_token_id=2, cls_token_id=None, pad_token_id=0, eos_token_id=None, sep_token_id=None)
    with pytest.raises(DataError, match="no eos or sep token"):
        encode(sentences(1), bare)


def test_padding_of_a_batch_changes_neither_loss_nor_gradient(tokenizer):
    import torch

    model, features = tiny_marian(std=0.2), encode(sentences(6), tokenizer)
    whole = collate(features, pad_id=0)
    assert (whole.targets["labels"] == -100).any()
    loss = KIND.loss(model(**whole.inputs), whole.targets)
    alone, tokens = 0.0, 0
    for row in range(len(features)):
        one = collate(features, pad_id=0, rows=[row])
        count = one.targets["labels"].numel()
        alone += KIND.loss(model(**one.inputs), one.targets).item() * count
        tokens += count
    assert loss.item() == pytest.approx(alone / tokens, rel=1e-5)
    assert torch.isfinite(loss)


def test_the_loss_is_smoothed_cross_entropy_by_its_formula():
    import torch

    logits = torch.randn(2, 3, 5, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([[1, 2, -100], [4, -100, -100]])
    logs = logits.log_softmax(-1)
    each = [
        -0.9 * logs[row, place, label] - 0.1 * logs[row, place].mean()
        for row, place, label in ((0, 0, 1), (0, 1, 2), (1, 0, 4))
    ]
    loss = KIND.loss(SimpleNamespace(logits=logits), {"labels": labels})
    assert loss.item() == pytest.approx((sum(each) / 3).item(), rel=1e-5)


@pytest.fixture(scope="module")
def translator(tokenizer):
    """A model of one layer a side that has learnt the lexicon from sentences of four to six words."""
    model = tiny_marian(layers=1, width=64)
    plan = Training(epochs=6, batch_size=32, learning_rate=5e-3, weight_decay=0.0)
    train(model, encode(sentences(1024, longest=6), tokenizer), kind=KIND, pad_id=0, plan=plan, seed=0, device="cpu")
    return model


def test_a_small_model_learns_a_lexicon_in_seconds(translator, tokenizer):
    unseen = sentences(60, seed=1, longest=6)
    predictions = WrittenAnswers(said(translator, tokenizer, unseen))
    assert KIND.score(predictions, unseen, ["bleu"])["bleu"] > 0.9


def test_greedy_writing_equals_that_of_transformers(translator, tokenizer):
    import torch

    inputs = collate(encode(sentences(24, seed=2, longest=12), tokenizer, training=False), pad_id=0).inputs
    with torch.inference_mode():
        found, total = write(translator, inputs, end_id=3, pad_id=0)
        expected = translator.generate(
            input_ids=inputs["input_ids"],
            attention_mask=inputs["attention_mask"],
            do_sample=False,
            num_beams=1,
            max_new_tokens=20,
            suppress_tokens=[0],
        )[:, 1:]
    found = found[:, :20]  # before any text comes to its limit, which is another for every source
    assert torch.equal(found, expected)
    assert len({tuple(row) for row in found.tolist()}) > 12
    assert (found == 3).any(dim=1).sum() > 6
    assert torch.isfinite(total).all()


def test_writing_with_a_cache_equals_reading_everything_again(tokenizer):
    import torch

    class Forgetful(torch.nn.Module):
        def __init__(self, inner):
            super().__init__()
            self.inner, self.config = inner, inner.config

        def get_encoder(self):
            return self.inner.get_encoder()

        def forward(self, past_key_values=None, use_cache=None, **inputs):
            return SimpleNamespace(logits=self.inner(**inputs, use_cache=False).logits)

    model = tiny_marian(std=0.3)
    batch = collate(encode(sentences(4), tokenizer, training=False), pad_id=0)
    with torch.inference_mode():
        cached, again = (write(each, batch.inputs, end_id=3, pad_id=0)[0] for each in (model, Forgetful(model)))
    assert torch.equal(cached, again)


def test_a_text_that_never_ends_stops_after_the_stated_number_of_tokens(tokenizer):
    import torch

    model = tiny_marian(positions=128)
    with torch.no_grad():
        model.final_logits_bias[0, 3] = -1e9
    inputs = collate(encode(sentences(3), tokenizer, training=False), pad_id=0).inputs
    with torch.inference_mode():
        ids, _ = write(model, inputs, end_id=3, pad_id=0)
    assert (ids != 0).sum(dim=1).tolist() == (inputs["attention_mask"].sum(dim=1) + EXTRA_TOKENS).tolist()
    with torch.inference_mode():
        ids, _ = write(tiny_marian(positions=20), inputs, end_id=-1, pad_id=0)
    assert ids.shape[1] == 20


@pytest.mark.parametrize("budget", [16, 1000])
def test_what_is_written_does_not_depend_on_the_batch(tokenizer, budget):
    model, examples = tiny_marian(std=0.3), sentences(12)
    alone = [said(model, tokenizer, [example])[0] for example in examples]
    assert list(said(model, tokenizer, examples, budget=budget)) == alone
    assert len(set(alone)) > 3


def test_weights_that_are_not_finite_are_refused(tokenizer):
    import torch

    model = tiny_marian()
    with torch.no_grad():
        model.final_logits_bias.fill_(float("nan"))
    with pytest.raises(ModelError, match="not a finite number"):
        said(model, tokenizer, sentences(2))


def test_a_model_without_an_encoder_is_refused(tiny_bert, tokenizer):
    with pytest.raises(ModelError, match="no encoder that can be run alone"):
        Greedy(tiny_bert(), collate(encode(sentences(1), tokenizer, training=False), pad_id=0).inputs, pad_id=0)


def test_the_conditions_hold_the_signature(tokenizer):
    found = KIND.conditions(sentences(1), tokenizer, task=TASK, max_length=8)
    assert found["bleu_signature"].startswith("nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:")
    assert "greedy" in found["decoding"]


def test_only_a_target_that_is_there_changes_the_fingerprint():
    def fingerprint(*examples):
        splits = {"train": tuple(examples)}
        return TaskData(splits=splits, origin="", revision=None, generated=True).fingerprint()

    bare = fingerprint(Example(uid="a", text="x", label=1))
    assert bare == hashlib.sha256(b"train\x1d" + repr(("a", "x", None, 1, ())).encode() + b"\x1e").hexdigest()
    assert fingerprint(Example(uid="a", text="x", label=1, target="y")) != bare
    assert Example(uid="a", text="x", pair="", target="y").texts == ("x", "y")
