"""Operations that are replaced in a trace by equivalent ones that compile to faster code.

:data:`FASTER` changes nothing but the order of sums; :func:`fewer_products` is for CPUs (:mod:`.convolutions`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

from . import convolutions
from .formats import Formats

VECTOR = 32  # the most numbers in one vector register: bfloat16 in 512 bits
LEAST_CHANNELS = 3  # of a convolution on a CPU: one channel is 4 times slower than three


def _channels_last(images: Tensor) -> Tensor:
    # With one channel both memory formats hold the numbers in the same order, but PyTorch chooses the format of a
    # convolution's result by the strides. clone() sets the strides too.
    if images.shape[1] == 1:
        return images.clone(memory_format=torch.channels_last)
    return images.contiguous(memory_format=torch.channels_last)


def _is_channels_last(images: Tensor) -> bool:
    if images.shape[1] == 1 and images.stride(1) != 1:
        return False
    return images.is_contiguous(memory_format=torch.channels_last)


# Convolutions are fastest in channels-last format, and TorchInductor gives their results that format. The trace has to
# keep it from end to end, derivatives included: a tensor in another format between two convolutions is read one number
# at a time.


def _convolution(
    x: Tensor, weight: Tensor, bias: Tensor | None, stride: list[int], padding: list[int], *rest: Any
) -> Tensor:
    if x.ndim != 4:
        return NotImplemented
    zeros = _zeros_needed(x, weight, padding)
    if _is_channels_last(x) and not any(zeros):
        return NotImplemented
    x, weight, padding = _padded(x, weight, padding, zeros)
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
    zeros = _zeros_needed(x, weight, padding)
    if _is_channels_last(x) and _is_channels_last(gradient) and not any(zeros):
        return NotImplemented
    (channels, height, width), (channel, row, column) = x.shape[1:], zeros
    x, weight, padding = _padded(x, weight, padding, zeros)
    of_x, of_weight, of_bias = torch.ops.aten.convolution_backward.default(
        _channels_last(gradient), _channels_last(x), weight, biases, stride, padding, *rest
    )
    if of_x is not None and any(zeros):
        # The gradient by the added zeros is dropped.
        of_x = of_x[:, :channels, row : row + height, column : column + width]
    return of_x, of_weight if of_weight is None or not channel else of_weight[:, :channels], of_bias


# On a CPU two kinds of convolution are slow: those with wide padding (MNIST's first layer has 3 on each side; the
# derivative by the weight takes 15 times as long), and those of a single channel (4 times). Writing the zeros into the
# images, and adding channels of zeros, gives the same result fast.


def _zeros_needed(x: Tensor, weight: Tensor, padding: list[int]) -> tuple[int, int, int]:
    """Numbers of zeros to add: channels of images and weights, and rows and columns on each side of the images."""
    if x.device.type != "cpu" or x.shape[1] != weight.shape[1]:
        return 0, 0, 0
    wide = [max(0, pad - size // 2) for pad, size in zip(padding, weight.shape[2:], strict=True)]
    return max(0, LEAST_CHANNELS - x.shape[1]), wide[0], wide[1]


def _padded(
    x: Tensor, weight: Tensor, padding: list[int], zeros: tuple[int, int, int]
) -> tuple[Tensor, Tensor, list[int]]:
    """Images, weights and padding of the same convolution with ``zeros`` written into its images."""
    channel, row, column = zeros
    if any(zeros):
        x = torch.nn.functional.pad(x, (column, column, row, row, 0, channel))
    if channel:
        weight = torch.nn.functional.pad(weight, (0, 0, 0, 0, 0, channel))
    return x, weight, [padding[0] - row, padding[1] - column]


# Channels-last before a split, not after: otherwise the maps would be computed again for every piece.


def _split(x: Tensor, size: int, dim: int = 0) -> Any:
    if x.ndim != 4 or dim != 0 or _is_channels_last(x):
        return NotImplemented
    return torch.ops.aten.split.Tensor(_channels_last(x), size, dim)


# Average pooling as a mean over axes of its own. TorchInductor turns that, and above all its derivative, into plain
# loops. Its own version looks up the window of every pixel, which takes a third of a gradient's time on a CPU.


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
    # Multiplied by the inverse instead of divided: several times faster, and the same bits for a power of two.
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
    # Rows and columns that no window covers have no influence, and so a gradient of zero.
    left = x.shape[-1] - columns * w, x.shape[-2] - rows * h
    return torch.nn.functional.pad(out, (0, left[0], 0, left[1])) if any(left) else out


def _tiling(
    kernel_size: list[int],
    stride: list[int] | None,
    padding: list[int] | int,
    ceil_mode: bool,
    divisor_override: int | None,
) -> tuple[int, int] | None:
    """The (height, width) of the windows, if they tile the maps without overlap or padding; None otherwise."""
    h, w = kernel_size[0], kernel_size[-1]
    moves = [h, w] if not stride else [stride[0], stride[-1]]
    pads = [padding] if isinstance(padding, int) else list(padding)
    fits = moves == [h, w] and not any(pads) and not ceil_mode and divisor_override is None
    return (h, w) if fits else None


# Instance norm. TorchInductor reads the maps three times, and computes the standard deviation again for every pixel: a
# square root and three divisions instead of one product and one sum. Here the numbers per image and channel come from
# an operation of their own, with which nothing is fused, and one pass finds both moments.


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
    """Factor of ``x - mean``, shift, mean and inverse standard deviation of a norm, (N, C) float32 each.

    ``total`` and ``square`` are the sums of ``x - centre`` and of its square over the ``count`` pixels of a channel.
    """
    away = total / count
    # Variance = E[(x - centre)^2] - (E[x - centre])^2; clamped, since rounding can make it negative.
    inverse = (square / count - away * away).clamp(min=0).add(eps).rsqrt()
    mean = away + centre
    factor = inverse.clone() if weight is None else inverse * weight.float()
    shift = torch.zeros_like(mean) if bias is None else torch.zeros_like(mean) + bias.float()
    return _contiguous(factor, shift, mean, inverse)


def _contiguous(a: Tensor, b: Tensor, c: Tensor, d: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """In row-major order: the compiler knows only the shapes of an operation's results, and assumes that order."""
    return a.contiguous(), b.contiguous(), c.contiguous(), d.contiguous()


