"""Learned labels: where they start, what pushes them, and mirrored images that share them."""

from __future__ import annotations

import pytest
import torch
from test_kernels import noise

from dreamlib.core.errors import BadValue
from dreamlib.criteria.kernels import Features
from dreamlib.criteria.ridge import centred, margin_loss, predict, with_mirrored


def test_centred_labels_add_up_to_zero() -> None:
    labels = centred(torch.tensor([2, 0]), 4)
    assert labels.tolist() == [[-0.25, -0.25, 0.75, -0.25], [0.75, -0.25, -0.25, -0.25]]


def test_the_margin_is_the_mean_distance_to_the_second_up_to_one_over_c() -> None:
    labels = torch.tensor(
        [[0.9, 0.0, 0.1, 0.0], [0.3, 0.2, 0.0, 0.1], [-0.5, -0.6, -0.7, -0.8]], requires_grad=True
    )
    loss = margin_loss(labels)
    assert loss.item() == pytest.approx(-(0.25 + 0.1 + 0.1) / 3)
    (gradient,) = torch.autograd.grad(loss, labels)
    third = 1 / 3
    # The first has its margin and is left alone; the others are pushed from their second to their first.
    expected = [[0, 0, 0, 0], [-third, third, 0, 0], [-third, third, 0, 0]]
    torch.testing.assert_close(gradient, torch.tensor(expected))


@pytest.mark.parametrize("shape", [(3, 1), (3,)])
def test_a_margin_needs_two_classes(shape: tuple[int, ...]) -> None:
    with pytest.raises(BadValue, match="at least two classes"):
        margin_loss(torch.zeros(shape))


def test_mirrored_images_share_the_label_and_carry_the_gradient_back() -> None:
    images, labels = noise(3).requires_grad_(), centred(torch.tensor([0, 1, 1]), 2)
    both, twice = with_mirrored(images, labels)
    assert both.shape == (6, 2, 4, 4)
    for n in range(3):
        assert both[3 + n].equal(both[n].flip(-1))
        assert twice[3 + n].equal(twice[n])
    # A regression on both predicts the same for an image and its mirror image: it does not matter which is stored.
    x, kernel = noise(5, seed=1), Features()
    found = [predict(kernel(each, both), kernel(both, both), twice, 0.1) for each in (x, x.flip(-1))]
    torch.testing.assert_close(*found)
    (gradient,) = torch.autograd.grad(both.square().sum(), images)
    torch.testing.assert_close(gradient, 4 * images.detach())
