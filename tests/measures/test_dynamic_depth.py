"""Models of dynamic depth, counted against a loop over examples that are each traced alone."""

from __future__ import annotations

from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from made_pairs import make_pair, make_task, missing
from torch import nn

from bench.base.errors import ModelError
from bench.measures.computation.computation import Computation
from bench.measures.computation.depth import DynamicDepth, dynamic_depth, exits, mean_layers
from bench.measures.computation.executions import executions
from bench.measures.computation.trace import trace
from bench.methods.exit.halt import Halt
from bench.tasks.evaluate import Evaluator
from bench.tasks.examples import Example, TaskData

LENGTH = 8
WORDS = ["film", "good", "bad", "boring", "fun", "plot", "actor", "story", "great", "awful"]
LABELS = ("no", "yes")


class EarlyExit(nn.Module):
    """Four layers of different widths with an exit after each; an example leaves where the sum of its ids says."""

    def __init__(self, depth_of):
        super().__init__()
        self.config = SimpleNamespace(vocab_size=26, max_position_embeddings=LENGTH)
        self.table = nn.Embedding(26, 8)
        self.layers = nn.ModuleList(nn.Sequential(nn.Linear(8, width), nn.Linear(width, 8)) for width in (4, 32, 8, 16))
        self.exits = nn.ModuleList(nn.Linear(8, 2) for _ in self.layers)
        self.depth_of = depth_of
        self.forced = None
        self.ran = None

    def forward(self, input_ids, attention_mask, token_type_ids=None):
        wanted = [self.depth_of(row) for row in input_ids.tolist()]
        wanted = torch.tensor([self.forced] * len(wanted) if self.forced else wanted)
        hidden, logits = self.table(input_ids), torch.zeros(len(input_ids), 2)
        for number in range(1, int(wanted.max()) + 1):
            hidden = self.layers[number - 1](hidden)
            said = self.exits[number - 1](hidden[:, 0])
            logits = torch.where((wanted == number)[:, None], said, logits)
        self.ran = wanted
        return SimpleNamespace(logits=logits)

    def executed_layers(self):
        return self.ran

    @contextmanager
    def leaving_after(self, layers):
        self.forced = layers
        try:
            yield
        finally:
            self.forced = None


def by_sum(ids):
    return sum(ids) % 4 + 1


def examples(count):
    """Texts of exactly `LENGTH` tokens with the two special ones."""
    words = [[WORDS[(7 * row + 3 * place) % 10] for place in range(LENGTH - 2)] for row in range(count)]
    return tuple(Example(uid=str(row), text=" ".join(each), label=0) for row, each in enumerate(words))


@pytest.fixture
def pair_of(tokenizer):
    """A function that makes the pair of an artifact and a reference with two evaluation splits."""

    def build(artifact, reference):
        task = make_task(evaluate=("one", "two"), labels=LABELS)
        splits = {"one": examples(13)[:9], "two": examples(13)[9:]}
        data = TaskData(splits=splits, origin="made", revision=None, generated=True)
        evaluator = Evaluator(task=task, data=data, max_length=LENGTH, token_budget=4 * LENGTH, device="cpu")
        sides = [
            SimpleNamespace(model=model.eval(), tokenizer=tokenizer, content_hash=name, directory=Path(name))
            for name, model in (("artifact", artifact), ("reference", reference))
        ]
        return make_pair(task, evaluator, artifact=sides[0], reference=sides[1], length=LENGTH)

    return build


def alone(model, tokenizer):
    """The ledger and the depth of each example, traced by itself as it is executed."""
    found = []
    for example in examples(13):
        ids = torch.tensor([tokenizer(example.text)["input_ids"]])
        assert ids.shape == (1, LENGTH)
        ledger = trace(model, {"input_ids": ids, "attention_mask": torch.ones_like(ids)})
        found.append((ledger, int(model.executed_layers()[0])))
    return found


def test_counts_are_the_mean_over_every_example_executed_alone(pair_of, tokenizer, tiny_bert):
    model = EarlyExit(by_sum).eval()
    with torch.no_grad():
        model.layers[1][0].weight[::2] = 0
    reading = Computation().read(pair_of(model, tiny_bert()))
    ledgers = [ledger for ledger, _ in alone(model, tokenizer)]
    assert len({ledger.macs for ledger in ledgers}) == 4
    assert reading.values["macs"] == float(Fraction(sum(ledger.macs for ledger in ledgers), 13))
    assert reading.values["flops"] == pytest.approx(2 * reading.values["macs"], rel=1e-15)
    effective = sum(ledger.macs_effective() for ledger in ledgers)
    assert reading.values["macs_effective"] == float(Fraction(effective, 13)) < reading.values["macs"]
    assert reading.values["bops"] == float(Fraction(sum(ledger.bops for ledger in ledgers), 13))
    assert reading.values["flops_coverage"] == 1.0
    assert missing(Computation(), reading) == []


def test_the_breakdown_of_a_mean_adds_up_to_the_mean(pair_of, tiny_bert):
    reading = Computation().read(pair_of(EarlyExit(by_sum), tiny_bert()))
    modules = reading.conditions["macs_by_module"]
    assert modules[""] == reading.values["macs"]
    parts = [f"{kind}.{layer}" for kind in ("layers", "exits") for layer in range(4)]
    assert sum(modules[part] for part in parts) == pytest.approx(modules[""], rel=1e-12)
    assert sum(reading.conditions["macs_by_operator"].values()) == pytest.approx(modules[""], rel=1e-12)


