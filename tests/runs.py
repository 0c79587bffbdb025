"""Runs in tests: brought to their end, and compared to the bit."""

from __future__ import annotations

from torch import Tensor

from dreamlib.distillation.loop import Distillation


def finish(run: Distillation) -> Distillation:
    while not run.done:
        run.advance()
    return run


def bits(run: Distillation) -> dict[str, Tensor]:
    """Everything a run knows, but for how long it took."""
    return {name: value.clone() for name, value in run.state().items() if not name.startswith("seconds.")}


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(value.equal(other[name]) for name, value in one.items())


def weights(run: Distillation) -> list[Tensor]:
    """Of the network of the step."""
    assert run.network is not None
    return [weight.clone() for weight in run.network.parameters()]
