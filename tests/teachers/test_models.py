"""DiM's models pool: a network for every epoch, in the mode and with the images of the released code."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import torch
from runs import finish
from tiny import generative
from torch import Tensor

from dreamlib.core.errors import BadValue
from dreamlib.criteria import generative as module
from dreamlib.data import ClassData
from dreamlib.distillation.loop import Distillation
from dreamlib.distillation.recipe import Recipe
from dreamlib.networks import NetworkSpec
from dreamlib.teachers import models

pytestmark = pytest.mark.trains

RESNET = NetworkSpec("resnet10", width=4, norm="batch", form="idc")


@pytest.fixture(autouse=True)
def unwatched(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a dozen steps of a generator this small nothing has come of the noise yet."""
    monkeypatch.setattr(module, "COLLAPSED", 0.0)


def begun(data: ClassData, recipe: Recipe) -> Distillation:
    """Matching from a generator that has learned nothing."""
    assert recipe.first is not None
    first = Distillation(data, recipe.first, ipc=1, seed=0)
    while recipe.criterion.first not in first.snapshots:
        first.advance()
    return Distillation(data, recipe, ipc=1, seed=0, start=first.snapshots[recipe.criterion.first])


def test_every_epoch_has_a_network_of_the_pool(few: ClassData) -> None:
    recipe = generative("dim", criterion__matched_epochs=8, criterion__matched_batch=60)
    run, drawn = begun(few, recipe), []
    while not run.done:
        run.advance()
        if run.matched % run.unit == 1:
            network = run.network
            drawn.append(network)
        else:
            assert run.network is network
    assert len(drawn) == 8
    counts = Counter(sum(weight.numel() for weight in one.parameters()) for one in drawn if one is not None)
    assert len(counts) == 2, "both networks of the pool"


@pytest.mark.parametrize("mode", ["train", "eval"])
def test_a_network_of_the_pool_stays_in_training_mode(few: ClassData, mode: str) -> None:
    """Three batches of its own a step, and the real and the generated ones; or only its own."""
    run = begun(few, generative("dim", teacher__models=(RESNET,), teacher__mode=mode))
    for _ in range(2):
        run.advance()
    assert run.network is not None
    assert run.network.training == (mode == "train")
    state = run.network.state_dict()
    seen = {int(n) for name, n in state.items() if name.endswith("num_batches_tracked")}
    assert seen == {2 * (3 + 2) if mode == "train" else 2 * 3}


@pytest.mark.parametrize("space", ["signed", "unit"])
def test_what_a_network_of_the_pool_sees(few: ClassData, monkeypatch: pytest.MonkeyPatch, space: str) -> None:
    """Images in [-1, 1] are normalised as if they were in [0, 1]: (2u - 1 - mean) / std; in its own training, too."""
    how = {"teacher__space": space, "criterion__weight": 1.0, "augment__strategy": "none"}
    run = begun(few, generative("dim", **how, teacher__augment__strategy="none"))
    seen: list[Tensor] = []
    unit = few.normalisation.undo(few.at(torch.arange(few.total))[0])
    mean, std = few.normalisation.columns(unit)
    expected = ((2 * unit - 1 if space == "signed" else unit) - mean) / std
    build = models.build

    def noted(*given: Any, **more: Any) -> Any:
        network = build(*given, **more)
        network.body[0].register_forward_pre_hook(lambda module, given: seen.append(given[0].detach()))
        return network

    monkeypatch.setattr(models, "build", noted)
    run.advance()
    sizes = [len(images) for images in seen]
    assert sizes == [8, 8, 8, 30, 30]  # its own batches, whole ones; the real images; the generated ones
    for images in seen[:4]:
        gaps = (images[:, None] - expected[None]).abs().flatten(2).amax(2)
        assert float(gaps.amin(1).max()) < 1e-5
        assert len(set(gaps.argmin(1).tolist())) == len(images)
    own = torch.cat(seen[:3])
    assert len({tuple(one.flatten().tolist()) for one in own}) == 24, "one pass over the data"
    low, high = (-1.0, 1.0) if space == "signed" else (0.0, 1.0)
    generated = seen[4] * std + mean
    assert low - 1e-5 <= float(generated.min()) < (low + high) / 2
    assert float(generated.max()) <= high + 1e-5


def test_networks_that_learn_from_nothing_stay_as_they_are_drawn(few: ClassData) -> None:
    run = begun(few, generative("dim", teacher__trained_on="nothing"))
    run.advance()
    assert run.network is not None
    before = {name: value.clone() for name, value in run.network.named_parameters()}
    run.advance()
    assert all(value.equal(before[name]) for name, value in run.network.named_parameters())
    finish(run)


def test_a_pool_that_learns_in_batches_larger_than_the_data_is_refused(few: ClassData) -> None:
    with pytest.raises(BadValue, match=r"batches of 121, and digits has 120 images\n.*teacher.batch=120"):
        begun(few, generative("dim", teacher__batch=121))
    begun(few, generative("dim", teacher__batch=121, teacher__trained_on="nothing"))
    for name in ("batch", "images"):
        with pytest.raises(BadValue, match=f"models pool: {name} is 0; expected at least 1"):
            begun(few, generative("dim", **{f"teacher__{name}": 0}))
