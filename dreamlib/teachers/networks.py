"""Networks of one architecture: fresh ones (DM), or trained between steps (DC and DSA; IDC and DREAM)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from ..augment import Siamese
from ..containers import Images
from ..core.errors import BadValue, unknown
from ..core.files import below
from ..data import ClassData
from ..networks import Network, build, initialise
from ..networks.training import learn_batch
from .base import Idle, R, Scene, register
from .pool import Pool, PoolTraining

TRAINED_ON = ("nothing", "synthetic", "real")


@register("networks")
@dataclass(frozen=True)
class Networks:
    """Each iteration draws a network, uses it for ``steps`` steps, and trains it after each of them but the last.

    Attributes
    ----------
    steps : int
        Steps under one network (DC's "outer loop", IDC's "inner loop"; 1 for DM).
    trained_on : str
        ``"nothing"`` (DM), ``"synthetic"`` (DC, DSA) or ``"real"`` (IDC, DREAM).
    epochs : int
        Passes over the synthetic set after each step, for ``"synthetic"`` (DC's "inner loop").
    images : int
        Real images shown to the network after each step, for ``"real"``, rounded up to whole batches. Batches run
        through a permutation of the training set, then through the next one.
    batch, lr, momentum, weight_decay, cutmix, augment :
        The network's own SGD.
    pool : Pool, optional
        The pool of networks, trained beforehand, that each network is drawn from; None: each is initialised (DM, Figure
        F2, has both).
    """

    steps: int = 1
    trained_on: str = "nothing"
    epochs: int = 1
    images: int = 2000
    batch: int = 256
    lr: float = 0.01
    momentum: float = 0.0
    weight_decay: float = 0.0
    cutmix: float = 0.0
    augment: Siamese = field(default_factory=lambda: Siamese("none"))
    pool: Pool | None = None

    @property
    def rounds(self) -> int:
        """Steps under one network."""
        return self.steps

    @property
    def phases(self) -> tuple[str, ...]:
        return ("network",) if self.pool is None else ("network", "pool")

    @property
    def real_batches(self) -> int:
        """Batches of real images after each step."""
        # Rounded up: for "2000", IDC takes 32 batches of 64 (2,048 images) and DREAM 16 of 128 (released code).
        return -(-self.images // self.batch)

    def check(self) -> None:
        for name, least in (("steps", 1), ("batch", 1), ("images", 1), ("epochs", 0)):
            if getattr(self, name) < least:
                raise BadValue(
                    f"teacher: {name} is {getattr(self, name)}; expected at least {least}",
                    f"teacher.{name}={getattr(Networks, name)}",
                )
        if self.trained_on not in TRAINED_ON:
            raise unknown("choice of training data", self.trained_on, TRAINED_ON)
        if self.pool is not None:
            self.pool.check()

    def fits(self, data: ClassData) -> None:
        """Nothing to check: a batch is cut to the size of the data set."""

    def shown(self, classes: int, ipc: int) -> float:
        seen = {
            "nothing": 0,
            "real": self.batch * self.real_batches,
            "synthetic": classes * ipc * self.epochs,
        }
        return float(seen[self.trained_on])

    def before(self, recipe: R) -> R | None:
        return None

    def begin(self, scene: Scene, start: Mapping[str, Tensor] | None) -> Learning:
        return Learning(self, scene)


class Learning(Idle):
    """The current network, its momentum, and the pool it may come from."""

    def __init__(self, how: Networks, scene: Scene) -> None:
        self.how, self.scene = how, scene
        data = scene.data
        self._network = build(scene.network, data.shape, data.num_classes, device=scene.device)
        # The weights are constants of a matching step; training takes its gradients functionally
        # (networks/training.py).
        self._network.requires_grad_(False)
        self.velocity: list[Tensor] = []
        self.pool: PoolTraining | None = None
        if how.pool is not None:
            self.pool = PoolTraining(data, scene.network, how.pool, scene.streams)

    @property
    def network(self) -> Network:
        return self._network

    # Work before the first step of the loop: training the pool, where there is one.

    @property
    def step(self) -> int:
        return self.pool.step if self.pool else 0

    @property
    def steps(self) -> int:
        return self.pool.steps if self.pool else 0

    @property
    def done(self) -> bool:
        return self.pool is None or self.pool.done

    @property
    def notes(self) -> dict[str, Any]:
        return {"pool": self.pool.summary()} if self.pool else {}

    def advance(self) -> None:
        assert self.pool is not None
        with self.scene.stopwatch.phase("pool"):
            self.pool.advance()

    def next(self, step: int) -> bool:
        """Every ``steps`` steps, another network: fresh weights, or those of a network of the pool."""
        # DC's outer loop and IDC's inner loop: one network for ``steps`` steps. DM: a fresh one for every step.
        if step % self.how.steps:
            return False
        stream = self.scene.streams["network"]
        trained = self.pool.choose(stream) if self.pool else None
        if trained is None:
            # In place: compiled steps close over this module, and take its weights as arguments.
            initialise(self.network, stream)
        else:
            self.network.load_state_dict(trained)
        learns = self.how.trained_on != "nothing"
        # No momentum is kept for networks that are never trained.
        self.velocity = [torch.zeros_like(weight) for weight in self.network.parameters() if learns]
        return True

    def after(self, step: int, stored: Mapping[str, Tensor]) -> None:
        """Train a network that will be used for another step."""
        # Not after the last step: the network would be thrown away (DC: "no network update after the last outer step").
        if self.how.trained_on == "nothing" or step % self.how.steps == self.how.steps - 1:
            return
        with self.scene.stopwatch.phase("network"):
            self.network.train()  # batch norms that were frozen for matching learn again
            if self.how.trained_on == "synthetic":
                self._train_on_synthetic(stored)
            else:
                self._train_on_real(step)

    def _train_on_synthetic(self, stored: Mapping[str, Tensor]) -> None:
        scene, generator = self.scene, self.scene.streams["training"]
        data = scene.data
        # DC trains on the set as it is now, decoded and labelled as an evaluation would (DC, Algorithm 1).
        made = scene.container.training_set(
            stored, data.shape, data.num_classes, data.normalisation, scene.device
        )
        assert isinstance(made, Images)
        for _ in range(self.how.epochs):
            # One permutation per epoch; the last batch may be smaller.
            order = torch.rand(len(made.targets), generator=generator, device=scene.device).argsort()
            for part in order.split(self.how.batch):
                self._train_on(made.images[part], made.targets[part])

    def _train_on_real(self, step: int) -> None:
        # The number of trainings before this one: one after each step so far, except the last step of each network.
        before = step - step // self.how.steps
        fresh = self.scene.fresh("training")
        # By its number, so that passes over the data go on from network to network and need no place in a checkpoint.
        for number in range(before * self.how.real_batches, (before + 1) * self.how.real_batches):
            self._train_on(*self.scene.data.turn_flat(self.how.batch, number, fresh))

    def _train_on(self, images: Tensor, labels: Tensor) -> None:
        """One step of SGD of the network."""
        scene = self.scene
        # What the compiled step closes over; see Engine.run.
        key = "learning", scene.network, scene.data.shape, scene.data.num_classes
        learn_batch(
            scene.engine,
            key,
            self.network,
            self.velocity,
            images,
            labels,
            self.how,
            scene.streams["training"],
        )

    def state(self) -> dict[str, Tensor]:
        out = {f"network.{name}": value for name, value in self.network.state_dict().items()}
        out |= {f"velocity.{i}": value for i, value in enumerate(self.velocity)}
        if self.pool is not None:
            out |= {f"pool.{name}": value for name, value in self.pool.state().items()}
        return out

    def restore(self, state: Mapping[str, Tensor]) -> None:
        if self.pool is not None:
            # Restoring the streams has made new generator objects.
            self.pool.training.generator = self.scene.streams["pool"]
        if not state:
            return
        self.network.load_state_dict(below(state, "network."))
        velocity, device = below(state, "velocity."), self.scene.device
        self.velocity = [velocity[str(i)].to(device, copy=True) for i in range(len(velocity))]
        if self.pool is not None:
            self.pool.restore(below(state, "pool."), self.scene.streams["pool"])
