"""Peak memory: what loading a model adds and what steady inference holds, each in a fresh process of its own."""

from __future__ import annotations

import gc
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from bench.base.statistics import Interval, over_seeds
from bench.columns import column, with_intervals
from bench.measures.base.inputs import made_inputs
from bench.measures.base.measure import MEASURES, Pair, ProbingMeasure, Reading
from bench.measures.memory.high_water import DeviceMark, ResidentMark
from bench.measures.timing import rounds

if TYPE_CHECKING:
    from bench.spec.setting import Measuring
    from bench.tasks.kinds.kind import TaskKind

LOAD = "load"
_WARM_UP, _CALLS = 3, 3
_ONE = "an interval needs two processes: raise measuring.processes"
_NO_DEVICE = "the model ran on the CPU, which has no device memory of its own"


class Peak(NamedTuple):
    """Bytes above the baseline at the highest point of one probe's work; `how` they were read.

    `device_bytes` are those of the CUDA allocator; None if the model is on the host.
    """

    host_bytes: int
    device_bytes: int | None
    baseline_bytes: int
    how: str


class Memory(ProbingMeasure):
    """Rise of the resident set's high-water mark over the process before loading, for loading and inference separately.

    Inference is measured in several processes: the placement of memory blocks decides how many pages a kernel
    touches, which differs by some percent. Loading hardly varies and is measured in one process.

    In the baseline the libraries are loaded and called once on a tiny model, so that their code and thread pools are
    not counted as the model's. The tokenizer is loaded with the model and counts. On CUDA these columns are still the
    host's peak, and the device's peak has its own columns.
    """

    name = "memory"
    finds = Peak
    columns = with_intervals("memory_load_bytes", "memory_inference_bytes", "memory_peak_bytes", "memory_device_bytes")
    says = "peak memory added by loading, and memory held during steady inference; each in its own process"
    budget_s = 5.0
    of_calls = True
    optional = True

    def probes(self, measuring: Measuring, kind: TaskKind) -> tuple[str, ...]:
        """One process that loads, and several that run."""
        del kind
        return (LOAD, *rounds.names(measuring.processes))

    def probe(self, name: str, directories: tuple[Path, ...], *, device: str, measuring: Measuring) -> Peak:
        """The peak of one artifact; see `load_peak` and `inference_peak`."""
        (directory,) = directories
        if name == LOAD:
            return load_peak(directory, device=device, threads=measuring.threads)
        with rounds.laid_out(rounds.number_of(name)):
            return inference_peak(
                directory,
                device=device,
                threads=measuring.threads,
                batch_size=measuring.batch_size,
                length=measuring.length,
            )

    def unavailable(self, device: str) -> dict[str, tuple[str, ...]]:
        """The device's memory if the models run on the CPU."""
        return {} if device.startswith("cuda") else {_NO_DEVICE: ("memory_device_bytes",)}

    def read(self, pair: Pair) -> Reading:
        """What the probes of artifact and reference found."""
        found = self.probed(pair)
        artifact, reference = ({name: both[side] for name, both in found.items()} for side in (0, 1))
        reading = self.combine(artifact, reference)
        measuring = pair.setting.measuring
        reading.conditions.update(
            device=pair.device,
            threads=measuring.threads,
            batch_size=measuring.batch_size,
            length=measuring.length,
            warm_up_calls=_WARM_UP,
            calls=_CALLS,
            processes=measuring.processes,
        )
        return reading

    def combine(self, artifact: Mapping[str, Peak | str], reference: Mapping[str, Peak | str]) -> Reading:
        """A reading of both models' peaks by probe, each of them a reason if it could not be had."""
        reading = Reading()
        theirs = _columns(reference)
        for name, found in _columns(artifact).items():
            if isinstance(found, str):
                reading.leave(found, name)
            else:
                known = theirs[name]
                reading.give(name, found, reference=None if isinstance(known, str) else known)
        load, running = _parts(artifact)
        if not isinstance(load, str):
            reading.conditions[LOAD] = {"how": load.how, "baseline_bytes": load.baseline_bytes}
        if not isinstance(running, str):
            first = running[0]
            reading.conditions["inference"] = {"how": first.how, "baseline_bytes": first.baseline_bytes}
            if first.device_bytes is not None:
                reading.conditions["inference"]["device_bytes"] = first.device_bytes
            reading.samples["memory_inference_bytes"] = [float(peak.host_bytes) for peak in running]
        return reading


def _parts(peaks: Mapping[str, Peak | str]) -> tuple[Peak | str, list[Peak] | str]:
    """Loading's peak, and those of inference, each a reason if there is none."""
    running, reasons = rounds.told([peak for name, peak in peaks.items() if name != LOAD])
    return peaks[LOAD], running if running else reasons[0]


