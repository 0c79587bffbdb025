"""Experts: snapshots of training on real images, and targets that students can reach."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from runs import finish
from torch import Tensor

from dreamlib.augment import Siamese
from dreamlib.containers import Paced, Trajectories
from dreamlib.core.errors import BadValue, Diverged
from dreamlib.core.streams import Streams
from dreamlib.criteria import Learning, Trajectory
from dreamlib.criteria.trajectory import match_trajectory
from dreamlib.criteria.unrolled import forward_of
from dreamlib.data import ClassData
from dreamlib.data import load as load_data
from dreamlib.distillation.loop import Distillation
from dreamlib.distillation.recipe import Recipe
from dreamlib.networks import NetworkSpec, build
from dreamlib.networks.training import SGD, Stack
from dreamlib.teachers import Experts, StoredExperts
from dreamlib.teachers.experts import Segments, segment

SPEC = NetworkSpec(width=8, depth=2)
PLAIN = replace(Experts().training, epochs=3, batch=50, augment=Siamese("none"))
FEW = Experts(count=2, training=PLAIN)


def student(experts: Experts = FEW, **more: Any) -> Recipe:
    """A recipe whose first stage is the experts'."""
    teacher = StoredExperts(experts, latest=2, ahead=1)
    return replace(
        Recipe(container=Paced(), criterion=Trajectory(3), teacher=teacher, network=SPEC, iterations=4),
        **more,
    )


def begun(data: ClassData, experts: Experts = FEW, seed: int = 0, **more: Any) -> Distillation:
    first = student(experts, **more).first
    assert first is not None
    return Distillation(data, first, 1, seed)


def trained(data: ClassData, experts: Experts = FEW, **more: Any) -> Mapping[str, Tensor]:
    run = finish(begun(data, experts, **more))
    return run.snapshots[run.mark]


def weights(kept: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: value for name, value in kept.items() if not name.startswith("beside.")}


def test_the_defaults_are_those_of_the_released_code() -> None:
    how = Experts()
    assert how.count == 100
    assert how.training == SGD(
        epochs=50,
        batch=256,
        lr=0.01,
        momentum=0.0,
        weight_decay=0.0,
        decay_at=(),
        augment=Siamese("color_crop_cutout_flip_scale_rotate"),
    )


def test_there_is_a_snapshot_before_the_first_epoch_and_after_each(few: ClassData) -> None:
    run = begun(few)
    first = Stack(SPEC, few.shape, 10, 2, Streams(0)["weights"]).tensors
    kept = [first]
    assert run.loops == 9  # 120 images in batches of 50, three times
    while not run.done:
        run.advance()
        if run.matched % 3 == 0:
            tensors = run.criterion.training.stack.tensors  # type: ignore[union-attr]  # of a run that trains experts
            kept.append({name: value.clone() for name, value in tensors.items()})
    assert list(run.snapshots) == [3]
    for name, value in weights(run.snapshots[3]).items():
        assert value.shape == (2, 4, *first[name].shape[1:])
        assert torch.equal(value[:, 0], first[name])
        assert torch.equal(value, torch.stack([each[name] for each in kept], 1))


def test_experts_differ_and_learn(data: ClassData) -> None:
    found = weights(trained(data, replace(FEW, training=replace(PLAIN, lr=0.1))))
    network, images, labels = build(SPEC, data.shape, 10), *data.at(torch.arange(data.total))
    for expert in range(2):
        losses = []
        for epoch in range(4):
            network.load_state_dict({name: value[expert, epoch] for name, value in found.items()})
            with torch.no_grad():
                losses.append(float(F.cross_entropy(network(images), labels)))
        assert losses == sorted(losses, reverse=True)
        assert losses[-1] < 0.6 * losses[0]
    weight = found["classifier.weight"]
    assert not torch.allclose(weight[0], weight[1])


def test_a_student_on_the_real_images_follows_an_expert(few: ClassData) -> None:
    """An epoch of one batch is one step; two epochs are two, at the expert's rate: there the distance is 0."""
    found = weights(trained(few, replace(FEW, training=replace(PLAIN, batch=few.total, lr=0.05))))
    images, labels = few.at(torch.arange(few.total))
    learned = {"images": images, "targets": F.one_hot(labels, 10).float()}
    start, target = segment(found, expert=1, epoch=1, ahead=2)
    forward = forward_of(build(SPEC, few.shape, 10))
    losses = [
        float(
            match_trajectory(
                forward,
                start,
                target,
                learned,
                lambda given, k: (given["images"], given["targets"]),
                torch.tensor(rate),
                steps=2,
            ).loss
        )
        for rate in (0.05, 0.025, 0.0)
    ]
    assert losses[0] == pytest.approx(0, abs=1e-8)
    assert losses[1] == pytest.approx(0.25, abs=0.05)  # half of a way that is nearly straight
    assert losses[2] == pytest.approx(1)


def test_weights_that_are_not_finite_end_training_with_what_was_before(few: ClassData) -> None:
    wild = replace(FEW, training=replace(PLAIN, lr=1e20))
    run = begun(few, wild, network=replace(SPEC, norm="none"))
    with pytest.raises(Diverged, match=r"became nan|not finite after"):
        finish(run)
    assert all(bool(value.isfinite().all()) for value in run.stored.values())


def test_experts_are_those_of_all_budgets_and_variants(few: ClassData) -> None:
    """What a student does changes nothing of its experts; what they see does."""
    first = student().first
    other = student(
        container=Paced(rate=0.5), image_lr=7.0, iterations=9, criterion=Trajectory(5, exact=False)
    )
    assert other.first == first
    assert student(whitening="kornia").first != first
    assert student(network=replace(SPEC, width=4)).first != first
    assert Distillation(few, first, 1, 0).stored.keys() == Distillation(few, first, 10, 0).stored.keys()  # type: ignore[arg-type]  # MTT has a first stage


