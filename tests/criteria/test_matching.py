"""Matching: against the plain loop over classes, in chunks of classes, with the statistics that are asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
import reference
import torch
from runs import bits, finish, same
from tiny import recipe
from torch import Tensor

from dreamlib.core.errors import BadValue, OutOfMemory, UnknownName
from dreamlib.core.streams import Streams
from dreamlib.data import ClassData
from dreamlib.distillation.loop import Distillation, distill
from dreamlib.distillation.recipe import change
from dreamlib.matchers import Feature, Gradient, Kernel
from dreamlib.networks import Network, NetworkSpec, build, initialise
from dreamlib.samplers import Random, View, Weighted, WeightedRepresentative

pytestmark = pytest.mark.trains

MATCHED = ["dm", "dc", "dsa", "idc", "idc-dm", "dream", "dc+dream", "dm+dream"]


# What a step computes


@pytest.mark.parametrize(
    ("method", "rounded"),
    [
        ("dm", {"real", "synthetic"}),
        ("idc-dm", {"real", "synthetic"}),
        ("dsa", {"real"}),
        ("dream", {"real"}),
    ],
)
def test_fast_mode_may_round_what_is_compared_in_means_over_many_images(
    few: ClassData, method: str, rounded: set[str]
) -> None:
    """Feature matching compares nothing else (DM Eq. 4); a gradient of one synthetic image is none."""
    run = Distillation(few, recipe(method), ipc=2, seed=0)
    asked, plain = {}, run.engine.run

    def recorded(key: Any, *arguments: Any, averages: bool = False) -> Any:
        asked.setdefault(key[0], averages)
        return plain(key, *arguments, averages=averages)

    run.engine.run = recorded  # type: ignore[method-assign]  # to see what is asked of it
    run.advance()
    run.advance()
    assert {side: asked[side] for side in ("real", "synthetic")} == {
        side: side in rounded for side in ("real", "synthetic")
    }


@pytest.mark.parametrize(
    ("method", "changes"),
    [
        ("dm", {}),
        ("dc", {}),
        ("dc", {"matcher__metric": "mse", "teacher__batch": 7}),
        ("dsa", {}),
        ("idc", {}),
        ("idc", {"matcher__metric": "l1", "synthetic_batch": 3}),
        ("idc-dm", {}),
        ("dream", {}),
        ("dc+dream", {}),
        ("dm", {"network__norm": "batch", "statistics": "per class"}),
        ("dm", {"network__norm": "batch", "statistics": "frozen"}),
        ("dsa", {"network__norm": "batch", "statistics": "frozen"}),
        ("dsa", {"network__norm": "batch", "statistics": "per class"}),
    ],
    ids=str,
)
def test_steps_are_those_of_the_loop_over_classes(
    few: ClassData, method: str, changes: dict[str, Any]
) -> None:
    """Two networks of three steps each: same images, networks and transforms, one class at a time."""
    plan = recipe(method, **changes)
    run = Distillation(few, plan, ipc=2, seed=3)
    run.advance()
    start, choices, stored = run.stored["images"].clone(), [], []
    while not run.done:
        run.advance()
        choices.append(run.criterion.choice.clone())
        stored.append(run.stored["images"].clone())
    expected = reference.distil(few, plan, 3, start, choices)
    # The gradients agree to 1e-4; what the images moved is compared with what they moved.
    moved = float((expected - start).abs().max())
    assert moved > 1e-3
    assert float((stored[-1] - expected).abs().max()) < 2e-3 * moved
    first = reference.distil(few, plan, 3, start, choices[:1])
    assert float((stored[0] - first).abs().max()) < 1e-4 * float((first - start).abs().max())


@pytest.mark.parametrize(
    ("method", "changes"),
    [
        *((method, {}) for method in MATCHED),
        ("idc", {"synthetic_batch": 3}),
        ("dream", {"sampler": WeightedRepresentative(every=2)}),
    ],
    ids=str,
)
def test_chunks_of_classes_change_nothing(few: ClassData, method: str, changes: dict[str, Any]) -> None:
    whole = distill(few, recipe(method, **changes), ipc=2)
    run = Distillation(few, recipe(method, **changes), ipc=2, seed=0)
    run.criterion.classwise.at_once = 3
    finish(run)
    torch.testing.assert_close(run.stored["images"], whole.stored["images"], rtol=1e-4, atol=1e-4)


def test_a_choice_holds_for_some_steps_and_the_next_goes_on_through_the_permutation(few: ClassData) -> None:
    """IDC's released code: the real batches of a class run through a permutation of it; 3 of 4 hold all 12 images."""
    run = Distillation(few, recipe("idc", sampler=Random("permutation", every=2)), ipc=1, seed=0)
    choices = []
    while not run.done:
        run.advance()
        if run.matched:
            choices.append(run.criterion.choice.clone())
    assert all(one.equal(other) for one, other in zip(choices[::2], choices[1::2], strict=True))
    seen = torch.cat(choices[::2], dim=1).sort(dim=1).values
    assert seen.equal(torch.arange(12).expand(10, -1))


