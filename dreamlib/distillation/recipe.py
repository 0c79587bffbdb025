"""A recipe: the four exchangeable parts and the numbers that go with them. Data, not code."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any, TypeVar, cast

from ..augment import Siamese
from ..compute.engine import MODES
from ..containers import Container, GenerativeContainer, Pixels
from ..core.errors import BadValue, unknown
from ..coresets import Coreset, RealImages, Whole
from ..criteria import Adversarial, Objective
from ..matchers import Feature, Matcher
from ..networks import NetworkSpec
from ..networks.training import SGD
from ..samplers import Random, Sampler
from ..teachers.pool import Pool

TRAINED_ON = ("nothing", "synthetic", "real")
STATISTICS = ("joint", "frozen", "per class")
IMAGE_STEPS = ("together", "class by class")
LR_SCALING = ("none", "ipc and size")
POOL_MODES = ("train", "eval")
POOL_SPACES = ("signed", "unit")

# Fractions of a distillation at which the synthetic set is kept, so that accuracy along the way (DREAM, Fig. 1) can be
# evaluated afterwards without distilling again. Early on a set changes fast, hence the spacing.
SNAPSHOTS = (0.0, 0.05, 0.1, 0.2, 0.4, 0.7, 1.0)


def snapshot_steps(steps: int) -> tuple[int, ...]:
    """The step counts at which snapshots are kept, from 0 to ``steps``."""
    return tuple(sorted({round(fraction * steps) for fraction in SNAPSHOTS}))


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
        Real images shown to the network after each step, for ``"real"``: as many whole batches as hold them. They run
        through a permutation of the training set, and then through another one.
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
    pool: Pool | None = None

    @property
    def real_batches(self) -> int:
        """Batches of real images after each step."""
        return -(-self.images // self.batch)


@dataclass(frozen=True)
class Generation:
    """How a generator is trained: by its objective, and from some epoch on by the recipe's matcher too (DiM, Alg. 1).

    Epochs are passes over the real images, in whole batches. While nothing is matched, training depends on the first
    eight fields and ``carries_adam`` alone, so that one training serves every recipe that starts to match somewhere
    along it. Where DiM's paper is silent, the defaults are those of its released code.

    Attributes
    ----------
    objective : Objective
        L_g: what makes generated images resemble the data.
    epochs : int
        Of the objective alone, when it is trained to its end.
    batch : int
        Real images of a step, and as many generated ones.
    lr : float
        Adam's, for the generator and for what is trained beside it.
    betas : tuple of float
        Adam's.
    kept : tuple of int
        Epochs after which a state is kept, beside the first and the last, as far as they are reached.
    independent_draws : bool
        The images that the partner (the discriminator) learns to tell from real ones are generated from noise and
        labels of their own, labels uniform over the classes (DiM, released code). False: from those of the generator's
        own step, where a real image of the same class stands beside each of them.
    generator_first : bool
        A step moves the generator, and then the partner against the generator as it is by now (DiM, released code).
        False: the partner first.
    matched_from : int
        N, epochs of the objective alone before matching starts.
    matched_epochs : int
        Q, epochs with ``objective + weight * matcher``. 0: nothing is matched.
    matched_batch : int
        B, real images of a step while matching.
    matched_rate : float
        Adam's rate while matching, by ``lr``: 1/20 in the released code, the one word on it.
    weight : float
        Lambda (Eq. 7). With 0 the stage is the same but for the matcher, and no network is drawn: the control that a
        gain of matching needs.
    models : tuple of NetworkSpec
        The models pool (Eq. 6): one is drawn for every epoch, with new weights, and trained on real images as the
        recipe's schedule says before every step.
    pool_mode : str
        ``"train"``: while it is matched under, a network of the pool stays in training mode, so that its batch norms
        take mean and variance from the batch they see, and keep count of them (released code). ``"eval"``: they use
        what they remember of the network's own training.
    pool_space : str
        What is normalised with the constants of [0, 1] images before a network of the pool sees it, in matching and in
        its own training: images in [-1, 1], as the generator gives them (``"signed"``, released code), or in [0, 1]
        (``"unit"``), as every other network of a study sees them.
    carries_adam : bool
        Matching goes on with what Adam remembers of the objective alone (released code); else it starts afresh.
    """

    objective: Objective = field(default_factory=Adversarial)
    epochs: int = 200
    batch: int = 64
    lr: float = 1e-4
    betas: tuple[float, float] = (0.0, 0.9)
    kept: tuple[int, ...] = ()
    independent_draws: bool = True
    generator_first: bool = True
    matched_from: int = 120
    matched_epochs: int = 0
    matched_batch: int = 64
    matched_rate: float = 1 / 20
    weight: float = 0.01
    models: tuple[NetworkSpec, ...] = field(default_factory=lambda: (NetworkSpec(),))
    pool_mode: str = "train"
    pool_space: str = "signed"
    carries_adam: bool = True

    @property
    def matched_lr(self) -> float:
        """Adam's learning rate while matching."""
        return self.lr * self.matched_rate

    @property
    def end(self) -> int:
        """Epochs in all."""
        return self.matched_from + self.matched_epochs if self.matched_epochs else self.epochs

    @property
    def states(self) -> tuple[int, ...]:
        """Epochs after which a state is kept."""
        first = self.matched_from if self.matched_epochs else 0
        return tuple(sorted({first, self.end, *(epoch for epoch in self.kept if first < epoch < self.end)}))

    def alone(self) -> Generation:
        """The same without a matcher. Of recipes that differ in what they match, it is the same."""
        return Generation(
            objective=self.objective,
            epochs=self.epochs,
            batch=self.batch,
            lr=self.lr,
            betas=self.betas,
            kept=self.kept,
            independent_draws=self.independent_draws,
            generator_first=self.generator_first,
            carries_adam=self.carries_adam,
        )

    def check(self) -> None:
        """Raise :class:`BadValue` for numbers outside their range."""
        least = {"epochs": 1, "batch": 2, "matched_from": 0, "matched_epochs": 0, "matched_batch": 2}
        for name, low in least.items():
            value = getattr(self, name)
            if not isinstance(value, int) or value < low:
                raise BadValue(
                    f"generation: {name} is {value!r}; expected a whole number of at least {low}",
                    f"{name}={low}",
                )
        for name in ("lr", "matched_rate", "weight"):
            value = getattr(self, name)
            if not isinstance(value, int | float) or not value >= 0:
                raise BadValue(
                    f"generation: {name} is {value!r}; expected a number of at least 0", f"{name}=0.01"
                )
        if len(self.betas) != 2 or not all(0 <= beta < 1 for beta in self.betas):
            raise BadValue(
                f"generation: betas are {self.betas}; expected two numbers in [0, 1)", "betas=(0.0, 0.9)"
            )
        if self.matched_epochs and self.matched_from > self.epochs:
            raise BadValue(
                f"matching starts after epoch {self.matched_from}, but the generator is trained for {self.epochs}",
                f"matched_from={self.epochs} or less, or more epochs",
            )
        if not isinstance(self.models, tuple) or not all(isinstance(one, NetworkSpec) for one in self.models):
            raise BadValue(
                f"generation: models is {self.models!r}; expected a tuple of NetworkSpec",
                "models=(NetworkSpec('convnet'),)",
            )
        if self.pool_mode not in POOL_MODES:
            raise unknown("mode of a models pool", self.pool_mode, POOL_MODES)
        if self.pool_space not in POOL_SPACES:
            raise unknown("space of images for a models pool", self.pool_space, POOL_SPACES)
        if self.matched_epochs and not self.models:
            raise BadValue("a models pool without networks; expected at least one", "models=(NetworkSpec(),)")


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
    synthetic_batch : int, optional
        At most this many decoded synthetic images of each class per step, drawn anew (IDC: 128). None: all of them.
    image_lr, image_momentum : float
        SGD on the container's tensors.
    lr_scaling : str
        ``"none"``, or ``"ipc and size"``: the learning rate is multiplied by IPC / 10 and by (side / ``base_side``)^2
        (IDC, released code).
    base_side : int
        Pixels of an image's side at which ``image_lr`` is as it stands (IDC, released code: 28 on MNIST, 32 elsewhere).
    image_steps : str
        ``"together"``: one step of SGD moves the images of all classes. ``"class by class"``: SGD makes a step after
        the gradient of every class, in order, and each of these also moves all other images by their momentum (IDC
        and DREAM, released code).
    constants : str
        The data set whose constants images are normalised with; empty: their own (IDC, released code: CIFAR-10's for
        CIFAR-100).
    augment : Siamese
        Drawn once per class and step, the same for the real and the synthetic images.
    per_class : int, optional
        Only this many real images of each class are used at all; None is all. For scaled-down profiles.
    embedding : SGD
        Training of the embedding network of a coreset that asks for it (its epochs come from the coreset).
    mode : str
        How the heavy functions run: ``"plain"``, ``"compiled"`` or ``"fast"``; see :mod:`dreamlib.compute.engine`.
    statistics : str
        Where batch norms of the matching network take their mean and variance from; without effect on networks that
        have none. ``"joint"``: from all classes of a batch together, real and synthetic images apart (DM, released
        code). ``"frozen"``: from a few real images of every class, for real and synthetic images alike (DC and DSA,
        released code). ``"per class"``: from one class at a time, which is what a loop over classes does if nothing is
        done about it.
    generation : Generation, optional
        How the container's generator is trained, where it is one. Then ``initial``, ``network``, ``iterations`` and
        what else is said of images is without effect: see :attr:`canonical`. A sampler, an augmentation or a schedule
        that would be is refused.
    """

    container: Container | GenerativeContainer = field(default_factory=Pixels)
    sampler: Sampler = field(default_factory=Random)
    matcher: Matcher = field(default_factory=Feature)
    schedule: NetworkSchedule = field(default_factory=NetworkSchedule)
    initial: Coreset = field(default_factory=RealImages)
    network: NetworkSpec = field(default_factory=NetworkSpec)
    iterations: int = 0
    real_batch: int = 256
    synthetic_batch: int | None = None
    image_lr: float = 1.0
    image_momentum: float = 0.5
    lr_scaling: str = "none"
    base_side: int = 32
    image_steps: str = "together"
    constants: str = ""
    augment: Siamese = field(default_factory=lambda: Siamese("none"))
    per_class: int | None = None
    embedding: SGD = field(default_factory=lambda: SGD(epochs=1, batch=256, lr=0.01))
    mode: str = "plain"
    statistics: str = "joint"
    generation: Generation | None = None

    @property
    def steps(self) -> int:
        """Matching steps in all; of a generator, epochs."""
        return self.generation.end if self.generation else self.iterations * self.schedule.steps

    @property
    def kept(self) -> tuple[int, ...]:
        """Steps after which the state is kept, the last one included."""
        return self.generation.states if self.generation else snapshot_steps(self.steps)

    @property
    def canonical(self) -> Recipe:
        """What decides the result, and nothing else: settings without effect are as they are by default."""
        how = self.generation
        if how is None:
            return self
        bare = Recipe(
            container=self.container,
            per_class=self.per_class,
            mode=self.mode,
            constants=self.constants,
            generation=how,
        )
        if not how.matched_epochs:
            return replace(bare, generation=how.alone())
        return replace(bare, matcher=self.matcher, schedule=self.schedule, augment=self.augment)

    @property
    def first(self) -> Recipe | None:
        """The recipe whose state after ``generation.matched_from`` epochs this one goes on from; None: from none."""
        how = self.generation
        if how is None or not how.matched_epochs:
            return None
        alone = how.alone()
        if how.matched_from not in alone.states:  # a training of its own, for want of a state to share
            alone = replace(alone, kept=tuple(sorted({*alone.kept, how.matched_from})))
        return replace(self, generation=alone).canonical

    @property
    def whole(self) -> bool:
        """Nothing is distilled or stored: networks train on the real images themselves."""
        return isinstance(self.initial, Whole)

    def rate(self, ipc: int, side: int) -> float:
        """Learning rate of the stored tensors for ``ipc`` images per class of ``side`` pixels a side."""
        if self.lr_scaling == "none":
            return self.image_lr
        return self.image_lr * (ipc / 10) * (side / self.base_side) ** 2

    def _check_generated(self, how: Generation) -> None:
        """Refuse what a generator's training would pass over in silence."""
        schedule, sampler = self.schedule, type(self.sampler).__name__
        if not isinstance(self.sampler, Random):
            raise BadValue(
                f"recipe: a sampler {sampler}, and a generator sees all real images in every epoch",
                "sampler=Random()",
            )
        if not how.matched_epochs and self.augment.stages:
            raise BadValue(
                f"recipe: augment is {self.augment.strategy!r}, and nothing is matched under it",
                "matched_epochs=80 in the generation, or augment=Siamese('none')",
            )
        if how.matched_epochs and (
            schedule.trained_on == "synthetic" or schedule.steps != 1 or schedule.pool is not None
        ):
            raise BadValue(
                f"recipe: a schedule with steps={schedule.steps}, trained_on={schedule.trained_on!r} and "
                f"pool={schedule.pool!r}; expected networks that serve one step and learn from real images, if at all",
                "NetworkSchedule(steps=1, trained_on='real'); generation.models is the pool",
            )

    def check(self) -> None:
        """Raise :class:`BadValue` for numbers outside their range."""
        kind, draws = type(self.container).__name__, hasattr(self.container, "module")
        if draws and self.generation is None:
            raise BadValue(f"recipe: a container {kind}, and nothing trains it", "generation=Generation()")
        if self.generation is not None:
            if not draws:
                raise BadValue(
                    f"recipe: a generation, and the container {kind} is no generator", "container=Generator()"
                )
            self.generation.check()
            self._check_generated(self.generation)
        least = {
            "iterations": 0,
            "real_batch": 1,
            "base_side": 1,
            "image_lr": 0.0,
            "image_momentum": 0.0,
        }
        if self.synthetic_batch is not None:
            least["synthetic_batch"] = 1
        for name, low in least.items():
            if not getattr(self, name) >= low:
                raise BadValue(f"recipe: {name} is {getattr(self, name)}; expected at least {low}", "")
        if self.schedule.steps < 1:
            raise BadValue(f"recipe: schedule.steps is {self.schedule.steps}; expected at least 1", "")
        if self.schedule.trained_on not in TRAINED_ON:
            raise unknown("choice of training data", self.schedule.trained_on, TRAINED_ON)
        if self.mode not in MODES:
            raise unknown("mode", self.mode, MODES)
        if not self.image_momentum < 1:
            raise BadValue(
                f"recipe: image_momentum is {self.image_momentum}; expected less than 1", "image_momentum=0.5"
            )
        if self.image_steps not in IMAGE_STEPS:
            raise unknown("order of image steps", self.image_steps, IMAGE_STEPS)
        if self.lr_scaling not in LR_SCALING:
            raise unknown("scaling of the image learning rate", self.lr_scaling, LR_SCALING)
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
