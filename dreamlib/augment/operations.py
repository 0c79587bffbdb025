"""The augmentations themselves: pure functions of images and of random numbers, differentiable in the images.

``images`` is floating point (G, B, c, h, w), G groups of B images; so is what every function returns. A
random number ``u`` is (G, P), uniform in [0, 1), where P is 1 (the images of a group share it) or B (each has
its own). Numbers are fractions and never pixels, so that batches of any B and images of any size see the same
transform.

Zeros that come in from outside, or that are cut out, are zeros of the space the images are in. The released
codes augment normalised images, whose zero is the mean colour and not black; so do the recipes of this
library.

Source: the released code of DSA (Zhao and Bilen, ICML 2021), whose operations go back to DiffAugment (Zhao et
al., NeurIPS 2020).
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def brightness(images: Tensor, u: Tensor, strength: float) -> Tensor:
    """Add one number in [-strength/2, strength/2) to all pixels."""
    return images + _per_image((u - 0.5) * strength, images)


def saturation(images: Tensor, u: Tensor, strength: float) -> Tensor:
    """Stretch every pixel's distance from its grey value (mean over channels) by a factor in [0, strength).

    Greyscale images stay as they are.
    """
    # The grey value of a pixel is its mean over channels, (G, B, 1, h, w).
    return _stretch(images, images.mean(dim=2, keepdim=True), u * strength)


def contrast(images: Tensor, u: Tensor, least: float) -> Tensor:
    """Stretch every pixel's distance from its image's mean by a factor in [least, least + 1)."""
    # One mean per image, over channels and pixels.
    return _stretch(images, images.mean(dim=(2, 3, 4), keepdim=True), u + least)


def crop(images: Tensor, u_y: Tensor, u_x: Tensor, pad: float) -> Tensor:
    """Move by whole pixels, up to the fraction ``pad`` of each side, either way; zeros come in. Exact."""
    height, width = images.shape[-2:]
    rows, inside_y = _moved(u_y, height, _pixels(pad, height))
    columns, inside_x = _moved(u_x, width, _pixels(pad, width))
    # Flat source positions (G, P, 1, h*w), shared by all channels: a gather, so pixels are copied, not interpolated.
    source = (rows[..., :, None] * width + columns[..., None, :]).flatten(-2)[:, :, None]
    # P is 1 (shared) or B; expand repeats it without a copy.
    moved = images.flatten(-2).gather(-1, source.expand(*images.shape[:3], -1)).view(images.shape)
    inside = inside_y[..., :, None] & inside_x[..., None, :]
    return torch.where(inside[:, :, None], moved, 0.0)


def cutout(images: Tensor, u_y: Tensor, u_x: Tensor, size: float) -> Tensor:
    """Set a box of the fraction ``size`` of each side to zero; its centre is anywhere, borders clip it."""
    height, width = images.shape[-2:]
    inside_y = _covered(u_y, height, _pixels(size, height))
    inside_x = _covered(u_x, width, _pixels(size, width))
    box = inside_y[..., :, None] & inside_x[..., None, :]
    return torch.where(box[:, :, None], 0.0, images)


def flip(images: Tensor, u: Tensor, probability: float) -> Tensor:
    """Mirror left and right with ``probability``. Exact."""
    return torch.where((u < probability)[:, :, None, None, None], images.flip(-1), images)


def scale(images: Tensor, u_y: Tensor, u_x: Tensor, limit: float) -> Tensor:
    """Divide height and width by a factor each, in [1/limit, limit), about the centre. Bilinear."""
    # Reading at ``factor`` times the distance from the centre divides the image's size by ``factor``.
    factor_y, factor_x = (u * (limit - 1 / limit) + 1 / limit for u in (u_y, u_x))
    y, x = _centred(images)
    return _sample(images, factor_y[..., None, None] * y, factor_x[..., None, None] * x)


def rotate(images: Tensor, u: Tensor, degrees: float) -> Tensor:
    """Rotate about the centre by an angle in [-degrees, degrees). Bilinear.

    The angle is true in pixels. On square images this is the published operation; on others the released code
    also shears, because it rotates in coordinates stretched to a square.
    """
    angle = ((u - 0.5) * (2 * math.radians(degrees)))[..., None, None]
    y, x = _centred(images)
    # Inverse map: for every output pixel, where in the input it is read.
    return _sample(images, angle.sin() * x + angle.cos() * y, angle.cos() * x - angle.sin() * y)


def _pixels(fraction: float, side: int) -> int:
    # Half a pixel rounds up, as published; Python's round() would send it to the even neighbour.
    return int(side * fraction + 0.5)


def _per_image(numbers: Tensor, images: Tensor) -> Tensor:
    return numbers.to(images.dtype)[:, :, None, None, None]


def _stretch(images: Tensor, centre: Tensor, factor: Tensor) -> Tensor:
    # centre + factor * (images - centre).
    return torch.lerp(centre, images, _per_image(factor, images))


def _integers(u: Tensor, count: int) -> Tensor:
    # Never count itself: the largest float32 below 1, times a whole number, does not round up to that number.
    return (u * count).long()


def _moved(u: Tensor, side: int, reach: int) -> tuple[Tensor, Tensor]:
    """Source positions (G, P, side), wrapped around, and whether they lie inside."""
    shift = _integers(u, 2 * reach + 1) - reach
    position = torch.arange(side, device=u.device) + shift[..., None]
    # Wrapped, not clamped: a permutation never adds two gradients in one place, so CUDA stays repeatable.
    return position.remainder(side), (position >= 0) & (position < side)


def _covered(u: Tensor, side: int, size: int) -> Tensor:
    """Whether each position (G, P, side) lies in a stretch of ``size`` pixels."""
    # As in the released code, the centre is uniform over the side, and over one more place for even sizes.
    start = _integers(u, side + 1 - size % 2) - size // 2
    position = torch.arange(side, device=u.device) - start[..., None]
    return (position >= 0) & (position < size)


def _centred(images: Tensor) -> tuple[Tensor, Tensor]:
    """Pixel coordinates (h, 1) and (1, w), zero at the centre of the image."""
    # Never below float32: half precision cannot tell neighbouring pixels of a large image apart.
    dtype = torch.promote_types(images.dtype, torch.float32)
    height, width = images.shape[-2:]
    y = torch.arange(height, device=images.device, dtype=dtype) - (height - 1) / 2
    x = torch.arange(width, device=images.device, dtype=dtype) - (width - 1) / 2
    return y[:, None], x[None, :]


def _sample(images: Tensor, y: Tensor, x: Tensor) -> Tensor:
    """Images read bilinearly at centred pixel coordinates ``y`` and ``x`` that broadcast to (G, P, h, w)."""
    groups, batch, channels, height, width = images.shape
    y, x = torch.broadcast_tensors(y, x)
    if images.is_cuda and torch.are_deterministic_algorithms_enabled():
        return _gathered(images, y, x)
    # The published grids are linear maps about the centre, so align_corners (False in some releases, True in
    # others) only changes how coordinates are written down: the pixels are the same. False is exact for sides
    # that are powers of two, and knows sides of one pixel.
    grid = torch.stack((x * (2 / width), y * (2 / height)), dim=-1)
    grid = grid.expand(groups, batch, height, width, 2).reshape(groups * batch, height, width, 2)
    flat = images.reshape(groups * batch, channels, height, width).to(grid.dtype)
    return F.grid_sample(flat, grid, align_corners=False).to(images.dtype).view(images.shape)


def _gathered(images: Tensor, y: Tensor, x: Tensor) -> Tensor:
    """As :func:`_sample`, by four lookups: slower, but what they pass back is added up in the same order every time.

    The derivative of PyTorch's own sampling adds in any order on a GPU, and is refused where that is forbidden.
    """
    height, width = images.shape[-2:]
    y, x = y + (height - 1) / 2, x + (width - 1) / 2
    total = torch.zeros_like(images, dtype=y.dtype)
    for row in (y.floor(), y.floor() + 1):
        for column in (x.floor(), x.floor() + 1):
            # Bilinear weights of one of the four neighbours; those outside the image count as zero.
            share = (1 - (y - row).abs()) * (1 - (x - column).abs())
            inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
            source = row.clamp(0, height - 1).long() * width + column.clamp(0, width - 1).long()
            source = source.flatten(-2)[:, :, None].expand(*images.shape[:3], -1)
            found = images.flatten(-2).to(y.dtype).gather(-1, source).view(images.shape)
            total = total + found * (share * inside)[:, :, None]
    return total.to(images.dtype)
