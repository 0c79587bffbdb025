"""A recipe: the exchangeable parts and the numbers that go with them. Data, not code."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any, TypeVar, cast

from ..compute.engine import MODES
from ..containers import SGD as ImageSGD
from ..containers import ClassByClass, Container, Pixels, Update
from ..core.errors import BadValue, unknown
from ..core.registry import UNSAID
from ..coresets import Coreset, RealImages, Whole
from ..criteria import SNAPSHOTS, Criterion, Matching, snapshot_steps
from ..criteria.embedding import embedding_of
from ..data import ClassData, Dataset, Normalisation, statistics
from ..data.whitening import KINDS
from ..networks import NetworkSpec
from ..networks.training import SGD
from ..teachers import Networks, Teacher

__all__ = ["SNAPSHOTS", "Recipe", "change", "snapshot_steps"]

# Values of ``image_steps``, and the update that each stands for.
IMAGE_STEPS = {"together": ImageSGD, "class by class": ClassByClass}
LR_SCALING = ("none", "ipc and size")


@dataclass(frozen=True)
class Recipe:
    """Everything that decides a synthetic set, except the data set, the IPC and the seed.

    Attributes
    ----------
    container : Container
        Where the distilled information lives.
    criterion : Criterion
        What is minimised. Its fields can be named as if they were the recipe's own: ``using(sampler=...)``.
    teacher : Teacher
        Under which weights.
    initial : Coreset
        Which real images (or noise) a set of images starts from.
    network : NetworkSpec
        Architecture of the networks that teach.
    iterations : int
        Networks drawn, each for ``teacher.rounds`` steps. 0: the synthetic set stays as it starts. A generator counts
        epochs instead, which its criterion says.
    image_lr, image_momentum : float
        SGD on stored images.
    lr_scaling : str
        ``"none"``, or ``"ipc and size"``: the learning rate is multiplied by IPC / 10 and by (side / ``base_side``)^2
        (IDC, released code).
    base_side : int
        Pixels of an image's side at which ``image_lr`` is as it stands (IDC, released code: 28 on MNIST, 32 elsewhere).
    image_steps : str
        ``"together"``: one step of SGD moves the images of all classes. ``"class by class"``: SGD makes a step after
        the gradient of every class, in order; see :class:`~dreamlib.containers.ClassByClass` (IDC and DREAM, released
        code).
    constants : str
        The data set whose constants images are normalised with; empty: their own (IDC, released code: CIFAR-10's for
        CIFAR-100). ``"pixel"``: mean and standard deviation of all their own pixels (DD, LD and KIP, released code
        on CIFAR-10, which most of the papers' code divides by smaller numbers).
    whitening : str
        How images are whitened instead, as all training images of the data set say: one of
        :data:`~dreamlib.data.whitening.KINDS`; empty: not at all. What is learned then lives in whitened space, where
        nothing is clamped, and so does augmentation.
    per_class : int, optional
        Only this many real images of each class are used at all; None is all. For scaled-down profiles.
    embedding : SGD
        Training of the embedding network of a coreset that asks for it (its epochs come from the coreset).
    mode : str
        How the heavy functions run: ``"plain"``, ``"compiled"`` or ``"fast"``; see :mod:`dreamlib.compute.engine`.
    """

    container: Container = field(default_factory=Pixels)
    criterion: Criterion = field(default_factory=Matching)
    teacher: Teacher = field(default_factory=Networks)
    initial: Coreset = field(default_factory=RealImages)
    network: NetworkSpec = field(default_factory=NetworkSpec)
    iterations: int = 0
    image_lr: float = 1.0
    image_momentum: float = 0.5
    lr_scaling: str = "none"
    base_side: int = 32
    image_steps: str = "together"
    constants: str = ""
    per_class: int | None = None
    embedding: SGD = field(default_factory=lambda: SGD(epochs=1, batch=256, lr=0.01))
    mode: str = "plain"
    whitening: str = field(default="", metadata=UNSAID)

    @property
    def steps(self) -> int:
        """Steps in all, as the criterion counts them."""
        return self.criterion.steps(self.iterations, self.teacher.rounds)

    @property
    def kept(self) -> tuple[int, ...]:
        """Steps after which the state is kept, the last one included."""
        return self.criterion.kept(self.steps)

    @property
    def first(self) -> Recipe | None:
        """The recipe that has to run first: of an earlier stage, or of experts; None: there is none."""
        # The criterion says what it goes on from (an earlier stage, experts), else the teacher does.
        return self.criterion.before(self) or self.teacher.before(self)

    @property
    def embedded(self) -> Recipe | None:
        """The recipe of the network that the coreset is chosen by, which has to be trained first; None: it is not."""
        return embedding_of(self)

    @property
    def matching(self) -> Matching:
        """The criterion of a recipe that matches images.

        Raises
        ------
        BadValue
            For one that does not.
        """
        if not isinstance(self.criterion, Matching):
            raise BadValue(
                f"recipe: its criterion is {type(self.criterion).__name__}, which has no sampler and real batch",
                "a method that matches images, such as dm",
            )
        return self.criterion

    @property
    def drawn(self) -> bool:
        """Whether images are drawn from what is stored, as many as one likes, instead of being stored."""
        return self.container.slots(1) == 0

    @property
    def whole(self) -> bool:
        """Nothing is distilled or stored: networks train on the real images themselves."""
        return isinstance(self.initial, Whole)

    def normalisation(self, dataset: Dataset) -> Normalisation:
        """What networks see the images of a data set with, real and synthetic, in training and in judgement."""
        if self.whitening:
            return dataset.whitening(self.whitening)
        if self.constants == "pixel":
            return dataset.pixel_normalisation
        return statistics(self.constants) if self.constants else dataset.normalisation

    def update(self, ipc: int, side: int) -> Update:
        """How stored images move: ``ipc`` of each class, of ``side`` pixels a side."""
        rate = self.image_lr
        if self.lr_scaling == "ipc and size":
            # IDC's released code: the rate is as it stands at IPC 10 and a side of ``base_side``.
            rate = self.image_lr * (ipc / 10) * (side / self.base_side) ** 2
        return IMAGE_STEPS[self.image_steps](rate, self.image_momentum)

    def check(self) -> None:
        """Raise :class:`BadValue` for numbers outside their range, and for parts that do not go together."""
        least = {"iterations": 0, "base_side": 1, "image_lr": 0.0, "image_momentum": 0.0}
        for name, low in least.items():
            if not getattr(self, name) >= low:
                raise BadValue(f"recipe: {name} is {getattr(self, name)}; expected at least {low}", "")
        if not self.image_momentum < 1:
            raise BadValue(
                f"recipe: image_momentum is {self.image_momentum}; expected less than 1", "image_momentum=0.5"
            )
        for kind, value, known in (
            ("mode", self.mode, MODES),
            ("order of image steps", self.image_steps, IMAGE_STEPS),
            ("scaling of the image learning rate", self.lr_scaling, LR_SCALING),
        ):
            if value not in known:
                raise unknown(kind, value, known)
        if self.whitening:
            self._check_whitening()
        self.criterion.check()
        self.teacher.check()
        self.criterion.suits(self.container, self.teacher)

    def _check_whitening(self) -> None:
        if self.whitening not in KINDS:
            raise unknown("whitening", self.whitening, KINDS)
        # Statistics of all pixels are what a whitening begins with.
        if self.constants not in ("", "pixel"):
            raise BadValue(
                f"recipe: images are normalised with the constants of {self.constants!r} and whitened "
                f"({self.whitening}); expected one of the two",
                'constants=""',
            )
        if self.container.space != "normalised":
            raise BadValue(
                f"recipe: images are whitened ({self.whitening}) and stored in {self.container.space!r} space; "
                "whitened ones live where networks see them, and nothing clamps them",
                'container=Pixels(space="normalised")',
            )

    def fits(self, data: ClassData, ipc: int) -> None:
        """Raise :class:`BadValue` where this recipe cannot be run on these data."""
        self.container.check(data.shape, data.num_classes, ipc)
        slots = self.container.slots(ipc)
        if slots > data.smallest:
            raise BadValue(
                f"IPC {ipc} needs {slots} real images of each class to start from, "
                f"but the smallest class of {data.name} has {data.smallest}",
                "a smaller IPC or factor",
            )
        if self.steps > self.criterion.first:
            self.criterion.fits(data)
        if self.criterion.taught:
            self.teacher.fits(data)


D = TypeVar("D")


def _fields(data: object) -> list[str]:
    return [entry.name for entry in fields(cast(Any, data))] if is_dataclass(data) else []


def change(data: D, path: str, value: Any) -> D:
    """A copy of a (nested) dataclass with the field at the dotted ``path`` replaced.

    A field that a recipe does not have is looked for in its criterion.
    """
    head, _, rest = path.partition(".")
    names = _fields(data)
    if head not in names and isinstance(data, Recipe):
        inside = _fields(data.criterion)
        if head in inside:
            return change(data, f"criterion.{path}", value)
        names = [*names, *inside]
    if head not in names:
        raise unknown(f"field of {type(data).__name__}", head, names)
    inner = change(getattr(data, head), rest, value) if rest else value
    changed: Any = replace(cast(Any, data), **{head: inner})
    return cast(D, changed)
