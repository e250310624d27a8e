"""How far each training example can be told from something shallow: its words, its second text, or shared words."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import NamedTuple, cast

import torch
from torch import Tensor
from torch.nn import functional

from bench.base.errors import MethodError
from bench.tasks.features import Feature

_PENALTY = 1.0  # of half the squared weights, against the sum of the examples' losses
_MOST_ROUNDS = 100  # of the optimizer; the loss is convex
_SAME = 1e-6  # a change of the loss per example at which it has converged


class Surface(NamedTuple):
    """What a bias-only model reads: row i has the features `columns[i]`, each with a value, [any number] of both."""

    columns: list[list[int]]
    values: list[list[float]]
    width: int


def shortcut_degrees(features: Sequence[Feature], *, reads: str, classes: int, folds: int, seed: int) -> Tensor:
    """The probability that a bias-only model gives to each example's own label, [examples] float32 in (0, 1).

    The model is logistic regression with an L2 penalty of 1. It has not seen the examples that it judges: they are
    dealt into `folds` parts by `seed`, and each part is judged by the model of the others. A shortcut degree near 1
    says that the example needs no understanding (the bias-only models of Clark et al. 2019, arXiv:1909.03683, and Utama
    et al. 2020, arXiv:2005.00315; both train them on the examples that they judge).

    Args:
        features: of the training split, each with one class as its label; several of one example share a fold.
        reads: a name of `READS`.
        classes: how many labels the task has.
        folds: 2 or more.
        seed: of the parts.

    Raises:
        MethodError: labels that are no classes, or texts that `reads` cannot tell apart.
    """
    labels = [each.targets.get("labels") for each in features]
    several = any(each.candidates is not None for each in features)
    if classes < 2 or several or not all(isinstance(label, int) for label in labels):
        raise MethodError("a bias-only model predicts one class per example, and this task has none")
    shallow, known = READS[reads](features), torch.tensor(labels)
    part = _folds([each.example for each in features], folds, seed)
    found = torch.empty(len(known))
    for fold in range(folds):
        inside, outside = (torch.nonzero(mask).flatten() for mask in (part == fold, part != fold))
        if len(inside):
            weights = _fitted(_rows(shallow, outside), known[outside], classes, shallow.width)
            judged = torch.log_softmax(_scores(_rows(shallow, inside), weights), dim=-1)
            found[inside] = judged.gather(1, known[inside, None]).squeeze(1).exp()
    return found


def bag_of_words(features: Sequence[Feature]) -> Surface:
    """Which tokens occur in an example, whatever their order and number."""
    return _presence([_tokens(each) for each in features])


def second_text(features: Sequence[Feature]) -> Surface:
    """The bag of words of the second text of a pair alone, such as the hypothesis of an inference task."""
    return _presence([second for _, second in map(_texts, features)])


def overlap(features: Sequence[Feature]) -> Surface:
    """What the two texts of a pair share, without the words themselves.

    The share of the second text's tokens that the first one has, whether it has all of them, and the ratio of lengths;
    the lexical features of Clark et al. 2019, arXiv:1909.03683, appendix, that need no word vectors.
    """
    rows = []
    for first, second in map(_texts, features):
        shared = sum(token in set(first) for token in second) / max(1, len(second))
        rows.append([shared, float(shared == 1.0), min(len(second) / max(1, len(first)), 4.0), 1.0])
    return Surface([list(range(4)) for _ in rows], rows, 4)


READS: dict[str, Callable[[Sequence[Feature]], Surface]] = {
    "bag-of-words": bag_of_words,
    "second-text": second_text,
    "overlap": overlap,
}


def _tokens(feature: Feature) -> list[int]:
    return list(cast("Sequence[int]", feature.inputs["input_ids"]))


def _texts(feature: Feature) -> tuple[list[int], list[int]]:
    """The tokens of both texts of a pair, told apart by their segment ids."""
    segments = feature.inputs.get("token_type_ids")
    ids = _tokens(feature)
    if segments is None or 1 not in segments:
        raise MethodError(
            "a bias-only model of the second text needs pairs of texts that segment ids tell apart, and the encoded "
            "examples have none. Read bag-of-words instead."
        )
    sides: tuple[list[int], list[int]] = ([], [])
    for token, segment in zip(ids, segments, strict=True):
        sides[1 if segment == 1 else 0].append(token)
    return sides


def _presence(texts: list[list[int]]) -> Surface:
    """Each different token once with the value 1, and a constant in the last column."""
    places = {token: place for place, token in enumerate(sorted({token for text in texts for token in text}))}
    columns = [[*sorted(places[token] for token in set(text)), len(places)] for text in texts]
    return Surface(columns, [[1.0] * len(row) for row in columns], len(places) + 1)


def _folds(examples: Sequence[int], folds: int, seed: int) -> Tensor:
    """The part of each feature, [features]; those of one example are in one part."""
    order = sorted(set(examples))
    random.Random(seed).shuffle(order)
    place = {example: position % folds for position, example in enumerate(order)}
    return torch.tensor([place[example] for example in examples])


class _SparseRows(NamedTuple):
    """Some rows of a `Surface`, one after the other: columns, values [entries] and where each row starts [rows]."""

    columns: Tensor
    values: Tensor
    starts: Tensor


def _rows(shallow: Surface, chosen: Tensor) -> _SparseRows:
    rows = chosen.tolist()
    sizes = torch.tensor([0, *(len(shallow.columns[row]) for row in rows)])
    return _SparseRows(
        torch.tensor([column for row in rows for column in shallow.columns[row]]),
        torch.tensor([value for row in rows for value in shallow.values[row]]),
        sizes.cumsum(0)[:-1],
    )


def _scores(rows: _SparseRows, weights: Tensor) -> Tensor:
    """[rows, classes]: the weighted sum of each row's features."""
    return functional.embedding_bag(rows.columns, weights, rows.starts, mode="sum", per_sample_weights=rows.values)


def _fitted(rows: _SparseRows, labels: Tensor, classes: int, width: int) -> Tensor:
    """The weights [width, classes] of the least penalised loss."""
    weights = torch.zeros(width, classes, requires_grad=True)
    solver = torch.optim.LBFGS(
        [weights], max_iter=_MOST_ROUNDS, tolerance_change=_SAME, line_search_fn="strong_wolfe", history_size=10
    )

    def loss() -> Tensor:
        solver.zero_grad()
        value = functional.cross_entropy(_scores(rows, weights), labels, reduction="sum")
        value = (value + 0.5 * _PENALTY * weights.square().sum()) / len(labels)
        value.backward()  # type: ignore[no-untyped-call]
        return value

    with torch.enable_grad():
        solver.step(loss)  # type: ignore[no-untyped-call]
    return weights.detach()
