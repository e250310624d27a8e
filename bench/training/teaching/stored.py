"""A frozen teacher's outputs on all training examples: computed once, kept in a file, and read by later trainings."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from bench.base.errors import MethodError
from bench.records.record import write_bytes
from bench.tasks.batching import collate, length_batches
from bench.tasks.features import Feature
from bench.tasks.kinds.kind import TaskKind
from bench.training.terms.teacher import Teacher

LARGEST_BYTES = 1 << 30  # of the outputs of one teacher on one training split, in memory and on disk
_TOKENS = 8192  # padded tokens per batch; batches do not depend on a training's, so that a stored output never does
_LAYOUT = 1  # raised if the same teacher and examples would give another file


def recall(
    teacher: Teacher, features: Sequence[Feature], kind: TaskKind, *, pad_id: int, device: str, folder: Path | None
) -> bool:
    """Let `teacher` remember its outputs on every feature, from the file that an earlier call left in `folder` if any.

    The outputs are the same to the bit whether they are read or computed: they are always computed in batches of
    similar length, longest first, and kept as float32. A file is named after the teacher's tensors and the features,
    so that any recipe and any process finds it; it takes 4 bytes per logit, `LARGEST_BYTES` at most.

    Args:
        teacher: a frozen one; its model is run in evaluation mode.
        features: all of the training split.
        kind: of the task.
        pad_id: token id that fills short rows.
        device: where the teacher runs.
        folder: where the file is or will be; None keeps the outputs in memory only.

    Returns:
        Whether they were read from a file.

    Raises:
        MethodError: a teacher that moves, or outputs that do not belong to single examples, or too many of them.
    """
    if teacher.moving:
        raise MethodError("the outputs of a teacher that trains cannot be stored: they change with every step")
    if kind.in_batch:
        raise MethodError(f"the outputs of a teacher of {kind.name} depend on the batch, so they cannot be stored")
    path = None if folder is None else folder / f"outputs-{_key(teacher.model, features, kind, device)}.safetensors"
    if path is not None and path.exists():
        teacher.remember(_read(path))
        os.utime(path)
        return True
    known = _computed(teacher, features, kind, pad_id=pad_id, device=device)
    if path is not None:
        _write(known, path)
    teacher.remember(known)
    return False


def _computed(
    teacher: Teacher, features: Sequence[Feature], kind: TaskKind, *, pad_id: int, device: str
) -> dict[int, tuple[Tensor, ...]]:
    found: dict[int, tuple[Tensor, ...]] = {}
    total = 0
    for rows in length_batches([each.tokens for each in features], budget_tokens=_TOKENS):
        batch = collate([features[row] for row in rows], pad_id=pad_id).to(device)._replace(rows=rows)
        with torch.autocast("cuda", dtype=torch.bfloat16, enabled=batch.inputs["input_ids"].is_cuda):
            outputs = teacher.by_row(batch, kind)
        if any(head.dim() > 1 for heads in outputs for head in heads):
            raise MethodError(
                f"the outputs of a teacher of {kind.name} are distributions over a vocabulary, of which a training "
                f"set has too many to store. Leave out stored = true."
            )
        total += sum(4 * head.numel() for heads in outputs for head in heads)
        if total > LARGEST_BYTES:
            raise MethodError(
                f"the outputs of the teacher on {len(features)} examples take more than {LARGEST_BYTES >> 20} MiB. "
                f"Leave out stored = true."
            )
        found.update(zip(rows, outputs, strict=True))
    return found


def _write(known: dict[int, tuple[Tensor, ...]], path: Path) -> None:
    """One flat tensor per head, rows one after the other, and the number of values of each row."""
    from safetensors.torch import save

    rows = [known[row] for row in range(len(known))]
    parts: dict[str, Tensor] = {}
    for head in range(len(rows[0]) if rows else 0):
        parts[f"values.{head}"] = torch.cat([row[head].reshape(-1) for row in rows]).float().cpu()
        parts[f"sizes.{head}"] = torch.tensor([row[head].numel() if row[head].dim() else -1 for row in rows])
    write_bytes(path, save(parts, metadata={"format": f"bench teacher outputs {_LAYOUT}"}))


def _read(path: Path) -> dict[int, tuple[Tensor, ...]]:
    from safetensors.torch import load_file

    parts = load_file(path)
    heads = []
    for head in range(len(parts) // 2):
        sizes = parts[f"sizes.{head}"].tolist()  # -1 is a number without an axis
        values = parts[f"values.{head}"].split([abs(size) for size in sizes])
        heads.append([value[0] if size < 0 else value for value, size in zip(values, sizes, strict=True)])
    return dict(enumerate(zip(*heads, strict=True)))


def _key(model: nn.Module, features: Sequence[Feature], kind: TaskKind, device: str) -> str:
    """What the outputs depend on: every tensor of the teacher and its modules, the inputs, the device, the library."""
    digest = hashlib.sha256()
    digest.update(json.dumps([_LAYOUT, kind.name, torch.device(device).type, torch.__version__]).encode())
    digest.update(repr(model).encode())  # modules with their arguments, such as the threshold of an exit
    for name, tensor in model.state_dict().items():
        if isinstance(tensor, Tensor):
            digest.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}\n".encode())
            digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    for feature in features:
        digest.update(json.dumps([{key: list(value) for key, value in feature.inputs.items()}]).encode())
    return digest.hexdigest()[:16]
