"""Random crops over reflected borders, against numpy's padding, image by image."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tiny import generator

from dreamlib.augment import crops

PAD = 4


@pytest.mark.parametrize("sides", [(12, 12), (11, 14)])
def test_each_image_is_one_of_the_crops_of_its_reflected_self_mirrored_or_not(sides: tuple[int, int]) -> None:
    height, width = sides
    images = torch.rand(400, 3, height, width, generator=generator())
    made = crops(images, PAD, generator(1))
    assert (made.shape, made.dtype) == (images.shape, images.dtype)
    found = []
    for image, crop in zip(images.numpy(), made.numpy(), strict=True):
        padded = np.pad(image, ((0, 0), (PAD, PAD), (PAD, PAD)), mode="reflect")
        windows = {
            (top, left, mirrored): padded[:, top : top + height, left : left + width][
                :, :, :: 1 - 2 * mirrored
            ]
            for top in range(2 * PAD + 1)
            for left in range(2 * PAD + 1)
            for mirrored in (False, True)
        }
        found.append(next(which for which, window in windows.items() if np.array_equal(window, crop)))
    # Every move is drawn, each of the nine as often as another, and half of the images are mirrored.
    tops, lefts, mirrored = zip(*found, strict=True)
    for moves in (tops, lefts):
        assert np.bincount(moves, minlength=2 * PAD + 1) / 400 == pytest.approx(1 / 9, abs=0.06)
    assert np.mean(mirrored) == pytest.approx(0.5, abs=0.1)
