from __future__ import annotations

import re
from collections import Counter

import pytest
from made_splits import made

FACT = re.compile(r"(?P<name>\w+) (?P<did>\w+) the (?P<thing>\w+) in the (?P<place>\w+)(?: (?:today|again|on monday))?")
PAST = {"read": "read", "eat": "ate", "drive": "drove", "wear": "wore", "feed": "fed"}
WHO = re.compile(r"who (?P<did>\w+) the (?P<thing>\w+) \?")
WHAT = re.compile(r"what did (?P<name>\w+) (?P<do>\w+) \?")
WHERE = re.compile(r"where did (?P<name>\w+) (?P<do>\w+) the (?P<thing>\w+) \?")


def facts_of(context):
    """The facts of a context with the character at which each starts."""
    start, found = 0, []
    for sentence in context.split(" ."):
        body = sentence.removeprefix(" ")
        if body:
            match = FACT.fullmatch(body)
            assert match, body
            found.append((start + len(sentence) - len(body), match))
        start += len(sentence) + 2
    return found


def answers(question, context):
    """Every (answer, character) that some fact of the context gives to the question."""
    for pattern, wanted in ((WHO, "name"), (WHAT, "thing"), (WHERE, "place")):
        if match := pattern.fullmatch(question):
            asked = match.groupdict()
            if "do" in asked:
                asked["did"] = PAST[asked.pop("do")]
            return [
                (fact[wanted], start + fact.start(wanted))
                for start, fact in facts_of(context)
                if all(fact[key] == value for key, value in asked.items())
            ]
    raise AssertionError(question)


@pytest.mark.parametrize("split", ["train", "validation", "test", "ood"])
def test_each_question_has_one_answer_and_it_stands_where_the_example_says(split):
    for example in made("questions", split):
        assert answers(example.text, example.pair) == [tuple(example.answers[0])], (example.text, example.pair)
        text, start = example.answers[0]
        assert example.pair[start : start + len(text)] == text


def test_the_three_questions_are_asked_equally_often():
    for split in ("train", "validation", "test", "ood"):
        asked = Counter(example.text.split()[0] for example in made("questions", split))
        assert max(asked.values()) - min(asked.values()) <= 1
        assert set(asked) == {"who", "what", "where"}


def test_every_context_distracts_and_some_facts_rival_the_right_one():
    rivals = 0
    examples = made("questions", "validation")
    for example in examples:
        deeds = [fact["did"] for _, fact in facts_of(example.pair)]
        assert len(deeds) >= 2
        rivals += len(set(deeds)) < len(deeds)
    assert 0.05 < rivals / len(examples) < 0.4


def test_the_commonest_answer_and_the_first_fact_are_poor_guesses():
    held = made("questions", "validation")
    common = Counter(example.answers[0].text for example in made("questions", "train")).most_common(1)[0][0]
    assert sum(example.answers[0].text == common for example in held) / len(held) < 0.25
    in_first = sum(example.answers[0].start < example.pair.index(" .") for example in held)
    assert in_first / len(held) < 0.6
