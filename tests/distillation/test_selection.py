"""What images start from: real ones as a coreset chooses them, mosaics of them, or noise."""

from __future__ import annotations

from dataclasses import replace

import pytest
import reference
import torch
from runs import finish, same
from tiny import following, recipe

from dreamlib.core.errors import BadValue, Diverged
from dreamlib.core.streams import Streams
from dreamlib.coresets import Herding, Noise
from dreamlib.data import ClassData
from dreamlib.distillation.loop import Distillation, distill
from dreamlib.distillation.selection import carried


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
    with pytest.raises(Diverged, match=r"the loss became (nan|inf) at step 2 of"):
        distill(few, recipe("herding", embedding__lr=1e30), ipc=1)


def test_coresets_share_a_network(few: ClassData) -> None:
    """It follows from the data and the seed alone."""
    shared = {recipe(name).embedded for name in ("herding", "k-center", "forgetting")}
    assert len(shared) == 1
    assert recipe("random").embedded is recipe("dream").embedded is None
    (embedded,) = shared
    assert embedded is not None
    run, other = (finish(Distillation(few, embedded, ipc=ipc, seed=0)) for ipc in (1, 5))
    assert same(run.snapshots[embedded.steps], other.snapshots[embedded.steps])


def test_a_coreset_without_its_network_says_what_is_missing(few: ClassData) -> None:
    for start in (None, {"images": torch.zeros(1)}):
        with pytest.raises(BadValue, match=r"(?s)chosen by a network that is trained .*recipe\.embedded"):
            Distillation(few, recipe("herding"), ipc=1, seed=0, start=start)


def test_a_network_of_other_images_is_refused(few: ClassData, data: ClassData) -> None:
    asked = recipe("herding")
    assert asked.embedded is not None
    start = carried(distill(data, asked.embedded, ipc=1).snapshots[asked.embedded.steps])
    with pytest.raises(BadValue, match="was trained on other images than those of 'digits'"):
        Distillation(few, asked, ipc=1, seed=0, start=start)


def test_a_set_may_start_from_a_coreset_and_learn_from_experts(few: ClassData) -> None:
    """Both have to be there first."""
    asked = following()
    both = replace(asked, initial=Herding(epochs=1), embedding=replace(asked.embedding, batch=60))
    assert both.first is not None
    assert both.embedded is not None
    moved = distill(few, both, ipc=1)
    chosen = distill(
        few, recipe("herding", network=both.network, initial=both.initial, embedding=both.embedding), 1
    )
    assert moved.snapshots[0]["images"].equal(chosen.stored["images"])
    assert not moved.stored["images"].equal(chosen.stored["images"])
