"""3x3 convolutions for CPUs, with a quarter of the products where there are many channels (Winograd's algorithm).

The algorithms are in ``convolutions.cpp``. The C++ compiler that TorchInductor needs too builds them, once per machine,
in some seconds. Sums are ordered differently and the transforms round: in float32, results differ from those of a
direct convolution by up to 3e-5 of their standard deviation (1e-5 is what float32 alone costs).
"""

from __future__ import annotations

import ctypes
import hashlib
import logging
import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..core.atomic import write_atomically
from ..core.errors import StoreError
from ..data.cache import folder

_KINDS = (torch.float32, torch.bfloat16)  # of maps
FEW = 8  # the most channels of a convolution that is made directly
LEAST_SIDE = 4  # of maps: one tile
LEAST_TILES = 32  # with fewer, transforming the weights costs what fewer products save

_SOURCE = Path(__file__).with_name("convolutions.cpp")
_COMPILERS = ("g++", "c++")
log = logging.getLogger(__name__)
# Threads are OpenMP's: those of the library that PyTorch has loaded. Linking another one would give this code threads
# of its own, which wait on the cores that PyTorch's need. So the name is left open, and found when it is loaded.
_FLAGS = ("-std=c++17", "-O3", "-march=native", "-fPIC", "-fopenmp", "-c")


def available(device: torch.device) -> bool:
    """Whether this machine can build and load the algorithm for a device."""
    return device.type == "cpu" and built() is not None


@cache
def built() -> Path | None:
    """Where the algorithm lies for this machine, built now if it was not; None if it cannot be built or loaded.

    Processes that find another compiler, or none, may decide otherwise.
    """
    with suppress(OSError, ValueError, StoreError, subprocess.SubprocessError):
        own = shlex.split(os.environ.get("CXX", ""))
        compiler = own or list(filter(None, map(shutil.which, _COMPILERS)))[:1]
        if not compiler:
            return None
        # Of a folder that machines or users share, each takes what was built for its own instructions, by its own user.
        machine = map(str, sorted(torch.cpu.get_capabilities().items()))
        user = str(os.getuid()) if hasattr(os, "getuid") else ""
        about = [_SOURCE.read_text(encoding="utf-8"), *_FLAGS, *compiler, *machine, user]
        name = f"convolutions-{hashlib.sha256('|'.join(about).encode()).hexdigest()[:16]}.so"
        path = folder().resolve() / name
        was_there = path.is_file()
        if not was_there:
            _build(compiler, path)
        if _load(path) is None and was_there:
            _build(compiler, path)  # what lay there was damaged
        return path if _load(path) is not None else None
    return None


def _load(path: Path) -> ctypes.CDLL | None:
    with suppress(OSError, AttributeError):
        # Native code that somebody else may have put there is not run.
        if hasattr(os, "getuid") and path.stat().st_uid not in (os.getuid(), 0):
            return None
        library = ctypes.CDLL(str(path))
        for name in (
            "winograd_convolution",
            "winograd_gradient",
            "few_channels_convolution",
            "panel",
            "multiplies_bfloat16",
        ):
            getattr(library, name)
        return library
    return None


def _build(compiler: list[str], path: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="dreamlib-") as name:
        compiled, linked = Path(name, "convolutions.o"), Path(name, "convolutions.so")
        for command in (
            [*compiler, *_FLAGS, str(_SOURCE), "-o", str(compiled)],
            [*compiler, "-shared", str(compiled), "-o", str(linked)],
        ):
            done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)
            if done.returncode:
                log.info(
                    "fast mode without convolutions of its own: %s", " ".join(done.stderr.splitlines()[-1:])
                )
            done.check_returncode()
        if _load(linked) is None:
            raise OSError(f"{linked} cannot be loaded")
        # Another process finds a whole file that can be loaded, or none.
        write_atomically(path, lambda to: to.write_bytes(linked.read_bytes()))


