"""Vanilla MMD in pixel space, against a loop over all pairs of images."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import product

import pytest
import torch
from tiny import generator, recipe
from torch import Tensor, nn

from dreamlib.companion.profiles import profiles
from dreamlib.core.errors import BadValue, UnknownName
from dreamlib.data import ClassData, load
from dreamlib.distillation.loop import Distillation
from dreamlib.matchers import MATCHERS, Kernel
from dreamlib.matchers.kernel import KERNELS
from dreamlib.recipes import methods

ALL = [
    Kernel(),
    Kernel("polynomial"),
    Kernel("polynomial", degree=3, offset=0.5),
    Kernel("rbf"),
    Kernel("rbf", bandwidth=0.3),
    Kernel("laplacian"),
    Kernel("laplacian", bandwidth=2.0),
]
NOTHING = nn.Identity()  # whatever it is called on would be seen: kernels know no network


def value(matcher: Kernel, x: Tensor, y: Tensor) -> Tensor:
    """k(x, y) of two images, as the class says it."""
    size = x.numel()
    if matcher.kernel == "linear":
        return (x * y).sum()
    if matcher.kernel == "polynomial":
        return size * ((x * y).sum() / size + matcher.offset) ** matcher.degree
    if matcher.kernel == "rbf":
        return size * torch.exp(-((x - y) ** 2).sum() / (2 * matcher.bandwidth**2 * size))
    return size * torch.exp(-(x - y).abs().sum() / (matcher.bandwidth * size))


def loop(matcher: Kernel, real: Tensor, synthetic: Tensor) -> Tensor:
    total = torch.zeros((), dtype=real.dtype)
    for r, s in zip(real, synthetic, strict=True):
        for sign, a, b in ((1, r, r), (1, s, s), (-2, r, s)):
            values = [value(matcher, x, y) for x, y in product(a, b)]
            total = total + sign * sum(values) / len(values)
    return total


def library(matcher: Kernel, real: Tensor, synthetic: Tensor) -> Tensor:
    labels = torch.arange(len(real))
    target = [part.detach() for part in matcher.measure(NOTHING, real, labels, differentiable=False)]
    return matcher.distance(target, matcher.measure(NOTHING, synthetic, labels, differentiable=True))


def images(real: int = 5, synthetic: int = 3) -> list[Tensor]:
    source = generator(3)
    return [
        torch.randn(4, count, 2, 4, 3, generator=source, dtype=torch.float64) for count in (real, synthetic)
    ]


@pytest.mark.parametrize("matcher", ALL, ids=str)
def test_kernels_are_the_loop_over_pairs(matcher: Kernel) -> None:
    real, synthetic = images()
    mine, theirs = (synthetic.clone().requires_grad_() for _ in range(2))
    found, expected = library(matcher, real, mine), loop(matcher, real, theirs)
    assert float(found.detach()) == pytest.approx(float(expected.detach()), rel=1e-9)
    assert float(found.detach()) > 0.01
    (a,), (b,) = torch.autograd.grad(found, mine), torch.autograd.grad(expected, theirs)
    assert float((a - b).abs().max()) <= 1e-9 * float(b.abs().max())


@pytest.mark.parametrize("matcher", ALL, ids=str)
def test_equal_sets_are_at_no_distance(matcher: Kernel) -> None:
    real, _ = images()
    order = torch.tensor([3, 0, 4, 1, 2])
    assert float(library(matcher, real, real[:, order])) == pytest.approx(0, abs=1e-9)


def test_the_linear_kernel_is_the_distance_of_the_mean_images() -> None:
    real, synthetic = images()
    expected = (real.mean(1) - synthetic.mean(1)).square().sum()
    assert float(library(Kernel(), real, synthetic)) == pytest.approx(float(expected))


def test_other_kernels_see_more_than_the_mean() -> None:
    real, _ = images()
    mirrored = 2 * real.mean(1, keepdim=True) - real.mean(1, keepdim=True).expand_as(real)
    for matcher in ALL:
        found = float(library(matcher, real, mirrored))
        assert (found < 1e-9) == (matcher.kernel == "linear"), matcher


@pytest.mark.parametrize("matcher", ALL, ids=str)
def test_classes_in_chunks_give_the_same_sum_and_gradient(matcher: Kernel) -> None:
    real, synthetic = images()
    synthetic.requires_grad_()
    whole = library(matcher, real, synthetic)
    (gradient,) = torch.autograd.grad(whole, synthetic)
    parts = [library(matcher, real[part], synthetic[part]) for part in (slice(0, 3), slice(3, 4))]
    assert float(sum(parts).detach()) == pytest.approx(float(whole.detach()))
    torch.testing.assert_close(torch.autograd.grad(sum(parts), synthetic)[0], gradient)


@pytest.mark.parametrize("kernel", KERNELS)
def test_measuring_asks_for_a_gradient_only_where_there_is_to_be_one(kernel: str) -> None:
    given = images()[0].requires_grad_()
    for differentiable in (False, True):
        found = Kernel(kernel).measure(NOTHING, given, torch.arange(4), differentiable)
        assert all(len(part) == 4 and part.requires_grad == differentiable for part in found)


@pytest.mark.parametrize("kernel", KERNELS)
def test_distillation_gives_the_same_set_class_by_class_and_nears_the_real_images(kernel: str) -> None:
    data = ClassData(load("digits"), torch.device("cpu"))
    how = recipe(f"mmd-{kernel}".removesuffix("-linear"), iterations=8, real_batch=32)
    sets = []
    for at_once in (10, 3):
        run = Distillation(data, how, 4, seed=0)
        run.criterion.classwise.at_once = at_once
        while not run.done:
            run.advance()
        sets.append(run.stored["images"])
    torch.testing.assert_close(sets[0], sets[1], rtol=1e-4, atol=1e-5)
    real = data.take(data.draw(64, generator()))
    start, end = (
        float(library(how.matching.matcher, real, each))
        for each in (run.snapshots[0]["images"], run.stored["images"])
    )
    assert end < start


def test_the_methods_are_dm_with_another_matcher_and_no_augmentation() -> None:
    for kernel in KERNELS:
        name = "mmd" if kernel == "linear" else f"mmd-{kernel}"
        for dataset, ipc in (("cifar10", 1), ("cifar10", 50), ("mnist", 10)):
            dm, mine = (methods[which].resolve(dataset, ipc)[0] for which in ("dm", name))
            rate = 0.1 if ipc == 1 else 1.0
            criterion = replace(dm.matching, matcher=Kernel(kernel), augment=mine.matching.augment)
            assert mine == replace(dm, criterion=criterion, image_lr=rate)
            assert mine.matching.augment.stages == ()
        assert methods[name].reported_as == ("MMD" if kernel == "linear" else "")
        for profile in ("quick", "cpu"):
            small, sources = methods[name].resolve("digits", 1, profiles[profile].recipe_rules)
            assert small.matching.matcher == Kernel(kernel)
            assert small.matching.augment.stages == ()
            assert "ours" in sources["image_lr"]


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"kernel": "gauss"}, UnknownName, "unknown kernel 'gauss'.*rbf"),
        ({"kernel": "rbf", "bandwidth": 0.0}, BadValue, "bandwidth is 0.0; expected more than 0"),
        ({"kernel": "rbf", "bandwidth": math.nan}, BadValue, "bandwidth is nan"),
        ({"kernel": "polynomial", "degree": 0}, BadValue, "degree 0 and offset 1.0"),
        ({"kernel": "polynomial", "offset": -1.0}, BadValue, "offset -1.0"),
    ],
)
def test_settings_out_of_range_are_named(
    settings: dict[str, object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        MATCHERS["kernel"](**settings)
