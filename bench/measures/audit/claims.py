"""Claimed and real savings of a whole cell: flags for savings that exist on paper only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from bench.columns import column
from bench.measures.base.measure import Pair, Reading
from bench.measures.storage.theory import claimed_bytes, resident_bytes
from bench.records.record import StageLog
from bench.spec.saving import Saving

MUCH_BELOW = 0.8  # claimed bytes over tensor bytes on disk, below which what is claimed is not what is stored
PROMISE = 1.2  # speed-up promised by bit operations, from which a measured one is asked for
WORTH = 0.1  # saving on disk, as a share of the reference's bytes, that is held against memory
HALF, QUARTER = 0.5, 0.25  # shares of a claimed saving that must be real
_SPEEDUP = column("speedup").ends
LEAST_BYTES = 2**24  # savings below this drown in the noise of a process's resident memory

_STAGE_FLAGS: dict[Saving, tuple[str, str, str]] = {
    "bytes": ("claimed-not-stored", "bytes on disk", "Store fewer or smaller numbers, or do not report it as smaller."),
    "macs": ("claimed-not-executed", "multiply-adds", "Remove rows, heads or layers, or do not report it as cheaper."),
}


class Drop(NamedTuple):
    """How much one stage saved of something, claimed and real."""

    claimed: float
    real: float

    @property
    def delivered(self) -> bool:
        """Whether there is a real saving, of at least half of what is claimed.

        A stage without a new claim may realise the claim of an earlier one: zeros that are now removed.
        """
        return self.real > 0 and self.real >= HALF * self.claimed


@dataclass(frozen=True, kw_only=True)
class CellValues:
    """Every column of a cell by name, the artifact's and the reference's, and the pair they were measured on."""

    pair: Pair
    values: dict[str, float | int] = field(default_factory=dict)
    reference: dict[str, float | int] = field(default_factory=dict)

    def saved(self, name: str) -> float | None:
        """The reference's value less the artifact's; None if one of them is absent."""
        if name in self.values and name in self.reference:
            return self.reference[name] - self.values[name]
        return None


def check_claims(readings: Mapping[str, Reading], pair: Pair) -> Reading:
    """Compare what the recipe claims to save with what all measures found, with a flag for each difference.

    No column; the numbers are in the conditions. The reference and a function claim nothing and are not judged.
    """
    reading = Reading()
    if pair.is_reference or pair.closed:
        return reading
    cell = CellValues(
        pair=pair,
        values={name: value for each in readings.values() for name, value in each.values.items()},
        reference={name: value for each in readings.values() for name, value in each.reference.items()},
    )
    stages = pair.made.stages
    _judge_stages(reading, cell, stages)
    _judge_storage(reading, readings["size"], pair)
    _judge_memory(reading, cell)
    _judge_time(reading, cell)
    return reading


def stage_drops(
    stages: Sequence[StageLog],
    reference: dict[Saving, tuple[float, float]],
    measured: dict[Saving, tuple[float, float]] | None = None,
) -> list[dict[Saving, Drop]]:
    """What each stage saved of its method's claims, compared with the stage before it.

    `reference` is what the model claimed and really had before the first stage. A stage without an audit, or whose
    model could not be traced, has no drop, and neither has the one after it; but after the last one what was `measured`
    of the whole cell stands in, as for a model whose computation depends on the example.
    """
    drops: list[dict[Saving, Drop]] = []
    before = reference
    for number, stage in enumerate(stages, start=1):
        after = {**((measured or {}) if number == len(stages) and stage.real else {}), **_state(stage)}
        claims = stage.claimed.saves if stage.claimed else ()
        drops.append(
            {
                saving: Drop(before[saving][0] - after[saving][0], before[saving][1] - after[saving][1])
                for saving in claims
                if saving in before and saving in after
            }
        )
        before = after
    return drops


def _state(stage: StageLog) -> dict[Saving, tuple[float, float]]:
    """Claimed and real bytes and MACs after a stage, as far as they are known."""
    if stage.claimed is None or stage.real is None:
        return {}
    found: dict[Saving, tuple[float, float]] = {}
    if stage.real.bytes is not None:
        found["bytes"] = (stage.claimed.bytes, stage.real.bytes)
    if stage.real.macs is not None and stage.claimed.macs is not None:
        found["macs"] = (stage.claimed.macs, stage.real.macs)
    return found


def _judge_stages(reading: Reading, cell: CellValues, stages: Sequence[StageLog]) -> None:
    start: dict[Saving, tuple[float, float]] = {}
    if "size_bytes" in cell.reference:
        start["bytes"] = (claimed_bytes(cell.pair.reference.model), cell.reference["size_bytes"])
    if "macs" in cell.reference and "macs_effective" in cell.reference:
        start["macs"] = (cell.reference["macs_effective"], cell.reference["macs"])
    told: list[dict[str, Any]] = []
    found = {name: cell.values.get(name) for name in ("macs_effective", "macs")}
    measured: dict[Saving, tuple[float, float]] = {}
    if found["macs_effective"] is not None and found["macs"] is not None:
        measured["macs"] = (found["macs_effective"], found["macs"])
    for number, (stage, drops) in enumerate(zip(stages, stage_drops(stages, start, measured), strict=True), start=1):
        told.append({"method": stage.method, "claims": list(stage.claimed.saves if stage.claimed else ())})
        for saving, drop in drops.items():
            told[-1][saving] = {**drop._asdict(), "delivered": drop.delivered}
            if not drop.delivered:
                code, things, advice = _STAGE_FLAGS[saving]
                reading.warn(
                    code,
                    f"stage {number} ({stage.method}) should save {things}: its zeros and bit widths suggest "
                    f"{drop.claimed:,.0f}, but it saves {drop.real:,.0f}. {advice}",
                )
    reading.conditions["stages"] = told


def _judge_storage(reading: Reading, size: Reading, pair: Pair) -> None:
    """Hold the claim against tensor data on disk; header and side data would drown it in small models."""
    claimed, stored = claimed_bytes(pair.artifact.model), sum(size.conditions["stored_bytes_by_dtype"].values())
    reading.conditions |= {"claimed_bytes": claimed, "stored_tensor_bytes": stored}
    if claimed < MUCH_BELOW * stored and "claimed-not-stored" not in dict(reading.warnings):
        reading.warn(
            "claimed-not-stored",
            f"zeros and bit widths suggest {claimed:,} bytes, but the tensors on disk take {stored:,}. Numbers are "
            f"stored in more bits than needed, or the indices take more space than the values. Report size_bytes.",
        )


def _judge_memory(reading: Reading, cell: CellValues) -> None:
    """Hold what is saved on disk against what is saved in memory: by the loaded tensors, and by the running process."""
    disk = cell.saved("size_bytes")
    if disk is None or disk < WORTH * cell.reference["size_bytes"]:
        return
    tensors = resident_bytes(cell.pair.reference.model) - resident_bytes(cell.pair.artifact.model)
    running = cell.saved("memory_device_bytes")
    running = cell.saved("memory_inference_bytes") if running is None else running
    reading.conditions |= {"disk_saved_bytes": disk, "loaded_tensors_saved_bytes": tensors}
    if running is not None:
        reading.conditions["memory_saved_bytes"] = running
    if tensors < QUARTER * disk:
        reading.warn(
            "decompressed-at-load",
            f"{disk:,.0f} bytes are saved on disk, but only {tensors:,} in memory, because the weights are dense "
            f"again once loaded. Only storage and transfer are saved.",
        )
    elif running is not None and disk >= LEAST_BYTES and running < QUARTER * disk:
        reading.warn(
            "not-smaller-in-memory",
            f"{disk:,.0f} bytes are saved on disk, but only {running:,.0f} while the model runs, because its kernels "
            f"keep copies of the weights. Report memory_inference_bytes.",
        )


def _judge_time(reading: Reading, cell: CellValues) -> None:
    """Hold the speed-up that executed MACs and their bit widths promise against the measured interval."""
    if "bops" not in cell.values or "bops" not in cell.reference or not cell.values["bops"]:
        return
    promised = cell.reference["bops"] / cell.values["bops"]
    reading.conditions["promised_speedup"] = promised
    if promised < PROMISE or not {"speedup", _SPEEDUP.low} <= cell.values.keys():
        return
    speedup, low = cell.values["speedup"], cell.values[_SPEEDUP.low]
    reading.conditions["speedup"] = speedup
    if low <= 1:
        reading.warn(
            "not-faster",
            f"executed multiply-adds and bit widths suggest a speed-up of {promised:.1f}x, but the measured speed-up "
            f"is {speedup:.2f}x (95 % interval from {low:.2f}x), so no gain in time is shown. The kernels of this "
            f"machine may not exploit the compression; measure at another batch size or length, or on other hardware.",
        )
