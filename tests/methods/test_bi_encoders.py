"""What compresses other encoders compresses bi-encoders, which are trained on pairs of a query and a document."""

import dataclasses

import pytest
import torch
from made_pruning import prune

from bench.artifacts.artifact import load, save
from bench.artifacts.manifest import Manifest
from bench.measures.computation.trace import trace
from bench.methods.distill.distill import Distill
from bench.methods.factorize.factorize import Factorize
from bench.methods.prune.sparsify import Sparsify
from bench.methods.quantize.integer import Integer
from bench.methods.quantize.quantize import Quantize
from bench.methods.replace.replace import Replace
from bench.methods.share.share import Share
from bench.methods.shrink.shrink import Shrink
from bench.models.heads import from_config, head_of
from bench.spec.suite import Source, Task
from bench.tasks.examples import Example
from bench.tasks.kinds.kind import KINDS

WORDS = ("film", "plot", "actor", "good", "bad", "awful", "great", "boring")
EACH = {
    "distill": Distill(),
    "factorize": Factorize(ratio=0.25),
    "integer": Integer(examples=8),
    "prune": prune(sparsity=0.5, schedule__rounds=2),
    "quantize": Quantize(),
    "replace": Replace(),
    "share": Share(),
    "shrink": Shrink(depth=2),
    "sparsify": Sparsify(at_most=1.0),
}


@pytest.fixture
def encoder(tiny_bert):
    def build(layers=4, seed=0):
        config = tiny_bert(layers=layers).config
        config.update({"embedding_pooling": "mean", "embedding_similarity": "cosine"})
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            return from_config(config, "embedding").eval()

    return build


@pytest.fixture
def lab(make_lab, tokenizer, encoder):
    """A lab of sixteen pairs, two of each word."""
    kind = KINDS.get("retrieval")
    task = Task(
        name="made",
        kind="retrieval",
        metrics=("ndcg_at_10",),
        data=Source(source="retrieval", subset="made"),
    )
    examples = [
        Example(uid=f"{word}/{row}", text=f"is it {word}", pair=f"the {word} was {word}", relevant=((word, 1),))
        for row in range(2)
        for word in WORDS
    ]
    return dataclasses.replace(
        make_lab(encoder()),
        task=task,
        examples=examples,
        features=kind.encode(examples, tokenizer, task=task, max_length=16, training=True),
        fresh=lambda depth, pretrained: encoder(depth, seed=11 if pretrained else 12),
    )


@pytest.fixture
def inputs(tokenizer):
    encoded = tokenizer(["is it good", "the plot was very very bad"], padding=True, return_tensors="pt")
    return {name: encoded[name] for name in ("input_ids", "attention_mask")}


@pytest.mark.parametrize("name", EACH)
def test_a_compressed_bi_encoder_gives_vectors_and_is_read_back_from_disk(
    name, lab, encoder, inputs, tokenizer, tmp_path
):
    made = EACH[name].compress(encoder(), lab)
    assert head_of(made) == "embedding"
    with torch.no_grad():
        vectors = made(**inputs).logits
    assert torch.allclose(vectors.norm(dim=1), torch.ones(2), atol=1e-5)
    save(made, tmp_path / "artifact", tokenizer=tokenizer, made=Manifest(title=name))
    with torch.no_grad():
        assert torch.equal(load(tmp_path / "artifact").model(**inputs).logits, vectors)


def test_the_multiply_adds_of_a_bi_encoder_are_those_of_its_layers(encoder):
    length, width, inner, layers = 8, 32, 64, 4
    ids = torch.full((1, length), 7)
    ledger = trace(encoder(), {"input_ids": ids, "attention_mask": torch.ones_like(ids)})
    linear = length * (4 * width * width + 2 * width * inner)
    assert not ledger.uncounted
    assert ledger.macs == layers * (linear + 2 * length * length * width)
