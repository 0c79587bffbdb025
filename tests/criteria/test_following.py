"""Students that follow experts: MTT in the loop, from its experts to a set with a rate of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
import reference
import torch
from runs import finish, same
from tiny import changed, following
from torch import Tensor

from dreamlib.augment import Siamese
from dreamlib.containers import SGD, Images, Paced, Pixels
from dreamlib.core.errors import BadValue, Diverged
from dreamlib.criteria import Trajectory
from dreamlib.data import ClassData, Dataset
from dreamlib.distillation.evaluate import Evaluation, EvaluationRun
from dreamlib.distillation.loop import Distillation, distill
from dreamlib.networks import training

MTT = following(iterations=8, augment=Siamese("crop_scale"), container__rate_by=SGD(1e-5, 0.5))


@pytest.fixture(scope="module")
def experts(few: ClassData) -> Mapping[str, Tensor]:
    assert MTT.first is not None
    run = finish(Distillation(few, MTT.first, 1, 0))
    return run.snapshots[run.mark]


def begun(data: ClassData, start: Mapping[str, Tensor], ipc: int = 2, **more: Any) -> Distillation:
    """The recipe above with other fields, its criterion's among them."""
    return Distillation(data, changed(MTT, more), ipc, 0, start=start)


@pytest.mark.trains
@pytest.mark.parametrize("exact", [False, True])
def test_students_come_nearer_and_images_and_rate_have_moved(
    few: ClassData, experts: Mapping[str, Tensor], exact: bool
) -> None:
    run = begun(few, experts, exact=exact, iterations=60)
    run.advance()
    begins = {name: value.clone() for name, value in run.stored.items()}
    finish(run)
    losses = [loss for _, loss in run.losses]
    assert sum(losses[-10:]) < 0.9 * sum(losses[:10])
    assert losses[0] < 1  # a student that learns anything is nearer than one that stays
    assert float((run.stored["images"] - begins["images"]).abs().max()) > 1e-3
    assert float(run.stored["rate"]) != pytest.approx(0.01, abs=1e-6)


def test_a_step_is_what_its_function_finds(
    few: ClassData, experts: Mapping[str, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    """SGD with momentum 0.5 at rates of their own: after one step, x - lr g."""
    run = begun(few, experts, iterations=2)
    run.advance()
    before = {name: value.clone() for name, value in run.stored.items()}
    found: list[Any] = []
    assert run.criterion is not None
    gradients = run.criterion.gradients

    def noted(*given: Any) -> Any:
        found.append(gradients(*given))
        return found[-1]

    monkeypatch.setattr(run.criterion, "gradients", noted)
    run.advance()
    run.advance()
    first, second = (pull.gradients for pull in found)
    for name, rate in (("images", 10.0), ("rate", 1e-5)):
        moved = before[name] - rate * first[name] - rate * (0.5 * first[name] + second[name])
        torch.testing.assert_close(run.stored[name], moved)


def test_a_step_is_backpropagation_through_all_of_the_student(
    few: ClassData, experts: Mapping[str, Tensor]
) -> None:
    run = begun(few, experts)
    run.advance()
    descent: Any = run.criterion
    descent.teaching.next(0)
    lessons = descent._drawn()
    descent._drawn = lambda: lessons
    found = descent.gradients(0, run.stored)
    ends = descent.teaching.start, descent.teaching.target
    loss, images, rate = reference.followed(
        descent.teaching.network, ends, run.stored["images"], run.stored["rate"], lessons
    )
    torch.testing.assert_close(found.loss, loss)
    torch.testing.assert_close(found.gradients["images"], images, rtol=1e-3, atol=1e-6)
    torch.testing.assert_close(found.gradients["rate"], rate, rtol=1e-4, atol=1e-6)


def test_batches_go_through_permutations_of_all_images(few: ClassData, experts: Mapping[str, Tensor]) -> None:
    """Released code: 20 images in batches of 15 are batches of 15 and 5, and then begin again in another order."""
    run = begun(few, experts, student_steps=4, augment=Siamese("none"))
    run.advance()
    descent: Any = run.criterion
    batch_of = descent._batch_of(descent._drawn())
    images = torch.arange(20.0).view(10, 2, 1, 1, 1).expand(10, 2, *few.shape)
    batches = [batch_of({"images": images}, k) for k in range(4)]
    numbers = [batch[:, 0, 0, 0].long().tolist() for batch, _ in batches]
    assert [len(batch) for batch in numbers] == [15, 5, 15, 5]
    assert sorted(numbers[0] + numbers[1]) == sorted(numbers[2] + numbers[3]) == list(range(20))
    assert numbers[0] != numbers[2]
    for (_, targets), number in zip(batches, numbers, strict=True):
        assert targets.argmax(1).tolist() == [each // 2 for each in number]
    again = [batch_of({"images": images}, k)[0] for k in range(4)]
    assert all(one.equal(batch) for one, (batch, _) in zip(again, batches, strict=True))


def test_every_image_of_every_step_is_augmented_with_numbers_of_its_own(
    few: ClassData, experts: Mapping[str, Tensor]
) -> None:
    run = begun(few, experts, synthetic_batch=None, augment=Siamese("scale"))
    run.advance()
    descent: Any = run.criterion
    batch_of = descent._batch_of(descent._drawn())
    same_image = {"images": torch.rand(1, 1, *few.shape).expand(10, 2, *few.shape)}
    first, second = batch_of(same_image, 0)[0], batch_of(same_image, 1)[0]
    assert not first[0].equal(first[1])
    assert not first[0].equal(second[0])


def test_a_rate_below_0_ends_the_run_unless_it_has_a_bound(
    few: ClassData, experts: Mapping[str, Tensor]
) -> None:
    """Issue 16 of the released code, where such a run goes on."""
    container = Paced(
        rate=0.5, rate_by=SGD(1.0, 0.5)
    )  # far too large at first: its gradient takes it below 0
    said = r"learned rate became -[\d.e+]+ at step \d of 8(.|\n)*container.least=0.001"
    run = begun(few, experts, container=container)
    with pytest.raises(Diverged, match=said):
        finish(run)
    bound = replace(container, least=1e-3)
    kept = finish(begun(few, experts, container=bound)).stored
    assert float(bound.rates(kept)) >= 1e-3


def test_a_loss_that_is_no_number_ends_the_run(few: ClassData, experts: Mapping[str, Tensor]) -> None:
    run = begun(few, experts, network=MTT.network, image_lr=1e38)
    with pytest.raises(Diverged, match=r"loss is nan|not finite|became nan"):
        finish(run)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"container": Pixels()}, "images with a rate, under stored experts, and here are Pixels"),
        ({"criterion": Trajectory(0)}, "students of 0 steps on batches of None; expected at least 1"),
        ({"criterion": Trajectory(synthetic_batch=0)}, "students of 30 steps on batches of 0"),
    ],
)
def test_parts_that_do_not_go_together_are_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(BadValue, match=message):
        replace(MTT, **change).check()


