"""What can be done with each encoder: the table of docs/architectures.md, each entry tried on a tiny model."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from families import ENCODERS, make, outputs
from torch import nn

from bench.base.errors import BenchError, MethodError
from bench.methods.exit.exits import TrainExits
from bench.methods.exit.halt import Halt
from bench.methods.factorize.factorize import Factorize
from bench.methods.prune.sparsify import Sparsify
from bench.methods.quantize.integer import Integer
from bench.methods.quantize.quantize import Quantize
from bench.methods.share.share import Share
from bench.methods.shrink.cut import cut
from bench.methods.shrink.layerdrop import LayerDrop
from bench.methods.shrink.shrink import Shrink
from bench.models.adapter import adapter_for
from bench.models.bodies import resized
from bench.models.encoder_decoder import seq2seq_config
from bench.models.heads import auto_class
from bench.training.terms.ears import Ears
from bench.training.terms.readers import RelationReader, ScoreReader

PAGE = Path(__file__).parents[2] / "docs" / "architectures.md"


def narrowed(model, lab):
    """Removes a head and a neuron that add nothing."""
    del lab
    block = adapter_for(model).blocks(model)[0]
    with torch.no_grad():
        block.module.get_submodule(block.names["attention_output"]).weight[:, :8] = 0
        block.module.get_submodule(block.names["ffn_out"]).weight[:, :1] = 0
    gone = cut(model, adapter_for(model))
    assert (gone.heads, gone.neurons) == (1, 1)
    return model


def two_to_four(model, lab):
    """Keeps two weights of four in every matrix, and stores them so."""
    with torch.no_grad():
        for linear in adapter_for(model).linears(model).values():
            linear.weight.view(-1, 4)[:, 2:] = 0
    return Sparsify(form="2:4", dense_elsewhere=True).compress(model, lab)


def heads_of(model, lab):
    del lab
    for head in ("sequence-classification", "question-answering", "masked-language-modelling", "embedding"):
        auto_class(head, model.config)
    return model


def reads(reader):
    def run(model, lab):
        del lab
        ears = Ears(model, ())
        assert reader.places(ears, "encoder", 1)
        return model

    return run


def translator(model, lab):
    del lab
    seq2seq_config(model.config, SimpleNamespace(pad_token_id=0, cls_token_id=2, sep_token_id=3), where="the model")
    return model


def other_sizes(model, lab):
    del lab
    return resized(model, {"layers": 2, "width": 16, "neurons": 32}, seed=0)


TRIED = {
    "all four heads": heads_of,
    "fewer layers": lambda model, lab: Shrink(depth=2).compress(model, lab),
    "heads, neurons": narrowed,
    "2:4": two_to_four,
    "low rank": lambda model, lab: Factorize(ratio=0.25, budget=0).compress(model, lab),
    "int8": lambda model, lab: Quantize().compress(model, lab),
    "sharing": lambda model, lab: Share(map="all", budget=0).compress(model, lab),
    "LayerDrop": lambda model, lab: LayerDrop(budget=0.5).compress(model, lab),
    "exits": lambda model, lab: TrainExits(budget=0).compress(model, lab),
    "halting": lambda model, lab: Halt(budget=0).compress(model, lab),
    "scores": reads(ScoreReader(softmax=False)),
    "relations": reads(RelationReader("value")),
    "integers": lambda model, lab: Integer(budget=0).compress(model, lab),
    "other sizes": other_sizes,
    "translation": translator,
}
OPERANDS = Quantize(
    scheme={
        "name": "operands",
        "activation_bits": 8,
        "activation_grid": "interval",
        "activation_span": "fixed",
    },
    grid="interval",
    granularity="row",
    activation_range={"name": "moving-average"},
)
YES, NO = "yes", "no"


def table():
    """The rows of the page by architecture, each a dictionary by column."""
    lines = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    header, _, *body = [row for row in rows if len(row) == len(rows[0])]
    return {row[0].strip("`"): dict(zip(header[2:], row[2:], strict=True)) for row in body}


def test_the_page_has_a_row_for_every_encoder_and_a_column_for_everything_tried():
    found = table()
    assert set(found) == set(ENCODERS)
    assert all(list(row) == list(TRIED) for row in found.values())
    assert {entry for row in found.values() for entry in row.values()} == {YES, NO}


@pytest.mark.slow
@pytest.mark.parametrize("what", TRIED)
@pytest.mark.parametrize("family", ENCODERS)
def test_an_entry_says_what_happens(family, what, make_lab):
    model = make(family, labels=2)
    lab = make_lab(model, examples=8)
    lab = dataclasses.replace(lab, fresh=lambda depth, pretrained: make(family, labels=2, num_hidden_layers=depth))
    if table()[family][what] == NO:
        with pytest.raises(BenchError, match=f"{type(model).__name__}|architecture '{family}'|{family}.encoder"):
            TRIED[what](model, lab)
    else:
        made = TRIED[what](model, lab)
        assert all(bool(values.isfinite().all()) for values in outputs(made))


def test_sharing_norms_leaves_the_first_layer_of_modernbert_without_one(make_lab):
    model = make("modernbert", labels=2)
    shared = Share(parts=("norms",), map="all", budget=0).compress(model, make_lab(model))
    first, *others = shared.model.layers
    assert type(first.attn_norm) is nn.Identity
    assert len({id(layer.attn_norm) for layer in others}) == 1
    assert type(others[0].attn_norm) is nn.LayerNorm
    assert len({id(layer.mlp_norm) for layer in shared.model.layers}) == 1


@pytest.mark.parametrize(
    ("family", "settings", "method", "text"),
    [
        ("modernbert", {}, TrainExits(budget=0), "cannot exit early.*ModernBERT"),
        ("modernbert", {}, Halt(), "cannot halt.*ModernBERT"),
        ("modernbert", {}, Integer(budget=0), "cannot run in integers"),
        ("deberta-v2", {"conv_kernel_size": 3}, TrainExits(budget=0), "a DeBERTa with a convolution give"),
        ("deberta-v2", {"conv_kernel_size": 3}, Halt(), "a DeBERTa with a convolution give"),
        ("deberta-v2", {}, Integer(budget=0), "adds what depends on the distance of two tokens"),
        ("mpnet", {}, Integer(budget=0), "adds what depends on the distance of two tokens"),
        ("roberta-prelayernorm", {}, Integer(budget=0), "its norms are before the parts of a layer, not after"),
        ("mpnet", {}, OPERANDS, "whose products cannot be reached"),
        ("modernbert", {}, OPERANDS, "has norms without a bias"),
        ("deberta-v2", {}, OPERANDS, "whose products cannot be reached"),
    ],
)
def test_what_cannot_be_done_is_refused_in_its_own_words(family, settings, method, text, make_lab):
    model = make(family, labels=2, **settings)
    with pytest.raises(MethodError, match=text):
        method.compress(model, make_lab(model))
