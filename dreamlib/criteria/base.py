"""What a criterion is: the loss of a distillation, and its gradient by everything that is stored."""

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
# evaluated afterwards without distilling again. A set changes fast early on, so early snapshots lie closer.
SNAPSHOTS = (0.0, 0.05, 0.1, 0.2, 0.4, 0.7, 1.0)


def snapshot_steps(steps: int) -> tuple[int, ...]:
    """The step counts at which snapshots are kept, from 0 to ``steps``."""
    return tuple(sorted({round(fraction * steps) for fraction in SNAPSHOTS}))


@dataclass(frozen=True)
class StepResult:
    """What a step found.

    Attributes
    ----------
    loss : Tensor
        Scalar.
    gradients : dict of str to Tensor
        The gradient of the loss by stored tensors, by name.
    statistics : dict of str to Tensor
        New values of stored tensors that no gradient moves: running statistics.
    lr_factor : float
        By what the learning rates of this step are multiplied: a schedule's.
    """

    loss: Tensor
    gradients: Tensors
    statistics: Tensors = field(default_factory=dict)
    lr_factor: float = 1.0


class Descent(Protocol):
    """A criterion in one run. All it holds besides the stored tensors is tensors, so that checkpoints can save them."""

    def gradients(self, step: int, stored: Tensors) -> StepResult:
        """The loss under the teacher's weights, and its gradients at ``stored``."""
        ...

    def after(self, step: int, stored: Tensors) -> None:
        """What follows an update of the stored tensors: a partner's own step, a check of the result."""
        ...

    def for_next_stage(self) -> Tensors:
        """What is trained besides the stored tensors and continued by a later stage, such as a discriminator."""
        ...

    def settled(self, stored: Tensors) -> dict[str, Tensors]:
        """Parts of the stored tensors that no later step changes, by names that suit a file; they grow in number.

        A checkpoint writes each of them once. All parts together say everything that is in ``stored`` and was not there
        at its start. Empty where any step may change all of it.
        """
        ...

    def settle(self, stored: Tensors, parts: Mapping[str, Tensors]) -> None:
        """Put the parts that :meth:`settled` gave into tensors that are as they start."""
        ...

    @property
    def notes(self) -> dict[str, Any]:
        """Entries for the record of a run."""
        ...

    def state(self) -> Tensors:
        """Everything needed to resume, except random streams."""
        ...

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Resume from what :meth:`state` returned."""
        ...


class Criterion(Protocol):
    """Says what is minimised. Implementations are frozen dataclasses; :meth:`begin` starts a run.

    A criterion counts in its own unit, and so do snapshots and cells: matching steps, or epochs of a generator. One
    unit is :meth:`unit` steps of the loop.
    """

    @property
    def taught(self) -> bool:
        """Whether steps are taken under a teacher's weights."""
        ...

    @property
    def phases(self) -> tuple[str, ...]:
        """Names of the phases of its work that are timed."""
        ...

    @property
    def lr_factor(self) -> float:
        """Factor of the container's learning rates."""
        ...

    @property
    def first(self) -> int:
        """Steps of an earlier stage that this one continues."""
        ...

    def before(self, recipe: R) -> R | None:
        """The recipe of what has to be there first, made from the recipe of the whole: that earlier stage, or experts.

        None: nothing has.
        """
        ...

    @property
    def carries(self) -> bool:
        """Whether stages pass the state of the updates (Adam's running means) on to the next stage."""
        ...

    def steps(self, iterations: int, rounds: int) -> int:
        """All steps, for ``iterations`` networks of ``rounds`` steps each."""
        ...

    def kept(self, steps: int) -> tuple[int, ...]:
        """Steps after which the stored tensors are kept, the first and the last of ``steps`` included."""
        ...

    def unit(self, data: ClassData) -> int:
        """Steps of the loop in one of its own steps."""
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
        """Start a run; ``start`` holds the result of the earlier stage, its :meth:`Descent.for_next_stage` included."""
        ...


class OfSteps:
    """The defaults of a criterion of one stage that counts in steps of the loop, as most do."""

    taught, lr_factor, first, carries = True, 1.0, 0, False
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
        # Unknown: an engine then compiles, whatever the amount of work.
        return float("inf")


class Stateless:
    """A descent without a state of its own."""

    @property
    def notes(self) -> dict[str, Any]:
        return {}

    def after(self, step: int, stored: Tensors) -> None:
        return

    def for_next_stage(self) -> Tensors:
        return {}

    def settled(self, stored: Tensors) -> dict[str, Tensors]:
        return {}

    def settle(self, stored: Tensors, parts: Mapping[str, Tensors]) -> None:
        return

    def state(self) -> Tensors:
        return {}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        return


CRITERIA: Registry[Criterion] = Registry("criterion")
register = CRITERIA.register
