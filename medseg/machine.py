"""What the machine offers: devices and memory."""

import contextlib
import ctypes
import os
import re
import sys
from pathlib import Path

from medseg.errors import MedsegError, SettingsError

_MEMINFO = Path("/proc/meminfo")
_CGROUP = Path("/sys/fs/cgroup")
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _MMAP_MAX = -1, -3, -4  # of glibc's mallopt


def pick_device(name: str) -> str:
    """The device a setting means: `auto` takes the first CUDA GPU, else the CPU.

    Apple's GPU has to be asked for: torch samples volumes at points on it only with a detour over
    the CPU (PYTORCH_ENABLE_MPS_FALLBACK=1).

    Args:
        name: auto, cpu, mps, cuda or cuda:N.

    Raises:
        SettingsError: If the machine has no such device.
    """
    import torch  # takes a second, and half of the command line needs no device

    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    apple = torch.backends.mps.is_available()
    if name == "auto":
        return "cuda" if gpus else "cpu"
    found = ["cpu", *(f"cuda:{index}" for index in range(gpus)), *(["mps"] if apple else [])]
    if name not in found and not (name == "cuda" and gpus):
        raise SettingsError(
            f"device = {name}", f"this machine has {', '.join(found)}", "choose of these"
        )
    return name


def available_memory_bytes() -> int:
    """Main memory that can be used now; inside a container, what its limit leaves.

    What was freed and kept (`keep_freed_memory`) can be used, so it is given back first.
    """
    _glibc("malloc_trim", 0)
    return min(_free_memory(), _container_memory())


def _free_memory() -> int:
    if _MEMINFO.exists():
        found = re.search(r"MemAvailable:\s+(\d+) kB", _MEMINFO.read_text(encoding="ascii"))
        if found:
            return int(found[1]) * 1024
    if hasattr(os, "sysconf"):  # macOS states what it has, not what is free: count on half
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    return _free_on_windows() or 4 * 10**9  # every PC that can train has this


class _MemoryStatus(ctypes.Structure):
    """Windows' MEMORYSTATUSEX."""

    _fields_ = (
        ("length", ctypes.c_uint32),
        ("load", ctypes.c_uint32),
        ("total", ctypes.c_uint64),
        ("available", ctypes.c_uint64),
        ("others", ctypes.c_uint64 * 5),
    )


def _free_on_windows() -> int:
    """Free main memory as Windows states it; 0 if it does not."""
    status = _MemoryStatus(length=ctypes.sizeof(_MemoryStatus))
    with contextlib.suppress(OSError, AttributeError):  # not Windows
        ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status))  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
    return status.available


def _container_memory() -> int:
    """What a container's limit leaves (cgroup v2, then v1); a large number without a limit.

    The cache of files counts as used there, but the kernel gives it up when memory is needed.
    """
    names = (
        ("", "memory.max", "memory.current", "inactive_file"),
        ("memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    )
    for folder, limit, used, cache in names:
        with contextlib.suppress(OSError, ValueError):  # no such file, or "max"
            total = int((_CGROUP / folder / limit).read_text(encoding="ascii"))
            free = total - int((_CGROUP / folder / used).read_text(encoding="ascii"))
            stat = (_CGROUP / folder / "memory.stat").read_text(encoding="ascii")
            found = re.search(rf"^{cache} (\d+)$", stat, re.MULTILINE)
            return free + int(found[1]) if found else free
    return 2**63


def is_out_of_memory(error: Exception) -> bool:
    """Whether memory ran out: torch has an error class of its own for GPUs only."""
    if isinstance(error, MedsegError):  # its words are ours
        return False
    words = ("out of memory", "allocate memory")
    return isinstance(error, MemoryError) or any(part in str(error) for part in words)


def return_freed_memory() -> None:
    """Ask glibc to return large blocks to the system as soon as they are freed.

    On its own it soon keeps blocks of the size of a scan for each thread that reads, which is as
    much memory again as the scans themselves. `keep_freed_memory` ends this.
    """
    _glibc("mallopt", _MMAP_THRESHOLD, 8 << 20)


def keep_freed_memory() -> None:
    """Ask glibc to keep freed memory for the next step instead of returning it to the system.

    A training step frees and takes the same hundreds of megabytes; getting fresh pages for them
    costs a fifth to a third of a step on a CPU.
    """
    _glibc("mallopt", _MMAP_MAX, 0)
    _glibc("mallopt", _TRIM_THRESHOLD, 2**31 - 1)


def _glibc(function: str, *arguments: int) -> None:
    """Call the C library of most Linux systems; with another one, nothing happens."""
    if sys.platform.startswith("linux"):
        with contextlib.suppress(OSError, AttributeError):
            getattr(ctypes.CDLL("libc.so.6"), function)(*arguments)
