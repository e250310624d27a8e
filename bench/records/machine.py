"""What a record says of the machine and the program that made it."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from bench.base.version import __version__
from bench.spec.suite import fingerprint

PACKAGES = ("torch", "transformers", "tokenizers", "datasets", "evaluate", "codecarbon", "fvcore", "numpy", "scipy")
# Instructions that decide how fast products of floats and of integers are.
INSTRUCTIONS = frozenset(
    (
        *("avx2", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_int8", "amx_bf16"),
        *("asimd", "asimddp", "i8mm", "bf16", "sve"),
    )
)
# Variables with which the libraries below torch can be kept from using some of them.
LIMITS = ("ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA", "MKL_ENABLE_INSTRUCTIONS")


def describe_machine(device: str) -> dict[str, Any]:
    """Processor, cores, memory, system and, if `device` is a GPU, its name; only what does not change by itself.

    A processor is more than its name, which some virtual machines shorten: integer kernels are two to three times as
    fast with the instructions for them, so its generation and these instructions belong to it, and the variables that
    forbid them. What a system does not tell is left out.
    """
    import psutil

    found: dict[str, Any] = {
        **_processor(),
        "architecture": platform.machine(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30),
        "system": platform.system(),
        "device": device,
    }
    if device.startswith("cuda"):
        import torch

        found["gpu"] = torch.cuda.get_device_name(device)
    return found


def machine_id(machine: dict[str, Any]) -> str:
    """A readable name plus eight hex digits; equal for machines that look the same to `describe_machine`."""
    kind = "gpu" if "gpu" in machine else "cpu"
    return f"{str(machine['system']).lower()}-{kind}-{machine['cores']}c-{fingerprint(machine)}"


def versions() -> dict[str, str]:
    """Versions of bench, Python and the libraries that numbers depend on; a library that is not there is left out."""
    found = {"bench": __version__, "python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def source_commit() -> dict[str, Any]:
    """The program's own git commit and whether its tree was dirty; empty if it does not run from a checkout."""
    root = Path(__file__).parent.parent.parent
    if not (root / ".git").exists():
        return {}
    commit = _git(root, "rev-parse", "HEAD")
    status = _git(root, "status", "--porcelain", "--untracked-files=no")
    return {"commit": commit, "dirty": bool(status)} if commit else {}


def _git(root: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", *arguments],
            cwd=root,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=30,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip()


def _processor() -> dict[str, Any]:
    """The processor's name, generation and instructions as the system gives them, and variables that forbid some."""
    told = _cpuinfo(Path("/proc/cpuinfo"))
    found: dict[str, Any] = {"processor": told.get("model name") or platform.processor() or platform.machine()}
    generation = [f"{key} {told[key]}" for key in ("cpu family", "model", "stepping") if key in told]
    if generation:
        found["generation"] = ", ".join(generation)
    flags = set((told.get("flags") or told.get("Features") or "").split())
    if flags:
        found["instructions"] = sorted(flags & INSTRUCTIONS)
    limits = {name: os.environ[name] for name in LIMITS if name in os.environ}
    return {**found, "limits": limits} if limits else found


def _cpuinfo(path: Path) -> dict[str, str]:
    """What Linux says of the first processor, by key; empty elsewhere."""
    if not path.exists():
        return {}
    first = path.read_text(encoding="utf-8", errors="replace").split("\n\n")[0]
    lines = (line.partition(":") for line in first.splitlines() if ":" in line)
    return {key.strip(): value.strip() for key, _, value in lines}