def test_a_halting_encoder_is_counted_at_the_depth_of_each_of_its_examples(pair_of, tokenizer, tiny_bert):
    lab = SimpleNamespace(seed=0, plan=SimpleNamespace(epochs=1.0))
    model = Halt(budget=0, bias=1.0, coordinates=False).compress(tiny_bert(layers=6), lab)
    stack = dynamic_depth(model)
    with torch.no_grad():
        stack.weight.normal_(0, 0.2, generator=torch.Generator().manual_seed(1))
    reading = Computation().read(pair_of(model, tiny_bert(layers=6)))
    ids = [torch.tensor([tokenizer(example.text)["input_ids"]]) for example in examples(13)]
    inputs = [{"input_ids": each, "attention_mask": torch.ones_like(each)} for each in ids]
    macs, depths = [], []
    for each in inputs:
        macs.append(trace(model, each).macs)
        depths += stack.executed_layers().tolist()
    assert len(set(depths)) > 1
    assert reading.values["macs"] == float(Fraction(sum(macs), 13)) < reading.reference["macs"]
    assert reading.conditions["layers"] == sum(depths) / 13
    assert reading.values["speedup_layers"] == pytest.approx(6 * 13 / sum(depths))
    assert missing(Computation(), reading) == []


def test_the_layer_proxy_is_a_ratio_of_sums_and_not_the_saved_share(pair_of, tokenizer, tiny_bert):
    model = EarlyExit(by_sum)
    reading = Computation().read(pair_of(model, tiny_bert(layers=4)))
    depths = [depth for _, depth in alone(model, tokenizer)]
    assert reading.values["speedup_layers"] == pytest.approx(sum(4 for _ in depths) / sum(depths), rel=1e-12)
    assert reading.values["speedup_layers"] != pytest.approx(1 - sum(depths) / 13 / 4)
    assert reading.conditions["examples_by_layers"] == {str(i): depths.count(i) for i in (1, 2, 3, 4)}


@pytest.mark.parametrize(("depth", "ratio"), [(4, 1.0), (2, 2.0), (1, 4.0)])
def test_examples_that_all_leave_after_one_layer_make_the_proxy_of_that_layer(pair_of, tiny_bert, depth, ratio):
    reading = Computation().read(pair_of(EarlyExit(lambda ids: depth), tiny_bert(layers=4)))
    assert reading.values["speedup_layers"] == ratio
    widths = (4, 32, 8, 16)[:depth]
    assert reading.values["macs"] == sum(2 * LENGTH * 8 * width for width in widths) + depth * 8 * 2


def test_a_dynamic_model_beside_itself_has_a_proxy_of_one(pair_of):
    reading = Computation().read(pair_of(EarlyExit(by_sum), EarlyExit(by_sum)))
    assert reading.values["speedup_layers"] == 1.0
    assert reading.values["macs"] == reading.reference["macs"]


def test_exits_are_those_of_every_row_though_batches_mix_them(pair_of):
    pair = pair_of(EarlyExit(by_sum), EarlyExit(lambda ids: 4))
    found = exits(pair, pair.artifact)
    assert sum(found.values()) == 13
    assert len(found) == 4
    assert mean_layers({2: 3, 4: 1}) == 2.5
    assert exits(pair, pair.reference) == {4: 13}


def test_watching_for_exits_leaves_the_model_without_hooks(pair_of):
    pair = pair_of(EarlyExit(by_sum), EarlyExit(by_sum))
    exits(pair, pair.artifact)
    assert not pair.artifact.model._forward_hooks


def test_a_model_of_fixed_depth_is_not_evaluated_to_be_counted(pair_of, tiny_bert):
    pair = pair_of(tiny_bert(), tiny_bert())
    assert not isinstance(pair.artifact.model, DynamicDepth)
    assert exits(pair, pair.artifact) is None


def test_a_model_that_keeps_silent_about_some_rows_has_a_reason_and_no_counts(pair_of, tiny_bert):
    model = EarlyExit(by_sum)
    model.executed_layers = lambda: model.ran[:1]
    reading = Computation().read(pair_of(model, tiny_bert()))
    assert reading.values == {}
    assert "expected one number per row" in reading.absent["macs"]
    assert "expected one number per row" in reading.absent["speedup_layers"]


def test_a_model_that_does_not_leave_where_it_is_told_is_an_error():
    model = EarlyExit(lambda ids: 2)
    model.leaving_after = lambda layers: EarlyExit.leaving_after(model, 3)
    inputs = {"input_ids": torch.ones(1, LENGTH, dtype=torch.long), "attention_mask": torch.ones(1, LENGTH)}
    with pytest.raises(ModelError, match=r"leaving_after\(2\) ran \[3\] layers, expected \[2\]"):
        executions(model, inputs, {2: 5})


def test_an_uncountable_operator_in_one_exit_leaves_no_mean(pair_of, tiny_bert):
    model = EarlyExit(by_sum)
    model.exits[2].forward = lambda x: torch.cdist(x, x)[:, :1] + torch.zeros(1, 2)
    reading = Computation().read(pair_of(model, tiny_bert()))
    assert "aten::cdist" in reading.absent["macs"]
    assert 0 < reading.values["flops_coverage"] < 1
    assert reading.values["speedup_layers"] > 1
