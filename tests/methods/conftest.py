"""What a method is given, over a small task of real text features and untrained tiny models."""

from __future__ import annotations

import dataclasses
import random

import pytest

from bench.methods.base.method import Lab
from bench.spec.setting import Measuring, Setting, Training
from bench.spec.suite import Source, Task
from bench.tasks.examples import Example
from bench.tasks.kinds.kind import KINDS

WORDS = [
    "the",
    "a",
    "film",
    "was",
    "good",
    "bad",
    "not",
    "very",
    "really",
    "awful",
    "great",
    "boring",
    "fun",
    "plot",
    "actor",
]


@pytest.fixture
def make_lab(tokenizer, tiny_bert):
    def make(reference=None, *, epochs=1.0, examples=32, seed=0):
        draws = random.Random(seed)
        texts = [" ".join(draws.choices(WORDS, k=draws.randrange(3, 8))) for _ in range(examples)]
        data = [Example(uid=str(index), text=text, label=int("good" in text)) for index, text in enumerate(texts)]
        task = Task(
            name="words",
            kind="classification",
            labels=("no", "yes"),
            metrics=("accuracy",),
            data=Source(source="generated", subset="words"),
        )
        plan = Training(epochs=epochs, batch_size=8, learning_rate=1e-3)
        kind = KINDS.get("classification")
        return Lab(
            task=task,
            setting=Setting(training=plan, measuring=Measuring(country="USA")),
            plan=plan,
            seed=seed,
            device="cpu",
            tokenizer=tokenizer,
            features=kind.encode(data, tokenizer, task=task, max_length=32, training=True),
            examples=data,
            reference=reference if reference is not None else tiny_bert(),
            fresh=lambda depth, pretrained: tiny_bert(layers=depth, seed=11 if pretrained else 12),
            progress=lambda text, share: None,
        )

    return make


@pytest.fixture
def state_of():
    """Every tensor of a model by name, copied."""
    return lambda model: {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


@pytest.fixture
def logits_of():
    """The model's logits for fixed tokens, [2, labels]."""
    import torch

    def read(model):
        ids = torch.tensor([[2, 5, 9, 12, 3], [2, 8, 7, 6, 3]])
        with torch.inference_mode():
            return model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits

    return read


@pytest.fixture
def two_tasks(make_lab, tiny_bert):
    """The lab of a task of two classes, from which one of three classes and other texts is `elsewhere`."""

    def make(*, kind_of_other="bert"):
        other = make_lab(seed=5, examples=40)
        if kind_of_other == "bert":
            build = lambda depth, pretrained: tiny_bert(3, layers=depth, seed=11)  # noqa: E731
            features = [
                dataclasses.replace(feature, targets={"labels": index % 3})
                for index, feature in enumerate(other.features)
            ]
            other = dataclasses.replace(other, seed=0, fresh=build, features=features, reference=build(4, True))
        else:
            other = dataclasses.replace(other, fresh=lambda depth, pretrained: tiny_bert(layers=2))
        lab = make_lab()
        return dataclasses.replace(lab, elsewhere=lambda name: {"words": lab, "others": other}[name])

    return make
