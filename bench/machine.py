"""What a record says of the machine and the program that made it."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from bench import __version__
from bench.suite import fingerprint

PACKAGES = ("torch", "transformers", "tokenizers", "datasets", "evaluate", "codecarbon", "fvcore", "numpy", "scipy")


def describe_machine(device: str) -> dict[str, Any]:
    """Processor, cores, memory, system and, where `device` is a GPU, its name; only what does not change by itself."""
    import psutil

    found: dict[str, Any] = {
        "processor": _processor(),
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
    """The program's own git commit and whether its tree was dirty; empty where it does not run from a checkout."""
    root = Path(__file__).parent.parent
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


def _processor() -> str:
    """The processor's model name as the system gives it."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
