"""How much faster an encoder with exits is at batch 1 than the full model, by mean depth, on this machine.

    python benchmarks/early_exit [--layers 6] [--width 384] [--length 128] [--threads 1] [--shares 0.5]

A model of random weights of MiniLM's size gets exits whose rule lets a given mean depth pass: inputs leave after the
layers that make the mean, half of them one layer later if it is no whole number. The full model without exits and the
one with exits are timed side by side on the same inputs, as for the column `speedup`.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor, nn

INPUTS = 8  # texts in a sample


class Point(NamedTuple):
    """Layers over mean layers, and the measured ratio; `settled` is False if the machine never became quiet."""

    mean_layers: float
    ratio: float
    speedup: float
    settled: bool


def main() -> None:
    """Print the speed-up for each mean depth."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--width", type=int, default=384)
    parser.add_argument("--length", type=int, default=128)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--shares", type=float, nargs="+", default=[1.0, 0.75, 0.5, 0.25])
    parser.add_argument("--seconds", type=float, default=5.0)
    options = parser.parse_args()
    print(f"{'mean layers':>12s}{'share':>8s}{'layers / mean':>15s}{'measured':>10s}")
    for share in options.shares:
        found = measured(
            share,
            layers=options.layers,
            width=options.width,
            length=options.length,
            threads=options.threads,
            seconds=options.seconds,
        )
        mark = "" if found.settled else "~"
        print(f"{found.mean_layers:>12.2f}{share:>8.2f}{found.ratio:>15.2f}{mark + f'{found.speedup:.2f}':>10s}")
    print("~ the machine never settled: the median of the pairs instead of the ratio of undisturbed times")


def measured(share: float, *, layers: int, width: int, length: int, threads: int, seconds: float) -> Point:
    """The speed-up of a model whose inputs leave at `share` of its layers on average."""
    import torch

    from bench.measures.timing.calls import forward, pinned
    from bench.measures.timing.pairs import observed
    from bench.measures.timing.steady import Clocks, Side, time_steadily
    from bench.measures.timing.typical import in_turn

    full, exiting, inputs = made(share, layers=layers, width=width, length=length)
    with pinned(threads), torch.inference_mode():
        sides = [
            Side(model, in_turn([forward(model, each, "cpu") for each in inputs]), INPUTS) for model in (exiting, full)
        ]
        steady = time_steadily(
            *sides,
            pairs=20,
            seconds=seconds,
            patience_s=2 * seconds,
            seed=0,
            device="cpu",
            clocks=Clocks().on("cpu", threads),
        )
    depth = share * layers
    settled = steady.result.invalid is None
    speedup = steady.result.ratio.middle if settled else observed(steady.pairs)
    return Point(depth, layers / depth, speedup, settled)


def made(share: float, *, layers: int, width: int, length: int) -> tuple[nn.Module, nn.Module, list[dict[str, Tensor]]]:
    """The full model, one with exits, and inputs that leave it at `share` of the layers on average.

    The rule computes a confidence at every exit, as the real one does, and the call says from which exit on it
    suffices: so the cost is that of a criterion and the depth is known.
    """
    import copy

    import torch
    from transformers import BertConfig, BertForSequenceClassification

    from bench.layers.exit_rules import ExitRule
    from bench.models.exits import grow_exits

    wanted = share * layers
    early = int(wanted)
    late = round((wanted - early) * INPUTS)  # inputs that leave one layer later

    class Given(ExitRule):
        """Confident enough from layer `after` on."""

        kind = "exit-given"
        after = layers

        def leaves(self, said):  # type: ignore[no-untyped-def]
            shares = said[-1].float().softmax(dim=-1).amax(dim=-1)
            return shares > (0.0 if len(said) >= self.after else 2.0)

    config = BertConfig(
        vocab_size=1000,
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=max(1, width // 32),
        intermediate_size=4 * width,
        max_position_embeddings=length,
        num_labels=2,
    )
    torch.manual_seed(0)
    full = BertForSequenceClassification(config).eval()
    exiting = copy.deepcopy(full)
    rule = Given()
    grow_exits(exiting, shared=True, seed=0).rule = rule
    inputs = []
    depths = [early + 1] * late + [early] * (INPUTS - late)
    for number in range(INPUTS):
        ids = torch.randint(5, 1000, (1, length), generator=torch.Generator().manual_seed(number))
        inputs.append({"input_ids": ids, "attention_mask": torch.ones_like(ids)})
    turn = iter(depths * 10**6)
    exiting.register_forward_pre_hook(lambda *_: setattr(rule, "after", next(turn)))
    return full, exiting.eval(), inputs


if __name__ == "__main__":
    main()
