"""The loop: the same set for a seed, and honest when it fails."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from runs import bits, finish, same
from tiny import recipe

from dreamlib.containers import MultiFormation
from dreamlib.core.errors import BadValue, Diverged
from dreamlib.data import ClassData
from dreamlib.distillation.loop import SNAPSHOTS, Distillation, distill, snapshot_steps
from dreamlib.distillation.recipe import Recipe
from dreamlib.samplers import Random, Representative
from dreamlib.teachers import Untaught

pytestmark = pytest.mark.trains

MATCHED = ["dm", "dc", "dsa", "idc", "idc-dm", "dream", "dc+dream", "dm+dream"]
SELECTED = ["random", "herding", "k-center", "forgetting"]


# Repeatable, and resumable at every step


@pytest.mark.parametrize("method", MATCHED + SELECTED)
def test_a_seed_is_a_set(few: ClassData, method: str) -> None:
    before = torch.get_rng_state()
    one, again, other = (distill(few, recipe(method), ipc=1, seed=seed) for seed in (0, 0, 1))
    assert same(bits(one), bits(again))
    assert one.losses == again.losses
    assert not one.stored["images"].equal(other.stored["images"])
    assert before.equal(torch.get_rng_state())


def test_time_spent_is_kept_by_a_checkpoint(few: ClassData) -> None:
    run = distill(few, recipe("dream"), ipc=1)
    assert all(run.seconds[phase] > 0 for phase in ("select", "clustering", "matching", "network"))
    other = Distillation(few, recipe("dream"), ipc=1, seed=0)
    other.restore(run.state())
    assert other.seconds == run.seconds
    assert other.done


def test_a_teacher_is_asked_before_and_told_after_every_step(few: ClassData) -> None:
    run = Distillation(few, recipe("dc"), ipc=1, seed=0)
    told, before, after = [], run.teaching.next, run.teaching.after
    run.teaching.next = lambda step: told.append(("next", step)) or before(step)
    run.teaching.after = lambda step, stored: told.append(("after", step)) or after(step, stored)
    finish(run)
    assert told == [(place, step) for step in range(6) for place in ("next", "after")]


# Snapshots and losses


@pytest.mark.parametrize("steps", [0, 1, 2, 6, 100, 20000])
def test_snapshots_lie_between_the_start_and_the_end(steps: int) -> None:
    at = snapshot_steps(steps)
    assert at[0] == 0
    assert at[-1] == steps
    assert list(at) == sorted(set(at))
    if steps >= 100:
        assert [step / steps for step in at] == list(SNAPSHOTS)


def test_snapshots_are_the_sets_of_their_steps(few: ClassData) -> None:
    run = Distillation(few, recipe("dc", iterations=4), ipc=1, seed=0)
    seen = {}
    while not run.done:
        run.advance()
        seen[run.matched] = run.stored["images"].clone()
    assert tuple(run.snapshots) == snapshot_steps(12)
    assert all(snapshot["images"].equal(seen[step]) for step, snapshot in run.snapshots.items())


def test_a_short_run_notes_every_loss_and_a_long_one_a_hundred(few: ClassData) -> None:
    short = distill(few, recipe("dc"), ipc=1)
    assert [step for step, _ in short.losses] == [1, 2, 3, 4, 5, 6]
    long = Distillation(few, recipe("dm", iterations=301), ipc=1, seed=0)
    for long.matched in range(1, 302):
        long._record_loss(torch.tensor(float(long.matched)))
    assert [step for step, _ in long.losses] == [*range(3, 301, 3), 301]
    assert all(step == loss for step, loss in long.losses)


# Containers


def test_unit_images_are_clamped_when_a_network_is_drawn_and_only_then(few: ClassData) -> None:
    run = Distillation(few, recipe("idc", image_lr=0.0), ipc=1, seed=0)
    run.advance()
    ranges = []
    while not run.done:
        run.stored["images"].add_(torch.linspace(-2, 2, 64).view(8, 8))
        run.advance()
        ranges.append((float(run.stored["images"].min()), float(run.stored["images"].max())))
    clamped = [low >= 0 and high <= 1 for low, high in ranges]
    assert clamped == [True, False, False] * 2


def test_normalised_images_are_never_clamped(few: ClassData) -> None:
    run = Distillation(few, recipe("dc", image_lr=0.0), ipc=1, seed=0)
    run.advance()
    run.stored["images"].add_(100)
    kept = run.stored["images"].clone()
    assert finish(run).stored["images"].equal(kept)


# Failures


def test_a_loss_that_is_no_number_stops_the_run(few: ClassData) -> None:
    run = Distillation(few, recipe("dm", image_lr=1e30, augment__strategy="none"), ipc=1, seed=0)
    with pytest.raises(Diverged, match=r"the loss became (nan|inf) at step [1-4] of 4") as caught:
        finish(run)
    assert caught.value.hint == "lower image_lr (now 1e+30)"


@pytest.mark.parametrize(
    ("plan", "ipc", "message"),
    [
        (lambda: recipe("dm"), 0, "IPC is 0; expected at least 1"),
        (lambda: recipe("dm"), -2, "IPC is -2"),
        (
            lambda: recipe("dm"),
            13,
            "IPC 13 needs 13 real images of each class.*smallest class of digits has 12",
        ),
        (lambda: recipe("idc"), 4, "IPC 4 needs 16 real images"),
        (
            lambda: recipe("dm", real_batch=13),
            1,
            r"real_batch 13 exceeds the smallest class of digits \(12 images\)",
        ),
        (lambda: recipe("dm", real_batch=0), 1, "real_batch is 0; expected at least 1"),
        (lambda: recipe("dm", iterations=-1), 1, "iterations is -1"),
        (lambda: recipe("dm", image_lr=float("nan")), 1, "image_lr is nan"),
        (lambda: recipe("dm", teacher__steps=0), 1, "teacher: steps is 0"),
        (lambda: recipe("idc", teacher__batch=0), 1, "teacher: batch is 0; expected at least 1"),
        (lambda: recipe("idc", teacher__images=0), 1, "teacher: images is 0; expected at least 1"),
        (lambda: recipe("dm", sampler=Random(every=0)), 1, "sampler.every is 0"),
        (lambda: recipe("dm", sampler=Representative(each=0)), 1, "sampler: each is 0; expected at least 1"),
        (lambda: recipe("dd", teacher=Untaught()), 1, "no teacher gives a network to train"),
        (lambda: recipe("idc", container=MultiFormation(3)), 1, "factor 3 does not divide an image of 8 x 8"),
    ],
)
def test_what_cannot_work_is_refused_at_once(
    few: ClassData, plan: Callable[[], Recipe], ipc: int, message: str
) -> None:
    with pytest.raises(BadValue, match=message):
        Distillation(few, plan(), ipc, seed=0)