@dataclass(frozen=True)
class Shared(Random):
    """Random images; the later ones of a batch count more by ``skew``."""

    skew: float = 0.0

    def choose(self, view: View) -> Weighted:  # type: ignore[override]  # a sampler may say weights
        choice = super().choose(view)
        shares = 1 + self.skew * torch.arange(view.batch).expand(choice.shape)
        return Weighted(choice, shares / shares.sum(1, keepdim=True))


@pytest.mark.parametrize("method", ["dc", "dm"])
def test_equal_shares_are_those_of_a_plain_batch_and_others_are_not(few: ClassData, method: str) -> None:
    start = Distillation(few, recipe(method), ipc=2, seed=3)
    start.advance()
    plain, alike, skewed = (
        finish(Distillation(few, recipe(method, sampler=sampler), ipc=2, seed=3)).stored["images"]
        for sampler in (Random(), Shared(), Shared(skew=1.0))
    )
    moved = float((plain - start.stored["images"]).abs().max())
    assert float((plain - alike).abs().max()) < 1e-3 * moved
    assert float((plain - skewed).abs().max()) > 0.05 * moved


def test_shares_are_kept_with_the_choice_they_belong_to(few: ClassData) -> None:
    """Stopped between two choices and gone on from the state: the same bits."""
    plan = recipe("dream", sampler=WeightedRepresentative(every=2))
    whole = finish(Distillation(few, plan, ipc=1, seed=0))
    first = Distillation(few, plan, ipc=1, seed=0)
    first.advance()
    first.advance()  # a choice was made, and one more step is taken with it
    second = Distillation(few, plan, ipc=1, seed=0)
    second.restore(first.state())
    assert same(bits(finish(second)), bits(whole))


def test_a_matcher_without_means_refuses_shares(few: ClassData) -> None:
    run = Distillation(few, recipe("dm", sampler=Shared(), matcher=Kernel("rbf")), ipc=1, seed=0)
    run.advance()
    with pytest.raises(BadValue, match="Shared counts images by shares, and the matcher Kernel cannot"):
        run.advance()


def test_a_choice_is_kept_for_every_steps_of_the_sampler(few: ClassData) -> None:
    run = Distillation(few, recipe("dream"), ipc=1, seed=0)
    run.advance()
    choices = []
    while not run.done:
        run.advance()
        choices.append(run.criterion.choice.clone())
    assert [choices[n].equal(choices[n + 1]) for n in range(5)] == [True, False, True, False, True]


