"""The frozen setting of a suite: how everything is trained, and under which conditions it is measured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from bench.base.schema import Frozen


class Training(Frozen):
    """The budget and schedule that every training run of the suite has unless a task narrows it."""

    epochs: float = Field(
        3.0, ge=0, le=1000, description="0 uses the model's own trained head as it is; recipes then cannot train"
    )
    batch_size: int = Field(32, ge=1, le=65536)
    learning_rate: float = Field(5e-5, gt=0, le=1)
    warmup: float = Field(0.1, ge=0, lt=1, description="share of the steps used for learning-rate warm-up")
    weight_decay: float = Field(0.01, ge=0, le=1)
    clip: float = Field(1.0, gt=0, description="maximum gradient norm (clipping)")


class Measuring(Frozen):
    """The conditions under which every artifact of the suite is measured."""

    threads: int = Field(2, ge=1, le=1024)
    batch_size: int = Field(1, ge=1, le=4096, description="examples per call in the latency columns")
    length: int = Field(128, ge=4, le=8192, description="tokens per example in latency, MACs and memory")
    throughput_batch: int = Field(32, ge=1, le=4096)
    processes: int = Field(5, ge=1, le=100, description="fresh processes in which a model is timed")
    pairs: int = Field(70, ge=5, le=100000, description="minimum number of interleaved pairs, over all processes")
    seconds: float = Field(2.0, gt=0, description="minimum duration of the interleaved pairs, over all processes")
    patience_seconds: float = Field(
        20.0, gt=0, description="maximum duration of the pairs if the machine does not settle, over all processes"
    )
    sweep_lengths: tuple[int, ...] = Field((), description="more lengths to time, at `batch_size`")
    sweep_batches: tuple[int, ...] = Field((), description="more batch sizes to time, at `length`")
    sweep_seconds: float = Field(
        0.5, gt=0, description="minimum duration of each point of the sweep, and of throughput"
    )
    real_lengths: bool = Field(
        False, description="whether both models are also timed on evaluation examples without padding, one per call"
    )
    energy_seconds: float = Field(10.0, gt=0, description="total length of the energy windows of one model")
    energy_windows: int = Field(
        3, ge=1, le=1000, description="maximum number of windows; fewer if a window would have fewer than ten samples"
    )
    energy_sample_s: float = Field(1.0, gt=0, description="seconds between two samples of the energy meter")
    idle_seconds: float | None = Field(
        None, gt=0, description="seconds of the idle window; None is the length of one window"
    )
    country: str = Field(
        min_length=3, max_length=3, description="ISO 3166 alpha-3 code of the country whose electricity grid is assumed"
    )
    pue: float = Field(
        1.0,
        ge=1,
        le=10,
        description="power usage effectiveness of the site (PUE); used for emissions and water only",
    )
    wue_l_per_kwh: float | None = Field(None, ge=0, description="litres of water per kWh that the site draws (WUE)")
    hardware_power_w: float | None = Field(
        None, gt=0, description="TDP of the device that runs the models, for the formula of Lacoste et al."
    )
    carbon_offset: float = Field(
        0.0, ge=0, le=1, description="share of the emissions that is offset, for the formula of Lacoste et al."
    )
    attack_examples: int = Field(50, ge=1)
    attack_queries: int = Field(200, ge=0, description="query budget per attacked example")
    train_examples: int = Field(500, ge=1, description="training examples on which fidelity is measured")
    budgets_s: dict[str, float] = Field({}, description="seconds per measure, instead of the measure's own budget")
    skip: tuple[str, ...] = Field((), description="measures to skip; their columns are absent with this reason")


# What ids of settings are made of. A field that is not named here was added when records had such ids already, so it
# counts only if it differs from its default, and an id stays as it was. One process is how every model was timed
# before there could be several. Skipped measures change no number that is there.
_ALWAYS = {
    "Training": {"epochs", "batch_size", "learning_rate", "warmup", "weight_decay", "clip"},
    "Measuring": {
        *("threads", "batch_size", "length", "throughput_batch", "pairs", "seconds", "patience_seconds"),
        *("sweep_lengths", "sweep_batches", "sweep_seconds", "energy_seconds", "energy_windows", "energy_sample_s"),
        *("idle_seconds", "country", "pue", "wue_l_per_kwh", "hardware_power_w", "carbon_offset"),
        *("attack_examples", "attack_queries", "train_examples", "budgets_s"),
    },
    "Setting": {"max_length", "evaluation_tokens", "training", "measuring"},
}


def _identified(part: Frozen, kind: str) -> dict[str, Any]:
    """The fields of one table of the setting that its id is made of."""
    stated = part.model_dump(mode="json", exclude_defaults=True)
    dumped = part.model_dump(mode="json")
    return {name: value for name, value in dumped.items() if name in _ALWAYS[kind] or name in stated}


def completed_measuring(stated: Mapping[str, Any]) -> dict[str, Any]:
    """The table `measuring` as a record states it, with what fields that were added later had when it was made.

    That is their default, by the rule above, but for `processes`, which was 1.
    """
    later = {
        name: field.default
        for name, field in Measuring.model_fields.items()
        if name not in _ALWAYS["Measuring"] and not field.is_required()
    }
    return {**later, "processes": 1, **stated}


class Setting(Frozen):
    """Everything frozen across the rows that may be compared."""

    max_length: int = Field(128, ge=4, le=8192, description="tokens per example in training and evaluation")
    evaluation_tokens: int = Field(8192, ge=16, description="padded tokens per batch in evaluation")
    training: Training = Training()
    measuring: Measuring

    def identified(self) -> dict[str, Any]:
        """What the id of a setting is made of, as JSON values: an id stays the same if a field is added later."""
        measuring = _identified(self.measuring, "Measuring")
        measuring.pop("skip", None)
        measuring.pop("processes", None)
        measuring |= {} if self.measuring.processes == 1 else {"processes": self.measuring.processes}
        parts = {"training": _identified(self.training, "Training"), "measuring": measuring}
        return {**_identified(self, "Setting"), **parts}
