"""CutMix against a loop, and its weight against a count of pixels."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from dreamlib.augment import cutmix
from dreamlib.core.errors import BadValue

torch.set_num_threads(1)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def batch(networks: int, size: int, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Images whose every pixel names the image it comes from; labels that do the same."""
    labels = torch.arange(networks * size).view(networks, size)
    return labels[:, :, None, None, None].expand(networks, size, 2, height, width).double(), labels


@pytest.mark.parametrize("probability", [0.5, 1.0])
@pytest.mark.parametrize("shape", [(30, 6, 8, 8), (20, 3, 5, 9), (10, 1, 4, 4), (10, 4, 1, 1)])
def test_weight_is_the_fraction_of_own_pixels(shape: tuple[int, int, int, int], probability: float) -> None:
    images, labels = batch(*shape)
    mixed, own, other, weight = cutmix(images, labels, seeded(), probability)
    assert torch.equal(own, labels)
    assert mixed.shape == images.shape
    assert weight.shape == shape[:1]
    assert weight.dtype == torch.float64
    pixels = mixed[:, :, 0]
    is_own, is_other = pixels == own[:, :, None, None], pixels == other[:, :, None, None]
    assert bool((is_own | is_other).all())
    kept = is_own.double().mean(dim=(2, 3))
    expected = torch.where(own == other, 1.0, weight[:, None])  # an image may be its own partner
    assert torch.equal(kept, expected)
    assert torch.equal(mixed[:, :, 0], mixed[:, :, 1])


def test_it_matches_a_loop() -> None:
    images = torch.randn(25, 5, 3, 7, 10, generator=seeded(9))
    labels = torch.randint(0, 10, (25, 5), generator=seeded(8))
    mixed, _, other, weight = cutmix(images, labels, seeded(), 0.5)
    generator = seeded()
    draws = torch.rand(25, 4, generator=generator)
    shuffle = torch.rand(25, 5, generator=generator).argsort(dim=1)
    mixing = 0
    for network in range(25):
        coin, area, centre_y, centre_x = draws[network].tolist()
        expected, partner = images[network].clone(), torch.arange(5)
        if coin < 0.5:
            mixing += 1
            partner = shuffle[network]
            half_y, half_x = int(7 * math.sqrt(area)) // 2, int(10 * math.sqrt(area)) // 2
            middle_y, middle_x = int(centre_y * 7), int(centre_x * 10)
            rows = slice(max(middle_y - half_y, 0), min(middle_y + half_y, 7))
            columns = slice(max(middle_x - half_x, 0), min(middle_x + half_x, 10))
            expected[:, :, rows, columns] = images[network, partner][:, :, rows, columns]
            fraction = 1 - (rows.stop - rows.start) * (columns.stop - columns.start) / 70
            assert float(weight[network]) == pytest.approx(fraction, abs=1e-7)
        else:
            assert float(weight[network]) == 1.0
        assert torch.equal(mixed[network], expected)
        assert torch.equal(other[network], labels[network, partner])
    assert 0 < mixing < 25


def test_probability_zero_changes_nothing_but_advances_the_generator() -> None:
    images, labels = batch(4, 6, 8, 8)
    generators = seeded(), seeded()
    mixed, own, other, weight = cutmix(images, labels, generators[0], 0.0)
    assert mixed is images
    assert torch.equal(own, labels)
    assert torch.equal(other, labels)
    assert torch.equal(weight, torch.ones(4, dtype=torch.float64))
    cutmix(images, labels, generators[1], 1.0)
    assert torch.equal(generators[0].get_state(), generators[1].get_state())


def test_partners_are_a_permutation_of_the_network_s_own_batch() -> None:
    images, labels = batch(50, 8, 8, 8)
    _, own, other, _ = cutmix(images, labels, seeded(), 1.0)
    assert torch.equal(other.sort(dim=1).values, own)
    assert float((own != other).double().mean()) > 0.75


def test_how_often_and_how_much() -> None:
    images, labels = batch(4000, 1, 32, 32)
    _, _, _, weight = cutmix(images, labels, seeded(), 0.5)
    assert float((weight < 1).double().mean()) == pytest.approx(0.5, abs=0.04)
    # Clipping at the borders keeps less than the half that an unclipped uniform area would take.
    assert 0.25 < float(1 - weight[weight < 1].mean()) < 0.45


def test_the_generator_decides_everything() -> None:
    images, labels = batch(8, 6, 8, 8)
    before = torch.get_rng_state()
    first, again, other = (cutmix(images, labels, seeded(seed), 0.5) for seed in (1, 1, 2))
    assert all(torch.equal(one, two) for one, two in zip(first, again, strict=True))
    assert not torch.equal(first[3], other[3])
    assert torch.equal(torch.get_rng_state(), before)


def test_gradients_go_where_the_pixels_went() -> None:
    images = torch.randn(3, 3, 1, 4, 4, dtype=torch.float64, generator=seeded()).requires_grad_()
    labels = torch.zeros(3, 3, dtype=torch.int64)
    assert torch.autograd.gradcheck(lambda x: cutmix(x, labels, seeded(), 1.0)[0], images)


def test_half_precision_keeps_an_exact_weight() -> None:
    images, labels = batch(8, 6, 8, 8)
    _, _, _, weight = cutmix(images.bfloat16(), labels, seeded(), 1.0)
    assert weight.dtype == torch.float32
    assert torch.equal(weight.double(), cutmix(images, labels, seeded(), 1.0)[3])


@pytest.mark.parametrize("probability", [-0.1, 1.1, float("nan")])
def test_probability_out_of_range(probability: float) -> None:
    images, labels = batch(2, 3, 4, 4)
    with pytest.raises(BadValue, match="CutMix probability"):
        cutmix(images, labels, seeded(), probability)


def test_shapes_that_do_not_fit() -> None:
    images, labels = batch(2, 3, 4, 4)
    with pytest.raises(BadValue, match="expected"):
        cutmix(images[0], labels[0], seeded(), 0.5)
    with pytest.raises(BadValue, match="expected"):
        cutmix(images, labels[:1], seeded(), 0.5)
