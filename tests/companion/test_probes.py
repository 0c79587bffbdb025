"""Gradient norms of batches, and variety."""

import numpy as np
import pytest
import torch

from dreamlib.companion.probes import class_signal, gradient_study, gradient_texture, reach, texture, variety
from dreamlib.core.errors import BadValue
from dreamlib.criteria import Matching
from dreamlib.data import ClassData, Dataset, load
from dreamlib.distillation.recipe import Recipe
from dreamlib.distillation.sets import DistilledSet
from dreamlib.networks import NetworkSpec

RECIPE = Recipe(criterion=Matching(real_batch=20), network=NetworkSpec(depth=2, width=8), per_class=60)


def test_gradient_study_is_seeded_and_measures_whole_batches() -> None:
    digits = load("digits")
    one, two = (gradient_study(digits, RECIPE, label=3, batches=4, warm_up=3, seed=5) for _ in range(2))
    assert one.class_name == "3"
    assert one.norms_all.shape == (60,)
    assert one.norms_random.shape == one.norms_representative.shape == (80,)
    assert one.errors_random.shape == one.errors_representative.shape == (4,)
    assert np.array_equal(one.errors_representative, two.errors_representative)
    assert set(one.norms_random) <= set(one.norms_all)


def test_the_whole_class_as_a_batch_has_no_distance_to_its_mean_gradient() -> None:
    recipe = Recipe(criterion=Matching(real_batch=60), network=NetworkSpec(depth=2, width=8), per_class=60)
    study = gradient_study(load("digits"), recipe, batches=2, warm_up=0)
    assert study.errors_random == pytest.approx(0, abs=1e-5 * study.mean_norm)
    assert study.errors_representative == pytest.approx(0, abs=1e-5 * study.mean_norm)


def test_a_class_that_is_not_there_is_an_error() -> None:
    with pytest.raises(BadValue, match=r"class 10 of digits; expected 0\.\.9"):
        gradient_study(load("digits"), RECIPE, label=10)


def held(images: torch.Tensor) -> DistilledSet:
    digits = load("digits")
    labels = torch.arange(10).repeat_interleave(images.shape[1])
    return DistilledSet(images.flatten(0, 1), labels, images, digits.classes, digits.normalisation, {})


def test_variety_is_one_for_real_images_and_zero_for_copies() -> None:
    data = ClassData(load("digits"))
    index = data.draw(50, torch.Generator().manual_seed(1))
    assert variety(held(data.unit(index)), data) == pytest.approx(1, abs=0.06)
    assert variety(held(data.unit(index[:, :1].expand(-1, 5))), data) == pytest.approx(0, abs=1e-4)


def test_a_set_reaches_the_images_that_it_holds(digits: Dataset) -> None:
    few = ClassData(digits, per_class=6)
    every = few.take(torch.arange(6).expand(10, -1))
    assert reach(every, few) == pytest.approx(0, abs=1e-3)  # cdist takes a root of a difference
    assert 0.1 < reach(every[:, :3], few) < reach(every[:, :1], few) < 1.5


def test_texture_tells_fine_from_coarse_and_coloured_from_grey() -> None:
    checker = (
        (torch.arange(8).view(1, 8) + torch.arange(8).view(8, 1)).remainder(2).float().expand(2, 3, 8, 8)
    )
    wave = (0.5 + 0.5 * torch.sin(torch.arange(8) * torch.pi / 4)).expand(2, 1, 8, 8)
    assert texture(checker).checkerboard == pytest.approx(1)
    assert texture(checker).colour == pytest.approx(0)
    assert texture(wave).fine == pytest.approx(0, abs=1e-9)
    assert np.isnan(texture(wave).colour)
    assert texture(wave).contrast == pytest.approx(float(wave[0].double().std()))
    noise = texture(torch.randn(200, 3, 16, 16, generator=torch.Generator().manual_seed(0)))
    # Of 16 frequencies in a direction, 9 lie at a quarter or below and 13 at three eighths or below.
    assert noise.fine == pytest.approx((16**2 - 9**2) / (16**2 - 1), abs=0.01)
    assert noise.checkerboard == pytest.approx((16**2 - 13**2) / (16**2 - 1), abs=0.01)
    assert noise.colour > 0.5


def test_class_by_class_batch_norm_takes_classes_away_and_instance_norm_does_not_care(
    data: ClassData,
) -> None:
    instance = class_signal(NetworkSpec(depth=2, width=8), data, batch=30, networks=3)
    assert instance.joint == pytest.approx(instance.per_class, rel=1e-4)
    # A ResNet averages over all places in the end, so that nothing but the channels' means could tell a class.
    spec = NetworkSpec("resnet10", width=8, norm="batch")
    pooled, again = (class_signal(spec, data, batch=30, networks=3) for _ in range(2))
    assert (pooled.joint > 2).all()
    assert (pooled.per_class < 0.7 * pooled.joint).all()
    assert np.array_equal(pooled.per_class, again.per_class)


def test_gradients_through_strides_are_rougher_than_through_poolings(data: ClassData) -> None:
    rough, smooth = (
        gradient_texture(NetworkSpec(name, width=8, norm="batch"), data, batch=10, each=3, networks=3)
        for name in ("resnet10", "resnet10ap")
    )
    assert len(rough) == len(smooth) == 3
    assert all(0 < one.checkerboard < one.fine < 1 for one in (*rough, *smooth))
    assert sum(one.checkerboard for one in smooth) < sum(one.checkerboard for one in rough)
