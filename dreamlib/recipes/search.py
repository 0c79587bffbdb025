"""Architecture search: the space of the DC and DM papers, seeded subsets of it, and how a profile scales the study."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass

from ..augment import Siamese
from ..core.errors import BadValue
from ..networks import NetworkSpec
from ..networks.training import SGD
from .method import DIGIT_SETS
from .published import DSA_ALL, NO_FLIP
from .rules import Rule, rule

AXES = ("width", "depth", "norm", "activation", "pooling")


@dataclass(frozen=True)
class SearchSpace:
    """Every ConvNet that a choice of widths, depths, norms, activations and poolings makes.

    The default is the space of DC (section 4.3) and DM (section 4.4): 4 x 4 x 5 x 3 x 3 = 720 architectures. An
    iteration gives their :class:`~dreamlib.networks.NetworkSpec`, always in the same order.

    Parameters
    ----------
    width, depth : tuple of int
        Channels of a block, and blocks.
    norm, activation, pooling : tuple of str
        As in :class:`~dreamlib.networks.NetworkSpec`.

    Raises
    ------
    BadValue
        For an axis without a value, or with one twice, and for a width or depth below 1.
    UnknownName
        For a norm, activation or pooling that no network has.

    Examples
    --------
    A search of one's own on a distilled set, chosen by held-out training images::

        images = load_set("set.safetensors").normalised.unflatten(0, (10, -1))  # (classes, images, c, h, w)
        for spec in SearchSpace(depth=(2, 3)).sample(20):
            print(architecture(spec), evaluate(images, load("cifar10@holdout"), Evaluation(network=spec)))
    """

    width: tuple[int, ...] = (32, 64, 128, 256)
    depth: tuple[int, ...] = (1, 2, 3, 4)
    norm: tuple[str, ...] = ("none", "batch", "layer", "instance", "group")
    activation: tuple[str, ...] = ("sigmoid", "relu", "leakyrelu")
    pooling: tuple[str, ...] = ("none", "max", "avg")

    def __post_init__(self) -> None:
        for axis in AXES:
            values = getattr(self, axis)
            if not values:
                raise BadValue(f"empty search space: it has no {axis}", f"SearchSpace({axis}=...)")
            if len(set(values)) < len(values):
                raise BadValue(f"search space: {axis} is {values}; expected every value once", "")
            for value in values:
                NetworkSpec(**{axis: value})  # raises, naming what is wrong and what there is

    def __len__(self) -> int:
        size = 1
        for axis in AXES:
            size *= len(getattr(self, axis))
        return size

    def __iter__(self) -> Iterator[NetworkSpec]:
        for values in itertools.product(*(getattr(self, axis) for axis in AXES)):
            yield NetworkSpec(**dict(zip(AXES, values, strict=True)))

    def sample(self, count: int, seed: int = 0) -> tuple[NetworkSpec, ...]:
        """``count`` different architectures, every subset equally likely, in the order of the space.

        They are those with the smallest sha256 of seed and name, so that no random number generator takes part, a
        larger sample contains the smaller one, and an architecture that two spaces share has one fate in both.

        Raises
        ------
        BadValue
            Unless ``count`` lies between 1 and the size of the space.
        """
        if not 1 <= count <= len(self):
            raise BadValue(
                f"{count} architectures of a search space of {len(self)}; expected 1 to {len(self)}",
                f"sample({min(max(count, 1), len(self))})",
            )
        # By hash, not by a generator, so that samples are nested and stable.
        chosen = set(sorted(self, key=lambda spec: _draw(spec, seed))[:count])
        return tuple(spec for spec in self if spec in chosen)


def architecture(spec: NetworkSpec) -> str:
    """A ConvNet of a search space in one word: ``"w128-d3-instance-relu-avg"``."""
    return f"w{spec.width}-d{spec.depth}-{spec.norm}-{spec.activation}-{spec.pooling}"


def _draw(spec: NetworkSpec, seed: int) -> bytes:
    return hashlib.sha256(f"dreamlib search {seed} {architecture(spec)}".encode()).digest()


@dataclass(frozen=True)
class Search:
    """How a study of architecture search is scaled; a profile has one. The defaults are the published protocol.

    Attributes
    ----------
    space : SearchSpace
        What is searched.
    count : int
        Architectures drawn from it (:meth:`SearchSpace.sample`, seed 0); 0 is all of them.
    top : float
        Share of the architectures, the best on validation under a proxy, whose ranking is judged.
    networks : int
        Trainings of every architecture.
    epochs, whole_epochs : int
        Passes over a proxy set of stored images, and over the whole training set. Every other proxy, and early stopping
        on the whole training set, is trained for as many steps as the first.
    batch : int
        Images of a step.
    recipe_rules : tuple of Rule
        How the proxy sets are distilled, where a profile's own rules do not fit this item.
    """

    space: SearchSpace = SearchSpace()
    count: int = 0
    top: float = 0.05
    networks: int = 5
    epochs: int = 200
    whole_epochs: int = 200
    batch: int = 250
    recipe_rules: tuple[Rule, ...] = ()

    def __post_init__(self) -> None:
        for name in ("networks", "epochs", "whole_epochs", "batch"):
            if getattr(self, name) < 1:
                raise BadValue(f"search: {name} is {getattr(self, name)}; expected at least 1", "")
        if not 0 < self.top <= 1:
            raise BadValue(f"search: top is {self.top}; expected a share above 0, at most 1", "top=0.05")
        if self.count:
            self.space.sample(self.count)  # raises, naming the size of the space

    def architectures(self) -> tuple[NetworkSpec, ...]:
        """What is trained, in the order of the space."""
        return self.space.sample(self.count) if self.count else tuple(self.space)

    def selected(self) -> int:
        """How many architectures ``top`` is: at least two, since one has no rank."""
        return max(2, round(self.top * len(self.architectures())))

    def judging(self, method: str, dataset: str, ipc: int) -> tuple[Rule, ...]:
        """How the cells of a method are judged, but for the network.

        Parameters
        ----------
        method : str
            ``"whole"`` and ``"early-stopping"`` train on the training set itself, all others on a proxy set.
        dataset : str
            Whose test images the trained networks are tested on, besides the ones held out for validation.
        ipc : int
            Images of each class in a proxy set.
        """
        how = SGD(epochs=self.epochs, batch=self.batch, augment=Siamese(DSA_ALL))
        changed = {"protocol": "search", "networks": self.networks, "also_on": dataset}
        if method == "whole":
            # The supplement names the augmentation for the proxies and early stopping, not for this one.
            return (
                rule(
                    SOURCE,
                    {**changed, "steps": 0, "learner": SGD(epochs=self.whole_epochs, batch=self.batch)},
                ),
            )
        # Equal cost: early stopping, and a multi-formation set that decodes to more images than it stores, get the
        # steps of a set whose images are stored as they are.
        return (
            rule(SOURCE, {**changed, "learner": how, "steps": 0, "stop_ipc": ipc}),
            rule(
                "released code: no flip on digits", {"learner.augment.strategy": NO_FLIP}, dataset=DIGIT_SETS
            ),
        )


SOURCE = "DM supplement 1.3: batch, augmentation, number of trainings; epochs as in DM's main paper"
