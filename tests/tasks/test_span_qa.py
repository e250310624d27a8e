from __future__ import annotations

import itertools
from types import SimpleNamespace

import numpy as np
import pytest

from bench.base.errors import DataError
from bench.spec.suite import Task
from bench.tasks.examples import Answer, Example
from bench.tasks.kinds.kind import KINDS
from bench.tasks.kinds.span_qa import best_span

SPAN_QA = KINDS.get("span_qa")
TASK = Task(name="made", kind="span_qa", metrics=("f1", "exact_match"), data={"source": "s", "subset": "t"})
WORDS = ("film", "good", "bad", "not", "very", "really", "awful", "great", "boring", "fun", "plot", "actor", "story")


def question(context, start, end, *, uid="q", text="the story is"):
    """An example whose answer is the words start to end - 1 of the context."""
    words = context.split()
    begin = len(" ".join(words[:start])) + (1 if start else 0)
    return Example(uid=uid, text=text, pair=context, answers=(Answer(" ".join(words[start:end]), begin),))


def long_context(words, seed=0):
    return " ".join(np.random.default_rng(seed).choice(WORDS, size=words))


def encode(given, tokenizer, *, max_length=24, training=False):
    return SPAN_QA.encode(given, tokenizer, task=TASK, max_length=max_length, training=training)


def brute_force(start, end, offsets):
    best = None
    for first, left in enumerate(offsets):
        for last, right in enumerate(offsets):
            if left is None or right is None or not 0 <= last - first < 30:
                continue
            score = float(start[first]) + float(end[last])
            if best is None or score > best[0]:
                best = (score, left[0], right[1])
    return best


def test_windows_overlap_cover_the_context_and_point_back_into_it(tokenizer):
    example = question(long_context(60), 0, 1)
    windows = encode([example], tokenizer)
    assert len(windows) > 2
    covered, ends = set(), []
    for window in windows:
        assert len(window.inputs["input_ids"]) <= 24
        spans = [span for span in window.offsets if span is not None]
        tokens = [token for token, span in zip(window.inputs["input_ids"], window.offsets, strict=True) if span]
        assert [example.pair[a:b] for a, b in spans] == tokenizer.convert_ids_to_tokens(tokens)
        covered |= {position for a, b in spans for position in range(a, b)}
        ends.append((spans[0], spans[-1]))
    assert covered == {n for n, character in enumerate(example.pair) if character != " "}
    for (_, last), (first, _) in itertools.pairwise(ends):
        assert len(example.pair[first[0] : last[1]].split()) == 24 // 3


def test_the_question_comes_first_and_is_outside_the_offsets(tokenizer):
    (window,) = encode([question("good film", 0, 1)], tokenizer)
    tokens = tokenizer.convert_ids_to_tokens(window.inputs["input_ids"])
    assert tokens == ["[CLS]", "the", "story", "is", "[SEP]", "good", "film", "[SEP]"]
    assert window.offsets == (None, None, None, None, None, (0, 4), (5, 9), None)


def test_a_short_context_is_one_window_an_example(tokenizer):
    given = [question("good film", 0, 1, uid="a"), question("bad plot fun", 1, 2, uid="b")]
    assert [window.example for window in encode(given, tokenizer)] == [0, 1]


def test_a_long_question_is_cut_so_that_the_context_has_room(tokenizer):
    example = question("good film", 1, 2, text="story " * 100)
    (window,) = encode([example], tokenizer, training=True)
    tokens = tokenizer.convert_ids_to_tokens(window.inputs["input_ids"])
    assert tokens == ["[CLS]", *["story"] * 8, "[SEP]", "good", "film", "[SEP]"]


def test_training_targets_are_the_answers_tokens_and_windows_without_it_are_dropped(tokenizer):
    example = question(long_context(60), 30, 33)
    features = encode([example], tokenizer, training=True)
    assert 0 < len(features) < len(encode([example], tokenizer))
    for feature in features:
        first, last = feature.targets["start_positions"], feature.targets["end_positions"]
        assert last - first == 2
        assert example.pair[feature.offsets[first][0] : feature.offsets[last][1]] == example.answers[0].text


def test_every_answer_is_in_a_training_window_wherever_it_stands(tokenizer):
    context = long_context(60)
    given = [question(context, start, start + 3, uid=str(start)) for start in range(58)]
    assert {feature.example for feature in encode(given, tokenizer, training=True)} == set(range(58))


