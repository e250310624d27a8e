"""Break each measure on purpose and check that a test fails: `python benchmarks/mutations [NAME ...]`.

Every mutation is made in a copy of the package in a temporary folder; the checkout is not touched. Exit status 1 if
a broken measure passes its tests.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]


class Mutation(NamedTuple):
    """One way to be wrong: in `file`, `before` (there exactly once) becomes `after`; a test in `tests` should fail."""

    file: str
    before: str
    after: str
    tests: str


MUTATIONS = {
    "drop-a-synchronisation": Mutation(
        "bench/measures/timing/calls.py",
        "        output = model(**inputs)\n        wait()\n",
        "        output = model(**inputs)\n",
        "tests/measures/test_timing_calls.py",
    ),
    "take-the-root-twice": Mutation(
        "bench/tasks/loyalty.py",
        "1 - np.sqrt(np.clip(bits, 0, 1))",
        "1 - np.sqrt(np.sqrt(np.clip(bits, 0, 1)))",
        "tests/measures/test_agreement.py",
    ),
    "swap-kl": Mutation(
        "bench/tasks/loyalty.py",
        "(np.exp(log_p) * (log_p - log_q))",
        "(np.exp(log_q) * (log_q - log_p))",
        "tests/measures/test_agreement.py",
    ),
    "count-tied-weights-twice": Mutation(
        "bench/measures/storage/parameters.py",
        "    return list(seen.values())",
        "    return list(tensors)",
        "tests/measures/test_parameters.py",
    ),
    "average-batch-means": Mutation(
        "bench/tasks/loyalty.py",
        "return float((1 - np.sqrt(np.clip(bits, 0, 1))).mean())",
        "return float(np.mean([part.mean() for part in np.array_split(1 - np.sqrt(np.clip(bits, 0, 1)), 3)]))",
        "tests/measures/test_agreement.py",
    ),
    "call-macs-flops": Mutation(
        "bench/measures/computation/computation.py",
        '"flops": 2 * ',
        '"flops": ',
        "tests/measures/test_computation.py",
    ),
    "pair-the-wrong-way": Mutation(
        "bench/measures/timing/pairs.py",
        "Interval(floors[1] / floors[0]",
        "Interval(floors[0] / floors[1]",
        "tests/measures/test_timing_pairs.py",
    ),
    "keep-contaminated-pairs": Mutation(
        "bench/measures/timing/pairs.py",
        "turn.lost_s <= LOST * sum(turn.calls)",
        "turn.lost_s <= 1e9",
        "tests/measures/test_timing_pairs.py",
    ),
    "ungate-percentiles": Mutation(
        "bench/base/statistics.py",
        "if len(values) < samples_needed(share):",
        "if len(values) < 2:",
        "tests/base/test_statistics.py",
    ),
    "forget-the-pue": Mutation(
        "bench/measures/energy/calculators.py",
        "return kwh * pue * grid_kgco2e_per_kwh",
        "return kwh * grid_kgco2e_per_kwh",
        "tests/measures/test_energy_calculators.py",
    ),
    "attack-what-is-wrong-already": Mutation(
        "bench/measures/robustness/attack.py",
        "if clean[number].argmax() == pair.kind.truth(example)",
        "if True",
        "tests/measures/test_attack.py",
    ),
}


def main(names: list[str]) -> int:
    """Run the named mutations, or all if none is named; print one line per mutation."""
    survived = 0
    for name in names or MUTATIONS:
        mutation = MUTATIONS[name]
        started = time.perf_counter()
        failing = tests_that_fail(mutation)
        survived += not failing
        verdict = f"caught by {failing[0]}" + (f" and {len(failing) - 1} more" if len(failing) > 1 else "")
        print(f"{name}: {verdict if failing else 'NOT CAUGHT'} ({time.perf_counter() - started:.0f} s)", flush=True)
    return 1 if survived else 0


def mutated(mutation: Mutation) -> str:
    """The text of the file with the mutation; `ValueError` if the text that it changes is not there exactly once."""
    text = (ROOT / mutation.file).read_text(encoding="utf-8")
    if text.count(mutation.before) != 1:
        raise ValueError(f"{mutation.file}: {mutation.before!r} is there {text.count(mutation.before)} times")
    return text.replace(mutation.before, mutation.after)


def tests_that_fail(mutation: Mutation) -> list[str]:
    """Names of the tests that fail on a copy of the package with the mutation."""
    with tempfile.TemporaryDirectory(prefix="bench-mutation-") as folder:
        copy = Path(folder)
        shutil.copytree(ROOT / "bench", copy / "bench", ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copytree(ROOT / "tests", copy / "tests", ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "pyproject.toml", copy)
        (copy / mutation.file).write_text(mutated(mutation), encoding="utf-8")
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--tb=no", "-rf", mutation.tests]
        environment = {**os.environ, "PYTHONPATH": str(copy), "OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1):
        raise RuntimeError(f"the tests of {mutation.file} did not run:\n{done.stdout}\n{done.stderr}")
    lines = [line for line in done.stdout.splitlines() if line.startswith("FAILED ")]
    return [line.removeprefix("FAILED ").partition(" - ")[0].rpartition("::")[2] for line in lines]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
