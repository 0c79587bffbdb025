"""DC's own augmentation: one operation an image, against loops over single images and scipy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import rotate as scipy_rotate
from tiny import generator
from torch import Tensor

from dreamlib.augment import PerImage
from dreamlib.augment.per_image import NUMBERS
from dreamlib.core.errors import BadValue, UnknownName

SIDE = 28


def images(batch: int = 6, channels: int = 1) -> Tensor:
    """Smooth pictures about a mean of their own."""
    source = torch.rand(1, batch, channels, 7, 7, generator=generator())
    flat = torch.nn.functional.interpolate(source[0], size=(SIDE, SIDE), mode="bicubic")
    return flat[None] - 0.2


def numbers(batch: int, **fixed: float) -> Tensor:
    drawn = torch.rand(1, batch, len(NUMBERS), generator=generator(3))
    for name, value in fixed.items():
        drawn[..., NUMBERS.index(name)] = value
    return drawn


def applied(recipe: PerImage, batch: Tensor, drawn: Tensor) -> Tensor:
    return recipe.apply(batch, drawn, torch.empty(len(batch), 0, dtype=torch.int64))


def test_every_image_draws_its_own_operation() -> None:
    batch, recipe = images(300), PerImage("crop_scale_rotate")
    made = recipe.draw(1, generator(1), per_image=300)(batch)[0]
    alone = [
        applied(PerImage(name), batch, recipe.draw(1, generator(1), per_image=300).numbers)[0]
        for name in recipe.listed
    ]
    which = [[bool(torch.equal(made[n], kind[n])) for kind in alone] for n in range(300)]
    assert all(sum(row) == 1 for row in which)
    shares = np.mean(which, axis=0)
    assert shares == pytest.approx([1 / 3] * 3, abs=0.1)


def test_a_crop_moves_by_up_to_four_pixels_and_brings_in_the_mean_of_the_batch() -> None:
    batch, recipe = images(50, channels=3), PerImage("crop")
    drawn = numbers(50)
    made = applied(recipe, batch, drawn)[0]
    mean = batch[0].mean((0, 2, 3))
    moves = set()
    for n in range(50):
        padded = mean[:, None, None].expand(3, SIDE + 8, SIDE + 8).clone()
        padded[:, 4 : 4 + SIDE, 4 : 4 + SIDE] = batch[0, n]
        row, column = (int(drawn[0, n, NUMBERS.index(name)] * 8) for name in ("y", "x"))
        moves |= {row, column}
        expected = padded[:, row : row + SIDE, column : column + SIDE]
        torch.testing.assert_close(made[n], expected)
    assert moves == set(range(8))


def test_scaling_is_nearest_neighbour_about_the_middle_with_zeros_outside() -> None:
    batch, recipe = images(40, channels=2), PerImage("scale")
    drawn = numbers(40)
    made = applied(recipe, batch, drawn)[0]
    for n in range(40):
        tall, wide = (
            int((0.8 + 0.4 * float(drawn[0, n, NUMBERS.index(name)])) * SIDE) for name in ("height", "width")
        )
        small = torch.nn.functional.interpolate(batch[0, n : n + 1], size=(tall, wide))[0]
        # On a square canvas as wide as the longest side of both, in the middle; then its middle is cut out.
        most = max(tall, wide, SIDE)
        canvas = torch.zeros(2, most, most)
        top, left, cut = (int((most - size) / 2) for size in (tall, wide, SIDE))
        canvas[:, top : top + tall, left : left + wide] = small
        assert made[n].equal(canvas[:, cut : cut + SIDE, cut : cut + SIDE])


@pytest.mark.parametrize("degrees", [-45, -30, -20, -17, 0, 3, 7, 21, 44])
def test_a_rotation_is_scipys_within_its_interpolation(degrees: int) -> None:
    batch, recipe = images(3), PerImage("rotate")
    drawn = numbers(3, angle=(degrees + 45 + 0.5) / 90)
    made = applied(recipe, batch, drawn)[0]
    mean = float(batch.mean())
    for n in range(3):
        whole = scipy_rotate(batch[0, n].numpy(), angle=degrees, axes=(-2, -1), cval=mean)
        top, left = (int((whole.shape[axis] - SIDE) / 2) for axis in (-2, -1))
        turned = whole[:, top : top + SIDE, left : left + SIDE]
        inside = slice(6, SIDE - 6)
        gap = np.abs(made[n].numpy() - turned)[:, inside, inside]
        assert gap.max() < 0.03 * float(batch.max() - batch.min())
    corner = made[:, 0, 0, 0]
    if abs(degrees) > 30:
        torch.testing.assert_close(corner, torch.full_like(corner, mean), atol=0.02, rtol=0)


def test_angles_are_whole_degrees_from_minus_45_to_44() -> None:
    drawn = [((u * 90).floor() - 45).item() for u in torch.tensor([0.0, 0.5, 0.99999])]
    assert drawn == [-45, 0, 44]
    one, other = (applied(PerImage("rotate"), images(1), numbers(1, angle=u)) for u in (0.5001, 0.5100))
    assert one.equal(other)


def test_what_is_drawn_repeats_itself_and_leaves_the_images_alone() -> None:
    batch, recipe = images(), PerImage()
    kept = batch.clone()
    first, again = (recipe.draw(1, generator(5), per_image=6)(batch) for _ in range(2))
    assert first.equal(again)
    assert batch.equal(kept)


def test_misuse_is_named() -> None:
    with pytest.raises(UnknownName, match="unknown augmentation 'flip'"):
        PerImage("crop_flip")
    with pytest.raises(BadValue, match=r"scale=1\.5"):
        PerImage(scale=1.5)
    with pytest.raises(BadValue, match="1 groups of None images"):
        PerImage().draw(1, generator())
    with pytest.raises(BadValue, match=r"drawn for \(1, 6\) images got \(1, 5\)"):
        PerImage().draw(1, generator(), per_image=6)(images(5))
