"""DD as a method: its gradient is that of training written out, it learns, goes on, and says what fails."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import pytest
import torch
from reference import unrolled
from runs import check_task, finish
from torch import Tensor

from dreamlib.augment import crops
from dreamlib.companion.cells import make_cell
from dreamlib.containers import Falling, Pixels, Steps
from dreamlib.core.errors import BadValue, Diverged
from dreamlib.criteria import Unrolling
from dreamlib.data import ClassData, Dataset
from dreamlib.distillation.evaluate import EvaluationRun
from dreamlib.distillation.loop import Distillation
from dreamlib.distillation.recipe import Recipe
from dreamlib.networks import NetworkSpec
from dreamlib.recipes import methods

SPEC = NetworkSpec(width=8, depth=2, form="xavier")


FALLING = Falling(0.1)


def recipe(images: Falling | None = FALLING, **changes: Any) -> Recipe:
    container = Steps(epochs=3, rate=0.2, images_by=images, rates_by=FALLING)
    parts: dict[str, Any] = {"criterion": Unrolling(real_batch=40), "network": SPEC, "iterations": 6}
    return replace(methods["dd"].recipe, container=container, **(parts | changes))


def begun(few: ClassData, ipc: int, **changes: Any) -> Distillation:
    run = Distillation(few, recipe(**changes), ipc, 3)
    while not run.stored:
        run.advance()
    return run


@pytest.mark.parametrize(("ipc", "pad"), [(1, 0), (3, 0), (1, 2)])
def test_its_gradient_is_that_of_training_written_out(few: ClassData, ipc: int, pad: int) -> None:
    """By softplus, in the order of epochs and steps, one image of each class a step (DD, section 3, released code)."""
    run = begun(few, ipc, criterion=Unrolling(40, crops=pad))
    run.stored["raw_rates"].add_(torch.randn(3, ipc, generator=torch.Generator().manual_seed(0)))
    before = run.streams["network"].get_state()
    run.teaching.next(0)
    run.streams["network"].set_state(before)
    network = run.network
    assert network is not None
    assert all(not value.any() for name, value in network.named_parameters() if name.endswith("bias"))
    real, classes = few.turn_flat(40, 0, run.scene.fresh("real"))
    if pad:
        stream = torch.Generator()
        stream.set_state(run.streams["augment"].get_state())
        real = crops(real, pad, stream)
    loss, by_images, by_raw = unrolled(network, run.stored["images"], run.stored["raw_rates"], real, classes)
    assert run.criterion is not None
    found = run.criterion.gradients(0, run.stored)
    torch.testing.assert_close(found.loss, loss, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found.gradients["images"], by_images, rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(found.gradients["raw_rates"], by_raw, rtol=1e-3, atol=1e-4)


@pytest.mark.trains
@pytest.mark.parametrize("images", [FALLING, None], ids=["images", "rates alone"])
def test_it_goes_on_bit_for_bit_from_every_step(few: ClassData, images: Falling | None) -> None:
    check_task(lambda: Distillation(few, recipe(images, criterion=Unrolling(40, crops=2)), 2, 3))
    whole = finish(Distillation(few, recipe(images), 2, 3))
    assert whole.stored["images"].equal(whole.snapshots[0]["images"]) == (images is None)
    assert not whole.stored["raw_rates"].equal(whole.snapshots[0]["raw_rates"])


@pytest.mark.trains
def test_its_own_steps_are_what_its_networks_learn_from(data: ClassData, digits: Dataset) -> None:
    cell = make_cell("quick", "dd", "digits", 1, 0)
    run = finish(Distillation(data, replace(cell.recipe, iterations=60), 1, 0))
    about = digits.shape, digits.num_classes, digits.normalisation
    accuracies = []
    for stored in (run.snapshots[0], run.stored):
        made = cell.recipe.container.training_set(stored, *about)
        judged = EvaluationRun(cast(Any, made), digits, replace(cell.evaluation, networks=10))
        while not judged.done:
            judged.advance()
        assert judged.training.steps == 3
        accuracies.append(sum(judged.accuracies) / 10)
    # From noise, ten classes are told apart as by chance.
    assert accuracies[0] < 20
    assert accuracies[1] > accuracies[0] + 10


def test_rates_too_large_are_named_and_the_last_state_is_good(few: ClassData) -> None:
    run = begun(few, 1)
    run.advance()
    run.stored["raw_rates"].fill_(1e20)
    with pytest.raises(Diverged, match=r"after 3 steps of training at rates up to 1e\+20 the loss is nan"):
        run.advance()
    assert run.matched == 1
    assert all(bool(value.isfinite().all()) for value in run.stored.values())


def test_a_rate_below_zero_is_named(few: ClassData, monkeypatch: pytest.MonkeyPatch) -> None:
    def bare(self: Steps, stored: dict[str, Tensor]) -> Tensor:
        return stored["raw_rates"]

    run = begun(few, 1)
    monkeypatch.setattr(Steps, "rates", bare)
    run.stored["raw_rates"].fill_(0.1)[1, 0] = -0.25
    with pytest.raises(Diverged, match=r"the learned rate of step 1 is -0\.25; expected 0 or more"):
        run.advance()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"criterion": Unrolling(0)}, "real_batch is 0; expected at least 1"),
        ({"criterion": Unrolling(40, crops=-1)}, "crops is -1 pixels; expected at least 0"),
        ({"criterion": Unrolling(121)}, "a batch of 121 real images, and digits has 120"),
        ({"container": Pixels()}, "over steps with rates, and the container is Pixels"),
        ({"network": replace(SPEC, norm="batch")}, "running statistics"),
    ],
)
def test_what_it_cannot_do_is_refused(few: ClassData, changes: dict[str, Any], says: str) -> None:
    with pytest.raises(BadValue, match=says):
        finish(Distillation(few, replace(recipe(), **changes), 1, 0))
