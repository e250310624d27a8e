from __future__ import annotations

import pytest
import torch


@pytest.fixture
def exact_int_mm(monkeypatch):
    """CUDA's integer product on the CPU, so that the path to it is checked but for its speed.

    torch's own `_int_mm` of a CPU without VNNI instructions adds pairs of products in 16 bits, which overflow.
    """

    def product(left, right):
        assert left.dtype == right.dtype == torch.int8
        return left.int() @ right.int()

    monkeypatch.setattr(torch, "_int_mm", product)
