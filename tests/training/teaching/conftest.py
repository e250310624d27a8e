"""Objectives of a student with one teacher."""

from __future__ import annotations

import pytest


@pytest.fixture
def guided():
    """A function that makes the objective `soft` * KL from a teacher at a temperature + `hard` * the task's loss."""
    import made_terms

    from bench.training.objective import Objective

    def make(teacher, *, soft=1.0, hard=0.0, temperature=1.0):
        terms = {"labels": hard, **made_terms.softened(temperature, weight=soft)}
        return Objective(terms=((1.0, made_terms.guided(terms, teacher)),))

    return make
