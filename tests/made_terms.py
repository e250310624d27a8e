"""Terms of an objective as a recipe writes them, made ready to compute."""

from __future__ import annotations

from bench.methods.base.terms.table import Terms
from bench.training.terms.guidance import EVERYTHING, Guidance
from bench.training.terms.teacher import Teacher


def guided(terms, *teachers, focus=EVERYTHING):
    """What computes `terms` against `teachers`, which are models or made teachers."""
    goals = [term.goal(None) for term in Terms.made(terms).working.values()]
    made = [teacher if isinstance(teacher, Teacher) else Teacher(teacher) for teacher in teachers]
    return Guidance(goals, made, focus=focus)


def softened(temperature, **term):
    """A term of logits at a temperature."""
    return {"logits": {"divergence": {"name": "kl", "temperature": temperature}, **term}}
