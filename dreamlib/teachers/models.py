"""DiM's models pool: networks of several architectures, one of them for every epoch of a generator (Eq. 6)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..augment import Siamese
from ..core.errors import BadValue, unknown
from ..core.files import below
from ..data import ClassData
from ..networks import Network, NetworkSpec, build, initialise
from ..networks.training import learn_batch
from .base import Idle, R, Scene, register

MODES = ("train", "eval")
POOL_SPACES = ("signed", "unit")


@register("models")
@dataclass(frozen=True)
class ModelsPool:
    """Each epoch draws one network of the pool, with new weights, and real images train it before each step (Eq. 6).

    Attributes
    ----------
    models : tuple of NetworkSpec
        The pool.
    mode : str
        ``"train"``: while it is matched under, a network stays in training mode, so that its batch norms take mean and
        variance from the batch they see, and update their running statistics (released code). ``"eval"``: they use the
        running statistics of the network's own training.
    space : str
        What is normalised with the constants of [0, 1] images before a network sees it, in matching and in its own
        training: images in [-1, 1], as the generator gives them (``"signed"``, released code), or in [0, 1]
        (``"unit"``), as all other networks of a study see them.
    trained_on : str
        ``"real"``, or ``"nothing"``: networks stay as they are drawn.
    images, batch : int
        Real images shown before a step, as whole batches of one pass, and the size of a batch.
    lr, momentum, weight_decay, cutmix, augment :
        The network's own SGD.
    """

    models: tuple[NetworkSpec, ...] = field(default_factory=lambda: (NetworkSpec(),))
    mode: str = "train"
    space: str = "signed"
    trained_on: str = "real"
    images: int = 1024
    batch: int = 64
    lr: float = 0.01
    momentum: float = 0.9
    weight_decay: float = 5e-4
    cutmix: float = 0.0
    augment: Siamese = field(default_factory=lambda: Siamese("none"))

    @property
    def rounds(self) -> int:
        """Steps under one network: an epoch of the generator, which the criterion counts."""
        return 1

    @property
    def phases(self) -> tuple[str, ...]:
        return ("network",)

    def check(self) -> None:
        models = self.models
        if not isinstance(models, tuple) or not all(isinstance(one, NetworkSpec) for one in models):
            raise BadValue(
                f"models pool: models is {models!r}; expected a tuple of NetworkSpec",
                "models=(NetworkSpec('convnet'),)",
            )
        if not models:
            raise BadValue("a models pool without networks; expected at least one", "models=(NetworkSpec(),)")
        for name in ("images", "batch"):
            if getattr(self, name) < 1:
                raise BadValue(
                    f"models pool: {name} is {getattr(self, name)}; expected at least 1",
                    f"teacher.{name}={getattr(ModelsPool, name)}",
                )
        if self.mode not in MODES:
            raise unknown("mode of a models pool", self.mode, MODES)
        if self.space not in POOL_SPACES:
            raise unknown("space of images for a models pool", self.space, POOL_SPACES)
        if self.trained_on not in ("real", "nothing"):
            raise unknown("choice of training data for a models pool", self.trained_on, ("real", "nothing"))

    def fits(self, data: ClassData) -> None:
        if self.trained_on == "real" and self.batch > data.total:
            raise BadValue(
                f"networks of the pool learn in batches of {self.batch}, and {data.name} has {data.total} images",
                f"teacher.batch={data.total}",
            )
        for spec in self.models:  # one that does not fit the images is refused now
            build(spec, data.shape, data.num_classes, device="meta")

    def shown(self, classes: int, ipc: int) -> float:
        return float(self.images)

    def before(self, recipe: R) -> R | None:
        return None

    def begin(self, scene: Scene, start: Mapping[str, Tensor] | None) -> Epochs:
        return Epochs(self, scene)


class Epochs(Idle):
    """A models pool in one run: the network of the current epoch and its momentum."""

    def __init__(self, how: ModelsPool, scene: Scene) -> None:
        self.how, self.scene = how, scene
        self.model = 0
        self._network: Network | None = None
        self.velocity: list[Tensor] = []

    @property
    def network(self) -> Network | None:
        return self._network

    @property
    def spec(self) -> NetworkSpec:
        """Architecture of the network."""
        return self.how.models[self.model]

    def enter(self, signed: Tensor) -> Tensor:
        """Images in [-1, 1] as the networks of the pool see them."""
        normalisation = self.scene.data.normalisation
        # The released code normalises images in [-1, 1] as if they were in [0, 1]. It matters: with instance norm, the
        # gradient from a ResNet has a cosine of 0.035 with that of images in [0, 1]. So it is a field of the recipe.
        return normalisation.enter(signed, "unit" if self.how.space == "signed" else "signed")

    def next(self, step: int) -> bool:
        """Draw a new network at the beginning of an epoch, then train it before the step."""
        # unit is the number of steps in an epoch of the generator: one network per epoch (released code).
        new = step % self.scene.unit == 0
        if new:
            stream = self.scene.streams["network"]
            self.model = int(torch.randint(len(self.how.models), (), generator=stream, device=stream.device))
            network = self._network = self._build()
            initialise(network, stream)
            # A new network starts without momentum.
            self.velocity = [torch.zeros_like(weight) for weight in network.parameters()]
        if self.how.trained_on == "real":
            with self.scene.stopwatch.phase("network"):
                self._train()
        assert self.network is not None
        # Set after the training above, which is always in training mode.
        self.network.train(self.how.mode == "train")
        return new

    def _build(self) -> Network:
        data = self.scene.data
        # Frozen: the generator's loss is differentiated through the network, not by its weights.
        return build(self.spec, data.shape, data.num_classes, device=data.device).requires_grad_(False)

    def _train(self) -> None:
        """Train on whole batches of one pass over the real images (released code: 16 batches)."""
        how, data, stream = self.how, self.scene.data, self.scene.streams["training"]
        assert self.network is not None
        self.network.train()
        order = torch.randperm(data.total, generator=stream, device=data.device)
        # As many whole batches as hold ``images``, at most one pass. The incomplete last batch is never used.
        count = min(-(-how.images // how.batch), data.total // how.batch)
        key = "learning of", self.spec, data.shape, data.num_classes
        for part in order[: count * how.batch].split(how.batch):
            images, labels = data.at(part)
            if how.space == "signed":
                # The network is trained on images in the same space as those it is matched under.
                images = self.enter(data.normalisation.leave(images, "signed"))
            learn_batch(self.scene.engine, key, self.network, self.velocity, images, labels, how, stream)

    def state(self) -> dict[str, Tensor]:
        if self.network is None:
            return {}
        out = {f"network.{name}": value for name, value in self.network.state_dict().items()}
        out |= {f"velocity.{i}": value for i, value in enumerate(self.velocity)}
        return out | {"model": torch.tensor(self.model)}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        if "model" not in state:
            return
        self.model = int(state["model"])
        self._network = self._build()
        self._network.load_state_dict(below(state, "network."))
        velocity, device = below(state, "velocity."), self.scene.device
        self.velocity = [velocity[str(i)].to(device, copy=True) for i in range(len(velocity))]
