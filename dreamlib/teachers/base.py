"""What a teacher is: the network weights that a step is taken under, and how they change after it."""

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
# Prefix of a snapshot's tensors that are no part of the set: a later stage continues with them.
BESIDE = "beside."
FINGERPRINT = "fingerprint"  # among it: the real images that have been learned from


@dataclass(frozen=True)
class Scene:
    """The setting of a run: what all its parts share and none of them changes.

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
        # A pass is seeded by its number, so that any of them can be drawn again after a restart.
        return partial(self._pass, purpose)

    def _pass(self, purpose: str, number: int) -> torch.Generator:
        # ``once``: not a stream that goes on, so it is no part of a checkpoint.
        return self.streams.once(f"{purpose}, pass {number}")


class Teaching(Protocol):
    """A teacher in one run. All it holds is tensors, so that checkpoints can save them.

    ``network`` is the network of the current step; None where a step needs none. ``step``, ``steps`` and ``done`` are
    about the work before the first step of the loop, such as training a pool of networks.
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
        """Do a small piece of the work before the first step."""
        ...

    def next(self, step: int) -> bool:
        """Prepare the weights of a step. True where they are new, not those of the step before."""
        ...

    def after(self, step: int, stored: Mapping[str, Tensor]) -> None:
        """Change the weights once the step is done: train them, count their age, or leave them."""
        ...

    def state(self) -> dict[str, Tensor]:
        """Everything needed to resume, except random streams."""
        ...

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Resume from what :meth:`state` returned."""
        ...


class Teacher(Protocol):
    """Says under which weights steps are taken. Implementations are frozen dataclasses; :meth:`begin` starts a run."""

    @property
    def phases(self) -> tuple[str, ...]:
        """Names of the phases of its work that are timed."""
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
        """The recipe of a run that must come first (experts, say), made from the whole recipe; for most, None."""
        ...

    def begin(self, scene: Scene, start: Mapping[str, Tensor] | None) -> Teaching:
        """Start a run; ``start`` is the result of the recipe of :meth:`before`."""
        ...


class Idle:
    """A teaching that does nothing, and a base class for others."""

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
    """No network at all: for a generator that follows its objective alone, or for a kernel."""

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
