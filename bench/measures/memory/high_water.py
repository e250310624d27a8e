"""High-water marks of memory: the process's resident set and the CUDA allocator's."""

from __future__ import annotations

import sys
from pathlib import Path

from bench.base.errors import UnavailableError

_STATUS = Path("/proc/self/status")


class ResidentMark:
    """The process's highest resident bytes since construction or since it was set back.

    Linux: VmHWM of /proc/self/status, set back through /proc/self/clear_refs. Where it cannot be set back, and on
    macOS, the mark is the process's highest ever, so that a rise may be too high but never too low.
    """

    def __init__(self) -> None:
        if _STATUS.exists():
            self.how = "VmHWM" if _set_back() else "VmHWM, not reset: an upper bound"
            self.baseline = _status_bytes("VmRSS")
        else:
            import psutil

            self.how = "ru_maxrss, not reset: an upper bound"
            self.baseline = int(psutil.Process().memory_info().rss)

    def set_back(self) -> None:
        """Forget the highest point; the baseline stays."""
        if _STATUS.exists():
            _set_back()

    def rise(self) -> int:
        """Bytes from the baseline to the highest point."""
        return max(0, (_status_bytes("VmHWM") if _STATUS.exists() else _highest_ever()) - self.baseline)


class DeviceMark:
    """The CUDA allocator's highest bytes since construction or since it was set back."""

    def __init__(self, device: str) -> None:
        import torch

        self._device = device
        self.set_back()
        self.baseline = int(torch.cuda.memory_allocated(device))

    def set_back(self) -> None:
        """Forget the highest point; the baseline stays."""
        import torch

        torch.cuda.synchronize(self._device)
        torch.cuda.reset_peak_memory_stats(self._device)

    def rise(self) -> int:
        """Bytes from the baseline to the highest point."""
        import torch

        torch.cuda.synchronize(self._device)
        return int(torch.cuda.max_memory_allocated(self._device)) - self.baseline


def _set_back() -> bool:
    """Set the high-water mark to the present resident size; False if the kernel does not allow it."""
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return False
    return True


def _status_bytes(key: str) -> int:
    for line in _STATUS.read_text(encoding="ascii", errors="replace").splitlines():
        name, _, value = line.partition(":")
        if name == key:
            return int(value.split()[0]) * 1024
    raise UnavailableError(f"{_STATUS}: no {key}, so peak memory cannot be read on this system")


def _highest_ever() -> int:
    try:
        import resource
    except ImportError as error:
        raise UnavailableError("peak memory needs Linux or macOS: this system has no high-water mark") from error
    highest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # macOS counts bytes, other systems KiB
    return int(highest) * (1 if sys.platform == "darwin" else 1024)
