"""What computes a divergence."""

from __future__ import annotations

import torch

from bench.training.terms.divergences import Disparity, Losses


class AbsoluteDisparity(Disparity):
    """The absolute difference of each element."""

    def losses(self, student, teacher, *, real, allowed):
        values = (student - teacher).abs()
        counts = torch.ones_like(values)
        for part in (None if real is None else real[..., None], allowed):
            counts = counts if part is None else counts * part
        return Losses(values, counts)
