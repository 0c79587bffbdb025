"""Operations that are traced as others, which compile to faster code.

:data:`FASTER` changes nothing but rounding; :data:`ROUGHER` is for means over images (:mod:`.rough`).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from . import rough

VECTOR = 32  # the most numbers that a processor takes at once
LEAST_CHANNELS = 3  # of a convolution on a CPU


def _channels_last(images: Tensor) -> Tensor:
    # Images of one channel are in this form whatever their strides say, and yet by their strides the form of what a
    # convolution gives is chosen.
    if images.shape[1] == 1:
        return images.clone(memory_format=torch.channels_last)
    return images.contiguous(memory_format=torch.channels_last)


def _is_channels_last(images: Tensor) -> bool:
    if images.shape[1] == 1 and images.stride(1) != 1:
        return False
    return images.is_contiguous(memory_format=torch.channels_last)


# Convolutions are fastest on images whose channels lie side by side, and TorchInductor gives their results that form.
# The trace has to ask for it from end to end, derivatives included: where one tensor between two convolutions has
# another form, every number of it is looked up by itself.


def _convolution(
    x: Tensor, weight: Tensor, bias: Tensor | None, stride: list[int], padding: list[int], *rest: Any
) -> Tensor:
    if x.ndim != 4:
        return NotImplemented
    more = _more(x, weight, padding)
    if _is_channels_last(x) and not any(more):
        return NotImplemented
    x, weight, padding = _larger(x, weight, padding, more)
    return torch.ops.aten.convolution.default(_channels_last(x), weight, bias, stride, padding, *rest)


def _convolution_backward(
    gradient: Tensor,
    x: Tensor,
    weight: Tensor,
    biases: list[int] | None,
    stride: list[int],
    padding: list[int],
    *rest: Any,
) -> tuple[Tensor | None, ...]:
    if x.ndim != 4:
        return NotImplemented
    more = _more(x, weight, padding)
    if _is_channels_last(x) and _is_channels_last(gradient) and not any(more):
        return NotImplemented
    (channels, height, width), (channel, row, column) = x.shape[1:], more
    x, weight, padding = _larger(x, weight, padding, more)
    of_x, of_weight, of_bias = torch.ops.aten.convolution_backward.default(
        _channels_last(gradient), _channels_last(x), weight, biases, stride, padding, *rest
    )
    if of_x is not None and any(more):
        of_x = of_x[:, :channels, row : row + height, column : column + width]
    return of_x, of_weight if of_weight is None or not channel else of_weight[:, :channels], of_bias


# On a CPU two kinds of convolution are many times slower than what they are a part of: a wide frame of zeros around
# the images (MNIST's first layer; the derivative by the weight takes 15 times as long), and a single channel (4 times).


def _more(x: Tensor, weight: Tensor, padding: list[int]) -> tuple[int, int, int]:
    """Channels of zeros that the images and weights get, and rows and columns of zeros on each side of the images."""
    if x.device.type != "cpu" or x.shape[1] != weight.shape[1]:
        return 0, 0, 0
    wide = [max(0, pad - size // 2) for pad, size in zip(padding, weight.shape[2:], strict=True)]
    return max(0, LEAST_CHANNELS - x.shape[1]), wide[0], wide[1]


def _larger(
    x: Tensor, weight: Tensor, padding: list[int], more: tuple[int, int, int]
) -> tuple[Tensor, Tensor, list[int]]:
    """Images, weights and padding of the same convolution with ``more`` zeros in its images."""
    channel, row, column = more
    if any(more):
        x = torch.nn.functional.pad(x, (column, column, row, row, 0, channel))
    if channel:
        weight = torch.nn.functional.pad(weight, (0, 0, 0, 0, 0, channel))
    return x, weight, [padding[0] - row, padding[1] - column]


# Cut before they are brought into that form, maps would be worked out anew for every piece.


def _split(x: Tensor, size: int, dim: int = 0) -> Any:
    if x.ndim != 4 or dim != 0 or _is_channels_last(x):
        return NotImplemented
    return torch.ops.aten.split.Tensor(_channels_last(x), size, dim)


# Average pooling as a mean over an axis of its own: TorchInductor turns that, and above all its derivative, into
# straight loops, where its own version looks up the window of every pixel (a third of a gradient's time on a CPU).


def _avg_pool2d(
    x: Tensor,
    kernel_size: list[int],
    stride: list[int] | None = None,
    padding: list[int] | int = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    window = _tiling(kernel_size, stride, padding, ceil_mode, divisor_override)
    if window is None:
        return NotImplemented
    (h, w), (rows, columns) = window, (x.shape[-2] // window[0], x.shape[-1] // window[1])
    tiles = x[..., : rows * h, : columns * w].unflatten(-2, (rows, h)).unflatten(-1, (columns, w))
    # A product where a mean would divide: by a power of two the bits are the same, and it is several times faster.
    return tiles.sum((-3, -1)) * (1 / (h * w))


def _avg_pool2d_backward(
    gradient: Tensor,
    x: Tensor,
    kernel_size: list[int],
    stride: list[int] | None,
    padding: list[int] | int,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None,
) -> Tensor:
    window = _tiling(kernel_size, stride, padding, ceil_mode, divisor_override)
    if window is None:
        return NotImplemented
    (h, w), (rows, columns) = window, gradient.shape[-2:]
    each = (gradient * (1 / (h * w))).movedim(-3, -1)[..., :, None, :, None, :]
    wide = each.expand(*x.shape[:-3], rows, h, columns, w, x.shape[-3])
    out = wide.reshape(*x.shape[:-3], rows * h, columns * w, x.shape[-3]).movedim(-1, -3)
    # What no window has covered moved nothing.
    left = x.shape[-1] - columns * w, x.shape[-2] - rows * h
    return torch.nn.functional.pad(out, (0, left[0], 0, left[1])) if any(left) else out


def _tiling(
    kernel_size: list[int],
    stride: list[int] | None,
    padding: list[int] | int,
    ceil_mode: bool,
    divisor_override: int | None,
) -> tuple[int, int] | None:
    """The (height, width) of the windows, if they lie side by side like tiles; None otherwise."""
    h, w = kernel_size[0], kernel_size[-1]
    moves = [h, w] if not stride else [stride[0], stride[-1]]
    pads = [padding] if isinstance(padding, int) else list(padding)
    fits = moves == [h, w] and not any(pads) and not ceil_mode and divisor_override is None
    return (h, w) if fits else None


# Instance norm. TorchInductor goes over the maps three times, and works the standard deviation out anew for every
# pixel: a square root and three divisions where one product and one sum would do. Here what is one number per image
# and channel is an operation of its own, which nothing is fused with, and one pass finds both moments.


@torch.library.custom_op("dreamlib::scale_of_norm", mutates_args=())
def _scale_of_norm(
    centre: Tensor,
    total: Tensor,
    square: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    count: int,
    eps: float,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """What a norm multiplies ``x - mean`` by and adds, and the mean and inverse deviation, (N, C) float32 each.

    ``total`` and ``square`` are the sums of ``x - centre`` and of its square over the ``count`` pixels of a channel.
    """
    away = total / count
    inverse = (square / count - away * away).clamp(min=0).add(eps).rsqrt()
    mean = away + centre
    factor = inverse.clone() if weight is None else inverse * weight.float()
    shift = torch.zeros_like(mean) if bias is None else torch.zeros_like(mean) + bias.float()
    return _in_order(factor, shift, mean, inverse)


def _in_order(a: Tensor, b: Tensor, c: Tensor, d: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """As the compiler expects them: it asks only for shapes, and reads the memory row by row."""
    return a.contiguous(), b.contiguous(), c.contiguous(), d.contiguous()


def _room(like: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Four tensors of the shape of ``like``, float32, row by row."""
    a, b, c, d = (like.new_empty(like.shape, dtype=torch.float32) for _ in range(4))
    return a, b, c, d


