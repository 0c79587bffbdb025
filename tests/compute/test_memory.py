"""What a function holds at its peak, without running it."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from dreamlib.compute.memory import GIB, peak_bytes
from dreamlib.core.errors import BadValue
from dreamlib.coresets import RealImages
from dreamlib.data import ClassData, Dataset, statistics
from dreamlib.distillation.loop import Distillation
from dreamlib.distillation.recipe import change
from dreamlib.recipes import methods
from dreamlib.samplers import Random


def test_the_peak_counts_what_lives_at_the_same_time() -> None:
    def chain(x: Tensor) -> Tensor:
        for _ in range(5):
            x = x + 1  # the former one dies
        return x

    def fan(x: Tensor) -> Tensor:
        return torch.cat([x + i for i in range(5)])

    x = torch.zeros(1000)
    assert peak_bytes(chain, x) == 2 * 4000
    assert peak_bytes(fan, x) == 10 * 4000


def test_cifar100_at_ipc_50_and_factor_2_fits_8_gigabytes() -> None:
    """The published settings, measured on shapes: nothing is computed."""
    classes = 100
    count = classes * 130
    labels = torch.arange(classes).repeat_interleave(130)
    blank = torch.zeros(count, 3, 32, 32, dtype=torch.uint8)
    names = tuple(map(str, range(classes)))
    data = Dataset("cifar100", blank, labels, blank[:100], labels[::130], names, statistics("cifar100"))
    recipe, _ = methods["dream"].resolve("cifar100", 50)
    recipe = replace(change(recipe, "sampler", Random()), initial=RealImages())
    run = Distillation(
        ClassData(data, per_class=130), replace(recipe, container=replace(recipe.container, factor=1)), 50, 0
    )
    weights = {name: value.detach() for name, value in run.network.named_parameters()}
    how, peak = recipe.matching, run.criterion.classwise.peak
    one, two = (peak(weights, n, how.synthetic_batch, how.real_batch) for n in (1, 2))
    resident = 50_000 * 3072 + 2 * classes * 50 * 3072 * 4  # uint8 images, synthetic set and its momentum
    assert 4 * one + resident < 8 * GIB  # four classes together, and more
    assert two > 1.5 * one


@pytest.mark.parametrize("size", [0, -1.5])
def test_a_bound_must_be_positive(size: float) -> None:
    blank = torch.zeros(10, 1, 8, 8, dtype=torch.uint8)
    labels = torch.arange(10) % 2
    data = ClassData(Dataset("d", blank, labels, blank, labels, ("a", "b"), statistics("mnist")))
    with pytest.raises(BadValue, match="memory"):
        Distillation(data, methods["dm"].recipe, 1, 0, memory_gb=size)


def test_a_bound_below_one_class_says_what_one_class_takes() -> None:
    blank = torch.zeros(10, 1, 8, 8, dtype=torch.uint8)
    labels = torch.arange(10) % 2
    data = ClassData(Dataset("d", blank, labels, blank, labels, ("a", "b"), statistics("mnist")))
    small = replace(methods["dm"].recipe.network, width=8, depth=2)
    recipe = replace(methods["dm"].recipe, iterations=1, network=small)
    recipe = change(recipe, "real_batch", 4)
    run = Distillation(data, recipe, 1, 0, memory_gb=1e-6)
    run.advance()
    with pytest.raises(BadValue, match="one class of 4 real and 1 synthetic images takes") as caught:
        run.advance()
    assert "--memory-gb" in caught.value.hint