def suited(
    x: Tensor,
    weight: Tensor,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    groups: int,
    bias: Tensor | None = None,
) -> str:
    """How a convolution is made here: ``"winograd"``, directly as one of ``"few channels"``, or ``""``, by PyTorch.

    Takes the arguments of ``aten.convolution``: maps (N, c, h, w), weights (o, c, 3, 3), biases (o), all float32 or all
    bfloat16. What does not belong together is left to PyTorch, which says so.
    """
    operands = [x, weight] if bias is None else [x, weight, bias]
    if x.ndim != 4 or x.dtype not in _KINDS or any(value.dtype != x.dtype for value in operands):
        return ""
    if any(value.device.type != "cpu" for value in operands):
        return ""
    images, channels, height, width = x.shape
    usual = [*stride, *padding, *dilation, groups] == [1] * 7 and not transposed
    whole = weight.shape[1:] == (channels, 3, 3) and len(weight) % panel() == 0
    large = min(height, width) >= LEAST_SIDE and _tiles(images, height, width) >= LEAST_TILES
    if not (usual and whole and large and (bias is None or bias.shape == weight.shape[:1])):
        return ""
    if channels % panel() == 0:
        return "winograd"
    # In float32 PyTorch's own is faster.
    short = x.dtype == torch.bfloat16 and bool(_loaded().multiplies_bfloat16())
    return "few channels" if channels <= FEW and short else ""


@cache
def panel() -> int:
    """Channels come in multiples of it: two vectors of the processor, 16 or 32."""
    return int(_loaded().panel())


def saved(x: Tensor, weight: Tensor, *how: Any) -> float:
    """Floating-point operations that the algorithm saves at one convolution; 0 where it does not fit.

    Its transforms are not counted.

    Takes the arguments of :func:`suited`. Each of the two derivatives saves as many.
    """
    if suited(x, weight, *how) != "winograd":
        return 0.0
    images, _, height, width = x.shape
    places = 9 * images * height * width - 36 * _tiles(images, height, width)
    return 2.0 * weight.shape[0] * weight.shape[1] * places


