"""Pools of networks to match under: trained beforehand, and grouped by their validation accuracy.

DM embeds with a fresh random network at every step. Its section on the distribution of network parameters (the images
are Figure F2 of the supplement) draws the network from a pool instead, whose networks were trained until their
validation accuracy lay in a band of ten points.

Legend: K networks, C classes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from ..core.errors import BadValue
from ..core.files import below
from ..core.streams import Streams
from ..data import ClassData
from ..networks import NetworkSpec
from ..networks.training import SGD, Stack, Training


def band_name(band: tuple[float, float]) -> str:
    """``"20-30"`` for (20.0, 30.0)."""
    return f"{band[0]:g}-{band[1]:g}"


@dataclass(frozen=True)
class Pool:
    """Which networks a pool holds, and how they are trained.

    All networks are trained together on real images. Of each network at most one state per band is kept: the one whose
    accuracy on held-out images was nearest to the middle of the band. A matching step then draws a band, and a state
    of that band, both uniformly.

    Attributes
    ----------
    bands : tuple of (low, high)
        Validation accuracies in percent, ``low <= accuracy < high``.
    fresh : bool
        Untrained networks are one more band, initialised again at each draw.
    networks : int
        K, how many are trained.
    training : SGD
        How, and for how many epochs at most: training ends early when every network is above the highest band.
    held_out : int
        Real images of each class that measure the validation accuracy and are not trained on. The test set is not used.
        Matching itself uses all training images.
    every : int
        Training steps between two validations.
    """

    bands: tuple[tuple[float, float], ...] = ()
    fresh: bool = False
    networks: int = 10
    training: SGD = field(default_factory=lambda: SGD(epochs=20, batch=64, lr=0.01, decay_at=()))
    held_out: int = 30
    every: int = 1

    def check(self) -> None:
        """Raise :class:`BadValue` for numbers outside their range."""
        if not self.bands and not self.fresh:
            raise BadValue(
                "a pool of networks without bands; expected at least one", "Pool(bands=((20.0, 30.0),))"
            )
        for band in self.bands:
            if len(band) != 2 or not 0 <= band[0] < band[1] <= 100:
                raise BadValue(
                    f"band {band} of a pool; expected (low, high) in percent", "bands=((20.0, 30.0),)"
                )
        for name in ("networks", "held_out", "every"):
            if getattr(self, name) < 1:
                raise BadValue(f"pool: {name} is {getattr(self, name)}; expected at least 1", f"{name}=10")


@dataclass(frozen=True)
class State:
    """A saved state: number of the network, training steps, validation accuracy in percent, and tensors."""

    network: int
    step: int
    accuracy: float
    tensors: dict[str, Tensor]


class PoolTraining:
    """Trains the networks of a pool; a task that advances by small steps and can be saved at any of them.

    Parameters
    ----------
    data : ClassData
        The real training images.
    spec : NetworkSpec
        Architecture of the networks.
    pool : Pool
        What to do.
    streams : Streams
        ``"pool"`` draws the weights, the held-out images and the order of the others.

    Attributes
    ----------
    kept : list of dict of int to State
        The states of each band, by network.
    best : float
        Highest validation accuracy seen, in percent.

    Raises
    ------
    BadValue
        If so many images are held out that the smallest class keeps none.
    """

    def __init__(self, data: ClassData, spec: NetworkSpec, pool: Pool, streams: Streams) -> None:
        if pool.held_out >= data.smallest:
            raise BadValue(
                f"a pool of networks holds out {pool.held_out} images of each class, but the smallest class of "
                f"{data.name} has {data.smallest}",
                f"held_out={max(1, data.smallest // 10)}",
            )
        self.data, self.pool = data, pool
        generator = streams["pool"]
        held_out = data.draw(pool.held_out, generator)
        position, mask = data.padded_index()
        # Held-out positions are masked out, so that they are never in a training batch.
        mask = mask.scatter(1, held_out, False)
        label = torch.arange(data.num_classes, device=data.device).unsqueeze(1).expand_as(position)
        # (position within class, class) of every training image, as one list.
        self._position, self._label = position[mask], label[mask]
        self._validation = data.take(held_out).flatten(0, 1)
        self._validation_labels = label[:, :1].expand_as(held_out).flatten()
        stack = Stack(spec, data.shape, data.num_classes, pool.networks, generator)
        # Held-out images are never fetched: indices count the others alone.
        self.training = Training(stack, self._fetch, len(self._label), pool.training, generator)
        self.kept: list[dict[int, State]] = [{} for _ in pool.bands]
        self.best = 0.0
        self.done = not pool.bands

    def _fetch(self, index: Tensor) -> tuple[Tensor, Tensor]:
        labels = self._label[index]
        images = self.data.take(self._position[index.flatten()].unsqueeze(1), labels.flatten())
        return images.view(*index.shape, *self.data.shape), labels

    @property
    def step(self) -> int:
        return self.training.step

    @property
    def steps(self) -> int:
        return self.step if self.done else self.training.steps

    def advance(self) -> None:
        """One training step of all networks and, every ``every`` steps, a validation.

        Raises
        ------
        BadValue
            At the end, if a band has no network: it says what accuracy was reached.
        Diverged
            If the weights are no longer finite.
        """
        self.training.advance()
        if self.step % self.pool.every == 0 or self.training.done:
            accuracies = self.training.stack.accuracy(self._validation.__getitem__, self._validation_labels)
            self._keep(accuracies)
            # Done early once all networks have passed the highest band: no later state would be kept.
            self.best = max(self.best, *accuracies)
            if self.training.done or min(accuracies) >= max(high for _, high in self.pool.bands):
                self.training.check()
                self.done = True
                self._refuse_empty_bands()

    def _keep(self, accuracies: list[float]) -> None:
        for states, (low, high) in zip(self.kept, self.pool.bands, strict=True):
            for network, accuracy in enumerate(accuracies):
                if not low <= accuracy < high:
                    continue
                # Of one network, the state nearest to the middle of the band replaces an earlier one.
                known, middle = states.get(network), (low + high) / 2
                if known is None or abs(accuracy - middle) < abs(known.accuracy - middle):
                    tensors = {k: v[network].clone() for k, v in self.training.stack.tensors.items()}
                    states[network] = State(network, self.step, accuracy, tensors)

    def _refuse_empty_bands(self) -> None:
        empty = [band for band, states in zip(self.pool.bands, self.kept, strict=True) if not states]
        if not empty:
            return
        reached = [band for band in self.pool.bands if band not in empty]
        # Accuracies above an empty band: networks crossed it between two validations, so validate more often.
        jumped = all(self.best >= high for _, high in empty)
        raise BadValue(
            f"none of {self.pool.networks} networks has a validation accuracy of "
            f"{', '.join(map(band_name, empty))} % on {self.data.name}: after {self.step} steps the best has "
            f"{self.best:.1f} %; bands reached: {', '.join(map(band_name, reached)) or 'none'}",
            "a smaller pool.every or learning rate: the networks jump over it"
            if jumped
            else "more pool.training.epochs, a wider network, or lower bands",
        )

    def choose(self, generator: torch.Generator) -> dict[str, Tensor] | None:
        """The tensors of a network drawn from the pool; None where a fresh one is to be initialised instead."""
        bands = len(self.kept) + self.pool.fresh
        # First a band, then a state in it: bands weigh the same however many states they hold.
        band = int(torch.randint(bands, (), generator=generator, device=generator.device))
        if band == len(self.kept):
            return None
        states = list(self.kept[band].values())
        which = int(torch.randint(len(states), (), generator=generator, device=generator.device))
        return states[which].tensors

    def summary(self) -> dict[str, Any]:
        """What the pool holds, for a record: by band, the accuracy (percent) and the step of each network."""
        bands = {
            band_name(band): {
                "accuracies": [state.accuracy for state in states.values()],
                "steps": [state.step for state in states.values()],
            }
            for band, states in zip(self.pool.bands, self.kept, strict=True)
        }
        return {"bands": bands, "held_out": len(self._validation_labels), "best": self.best}

    def state(self) -> dict[str, Tensor]:
        """Everything needed to resume, except the random stream; after training, only the kept states."""
        # Numbers of the states as one float64 tensor: accuracies keep all their digits.
        about: list[tuple[float, ...]] = []
        out: dict[str, Tensor] = {}
        for band, states in enumerate(self.kept):
            for state in states.values():
                out |= {f"kept.{band}.{state.network}.{name}": value for name, value in state.tensors.items()}
                about.append((band, state.network, state.step, state.accuracy))
        out["about"] = torch.tensor(about, dtype=torch.float64).view(-1, 4)
        # float64 holds steps and percent alike, without loss.
        out["progress"] = torch.tensor((self.step, self.best, self.done), dtype=torch.float64)
        if not self.done:
            out |= {f"training.{name}": value for name, value in self.training.state().items()}
        return out

    def restore(self, state: dict[str, Tensor], generator: torch.Generator) -> None:
        """Go on from what :meth:`state` returned, with the random stream as it was then."""
        step, self.best, done = state["progress"].tolist()
        self.done, self.training.generator = bool(done), generator
        # A trained pool needs neither the networks nor their momentum, only what the bands have kept.
        if self.done:
            self.training.step = int(step)
        else:
            self.training.restore(below(state, "training."))
        self.kept = [{} for _ in self.pool.bands]
        device = self.data.device
        for band, network, at, accuracy in state["about"].tolist():
            prefix = f"kept.{int(band)}.{int(network)}."
            tensors = {name: value.to(device) for name, value in below(state, prefix).items()}
            self.kept[int(band)][int(network)] = State(int(network), int(at), accuracy, tensors)
