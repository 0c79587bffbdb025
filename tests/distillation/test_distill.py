"""The distillation loop: against the plain loop, resumable at every step, and honest when it fails."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
import reference
import torch
from safetensors.torch import load, save
from tiny import recipe
from torch import Tensor

from dreamlib.containers import MultiFormation
from dreamlib.core.errors import BadValue, Diverged, OutOfMemory, UnknownName
from dreamlib.core.streams import Streams
from dreamlib.coresets import Noise
from dreamlib.data import ClassData
from dreamlib.distillation.loop import SNAPSHOTS, Distillation, distill, snapshot_steps
from dreamlib.distillation.recipe import Recipe
from dreamlib.matchers import Feature, Gradient
from dreamlib.networks import Network, NetworkSpec, build, initialise
from dreamlib.samplers import Random, Representative

MATCHED = ["dm", "dc", "dsa", "idc", "idc-dm", "dream", "dc+dream", "dm+dream"]
SELECTED = ["random", "herding", "k-center", "forgetting"]


def bits(run: Distillation) -> dict[str, Tensor]:
    """Everything a run knows, but for how long it took."""
    return {name: value.clone() for name, value in run.state().items() if not name.startswith("seconds.")}


def finish(run: Distillation) -> Distillation:
    while not run.done:
        run.advance()
    return run


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(value.equal(other[name]) for name, value in one.items())


# What a step computes


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
        choices.append(run.choice.clone())
        stored.append(run.stored["images"].clone())
    expected = reference.distil(few, plan, 3, start, choices)
    # The gradients agree to 1e-4; what the images moved is compared with what they moved.
    moved = float((expected - start).abs().max())
    assert moved > 1e-3
    assert float((stored[-1] - expected).abs().max()) < 2e-3 * moved
    first = reference.distil(few, plan, 3, start, choices[:1])
    assert float((stored[0] - first).abs().max()) < 1e-4 * float((first - start).abs().max())


@pytest.mark.parametrize(
    ("method", "changes"), [*((method, {}) for method in MATCHED), ("idc", {"synthetic_batch": 3})], ids=str
)
def test_chunks_of_classes_change_nothing(few: ClassData, method: str, changes: dict[str, Any]) -> None:
    whole = distill(few, recipe(method, **changes), ipc=2)
    run = Distillation(few, recipe(method, **changes), ipc=2, seed=0)
    run.classes_at_once = 3
    finish(run)
    torch.testing.assert_close(run.stored["images"], whole.stored["images"], rtol=1e-4, atol=1e-4)


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
        assert run.choice.equal(
            Representative(every=2).choose(replace_view(run, network.eval(), Streams(4)["sampler"]))
        )


def replace_view(run: Distillation, network: Network, source: torch.Generator) -> Any:
    from dreamlib.samplers import View

    return View(run.data, network, run.recipe.matching.real_batch, source, space=run.container.space)


def weights(run: Distillation) -> list[Tensor]:
    return [weight.clone() for weight in run.network.parameters()]


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


def test_a_choice_is_kept_for_every_steps_of_the_sampler(few: ClassData) -> None:
    run = Distillation(few, recipe("dream"), ipc=1, seed=0)
    run.advance()
    choices = []
    while not run.done:
        run.advance()
        choices.append(run.choice.clone())
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


# Repeatable, and resumable at every step


@pytest.mark.parametrize("method", MATCHED + SELECTED)
def test_a_seed_is_a_set(few: ClassData, method: str) -> None:
    before = torch.get_rng_state()
    one, again, other = (distill(few, recipe(method), ipc=1, seed=seed) for seed in (0, 0, 1))
    assert same(bits(one), bits(again))
    assert one.losses == again.losses
    assert not one.stored["images"].equal(other.stored["images"])
    assert before.equal(torch.get_rng_state())


def test_methods_with_one_seed_start_alike_and_see_the_same_networks(few: ClassData) -> None:
    dm, dsa = (Distillation(few, recipe(method), ipc=2, seed=0) for method in ("dm", "dsa"))
    for run in (dm, dsa):
        run.advance()
    assert dm.stored["images"].equal(dsa.stored["images"])
    for run in (dm, dsa):
        run._new_network()
    assert all(a.equal(b) for a, b in zip(weights(dm), weights(dsa), strict=True))


@pytest.mark.parametrize("norm", ["instance", "batch"])
@pytest.mark.parametrize("method", ["dc", "dsa", "dm", "idc", "dream", "herding", "forgetting"])
def test_a_run_goes_on_bit_for_bit_from_every_step(few: ClassData, method: str, norm: str) -> None:
    network = NetworkSpec(width=8, depth=2, norm=norm)
    plan = (
        recipe(method, network=network, synthetic_batch=3)
        if method == "dream"
        else recipe(method, network=network)
    )
    whole = Distillation(few, plan, ipc=1, seed=5)
    states = []
    while True:
        states.append(save({name: value.contiguous() for name, value in whole.state().items()}))
        if whole.done:
            break
        whole.advance()
    assert len(states) == whole.steps + 1 == whole.step + 1
    for step, state in enumerate(states):
        rest = Distillation(few, plan, ipc=1, seed=5)
        rest.restore(load(state))
        assert rest.step == step
        assert same(bits(finish(rest)), bits(whole))
        assert rest.losses == whole.losses


@pytest.mark.parametrize("method", ["dc", "forgetting"])
def test_going_on_leaves_the_saved_state_alone(few: ClassData, method: str) -> None:
    """A checkpoint in memory can be gone on from twice."""
    run = Distillation(few, recipe(method), ipc=1, seed=0)
    run.advance()
    run.advance()
    state = run.state()
    kept = {name: value.clone() for name, value in state.items()}
    other = Distillation(few, recipe(method), ipc=1, seed=0)
    other.restore(state)
    other.advance()
    assert same(state, kept)


def test_time_spent_is_kept_by_a_checkpoint(few: ClassData) -> None:
    run = distill(few, recipe("dream"), ipc=1)
    assert all(run.seconds[phase] > 0 for phase in ("select", "clustering", "matching", "network"))
    other = Distillation(few, recipe("dream"), ipc=1, seed=0)
    other.restore(run.state())
    assert other.seconds == run.seconds
    assert other.done


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
        long._note(torch.tensor(float(long.matched)))
    assert [step for step, _ in long.losses] == [*range(3, 301, 3), 301]
    assert all(step == loss for step, loss in long.losses)


def test_matching_brings_the_sets_closer(few: ClassData) -> None:
    run = distill(few, recipe("dm", iterations=40, image_lr=1.0, augment__strategy="none"), ipc=2)
    losses = [loss for _, loss in run.losses]
    assert sum(losses[-5:]) < 0.8 * sum(losses[:5])


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


def test_real_batches_run_through_permutations_of_their_class(few: ClassData) -> None:
    run = Distillation(few, recipe("idc", iterations=10), ipc=1, seed=5)
    run.advance()
    found = []
    while not run.done:
        run.advance()
        found.append(run.choice.tolist())
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


# Failures


@dataclass(frozen=True)
class Tight(Gradient):
    """A matcher for which more than ``room`` classes at once do not fit."""

    room: int = 2

    def measure(self, network: Network, images: Tensor, labels: Tensor, differentiable: bool) -> list[Tensor]:
        if len(labels) > self.room:
            raise torch.OutOfMemoryError(f"{len(labels)} classes do not fit")
        return super().measure(network, images, labels, differentiable)


@pytest.mark.parametrize(("method", "room"), [("dc", 2), ("dsa", 2), ("idc", 2), ("idc", 1)])
def test_a_full_device_is_tried_again_with_fewer_classes(few: ClassData, method: str, room: int) -> None:
    plan = recipe(method)
    fields = {"metric": plan.matching.matcher.metric, "layers": plan.matching.matcher.layers, "room": room}
    tight = distill(few, replace(plan, matcher=Tight(**fields)), ipc=2)
    assert tight.classes_at_once == room
    chunked = Distillation(few, plan, ipc=2, seed=0)
    chunked.classes_at_once = room
    assert same(bits(tight), bits(finish(chunked)))
    whole = distill(few, plan, ipc=2)
    torch.testing.assert_close(tight.stored["images"], whole.stored["images"], rtol=1e-4, atol=1e-4)


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
    real = network.features(few.take(run.choice).flatten(0, 1)).view(10, 4, -1).mean(1).detach()
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
        run._freeze_statistics()
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
    chunked = distill(few, replace(tight, statistics="frozen"), ipc=1)
    whole = distill(few, replace(tight, statistics="frozen", matcher=Gradient()), ipc=1)
    assert chunked.classes_at_once == 2
    torch.testing.assert_close(chunked.stored["images"], whole.stored["images"], rtol=1e-4, atol=1e-4)


def test_unknown_statistics_are_an_error(few: ClassData) -> None:
    with pytest.raises(UnknownName, match="batch-norm statistics 'each'; valid: joint, frozen, per class"):
        Distillation(few, recipe("dm", statistics="each"), ipc=1, seed=0)


def test_a_device_too_small_for_one_class_is_an_error(few: ClassData) -> None:
    run = Distillation(few, recipe("dc", matcher=Tight(room=0)), ipc=1, seed=0)
    run.advance()
    with pytest.raises(OutOfMemory, match="too little memory to match one class of 4 real images") as caught:
        run.advance()
    assert isinstance(caught.value.__cause__, torch.OutOfMemoryError)


def test_a_loss_that_is_no_number_stops_the_run(few: ClassData) -> None:
    run = Distillation(few, recipe("dm", image_lr=1e30, augment__strategy="none"), ipc=1, seed=0)
    with pytest.raises(Diverged, match=r"the matching loss became (nan|inf) at step [1-4] of 4") as caught:
        finish(run)
    assert caught.value.hint == "lower image_lr (now 1e+30)"


def test_a_diverged_embedding_stops_the_run(few: ClassData) -> None:
    run = Distillation(few, recipe("herding", embedding__lr=1e30), ipc=1, seed=0)
    with pytest.raises(Diverged, match="training diverged"):
        finish(run)


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
        (lambda: recipe("dm", teacher__steps=0), 1, "teacher.steps is 0"),
        (lambda: recipe("dm", sampler=Random(every=0)), 1, "sampler.every is 0"),
        (lambda: recipe("idc", container=MultiFormation(3)), 1, "factor 3 does not divide an image of 8 x 8"),
    ],
)
def test_what_cannot_work_is_refused_at_once(
    few: ClassData, plan: Callable[[], Recipe], ipc: int, message: str
) -> None:
    with pytest.raises(BadValue, match=message):
        Distillation(few, plan(), ipc, seed=0)


def test_a_coreset_may_have_fewer_images_than_the_real_batch(few: ClassData) -> None:
    run = distill(few, recipe("random", real_batch=256), ipc=12)
    assert run.step == run.steps == 1
    assert run.snapshots.keys() == {0}


def test_unknown_training_data_is_an_error(few: ClassData) -> None:
    with pytest.raises(
        UnknownName, match="unknown choice of training data 'both'; valid: nothing, synthetic, real"
    ):
        Distillation(few, recipe("dc", teacher__trained_on="both"), 1, 0)


def test_noise_needs_no_real_image(few: ClassData) -> None:
    run = Distillation(few, recipe("dc", initial=Noise()), ipc=2, seed=0)
    run.advance()
    expected = torch.randn(10, 2, 1, 8, 8, generator=Streams(0)["initial"])
    assert run.stored["images"].equal(expected)