def test_sure_logits_at_the_targets_give_the_gold_answers_a_perfect_score(tokenizer):
    context = long_context(60)
    given = [question(context, start, start + 1 + start % 4, uid=str(start)) for start in range(0, 56, 5)]
    features = encode(given, tokenizer, training=True)
    outputs = []
    for feature in features:
        length = len(feature.inputs["input_ids"])
        places = feature.targets["start_positions"], feature.targets["end_positions"]
        outputs.append(tuple(np.where(np.arange(length) == place, 9.0, -9.0) for place in places))
    predictions = SPAN_QA.predict(outputs, features, given)
    assert predictions.answers == tuple(example.answers[0].text for example in given)
    assert SPAN_QA.score(predictions, given, TASK.metrics) == {"f1": 1.0, "exact_match": 1.0}


@pytest.mark.parametrize("seed", range(20))
def test_the_best_span_equals_brute_force_over_all_spans(seed):
    generator = np.random.default_rng(seed)
    offsets = [None] * 4 + [(5 * n, 5 * n + 4) for n in range(70)] + [None]
    start, end = generator.normal(size=(2, len(offsets))) * 3
    start[:4] = end[:4] = 50.0  # the question's tokens score highest and must not count
    # among the 20 best starts and ends of 70 random ones the best pair is found; brute force looks at all
    expected = brute_force(start, end, offsets)
    found = best_span(start, end, offsets)
    assert (found.score, found.start, found.end) == pytest.approx(expected)


def test_no_answer_is_longer_than_thirty_tokens():
    offsets = [(2 * n, 2 * n + 1) for n in range(100)]
    start, end = np.zeros(100), np.zeros(100)
    start[0], end[40], end[29] = 5.0, 5.0, 1.0
    found = best_span(start, end, offsets)
    assert (found.start, found.end) == (0, 59)


def test_a_span_is_found_even_where_all_best_ends_come_before_all_best_starts():
    offsets = [(2 * n, 2 * n + 1) for n in range(100)]
    start, end = np.arange(100.0), -np.arange(100.0)
    found = best_span(start, end, offsets)
    assert (found.score, found.start, found.end) == brute_force(start, end, offsets)


def test_a_window_without_context_has_no_span():
    assert best_span(np.zeros(3), np.zeros(3), [None, None, None]) is None


def test_the_best_of_several_windows_is_cut_out_of_the_context(tokenizer):
    example = question(long_context(60), 0, 1)
    windows = encode([example], tokenizer)
    outputs = [
        (np.full(len(window.inputs["input_ids"]), float(height)),) * 2
        for height, window in zip([1, 7, 3, *[0] * len(windows)], windows, strict=False)
    ]
    (answer,) = SPAN_QA.predict(outputs, windows, [example]).answers
    first = next(span for span in windows[1].offsets if span is not None)
    assert example.pair[first[0] :].startswith(answer)
    assert answer


def test_loss_is_the_mean_of_the_two_cross_entropies():
    import torch

    start, end = torch.randn(2, 3, 7, generator=torch.Generator().manual_seed(0))
    targets = {"start_positions": torch.tensor([0, 3, 6]), "end_positions": torch.tensor([1, 3, 6])}
    loss = SPAN_QA.loss(SimpleNamespace(start_logits=start, end_logits=end), targets)
    rows = range(3)
    expected = -(
        start.softmax(-1).log()[rows, targets["start_positions"]]
        + end.softmax(-1).log()[rows, targets["end_positions"]]
    )
    assert loss.item() == pytest.approx(expected.mean().item() / 2, rel=1e-6)


def test_questions_without_context_or_answer_and_too_short_windows_are_refused(tokenizer):
    bare = Example(uid="x7", text="the story is", pair="good film")
    with pytest.raises(DataError, match="x7 has no answer"):
        encode([bare], tokenizer, training=True)
    with pytest.raises(DataError, match="x8 has no context"):
        encode([Example(uid="x8", text="the story is")], tokenizer)
    with pytest.raises(DataError, match="max_length 15"):
        encode([bare], tokenizer, max_length=15)
    assert len(encode([bare], tokenizer, max_length=16)) == 1


def test_scoring_takes_the_best_of_several_answers():
    answers = (Answer("black cat", 0), Answer("cat", 6))
    example = Example(uid="q", text="what", pair="black cat", answers=answers)
    predictions = SPAN_QA.predict([], [], [example])
    assert predictions.answers == ("",)
    assert SPAN_QA.score(predictions, [example], ["f1"]) == {"f1": 0.0}
