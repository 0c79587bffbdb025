"""Judging a generator: fresh images in every epoch, as many as asked for, or one draw used like stored images."""

from __future__ import annotations

from dataclasses import replace

import pytest
import reference
import torch
from tiny import NETWORK, generator
from torch import Tensor, nn

from dreamlib.containers import Drawing, Generator
from dreamlib.core.errors import BadValue
from dreamlib.data import Dataset
from dreamlib.distillation.evaluate import Evaluation, EvaluationRun, Generated, evaluate
from dreamlib.networks import build
from dreamlib.networks.training import SGD

HOW = Evaluation(
    "dim", SGD(epochs=3, batch=8, lr=0.05, decay_at=()), NETWORK, networks=2, generated=Generated(2)
)


class Noted(Drawing):
    """Notes what it gives."""

    def __init__(self, digits: Dataset) -> None:
        net = Generator(noise=16, width=4).module(digits.shape, 10)
        for number, weight in enumerate(net.parameters()):
            nn.init.normal_(weight, 0, 0.3, generator=generator(number))
        super().__init__(net, 16, digits.normalisation)
        self.given: list[tuple[Tensor, Tensor]] = []

    def draw(self, labels: Tensor, stream: torch.Generator) -> Tensor:
        images = super().draw(labels, stream)
        self.given.append((images, labels))
        return images


@pytest.fixture
def drawing(digits: Dataset) -> Noted:
    return Noted(digits)


def ended(run: EvaluationRun) -> EvaluationRun:
    while not run.done:
        run.advance()
    return run


@pytest.mark.parametrize(
    ("per_class", "batch", "plain", "whole"),
    [(1, 256, 10, 256), (10, 64, 100, 128), (64, 64, 640, 704), (50, 64, 500, 512), (7, 7, 70, 77)],
)
def test_images_of_an_epoch(per_class: int, batch: int, plain: int, whole: int) -> None:
    """The released code has 10 * INPC // batch + 1 batches, one too many where none was left to fill."""
    assert Generated(per_class).size(10, batch) == plain
    assert (
        Generated(per_class, whole_batches=True).size(10, batch)
        == whole
        == (10 * per_class // batch + 1) * batch
    )


@pytest.mark.parametrize("whole", [False, True])
def test_every_epoch_and_every_network_has_new_images(drawing: Noted, digits: Dataset, whole: bool) -> None:
    how = replace(HOW, generated=Generated(2, whole_batches=whole))
    run = ended(EvaluationRun(drawing, digits, how))
    assert run.training.size == (24 if whole else 20)
    assert run.training.per_epoch == 3
    assert [images.shape[1] for images, _ in drawing.given] == ([8, 8, 8] if whole else [8, 8, 4]) * 3
    everything = torch.cat([images.flatten(0, 1) for images, _ in drawing.given]).flatten(1)
    assert len(everything.unique(dim=0)) == len(everything)
    for first in range(0, 9, 3):  # of an epoch, and each network
        labels = torch.cat([part for _, part in drawing.given[first : first + 3]], 1)
        counts = [one.bincount(minlength=10).tolist() for one in labels]
        assert counts == [[3] * 4 + [2] * 6 if whole else [2] * 10] * 2


def test_the_result_is_that_of_networks_trained_one_by_one_on_what_was_drawn(
    drawing: Noted, digits: Dataset
) -> None:
    run = EvaluationRun(drawing, digits, replace(HOW, panel=1))
    networks = []
    for k in range(2):
        networks.append(build(NETWORK, digits.shape, 10))
        networks[-1].load_state_dict({name: value[k] for name, value in run.training.stack.tensors.items()})
    ended(run)
    noise = torch.Generator().manual_seed(0)
    noise.set_state(EvaluationRun(drawing, digits, replace(HOW, panel=1)).streams["noise"].get_state())
    test = digits.normalisation.apply(digits.test_images.float() / 255)
    expected: list[float] = []
    batches: list[list[tuple[Tensor, Tensor, int]]] = [[], []]
    for _, labels in drawing.given:
        both = torch.randn(labels.numel(), 16, generator=noise).split(labels.shape[1])
        for k in range(2):
            images = reference.draw(drawing.generator, both[k], labels[k], digits.normalisation)
            batches[k].append((images, labels[k], 0))
    for k, network in enumerate(networks):
        reference.train(network, batches[k], lr=0.05, momentum=0.9, weight_decay=5e-4)
        expected.append(reference.accuracy(network, test, digits.test_labels))
        for name, value in network.named_parameters():
            torch.testing.assert_close(
                run.training.stack.tensors[name][k], value.detach(), rtol=1e-3, atol=1e-4
            )
    assert run.accuracies == pytest.approx(expected, abs=0.25)


def test_drawn_once_is_a_set_of_stored_images(drawing: Noted, digits: Dataset) -> None:
    how = replace(HOW, generated=Generated(3, fresh=False))
    run = EvaluationRun(drawing, digits, how)
    ((images, labels),) = drawing.given
    assert images.shape == (10, 3, 1, 8, 8)
    assert labels.equal(torch.arange(10).unsqueeze(1).expand(10, 3))
    ended(run)
    assert len(drawing.given) == 1
    assert run.accuracies == evaluate(images, digits, replace(how, generated=None))


def test_networks_and_orders_are_those_of_stored_images(drawing: Noted, digits: Dataset) -> None:
    images = torch.zeros(10, 2, *digits.shape)
    runs = [
        EvaluationRun(drawing, digits, HOW),
        EvaluationRun(images, digits, replace(HOW, generated=None)),
    ]
    for name, value in runs[0].training.stack.tensors.items():
        assert value.equal(runs[1].training.stack.tensors[name])
    for run in runs:
        run.advance()
    assert runs[0].training.order.equal(runs[1].training.order)


def test_no_images_and_no_number_of_images_are_errors(drawing: Noted, digits: Dataset) -> None:
    for fresh in (True, False):
        with pytest.raises(
            BadValue, match=r"INPC is 0; expected at least 1 image per class and epoch\n.*IPC="
        ):
            EvaluationRun(drawing, digits, replace(HOW, generated=Generated(0, fresh=fresh)))
    with pytest.raises(BadValue, match="the evaluation does not say by how many images"):
        EvaluationRun(drawing, digits, replace(HOW, generated=None))