def segments(
    data: ClassData, latest: int, count: int = 3, start: Mapping[str, Tensor] | None = None
) -> Segments:
    experts = replace(FEW, count=count)
    run = student(experts, teacher=StoredExperts(experts, latest, 1))
    given = trained(data, experts) if start is None else start
    teaching = Distillation(data, run, 1, 0, start=given).teaching
    assert isinstance(teaching, Segments)
    return teaching


def test_students_start_at_any_epoch_before_the_latest_under_all_experts_in_turn(few: ClassData) -> None:
    kept = trained(few, replace(FEW, count=3))
    teaching, first = segments(few, latest=2, start=kept), kept["classifier.weight"]
    seen = []
    for step in range(60):
        assert teaching.next(step)
        at = [
            (expert, epoch)
            for expert in range(3)
            for epoch in range(3)
            if teaching.start["classifier.weight"].equal(first[expert, epoch])
        ]
        ((expert, epoch),) = at
        assert teaching.target["classifier.weight"].equal(first[expert, epoch + 1])
        seen.append((expert, epoch))
    assert {epoch for _, epoch in seen} == {0, 1}  # T+ = 2
    for turn in range(0, 60, 3):
        assert sorted(expert for expert, _ in seen[turn : turn + 3]) == [0, 1, 2]
    assert len({tuple(expert for expert, _ in seen[turn : turn + 3]) for turn in range(0, 60, 3)}) > 1
    # Nothing of it has to be kept: a step has the same segment whenever it is asked for.
    again = segments(few, latest=2, start=kept)
    again.next(17)
    expert, epoch = seen[17]
    assert again.start["classifier.weight"].equal(first[expert, epoch])


@pytest.mark.parametrize(
    ("experts", "epochs", "message"),
    [
        (
            {"latest": 4, "ahead": 1},
            3,
            r"0 to 4 - 1 epochs, with a target 1 later, and experts trained for 3",
        ),
        ({"latest": 0, "ahead": 1}, 3, "expected at least 1"),
        ({"latest": 1, "ahead": 0}, 3, "expected at least 1"),
    ],
)
def test_targets_that_experts_do_not_reach_are_named(
    experts: dict[str, int], epochs: int, message: str
) -> None:
    with pytest.raises(BadValue, match=message):
        StoredExperts(replace(FEW, training=replace(PLAIN, epochs=epochs)), **experts).check()


def test_experts_of_other_data_are_refused(few: ClassData) -> None:
    kept = trained(few)
    Distillation(few, student(), 1, 0, start=kept)
    others = ClassData(load_data("digits@holdout"), per_class=12)
    with pytest.raises(BadValue, match="trained on other images than those of 'digits@holdout'"):
        Distillation(others, student(), 1, 0, start=kept)
    with pytest.raises(BadValue, match="normalised otherwise than by 'kornia whitening'"):
        Distillation(few, student(whitening="kornia"), 1, 0, start=kept)
    with pytest.raises(BadValue, match="experts have 10 weights of other names or shapes"):
        Distillation(few, student(network=replace(SPEC, width=4)), 1, 0, start=kept)
    with pytest.raises(BadValue, match="taught by experts, and none are given"):
        Distillation(few, student(), 1, 0)


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        (student(network=replace(SPEC, norm="batch")), "batch norm keep running statistics"),
        (student(replace(FEW, count=0)), "0 experts of 3 epochs; expected at least one"),
        (
            student(replace(FEW, training=replace(PLAIN, batch=0))),
            "3 epochs from batches of 0; expected at least 1",
        ),
    ],
)
def test_experts_that_cannot_be_are_named(few: ClassData, recipe: Recipe, message: str) -> None:
    assert recipe.first is not None
    with pytest.raises(BadValue, match=message):
        Distillation(few, recipe.first, 1, 0)


def test_experts_are_kept_where_they_learn(few: ClassData) -> None:
    for recipe in (
        Recipe(container=Trajectories(SPEC, 2, 4), criterion=Learning(PLAIN)),
        Recipe(container=Paced(), criterion=Learning(PLAIN)),
    ):
        with pytest.raises(BadValue, match="experts learn for 3 epochs and are kept in"):
            recipe.check()
    made = Trajectories(SPEC)
    with pytest.raises(BadValue, match="experts are weights, and no images"):
        made.training_set({}, few.shape, 10, few.normalisation)


def test_a_segment_begins_at_one_snapshot_and_ends_at_another() -> None:
    experts = {"w": torch.randn(3, 6, 2, 2), "b": torch.randn(3, 6, 2)}
    start, target = segment(experts, expert=2, epoch=1, ahead=3)
    for name, value in experts.items():
        assert start[name].equal(value[2, 1])
        assert target[name].equal(value[2, 4])
    segment(experts, expert=0, epoch=2, ahead=3)


@pytest.mark.parametrize(
    ("expert", "epoch", "ahead"), [(0, 3, 3), (3, 0, 1), (0, -1, 2), (0, 2, 0), (-1, 0, 1)]
)
def test_a_segment_beyond_the_experts_is_named(expert: int, epoch: int, ahead: int) -> None:
    with pytest.raises(
        BadValue, match=rf"expert {expert} from epoch {epoch} .* 3 experts trained for 5 epochs"
    ):
        segment({"w": torch.zeros(3, 6, 2)}, expert, epoch, ahead)
