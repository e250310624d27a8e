"""The density below which compressed sparse rows are faster than a dense product, on this machine.

    python benchmarks/sparse [--threads 1] [--rows 1 128] [--block 1] [--json FILE]

For each matrix shape of MiniLM and BERT-base, both forms of the same matrix are timed side by side, as for the column
`speedup`. Six different matrices are called in turn, so that each has left the caches when it is called again, as a
model's layers have.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from torch import nn

SHAPES = {
    "MiniLM attention": (384, 384),
    "MiniLM FFN in": (1536, 384),
    "MiniLM FFN out": (384, 1536),
    "BERT-base attention": (768, 768),
    "BERT-base FFN in": (3072, 768),
    "BERT-base FFN out": (768, 3072),
}
DENSITIES = (0.5, 0.3, 0.2, 0.1, 0.05, 0.02)
MATRICES = 6


class Point(NamedTuple):
    """Seconds of the dense product over those of the sparse one at a density.

    If the machine never settled, `speedup` is the plain median of the pairs and `settled` is False.
    """

    density: float
    speedup: float
    settled: bool


def main() -> None:
    """Print the speed-up per density, and the break-even density, for every shape and number of rows."""
    options = _parse()
    found: list[dict[str, Any]] = []
    print(f"{'matrix':28s}{'rows':>5s}" + "".join(f"{density:>9.2f}" for density in DENSITIES) + "  break-even")
    for name, shape in SHAPES.items():
        for rows in options.rows:
            points = [measured(shape, rows, density, options) for density in DENSITIES]
            cells = "".join(f"{'' if each.settled else '~'}{each.speedup:.2f}".rjust(9) for each in points)
            print(f"{f'{name} {shape[0]}x{shape[1]}':28s}{rows:>5d}{cells}  {break_even(points)}", flush=True)
            found.append({"shape": shape, "rows": rows, "points": [point._asdict() for point in points]})
    print("~ the machine never settled: the median of the pairs instead of the ratio of undisturbed times")
    if options.json:
        options.json.write_text(json.dumps({"block": options.block, "found": found}, indent=1) + "\n", encoding="utf-8")


def break_even(points: Sequence[Point]) -> str:
    """The largest density at which the sparse product is as fast as the dense one.

    Between two densities the logarithm of the speed-up is taken to be linear in that of the density, which is exact
    if the time is proportional to the stored weights.
    """
    ordered = sorted(points, key=lambda point: point.density, reverse=True)
    if ordered[0].speedup >= 1:
        return f"above {ordered[0].density}"
    for upper, lower in pairwise(ordered):
        if lower.speedup >= 1:
            share = math.log(lower.speedup) / (math.log(lower.speedup) - math.log(upper.speedup))
            density = math.exp((1 - share) * math.log(lower.density) + share * math.log(upper.density))
            return f"{'' if lower.settled and upper.settled else '~'}{density:.3f}"
    return f"below {ordered[-1].density}"


def measured(shape: tuple[int, int], rows: int, density: float, options: argparse.Namespace) -> Point:
    """Time both forms of matrices [out, in] with random zeros side by side, for `rows` rows of input."""
    import torch

    from bench.measures.timing.calls import forward, pinned
    from bench.measures.timing.pairs import observed
    from bench.measures.timing.steady import Clocks, Side, time_steadily

    generator = torch.Generator().manual_seed(options.seed)
    sparse, dense = made(shape, density, options.block, generator)
    inputs = {"inputs": torch.randn(rows, shape[1], generator=generator)}
    with pinned(options.threads), torch.inference_mode():
        sides = [Side(model, forward(model, inputs, "cpu")) for model in (sparse, dense)]
        timed = time_steadily(
            sides[0],
            sides[1],
            pairs=options.pairs,
            seconds=options.seconds,
            patience_s=options.patience,
            seed=options.seed,
            device="cpu",
            clocks=Clocks().on("cpu", options.threads),
        )
    settled = timed.result.invalid is None
    return Point(density, timed.result.ratio.middle if settled else observed(timed.pairs), settled)


def made(shape: tuple[int, int], density: float, block: int, generator: Any) -> tuple[nn.Module, nn.Module]:
    """The same matrices in compressed sparse rows and dense."""
    import torch
    from torch import nn

    from bench.layers.csr import CsrLinear

    class InTurn(nn.Module):
        def __init__(self, layers: list[nn.Module]) -> None:
            super().__init__()
            self.layers = nn.ModuleList(layers)

        def forward(self, inputs: torch.Tensor) -> list[torch.Tensor]:
            return [layer(inputs) for layer in self.layers]

    dense, sparse = [], []
    for _ in range(MATRICES):
        linear = nn.Linear(shape[1], shape[0])
        kept = torch.rand(shape[0] // block, shape[1] // block, generator=generator) < density
        mask = kept.repeat_interleave(block, 0).repeat_interleave(block, 1)
        with torch.no_grad():
            linear.weight.copy_(torch.randn(shape, generator=generator) * mask)
        dense.append(linear)
        sparse.append(CsrLinear.from_dense(linear.weight, linear.bias, block=block))
    return InTurn(sparse).eval(), InTurn(dense).eval()


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rows", type=int, nargs="+", default=[1, 128])
    parser.add_argument("--block", type=int, default=1, help="side of the blocks that the zeros come in; 1 is single")
    parser.add_argument("--pairs", type=int, default=70, help="least number of pairs")
    parser.add_argument("--seconds", type=float, default=1.0, help="least seconds of pairs")
    parser.add_argument("--patience", type=float, default=10.0, help="most seconds of pairs")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="write every point here")
    return parser.parse_args()


if __name__ == "__main__":
    main()
