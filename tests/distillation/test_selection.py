"""What images start from: real ones as a coreset chooses them, mosaics of them, or noise."""

from __future__ import annotations

import pytest
import reference
import torch
from runs import finish
from tiny import recipe

from dreamlib.core.errors import Diverged
from dreamlib.core.streams import Streams
from dreamlib.coresets import Noise
from dreamlib.data import ClassData
from dreamlib.distillation.loop import Distillation, distill


@pytest.mark.parametrize("seed", [0, 1])
def test_a_mosaic_starts_from_the_first_images_of_each_class(few: ClassData, seed: int) -> None:
    """IDC, released code: whatever the seed."""
    run = Distillation(few, recipe("idc"), ipc=2, seed=seed)
    run.advance()
    first = few.unit(torch.arange(8).expand(few.num_classes, -1))
    assert run.stored["images"].equal(torch.stack([reference.mosaics(row, 2) for row in first]))


def test_noise_in_unit_space_is_a_quarter_about_the_middle(few: ClassData) -> None:
    """IDC, released code: standard normal numbers over four, plus one half, clamped."""
    run = Distillation(few, recipe("idc", initial=Noise(), container__factor=1), ipc=4, seed=0)
    run.advance()
    pixels = run.stored["images"]
    assert (float(pixels.min()), float(pixels.max())) == (0, 1)
    inside = pixels[(pixels > 0) & (pixels < 1)]
    assert float(inside.mean()) == pytest.approx(0.5, abs=0.02)
    assert 0.2 < float(inside.std()) < 0.25


def test_noise_needs_no_real_image(few: ClassData) -> None:
    run = Distillation(few, recipe("dc", initial=Noise()), ipc=2, seed=0)
    run.advance()
    expected = torch.randn(10, 2, 1, 8, 8, generator=Streams(0)["initial"])
    assert run.stored["images"].equal(expected)


def test_a_coreset_may_have_fewer_images_than_the_real_batch(few: ClassData) -> None:
    run = distill(few, recipe("random", real_batch=256), ipc=12)
    assert run.step == run.steps == 1
    assert run.snapshots.keys() == {0}


def test_a_diverged_embedding_stops_the_run(few: ClassData) -> None:
    run = Distillation(few, recipe("herding", embedding__lr=1e30), ipc=1, seed=0)
    with pytest.raises(Diverged, match="training diverged"):
        finish(run)
