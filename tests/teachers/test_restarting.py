"""A network that restarts: when, with which record, and from where."""

from __future__ import annotations

import pytest
import torch
from tiny import generator

from dreamlib.compute.backend import Stopwatch
from dreamlib.compute.engine import Engine
from dreamlib.containers import Answers
from dreamlib.core.errors import BadValue
from dreamlib.core.streams import Streams
from dreamlib.data import ClassData
from dreamlib.networks import NetworkSpec
from dreamlib.teachers import Restarting, Restarts, Scene
from dreamlib.teachers.restarting import steps_until_restart


def taught(few: ClassData, how: Restarting, seed: int = 0) -> Restarts:
    cpu = torch.device("cpu")
    scene = Scene(
        data=few,
        container=Answers(timed=True),
        network=NetworkSpec(width=8, depth=1, norm="none"),
        ipc=1,
        steps=100,
        unit=1,
        streams=Streams(seed),
        engine=Engine("plain", cpu),
        stopwatch=Stopwatch(cpu, "network"),
    )
    return how.begin(scene, None)


def gradients(teaching: Restarts, seed: int) -> dict[str, torch.Tensor]:
    stream = generator(seed)
    return {
        name: torch.randn(weight.shape, generator=stream)
        for name, weight in teaching.network.named_parameters()
    }


def test_its_network_learns_by_adam(few: ClassData) -> None:
    teaching = taught(few, Restarting(lr=1e-3))
    assert teaching.next(0)
    theirs = [weight.clone().requires_grad_() for weight in teaching.network.parameters()]
    adam = torch.optim.Adam(theirs, lr=1e-3)  # LD: PyTorch's default
    for step in range(5):
        found = gradients(teaching, step)
        for weight, gradient in zip(theirs, found.values(), strict=True):
            weight.grad = gradient
        adam.step()
        teaching.learn(found, 50.0)
        assert not teaching.next(step + 1)
    for ours, weight in zip(teaching.network.parameters(), theirs, strict=True):
        torch.testing.assert_close(ours, weight.detach())


def test_after_a_restart_nothing_of_the_network_before_is_left(few: ClassData) -> None:
    teaching = taught(few, Restarting(window=3))
    teaching.next(0)
    first = {name: value.clone() for name, value in teaching.network.state_dict().items()}
    for step in range(
        7
    ):  # the first three errors are lowest, and the mean has not fallen for three more steps
        assert teaching.best == step  # before a record: as many steps as it has learned
        teaching.learn(gradients(teaching, step), float(step))
        assert teaching.next(step + 1) == (step == 6)
    assert teaching.records == [3]
    assert teaching.best == 3
    assert not teaching.optimiser.states
    second = teaching.network.state_dict()
    assert all(bool((second[name] != value).any()) for name, value in first.items())


def test_the_last_three_records_say_how_long_to_train(few: ClassData) -> None:
    teaching = taught(few, Restarting())
    teaching.records = [1000, 10, 20, 33]
    assert teaching.best == 21


def test_it_goes_on_where_it_was(few: ClassData) -> None:
    how = Restarting(window=2)
    whole = taught(few, how)
    for step in range(12):
        whole.next(step)
        whole.learn(gradients(whole, step), 50.0 + step % 5)
        again = taught(few, how)
        again.scene.streams.restore(whole.scene.streams.state())
        again.restore({name: value.clone() for name, value in whole.state().items()})
        assert again.best == whole.best
        assert again.fresh == whole.fresh
        for teaching in (again, whole):
            teaching.next(step + 1)
            teaching.learn(gradients(teaching, 99), 1.0)
        assert again.records == whole.records
        for mine, other in zip(again.state().values(), whole.state().values(), strict=True):
            assert mine.equal(other)


def test_a_window_has_steps() -> None:
    with pytest.raises(BadValue, match="window is 0; expected at least 1"):
        Restarting(window=0).check()


def counted(errors: list[float], window: int) -> list[int]:
    """LD's restarts as its released code counts them, step after step."""
    records: list[int] = []
    seen: list[float] = []
    lowest, since, steps = 0.0, 0, 0
    for error in errors:
        steps += 1
        if len(seen) < window:
            seen.append(error)
            if steps == window:
                lowest, since = sum(seen), 0
            continue
        seen = [*seen[1:], error]
        if sum(seen) < lowest:
            lowest, since = sum(seen), 0
        elif since < window:
            since += 1
        else:
            records.append(steps - since - 1)
            seen, steps = [], 0
    return records


@pytest.mark.parametrize("seed", range(4))
def test_a_network_restarts_when_its_error_has_long_not_fallen(seed: int) -> None:
    window = 5
    falling = torch.linspace(80, 20, 60).round().double()
    noise = torch.randint(-25, 25, (200,), generator=torch.Generator().manual_seed(seed))
    errors = (torch.cat([falling, falling[-1].expand(140)]) + noise).tolist()
    records: list[int] = []
    since: list[float] = []
    for error in errors:
        since.append(error)
        steps = steps_until_restart(since, window)
        if steps is not None:
            records.append(steps)
            since = []
    assert records == counted(errors, window)
    assert len(records) > 2


def test_a_restart_reports_the_step_of_the_lowest_mean() -> None:
    """Errors fall until step 30 and rise then: the mean of 10 is lowest where both sides weigh alike, after step 35."""
    errors = [abs(step - 30.5) for step in range(1, 60)]
    found = [steps_until_restart(errors[:length], 10) for length in range(len(errors) + 1)]
    assert found == [None] * 46 + [35] * 14
    assert steps_until_restart([90.0] * 20, 10) is None  # of equals, the first
    assert steps_until_restart([90.0] * 21, 10) == 10
