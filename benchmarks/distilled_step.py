"""What a step of distillation costs: as a multiple of plain fine-tuning of the student plus one run of the teacher.

`python benchmarks/distilled_step.py [RECIPE ...]` builds a teacher of 6 layers of width 384 and a student of 3 with
random weights, and steps both ways in turn, so that a neighbour disturbs both alike. The fastest step of each counts.
"""

from __future__ import annotations

import sys
import time
from types import SimpleNamespace
from typing import Any

import torch
from transformers import BertConfig, BertForSequenceClassification

from bench.methods.base.terms.table import Terms
from bench.plan.recipes import load_recipe, methods_of
from bench.tasks.features import Batch
from bench.tasks.kinds.kind import KINDS
from bench.training.hooks import TrainState
from bench.training.optimizer import make_optimizer
from bench.training.terms.guidance import Guidance
from bench.training.terms.teacher import Teacher

RECIPES = ("distillation", "pkd-skip", "aguilar-pid", "tinybert", "minilm", "minilmv2")
KIND = KINDS.get("classification")
ROUNDS, BATCH, LENGTH = 9, 8, 48


def model(layers: int) -> BertForSequenceClassification:
    """A BERT of MiniLM's width."""
    sizes = {"hidden_size": 384, "num_attention_heads": 12, "intermediate_size": 1536, "vocab_size": 4000}
    return BertForSequenceClassification(BertConfig(num_hidden_layers=layers, **sizes))


def seconds(call: Any) -> float:
    """Of one call."""
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def measured(terms: Terms) -> tuple[float, float, float]:
    """The fastest plain step, run of the teacher, and distilled step, in seconds; nothing comes from memory."""
    student, teacher = model(3).train(), model(6).eval()
    lab: Any = SimpleNamespace(seed=0)
    guidance = Guidance([term.goal(lab) for term in terms.working.values()], [Teacher(teacher, moving=True)])
    optimizer = make_optimizer(student, learning_rate=1e-5, weight_decay=0.01)
    state = TrainState(model=student, optimizer=optimizer, step=0, total_steps=ROUNDS, kind=KIND)
    ids = torch.randint(5, 4000, (BATCH, LENGTH))
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    batch = Batch(inputs, {"labels": torch.randint(0, 2, (BATCH,))}, list(range(BATCH)))

    def step(distilled: bool) -> None:
        if distilled:
            guidance.before_step(state)
        outputs = student(**inputs)
        loss = (
            guidance.loss(student, batch._replace(), outputs, KIND) if distilled else KIND.loss(outputs, batch.targets)
        )
        loss.backward()
        if distilled:
            guidance.after_step(state)
        torch.nn.utils.clip_grad_norm_(student.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    def told() -> None:
        with torch.no_grad():
            teacher(**inputs)

    times = [(seconds(lambda: step(False)), seconds(told), seconds(lambda: step(True))) for _ in range(ROUNDS)]
    plain, run, distilled = (min(column) for column in zip(*times[1:], strict=True))
    return plain, run, distilled


def main() -> None:
    """Print one line per recipe."""
    for name in sys.argv[1:] or RECIPES:
        plain, run, distilled = measured(methods_of(load_recipe(name))[0].terms)  # type: ignore[attr-defined]
        print(
            f"{name}: {distilled * 1e3:.0f} ms, {distilled / (plain + run):.2f} times a plain step "
            f"({plain * 1e3:.0f} ms) and the teacher's run ({run * 1e3:.0f} ms)",
            flush=True,
        )


if __name__ == "__main__":
    main()
