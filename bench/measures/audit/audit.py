"""The audit of one stage: what its model claims to save, compared with what it stores and executes."""

from __future__ import annotations

import tempfile
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from bench.base.errors import ArtifactError, ModelError
from bench.measures.base.inputs import made_inputs
from bench.measures.storage.theory import claimed_bytes
from bench.spec.saving import Real, Saving, Stated

if TYPE_CHECKING:
    from torch import nn

    from bench.measures.computation.trace import Ledger


class Audit(NamedTuple):
    """The two halves, as `StageLog` keeps them."""

    claimed: Stated
    real: Real


def audit(
    model: nn.Module, *, saves: Collection[Saving], tokenizer: Any, scratch: Path, length: int, device: str
) -> Audit:
    """Save and trace `model`, which is not changed, and compare what it saves with what it claims.

    Args:
        model: what a stage gave.
        saves: what the stage's method should save.
        tokenizer: of the model.
        scratch: an existing directory in which the model is saved temporarily.
        length: tokens of the one example that is traced.
        device: where the model is.

    If a model cannot be saved or traced, `real.absent` has the reason.
    """
    size, by_dtype, unsaved = _saved(model, tokenizer, scratch)
    ledger = _traced(model, tokenizer, length, device)
    absent = {"bytes": unsaved} if unsaved else {}
    if isinstance(ledger, str):
        absent["macs"] = ledger
        macs = effective = bops = None
    else:
        macs, effective, bops = ledger.macs, ledger.macs_effective(), ledger.bops
    return Audit(
        claimed=Stated(saves=tuple(sorted(saves)), bytes=claimed_bytes(model), macs=effective, bops=bops),
        real=Real(bytes=size, stored_bytes_by_dtype=by_dtype, macs=macs, absent=absent),
    )


def _saved(model: nn.Module, tokenizer: Any, scratch: Path) -> tuple[int | None, dict[str, int], str]:
    """Bytes on disk, tensor bytes by stored dtype, and the reason if there are none."""
    from bench.artifacts.artifact import save, size_bytes
    from bench.measures.storage.size import read_container

    with tempfile.TemporaryDirectory(dir=scratch, prefix=".audit-") as folder:
        directory = Path(folder) / "stage"
        try:
            save(model, directory, tokenizer=tokenizer)
            return size_bytes(directory), read_container(directory).bytes_by_dtype, ""
        except (ArtifactError, ModelError) as error:
            return None, {}, str(error).replace(folder, "scratch")  # records name no folder of a machine


def _traced(model: nn.Module, tokenizer: Any, length: int, device: str) -> Ledger | str:
    """Every heavy operator of one example, or why they cannot all be counted."""
    from bench.measures.computation.depth import dynamic_depth
    from bench.measures.computation.tokens import dynamic_tokens
    from bench.measures.computation.trace import trace

    if dynamic_depth(model) is not None:
        return "the number of executed layers depends on the example; column macs is the mean over the evaluation set"
    if dynamic_tokens(model) is not None:
        return "the number of tokens that are kept depends on the example; column macs is a mean over examples"
    try:
        inputs = made_inputs(model, tokenizer, batch_size=1, length=length, device=device, seed=0)
        ledger = trace(model, inputs)
    except ModelError as error:
        return str(error)
    if ledger.uncounted:
        return f"no counting formula for the operators {', '.join(sorted(ledger.uncounted))}"
    return ledger
