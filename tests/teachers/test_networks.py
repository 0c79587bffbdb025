"""Networks that teach: drawn from their stream, and learning after every step but their last."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from runs import finish, weights
from tiny import recipe

from dreamlib.core.errors import UnknownName
from dreamlib.core.streams import Streams
from dreamlib.data import ClassData, Dataset
from dreamlib.distillation.loop import Distillation
from dreamlib.networks import Network, build, initialise
from dreamlib.samplers import Representative, View


@pytest.mark.parametrize("method", ["dm", "dream"])
def test_the_matching_network_is_the_streams(few: ClassData, method: str) -> None:
    run = Distillation(few, recipe(method), ipc=1, seed=4)
    run.advance()
    run.advance()
    network = build(run.recipe.network, few.shape, few.num_classes)
    initialise(network, Streams(4)["network"])
    if method == "dm":
        assert all(
            value.equal(run.network.state_dict()[name]) for name, value in network.state_dict().items()
        )
    else:
        assert run.criterion.choice.equal(
            Representative(every=2).choose(replace_view(run, network.eval(), Streams(4)["sampler"]))
        )


def replace_view(run: Distillation, network: Network, source: torch.Generator) -> Any:
    return View(run.data, network, run.recipe.matching.real_batch, source, space=run.container.space)


@pytest.mark.parametrize("method", ["dc", "idc"])
def test_a_network_is_trained_after_every_step_but_its_last(few: ClassData, method: str) -> None:
    run = Distillation(few, recipe(method), ipc=1, seed=0)
    run.advance()
    changed = []
    while not run.done:
        before = weights(run)
        run.advance()
        changed.append(not all(a.equal(b) for a, b in zip(before, weights(run), strict=True)))
    # Step 1 draws a network and trains it, step 2 trains it, step 3 leaves it; then the next network.
    assert changed == [True, True, False] * 2


def test_another_network_is_put_up_for_every_iteration(few: ClassData) -> None:
    """DC's outer loop and IDC's inner loop: as many steps under one network."""
    run = Distillation(few, recipe("idc"), ipc=1, seed=0)
    assert [run.teaching.next(step) for step in range(6)] == [True, False, False] * 2


def test_networks_go_on_through_the_real_images_where_the_last_one_stopped(digits: Dataset) -> None:
    """One permutation of the data after the other (released code of IDC: one loader), with no batch left out."""
    numbers = []

    class Noting(ClassData):
        def turn_flat(self, batch: int, number: int, fresh: Any) -> Any:
            numbers.append(number)
            return super().turn_flat(batch, number, fresh)

    run = finish(Distillation(Noting(digits, per_class=12), recipe("idc"), ipc=1, seed=0))
    # Each of two networks learns after two of its three steps, each time from 20 images in batches of 8.
    assert run.recipe.teacher.real_batches == 3
    assert numbers == list(range(2 * 2 * 3))


def test_methods_with_one_seed_start_alike_and_see_the_same_networks(few: ClassData) -> None:
    dm, dsa = (Distillation(few, recipe(method), ipc=2, seed=0) for method in ("dm", "dsa"))
    for run in (dm, dsa):
        run.advance()
    assert dm.stored["images"].equal(dsa.stored["images"])
    for run in (dm, dsa):
        run.teaching.next(0)
    assert all(a.equal(b) for a, b in zip(weights(dm), weights(dsa), strict=True))


def test_unknown_training_data_is_an_error(few: ClassData) -> None:
    with pytest.raises(
        UnknownName, match="unknown choice of training data 'both'; valid: nothing, synthetic, real"
    ):
        Distillation(few, recipe("dc", teacher__trained_on="both"), 1, 0)
