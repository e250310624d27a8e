"""Forms that are not opened, each with the reason and what to give instead."""

from __future__ import annotations

from pathlib import Path

from bench.base.errors import ModelError

SUPPORTED = (
    "Give an id of the hub, a folder with config.json and safetensors weights, an artifact of bench, a graph (.onnx, "
    "or OpenVINO's .xml beside its .bin), or the name of a function, package.module:callable."
)
_PICKLE = "it may be a pickle, which can run code when it is loaded; save the model as safetensors (save_pretrained)"
_OTHER = "bench has no runtime for this format"
_REASONS = {
    **dict.fromkeys((".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".joblib"), _PICKLE),
    ".gguf": "weights of GGUF are quantized for another runtime, and bench does not turn them into floats",
    **dict.fromkeys((".tflite", ".h5", ".keras", ".pb", ".engine", ".plan", ".mlmodel", ".mlpackage"), _OTHER),
}
_WEIGHTS = ".safetensors"


def refuse_file(path: Path) -> None:
    """Raise `ModelError` for a file that no kind of system is opened from, by its name."""
    reason = _REASONS.get(path.suffix.lower())
    if reason is not None:
        raise ModelError(f"{path}: {reason}. {SUPPORTED}")
    if path.is_file() and path.suffix != _WEIGHTS:
        raise ModelError(f"{path}: not a form that can be scored. {SUPPORTED}")
