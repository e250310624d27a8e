"""Peak memory: what loading a model and calling it adds, each model in a fresh process of its own."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from bench.errors import UnavailableError
from bench.measures.inputs import made_inputs
from bench.measures.measure import MEASURES, Pair, ProbingMeasure, Reading

if TYPE_CHECKING:
    from bench.suite import Measuring

_CALLS = 3
_STATUS = Path("/proc/self/status")


class Peak(NamedTuple):
    """Bytes above the baseline at the highest point of loading, and of loading and calling; `how` they were read."""

    load_bytes: int
    peak_bytes: int
    baseline_bytes: int
    how: str


class Memory(ProbingMeasure):
    """Rise of the resident set's high-water mark over the process before loading; on CUDA, of the allocator's.

    The baseline has the libraries loaded and called once on a tiny model, so that their code and thread pools are not
    counted as the model's. The tokenizer is loaded with the model and counts. Where loading holds a tensor twice for a
    moment, the peak has it twice.
    """

    name = "memory"
    columns = ("memory_load_bytes", "memory_peak_bytes")
    says = "peak memory added by loading, and by loading and inference, in a process of its own"

    def probe(self, directory: Path, *, device: str, measuring: Measuring) -> Peak:
        """The peak of one artifact; see `peak_of`."""
        return peak_of(
            directory,
            device=device,
            threads=measuring.threads,
            batch_size=measuring.batch_size,
            length=measuring.length,
        )

    def read(self, pair: Pair) -> Reading:
        """What the probes of artifact and reference found."""
        reading = self.combine(*self.probed(pair))
        measuring = pair.setting.measuring
        reading.conditions.update(
            device=pair.device,
            threads=measuring.threads,
            batch_size=measuring.batch_size,
            length=measuring.length,
            calls=_CALLS,
        )
        return reading

    def combine(self, artifact: Peak | str, reference: Peak | str) -> Reading:
        """A reading of two peaks, each of them a reason where it could not be had."""
        reading = Reading()
        if isinstance(artifact, str):
            reading.leave(artifact, *self.columns)
            return reading
        known = None if isinstance(reference, str) else reference
        reading.give("memory_load_bytes", artifact.load_bytes, reference=known.load_bytes if known else None)
        reading.give("memory_peak_bytes", artifact.peak_bytes, reference=known.peak_bytes if known else None)
        reading.conditions = {"how": artifact.how, "baseline_bytes": artifact.baseline_bytes}
        return reading


def peak_of(directory: Path, *, device: str, threads: int, batch_size: int, length: int) -> Peak:
    """The peak of one artifact; to be called once, in a process that has loaded no model.

    Raises:
        ArtifactError: it cannot be loaded. ModelError: it is too short for `length`. UnavailableError: this system
        gives no high-water mark.
    """
    import torch

    from bench.artifact import load

    torch.set_num_threads(threads)
    _warm(device)
    mark = DeviceMark(device) if device.startswith("cuda") else ResidentMark()
    loaded = load(directory, device=device)
    load_bytes = mark.rise()
    inputs = made_inputs(loaded.model, loaded.tokenizer, batch_size=batch_size, length=length, device=device, seed=0)
    with torch.inference_mode():
        for _ in range(_CALLS):
            loaded.model(**inputs)
    return Peak(load_bytes=load_bytes, peak_bytes=mark.rise(), baseline_bytes=mark.baseline, how=mark.how)


class ResidentMark:
    """The process's highest resident bytes since construction.

    Linux: VmHWM of /proc/self/status, set back through /proc/self/clear_refs. Where it cannot be set back, and on
    macOS, the mark is the process's highest ever, so that a rise may be too high but never too low.
    """

    def __init__(self) -> None:
        if _STATUS.exists():
            self.how = "VmHWM" if _set_back() else "VmHWM, not set back: an upper bound"
            self.baseline = _status_bytes("VmRSS")
        else:
            import psutil

            self.how = "ru_maxrss, not set back: an upper bound"
            self.baseline = int(psutil.Process().memory_info().rss)

    def rise(self) -> int:
        """Bytes from the baseline to the highest point so far."""
        return max(0, (_status_bytes("VmHWM") if _STATUS.exists() else _highest_ever()) - self.baseline)


class DeviceMark:
    """The CUDA allocator's highest bytes since construction."""

    def __init__(self, device: str) -> None:
        import torch

        self._device = device
        torch.cuda.reset_peak_memory_stats(device)
        self.how = "torch.cuda.max_memory_allocated"
        self.baseline = int(torch.cuda.memory_allocated(device))

    def rise(self) -> int:
        """Bytes from the baseline to the highest point so far."""
        import torch

        torch.cuda.synchronize(self._device)
        return int(torch.cuda.max_memory_allocated(self._device)) - self.baseline


def _set_back() -> bool:
    """Set the high-water mark to the present resident size; False where the kernel does not allow it."""
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return False
    return True


def _status_bytes(key: str) -> int:
    for line in _STATUS.read_text(encoding="ascii", errors="replace").splitlines():
        name, _, value = line.partition(":")
        if name == key:
            return int(value.split()[0]) * 1024
    raise UnavailableError(f"{_STATUS}: no {key}, so peak memory cannot be read on this system")


def _highest_ever() -> int:
    try:
        import resource
    except ImportError as error:
        raise UnavailableError("peak memory needs Linux or macOS: this system has no high-water mark") from error
    highest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # macOS counts bytes, other systems KiB
    return int(highest) * (1 if sys.platform == "darwin" else 1024)


def _warm(device: str) -> None:
    """Save, load and call a tiny model, so that library code and thread pools are in the baseline."""
    import torch
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

    from bench.artifact import load, save

    words = Tokenizer(WordLevel({"[PAD]": 0, "[UNK]": 1}, unk_token="[UNK]"))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, pad_token="[PAD]", unk_token="[UNK]")
    config = BertConfig(vocab_size=8, hidden_size=64, num_hidden_layers=1, num_attention_heads=1, intermediate_size=64)
    with torch.random.fork_rng(devices=[]), tempfile.TemporaryDirectory(prefix="bench-memory-") as scratch:
        directory = Path(scratch) / "tiny"
        save(BertForSequenceClassification(config).eval(), directory, tokenizer=tokenizer, made={})
        model = load(directory, device=device).model
    with torch.inference_mode():
        model(input_ids=torch.zeros((1, 16), dtype=torch.long, device=device))


MEASURES.register("memory")(Memory())
