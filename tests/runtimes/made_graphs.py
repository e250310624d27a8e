"""Small models with random weights everywhere, their inputs, and their graphs."""

from __future__ import annotations

import pytest
import torch

GRAPHS = {"onnxruntime": ("onnx", "onnxscript", "onnxruntime"), "openvino": ("openvino",)}


def need(runtime):
    for package in GRAPHS[runtime]:
        pytest.importorskip(package, reason=f"runtime '{runtime}' needs {package}: pip install the extra of bench")


def make(architecture="BertForSequenceClassification", *, layers=1, labels=None, **settings):
    """A model whose biases and norms are random too: an exporter merges equal tensors, as fresh zeros are."""
    import transformers

    config = transformers.BertConfig(
        vocab_size=100,
        hidden_size=32,
        num_hidden_layers=layers,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=64,
        num_labels=labels or (2 if architecture.endswith("QuestionAnswering") else 3),
        **settings,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = getattr(transformers, architecture)(config).eval()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.05 * torch.randn_like(parameter))
    return model


def batch(rows, length, *, padded=False, types=True):
    """Inputs [rows, length]; if `padded`, the first row has three tokens and the rest of it is padding."""
    generator = torch.Generator().manual_seed(rows * 100 + length)
    ids = torch.randint(5, 100, (rows, length), generator=generator)
    found = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    if types:
        found["token_type_ids"] = torch.randint(0, 2, (rows, length), generator=generator)
    if padded:
        found["attention_mask"][0, 3:] = 0
    return found


def graph_of(model, runtime):
    """The model as a graph."""
    from bench.runtimes.graph_model import GraphModel
    from bench.runtimes.runtime import graph_runtime
    from bench.runtimes.tracing import traced

    found = traced(model, batch(2, 9))
    files = graph_runtime(runtime).export(found)
    return GraphModel.from_files(runtime, files, model.config, found.head, found.outputs, layers=1)
