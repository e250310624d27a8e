from __future__ import annotations

import re

import pytest
from made_splits import made

DEGREES = {"slightly": 1, "somewhat": 1, None: 2, "very": 3, "really": 3, "extremely": 3}
KIND = frozenset(
    [
        "good",
        "great",
        "fine",
        "lovely",
        "charming",
        "superb",
        "pleasant",
        "delightful",
        "excellent",
        "enjoyable",
        "clever",
        "warm",
    ]
)
UNKIND = frozenset(
    [
        "bad",
        "poor",
        "dull",
        "awful",
        "weak",
        "boring",
        "horrible",
        "terrible",
        "unpleasant",
        "tedious",
        "clumsy",
        "bland",
    ]
)
CLAUSE = re.compile(
    r"the \w+ was(?: (?P<no>not|never|hardly))?(?: (?P<degree>slightly|somewhat|very|really|extremely))? (?P<word>\w+)"
)
OPENING = re.compile(
    r"(as far as i can tell ,|at the end of our visit ,|my friends and i agreed that|all things considered ,) "
)


def strength(clause):
    """The value of one clause, read from its words."""
    found = CLAUSE.fullmatch(clause)
    assert found, clause
    assert found["word"] in KIND | UNKIND
    size = DEGREES[found["degree"]]
    if found["no"]:
        size = size - 4
    return size if found["word"] in KIND else -size


def verdict(text):
    """The sentiment of a review: the sum over the clauses of the part that decides."""
    body = OPENING.sub("", text).removesuffix(" .")
    if " , but " in body:
        part = body.split(" , but ")[1]
    elif body.startswith("although "):
        part = body.split(" , ")[1]
    else:
        part = body.split(" , although ")[0]
    return sum(strength(clause) for clause in part.split(" and "))


@pytest.mark.parametrize("split", ["train", "validation", "test", "ood"])
def test_every_label_is_what_a_second_reading_of_the_text_gives(split):
    for example in made("sentiment", split):
        value = verdict(example.text)
        assert value != 0
        assert example.label == (value > 0), example.text


def test_the_second_reading_agrees_with_plain_english():
    assert verdict("the plot was not good .") < 0 < verdict("the plot was never bad .")
    assert verdict("the soup was great , but the room was dull .") < 0
    assert verdict("although the soup was great , the room was dull .") < 0
    assert verdict("the soup was great , although the room was dull .") > 0
    assert verdict("the soup was slightly bland and the room was very good .") > 0
    assert verdict("the soup was not very good and the room was extremely fine .") > 0


def test_contrasts_contrast():
    for example in made("sentiment", "train"):
        body = OPENING.sub("", example.text).removesuffix(" .")
        if " , " in body:
            values = [
                strength(clause) for clause in re.split(r" , (?:but |although )?", body.removeprefix("although "))
            ]
            assert values[0] * values[1] < 0, example.text


def test_word_counts_alone_do_not_solve_it():
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import LogisticRegression

    train, held = made("sentiment", "train"), made("sentiment", "validation")
    counter = CountVectorizer()
    model = LogisticRegression(max_iter=500).fit(
        counter.fit_transform([x.text for x in train]), [x.label for x in train]
    )
    accuracy = model.score(counter.transform([x.text for x in held]), [x.label for x in held])
    assert 0.5 < accuracy < 0.75


def test_negation_contrast_and_degree_all_occur_often():
    texts = [example.text for example in made("sentiment", "train")]
    for words in (
        ("not", "never", "hardly"),
        ("but", "although"),
        ("very", "really", "extremely"),
        ("slightly", "somewhat"),
    ):
        assert sum(any(word in text.split() for word in words) for text in texts) > 0.15 * len(texts)