def test_the_sampler_sees_the_network_in_eval_mode_and_matching_in_train_mode(few: ClassData) -> None:
    modes: list[bool] = []

    @dataclass(frozen=True)
    class Watching(Random):
        def choose(self, view: Any) -> Tensor:
            modes.append(view.network.training)
            return super().choose(view)

    @dataclass(frozen=True)
    class Matching(Feature):
        def measure(self, network: Network, *rest: Any, **named: Any) -> list[Tensor]:
            modes.append(network.training)
            return super().measure(network, *rest, **named)

    run = Distillation(few, recipe("dm", sampler=Watching(), matcher=Matching()), ipc=1, seed=0)
    run.advance()
    run.advance()
    assert modes == [False, True, True]


def test_real_batches_run_through_permutations_of_their_class(few: ClassData) -> None:
    run = Distillation(few, recipe("idc", iterations=10), ipc=1, seed=5)
    run.advance()
    found = []
    while not run.done:
        run.advance()
        found.append(run.criterion.choice.tolist())
    sizes = few.sizes.tolist()
    assert found == reference.class_batches(sizes, 4, Streams(5), len(found))
    whole = min(sizes) // 4  # no image comes twice in a pass
    seen = [number for row in found[:whole] for number in row[0]]
    assert len(set(seen)) == len(seen) == 4 * whole


@pytest.mark.parametrize(("ipc", "count"), [(1, None), (3, 5)])
def test_a_step_looks_at_no_more_decoded_images_than_asked(
    few: ClassData, ipc: int, count: int | None
) -> None:
    shapes: list[tuple[int, ...]] = []

    @dataclass(frozen=True)
    class Counting(Feature):
        def measure(self, network: Network, images: Tensor, *rest: Any, **named: Any) -> list[Tensor]:
            shapes.append(tuple(images.shape[:2]))
            return super().measure(network, images, *rest, **named)

    run = Distillation(few, recipe("idc", matcher=Counting(), synthetic_batch=5), ipc=ipc, seed=0)
    run.advance()
    run.advance()
    assert shapes == [(10, 4), (10, count or 4 * ipc)]


def test_matching_brings_the_sets_closer(few: ClassData) -> None:
    run = distill(few, recipe("dm", iterations=40, image_lr=1.0, augment__strategy="none"), ipc=2)
    losses = [loss for _, loss in run.losses]
    assert sum(losses[-5:]) < 0.8 * sum(losses[:5])


# Failures


@dataclass(frozen=True)
class Tight(Gradient):
    """A matcher for which more than ``room`` classes at once do not fit."""

    room: int = 2

    def measure(self, network: Network, images: Tensor, labels: Tensor, differentiable: bool) -> list[Tensor]:
        if len(labels) > self.room:
            raise torch.OutOfMemoryError(f"{len(labels)} classes do not fit")
        return super().measure(network, images, labels, differentiable)


@pytest.mark.parametrize(
    ("method", "room"),
    [
        ("dc", 2),
        pytest.param("dsa", 2, marks=pytest.mark.nightly),
        pytest.param("idc", 2, marks=pytest.mark.nightly),
        ("idc", 1),
    ],
)
def test_a_full_device_is_tried_again_with_fewer_classes(few: ClassData, method: str, room: int) -> None:
    plan = recipe(method)
    fields = {"metric": plan.matching.matcher.metric, "layers": plan.matching.matcher.layers, "room": room}
    tight = distill(few, change(plan, "matcher", Tight(**fields)), ipc=2)
    assert tight.criterion.classwise.at_once == room
    chunked = Distillation(few, plan, ipc=2, seed=0)
    chunked.criterion.classwise.at_once = room
    assert same(bits(tight), bits(finish(chunked)))
    whole = distill(few, plan, ipc=2)
    torch.testing.assert_close(tight.stored["images"], whole.stored["images"], rtol=1e-4, atol=1e-4)


