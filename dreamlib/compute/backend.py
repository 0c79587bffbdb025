"""Where the work runs: the default device, its clock and memory, and an allocator that keeps its memory."""

from __future__ import annotations

import ctypes
import os
import platform
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from ..core.errors import BadValue

# glibc's mallopt parameters (malloc.h). By default glibc maps every large block again and gives it back
# to the system after use, so each activation tensor costs page faults: about half of a training step on the CPU.
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
    # No mapping of single blocks, and no trimming of the heap below 2 GiB of free memory.
    return bool(libc.mallopt(_M_MMAP_MAX, 0) and libc.mallopt(_M_TRIM_THRESHOLD, 2**31 - 1))


def deterministic(wanted: bool) -> None:
    """Allow only operations that give the same bits every time; on a GPU some of them are slower.

    Call it before the first work on a GPU: its matrix library reads its setting once. On a CPU it changes nothing.
    """
    if wanted == torch.are_deterministic_algorithms_enabled():
        # Nothing to change. PyTorch would import TorchInductor all the same: seconds, and an error for users without a
        # name.
        return
    if wanted:
        # cuBLAS is repeatable only with a workspace of fixed size; PyTorch names this value.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        # Benchmarking picks algorithms by time, and so may pick others in another run.
        torch.backends.cudnn.benchmark = False
    torch.use_deterministic_algorithms(wanted)


def resolve_device(name: str = "auto") -> torch.device:
    """The one place where a device is chosen.

    Choosing a GPU turns TF32 off in this process: by default PyTorch lets convolutions round float32 numbers to ten
    bits. :mod:`dreamlib.compute.engine` allows TF32 in fast mode only.

    Parameters
    ----------
    name : str
        ``"auto"`` takes CUDA when there is one, else the CPU; otherwise anything :class:`torch.device` takes.

    Raises
    ------
    BadValue
        If the device does not exist on this machine.
    """
    available = "cuda" if torch.cuda.is_available() else "cpu"
    device = torch.device(available) if name == "auto" else _usable(name)
    if device.type == "cuda":
        torch.backends.cudnn.allow_tf32 = False
        torch.set_float32_matmul_precision("highest")
    return device


def _usable(name: str) -> torch.device:
    try:
        device = torch.device(name)
        torch.ones(1, device=device).item()  # fails on "meta", which has shapes but no numbers
    except (RuntimeError, AssertionError) as error:  # which of these depends on the build of PyTorch
        first = str(error).splitlines()[0]
        raise BadValue(
            f"device {name!r} cannot be used: {first}", "--device cpu, or --device auto"
        ) from error
    return device


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that there is no memory left, on whatever device."""
    return isinstance(error, (MemoryError, torch.OutOfMemoryError)) or "can't allocate memory" in str(error)


def describe(device: torch.device) -> str:
    """Name of the hardware, for a result record."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    threads = f"{torch.get_num_threads()} thread{'s' * (torch.get_num_threads() != 1)}"
    if sys.platform.startswith("linux"):
        with Path("/proc/cpuinfo").open(encoding="utf-8") as lines:
            for line in lines:
                if line.startswith("model name"):
                    return f"{line.split(':', 1)[1].strip()}, {threads}"
    return f"{platform.processor() or platform.machine()}, {threads}"


def forget_peak(device: torch.device) -> None:
    """Reset :func:`peak_memory` of a CUDA device; the peak of a process cannot be reset."""
    if device.type == "cuda":
        torch.cuda.empty_cache()  # cached blocks of earlier work do not count for the next
        torch.cuda.reset_peak_memory_stats(device)


def clock(device: torch.device) -> float:
    """Seconds of a clock, read after the device has finished its queue."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
    return time.perf_counter()


class Stopwatch:
    """Seconds spent by phase, without stopping the device; and by the processor, in all.

    On CUDA, events are put into the queue and read later: to wait at the end of every phase would leave the device
    idle in between. Other devices are waited for.

    On a machine that is shared, seconds say how long one had to wait, and :attr:`core_seconds` what was computed.

    Parameters
    ----------
    device : torch.device
        The device whose time is taken.
    *phases : str
        Names of the phases.
    """

    def __init__(self, device: torch.device, *phases: str) -> None:
        self.device = device
        self._seconds = dict.fromkeys(phases, 0.0)
        self.core_seconds = 0.0
        """Processor time of this process inside the phases, added up over its threads."""
        self._marks: list[tuple[str, Any, Any]] = []  # phase, and CUDA events at its beginning and end

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Time what is done inside as ``name``."""
        start, core = self._now(), time.process_time()
        yield
        self.core_seconds += time.process_time() - core
        if self.device.type == "cuda":
            self._marks.append((name, start, self._now()))
            self._read()
        else:
            self._seconds[name] += self._now() - start

    @property
    def seconds(self) -> dict[str, float]:
        """Seconds by phase; waits for the device."""
        if self._marks:
            self._marks[-1][2].synchronize()
            self._read()
        return dict(self._seconds)

    def restore(self, seconds: Mapping[str, float], core_seconds: float) -> None:
        """Continue from earlier values of :attr:`seconds` and :attr:`core_seconds`."""
        self._seconds, self._marks, self.core_seconds = dict(seconds), [], core_seconds

    def _now(self) -> Any:
        if self.device.type != "cuda":
            return clock(self.device)
        mark = torch.cuda.Event(enable_timing=True)
        mark.record(torch.cuda.current_stream(self.device))
        return mark

    def _read(self) -> None:
        """Add up the phases that the device has finished."""
        while self._marks and self._marks[0][2].query():
            # Events finish in the order in which they were queued, so the first unfinished one ends the search.
            name, start, end = self._marks.pop(0)
            self._seconds[name] += start.elapsed_time(end) / 1000


def peak_memory(device: torch.device) -> int:
    """Peak memory in bytes: reserved by PyTorch on a CUDA device, resident set of the process on the CPU.

    Reserved memory includes that of CUDA graphs, which a replay uses without allocating it.
    """
    if device.type == "cuda":
        return int(torch.cuda.max_memory_reserved(device))
    if sys.platform == "win32":
        return 0  # the standard library has no portable reading there; 0 is shown as "not measured"
    import resource

    usage = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # macOS counts bytes, Linux KiB.
    return int(usage if sys.platform == "darwin" else usage * 1024)
