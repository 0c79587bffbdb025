"""Steps with rates: their order, their start, and how they move."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from dreamlib.containers import SGD, Falling, Steps
from dreamlib.core.errors import BadValue
from dreamlib.data import statistics

SHAPE, CLASSES = (1, 4, 4), 3


def begun(container: Steps, ipc: int = 2) -> dict[str, torch.Tensor]:
    images = torch.randn(CLASSES, ipc, *SHAPE, generator=torch.Generator().manual_seed(0))
    return container.start(images, ipc, SHAPE, CLASSES, torch.Generator())


def test_each_step_has_one_image_of_every_class_and_every_epoch_a_rate_for_it() -> None:
    container = Steps(epochs=3, rate=0.02)  # DD on MNIST
    stored = begun(container, ipc=2)
    made = container.training_set(stored, SHAPE, CLASSES, statistics("digits"))
    assert made.targets.tolist() == [0, 1, 2, 0, 1, 2]
    for step, images in enumerate(made.images.split(CLASSES)):
        assert images.equal(stored["images"][:, step])
    assert made.rates is not None
    assert made.rates.shape == (3, 2)
    torch.testing.assert_close(made.rates, torch.full((3, 2), 0.02))


def test_rates_stay_above_zero() -> None:
    container = Steps()
    stored = begun(container)
    stored["raw_rates"].fill_(-80.0)
    assert (container.rates(stored) > 0).all()


def test_images_may_stay() -> None:
    assert set(Steps().updates(SGD(1.0))) == {"images", "raw_rates"}
    assert set(Steps(images_by=None).updates(SGD(1.0))) == {"raw_rates"}


@pytest.mark.parametrize("fields", [{"epochs": 0}, {"rate": 0.0}, {"rate": float("nan")}, {"rate": -1.0}])
def test_steps_need_epochs_and_a_rate(fields: dict[str, float]) -> None:
    with pytest.raises(BadValue, match="expected at least 1, and a rate above 0"):
        Steps(**fields).check(SHAPE, CLASSES, 1)  # type: ignore[arg-type]  # wrong ones, on purpose


def test_a_falling_rate_is_pytorchs_adam_with_its_schedule() -> None:
    """DD, released code: Adam with betas of 0.5 and 0.999, halved after every 40 passes."""
    ours, theirs = torch.ones(5), nn.Parameter(torch.ones(5))
    update = Falling(lr=0.01, every=3)
    adam = torch.optim.Adam([theirs], lr=0.01, betas=(0.5, 0.999))
    schedule = torch.optim.lr_scheduler.StepLR(adam, 3, 0.5)
    state = update.start(ours)
    for step in range(10):
        gradient = torch.randn(5, generator=torch.Generator().manual_seed(step))
        ours, state = update(ours, gradient, state)
        theirs.grad = gradient
        adam.step()
        schedule.step()
        torch.testing.assert_close(ours, theirs.detach())


@pytest.mark.parametrize("fields", [{"every": 0}, {"by": 0.0}, {"by": float("nan")}])
def test_a_fall_has_a_size(fields: dict[str, float]) -> None:
    with pytest.raises(BadValue, match="a rate that is multiplied by"):
        Falling(**fields)  # type: ignore[arg-type]  # wrong ones, on purpose
