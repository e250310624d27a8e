"""Evaluation throughput: `bench.tasks.evaluate.predict` beside `transformers.Trainer.predict`, same predictions.

Both turn the same texts into the same logits on the same machine, several times by turns; tokenisation is included.
The Trainer runs once with every example padded to the full length and once padded to the longest of each batch.
Needs `accelerate`, which the Trainer needs.

    python benchmarks/evaluation.py --model DIR --data-dir DIR --task mrpc
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    Trainer,
    TrainingArguments,
)
from transformers.utils import is_accelerate_available, logging

from bench.spec.suite import Task, load_suite
from bench.tasks.data import load_data
from bench.tasks.evaluate import predict
from bench.tasks.examples import Example

AIMS = {"max-length": 2.5, "dynamic": 1.4}
TOLERANCE = 1e-4  # largest difference of two logits that rounding may explain


class Texts(torch.utils.data.Dataset[dict[str, list[int]]]):
    """Tokenised examples as the Trainer wants them, padded to `max_length` or not at all."""

    def __init__(self, examples: Sequence[Example], tokenizer: Any, *, max_length: int, padded: bool) -> None:
        pairs = [example.pair for example in examples] if examples[0].pair is not None else None
        self.encoded = tokenizer(
            [example.text for example in examples],
            pairs,
            truncation=True,
            max_length=max_length,
            padding="max_length" if padded else False,
        )

    def __len__(self) -> int:
        return len(self.encoded["input_ids"])

    def __getitem__(self, row: int) -> dict[str, list[int]]:
        return {name: values[row] for name, values in self.encoded.items()}


def main() -> int:
    """Measure and print the two ratios; the exit status is 1 if predictions differ, 2 without accelerate."""
    options = parse()
    if not is_accelerate_available():
        print(
            "This benchmark runs transformers.Trainer, which needs accelerate: pip install accelerate", file=sys.stderr
        )
        return 2
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    task = load_suite("glue").task(options.task).model_copy(update={"trained_on": options.task})
    examples = load_data(task, data_dir=options.data_dir).splits[task.evaluate[0]]
    tokenizer = AutoTokenizer.from_pretrained(options.model, local_files_only=True)
    model = AutoModelForSequenceClassification.from_pretrained(
        options.model, num_labels=len(task.labels), local_files_only=True
    )
    model = model.to(options.device).eval()
    ways = {
        "bench": ours(model, tokenizer, examples, task=task, options=options),
        "max-length": trainers(model, tokenizer, examples, padded=True, options=options),
        "dynamic": trainers(model, tokenizer, examples, padded=False, options=options),
    }
    seconds, logits = measure(ways, repeats=options.repeats)
    report(seconds, count=len(examples), options=options)
    return check(logits)


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="directory of an encoder; the head is fresh")
    parser.add_argument("--data-dir", type=Path, required=True, help="folder with glue/ in it")
    parser.add_argument("--task", default="mrpc", help="a classification task of the suite glue")
    parser.add_argument("--max-length", type=int, default=128)
    parser.add_argument("--batch", type=int, default=8, help="the Trainer's evaluation batch; its own default is 8")
    parser.add_argument("--token-budget", type=int, default=8192, help="padded tokens per batch of bench")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    return parser.parse_args()


def ours(
    model: Any, tokenizer: Any, examples: Sequence[Example], *, task: Task, options: argparse.Namespace
) -> Callable[[], Any]:
    """A call that computes the logits with bench."""

    def run() -> Any:
        return predict(
            model,
            tokenizer,
            examples,
            task=task,
            max_length=options.max_length,
            token_budget=options.token_budget,
            device=options.device,
        ).logits

    return run


def trainers(
    model: Any, tokenizer: Any, examples: Sequence[Example], *, padded: bool, options: argparse.Namespace
) -> Callable[[], Any]:
    """A call that computes the logits with the Trainer, which is constructed beforehand."""
    arguments = TrainingArguments(
        output_dir=str(Path(tempfile.gettempdir()) / "bench-evaluation"),
        per_device_eval_batch_size=options.batch,
        report_to=[],
        use_cpu=options.device == "cpu",
        disable_tqdm=True,
    )
    trainer = Trainer(model=model, args=arguments, data_collator=DataCollatorWithPadding(tokenizer))

    def run() -> Any:
        texts = Texts(examples, tokenizer, max_length=options.max_length, padded=padded)
        return trainer.predict(texts).predictions

    return run


def measure(ways: dict[str, Callable[[], Any]], *, repeats: int) -> tuple[dict[str, list[float]], dict[str, Any]]:
    """Seconds of each repeat and the logits, per way; the ways take turns, so that drift affects all of them alike."""
    logits = {name: run() for name, run in ways.items()}  # warm-up
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repeats):
        for name, run in ways.items():
            started = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - started)
    return seconds, logits


def report(seconds: dict[str, list[float]], *, count: int, options: argparse.Namespace) -> None:
    """Print the throughput of each way, and the median of its paired ratios to bench."""
    conditions = f"{options.threads} threads, {options.device}, Trainer batch {options.batch}"
    print(f"{count} examples of {options.task}, {conditions}")
    for name, values in seconds.items():
        print(f"{name:12} {count / statistics.median(values):8.1f} examples/s (median of {len(values)})")
    for name, aim in AIMS.items():
        ratios = [theirs / own for theirs, own in zip(seconds[name], seconds["bench"], strict=True)]
        low, middle, high = min(ratios), statistics.median(ratios), max(ratios)
        print(f"bench over Trainer, {name}: {middle:.2f}x ({low:.2f} to {high:.2f}; aim {aim}x)")


def check(logits: dict[str, Any]) -> int:
    """Print whether all ways agree; returns 1 if a label differs, or a logit by more than rounding."""
    own = logits["bench"]
    for name in AIMS:
        difference = float(np.abs(logits[name] - own).max())
        labels = int((logits[name].argmax(axis=1) != own.argmax(axis=1)).sum())
        print(f"{name}: {labels} labels differ, largest difference of logits {difference:.1e}")
        if labels or difference > TOLERANCE:
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
