"""Experts: snapshots of training on real images, and targets that students can reach."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from dreamlib.augment import Siamese
from dreamlib.core.errors import BadValue, Diverged
from dreamlib.core.streams import Streams
from dreamlib.criteria.trajectory import match_trajectory, segment
from dreamlib.criteria.unrolled import forward_of
from dreamlib.data import ClassData
from dreamlib.networks import NetworkSpec, build
from dreamlib.networks.training import SGD, Stack
from dreamlib.teachers.experts import Experts, ExpertTraining

SPEC = NetworkSpec(width=8, depth=2)
PLAIN = replace(Experts().training, epochs=3, batch=50, augment=Siamese("none"))
FEW = Experts(count=2, training=PLAIN)


def finish(run: ExpertTraining) -> ExpertTraining:
    while not run.done:
        run.advance()
    return run


def trained(data: ClassData, experts: Experts = FEW) -> ExpertTraining:
    return finish(ExpertTraining(data, SPEC, experts, Streams(0)))


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
    run = ExpertTraining(few, SPEC, FEW, Streams(0))
    first = Stack(SPEC, few.shape, 10, 2, Streams(0)["experts"]).tensors
    kept = [{name: value.clone() for name, value in run.training.stack.tensors.items()}]
    assert run.training.per_epoch == 3  # 120 images in batches of 50
    while not run.done:
        run.advance()
        if run.step % 3 == 0:
            kept.append({name: value.clone() for name, value in run.training.stack.tensors.items()})
    for name, value in run.trajectories.items():
        assert value.shape == (2, 4, *first[name].shape[1:])
        assert torch.equal(value[:, 0], first[name])
        assert torch.equal(value, torch.stack([weights[name] for weights in kept], 1))


def test_experts_differ_and_learn(data: ClassData) -> None:
    run = trained(data, replace(FEW, training=replace(PLAIN, lr=0.1)))
    network, images, labels = build(SPEC, data.shape, 10), *data.at(torch.arange(data.total))
    for expert in range(2):
        losses = []
        for epoch in range(4):
            network.load_state_dict({name: value[expert, epoch] for name, value in run.trajectories.items()})
            with torch.no_grad():
                losses.append(float(F.cross_entropy(network(images), labels)))
        assert losses == sorted(losses, reverse=True)
        assert losses[-1] < 0.6 * losses[0]
    weight = run.trajectories["classifier.weight"]
    assert not torch.allclose(weight[0], weight[1])


def test_a_student_on_the_real_images_follows_an_expert(few: ClassData) -> None:
    """An epoch of one batch is one step; two epochs are two, at the expert's rate: there the distance is 0."""
    run = trained(few, replace(FEW, training=replace(PLAIN, batch=few.total, lr=0.05)))
    images, labels = few.at(torch.arange(few.total))
    learned = {"images": images, "targets": F.one_hot(labels, 10).float()}
    start, target = segment(run.trajectories, expert=1, epoch=1, ahead=2)
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
    wild = replace(FEW, training=replace(PLAIN, lr=1e6))
    run = ExpertTraining(few, replace(SPEC, norm="none"), wild, Streams(0))
    with pytest.raises(Diverged, match="weights are not finite after step"):
        finish(run)
    assert all(bool(value.isfinite().all()) for value in run.trajectories.values())


def test_running_statistics_are_refused(few: ClassData) -> None:
    with pytest.raises(BadValue, match="batch norm keep running statistics"):
        ExpertTraining(few, replace(SPEC, norm="batch"), FEW, Streams(0))


def test_there_is_at_least_one_expert(few: ClassData) -> None:
    with pytest.raises(BadValue, match="0 networks to train; expected at least 1"):
        ExpertTraining(few, SPEC, replace(FEW, count=0), Streams(0))
