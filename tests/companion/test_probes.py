"""Variety and texture of images."""

import numpy as np
import pytest
import torch

from dreamlib.companion.probes import texture, variety
from dreamlib.data import ClassData, load
from dreamlib.distillation.sets import DistilledSet


def held(images: torch.Tensor) -> DistilledSet:
    digits = load("digits")
    labels = torch.arange(10).repeat_interleave(images.shape[1])
    return DistilledSet(images.flatten(0, 1), labels, images, digits.classes, digits.normalisation, {})


def test_variety_is_one_for_real_images_and_zero_for_copies() -> None:
    data = ClassData(load("digits"))
    index = data.draw(50, torch.Generator().manual_seed(1))
    assert variety(held(data.unit(index)), data) == pytest.approx(1, abs=0.06)
    assert variety(held(data.unit(index[:, :1].expand(-1, 5))), data) == pytest.approx(0, abs=1e-4)


def test_texture_tells_fine_from_coarse_and_coloured_from_grey() -> None:
    checker = (
        (torch.arange(8).view(1, 8) + torch.arange(8).view(8, 1)).remainder(2).float().expand(2, 3, 8, 8)
    )
    wave = (0.5 + 0.5 * torch.sin(torch.arange(8) * torch.pi / 4)).expand(2, 1, 8, 8)
    assert texture(checker).checkerboard == pytest.approx(1)
    assert texture(checker).colour == pytest.approx(0)
    assert texture(wave).fine == pytest.approx(0, abs=1e-9)
    assert np.isnan(texture(wave).colour)
    assert texture(wave).contrast == pytest.approx(float(wave[0].double().std()))
    noise = texture(torch.randn(200, 3, 16, 16, generator=torch.Generator().manual_seed(0)))
    # Of 16 frequencies in a direction, 9 lie at a quarter or below and 13 at three eighths or below.
    assert noise.fine == pytest.approx((16**2 - 9**2) / (16**2 - 1), abs=0.01)
    assert noise.checkerboard == pytest.approx((16**2 - 13**2) / (16**2 - 1), abs=0.01)
    assert noise.colour > 0.5
