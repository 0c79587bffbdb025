"""Number formats that a machine multiplies fast: as the processor reports them, confirmed by a short measurement.

A processor without bfloat16 in hardware computes it all the same, by widening and rounding every number: several times
slower than float32. So fast mode checks first.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from ..core.atomic import write_text
from ..core.errors import StoreError
from ..data.cache import folder
from . import rough

# A format that the processor reports is used where a convolution in it is at least this many times as fast as in
# float32. In hardware bfloat16 is about twice as fast, emulated about a fifth as fast. The threshold lies between the
# two, with room for what else the machine does during the measurement.
PAYS = 0.7


@dataclass(frozen=True)
class Formats:
    """The number formats of fast mode on one machine.

    Attributes
    ----------
    short : str
        Of convolutions and matrix products: ``"bfloat16"``, or ``"float32"`` where nothing shorter pays.
    bytes : bool
        Whether forward convolutions of which only means over images are asked are rounded further, to bytes.
    """

    short: str = "bfloat16"
    bytes: bool = False

    @property
    def dtype(self) -> torch.dtype:
        """``short`` as PyTorch calls it."""
        return torch.bfloat16 if self.short == "bfloat16" else torch.float32

    @property
    def words(self) -> str:
        """For a record and a page."""
        return f"{self.short}, bytes where means are compared" if self.bytes else self.short


FLOAT32 = Formats("float32")


@cache
def formats_of(device: torch.device) -> Formats:
    """The formats that are faster on a device.

    A GPU reports whether it has bfloat16. A CPU reports it too, and bfloat16 is then timed on one convolution, once per
    machine. The ratio is kept in the cache folder, so that all processes of a machine decide alike.
    """
    if device.type == "cuda":
        return Formats("bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32")
    if device.type != "cpu" or not _has_bfloat16():
        return Formats("float32")
    ratios = _kept_ratios()
    return Formats("bfloat16", rough.available(device)) if ratios["bfloat16"] >= PAYS else Formats("float32")


def _has_bfloat16() -> bool:
    """Whether products of bfloat16 numbers are made by the processor itself, and by the library in use."""
    found = torch.cpu.get_capabilities()
    hardware = any(found.get(name, False) for name in ("avx512_bf16", "amx_bf16", "arm_bf16", "bf16"))
    # oneDNN may be limited by its settings (ONEDNN_MAX_CPU_ISA), so it has to agree.
    return hardware and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def _kept_ratios() -> dict[str, float]:
    """The measured ratios of this machine: from its file, or measured now and kept."""
    # All that decides the ratio names the file: another PyTorch or processor measures again.
    about = ["one thread", torch.__version__, sorted(torch.cpu.get_capabilities().items())]
    name = hashlib.sha256(json.dumps(about).encode()).hexdigest()[:16]
    path = folder() / f"formats-{name}.json"
    if (known := _read(path)) is not None:
        return known
    ratios = {"bfloat16": _ratio()}
    # Of processes that measure at the same time, the first decides for all.
    if (known := _read(path)) is not None:
        return known
    with suppress(StoreError):  # a folder that cannot be written: measured again by the next process
        write_text(path, json.dumps(ratios) + "\n")
    return ratios


def _read(path: Path) -> dict[str, float] | None:
    with suppress(OSError, ValueError, KeyError, TypeError):
        return {"bfloat16": float(json.loads(path.read_text(encoding="utf-8"))["bfloat16"])}
    return None


def _ratio() -> float:
    """How many times as fast a convolution of ConvNet-3 is in bfloat16 as in float32; some tenths of a second."""
    images = torch.rand(8, 64, 16, 16, generator=torch.Generator().manual_seed(0))
    weight = torch.rand(64, 64, 3, 3, generator=torch.Generator().manual_seed(1))

    def seconds(call: Callable[[], Tensor]) -> float:
        start = time.perf_counter()
        call()
        return time.perf_counter() - start

    kinds = []
    for dtype in (torch.float32, torch.bfloat16):
        x, w = (t.to(dtype).contiguous(memory_format=torch.channels_last) for t in (images, weight))
        kinds.append(lambda x=x, w=w: F.conv2d(x, w, padding=1))
    # On one thread: two that wait for each other on a busy machine would time the waiting.
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.no_grad():
            # In turn, so that what else the machine does falls on both; short enough to be left alone now and then.
            # The least of each is what the machine can do.
            rounds = [[seconds(call) for call in kinds] for _ in range(100)]
    finally:
        torch.set_num_threads(threads)
    plain, short = (min(column) for column in zip(*rounds[2:], strict=True))
    return plain / short


def cache_folder() -> Path:
    """Where compiled code of this machine is kept between processes."""
    return folder() / "compiled"
