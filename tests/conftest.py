"""Tiny models with fixed random weights, a tokenizer made in the test, and the way to the real data."""

from __future__ import annotations

import gc
import os
from pathlib import Path

import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

WORDS = (
    *("the", "a", "film", "was", "good", "bad", "not", "very", "really", "awful", "great", "boring"),
    *("fun", "plot", "actor", "story", "is", "it", "this", "and", "but"),
)


# Encoders whose tests of what all encoders can do are slow ones, besides those in files of their own: they share most
# of their code with BERT and RoBERTa, on which the same tests always run.
LATER = {"xlm-roberta", "mpnet", "deberta-v2", "modernbert"}
OWN_FILES = {"test_relative.py", "test_modernbert.py"}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    for item in items:
        given = getattr(item, "callspec", None)
        names = {value for value in given.params.values() if isinstance(value, str)} if given else set()
        if names & LATER and item.path.name not in OWN_FILES:
            item.add_marker(pytest.mark.slow)


def pytest_collection_finish():
    """Leave what the modules of the tests imported out of every later search for garbage: it is there to stay."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def tokenizer():
    """A whole-word tokenizer over WORDS with BERT's special tokens."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from tokenizers.processors import TemplateProcessing
    from transformers import PreTrainedTokenizerFast

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    vocabulary = {word: index for index, word in enumerate([*special, *WORDS])}
    inner = Tokenizer(WordLevel(vocabulary, unk_token="[UNK]"))
    inner.pre_tokenizer = Whitespace()
    inner.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    names = dict(zip(("pad", "unk", "cls", "sep", "mask"), special, strict=True))
    return PreTrainedTokenizerFast(tokenizer_object=inner, **{f"{key}_token": value for key, value in names.items()})


@pytest.fixture
def tiny_bert():
    """A function that builds BERT(H=32, 4 layers, 4 heads, F=64, vocabulary 100) with a head and a fixed seed."""

    def build(labels: int = 2, *, head: str = "sequence-classification", layers: int = 4, seed: int = 0):
        import torch
        from transformers import BertConfig, BertForQuestionAnswering, BertForSequenceClassification

        config = BertConfig(
            vocab_size=100,
            hidden_size=32,
            num_hidden_layers=layers,
            num_attention_heads=4,
            intermediate_size=64,
            max_position_embeddings=64,
            num_labels=labels,
        )
        architecture = BertForQuestionAnswering if head == "question-answering" else BertForSequenceClassification
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            return architecture(config).eval()

    return build


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data sets; skips where neither BENCH_DATA nor a shared folder beside the checkout is there."""
    found = Path(os.environ.get("BENCH_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not (found / "glue").is_dir():
        pytest.skip("no real data: set BENCH_DATA to a folder that holds glue/")
    return found


@pytest.fixture
def restored(monkeypatch):
    """A function after which what the test registers in some registries is gone when it ends."""

    def keep(*registries):
        for each in registries:
            list(each.items())
            registry = getattr(each, "_registry", each)
            for name in ("_plugins", "_origins", "_contested"):
                monkeypatch.setattr(registry, name, dict(getattr(registry, name)))

    return keep
