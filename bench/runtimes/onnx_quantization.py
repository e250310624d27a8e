"""ONNX Runtime's own post-training quantization of a graph to 8 bits."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.runtimes.onnx_files import MODEL, check_size
from bench.runtimes.runtime import Batches, Quantization
from bench.runtimes.tracing import quiet_exporters

# Rounding what is added, normalized or softmaxed costs a transformer more than its products gain.
_OPERATORS = ("MatMul", "Gemm", "Gather")


def quantized(model: bytes | Path, how: Quantization, batches: Batches, *, reduce_range: bool) -> bytes:
    """The ONNX file with products of 8-bit integers, and word embeddings in 8 bits.

    Weights have one scale per output channel; products of two activations stay in float32. With `dynamic` the range of
    activations is found at each call; with `static` it is the least and largest value on `batches`, and the graph says
    by pairs of QuantizeLinear and DequantizeLinear what the runtime then fuses into integer products.
    """
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_dynamic, quantize_static

    options: dict[str, Any] = {
        "op_types_to_quantize": list(_OPERATORS),
        "per_channel": True,
        "reduce_range": reduce_range,
        "weight_type": QuantType.QInt8,
        "extra_options": {"MatMulConstBOnly": True},
    }
    with tempfile.TemporaryDirectory(prefix="bench-onnx-") as folder, quiet_exporters(), _quiet_root():
        given, made = Path(folder) / "given.onnx", Path(folder) / MODEL
        given.write_bytes(model if isinstance(model, bytes) else model.read_bytes())
        if how == "dynamic":
            quantize_dynamic(given, made, **options)
        else:
            quantize_static(
                given,
                made,
                _CalibrationInputs(batches),
                quant_format=QuantFormat.QDQ,
                activation_type=QuantType.QUInt8,
                **options,
            )
        return check_size(made.read_bytes())


class _CalibrationInputs:
    """Calibration inputs as ONNX Runtime asks for them: one after the other, then None."""

    def __init__(self, batches: Batches) -> None:
        self._left = iter(batches)

    def get_next(self) -> dict[str, Any] | None:
        """The next inputs as numpy arrays."""
        batch = next(self._left, None)
        return None if batch is None else {name: values.numpy() for name, values in batch.items()}


@contextmanager
def _quiet_root() -> Iterator[None]:
    """While it lasts the root logger, through which the quantizer gives advice on its own tools, says errors only."""
    logger = logging.getLogger()
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
