"""BigGAN's loss and its augmentation; and every generative model of Table T1."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import pytest
import torch
from torch import Tensor

from dreamlib.augment import Siamese
from dreamlib.augment.siamese import NUMBERS, Transform
from dreamlib.containers import Generator
from dreamlib.core.errors import BadValue
from dreamlib.criteria import OBJECTIVES, Batch, Generative, Hinge
from dreamlib.data import ClassData, load
from dreamlib.distillation.loop import Distillation
from dreamlib.distillation.recipe import Recipe
from dreamlib.recipes import methods

MODELS = ("gmmn", "vae", "biggan")


def batch(count: int = 5, noise: int = 24) -> Batch:
    source = torch.Generator().manual_seed(0)
    real, drawn, extra = (
        torch.randn(shape, generator=source) for shape in ((count, 3, 8, 8), (count, noise), (count, noise))
    )
    labels = torch.arange(count) % 2
    return Batch(real, labels, drawn, extra, torch.rand(count, generator=source), drawn.flip(0), 1 - labels)


def test_the_hinge_loss_of_augmented_images() -> None:
    given, how = batch(), Hinge()
    made = given.real.flip(0) / 2

    def judge(images: Tensor, labels: Tensor) -> Tensor:
        return images.mean((1, 2, 3)) * 8 + labels

    real = judge(how.augmented(given.real, given, 1), given.labels)
    fake = judge(how.augmented(made, given, 0), given.other_labels)
    expected = (1 - real).clamp(min=0).mean() + (1 + fake).clamp(min=0).mean()
    torch.testing.assert_close(how.partner_loss(lambda z, y: made, judge, given), expected)
    loss, generated = how.generator_loss(lambda z, y: made, judge, given)
    torch.testing.assert_close(loss, -judge(how.augmented(made, given, 0), given.labels).mean())
    assert generated is made


def test_augmentation_is_move_and_box_for_every_image_by_itself() -> None:
    given, how = batch(), Hinge()
    ones = torch.ones(5, 3, 8, 8)
    found = how.augmented(ones, given, 0)
    zeros = (found == 0).float().mean((1, 2, 3))
    assert bool((zeros > 0).all())  # the box; its centre may lie at the border
    assert bool((zeros < 1).all())
    assert len({tuple(image.flatten().tolist()) for image in found}) > 1
    assert not found.equal(how.augmented(ones, given, 1))
    assert found.equal(how.augmented(ones, given, 0))
    numbers = torch.special.ndtr(given.extra[:, : len(NUMBERS)])
    expected = Transform(how.augment, how.augment.stages, numbers.unsqueeze(0), 5)(ones.unsqueeze(0))[0]
    assert found.equal(expected)


def test_extreme_numbers_stay_inside() -> None:
    given = batch()
    extreme = replace(given, extra=torch.where(given.extra > 0, 50.0, -50.0))
    assert torch.isfinite(Hinge().augmented(given.real, extreme, 0)).all()


def test_augmentation_can_be_differentiated() -> None:
    given = batch()
    images = given.real.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(Hinge().augmented(images, given, 0).sum(), images)
    assert 0 < float(gradient.mean()) < 1


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda: Hinge(Siamese("crop_scale", family="idc")), "draws one of several operations"),
        (lambda: Hinge(Siamese("color_crop")), "draws one of several operations"),
        (lambda: Hinge().partner((1, 8, 8), 10, 21, 8), "K = 21 numbers.*at least 22"),
    ],
)
def test_what_does_not_fit_is_refused(act: Any, message: str) -> None:
    with pytest.raises(BadValue, match=message):
        act()


def test_methods_bear_the_names_of_their_objectives() -> None:
    for name in MODELS:
        how = cast(Generative, methods[name].recipe.criterion)
        assert OBJECTIVES.name_of(how.objective) == name
        assert methods[name].family == ("generative",)


@pytest.fixture(scope="module")
def data() -> ClassData:
    return ClassData(load("digits"), torch.device("cpu"), per_class=8)


def small(name: str) -> Recipe:
    recipe = methods[name].recipe
    container = replace(cast(Generator, recipe.container), width=8, noise=24, lr=1e-3)
    how = replace(cast(Generative, recipe.criterion), epochs=4, batch=20)
    return replace(recipe, container=container, criterion=how)


@pytest.mark.parametrize("name", MODELS)
def test_every_weight_is_moved(name: str, data: ClassData) -> None:
    run = Distillation(data, small(name), ipc=1, seed=0)
    before = {key: value.clone() for key, value in run.state().items()}
    for _ in range(3):
        run.advance()
    after = run.state()
    container, shape, classes = run.recipe.container, data.shape, data.num_classes
    partner = run.recipe.criterion.objective.partner(shape, classes, container.noise, container.width)
    modules = {"stored": container.module(shape, classes)}
    modules |= {} if partner is None else {"criterion.partner": partner}
    for module, found in modules.items():
        for key, _ in found.named_parameters():
            # A bias in front of a batch norm has no effect, and no gradient but rounding.
            assert not after[f"{module}.{key}"].equal(before[f"{module}.{key}"]), key
    if name == "biggan":  # so is what spectral norm goes on from
        u = "criterion.partner.of_class.u"
        assert not after[u].equal(before[u])
