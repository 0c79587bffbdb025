"""The training of experts, by which other sets are distilled: a run and a cell of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

from torch import Tensor

from ..containers import Container, Trajectories
from ..core.errors import BadValue
from ..data import ClassData
from ..networks.training import SGD, Stack, Training
from ..teachers import Scene, Teaching, Untaught
from ..teachers.base import FINGERPRINT
from .base import OfSteps, Stateless, StepResult, Tensors, register

R = TypeVar("R")


def experts_of(recipe: R) -> R:
    """The recipe of a recipe's experts. It depends on nothing else of the recipe, so all budgets share one training."""
    whole = cast(Any, recipe)
    experts = whole.teacher.experts
    return cast(
        R,
        type(whole)(
            container=Trajectories(whole.network, experts.count, experts.training.passes),
            criterion=Learning(experts.training),
            teacher=Untaught(),
            network=whole.network,
            iterations=experts.training.passes,
            **{name: getattr(whole, name) for name in ("constants", "whitening", "per_class", "mode")},
        ),
    )


@register("learning")
@dataclass(frozen=True)
class Learning(OfSteps):
    """Training of networks on real images, together. It counts in epochs, and keeps only the last state."""

    training: SGD = field(default_factory=SGD)
    taught = False
    phases = ("experts",)

    def kept(self, steps: int) -> tuple[int, ...]:
        return (steps,)

    def unit(self, data: ClassData) -> int:
        return -(-data.total // self.training.batch)

    def check(self) -> None:
        if self.training.passes < 1 or self.training.batch < 1:
            raise BadValue(
                f"experts learn for {self.training.passes} epochs from batches of {self.training.batch}; expected at "
                "least 1",
                "experts.training.epochs=50",
            )

    def suits(self, container: Container, teacher: object) -> None:
        if not isinstance(container, Trajectories) or container.epochs != self.training.passes:
            raise BadValue(
                f"recipe: experts learn for {self.training.passes} epochs and are kept in {container}",
                "a recipe of experts comes from .first of one that StoredExperts teach",
            )

    def begin(self, scene: Scene, teaching: Teaching, start: Mapping[str, Tensor] | None) -> ExpertTraining:
        return ExpertTraining(self, scene)


class ExpertTraining(Stateless):
    """The training of experts in one run. The initial weights and those after every epoch are stored."""

    def __init__(self, how: Learning, scene: Scene) -> None:
        container, data, generator = scene.container, scene.data, scene.streams["experts"]
        assert isinstance(container, Trajectories)
        shape = scene.network, data.shape, data.num_classes, container.count
        stack = Stack(*shape, scene.streams.once("weights"))  # replaced by what is stored
        self.training = Training(stack, data.at, data.total, how.training, generator, engine=scene.engine)
        self.scene = scene

    def gradients(self, step: int, stored: Tensors) -> StepResult:
        with self.scene.stopwatch.phase("experts"):
            # The container has drawn the initial weights; training starts from them.
            if step == 0:
                first = {name: value[:, 0].clone() for name, value in stored.items()}
                self.training.stack.tensors = first
            # The mean over the experts, so that it does not depend on how many there are.
            loss = self.training.advance() / self.training.stack.count
        return StepResult(loss, {})

    def after(self, step: int, stored: Tensors) -> None:
        # Snapshots at the end of an epoch only: students start from there (MTT).
        epoch, within = divmod(step + 1, self.training.per_epoch)
        if within:
            return
        # Weights that are no numbers must not become the target of a student.
        self.training.check()
        for name, value in self.training.stack.tensors.items():
            stored[name][:, epoch].copy_(value)

    def for_next_stage(self) -> Tensors:
        return {FINGERPRINT: self.scene.data.fingerprint()}

    def settled(self, stored: Tensors) -> dict[str, Tensors]:
        # The weights after an epoch never change again, and those of all epochs are 6.5 GB under MTT's settings.
        done = self.training.step // self.training.per_epoch
        return {
            f"epoch{epoch}": {name: value[:, epoch] for name, value in stored.items()}
            for epoch in range(done + 1)
        }

    def settle(self, stored: Tensors, parts: Mapping[str, Tensors]) -> None:
        for part, weights in parts.items():
            for name, value in weights.items():
                stored[name][:, int(part.removeprefix("epoch"))].copy_(value)

    def state(self) -> Tensors:
        return self.training.state()

    def restore(self, state: Mapping[str, Tensor]) -> None:
        self.training.restore(dict(state), self.scene.streams["experts"])