def _columns(peaks: Mapping[str, Peak | str]) -> dict[str, int | str]:
    """Each column's bytes, or the reason why there are none."""
    load, running = _parts(peaks)
    found: dict[str, int | str] = {"memory_load_bytes": load if isinstance(load, str) else load.host_bytes}
    host = running if isinstance(running, str) else [peak.host_bytes for peak in running]
    found |= _mean("memory_inference_bytes", host)
    if isinstance(load, str) or isinstance(host, str):
        reason = load if isinstance(load, str) else str(host)
        found |= _mean("memory_peak_bytes", reason)
    else:
        found |= _mean("memory_peak_bytes", [max(load.host_bytes, each) for each in host])
    if isinstance(running, str):
        found["memory_device_bytes"] = running
    else:
        device = [peak.device_bytes for peak in running if peak.device_bytes is not None]
        found["memory_device_bytes"] = round(statistics.fmean(device)) if device else _NO_DEVICE
    return found


def _mean(name: str, values: Sequence[int] | str) -> dict[str, int | str]:
    """The mean over processes with its t interval."""
    low, high = column(name).ends.names()
    if isinstance(values, str):
        return dict.fromkeys((name, low, high), values)
    interval: Interval | None = over_seeds(values)
    if interval is None:
        return {name: values[0], low: _ONE, high: _ONE}
    return {name: round(interval.middle), low: max(0, round(interval.low)), high: round(interval.high)}


def load_peak(directory: Path, *, device: str, threads: int) -> Peak:
    """The peak while one artifact is loaded; to be called once, in a process that has loaded no model.

    Raises:
        ArtifactError: it cannot be loaded. UnavailableError: this system gives no high-water mark.
    """
    from bench.artifacts.artifact import load

    _prepare(device, threads, directory)
    marks = _Marks(device)
    load(directory, device=device)
    return marks.peak()


def inference_peak(directory: Path, *, device: str, threads: int, batch_size: int, length: int) -> Peak:
    """The peak of steady inference with one artifact, its resident weights included.

    The baseline is that before loading. The mark is set back after loading and the first calls, which pack weights and
    choose kernels, so that what only they needed does not count. To be called once, in a process that has loaded no
    model.

    Raises:
        ArtifactError: it cannot be loaded. ModelError: it is too short for `length`. UnavailableError: this system
        gives no high-water mark.
    """
    import torch

    from bench.artifacts.artifact import load

    _prepare(device, threads, directory)
    marks = _Marks(device)
    loaded = load(directory, device=device)
    inputs = made_inputs(loaded.model, loaded.tokenizer, batch_size=batch_size, length=length, device=device, seed=0)
    with torch.inference_mode():
        for _ in range(_WARM_UP):
            loaded.model(**inputs)
        gc.collect()
        marks.set_back()
        for _ in range(_CALLS):
            loaded.model(**inputs)
    return marks.peak()


class _Marks:
    """The host's mark and, where the model is on a CUDA device, the allocator's."""

    def __init__(self, device: str) -> None:
        self._host = ResidentMark()
        self._device = DeviceMark(device) if device.startswith("cuda") else None

    def set_back(self) -> None:
        self._host.set_back()
        if self._device:
            self._device.set_back()

    def peak(self) -> Peak:
        return Peak(
            host_bytes=self._host.rise(),
            device_bytes=self._device.rise() if self._device else None,
            baseline_bytes=self._host.baseline,
            how=self._host.how,
        )


def _prepare(device: str, threads: int, directory: Path) -> None:
    """Set the threads; save, load and call a tiny model, so that library code and thread pools are in the baseline.

    So is the library of the runtime that runs the artifact in `directory`.
    """
    import torch
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

    from bench.artifacts.artifact import load, runtime_in, save
    from bench.layers.csr import CsrLinear
    from bench.layers.int8 import Int8Linear
    from bench.runtimes.runtime import RUNTIMES

    torch.set_num_threads(threads)
    RUNTIMES.get(runtime_in(directory))().prime()
    words = Tokenizer(WordLevel({"[PAD]": 0, "[UNK]": 1}, unk_token="[UNK]"))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, pad_token="[PAD]", unk_token="[UNK]")
    config = BertConfig(vocab_size=8, hidden_size=64, num_hidden_layers=1, num_attention_heads=1, intermediate_size=64)
    with torch.random.fork_rng(devices=[]), tempfile.TemporaryDirectory(prefix="bench-memory-") as scratch:
        directory = Path(scratch) / "tiny"
        tiny = BertForSequenceClassification(config).eval()
        # Integer kernels are code too, 7 MB of it, and sparse ones 5 MB.
        tiny.bert.pooler.dense = Int8Linear.from_float(torch.ones(64, 64), torch.ones(64))
        tiny.bert.encoder.layer[0].output.dense = CsrLinear.from_dense(torch.eye(64), torch.ones(64))
        save(tiny, directory, tokenizer=tokenizer)
        model = load(directory, device=device).model
    with torch.inference_mode():
        model(input_ids=torch.zeros((1, 16), dtype=torch.long, device=device))


MEASURES.register("memory")(Memory())
