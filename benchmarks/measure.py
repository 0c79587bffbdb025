"""Timing side by side, memory, and the floor below which no implementation gets."""

from __future__ import annotations

import ctypes
import statistics
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from dreamlib.compute import backend
from dreamlib.compute.formats import Formats, formats_of
from dreamlib.compute.operations import ProductsCounted

from .works import Call, Work

MIB = 2**20


def seconds(call: Call, device: torch.device) -> float:
    """Wall seconds of one call, the device's queue included."""
    _wait(device)
    start = time.perf_counter()
    call()
    _wait(device)
    return time.perf_counter() - start


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def memory(call: Call, device: torch.device) -> float:
    """MiB that a call holds at its peak above what was held before.

    On CUDA it has to be the first call: the memory of a CUDA graph is set aside there, and held from then on.
    """
    if device.type == "cuda":
        _wait(device)
        backend.forget_peak(device)
        before = torch.cuda.memory_reserved(device)
        call()
        _wait(device)
        return (backend.peak_memory(device) - before) / MIB
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)  # the allocator keeps what it once had; a peak is seen only above what it holds
    before, peak, done = _resident(), [0], threading.Event()

    def watch() -> None:
        while not done.wait(0.002):
            peak[0] = max(peak[0], _resident())

    thread = threading.Thread(target=watch)
    thread.start()
    call()
    done.set()
    thread.join()
    return max(0, peak[0] - before) / MIB


def _resident() -> int:
    page = 4096
    return int(Path("/proc/self/statm").read_text().split()[1]) * page


class _Traffic(TorchDispatchMode):
    """Bytes that convolutions and matrix products read and write: what remains when all else is fused into them."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        if func._schema.name in (
            "aten::convolution",
            "aten::convolution_backward",
            "aten::mm",
            "aten::addmm",
            "aten::bmm",
        ):
            results = out if isinstance(out, tuple) else (out,)
            tensors = [x for x in (*args, *results) if isinstance(x, Tensor)]
            self.bytes += sum(x.numel() * x.element_size() for x in tensors)
        return out


def floor(work: Work, rates: dict[str, float], formats: Formats) -> dict[str, float]:
    """Operations and bytes of a work, and the seconds they take at the unit's measured rates.

    In float32, and as fast mode does them: in the short format that pays, and with fewer products.
    """
    assert work.operations is not None
    with FlopCounterMode(display=False) as flops, _Traffic() as traffic, ProductsCounted() as products:
        work.operations()
    operations, moved = float(flops.get_total_flops()), float(traffic.bytes)
    rate, width = rates[formats.short], formats.dtype.itemsize
    saved = products.saved if formats.winograd else 0.0
    # Of four products in a whole tile one is left, in the short format where it may be rough.
    left = saved / 3
    rough = work.averages and formats.rough
    fast = left / (rate if rough else rates["float32"]) + (operations - saved - left) / rate
    return {
        "operations": operations,
        "operations_saved": saved,
        "bytes": moved,
        "seconds_float32": max(operations / rates["float32"], moved / rates["bytes"]),
        # Fewer bytes to move, where the values of a convolution are shorter.
        "seconds_fast": max(fast, moved * width / 4 / rates["bytes"]),
    }


def rates(device: torch.device) -> dict[str, float]:
    """What the unit does at best: operations a second by number format, and bytes a second of a copy.

    The better of a large matrix product and a large convolution counts. A format that is worked out in another one, as
    bfloat16 where the processor lacks it, is left out: one such product can take a minute.
    """
    out, formats = {}, formats_of(device)
    side = 2048 if device.type == "cpu" else 8192
    convolved = 2 * 64 * 16 * 16 * 128 * 128 * 3 * 3
    for name, dtype in {"float32": torch.float32, formats.short: formats.dtype}.items():
        a = torch.randn(side, side, device=device).to(dtype)
        x = (
            torch.randn(64, 128, 16, 16, device=device)
            .to(dtype)
            .contiguous(memory_format=torch.channels_last)
        )
        w = torch.randn(128, 128, 3, 3, device=device).to(dtype).contiguous(memory_format=torch.channels_last)
        product = 2 * side**3 / _best(lambda a=a: a @ a, device)
        convolution = convolved / _best(lambda x=x, w=w: torch.nn.functional.conv2d(x, w, padding=1), device)
        out[name] = max(product, convolution)
    big = torch.zeros(2**26, device=device)
    other = torch.empty_like(big)
    out["bytes"] = 2 * big.numel() * 4 / _best(lambda: other.copy_(big), device)
    return out


def _best(call: Callable[[], object], device: torch.device, times: int = 7) -> float:
    call()
    return min(seconds(call, device) for _ in range(times))


def compare(
    work: Work, device: torch.device, repeats: int, rate: dict[str, float], say: Callable[[str], None]
) -> dict[str, Any]:
    """Interleaved runs of the reference and of every mode, after one run of each that is not counted."""
    formats = formats_of(device)
    calls = {"reference": work.reference, **work.ours}
    first, used = {}, {}
    for name, call in calls.items():
        start = time.perf_counter()
        if device.type == "cuda":
            used[name] = memory(call, device)
        else:
            call()
        first[name] = time.perf_counter() - start
        say(f"{work.name}: {name}, first call {first[name]:.1f} s")
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(repeats):
        for name, call in calls.items():
            times[name].append(seconds(call, device))
    if not used:
        used = {name: memory(call, device) for name, call in calls.items()}
    ratios = {
        name: statistics.median(a / b for a, b in zip(times["reference"], times[name], strict=True))
        for name in work.ours
    }
    out = {
        "work": work.name,
        "title": work.title,
        "target": work.targets.get("cuda" if device.type == "cuda" else formats.short),
        "seconds": times,
        "first_call_seconds": first,
        "peak_memory_mib": used,
        "ratios": ratios,
        "notes": work.notes(),
    }
    if work.operations is not None:
        out["floor"] = floor(work, rate, formats) | {"rates": rate}
    return out
