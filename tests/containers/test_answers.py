"""Images with learned labels: what they begin with, what moves, and that probabilities stay some."""

from __future__ import annotations

import pytest
import torch

from dreamlib.containers import SGD, Answers
from dreamlib.core.errors import UnknownName

SHAPE = (1, 4, 4)


def begun(container: Answers, ipc: int = 2, classes: int = 3) -> dict[str, torch.Tensor]:
    return container.start(torch.rand(classes, ipc, *SHAPE), ipc, SHAPE, classes, torch.Generator())


def test_labels_begin_as_asked() -> None:
    hot = torch.eye(3).repeat_interleave(2, 0)
    for begin, scale, expected in (
        ("one-hot", 1.0, hot),
        ("centred", 2.0, 2 * (hot - 1 / 3)),
        ("uniform", 1.0, torch.full((6, 3), 1 / 3)),
    ):
        container = Answers(begin=begin, scale=scale)
        torch.testing.assert_close(container.targets(begun(container), 2), expected)
    assert begun(Answers(begin="centred"))["labels"].sum(-1).abs().max() < 1e-6
    with pytest.raises(UnknownName, match=r"beginning of labels 'hot'; valid: one-hot, centred, uniform"):
        Answers(begin="hot").check(SHAPE, 3, 1)


def test_what_has_no_update_stays() -> None:
    move = SGD(0.1)
    assert Answers().updates(SGD(9.0)) == {}
    assert Answers(labels_by=move).updates(SGD(9.0)) == {"labels": move}
    assert Answers(images_by=move, labels_by=move).updates(SGD(9.0)) == {"images": move, "labels": move}


def test_probabilities_stay_probabilities() -> None:
    container = Answers(simplex=True)
    stored = begun(container)
    stored["labels"][0] = torch.tensor([[2.0, 1.0, -3.0], [-1.0, -1.0, -1.0]])
    container.project(stored)
    torch.testing.assert_close(stored["labels"][0], torch.tensor([[0.5, 0.5, 0.0], [1 / 3, 1 / 3, 1 / 3]]))
    free = begun(Answers())
    free["labels"][0] = 7.0
    Answers().project(free)
    assert float(free["labels"][0].min()) == 7.0


def test_the_training_set_has_the_labels() -> None:
    from dreamlib.data import statistics

    container = Answers(begin="centred")
    stored = begun(container)
    made = container.training_set(stored, SHAPE, 3, statistics("digits"))
    assert made.images.equal(stored["images"].flatten(0, 1))
    assert made.targets.shape == (6, 3)
