"""Methods on a masked language model, whose output layer is the embedding table: what is stored, and its masks."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from families import make, same_outputs

from bench.artifacts.artifact import load, save
from bench.base.errors import MethodError
from bench.measures.storage.parameters import elements, stored_parameters
from bench.methods.factorize.factorize import Factorize
from bench.methods.prune.prune import Prune
from bench.methods.quantize.quantize import Quantize
from bench.methods.share.share import Share
from bench.models.adapter import adapter_for
from bench.plan.recipes import load_recipe, methods_of
from bench.spec.suite import Source, Task
from bench.tasks.kinds.kind import KINDS

HEAD = "masked-language-modelling"
FAMILIES = ("bert", "albert")  # with BERT's bias of the head, and with a table narrower than the hidden states
POSITIONS = {"max_position_embeddings": 48}  # not as many as words, so that the two tables cannot be taken for another


def build(family, *, layers=4, seed=0):
    return make(family, HEAD, seed=seed, num_hidden_layers=layers, **POSITIONS)


@pytest.fixture
def masked_lab(make_lab, tokenizer):
    """The lab of the same texts as a task of masked language modelling."""

    def make_one(model, *, family="bert", **more):
        lab, kind = make_lab(model, **more), KINDS.get("masked_language_modelling")
        task = Task(name="texts", kind=kind.name, metrics=("perplexity",), data=Source(source="made", subset="made"))
        features = kind.encode(lab.examples, tokenizer, task=task, max_length=32, training=True)
        fresh = lambda depth, pretrained: build(family, layers=depth, seed=11)  # noqa: E731
        return dataclasses.replace(lab, task=task, features=features, fresh=fresh)

    return make_one


def table_and_output(model):
    adapter = adapter_for(model)
    return adapter.word_embedding(model), adapter.output_projection(model)


def stored(model, folder, tokenizer):
    """The model after a way through the disk, and its bytes there."""
    save(model, folder, tokenizer=tokenizer)
    return load(folder, device="cpu").model, sum(path.stat().st_size for path in folder.glob("*.safetensors"))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_factorized_table_is_narrow_in_the_output_too_and_trains(family, masked_lab, tokenizer, tmp_path):
    model = build(family)
    method = Factorize(rank=4, targets=("embedding",), budget=1.0)
    narrow = method.compress(model, masked_lab(model, family=family))
    table, output = table_and_output(narrow)
    assert table.table.weight is output.second
    width = model.get_input_embeddings().embedding_dim
    saved = 40 * width - (40 * 4 + 2 * 4 * width)
    assert elements(stored_parameters(narrow)) == elements(stored_parameters(model)) - saved
    again, _ = stored(narrow, tmp_path / "made", tokenizer)
    assert same_outputs(again, narrow)


def test_the_softmax_alone_cannot_be_factorized_or_coded(masked_lab):
    model = build("bert")
    for method in (
        Factorize(rank=4, targets=("softmax",)),
        Quantize(scheme="weights", bits=4, targets=("softmax",)),
    ):
        with pytest.raises(MethodError, match="the softmax is tied to the embedding"):
            method.compress(model, masked_lab(model))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("targets", [("query", "embedding"), ("query",)])
def test_a_coded_table_is_stored_once_for_both_ends(family, targets, masked_lab, tokenizer, tmp_path):
    model = build(family)
    coded = Quantize(scheme={"name": "weights", "rest": True}, bits=4, targets=targets).compress(
        model, masked_lab(model)
    )
    table, output = table_and_output(coded)
    assert type(table).__name__ == "LowBitEmbedding"
    assert type(output).__name__ == "LowBitLinear"
    assert table.weight is output.weight
    again, size = stored(coded, tmp_path / "made", tokenizer)
    assert same_outputs(again, coded)
    assert size < stored(model, tmp_path / "whole", tokenizer)[1] / 2


def test_a_pruned_table_has_its_zeros_at_both_ends(masked_lab, tokenizer, tmp_path):
    model = build("bert")
    pruned = Prune(sparsity=0.5, scope="layer", targets=("embedding",), budget=1.0).compress(model, masked_lab(model))
    table, output = table_and_output(pruned)
    assert output.weight is table.weight
    assert (table.weight == 0).float().mean() == pytest.approx(0.5, abs=1e-3)
    again, _ = stored(pruned, tmp_path / "made", tokenizer)
    assert same_outputs(again, pruned)


def test_gordon_prunes_in_masked_language_modelling_from_the_pretrained_weights(masked_lab):
    model = build("bert")
    pruned = methods_of(load_recipe("gordon", {"sparsity": 0.7}))[0].compress(model, masked_lab(model, epochs=4.0))
    matrices = [each.weight for each in adapter_for(pruned).linears(pruned).values()]
    for weight in (*matrices, table_and_output(pruned)[0].weight):
        assert (weight == 0).float().mean() == pytest.approx(0.7, abs=1e-3)


def test_a_shared_encoder_keeps_its_tied_output(masked_lab, tokenizer, tmp_path):
    model = build("bert")
    shared = Share(budget=1.0).compress(model, masked_lab(model))
    table, output = table_and_output(shared)
    assert output.weight is table.weight
    again, _ = stored(shared, tmp_path / "made", tokenizer)
    assert same_outputs(again, shared)


def test_a_mask_from_masked_language_modelling_is_as_sparse_as_asked_and_leaves_the_pretrained_weights(
    make_lab, masked_lab, tiny_bert, monkeypatch
):
    from bench.methods.prune.run import Pruning

    model = make("bert", labels=2, seed=3, **POSITIONS)
    pretrained = make("bert", labels=2, seed=11, **POSITIONS)
    its = masked_lab(build("bert"))
    lab = dataclasses.replace(
        make_lab(model),
        fresh=lambda depth, wanted: make("bert", labels=2, seed=11, **POSITIONS),
        elsewhere={"texts": its}.get,
    )
    trained, train = [], Pruning.train

    def watched(self, share, **more):
        weights = {
            name: each.weight.detach().clone() for name, each in adapter_for(self.model).linears(self.model).items()
        }
        trained.append((self.lab.task.kind, weights))
        train(self, share, **more)

    monkeypatch.setattr(Pruning, "train", watched)
    values = {"schedule.rounds": 2, "budget": 3.0, "sparsity": 0.7, "schedule.masks_from": "texts"}
    result = methods_of(load_recipe("bert-tickets", values))[0].compress(model, lab)
    assert [kind for kind, _ in trained] == ["masked_language_modelling"] * 2 + ["classification"]
    start = {name: each.weight for name, each in adapter_for(pretrained).linears(pretrained).items()}
    for name, weight in trained[-1][1].items():
        assert torch.equal(weight, start[name] * (weight != 0))
    gone = torch.cat([each.weight.flatten() == 0 for each in adapter_for(result).linears(result).values()])
    assert gone.float().mean() == pytest.approx(0.7, abs=1e-4)
    plain = Prune(sparsity=0.7, start="source", budget=0).compress(model, lab)
    assert not torch.equal(
        gone, torch.cat([each.weight.flatten() == 0 for each in adapter_for(plain).linears(plain).values()])
    )
