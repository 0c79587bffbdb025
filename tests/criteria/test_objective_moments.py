"""GMMN's loss, against a loop over all pairs."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from dreamlib.core.errors import BadValue
from dreamlib.criteria import Batch, MomentMatching

LABELS = torch.tensor([0, 2, 0, 1, 2, 0])


def images(seed: int = 0) -> list[Tensor]:
    source = torch.Generator().manual_seed(seed)
    return [torch.randn(6, 1, 3, 4, generator=source, dtype=torch.float64) / 3 for _ in range(2)]


def kernel(widths: tuple[float, ...], a: Tensor, b: Tensor) -> float:
    apart = float(((a - b) ** 2).sum())
    return sum(math.exp(-apart / (2 * width**2 * a.numel())) for width in widths) / len(widths)


def loop(how: MomentMatching, real: Tensor, generated: Tensor, labels: Tensor) -> float:
    total = 0.0
    for i, one in enumerate(labels):
        for j, other in enumerate(labels):
            if one == other:
                total += kernel(how.widths, real[i], real[j])
                total += kernel(how.widths, generated[i], generated[j])
                total -= 2 * kernel(how.widths, real[i], generated[j])
    return total / len(labels) ** 2


@pytest.mark.parametrize("widths", [(0.5,), (0.1, 0.4, 2.0), MomentMatching().widths])
def test_the_discrepancy_is_the_loop_over_pairs_of_a_class(widths: tuple[float, ...]) -> None:
    how, (real, generated) = MomentMatching(widths), images()
    expected = loop(how, real, generated, LABELS)
    assert expected > 0.01
    assert float(how.discrepancy(real, generated, LABELS)) == pytest.approx(expected, rel=1e-9)


def test_equal_sets_are_at_no_distance_in_any_order_within_a_class() -> None:
    how, (real, _) = MomentMatching(), images()
    order = torch.tensor([5, 4, 0, 3, 1, 2])  # labels 0 2 0 1 2 0 stay as they are
    assert LABELS[order].equal(torch.tensor([0, 2, 0, 1, 2, 0]))
    assert float(how.discrepancy(real, real[order], LABELS)) == pytest.approx(0, abs=1e-12)


def test_images_of_another_class_count_for_nothing() -> None:
    how, (real, generated) = MomentMatching(), images()
    generated.requires_grad_()
    (gradient,) = torch.autograd.grad(how.discrepancy(real, generated, LABELS), generated)
    moved = real.clone()
    moved[LABELS == 0] += 0.5
    (after,) = torch.autograd.grad(how.discrepancy(moved, generated, LABELS), generated)
    assert not after[LABELS == 0].equal(gradient[LABELS == 0])
    torch.testing.assert_close(after[LABELS != 0], gradient[LABELS != 0], rtol=0, atol=0)
    # The same images under exchanged labels are no longer the same sets.
    assert float(how.discrepancy(real, real[torch.tensor([1, 0, 2, 3, 4, 5])], LABELS)) > 1e-3


def test_the_loss_is_the_root_and_moves_generated_images_to_the_real_ones() -> None:
    how, (real, start) = MomentMatching(), images()
    weight = start.clone().requires_grad_()
    nothing = torch.zeros(6, 2)
    batch = Batch(real, LABELS, nothing, nothing, torch.zeros(6), nothing, LABELS)
    assert how.partner((1, 3, 4), 3, 2, 8) is None
    losses = []

    def generator(noise: Tensor, labels: Tensor) -> Tensor:
        return weight

    for _ in range(300):
        loss, generated = how.generator_loss(generator, None, batch)
        assert generated is weight
        losses.append(float(loss.detach()))
        (gradient,) = torch.autograd.grad(loss, weight)
        with torch.no_grad():
            weight -= 0.3 * gradient
    assert losses[0] == pytest.approx(math.sqrt(loop(how, real, start, LABELS)), rel=1e-4)
    assert losses[-1] < losses[0] / 2
    perfect, _ = how.generator_loss(lambda noise, labels: real.requires_grad_(), None, batch)
    assert torch.isfinite(torch.autograd.grad(perfect, real)[0]).all()


@pytest.mark.parametrize("widths", [(), (0.1, 0.0), (-1.0,), (math.nan,)])
def test_widths_out_of_range_are_named(widths: tuple[float, ...]) -> None:
    with pytest.raises(BadValue, match="expected one or more, above 0"):
        MomentMatching(widths)
