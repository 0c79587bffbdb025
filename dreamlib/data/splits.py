"""Data sets derived from others by name: a part held out for validation, the classes of one step of a class sequence.

::

    cifar10@holdout              a tenth of the training images become the test images; the rest are trained on
    mnist@5steps-order2-step3    the classes in order 2, in 5 steps: the classes of step 3 alone
    mnist@5steps-order2-upto3    the same, all classes seen up to step 3

What is derived keeps the normalisation of the data set it comes from, and all settings that go by its name
(:func:`origin`). Every choice is a fixed one: the name says all that decides it, and no new version of a random number
generator can change it.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, replace
from typing import ClassVar, Protocol

import numpy as np
import torch
from torch import Tensor

from ..core.errors import BadValue
from .dataset import Dataset

HELD_OUT = 0.1
_NUMBER = "(0|[1-9][0-9]*)"  # one spelling of each, since a name is part of a key
_SEQUENCE = re.compile(rf"{_NUMBER}steps-order{_NUMBER}-(step|upto){_NUMBER}")
_LIKE = re.compile(r"(holdout|\d+step)[\w-]*", re.IGNORECASE)


class Split(Protocol):
    """How one data set is made from another.

    Attributes
    ----------
    keeps_test : bool
        Whether its test images are the parent's, which must have some then.
    """

    keeps_test: ClassVar[bool]

    def classes(self, count: int, name: str) -> int:
        """Classes of the derived data set ``name``, of a parent with ``count``; an error if they are too few."""
        ...

    def apply(self, parent: Dataset, name: str) -> Dataset:
        """The derived data set, called ``name``."""
        ...


@dataclass(frozen=True)
class Holdout:
    """10 % of the training images, drawn uniformly whatever their class, as test images (DM supplement, 1.3).

    The parent's own test images are not part of the derived data set: no choice made on it can depend on them.
    """

    keeps_test: ClassVar[bool] = False

    def classes(self, count: int, name: str) -> int:
        return count

    def apply(self, parent: Dataset, name: str) -> Dataset:
        # Uniform whatever the class, as DM's supplement says, so classes may differ by a few images.
        ranked = torch.tensor(_ranked(len(parent.train_labels)))
        cut = max(1, round(HELD_OUT * len(ranked)))
        # Sorted, so that both parts keep the order of the data set.
        held_out, kept = ranked[:cut].sort().values, ranked[cut:].sort().values
        return replace(
            parent,
            name=name,
            train_images=parent.train_images[kept],
            train_labels=parent.train_labels[kept],
            test_images=parent.train_images[held_out],
            test_labels=parent.train_labels[held_out],
        )


@dataclass(frozen=True)
class ClassSequence:
    """The classes that arrive in one step of a class-incremental sequence, or all that have arrived by then.

    Labels count in the order of arrival: the classes of step 1 are 0, 1, ..., those of step 2 go on from there. So
    the sets of all steps, one behind the other, have the labels of ``upto``.

    Attributes
    ----------
    steps : int
        Steps of the sequence, at least 1. Classes are shared out evenly; the first steps get one more where they must.
    order : int
        Which fixed permutation of the classes, counted from 0; order k is the one of DM's released code for seed k
        (its continual learning uses 0 to 4), so that CIFAR-100 arrives here as it did there.
    step : int
        1 to ``steps``.
    seen : bool
        All classes up to ``step`` instead of its own.
    """

    steps: int
    order: int
    step: int
    seen: bool
    keeps_test: ClassVar[bool] = True

    def bounds(self, count: int) -> tuple[int, int]:
        """First and last + 1 of the derived classes in the order of ``count`` classes."""
        least, rest = divmod(count, self.steps)

        def end(step: int) -> int:
            # The first ``rest`` steps have one class more.
            return step * least + min(step, rest)

        return (0 if self.seen else end(self.step - 1)), end(self.step)

    def classes(self, count: int, name: str) -> int:
        if self.steps > count:
            raise BadValue(
                f"{name}: {count} classes cannot arrive in {self.steps} steps; expected 1 to {count} steps",
                f"{name.rpartition('@')[0]}@{count}steps-order{self.order}-step1",
            )
        start, end = self.bounds(count)
        return end - start

    def apply(self, parent: Dataset, name: str) -> Dataset:
        self.classes(parent.num_classes, name)
        start, end = self.bounds(parent.num_classes)
        chosen = _class_order(self.order, parent.num_classes)[start:end]
        # New labels in order of arrival; -1 marks classes that are not in this part.
        label = torch.full((parent.num_classes,), -1)
        label[chosen] = torch.arange(len(chosen))
        train_images, train_labels = _part(parent.train_images, label[parent.train_labels])
        test_images, test_labels = _part(parent.test_images, label[parent.test_labels])
        return replace(
            parent,
            name=name,
            train_images=train_images,
            train_labels=train_labels,
            test_images=test_images,
            test_labels=test_labels,
            classes=tuple(parent.classes[number] for number in chosen),
        )


def parse(name: str) -> tuple[str, Split | None]:
    """The name of the parent and the split that makes ``name`` from it; None for a data set of its own.

    Raises
    ------
    BadValue
        If what follows the last ``@`` is no split, or a number in it is out of range. In ``folder:PATH`` and
        ``parquet:PATH`` anything that does not look like a split is part of the path.
    """
    parent, at, tail = name.rpartition("@")
    if not at:
        return name, None
    if tail == "holdout":
        return parent, Holdout()
    found = _SEQUENCE.fullmatch(tail)
    if found is None:
        if re.match(r"(parquet|folder):", name, re.IGNORECASE) and not _LIKE.fullmatch(tail):
            return name, None
        raise BadValue(
            f"data set {name!r}: unknown part {tail!r}; expected holdout, Nsteps-orderK-stepT "
            "(the classes of step T) or Nsteps-orderK-uptoT (all classes seen by then)",
            f"{parent}@holdout or {parent}@5steps-order0-step1",
        )
    steps, order, step = int(found[1]), int(found[2]), int(found[4])
    if order >= 2**32:
        raise BadValue(
            f"data set {name!r}: order {order}; expected less than 2**32",
            f"{parent}@{steps}steps-order0-step1",
        )
    if not steps:
        raise BadValue(f"data set {name!r}: 0 steps; expected at least 1", f"{parent}@5steps-order0-step1")
    if not 1 <= step <= steps:
        raise BadValue(
            f"data set {name!r}: step {step} of {steps}; expected 1 to {steps}",
            f"{parent}@{steps}steps-order{order}-{found[3]}{min(max(step, 1), steps)}",
        )
    return parent, ClassSequence(steps, order, step, seen=found[3] == "upto")


def origin(name: str) -> str:
    """The data set that ``name`` goes back to; settings by name are those of the origin."""
    parent, split = parse(name)
    return name if split is None else origin(parent)


def derive(parent: Dataset, name: str) -> Dataset:
    """The data set ``name`` from its parent; see the module for the names.

    Raises
    ------
    BadValue
        If ``name`` is not derived from ``parent``, or the split asks for more than the parent has.
    DataError
        If a class is left without a training image, or nothing to test on.
    """
    expected, split = parse(name)
    if split is None or expected != parent.name:
        raise BadValue(f"{name!r} is not derived from {parent.name!r}", f"{parent.name}@holdout")
    return split.apply(parent, name)


def _ranked(count: int) -> list[int]:
    """0 to ``count`` - 1 in a fixed order that looks random: by the hash of the number, without a generator."""
    return sorted(
        range(count), key=lambda number: hashlib.sha256(f"dreamlib holdout {number}".encode()).digest()
    )


def _class_order(order: int, count: int) -> list[int]:
    """The classes 0 to ``count`` - 1 in the order in which they arrive."""
    # Numpy has frozen this generator, so that its numbers are the same in every version, here and in the paper's code.
    permutation: list[int] = np.random.RandomState(order).permutation(count).tolist()
    return permutation


def alike(name: str) -> str:
    """``name`` without the class order, over which results are averaged: ``mnist@5steps-upto3``, or ``name`` itself."""
    return re.sub(r"-order\d+-(?=(step|upto)\d+$)", "-", name)


def _part(images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """The images that have a label."""
    chosen = (labels >= 0).nonzero().flatten()
    return images[chosen], labels[chosen]