@_scale_of_norm.register_fake
def _(centre: Tensor, *rest: Any) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return _room(centre)


def _sum(maps: Tensor) -> Tensor:
    """Sums (N, C) over the pixels of maps (N, C, h, w).

    Along the rows first, then over them: so memory is read in its order. TorchInductor 2.12 writes past the end of what
    such a sum leaves where the channels do not lie side by side or do not fill its vectors, so there it is one sum.
    """
    whole = maps.shape[1] % VECTOR == 0 and _is_channels_last(maps)
    return maps.sum(3).sum(2) if whole else maps.sum((2, 3))


def _scale(
    x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Factor, shift, mean and inverse deviation (N, C) of maps (N, C, h, w)."""
    values = x.float()
    # A square less a squared mean would lose its digits where the mean is large: the first pixel is near enough to it.
    centre = values[:, :, 0, 0]
    away = values - centre[:, :, None, None]
    given = (
        centre,
        away.sum((2, 3)),
        (away * away).sum((2, 3)),
        weight,
        bias,
        x.shape[2] * x.shape[3],
        eps,
    )
    found: tuple[Tensor, Tensor, Tensor, Tensor] = torch.ops.dreamlib.scale_of_norm(*given)
    return found


def _group_norm(
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    images: int,
    channels: int,
    size: int,
    groups: int,
    eps: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """``aten.native_group_norm`` where every channel is a group."""
    if x.ndim != 4 or groups != channels:
        return NotImplemented
    factor, shift, mean, inverse = _scale(x, weight, bias, eps)
    # Less the mean first: a large one times the factor would leave no digits for the rest.
    out = (x.float() - mean[:, :, None, None]) * factor[:, :, None, None] + shift[:, :, None, None]
    # The derivative gets the moments unrounded.
    return out.to(x.dtype), mean, inverse


@torch.library.custom_op("dreamlib::scale_of_norm_backward", mutates_args=())
def _scale_of_norm_backward(
    total: Tensor, product: Tensor, inverse: Tensor, weight: Tensor | None, count: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Factors of the gradient and of ``x - mean``, the summand, and what the weight of a channel gets from an image.

    All are (N, C) float32. ``total`` and ``product`` are the sums of the gradient, and of the gradient times
    ``x - mean``, over the ``count`` pixels of a channel.
    """
    of_gradient = inverse.clone() if weight is None else inverse * weight.float()
    of_weight = product * inverse
    of_place, summand = -of_gradient * inverse * of_weight / count, -of_gradient * total / count
    return _in_order(of_gradient, of_place, summand, of_weight)


@_scale_of_norm_backward.register_fake
def _(total: Tensor, *rest: Any) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return _room(total)


def _group_norm_backward(
    gradient: Tensor,
    x: Tensor,
    mean: Tensor,
    inverse: Tensor,
    weight: Tensor | None,
    images: int,
    channels: int,
    size: int,
    groups: int,
    wanted: list[bool],
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """``aten.native_group_norm_backward`` where every channel is a group."""
    if x.ndim != 4 or groups != channels:
        return NotImplemented
    grown, away = gradient.float(), x.float() - mean[:, :, None, None]
    total, product = _sum(grown), _sum(grown * away)
    by_gradient, by_place, summand, of_weight = torch.ops.dreamlib.scale_of_norm_backward(
        total, product, inverse, weight, x.shape[2] * x.shape[3]
    )
    out = grown * by_gradient[:, :, None, None] + (
        away * by_place[:, :, None, None] + summand[:, :, None, None]
    )
    to = x.dtype if weight is None else weight.dtype
    return (
        out.to(x.dtype) if wanted[0] else None,
        of_weight.sum(0).to(to) if wanted[1] else None,
        total.sum(0).to(to) if wanted[2] else None,
    )


FASTER: dict[Any, Any] = {
    torch.ops.aten.convolution.default: _convolution,
    torch.ops.aten.convolution_backward.default: _convolution_backward,
    torch.ops.aten.split.Tensor: _split,
    torch.ops.aten.avg_pool2d.default: _avg_pool2d,
    torch.ops.aten.avg_pool2d_backward.default: _avg_pool2d_backward,
    torch.ops.aten.native_group_norm.default: _group_norm,
    torch.ops.aten.native_group_norm_backward.default: _group_norm_backward,
}


def _rough_convolution(x: Tensor, weight: Tensor, *rest: Any) -> Tensor:
    out = rough.convolution(x, weight, *rest)
    return _convolution(x, weight, *rest) if out is NotImplemented else out


# For means over images.
ROUGHER = FASTER | {
    torch.ops.aten.convolution.default: _rough_convolution,
}
