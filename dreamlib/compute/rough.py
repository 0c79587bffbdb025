"""Operations with further rounding, where a result depends on means over images only (DM's matching).

A processor with VNNI multiplies bytes up to twice as fast as bfloat16 numbers, and four times as fast as float32. The
price is up to one percent of noise in the result of a convolution. In the mean features of a class, which DM matches,
0.2 percent of it remain; another draw of the 256 images changes them by 7 percent (CIFAR-10, ConvNet-3 of width 128).
Derivatives ignore this rounding: they are those of the convolution in bfloat16.
"""

from __future__ import annotations

import math
from functools import cache

import torch
from torch import Tensor

# With fewer channels a convolution spends its time writing its results, which bytes do not make faster.
LEAST_CHANNELS = 16

# Without one of these PyTorch sums the products of bytes in 16 bits, which can overflow.
_INSTRUCTIONS = ("avx512_vnni", "avx_vnni", "amx_int8")

_SMALLEST = 1e-30  # least distance between two levels: avoids dividing by zero where all values are zero


def available(device: torch.device) -> bool:
    """Whether a device multiplies bytes, and this PyTorch has the operations for it."""
    return device.type == "cpu" and _has_instructions()


@cache
def _has_instructions() -> bool:
    found = torch.cpu.get_capabilities()
    known = hasattr(torch.ops.onednn, "qconv2d_pointwise") and hasattr(torch.ops.onednn, "qconv_prepack")
    return known and any(found.get(name, False) for name in _INSTRUCTIONS)


def convolution(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: list[int],
    padding: list[int],
    dilation: list[int],
    transposed: bool,
    output_padding: list[int],
    groups: int,
) -> Tensor:
    """``aten.convolution`` of bfloat16 maps (N, c, h, w), whose maps and weights are rounded to bytes.

    The 256 levels of the maps lie evenly between the smallest and the largest of all their values and zero; the 255 of
    the weights between the largest absolute weight of an output channel and its opposite. Zero is a level of both, so
    padding stays zero.

    Returns ``NotImplemented`` where it would not be faster, or cannot be had: few channels, groups, other formats.
    """
    if x.ndim != 4 or x.dtype != torch.bfloat16 or transposed or groups != 1 or x.shape[1] < LEAST_CHANNELS:
        return NotImplemented
    values = x.float().contiguous(memory_format=torch.channels_last)
    # Maps: one scale for the whole tensor, unsigned, with a zero point (affine quantisation).
    scale = torch.ops.dreamlib.scale_of_bytes(values.amin(), values.amax())
    maps = (values * scale[0] + scale[1]).round().clamp(0, 255).to(torch.uint8)
    # Weights: one scale for each output channel, signed, without a zero point (symmetric quantisation).
    weights = weight.float()
    steps = (weights.abs().amax((1, 2, 3), keepdim=True) / 127).clamp(min=_SMALLEST)
    levels = (weights / steps).round().to(torch.int8)
    out: Tensor = torch.ops.dreamlib.convolution_of_bytes(
        maps, scale, levels, steps.flatten(), bias, stride, padding, dilation
    )
    return out


# An operation of its own: fused with others, it would be computed again for every number.
@torch.library.custom_op("dreamlib::scale_of_bytes", mutates_args=())
def _scale_of_bytes(least: Tensor, most: Tensor) -> Tensor:
    """Factor and summand (2,) that bring ``least`` to ``most`` between 0 and 255, and zero to a whole number."""
    low, high = least.clamp(max=0), most.clamp(min=0)
    factor = 255 / (high - low).clamp(min=_SMALLEST)
    return torch.stack([factor, (-low * factor).round()])


@_scale_of_bytes.register_fake
def _(least: Tensor, most: Tensor) -> Tensor:
    return least.new_empty(2)


@torch.library.custom_op("dreamlib::convolution_of_bytes", mutates_args=())
def _convolution_of_bytes(
    maps: Tensor,
    scale: Tensor,
    levels: Tensor,
    steps: Tensor,
    bias: Tensor | None,
    stride: list[int],
    padding: list[int],
    dilation: list[int],
) -> Tensor:
    """Convolution of the values ``(maps - scale[1]) / scale[0]`` with the weights ``steps * levels``.

    Maps are (N, c, h, w) uint8, stored channels last, and levels (o, c, kh, kw) int8. Sums of products are exact, in
    32 bits; the maps (N, o, h', w') that are returned are bfloat16, channels last. Values that are not finite make all
    of them NaN.
    """
    factor, zero = scale.tolist()
    # Also for NaN, which compares as false: values that are not finite must not look like numbers.
    if not factor > 0:
        return _empty_output(maps, levels, stride, padding, dilation).fill_(math.nan)
    how = stride, padding, dilation, 1
    packed = torch.ops.onednn.qconv_prepack(levels, steps, 1 / factor, int(zero), *how, None)
    zeros = torch.zeros_like(steps, dtype=torch.int32)
    bias = None if bias is None else bias.float()
    given = maps, 1 / factor, int(zero), packed, steps, zeros, bias, *how
    out: Tensor = torch.ops.onednn.qconv2d_pointwise(*given, 1.0, 0, torch.bfloat16, "none", [], "")
    return out


@_convolution_of_bytes.register_fake
def _(
    maps: Tensor, scale: Tensor, levels: Tensor, steps: Tensor, bias: Tensor | None, *how: list[int]
) -> Tensor:
    return _empty_output(maps, levels, *how)


def _empty_output(
    maps: Tensor, levels: Tensor, stride: list[int], padding: list[int], dilation: list[int]
) -> Tensor:
    """An empty tensor of the shape of a convolution's result."""
    sides = zip(maps.shape[2:], levels.shape[2:], stride, padding, dilation, strict=True)
    sizes = [(size + 2 * pad - apart * (side - 1) - 1) // move + 1 for size, side, move, pad, apart in sides]
    shape = maps.shape[0], levels.shape[0], *sizes
    return torch.empty(shape, dtype=torch.bfloat16, device=maps.device, memory_format=torch.channels_last)
