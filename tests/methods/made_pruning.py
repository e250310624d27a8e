"""What pruning is given for every architecture: a tiny model with fixed weights and a lab of made token sequences."""

from __future__ import annotations

import dataclasses

import architectures
import families

KINDS = {
    "bench-lstm-lm": "language_modelling",
    "bench-lstm-seq2seq": "translation",
    "marian": "translation",
    "encoder-decoder": "translation",
}


def made(name, *, seed=0):
    """A tiny model of an architecture, or of an encoder's family, with two labels where it has any."""
    if name in families.FAMILIES:
        return families.make(name, labels=2, seed=seed)
    return architectures.make_model(name, seed=seed, **({"num_labels": 2} if name == "bench-bilstm" else {}))


def lab_of(name, make_lab, *, model=None, epochs=1.0, examples=24):
    """A lab whose features fit the architecture: sequences of 6 and 9 tokens, in three batches an epoch."""
    import torch
    from made_sequences import sequence_task

    draws = torch.Generator().manual_seed(3)
    rows = [torch.randint(4, 40, (9 if row % 2 else 6,), generator=draws).tolist() for row in range(examples)]
    lab = make_lab(made(name) if model is None else model, epochs=epochs)
    return dataclasses.replace(
        lab,
        task=sequence_task(KINDS[name]) if name in KINDS else lab.task,
        features=[_feature(name, index, row) for index, row in enumerate(rows)],
        fresh=lambda depth, pretrained: made(name, seed=11 if pretrained else 12),
    )


def subject_of(name, make_lab, *, model, **more):
    """What a saliency is given."""
    from bench.methods.prune.site import Subject

    lab = lab_of(name, make_lab, model=model)
    return Subject(**{"model": model, "lab": lab, "seed": 0, **more})


def pruning_of(model, lab, **arguments):
    """A pruning in progress over `model` itself."""
    from bench.methods.prune.run import Pruning

    return Pruning(model, prune(**{"sparsity": 0.5, **arguments}), lab)


def prune(**arguments):
    """`Prune` with arguments of its choices written `schedule__rounds=3`; a choice not named is the default one."""
    from bench.methods.prune.prune import Prune

    tables = {}
    for key, value in arguments.items():
        choice, dunder, inner = key.partition("__")
        if dunder:
            default = Prune.model_fields[choice].get_default(call_default_factory=True)
            name = arguments.get(choice, default and default.called)
            tables.setdefault(choice, {"name": name})[inner] = value
    return Prune(**{key: value for key, value in arguments.items() if "__" not in key} | tables)


def sites_of(model, unit, **where):
    """The sites of a model by the unit's name."""
    from bench.methods.prune.units import UNITS, Where

    return UNITS.get(unit)().sites(model, Where(**where))


def _feature(name, index, row):
    from bench.tasks.features import Feature

    real = {"input_ids": row, "attention_mask": [1] * len(row)}
    if name == "bench-lstm-lm":
        return Feature(inputs={"input_ids": row}, targets={"labels": row}, example=index)
    if name in KINDS:
        return Feature(inputs={**real, "decoder_input_ids": [2, *row[:-2]]}, targets={"labels": row[1:]}, example=index)
    return Feature(inputs=real, targets={"labels": int(sum(row) % 2)}, example=index)
