"""Kernels of infinite networks: twelve digits, loops over pairs of positions, derivatives, and finite networks."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import product

import pytest
import torch
from tiny import generator
from torch import Tensor

from dreamlib.compute.memory import peak_bytes
from dreamlib.core.errors import BadValue, UnknownName
from dreamlib.criteria.kernels import KINDS, Convolutional, Features, FullyConnected, Kernel, relu

pytestmark = pytest.mark.trains

SMALL: list[FullyConnected | Convolutional] = [
    FullyConnected(),
    FullyConnected("nngp", depth=3, weight=1.1, bias=0.4),
    FullyConnected(depth=2),
    Convolutional(depth=1),
    Convolutional("nngp", depth=1, stem=True, weight=1.1, bias=0.4),
    Convolutional(depth=2, stem=True),
]


def wave(off: float, count: int, size: int = 8, channels: int = 3) -> Tensor:
    """The images of the fixtures: sin(1 + off + i + .7 h + 1.3 w + 2.1 c), (count, c, h, w)."""
    i, c, h, w = torch.meshgrid(
        *(torch.arange(n, dtype=torch.float64) for n in (count, channels, size, size)), indexing="ij"
    )
    return torch.sin(1 + off + i + 0.7 * h + 1.3 * w + 2.1 * c)


def noise(count: int, size: int = 4, channels: int = 2, seed: int = 0) -> Tensor:
    return torch.randn(count, channels, size, size, generator=generator(seed), dtype=torch.float64)


# x_0 against y_0, y_1, y_2 as neural-tangents has them: depth, stem, NNGP and NTK. Depth 0 is fully connected.
PUBLISHED = [
    (
        1,
        False,
        (0.542761465823, 0.353557905969, 0.166142377825),
        (0.888705144519, 0.495588151106, 0.127011130898),
    ),
    (
        2,
        False,
        (0.279503257922, 0.267389814293, 0.257638128060),
        (0.536684921554, 0.484575385276, 0.451416848242),
    ),
    (
        3,
        False,
        (0.096047406103, 0.095175370574, 0.094544172508),
        (0.193591665185, 0.185596873297, 0.181383492322),
    ),
    (
        3,
        True,
        (0.105776141317, 0.105153331880, 0.104663362335),
        (0.233700074544, 0.225185493795, 0.220371828978),
    ),
    (
        0,
        False,
        (0.910474833825, 0.372934140292, 0.040920953599),
        (1.657533173034, 0.415404362279, -0.128007388000),
    ),
]


@pytest.mark.parametrize(("depth", "stem", "nngp", "ntk"), PUBLISHED)
def test_kernels_have_twelve_digits_of_an_independent_library(
    depth: int, stem: bool, nngp: tuple[float, ...], ntk: tuple[float, ...]
) -> None:
    for kind, expected in (("nngp", nngp), ("ntk", ntk)):
        kernel = Convolutional(kind, depth, stem) if depth else FullyConnected(kind)
        found = kernel(wave(0, 2), wave(0.5, 3))
        assert found.shape == (2, 3)
        torch.testing.assert_close(found[0], torch.tensor(expected, dtype=torch.float64), rtol=0, atol=2e-12)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (
            "ntk",
            (0.970952193787, 0.716353294284, 0.282815940874, 0.970984677039, 0.716494941478, 0.971110512995),
        ),
        (
            "nngp",
            (0.573748231274, 0.461554825856, 0.246682728727, 0.573762733128, 0.461620855046, 0.573818909587),
        ),
    ],
)
def test_the_block_of_images_with_themselves_too(kind: str, expected: tuple[float, ...]) -> None:
    y = wave(0.5, 3)
    found = Convolutional(kind, 1)(y, y)
    upper = found[tuple(torch.triu_indices(3, 3))]
    torch.testing.assert_close(upper, torch.tensor(expected, dtype=torch.float64), rtol=0, atol=2e-12)
    torch.testing.assert_close(found, found.T, rtol=0, atol=1e-15)


def by_loops(kernel: Convolutional, x: Tensor, y: Tensor) -> float:
    """The kernel of two images (c, h, w) over all pairs of positions, one pair at a time."""
    square, bias = kernel.weight**2, kernel.bias**2

    def network(x: Tensor, y: Tensor, ends: list[tuple[dict, dict]] | None) -> tuple[float, list[dict]]:
        height, width = x.shape[1:]
        k = {
            (h, w, i, j): float(x[:, h, w] @ y[:, i, j]) / len(x)
            for h, w, i, j in product(range(height), range(width), range(height), range(width))
        }
        t = dict.fromkeys(k, 0.0)
        met = []
        for number in range(kernel.depth + kernel.stem):

            def convolved(k: dict, place: tuple[int, ...]) -> float:
                h, w, i, j = place
                return (
                    sum(k.get((h + a, w + b, i + a, j + b), 0.0) for a, b in product((-1, 0, 1), repeat=2))
                    / 9
                )

            k = {place: square * convolved(k, place) + bias for place in k}
            t = {place: square * convolved(t, place) + k[place] for place in k}
            own = {place[:2]: value for place, value in k.items() if place[:2] == place[2:]}
            met.append(own)
            left, right = (own, own) if ends is None else ends[number]
            for place in k:
                s = math.sqrt(left[place[:2]] * right[place[2:]])
                angle = math.acos(max(-1.0, min(1.0, k[place] / s)))
                t[place] *= (math.pi - angle) / (2 * math.pi)
                k[place] = s * (math.sin(angle) + (math.pi - angle) * math.cos(angle)) / (2 * math.pi)
            if number >= kernel.stem:
                height, width = height // 2, width // 2
                k, t = (
                    {
                        (h, w, i, j): sum(
                            each[2 * h + a, 2 * w + b, 2 * i + c, 2 * j + d]
                            for a, b, c, d in product((0, 1), repeat=4)
                        )
                        / 16
                        for h, w, i, j in product(range(height), range(width), range(height), range(width))
                    }
                    for each in (k, t)
                )
        flat = [
            sum(each[h, w, h, w] for h, w in product(range(height), range(width))) / (height * width)
            for each in (k, t)
        ]
        out = square * flat[0] + bias
        return (out if kernel.kind == "nngp" else out + square * flat[1]), met

    ends = list(zip(network(x, x, None)[1], network(y, y, None)[1], strict=True))
    return network(x, y, ends)[0]


@pytest.mark.parametrize("shape", [(4, 4), (5, 6), (7, 4)], ids=str)
@pytest.mark.parametrize("stem", [False, True])
@pytest.mark.parametrize("depth", [1, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_the_band_holds_what_all_pairs_of_positions_give(
    kind: str, depth: int, stem: bool, shape: tuple[int, int]
) -> None:
    kernel = Convolutional(kind, depth, stem, weight=1.2, bias=0.3)
    x, y = (torch.randn(2, 2, *shape, generator=generator(n), dtype=torch.float64) for n in (1, 2))
    found = kernel(x, y)
    for i, j in ((0, 0), (1, 0)):
        assert float(found[i, j]) == pytest.approx(by_loops(kernel, x[i], y[j]), rel=1e-12)


def test_random_networks_have_the_nngp_kernel_as_their_mean() -> None:
    """Features of NTK-like normal networks, over the root of their number: the NNGP kernel before its last layer."""
    images, width, nets, stream = noise(4), 64, 1000, generator(1)
    total = []
    for _ in range(nets):
        out = images
        for _ in range(2):
            fan = 9 * out.shape[1]
            weight = (
                torch.randn(width, out.shape[1], 3, 3, generator=stream, dtype=torch.float64)
                * (2 / fan) ** 0.5
            )
            bias = torch.randn(width, generator=stream, dtype=torch.float64) * 0.1
            out = torch.nn.functional.conv2d(out, weight, bias, padding=1).relu()
            out = torch.nn.functional.avg_pool2d(out, 2)
        features = out.flatten(1) / width**0.5
        total.append(Features(math.sqrt(2), 0.1)(features, features))
    found = torch.stack(total)
    error = found.std(0) / nets**0.5
    expected = Convolutional("nngp", 2)(images, images)
    assert float(((found.mean(0) - expected) / error).abs().max()) < 4
    assert float((error / expected).max()) < 0.02


def test_the_tangent_kernel_is_the_product_of_gradients_of_a_wide_network() -> None:
    images, width, square, bias = noise(3).flatten(1), 20_000, 1.3**2, 0.2**2
    stream = generator(2)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=stream, dtype=torch.float64).requires_grad_()

    first, second, last, b1, b2, b3 = (
        normal(width, 32),
        normal(300, width),
        normal(300),
        normal(width),
        normal(300),
        normal(1),
    )
    hidden = ((square / 32) ** 0.5 * images @ first.T + bias**0.5 * b1).relu()
    hidden = ((square / width) ** 0.5 * hidden @ second.T + bias**0.5 * b2).relu()
    out = (square / 300) ** 0.5 * hidden @ last + bias**0.5 * b3
    gradients = [
        torch.cat(
            [
                g.flatten()
                for g in torch.autograd.grad(each, (first, second, last, b1, b2, b3), retain_graph=True)
            ]
        )
        for each in out
    ]
    found = torch.stack([torch.stack([a @ b for b in gradients]) for a in gradients])
    kernel = FullyConnected("ntk", depth=2, weight=1.3, bias=0.2)
    torch.testing.assert_close(found, kernel(images, images), rtol=0.25, atol=0)


def test_relu_kernels_at_their_closed_points() -> None:
    cosine = torch.tensor([1.0, 0.0, -1.0, 0.5], dtype=torch.float64)
    order1, order0 = relu(cosine)
    root = math.sqrt(3) / 2
    expected = [0.5, 1 / (2 * math.pi), 0.0, (root + math.pi / 3) / (2 * math.pi)]
    torch.testing.assert_close(order1, torch.tensor(expected, dtype=torch.float64))
    torch.testing.assert_close(order0, torch.tensor([1 / 2, 1 / 4, 0, 1 / 3], dtype=torch.float64))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("size", [4, 32])
def test_equal_images_are_at_no_angle_whatever_rounding_says(size: int, dtype: torch.dtype) -> None:
    """The closed form of an image with itself: v, then 2 v / 2 + .01 for the NNGP, and 2 v / 2 more for the NTK."""
    x = noise(3, size, 3)
    v = 2 * x.flatten(1).square().mean(1) + 0.01
    given = torch.cat([x, x]).to(dtype)
    digits = 20 * torch.finfo(dtype).eps
    for kind, expected in (("nngp", v + 0.01), ("ntk", 2 * v + 0.01)):
        found = FullyConnected(kind)(given, given).double()
        for block in (found[:3, :3], found[:3, 3:]):
            torch.testing.assert_close(block.diagonal(), expected, rtol=digits, atol=0)


@pytest.mark.parametrize("kernel", SMALL, ids=str)
def test_gradients_are_finite_differences(kernel: Kernel) -> None:
    x, y = (each.requires_grad_() for each in (noise(2), noise(2, seed=1)))
    assert torch.autograd.gradcheck(kernel, (x, y))
    assert torch.autograd.gradcheck(lambda z: kernel(z, z), x)


@pytest.mark.parametrize("kernel", [*SMALL[:-1], pytest.param(SMALL[-1], marks=pytest.mark.nightly)], ids=str)
def test_gradients_where_the_angle_has_a_kink_are_those_of_either_side_on_average(kernel: Kernel) -> None:
    """Of equal images, and of the equal patches in a black border: what central differences of a longer step give."""
    x, y = noise(2), noise(1, seed=1)
    black = noise(2, seed=2)
    black[:, :, :2] = 0

    def check(function: Callable[..., Tensor], *images: Tensor) -> None:
        given = [each.clone().requires_grad_() for each in images]
        assert torch.autograd.gradcheck(function, given, eps=3e-5, atol=1e-4, rtol=1e-3)

    check(kernel, x, torch.cat([y, x[:1]]))
    check(kernel, black, y)
    for images in (torch.cat([x[:1], x[:1], y]), black):
        check(lambda z: kernel(z, z), images)


def test_a_second_derivative_is_refused_and_not_wrong() -> None:
    x = noise(2).requires_grad_()
    (gradient,) = torch.autograd.grad(FullyConnected()(x, x).sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()


@pytest.mark.parametrize("kernel", SMALL, ids=str)
def test_parts_of_any_size_give_the_same(kernel: FullyConnected | Convolutional) -> None:
    x, y = noise(5).requires_grad_(), noise(4, seed=1).requires_grad_()
    weights = torch.randn(5, 4, generator=generator(3), dtype=torch.float64)
    whole = kernel(x, y)
    expected = torch.autograd.grad((weights * whole).sum(), (x, y))
    for at_once in (1, 3, 1000, 3000):
        found = kernel(x, y, at_once)
        assert found.equal(whole)
        gradients = torch.autograd.grad((weights * found).sum(), (x, y))
        torch.testing.assert_close(gradients, expected, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize(
    ("kernel", "count", "of_a_pair", "whole", "in_parts"),
    [
        (FullyConnected(depth=3), 128, 1, 20, 8),
        pytest.param(Convolutional(depth=1), 32, 9 * 16, 1000, 200, marks=pytest.mark.nightly),
    ],
    ids=str,
)
def test_parts_bound_the_memory(
    kernel: FullyConnected | Convolutional, count: int, of_a_pair: int, whole: float, in_parts: float
) -> None:
    """Of a step with its derivative, in matrices of the size of the result."""

    def peak(at_once: int) -> float:
        def step(x: Tensor, y: Tensor) -> Tensor:
            return torch.autograd.grad(kernel(x, y.requires_grad_(), at_once).sum(), y)[0]

        return peak_bytes(step, noise(count), noise(count, seed=1)) / (8 * count**2)

    assert peak(count**2 * of_a_pair) > whole
    assert peak(count**2 * of_a_pair // 32) < in_parts


@pytest.mark.parametrize("kernel", SMALL, ids=str)
def test_kernels_are_symmetric_and_positive(kernel: Kernel) -> None:
    x, y = noise(6), noise(5, seed=1)
    torch.testing.assert_close(kernel(x, y), kernel(y, x).T, rtol=1e-12, atol=1e-14)
    assert float(torch.linalg.eigvalsh(kernel(x, x))[0]) > 0


def test_float32_has_its_digits() -> None:
    x, y = noise(4, 8, 3), noise(3, 8, 3, seed=1)
    for kernel in (FullyConnected(), Convolutional(depth=2)):
        found = kernel(x.float(), y.float())
        assert found.dtype == torch.float32
        torch.testing.assert_close(found.double(), kernel(x, y), rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: FullyConnected("nkt"), UnknownName, "unknown kind of kernel 'nkt'.*ntk"),
        (lambda: FullyConnected(depth=0), BadValue, "depth 0; expected at least 1"),
        (lambda: Convolutional(bias=0.0), BadValue, "bias 0.0; expected both above 0"),
        (lambda: FullyConnected(weight=math.nan), BadValue, "weight nan"),
        (
            lambda: Convolutional(depth=3)(noise(1), noise(1)),
            BadValue,
            r"3 poolings.*at least 8(.|\n)*depth=2",
        ),
        (
            lambda: FullyConnected()(noise(1), noise(1, 8)),
            BadValue,
            r"\(1, 2, 4, 4\).*\(1, 2, 8, 8\).*one size",
        ),
        (lambda: FullyConnected()(noise(1), noise(1).float()), BadValue, "float64.*float32.*one format"),
        (lambda: FullyConnected()(noise(0), noise(1)), BadValue, r"\(0, 2, 4, 4\).*at least one of each"),
        (lambda: Convolutional(depth=1)(noise(1).byte(), noise(1).byte()), BadValue, "uint8"),
    ],
)
def test_what_does_not_fit_is_named(make: Callable[[], object], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()
