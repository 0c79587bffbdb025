"""Evaluation: last epoch, test images read once, and nothing else but the set and the seed decides."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import reference
import torch
from tiny import NETWORK, generator
from torch import Tensor

from dreamlib.augment import Siamese
from dreamlib.containers import Images
from dreamlib.core.errors import BadValue, Diverged
from dreamlib.data import ClassData, Dataset, Normalisation
from dreamlib.distillation.evaluate import Evaluation, EvaluationRun, evaluate
from dreamlib.networks import build, training
from dreamlib.networks.training import SGD, SquaredError

SHORT = Evaluation("dc", SGD(epochs=4, batch=8, lr=0.05, decay_at=(0.5,)), NETWORK, networks=3)
AUGMENTED = replace(SHORT, learner=replace(SHORT.learner, augment=Siamese(), cutmix=0.5))


@pytest.fixture(scope="module")
def images(data: ClassData) -> Tensor:
    return data.take(torch.arange(2).expand(10, 2))


class Watched:
    """A data set that notes who reads what, and when."""

    def __init__(self, dataset: Dataset) -> None:
        self.dataset, self.read = dataset, []

    def __getattr__(self, name: str) -> Any:
        self.read.append(name)
        return getattr(self.dataset, name)


def test_the_result_is_that_of_networks_trained_one_by_one(images: Tensor, digits: Dataset) -> None:
    run = EvaluationRun(images, digits, replace(SHORT, panel=1))
    networks = []
    for k in range(3):
        networks.append(build(NETWORK, digits.shape, 10))
        networks[-1].load_state_dict({name: value[k] for name, value in run.training.stack.tensors.items()})
    batches: list[Tensor] = []
    run.training.watch = lambda index, correct: batches.append(index)
    while not run.done:
        run.advance()
    flat, labels = images.flatten(0, 1), torch.arange(10).repeat_interleave(2)
    test = digits.normalisation.apply(digits.test_images.float() / 255)
    expected = []
    for k, network in enumerate(networks):
        own = [(flat[index[k]], labels[index[k]], step // 3) for step, index in enumerate(batches)]
        reference.train(network, own, lr=0.05, momentum=0.9, weight_decay=5e-4, milestones=[2], decay_by=0.1)
        expected.append(reference.accuracy(network, test, digits.test_labels))
    assert len(batches) == 12
    assert run.accuracies == pytest.approx(expected, abs=0.25)  # one of 450 test images may lie on a border
    assert len(set(run.accuracies)) > 1


def test_the_test_images_are_read_once_and_after_the_last_step(images: Tensor, digits: Dataset) -> None:
    watched = Watched(digits)
    run = EvaluationRun(images, watched, SHORT)
    while not run.training.done:
        run.advance()
    assert not {"test_images", "test_labels"} & set(watched.read)
    run.advance()
    assert run.done
    assert watched.read.count("test_images") == watched.read.count("test_labels") == 1
    assert not any(name.startswith("train_") for name in watched.read)


def test_a_seed_decides_and_nothing_around_it(images: Tensor, digits: Dataset) -> None:
    before = torch.get_rng_state()
    first = evaluate(images, digits, replace(AUGMENTED, panel=3))
    evaluate(images.flip(3), digits, replace(SHORT, panel=3))
    torch.manual_seed(99)
    assert evaluate(images, digits, replace(AUGMENTED, panel=3)) == first
    assert evaluate(images, digits, replace(AUGMENTED, panel=4)) != first
    torch.set_rng_state(before)
    evaluate(images, digits, replace(AUGMENTED, panel=3))
    assert before.equal(torch.get_rng_state())


def test_every_set_is_judged_by_the_same_networks_and_orders(images: Tensor, digits: Dataset) -> None:
    one, other = (EvaluationRun(made, digits, SHORT) for made in (images, images.flip(3)))
    for name, value in one.training.stack.tensors.items():
        assert value.equal(other.training.stack.tensors[name])
    for run in (one, other):
        run.advance()
    assert one.training.order.equal(other.training.order)


def test_the_images_are_not_changed(images: Tensor, digits: Dataset) -> None:
    kept = images.clone()
    evaluate(images.requires_grad_(), digits, AUGMENTED)
    assert images.equal(kept)
    assert images.grad is None
    images.requires_grad_(False)


@pytest.mark.trains
def test_more_images_teach_more(data: ClassData, digits: Dataset) -> None:
    how = replace(SHORT, learner=replace(SHORT.learner, epochs=15))
    one, many = (sum(evaluate(data.take(torch.arange(n).expand(10, n)), digits, how)) / 3 for n in (1, 20))
    assert one > 15
    assert many > one + 10


def test_a_diverged_evaluation_is_an_error_and_no_number(images: Tensor, digits: Dataset) -> None:
    how = replace(SHORT, learner=replace(SHORT.learner, lr=1e30))
    with pytest.raises(Diverged, match="weights are not finite"):
        evaluate(images, digits, how)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        (replace(SHORT, networks=0), "0 networks and 4 epochs"),
        (replace(SHORT, learner=SGD(epochs=0)), "3 networks and 0 epochs"),
    ],
)
def test_an_evaluation_of_nothing_is_refused(digits: Dataset, how: Evaluation, message: str) -> None:
    with pytest.raises(BadValue, match=message):
        EvaluationRun(torch.randn(10, 1, 1, 8, 8, generator=generator()), digits, how)


def test_labels_below_zero_are_no_target_of_cross_entropy(images: Tensor, digits: Dataset) -> None:
    """Without a least value it would only diverge; half a squared error has one."""
    made = Images(images.flatten(0, 1), torch.eye(10).repeat_interleave(images.shape[1], 0) - 0.1)
    with pytest.raises(BadValue, match=r"real numbers down to -0\.1.*\n?.*SquaredError"):
        EvaluationRun(made, digits, SHORT)
    how = replace(SHORT, learner=SquaredError(epochs=1, batch=SHORT.learner.batch))
    assert len(evaluate(made, digits, how)) == SHORT.networks


# Training on the data set itself, stopping early, and a second test


def test_the_real_images_are_trained_on_like_a_set_that_holds_them(data: ClassData, digits: Dataset) -> None:
    few = ClassData(digits, per_class=6)
    images = few.take(torch.arange(6).expand(10, 6))
    assert evaluate(few, digits, replace(AUGMENTED, panel=1)) == evaluate(
        images, digits, replace(AUGMENTED, panel=1)
    )
    assert EvaluationRun(data, digits, SHORT).training.size == data.total == len(digits.train_labels)


def test_the_other_test_is_read_at_the_end_and_normalised_like_the_training(
    images: Tensor, digits: Dataset
) -> None:
    other = Watched(replace(digits, name="other", normalisation=Normalisation("wrong", (9.0,), (0.1,))))
    other.name = "other"
    run = EvaluationRun(images, digits, replace(SHORT, also_on="other"), other)
    while not run.training.done:
        run.advance()
    assert not {"test_images", "test_labels"} & set(other.read)
    assert run.also_accuracies == []
    run.advance()
    assert run.also_accuracies == run.accuracies == evaluate(images, digits, SHORT)


def test_another_test_set_than_the_evaluations_is_refused(images: Tensor, digits: Dataset) -> None:
    for how, other in (
        (SHORT, digits),
        (replace(SHORT, also_on="mnist"), digits),
        (replace(SHORT, also_on="x"), None),
    ):
        with pytest.raises(BadValue, match="evaluation also tests on"):
            EvaluationRun(images, digits, how, other)


def test_stopping_early_is_the_same_training_of_plain_images(data: ClassData, digits: Dataset) -> None:
    images = data.take(torch.arange(3).expand(10, 3))
    early = replace(SHORT, stop_ipc=3)
    assert early.stop(10) == 4 * 4  # 4 epochs of 30 images in batches of 8
    assert evaluate(images, digits, early) == evaluate(images, digits, SHORT)
    run = EvaluationRun(data, digits, early)
    assert run.steps == 16 + 1
    while not run.done:
        run.advance()
    assert run.training.step == 16


def test_the_learning_rate_goes_through_its_schedule_in_the_steps_there_are(
    data: ClassData, digits: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    rates: list[float] = []
    monkeypatch.setattr(training, "sgd_update", lambda *given: rates.append(given[3]))
    evaluate(data, digits, replace(SHORT, stop_ipc=3))
    assert rates == pytest.approx([0.05] * 8 + [0.005] * 8)


# The panel


def test_all_sets_are_judged_by_the_same_networks(images: Tensor, digits: Dataset) -> None:
    """Weights, orders and augmentations come from the panel alone, whatever the images and however many there are."""
    one = EvaluationRun(images, digits, AUGMENTED)
    other = EvaluationRun(images.flip(1)[:, :1], digits, AUGMENTED)
    panel = EvaluationRun(images, digits, replace(AUGMENTED, panel=1))
    assert all(
        value.equal(other.training.stack.tensors[name]) for name, value in one.training.stack.tensors.items()
    )
    assert any(
        not value.equal(panel.training.stack.tensors[name])
        for name, value in one.training.stack.tensors.items()
    )
    states = [run.streams["evaluation"].get_state() for run in (one, other)]
    assert states[0].equal(states[1])


@pytest.mark.parametrize("per_class", [1, 2])
def test_budgets_can_be_judged_after_equally_many_steps(
    images: Tensor, digits: Dataset, per_class: int
) -> None:
    run = EvaluationRun(images[:, :per_class], digits, replace(SHORT, steps=10))
    rates = []
    while not run.training.done:
        rates.append(run.training.rate_at(run.training.step))
        run.advance()
    assert len(rates) == run.training.steps == 10
    # The learning rate goes through its whole schedule: it falls after half of the epochs.
    assert rates == [0.05] * 5 + [pytest.approx(0.005)] * 5


def test_a_number_of_steps_is_said_once(images: Tensor, digits: Dataset) -> None:
    with pytest.raises(BadValue, match="for 10 steps and for those of 3 images per class"):
        EvaluationRun(images, digits, replace(SHORT, steps=10, stop_ipc=3))
