"""Runs in tests: brought to their end, compared to the bit, and broken off and gone on with."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from typing import Any, TypeVar

from safetensors.torch import load, save
from torch import Tensor

from dreamlib.companion.worker import Task
from dreamlib.distillation.loop import Distillation

T = TypeVar("T", bound=Task)


def finish(run: T) -> T:
    while not run.done:
        run.advance()
    return run


def bits(run: Task) -> dict[str, Tensor]:
    """Everything a run knows, but for how long it took."""
    times = ("seconds", "core_seconds")
    return {name: value.clone() for name, value in run.state().items() if not name.startswith(times)}


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(value.equal(other[name]) for name, value in one.items())


def weights(run: Distillation) -> list[Tensor]:
    """Of the network of the step."""
    assert run.network is not None
    return [weight.clone() for weight in run.network.parameters()]


def check_task(fresh: Callable[[], Task]) -> None:
    """The contract of a task: it can be broken off before any step, and goes on bit for bit.

    From every step the next one is taken again by a new task that was given what was saved; from two of them all the
    rest is.
    """

    def seconds(run: Any) -> Any:
        return copy(getattr(run, "seconds", None))

    def outcome(run: Any) -> dict[str, Any]:
        names = ("accuracies", "also_accuracies", "losses", "notes")
        return {name: getattr(run, name) for name in names if hasattr(run, name)}

    whole, saved, spent, states = fresh(), [], [], []
    while not whole.done:
        assert whole.step == len(saved)
        assert 0 < whole.ahead <= whole.steps - whole.step
        saved.append(save({name: value.contiguous() for name, value in whole.state().items()}))
        spent.append(seconds(whole))
        states.append(bits(whole))
        whole.advance()
    assert whole.step == whole.steps == len(saved)
    states.append(bits(whole))
    for step, written in enumerate(saved):
        rest, given = fresh(), load(written)
        rest.restore(given)
        assert rest.step == step
        assert seconds(rest) == spent[step]
        assert same(bits(rest), states[step]), f"something of step {step} is lost"
        rest.advance()
        assert same(given, load(written)), "what is in memory can be gone on from twice"
        assert same(bits(rest), states[step + 1]), f"step {step} is another when it is taken again"
        if step in {len(saved) // 3, 2 * len(saved) // 3}:
            finish(rest)
            assert same(bits(rest), states[-1])
            assert outcome(rest) == outcome(whole)
