"""What a model says of the examples of a task: one class per form of prediction."""

from __future__ import annotations

from bench.tasks.predictions.answers import AnswersOrNone, ChosenAnswers, WrittenAnswers
from bench.tasks.predictions.classes import ClassLogits
from bench.tasks.predictions.decisions import ChoiceDecisions, LabelDecisions
from bench.tasks.predictions.form import OF_ITSELF, PROBABILITY, Predictions
from bench.tasks.predictions.numbers import ScoreValues, TextLosses
from bench.tasks.predictions.rankings import KEPT, Ranking, Rankings

__all__ = [
    "KEPT",
    "OF_ITSELF",
    "PROBABILITY",
    "AnswersOrNone",
    "ChoiceDecisions",
    "ChosenAnswers",
    "ClassLogits",
    "LabelDecisions",
    "Predictions",
    "Ranking",
    "Rankings",
    "ScoreValues",
    "TextLosses",
    "WrittenAnswers",
]