def test_a_device_too_small_for_one_class_is_an_error(few: ClassData) -> None:
    run = Distillation(few, recipe("dc", matcher=Tight(room=0)), ipc=1, seed=0)
    run.advance()
    with pytest.raises(OutOfMemory, match="too little memory to match one class of 4 real images") as caught:
        run.advance()
    assert isinstance(caught.value.__cause__, torch.OutOfMemoryError)


# Batch norm


BATCH_NORM = NetworkSpec(width=8, depth=2, norm="batch")


def test_joint_statistics_are_those_of_all_classes_together_real_and_synthetic_apart(few: ClassData) -> None:
    """As in DM's released code: one batch of all real images, one of all synthetic ones, split by class afterwards."""
    plan = recipe("dm", network=BATCH_NORM, augment__strategy="none", iterations=1, image_momentum=0.0)
    run = Distillation(few, plan, ipc=3, seed=0)
    run.advance()
    start = run.stored["images"].clone()
    run.advance()
    network = initialise(build(BATCH_NORM, few.shape, 10), Streams(0)["network"])
    images = start.clone().requires_grad_()
    real = network.features(few.take(run.criterion.choice).flatten(0, 1)).view(10, 4, -1).mean(1).detach()
    synthetic = network.features(images.flatten(0, 1)).view(10, 3, -1).mean(1)
    (gradient,) = torch.autograd.grad((real - synthetic).square().sum(), images)
    torch.testing.assert_close(run.stored["images"], start - plan.image_lr * gradient, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("method", ["dm", "dsa"])
def test_statistics_matter_for_batch_norm_and_for_nothing_else(few: ClassData, method: str) -> None:
    def sets(norm: str) -> list[Tensor]:
        return [
            distill(few, recipe(method, network__norm=norm, statistics=kind), ipc=2).stored["images"]
            for kind in ("joint", "frozen", "per class")
        ]

    joint, frozen, apart = sets("instance")
    assert frozen.equal(joint)
    torch.testing.assert_close(apart, joint, rtol=1e-4, atol=1e-4)
    joint, frozen, apart = sets("batch")
    for one, other in ((joint, frozen), (joint, apart), (frozen, apart)):
        assert float((one - other).abs().max()) > 1e-3


def test_frozen_statistics_are_those_of_real_images_at_every_step(few: ClassData) -> None:
    run = Distillation(few, recipe("dsa", network=BATCH_NORM, statistics="frozen"), ipc=1, seed=0)
    run.advance()
    while not run.done:
        run.network.train()
        run.criterion.freeze_statistics()
        first = run.network.body[0]
        index = few.draw(12, Streams(0)["any"])  # all twelve images of a class, in whatever order
        with torch.no_grad():
            maps = first[0](few.take(index).flatten(0, 1))
        torch.testing.assert_close(first[1].running_mean, maps.mean((0, 2, 3)), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(first[1].running_var, maps.var((0, 2, 3)), rtol=1e-4, atol=1e-5)
        assert not first[1].training
        assert first[1].momentum == 0.1
        run.advance()


def test_a_full_device_is_no_reason_for_other_statistics(few: ClassData) -> None:
    tight = recipe("dsa", matcher=Tight(room=2), network=BATCH_NORM)
    run = Distillation(few, tight, ipc=1, seed=0)
    run.advance()
    with pytest.raises(OutOfMemory, match="all classes at once, as batch norm needs it"):
        run.advance()
    frozen = change(tight, "statistics", "frozen")
    chunked = distill(few, frozen, ipc=1)
    whole = distill(few, change(frozen, "matcher", Gradient()), ipc=1)
    assert chunked.criterion.classwise.at_once == 2
    torch.testing.assert_close(chunked.stored["images"], whole.stored["images"], rtol=1e-4, atol=1e-4)


def test_unknown_statistics_are_an_error(few: ClassData) -> None:
    with pytest.raises(UnknownName, match="batch-norm statistics 'each'; valid: joint, frozen, per class"):
        Distillation(few, recipe("dm", statistics="each"), ipc=1, seed=0)
