"""A recipe: the four exchangeable parts and the numbers that go with them. Data, not code."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any, TypeVar, cast

from .augment import Siamese
from .containers import Container, Pixels
from .coresets import Coreset, RealImages
from .errors import BadValue, unknown
from .matchers import Feature, Matcher
from .networks import NetworkSpec
from .pools import Pool
from .registry import added_later
from .samplers import Random, Sampler
from .training import SGD

TRAINED_ON = ("nothing", "synthetic", "real")
STATISTICS = ("joint", "frozen", "per class")


@dataclass(frozen=True)
class NetworkSchedule:
    """Under which weights real and synthetic images are compared.

    A network is drawn anew for every iteration; it is used for ``steps`` matching steps, and trained after each but
    the last.

    Attributes
    ----------
    steps : int
        Matching steps with one network (DC's "outer loop", IDC's "inner loop"; 1 for DM).
    trained_on : str
        ``"nothing"`` (DM), ``"synthetic"`` (DC, DSA) or ``"real"`` (IDC, DREAM).
    epochs : int
        Passes over the synthetic set after each step, for ``"synthetic"`` (DC's "inner loop").
    images : int
        Real images shown to the network after each step, for ``"real"``.
    batch, lr, momentum, weight_decay, cutmix, augment :
        The network's own SGD.
    pool : Pool, optional
        Draw each network from a pool of networks that were trained beforehand, instead of initialising it.
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
    pool: Pool | None = added_later(None)


@dataclass(frozen=True)
class Recipe:
    """Everything that decides a synthetic set, but for the data set, the IPC and the seed.

    Attributes
    ----------
    container, sampler, matcher, schedule
        The four parts; see their packages.
    initial : Coreset
        Which real images (or noise) the synthetic set starts from.
    network : NetworkSpec
        Architecture of the matching networks.
    iterations : int
        Networks drawn; there are ``iterations * schedule.steps`` matching steps. 0: the synthetic set stays as it
        starts.
    real_batch : int
        Real images of each class per step.
    synthetic_batch : int
        At most this many decoded synthetic images of each class per step, drawn anew (IDC: 128).
    image_lr, image_momentum : float
        SGD on the container's tensors.
    lr_scaling : str
        ``"none"``, or ``"ipc"``: the learning rate is multiplied by IPC / 10 (IDC's released code).
    augment : Siamese
        Drawn once per class and step, the same for the real and the synthetic images.
    per_class : int, optional
        Only this many real images of each class are used at all; None is all. For scaled-down profiles.
    embedding : SGD
        Training of the embedding network of a coreset that asks for it (its epochs come from the coreset).
    statistics : str
        Where batch norms of the matching network take their mean and variance from; without effect on networks that
        have none. ``"joint"``: from all classes of a batch together, real and synthetic images apart (DM, released
        code). ``"frozen"``: from a few real images of every class, for real and synthetic images alike (DC and DSA,
        released code). ``"per class"``: from one class at a time, which is what a loop over classes does if nothing is
        done about it.
    """

    container: Container = field(default_factory=Pixels)
    sampler: Sampler = field(default_factory=Random)
    matcher: Matcher = field(default_factory=Feature)
    schedule: NetworkSchedule = field(default_factory=NetworkSchedule)
    initial: Coreset = field(default_factory=RealImages)
    network: NetworkSpec = field(default_factory=NetworkSpec)
    iterations: int = 0
    real_batch: int = 256
    synthetic_batch: int = 128
    image_lr: float = 1.0
    image_momentum: float = 0.5
    lr_scaling: str = "none"
    augment: Siamese = field(default_factory=lambda: Siamese("none"))
    per_class: int | None = None
    embedding: SGD = field(default_factory=lambda: SGD(epochs=1, batch=256, lr=0.01))
    statistics: str = added_later("joint")

    @property
    def steps(self) -> int:
        """Matching steps in all."""
        return self.iterations * self.schedule.steps

    def rate(self, ipc: int) -> float:
        """Learning rate of the stored tensors for ``ipc`` images per class."""
        return self.image_lr * (ipc / 10 if self.lr_scaling == "ipc" else 1.0)

    def check(self) -> None:
        """Raise :class:`BadValue` for numbers outside their range."""
        least = {
            "iterations": 0,
            "real_batch": 1,
            "synthetic_batch": 1,
            "image_lr": 0.0,
            "image_momentum": 0.0,
        }
        for name, low in least.items():
            if not getattr(self, name) >= low:
                raise BadValue(f"recipe: {name} is {getattr(self, name)}; expected at least {low}", "")
        if self.schedule.steps < 1:
            raise BadValue(f"recipe: schedule.steps is {self.schedule.steps}; expected at least 1", "")
        if self.schedule.trained_on not in TRAINED_ON:
            raise unknown("choice of training data", self.schedule.trained_on, TRAINED_ON)
        if self.statistics not in STATISTICS:
            raise unknown("choice of batch-norm statistics", self.statistics, STATISTICS)
        if self.schedule.pool is not None:
            self.schedule.pool.check()
        if self.iterations and self.sampler.every < 1:
            raise BadValue(f"recipe: sampler.every is {self.sampler.every}; expected at least 1", "")


D = TypeVar("D")


def change(data: D, path: str, value: Any, *, optional: bool = False) -> D:
    """A copy of a (nested) dataclass with the field at the dotted ``path`` replaced.

    With ``optional`` only a field that exists and holds None is set: a profile bounds the pool of a sampler that has
    none.
    """
    head, _, rest = path.partition(".")
    if not is_dataclass(data) or head not in {entry.name for entry in fields(data)}:
        if optional:
            return data
        names = [entry.name for entry in fields(data)] if is_dataclass(data) else []
        raise unknown(f"field of {type(data).__name__}", head, names)
    if optional and not rest and getattr(data, head) is not None:
        return data
    inner = change(getattr(data, head), rest, value, optional=optional) if rest else value
    changed: Any = replace(cast(Any, data), **{head: inner})
    return cast(D, changed)
