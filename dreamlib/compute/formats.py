"""What makes convolutions fast on a machine: as the processor reports it, confirmed by a short measurement.

A processor without bfloat16 in hardware computes it all the same, by widening and rounding every number: several times
slower than float32. So fast mode checks first. In either format, large convolutions can be made with fewer products
(:mod:`dreamlib.compute.convolutions`).
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from ..core.atomic import write_text
from ..core.errors import StoreError
from ..data.cache import folder
from . import convolutions
from .backend import tune_allocator
from .machine import LIMITS, native

# Maps and weights in float32, channels last, to a call that convolves them in another way.
Convolution = Callable[[Tensor, Tensor], Callable[[], Tensor]]

# A format that the processor reports is used where a convolution in it is at least this many times as fast as in
# float32. In hardware bfloat16 is about twice as fast, emulated about a fifth as fast. The threshold lies between the
# two, with room for what else the machine does during the measurement.
PAYS = 0.7

# Winograd's algorithm is used where a convolution by it is at least this many times as fast as a direct one in the
# fastest format. It is 2 to 3 times as fast in float32, and 1.2 to 1.6 times in bfloat16.
FEWER_PAYS = 1.1

# Maps of the measurement, of the published width: with fewer channels transforms weigh more, and less is gained.
SHAPE = (8, 128, 16, 16)


@dataclass(frozen=True)
class Formats:
    """The number formats of fast mode on one machine.

    Attributes
    ----------
    short : str
        Of convolutions and matrix products: ``"bfloat16"``, or ``"float32"`` where nothing shorter pays.
    winograd : bool
        Whether large 3x3 convolutions are made with fewer products, in float32; their maps are in ``short``.
    rough : bool
        Whether the factors of those products too are in ``short``, where matching or training compares or learns from
        means over images. That is off by 1 % of a standard deviation (bfloat16 itself: .3 %).
    """

    short: str = "bfloat16"
    winograd: bool = False
    rough: bool = False

    @property
    def dtype(self) -> torch.dtype:
        """``short`` as PyTorch calls it."""
        return torch.bfloat16 if self.short == "bfloat16" else torch.float32

    @property
    def words(self) -> str:
        """For a record and a page."""
        rough = f" (products in {self.short} where means are compared)" * self.rough
        return self.short + f", large 3x3 convolutions by Winograd{rough}" * self.winograd


FLOAT32 = Formats("float32")
FEWER_PRODUCTS = Formats("float32", winograd=True)


@cache
def formats_of(device: torch.device) -> Formats:
    """The formats that are faster on a device.

    A GPU reports whether it has bfloat16. A CPU reports it too, and bfloat16 is then timed on one convolution, once per
    machine; so is Winograd's algorithm. The ratios are kept in the cache folder, so that all processes of a machine
    decide alike.
    """
    if device.type == "cuda":
        return Formats("bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32")
    if device.type != "cpu":
        return FLOAT32
    half = _kept_ratio("bfloat16", _in_bfloat16) if _has_bfloat16() else 0.0
    short, direct = ("bfloat16", max(1.0, half)) if half >= PAYS else ("float32", 1.0)
    if (code := convolutions.built()) is None:
        return Formats(short)
    fewer = partial(_by_winograd, torch.bfloat16 if short == "bfloat16" else torch.float32)
    ratio = _kept_ratio(f"winograd-{short}", partial(fewer, False), code.name)
    if ratio < FEWER_PAYS * direct:
        return Formats(short)
    if short == "float32":
        return FEWER_PRODUCTS
    rough = _kept_ratio("winograd-rough", partial(fewer, True), code.name)
    return Formats(short, winograd=True, rough=rough >= FEWER_PAYS * ratio)


def _has_bfloat16() -> bool:
    """Whether products of bfloat16 numbers are made by the processor itself, and by the library in use."""
    found = torch.cpu.get_capabilities()
    hardware = any(found.get(name, False) for name in ("avx512_bf16", "amx_bf16", "arm_bf16", "bf16"))
    # oneDNN may be limited by its settings (ONEDNN_MAX_CPU_ISA), so it has to agree.
    return hardware and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def _kept_ratio(name: str, faster: Convolution, code: str = "") -> float:
    """How many times as fast as directly in float32 a convolution is here: from its file, or measured now and kept.

    ``code`` names what is measured, where it is ours.
    """
    # All that decides the ratio names the file: another PyTorch, processor or limit measures again.
    limits = [os.environ.get(limit) for limit in LIMITS]
    about = [
        "one thread",
        SHAPE,
        torch.__version__,
        sorted(torch.cpu.get_capabilities().items()),
        limits,
        code,
    ]
    path = folder() / f"{name}-{hashlib.sha256(json.dumps(about).encode()).hexdigest()[:16]}.json"
    if (known := _read(path, name)) is not None:
        return known
    ratio = _ratio(faster)
    # Of processes that measure at the same time, the first decides for all.
    if (known := _read(path, name)) is not None:
        return known
    with suppress(StoreError):  # a folder that cannot be written: measured again by the next process
        write_text(path, json.dumps({name: ratio}) + "\n")
    return ratio


def _read(path: Path, name: str) -> float | None:
    with suppress(OSError, ValueError, KeyError, TypeError):
        return float(json.loads(path.read_text(encoding="utf-8"))[name])
    return None


def _direct(x: Tensor, weight: Tensor) -> Tensor:
    return F.conv2d(x, weight, padding=1)


def _in_bfloat16(x: Tensor, weight: Tensor) -> Callable[[], Tensor]:
    return partial(_direct, *(_channels_last(t.to(torch.bfloat16)) for t in (x, weight)))


def _by_winograd(dtype: torch.dtype, rough: bool, x: Tensor, weight: Tensor) -> Callable[[], Tensor]:
    return partial(torch.ops.dreamlib.winograd, x.to(dtype), weight.to(dtype), None, False, rough)


def _channels_last(values: Tensor) -> Tensor:
    return values.contiguous(memory_format=torch.channels_last)


def _ratio(faster: Convolution) -> float:
    """How many times as fast as directly in float32 a convolution of ConvNet-3 is; some tenths of a second."""
    tune_allocator()  # as where cells are computed: else pages of new memory are what is timed
    x = _channels_last(torch.rand(*SHAPE, generator=torch.Generator().manual_seed(0)))
    weight = _channels_last(torch.rand(SHAPE[1], SHAPE[1], 3, 3, generator=torch.Generator().manual_seed(1)))
    kinds = partial(_direct, x, weight), faster(x, weight)

    def seconds(call: Callable[[], Tensor]) -> float:
        start = time.perf_counter()
        call()
        return time.perf_counter() - start

    # On one thread: two that wait for each other on a busy machine would time the waiting.
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.no_grad():
            # In turn, so that what else the machine does falls on both; short enough to be left alone now and then.
            # The least of each is what the machine can do.
            rounds = [[seconds(call) for call in kinds] for _ in range(40)]
    finally:
        torch.set_num_threads(threads)
    plain, short = (min(column) for column in zip(*rounds[2:], strict=True))
    return plain / short


def cache_folder() -> Path:
    """Where compiled code is kept between processes: a folder for each kind of processor."""
    return folder() / "compiled" / native()
