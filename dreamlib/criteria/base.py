"""What a criterion is: what is lowered, step by step, and its gradient by everything that is stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from torch import Tensor

from ..containers import Container
from ..core.registry import Registry
from ..data import ClassData
from ..teachers import Scene, Teaching

Tensors = dict[str, Tensor]
R = TypeVar("R")  # a recipe, which is made of what is said here

# Fractions of a distillation at which the synthetic set is kept, so that accuracy along the way (DREAM, Fig. 1) can be
# evaluated afterwards without distilling again. Early on a set changes fast, hence the spacing.
SNAPSHOTS = (0.0, 0.05, 0.1, 0.2, 0.4, 0.7, 1.0)


def snapshot_steps(steps: int) -> tuple[int, ...]:
    """The step counts at which snapshots are kept, from 0 to ``steps``."""
    return tuple(sorted({round(fraction * steps) for fraction in SNAPSHOTS}))


@dataclass(frozen=True)
class Pull:
    """What a step found.

    Attributes
    ----------
    loss : Tensor
        Scalar.
    gradients : dict of str to Tensor
        The gradient of the loss by stored tensors, by name.
    statistics : dict of str to Tensor
        New values of stored tensors that no gradient moves: running statistics.
    pace : float
        By what the learning rates of this step are multiplied: a schedule's.
    """

    loss: Tensor
    gradients: Tensors
    statistics: Tensors = field(default_factory=dict)
    pace: float = 1.0


class Descent(Protocol):
    """A criterion at work in one run. What it holds beside the stored tensors it hands to checkpoints."""

    def gradients(self, step: int, stored: Tensors) -> Pull:
        """The loss under the teacher's weights, and its gradients where ``stored`` stands."""
        ...

    def after(self, step: int, stored: Tensors) -> None:
        """What follows once the stored tensors have moved: a partner's own step, a look at what has come out."""
        ...

    def beside(self) -> Tensors:
        """What is trained beside the stored tensors, for a later stage that goes on with it; else nothing."""
        ...

    @property
    def notes(self) -> dict[str, Any]:
        """What a record should say of it."""
        ...

    def state(self) -> Tensors:
        """Everything needed to go on, but for random streams."""
        ...

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Go on from what :meth:`state` returned."""
        ...


class Criterion(Protocol):
    """Says what is lowered. Implementations are frozen dataclasses; a run begins them.

    A criterion counts in steps of its own, and so do snapshots and cells: matching steps, epochs of a generator. One of
    them is :meth:`unit` steps of the loop.
    """

    @property
    def taught(self) -> bool:
        """Whether steps are taken under a teacher's weights."""
        ...

    @property
    def phases(self) -> tuple[str, ...]:
        """What of its work is timed."""
        ...

    @property
    def pace(self) -> float:
        """By what the container's learning rates are multiplied."""
        ...

    @property
    def first(self) -> int:
        """Steps that have been made by an earlier stage."""
        ...

    def before(self, recipe: R) -> R | None:
        """The recipe of that earlier stage, made from the recipe of the whole; None: there is none."""
        ...

    @property
    def carries(self) -> bool:
        """Whether a later stage goes on with what the updates remember, and this one with that of an earlier stage."""
        ...

    def steps(self, iterations: int, rounds: int) -> int:
        """Steps in all, for ``iterations`` networks of ``rounds`` steps each."""
        ...

    def kept(self, steps: int) -> tuple[int, ...]:
        """Steps after which the stored tensors are kept, the first and the last of ``steps`` included."""
        ...

    def unit(self, data: ClassData) -> int:
        """Steps of the loop that make one of its own."""
        ...

    def check(self) -> None:
        """Raise :class:`~dreamlib.core.errors.BadValue` for numbers outside their range."""
        ...

    def suits(self, container: Container, teacher: object) -> None:
        """Raise :class:`~dreamlib.core.errors.BadValue` for parts that it cannot work with."""
        ...

    def fits(self, data: ClassData) -> None:
        """Raise :class:`~dreamlib.core.errors.BadValue` where it cannot work on this data."""
        ...

    def shown(self, classes: int, ipc: int) -> float:
        """About how many images go through a network in each step."""
        ...

    def begin(self, scene: Scene, teaching: Teaching, start: Mapping[str, Tensor] | None) -> Descent:
        """Begin a run; ``start`` holds what the earlier stage has left, its :meth:`Descent.beside` included."""
        ...


class OfSteps:
    """A criterion that counts the steps of the loop and goes on from no other: what most have in common."""

    taught, pace, first, carries = True, 1.0, 0, False
    phases: tuple[str, ...] = ("matching",)

    def before(self, recipe: R) -> R | None:
        return None

    def steps(self, iterations: int, rounds: int) -> int:
        return iterations * rounds

    def kept(self, steps: int) -> tuple[int, ...]:
        return snapshot_steps(steps)

    def unit(self, data: ClassData) -> int:
        return 1

    def check(self) -> None:
        return

    def suits(self, container: Container, teacher: object) -> None:
        return

    def fits(self, data: ClassData) -> None:
        return

    def shown(self, classes: int, ipc: int) -> float:
        return float("inf")


class Bare:
    """A descent that holds nothing beside what is stored."""

    @property
    def notes(self) -> dict[str, Any]:
        return {}

    def after(self, step: int, stored: Tensors) -> None:
        return

    def beside(self) -> Tensors:
        return {}

    def state(self) -> Tensors:
        return {}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        return


CRITERIA: Registry[Criterion] = Registry("criterion")
register = CRITERIA.register
