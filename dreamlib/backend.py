"""Where the work runs: default device, threads, and an allocator that keeps its memory."""

from __future__ import annotations

import ctypes
import os
import platform
import sys
import time
from pathlib import Path

import torch

from .errors import BadValue

# glibc's mallopt parameters (malloc.h). By default glibc maps every large block anew and gives it back to the
# system after use, so each activation tensor costs page faults: about half of a training step on the CPU.
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4


def tune_allocator() -> bool:
    """Make glibc keep large blocks instead of returning them after each use.

    Returns
    -------
    bool
        True where it took effect (Linux with glibc), False elsewhere. Changes speed, never a result.
    """
    if not sys.platform.startswith("linux") or platform.libc_ver()[0] != "glibc":
        return False
    libc = ctypes.CDLL(None)
    return bool(libc.mallopt(_M_MMAP_MAX, 0) and libc.mallopt(_M_TRIM_THRESHOLD, 2**31 - 1))


def deterministic(wanted: bool) -> None:
    """Let PyTorch use only operations that give the same bits every time; on a GPU some of them are slower.

    Call it before the first work on a GPU: its matrix library reads its setting once. On a CPU it changes nothing.
    """
    if wanted:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.backends.cudnn.benchmark = False
    torch.use_deterministic_algorithms(wanted)


def resolve_device(name: str = "auto") -> torch.device:
    """The one place where a device is chosen.

    Parameters
    ----------
    name : str
        ``"auto"`` takes CUDA when there is one, else the CPU; otherwise anything :class:`torch.device` takes.

    Raises
    ------
    BadValue
        If the device does not exist on this machine.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (
        RuntimeError,
        AssertionError,
        NotImplementedError,
    ) as error:  # by the build of PyTorch, one of these
        first = str(error).splitlines()[0]
        raise BadValue(
            f"device {name!r} cannot be used: {first}", "--device cpu, or --device auto"
        ) from error
    return device


def describe(device: torch.device) -> str:
    """Name of the hardware, for a result record."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    if sys.platform.startswith("linux"):
        with Path("/proc/cpuinfo").open(encoding="utf-8") as lines:
            for line in lines:
                if line.startswith("model name"):
                    return f"{line.split(':', 1)[1].strip()}, {torch.get_num_threads()} thread(s)"
    return f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} thread(s)"


def clock(device: torch.device) -> float:
    """Seconds of a clock that has waited for what the device was given to do."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
    return time.perf_counter()


def peak_memory(device: torch.device) -> int:
    """Peak memory in bytes: of the device's allocator on CUDA, of the process (resident set) on the CPU."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    if sys.platform == "win32":
        return 0  # the standard library has no portable reading there; 0 is shown as "not measured"
    import resource

    usage = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(usage if sys.platform == "darwin" else usage * 1024)
