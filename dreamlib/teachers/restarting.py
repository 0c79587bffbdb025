"""One network that is trained on the set, and initialised again once it has stopped improving (LD)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..containers import Adam, Optimiser
from ..core.errors import BadValue
from ..core.files import below
from ..data import ClassData
from ..networks import Network, build, initialise
from .base import Idle, R, Scene, register


@register("restarting")
@dataclass(frozen=True)
class Restarting:
    """A network that takes one step of Adam after each step, on a gradient from the criterion.

    The numbers of steps that were best before each restart say how long LD trains networks when a set is evaluated.

    Parameters
    ----------
    lr : float
        Of Adam.
    window : int
        See :func:`steps_until_restart`: 50 in LD.
    """

    lr: float = 1e-3
    window: int = 50

    @property
    def phases(self) -> tuple[str, ...]:
        return ("network",)

    @property
    def rounds(self) -> int:
        return 1

    def check(self) -> None:
        if self.window < 1:
            raise BadValue(f"teacher: window is {self.window}; expected at least 1 step", "teacher.window=50")

    def fits(self, data: ClassData) -> None:
        """Nothing to check."""

    def shown(self, classes: int, ipc: int) -> float:
        return 0.0  # its steps are part of the criterion's

    def before(self, recipe: R) -> R | None:
        return None

    def begin(self, scene: Scene, start: Mapping[str, Tensor] | None) -> Restarts:
        return Restarts(self, scene)


class Restarts(Idle):
    """The current network, its Adam state, its errors so far, and the best numbers of steps of earlier networks.

    Attributes
    ----------
    fresh : bool
        Whether this step is the network's first.
    records : list of int
        By :func:`steps_until_restart`, of every network before this one.
    """

    def __init__(self, how: Restarting, scene: Scene) -> None:
        self.how, self.scene = how, scene
        data = scene.data
        self._network = build(scene.network, data.shape, data.num_classes, device=scene.device)
        self._network.requires_grad_(False)
        self.optimiser = Optimiser(dict(self._network.named_parameters()), {"": Adam(how.lr)})
        self.errors: list[float] = []
        self.records: list[int] = []

    @property
    def network(self) -> Network:
        return self._network

    @property
    def fresh(self) -> bool:
        return not self.errors

    @property
    def best(self) -> int:
        """Steps to train for: the mean of the last three records, or, before the first, as many as this network has."""
        # LD's released code trains networks for the mean of the last three.
        last = self.records[-3:]
        return sum(last) // len(last) if last else len(self.errors)

    @property
    def notes(self) -> dict[str, Any]:
        return {"restarts": self.records}

    def next(self, step: int) -> bool:
        if self.fresh:
            initialise(self.network, self.scene.streams["network"])
            self.optimiser = Optimiser(dict(self.network.named_parameters()), {"": Adam(self.how.lr)})
        return self.fresh

    def learn(self, gradients: Mapping[str, Tensor], error: float) -> None:
        """One step of Adam; ``error`` is that of the real batch, in percent, which decides on a new start.

        Parameters
        ----------
        gradients : dict of str to Tensor
            Of the network's loss, by the names of its weights. Weights without one are not changed.
        error : float
            In [0, 100].
        """
        with self.scene.stopwatch.phase("network"):
            self.optimiser.step(dict(self.network.named_parameters()), gradients)
        self.errors.append(error)
        best = steps_until_restart(self.errors, self.how.window)
        if best is not None:
            # The steps of this network end here; the next one starts with an empty history.
            self.records.append(best)
            self.errors = []

    def state(self) -> dict[str, Tensor]:
        out = {f"network.{name}": value for name, value in self.network.state_dict().items()}
        out |= {f"moves.{name}": value for name, value in self.optimiser.state().items()}
        errors, records = (
            torch.tensor(self.errors, dtype=torch.float64),
            torch.tensor(self.records, dtype=torch.int64),
        )
        return out | {"errors": errors, "records": records}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        if not state:
            return
        self.network.load_state_dict(below(state, "network."))
        self.optimiser.restore(below(state, "moves."), dict(self.network.named_parameters()))
        self.errors, self.records = state["errors"].tolist(), state["records"].tolist()


def steps_until_restart(errors: Sequence[float], window: int) -> int | None:
    """After how many steps the network was best, once that is long enough ago to restart; None before (LD's code).

    Best is where the mean error of the last ``window`` steps was lowest, for the first time; long enough ago is more
    than ``window`` steps. The mean of the last three such numbers is how long networks are trained on the labels.

    Parameters
    ----------
    errors : sequence of float
        Of the real batches, in percent, of every step since the network was new.
    window : int
        50; 100 with 100 classes; 200 with more than 100 base images.
    """
    # Fewer steps cannot hold a best window and ``window`` more steps after it.
    if len(errors) <= 2 * window:
        return None
    # Sums of all windows, in float64: ties must be exact, since the first minimum counts.
    sums = torch.tensor(errors, dtype=torch.float64).unfold(0, window, 1).sum(1)
    # The number of steps at the end of the best window.
    best = window + int(sums.argmin())
    return best if len(errors) - best > window else None