def _tiles(images: int, height: int, width: int) -> int:
    return images * -(-height // 4) * -(-width // 4)


@torch.library.custom_op("dreamlib::winograd", mutates_args=())
def _convolution(x: Tensor, weight: Tensor, bias: Tensor | None, mirrored: bool, rough: bool) -> Tensor:
    """Convolution (N, o, h, w) of maps (N, c, h, w) with weights (o, c, 3, 3), one row of zeros on each side.

    ``mirrored``: the transposed convolution instead, of maps (N, o, h, w) with the same weights: the gradient by the
    maps. ``rough``: those in bfloat16 have the factors of their products rounded to it. What is returned is stored
    channels last.
    """
    x, (outputs, channels) = _channels_last(x), weight.shape[:2]
    _check_operands(outputs if mirrored else channels, weight.shape[:2], x, weight, bias)
    _check_weights(weight, bias, channels if mirrored else outputs)
    # Weights and biases are few numbers, next to the maps.
    weight, bias = weight.float(), None if bias is None else bias.float().contiguous()
    of_output, of_channel, *of_pixel = weight.stride()
    if mirrored:
        outputs, channels, of_output, of_channel = channels, outputs, of_channel, of_output
    out = _empty(x, outputs)
    sizes = len(x), *x.shape[2:], channels, outputs, of_output, of_channel, *of_pixel
    given = _at(x), _at(weight), _at(bias), _at(out), *_sizes(*sizes), mirrored
    _check(_loaded().winograd_convolution(*given, *_how(x, rough)), "maps")
    return out


@_convolution.register_fake
def _(x: Tensor, weight: Tensor, bias: Tensor | None, mirrored: bool, rough: bool) -> Tensor:
    return _empty(x, weight.shape[1 if mirrored else 0])


@torch.library.custom_op("dreamlib::few_channels", mutates_args=())
def _few_channels(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """The same convolution directly, of maps of few channels in bfloat16."""
    x, (outputs, channels) = _channels_last(x), weight.shape[:2]
    _check_operands(channels, (outputs,), x, weight, bias)
    _check_weights(weight, bias, outputs)
    torch._check(x.dtype == torch.bfloat16)
    out = _empty(x, outputs)
    weight, bias = weight.float(), None if bias is None else bias.float().contiguous()
    given = _at(x), _at(weight), _at(bias), _at(out)
    sizes = _sizes(len(x), *x.shape[2:], channels, outputs, *weight.stride())
    _check(_loaded().few_channels_convolution(*given, *sizes, torch.get_num_threads()), "maps")
    return out


@_few_channels.register_fake
def _(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return _empty(x, weight.shape[0])


@torch.library.custom_op("dreamlib::winograd_gradient", mutates_args=())
def _gradient(x: Tensor, gradient: Tensor, rough: bool) -> Tensor:
    """Gradient (o, c, 3, 3) by the weights, of maps (N, c, h, w) and the gradient (N, o, h, w) by the results."""
    x, gradient = _channels_last(x), _channels_last(gradient)
    channels, outputs = x.shape[1], gradient.shape[1]
    _check_operands(channels, (channels, outputs), x, gradient)
    torch._check(x.shape[2:] == gradient.shape[2:] and len(x) == len(gradient))
    out = x.new_empty(3, 3, channels, outputs, dtype=torch.float32)
    given = _at(x), _at(gradient), _at(out), *_sizes(len(x), *x.shape[2:], channels, outputs)
    _check(_loaded().winograd_gradient(*given, *_how(x, rough)), "gradient")
    return x.new_empty(outputs, channels, 3, 3).copy_(out.permute(3, 2, 0, 1))


@_gradient.register_fake
def _(x: Tensor, gradient: Tensor, rough: bool) -> Tensor:
    return x.new_empty(gradient.shape[1], x.shape[1], 3, 3)


@cache
def _loaded() -> ctypes.CDLL:
    path = built()
    library = None if path is None else _load(path)
    assert library is not None, "asked for where available() is false"
    return library


def _check_operands(channels: int, sides: Sequence[int], x: Tensor, *others: Tensor | None) -> None:
    """What the C++ code takes for granted; engines ask :func:`suited` first, which leaves the rest to PyTorch."""
    torch._check(x.ndim == 4 and x.numel() > 0 and x.shape[1] == channels)
    torch._check(all(side % panel() == 0 for side in sides))
    given = [x, *(value for value in others if value is not None)]
    torch._check(x.dtype in _KINDS and all(value.dtype == x.dtype for value in given))
    torch._check(all(value.device.type == "cpu" for value in given))


def _check_weights(weight: Tensor, bias: Tensor | None, outputs: int) -> None:
    torch._check(weight.shape[2:] == (3, 3) and (bias is None or bias.shape == (outputs,)))


def _how(maps: Tensor, rough: bool) -> tuple[bool, bool, int]:
    return maps.dtype == torch.bfloat16, rough, torch.get_num_threads()


def _channels_last(maps: Tensor) -> Tensor:
    return maps.contiguous(memory_format=torch.channels_last)


def _empty(like: Tensor, channels: int) -> Tensor:
    shape = like.shape[0], channels, *like.shape[2:]
    return torch.empty(shape, dtype=like.dtype, device=like.device, memory_format=torch.channels_last)


def _at(tensor: Tensor | None) -> ctypes.c_void_p:
    return ctypes.c_void_p(None if tensor is None else tensor.data_ptr())


def _sizes(*sizes: int) -> list[Any]:
    return [ctypes.c_ssize_t(size) for size in sizes]


def _check(code: int, what: str) -> None:
    if code:
        raise MemoryError(f"no memory for the transforms of a convolution's {what}")
