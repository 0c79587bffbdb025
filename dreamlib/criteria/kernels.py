"""Kernels of infinitely wide ReLU networks, exact, and of features: what a ridge regression compares images by.

Training a network of infinite width on squared errors is kernel regression: with the NNGP kernel where only the last
layer learns, with the neural tangent kernel (NTK) where all layers do (Jacot et al. 2018; Lee et al. 2019). A kernel
here is a frozen dataclass: ``kernel(x, y)`` is the matrix (n, m) of all pairs of images x (n, c, h, w) and y
(m, c, h, w), in their number format and differentiable once in both.

Every layer maps two numbers of a pair: K, the covariance of what comes out of it over random weights, and T, the
tangent kernel. With ``weight`` and ``bias`` the standard deviations of an NTK parametrisation::

    dense or convolution    K <- weight^2 A(K) + bias^2         T <- K + weight^2 A(T)      A: mean over the inputs
    ReLU                    K <- s * order1(K / s)              T <- T * order0(K / s)      s = sqrt(v v')

v and v' are the covariances of either image with itself, and order1 and order0 the arc-cosine kernels (:func:`relu`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.utils.checkpoint import checkpoint

from ..core.errors import BadValue, unknown

KINDS = ("ntk", "nngp")
Part = tuple[Tensor, ...]
# Numbers that a layer holds of the pairs that are computed together.
AT_ONCE = 2**21


class Kernel(Protocol):
    """Compares all images of one set with all of another."""

    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        """The kernel (n, m) of images x (n, ...) and y (m, ...), differentiable in both."""
        ...


class _ArcCosine(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, cosine: Tensor) -> tuple[Tensor, Tensor]:
        # Rounding hides angles below this, and equal images are at 0. There the angle has a kink, in one image by
        # itself; of an image with itself, it is constant. Both are served by a derivative of 0.
        cosine = cosine.clamp(-1, 1)
        cosine.masked_fill_(cosine > 1 - 64 * torch.finfo(cosine.dtype).eps, 1.0)
        sine = (1 - cosine.square()).sqrt_()
        order0 = torch.acos(cosine).neg_().add_(math.pi).div_(2 * math.pi)
        order1 = torch.addcmul(sine / (2 * math.pi), order0, cosine)
        ctx.save_for_backward(sine, order0)
        return order1, order0

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, down1: Tensor, down0: Tensor) -> Tensor:
        sine, order0 = ctx.saved_tensors
        # order0' = 1 / (2 pi sin phi), as a function of the cosine; 0 where the angle is 0.
        steep = torch.where(sine > 0, down0 / (2 * math.pi * sine), 0.0)
        return steep.addcmul_(down1, order0)  # order1' is order0


def relu(cosine: Tensor) -> tuple[Tensor, Tensor]:
    """Arc-cosine kernels of degree 1 and 0 (Cho and Saul 2009): E[relu(a) relu(b)] and E[relu'(a) relu'(b)].

    a and b are normal, with variance 1 and covariance ``cosine``. With phi = arccos(cosine) they are
    (sin phi + (pi - phi) cos phi) / 2 pi and (pi - phi) / 2 pi. Angles below 2e-7 count as 0, in float32 those below
    4e-3: a kernel of synthetic images with themselves, which is to be inverted, is better taken in float64.
    """
    order1, order0 = _ArcCosine.apply(cosine)
    return order1, order0


def _tiled(
    tile: Callable[[Part, Part], Tensor], rows: list[Tensor], columns: list[Tensor], sizes: tuple[int, int]
) -> Tensor:
    """The kernel whose parts ``tile(rows, columns)`` gives, each for ``sizes`` entries of what belongs to x and y.

    Where there are several parts, what one needs for its derivative is not kept but computed again.
    """
    # The parts of a split give their gradients back together; a slice gives one of the whole size, mostly zeros.
    down, across = (
        list(zip(*(each.split(size) for each in parts), strict=True))
        for parts, size in zip((rows, columns), sizes, strict=True)
    )
    several = torch.is_grad_enabled() and len(down) * len(across) > 1
    lines = [[_again(tile, r, c) if several else tile(r, c) for c in across] for r in down]
    return torch.cat([torch.cat(line, 1) for line in lines])


def _again(function: Callable[..., Any], *arguments: Any) -> Any:
    return checkpoint(function, *arguments, use_reentrant=False, preserve_rng_state=False)


@dataclass(frozen=True)
class FullyConnected:
    """Kernel of a fully connected ReLU network of infinite width (KIP: Nguyen et al. 2021, their "FC1" by default).

    Parameters
    ----------
    kind : str
        ``"ntk"`` or ``"nngp"``.
    depth : int
        Hidden layers, at least 1.
    weight, bias : float
        Standard deviations of the weights, times the root of the layer's inputs, and of the biases. Above 0: without
        biases an image of zeros would be at no angle to any other.

    Raises
    ------
    UnknownName
        For another kind.
    BadValue
        For a setting outside its range.
    """

    kind: str = "ntk"
    depth: int = 1
    weight: float = math.sqrt(2)
    bias: float = 0.1

    def __post_init__(self) -> None:
        _check(self.kind, self.depth, self.weight, self.bias)

    def __call__(self, x: Tensor, y: Tensor, at_once: int = AT_ONCE) -> Tensor:
        """The kernel (n, m) of images x (n, ...) and y (m, ...), floats of one size.

        ``at_once`` bounds memory, in numbers a layer holds. It changes no result, and of derivatives the order of sums.

        Raises
        ------
        BadValue
            If the images are no floats, or of different sizes.
        """
        _check_images(x, y)
        x, y = x.flatten(1), y.flatten(1)
        # Mean products, not sums: the NTK parametrisation divides by the number of inputs.
        products = x @ y.T / x.shape[1]
        left, right = (each.square().mean(1) for each in (x, y))
        return _tiled(
            lambda rows, columns: self._layers(*rows, *columns),
            [products, left],
            [right],
            (max(1, at_once // len(y)), len(y)),
        )

    def _layers(self, k: Tensor, v: Tensor, w: Tensor) -> Tensor:
        """From mean products (n, m) of the inputs, and mean squares (n,) and (m,), to the output."""
        k, v, w = self._dense(k), self._dense(v), self._dense(w)
        # The tangent kernel of one layer is its covariance: the sum over its own weights and biases.
        t = k
        for _ in range(self.depth):
            # k / scale is the cosine between the two images' activations.
            scale = v.sqrt().unsqueeze(1) * w.sqrt()
            order1, order0 = relu(k / scale)
            # An image with itself is at angle 0, where E[relu(a)^2] is half the variance.
            k, v, w = self._dense(scale * order1), self._dense(v / 2), self._dense(w / 2)
            if self.kind == "ntk":
                # The new layer's own weights add k; those below it act through the derivative of the ReLU.
                t = k + self.weight**2 * t * order0
        return t if self.kind == "ntk" else k

    def _dense(self, k: Tensor) -> Tensor:
        return self.weight**2 * k + self.bias**2


@dataclass(frozen=True)
class Convolutional:
    """Kernel of a convolutional ReLU network of infinitely many channels (Novak et al. 2019; Arora et al. 2019).

    ``depth`` blocks of 3x3 convolution padded with zeros, ReLU and 2x2 average pooling, then flattening and a dense
    layer; without normalisation. K and T belong to pairs of positions: (h, w) in one image, (h, w) + d in the other.
    Flattening compares equal positions only, d = 0, and going back through a pooling an offset of at most r comes from
    offsets of at most 2r + 1. So only this band is kept, in arrays (pair, 2r + 1, 2r + 1, h, w) by offset and
    position. It is exact: 4.6 times fewer numbers than all pairs of positions for 32x32 images and three blocks.

    Parameters
    ----------
    kind : str
        ``"ntk"`` or ``"nngp"``.
    depth : int
        Blocks, at least 1; every one halves the images, an odd last row or column is dropped.
    stem : bool
        One more convolution and ReLU at the very beginning, without pooling (KIP's "ConvNet").
    weight, bias : float
        As in :class:`FullyConnected`.

    Raises
    ------
    UnknownName
        For another kind.
    BadValue
        For a setting outside its range.
    """

    kind: str = "ntk"
    depth: int = 3
    stem: bool = False
    weight: float = math.sqrt(2)
    bias: float = 0.1

    def __post_init__(self) -> None:
        _check(self.kind, self.depth, self.weight, self.bias)

    def __call__(self, x: Tensor, y: Tensor, at_once: int = AT_ONCE) -> Tensor:
        """The kernel (n, m) of images x (n, c, h, w) and y (m, c, h, w), floats; see :class:`FullyConnected`.

        Raises
        ------
        BadValue
            If the images are no floats, of different sizes, or smaller than ``2**depth`` pixels.
        """
        _check_images(x, y)
        if x.dim() != 4 or min(x.shape[2:]) < 2**self.depth:
            raise BadValue(
                f"images {tuple(x.shape)} and a kernel with {self.depth} poolings; "
                f"expected (n, c, h, w) of at least {2**self.depth} pixels in both directions",
                f"depth={max(1, int(math.log2(max(2, min(x.shape[2:])))))}",
            )
        # How many pairs of images fit into ``at_once`` numbers of the widest band.
        pairs = max(1, at_once // ((2 * self._radius + 1) ** 2 * x.shape[2] * x.shape[3]))
        left = self._variances(x, pairs)
        # For K(S, S) the two sides are the same images.
        right = left if y is x else self._variances(y, pairs)

        def tile(rows: Part, columns: Part) -> Tensor:
            (x, *left), (y, *right) = rows, columns
            variances = [(v.unsqueeze(1), w) for v, w in zip(left, right, strict=True)]
            return self._layers(self._products(x.unsqueeze(1), y), variances)[0]

        # Tiles as wide as y allows: what belongs to an image of x is then used for as many pairs as possible.
        width = min(len(y), pairs)
        return _tiled(tile, [x, *left], [y, *right], (max(1, pairs // width), width))

    @property
    def _radius(self) -> int:
        """Of the band at the input."""
        return int(2**self.depth - 1)

    @property
    def _blocks(self) -> list[tuple[int, bool]]:
        """Radius of the band in each convolution, and whether pooling follows."""
        # From the end: 0 where positions are compared with themselves, and 2r + 1 before every pooling, so 1, 3, 7.
        poolings = [(2**left - 1, True) for left in range(self.depth, 0, -1)]
        return [(self._radius, False), *poolings] if self.stem else poolings

    def _variances(self, x: Tensor, pairs: int) -> list[Tensor]:
        """Covariances (n, h, w) of images with themselves, position by position, at every ReLU."""

        def part(images: Tensor) -> tuple[Tensor, ...]:
            return tuple(self._layers(self._products(images, images), None)[1])

        parts = x.split(pairs)
        several = torch.is_grad_enabled() and len(parts) > 1
        found = [_again(part, images) if several else part(images) for images in parts]
        return [torch.cat(each) for each in zip(*found, strict=True)]

    def _products(self, x: Tensor, y: Tensor) -> Tensor:
        """Mean products over channels (..., o, o, h, w) of pixels of x (..., c, h, w) and, moved by o, of y."""
        moved = _moved(y, self._radius, 0.0)
        terms = [x[..., c, None, None, :, :] * moved[..., c, :, :, :, :] for c in range(x.shape[-3])]
        return sum(terms[1:], start=terms[0]) / len(terms)

    def _layers(
        self, k: Tensor, variances: list[tuple[Tensor, Tensor]] | None
    ) -> tuple[Tensor, list[Tensor]]:
        """From products of the inputs (..., o, o, h, w) to the output (...).

        ``variances`` are those of both images at every ReLU. Without them, k is of images with themselves, and they are
        what is wanted: the list returned.
        """
        t, met = None, []
        for number, (radius, pooled) in enumerate(self._blocks):
            # Zero padding: pairs with a position outside the image have covariance 0.
            inside = _moved(k.new_ones(k.shape[-2:]), radius, 0.0)
            k = self._affine(_mean3x3(k * inside))
            if self.kind == "ntk" and variances is not None:
                t = k if t is None else k + self.weight**2 * _mean3x3(t * inside)
            if variances is None:
                # Offset 0 stands in the middle of the band: a position with itself.
                met.append(k[..., radius, radius, :, :])
                left = right = met[-1]
            else:
                left, right = variances[number]
            # Outside of the image there is no variance. 1 keeps the quotient finite; the next layer masks what comes of
            # it.
            scale = left[..., None, None, :, :].sqrt() * _moved(right.sqrt(), radius, 1.0)
            order1, order0 = relu(k / scale)
            k, t = scale * order1, None if t is None else t * order0
            if pooled:
                k, t = _pooled(k), None if t is None else _pooled(t)
        # The band has shrunk to offset 0, so that this mean is the flattening: over equal positions alone.
        k = self._affine(k.mean((-4, -3, -2, -1)))
        if t is not None:
            return k + self.weight**2 * t.mean((-4, -3, -2, -1)), met
        return k, met

    def _affine(self, k: Tensor) -> Tensor:
        return self.weight**2 * k + self.bias**2


def _moved(v: Tensor, radius: int, outside: float) -> Tensor:
    """v (..., h, w) as seen from every position at all offsets up to ``radius``: a view (..., o, o, h, w)."""
    height, width = v.shape[-2:]
    # unfold is a view: all offsets without (2r + 1)^2 copies.
    padded = F.pad(v, (radius,) * 4, value=outside)
    return padded.unfold(-2, height, 1).unfold(-2, width, 1)


def _mean3x3(k: Tensor) -> Tensor:
    """Over the nine pairs of positions that two 3x3 windows hold at the same place; outside the images all is 0."""
    rows = F.pad(k, (0, 0, 1, 1))
    k = rows[..., :-2, :] + rows[..., 1:-1, :] + rows[..., 2:, :]
    columns = F.pad(k, (1, 1))
    return (columns[..., :-2] + columns[..., 1:-1] + columns[..., 2:]) / 9


def _pooled(k: Tensor) -> Tensor:
    """Mean over the 16 pairs of positions in two 2x2 windows: (..., 4r + 3, 4r + 3, h, w) to half of everything.

    Along one axis, windows i and i + e hold the positions 2i + a and 2i + 2e + b, with a and b 0 or 1: the offsets are
    2e + b - a. Summed over b, those of a = 1 begin one offset earlier than those of a = 0.
    """
    height, width = k.shape[-2] // 2 * 2, k.shape[-1] // 2 * 2
    # Rows: neighbouring offsets are added (b = 0 and 1), then even positions (a = 0) and odd ones (a = 1).
    k = k[..., :-1, :, :, :] + k[..., 1:, :, :, :]
    k = k[..., 1::2, :, 0:height:2, :] + k[..., 0::2, :, 1:height:2, :]
    # Columns in the same way.
    k = k[..., :-1, :, :] + k[..., 1:, :, :]
    return (k[..., 1::2, :, 0:width:2] + k[..., 0::2, :, 1:width:2]) / 16


@dataclass(frozen=True)
class Features:
    """Products of features, which stand for a network of finite width: ``weight**2 * x @ y.T + bias**2``.

    FRePo's has weight 1 and no bias (Zhou et al. 2022). With sqrt(2) and 0.1, and features (n, f) of random
    networks over the root of their number, it is RFAD's estimate of the NNGP kernel (Loo et al. 2022).

    Parameters
    ----------
    weight, bias : float
        Standard deviations of the last layer's weights and biases.
    """

    weight: float = 1.0
    bias: float = 0.0

    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        return self.weight**2 * x.flatten(1) @ y.flatten(1).T + self.bias**2


def _check(kind: str, depth: int, weight: float, bias: float) -> None:
    if kind not in KINDS:
        raise unknown("kind of kernel", kind, KINDS)
    if depth < 1:
        raise BadValue(f"kernel of depth {depth}; expected at least 1", "depth=1")
    if not 0 < weight < math.inf or not 0 < bias < math.inf:
        raise BadValue(f"kernel with weight {weight} and bias {bias}; expected both above 0", "bias=0.1")


def _check_images(x: Tensor, y: Tensor) -> None:
    fit = x.shape[1:] == y.shape[1:] and x.dtype == y.dtype and x.is_floating_point()
    if not fit or not len(x) or not len(y):
        raise BadValue(
            f"a kernel between images {tuple(x.shape)} {x.dtype} and {tuple(y.shape)} {y.dtype}; "
            "expected floats of one format and one size, and at least one of each",
            "x.double(), y.double()",
        )