def _empty_like(like: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Four row-major float32 tensors of the shape of ``like``, for the compiler's shape inference."""
    a, b, c, d = (like.new_empty(like.shape, dtype=torch.float32) for _ in range(4))
    return a, b, c, d


@_scale_of_norm.register_fake
def _(centre: Tensor, *rest: Any) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return _empty_like(centre)


def _sum(maps: Tensor) -> Tensor:
    """Sums (N, C) over the pixels of maps (N, C, h, w).

    Along the rows first, then over them, so that memory is read in order. Where the maps are not channels-last or the
    channels do not fill its vectors, TorchInductor 2.12 writes past the end of such a sum; there it is one sum.
    """
    whole = maps.shape[1] % VECTOR == 0 and _is_channels_last(maps)
    return maps.sum(3).sum(2) if whole else maps.sum((2, 3))


def _scale(
    x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Factor, shift, mean and inverse deviation (N, C) of maps (N, C, h, w)."""
    values = x.float()
    # E[x^2] - E[x]^2 loses its digits where the mean is large. Subtracting the first pixel, which is near the mean,
    # avoids that without a second pass.
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
    # Subtract the mean first: a large mean times the factor would lose the digits of the difference.
    out = (x.float() - mean[:, :, None, None]) * factor[:, :, None, None] + shift[:, :, None, None]
    # Mean and inverse deviation stay in float32: the derivative needs them.
    return out.to(x.dtype), mean, inverse


@torch.library.custom_op("dreamlib::scale_of_norm_backward", mutates_args=())
def _scale_of_norm_backward(
    total: Tensor, product: Tensor, inverse: Tensor, weight: Tensor | None, count: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Factors of the gradient and of ``x - mean``, the summand, and each image's gradient by the channel's weight.

    All are (N, C) float32. ``total`` and ``product`` are the sums of the gradient, and of the gradient times
    ``x - mean``, over the ``count`` pixels of a channel.
    """
    of_gradient = inverse.clone() if weight is None else inverse * weight.float()
    of_weight = product * inverse
    of_place, summand = -of_gradient * inverse * of_weight / count, -of_gradient * total / count
    return _contiguous(of_gradient, of_place, summand, of_weight)


@_scale_of_norm_backward.register_fake
def _(total: Tensor, *rest: Any) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return _empty_like(total)


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


def _fewer_convolution(rough: bool, x: Tensor, weight: Tensor, bias: Tensor | None, *how: Any) -> Tensor:
    out: Tensor = NotImplemented
    suited = convolutions.suited(x, weight, *_shape_of(how), bias=bias)
    if suited == "winograd":
        # Maps that an engine left in float32 are to stay precise, such as those of batch norms.
        rough = rough and x.dtype == torch.bfloat16
        out = torch.ops.dreamlib.winograd(_channels_last(x), weight, bias, False, rough)
    elif suited:
        out = torch.ops.dreamlib.few_channels(_channels_last(x), weight, bias)
    return out


def _fewer_convolution_backward(
    rough: bool, gradient: Tensor, x: Tensor, weight: Tensor, biases: list[int] | None, *how: Any
) -> tuple[Tensor | None, ...]:
    *shape, wanted = how
    if convolutions.suited(x, weight, *_shape_of(shape)) != "winograd":
        return NotImplemented
    rough = rough and x.dtype == torch.bfloat16
    # In the trace, so that the compiler makes them so in the first place: the operations would copy them.
    gradient, x = _channels_last(gradient), _channels_last(x)
    of_x = torch.ops.dreamlib.winograd(gradient, weight, None, True, rough) if wanted[0] else None
    of_weight = torch.ops.dreamlib.winograd_gradient(x, gradient, rough) if wanted[1] else None
    return of_x, of_weight, gradient.sum((0, 2, 3)) if wanted[2] else None


def _shape_of(how: Sequence[Any]) -> tuple[list[int], list[int], list[int], bool, int]:
    """Stride, padding, dilation, transposed and groups: what follows the tensors of a convolution, less one."""
    stride, padding, dilation, transposed, _, groups = how
    return stride, padding, dilation, transposed, groups


def fewer_products(rough: bool) -> dict[Any, Any]:
    """Convolutions and their derivatives of our own (:mod:`.convolutions`).

    ``rough``: of maps in bfloat16, the factors of Winograd's products are rounded to it too.
    """
    return {
        torch.ops.aten.convolution.default: partial(_fewer_convolution, rough),
        torch.ops.aten.convolution_backward.default: partial(_fewer_convolution_backward, rough),
    }


def replacements(formats: Formats, averages: bool) -> dict[Any, Any]:
    """What a trace replaces, by operation; ``averages`` as for :meth:`~dreamlib.compute.engine.Engine.run`."""
    if not formats.winograd:
        return FASTER
    fewer = fewer_products(averages and formats.rough)
    return FASTER | {name: _first(own, FASTER[name]) for name, own in fewer.items()}


def _first(own: Callable[..., Any], other: Callable[..., Any]) -> Callable[..., Any]:
    """The first of two replacements that takes the arguments."""

    def either(*arguments: Any, **named: Any) -> Any:
        out = own(*arguments, **named)
        return other(*arguments, **named) if out is NotImplemented else out

    return either


class FewerProducts(TorchDispatchMode):
    """Inside this context, convolutions of eager mode are those of :func:`fewer_products`, derivatives included.

    Other operations stay as they are.
    """

    def __init__(self) -> None:
        super().__init__()
        self.own = fewer_products(rough=False)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if own := self.own.get(func):
            out = own(*args, **(kwargs or {}))
            if out is not NotImplemented:
                # Row-major, as in plain mode: norms and pooling of eager mode are slow on channels last.
                return pytree.tree_map_only(Tensor, Tensor.contiguous, out)
        return func(*args, **(kwargs or {}))


class ProductsCounted(TorchDispatchMode):
    """Counts what :class:`FewerProducts` would save, and the operations that it would send through Python."""

    def __init__(self) -> None:
        super().__init__()
        self.calls, self.saved = 0, 0.0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        self.calls += 1
        if func is torch.ops.aten.convolution.default:
            self.saved += convolutions.saved(*args[:2], *_shape_of(args[3:]))
        if func is torch.ops.aten.convolution_backward.default:
            _, x, weight, _, *how, wanted = args
            # By the maps and by the weights: each costs as much as the convolution.
            self.saved += sum(wanted[:2]) * convolutions.saved(x, weight, *_shape_of(how))
        return func(*args, **(kwargs or {}))
