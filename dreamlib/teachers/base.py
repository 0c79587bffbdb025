"""What a teacher is: under which weights a step is taken, and what becomes of them once it is done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor

from ..compute.backend import Stopwatch
from ..compute.engine import Engine
from ..containers import Container
from ..core.registry import Registry
from ..core.streams import Streams
from ..data import ClassData
from ..networks import Network, NetworkSpec

R = TypeVar("R")  # a recipe
BESIDE = "beside."  # of a snapshot: not what is distilled, but what a later stage goes on with
FINGERPRINT = "fingerprint"  # among it: the real images that have been learned from


@dataclass(frozen=True)
class Scene:
    """What a run takes place in: everything that its parts share and none of them changes.

    Attributes
    ----------
    data : ClassData
        The real training images, by class.
    container : Container
        Where the distilled information lives.
    network : NetworkSpec
        Architecture of the networks that teach.
    ipc : int
        Stored images per class.
    steps : int
        Steps in all.
    unit : int
        Steps that the criterion counts as one: those of an epoch for a generator, else 1.
    streams : Streams
        Randomness, by purpose.
    engine : Engine
        How heavy functions run.
    stopwatch : Stopwatch
        Takes the time of each phase.
    memory_gb : float, optional
        Gibibytes that tensors may take while images are matched; None: no bound.
    """

    data: ClassData
    container: Container
    network: NetworkSpec
    ipc: int
    steps: int
    unit: int
    streams: Streams
    engine: Engine
    stopwatch: Stopwatch
    memory_gb: float | None = None

    @property
    def device(self) -> torch.device:
        """Where everything is."""
        return self.data.device

    def fresh(self, purpose: str) -> Any:
        """``fresh(purpose)(p)`` is the random stream of the p-th pass over the real images, from its beginning.

        Nothing of it is in a checkpoint.
        """
        return partial(self._pass, purpose)

    def _pass(self, purpose: str, number: int) -> torch.Generator:
        return self.streams.once(f"{purpose}, pass {number}")


class Teaching(Protocol):
    """A teacher at work in one run. What it holds is tensors, which it hands to checkpoints.

    ``network`` is the network of the step; None where a step needs none. ``step`` of ``steps`` of the work that has to
    be done before the first step, ``done`` once it is.
    """

    @property
    def network(self) -> Network | None: ...
    @property
    def step(self) -> int: ...
    @property
    def steps(self) -> int: ...
    @property
    def done(self) -> bool: ...
    @property
    def notes(self) -> dict[str, Any]: ...

    def advance(self) -> None:
        """A small piece of the work before the first step."""
        ...

    def next(self, step: int) -> bool:
        """Put up the weights of a step; whether they are new, and nothing of the step before is in them."""
        ...

    def after(self, step: int, stored: Mapping[str, Tensor]) -> None:
        """What becomes of the weights once the step is done: trained, aged, or left as they are."""
        ...

    def state(self) -> dict[str, Tensor]:
        """Everything needed to go on, but for random streams."""
        ...

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Go on from what :meth:`state` returned."""
        ...


class Teacher(Protocol):
    """Says under which weights steps are taken. Implementations are frozen dataclasses; a run begins them."""

    @property
    def phases(self) -> tuple[str, ...]:
        """What of its work is timed."""
        ...

    @property
    def rounds(self) -> int:
        """Steps of the criterion under one network."""
        ...

    def check(self) -> None:
        """Raise :class:`~dreamlib.core.errors.BadValue` for numbers outside their range."""
        ...

    def fits(self, data: ClassData) -> None:
        """Raise :class:`~dreamlib.core.errors.BadValue` where it cannot teach on this data."""
        ...

    def shown(self, classes: int, ipc: int) -> float:
        """About how many images go through a network after each step."""
        ...

    def before(self, recipe: R) -> R | None:
        """The recipe of what has to be there first, made from the recipe of the whole; for most, None."""
        ...

    def begin(self, scene: Scene, start: Mapping[str, Tensor] | None) -> Teaching:
        """Begin a run; ``start`` is what the recipe of :meth:`before` has left."""
        ...


class Idle:
    """A teaching that does nothing; others build on it."""

    @property
    def network(self) -> Network | None:
        return None

    @property
    def step(self) -> int:
        return 0

    @property
    def steps(self) -> int:
        return 0

    @property
    def done(self) -> bool:
        return True

    @property
    def notes(self) -> dict[str, Any]:
        return {}

    def advance(self) -> None:
        return

    def next(self, step: int) -> bool:
        return True

    def after(self, step: int, stored: Mapping[str, Tensor]) -> None:
        return

    def state(self) -> dict[str, Tensor]:
        return {}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        return


@dataclass(frozen=True)
class Untaught:
    """No network at all: for the steps of a generator by its objective alone, or of a kernel."""

    @property
    def phases(self) -> tuple[str, ...]:
        return ()

    @property
    def rounds(self) -> int:
        return 1

    def check(self) -> None:
        return

    def fits(self, data: ClassData) -> None:
        return

    def shown(self, classes: int, ipc: int) -> float:
        return 0.0

    def before(self, recipe: R) -> R | None:
        return None

    def begin(self, scene: Scene, start: Mapping[str, Tensor] | None) -> Teaching:
        return Idle()


TEACHERS: Registry[Teacher] = Registry("teacher")
register = TEACHERS.register
register("untaught")(Untaught)