def test_in_one_call_the_experts_are_trained_first(few: ClassData, experts: Mapping[str, Tensor]) -> None:
    expected = finish(begun(few, experts))
    assert same({**distill(few, MTT, 2).stored}, expected.stored)


@pytest.mark.nightly  # half a minute of compiling; a student of two experts is no faster by it
@pytest.mark.compiles
def test_compiled_it_is_the_same_to_rounding(few: ClassData, experts: Mapping[str, Tensor]) -> None:
    short: dict[str, Any] = {"iterations": 1, "student_steps": 1, "augment": Siamese("none")}
    plain, compiled = (
        finish(begun(few, experts, ipc=1, mode=mode, **short)) for mode in ("plain", "compiled")
    )
    for name, value in plain.stored.items():
        torch.testing.assert_close(compiled.stored[name], value, rtol=1e-3, atol=1e-4)


@pytest.mark.trains
def test_the_set_is_learned_from_at_its_own_rate(
    few: ClassData, digits: Dataset, experts: Mapping[str, Tensor]
) -> None:
    run = finish(begun(few, experts, iterations=40))
    made = MTT.container.training_set(run.stored, digits.shape, 10, digits.normalisation)
    learner = training.SGD(epochs=30, batch=20, decay_at=(), own_rate=True)
    how = Evaluation("mtt", learner, MTT.network, networks=2)
    assert isinstance(made, Images)
    own = finish(EvaluationRun(made, digits, how))
    fixed = replace(how, learner=replace(learner, own_rate=False, lr=float(run.stored["rate"])))
    assert own.accuracies == finish(EvaluationRun(made, digits, fixed)).accuracies


def test_a_checkpoint_of_experts_names_what_is_settled_and_one_of_students_holds_no_expert(
    few: ClassData, experts: Mapping[str, Tensor]
) -> None:
    assert MTT.first is not None
    run, states = Distillation(few, MTT.first, 1, 0), []
    while not run.done:
        run.advance()
        states.append({name: value.clone() for name, value in run.state().items()})
    one_epoch = sum(value[:, 0].numel() for value in run.stored.values())
    for step, state in enumerate(states, start=1):
        settled = {name.split(".")[1] for name in state if name.startswith("settled.")}
        assert settled == {f"epoch{epoch}" for epoch in range(step // 2 + 1)}, "two batches are an epoch"
        assert numbers(state, "settled.", "snapshot.") < 3 * one_epoch, "the networks and their momentum"
        assert all(state[name].equal(states[-1][name]) for name in state if name.startswith("settled."))
    student = begun(few, experts)
    student.advance()
    assert numbers(student.state(), "snapshot.") < 2 * sum(map(Tensor.numel, student.stored.values())) + 500


def numbers(state: Mapping[str, Tensor], *but: str) -> int:
    """How many numbers a state holds besides random streams and what begins with these words."""
    return sum(value.numel() for name, value in state.items() if not name.startswith(("stream.", *but)))
