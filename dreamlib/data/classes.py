"""The training set grouped by class on one device, as samplers and criteria use it."""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import Tensor

from ..core.errors import BadValue
from ..core.files import digest, tensors_digest
from .dataset import Dataset
from .normalisation import Normalisation
from .whitening import CHUNK, Whitening

ORDER_SEED = 0  # of the order that ``per_class`` cuts; fixed, so that all runs see the same images
KEYS = 2**62  # random keys are below this

Fresh = Callable[[int], torch.Generator]  # the random stream of a pass over the data, by its number


class ClassData:
    """Training images as uint8 on ``device``, sorted by class, addressed by their position within the class.

    Parameters
    ----------
    dataset : Dataset
        Its training part is used.
    device : torch.device or str
        Where images are kept and batches are made.
    per_class : int, optional
        Keep at most this many images of each class, the first in a fixed seeded order, so that a smaller
        choice is a prefix of a larger one. By default all images are kept, in the order of the data set.

    Attributes
    ----------
    name : str
    shape : tuple of int
        (c, h, w).
    num_classes : int
        C.
    classes : tuple of str
        Their names.
    normalisation : Normalisation
    dataset : Dataset
        Where the images come from.
    device : torch.device
    sizes : Tensor
        int64 (C,), images per class, on ``device``.
    smallest, largest, total : int
        Images in the smallest class, in the largest, and in all.
    labels : Tensor
        int64 (total,), the class of every image in storage order, on ``device``.

    Raises
    ------
    BadValue
        If ``per_class`` is below 1.
    """

    def __init__(
        self, dataset: Dataset, device: torch.device | str = "cpu", *, per_class: int | None = None
    ) -> None:
        if per_class is not None and per_class < 1:
            raise BadValue(f"per_class is {per_class}, expected at least 1 image of each class")
        self.name = dataset.name
        self.shape = dataset.shape
        self.num_classes = dataset.num_classes
        self.classes = dataset.classes
        self.device = torch.device(device)

        # Sorted by class once, so that any class is one slice and a batch of all classes one gather.
        chosen = _by_class(dataset.train_labels, dataset.num_classes, per_class)
        labels = dataset.train_labels[chosen]
        sizes = torch.bincount(labels, minlength=self.num_classes)
        self.smallest, self.largest, self.total = int(sizes.min()), int(sizes.max()), len(chosen)
        self._size_list: list[int] = sizes.tolist()
        # uint8 on the device: a quarter of the memory of floats, normalised as they are taken.
        self._images = dataset.train_images[chosen].to(self.device)
        self.labels = labels.to(self.device)
        self.sizes = sizes.to(self.device)
        # Image b of class c is number starts[c] + b in storage order.
        self._starts = (sizes.cumsum(0) - sizes).to(self.device)
        self._normalise(dataset)

    def _normalise(self, dataset: Dataset) -> None:
        self.dataset, self.normalisation = dataset, dataset.normalisation
        self._mean, self._std = self.normalisation.columns(torch.empty(self.shape, device=self.device))
        # Whitening an image costs more than a small network does with it, so all are whitened at once, in floats.
        self._whitened: Tensor | None = None
        if isinstance(self.normalisation, Whitening):
            parts = self._images.split(CHUNK)
            self._whitened = torch.cat([self.normalisation.apply(part.float().div_(255)) for part in parts])

    def take(self, index: Tensor, classes: Tensor | None = None) -> Tensor:
        """Normalised images at given positions of given classes.

        Parameters
        ----------
        index : Tensor
            int64 (G, B) on ``device``; row g holds positions within class ``classes[g]``, 0 to its size - 1.
        classes : Tensor, optional
            int64 (G,) on ``device``; by default all classes in order, so G = C.

        Returns
        -------
        Tensor
            float32 (G, B, c, h, w), equal to ``normalisation.apply(unit(index, classes))``.

        Raises
        ------
        BadValue
            If shapes or dtypes do not fit, or a position is out of range (checked on the CPU only: on other
            devices looking would hold up the queue).
        """
        flat = self._flat(index, classes)
        return self._normalised(flat.reshape(-1)).view(*index.shape, *self.shape)

    def unit(self, index: Tensor, classes: Tensor | None = None) -> Tensor:
        """As :meth:`take`, but as unit images, float32 in [0, 1]."""
        flat = self._flat(index, classes)
        return self._units(flat.reshape(-1)).view(*index.shape, *self.shape)

    def draw(self, batch: int, generator: torch.Generator) -> Tensor:
        """Positions of ``batch`` different images of every class, each subset and order equally likely.

        Parameters
        ----------
        batch : int
            Images per class, B.
        generator : torch.Generator
            Numbers are drawn on its device, so one CPU generator gives the same draws on every ``device``.

        Returns
        -------
        Tensor
            int64 (C, batch) on ``device``.

        Raises
        ------
        BadValue
            If ``batch`` is below 1 or above the smallest class.
        """
        self._check_batch(batch)
        # The positions of the smallest random keys are a draw without replacement, in all classes at once.
        return self._keys(generator).topk(batch, dim=1, largest=False).indices

    def turn(self, batch: int, number: int, fresh: Fresh) -> Tensor:
        """Positions of the ``number``-th batch of every class, where each runs through permutations of its images.

        What does not fill a batch at the end of a permutation is left out. Any batch can be had without those before
        it.

        Parameters
        ----------
        batch : int
            Images per class, B.
        number : int
            Batches of every class before this one.
        fresh : callable
            ``fresh(p)`` is the random stream of the p-th permutation, from its beginning.

        Returns
        -------
        Tensor
            int64 (C, batch) on ``device``.

        Raises
        ------
        BadValue
            If ``batch`` is below 1 or above the smallest class.
        """
        self._check_batch(batch)
        # Per class: which permutation, and which batch in it. Larger classes have more batches in a pass.
        passes = [divmod(number, size // batch) for size in self._size_list]
        if len(set(passes)) == 1:  # classes of one size, the usual case
            which, at = passes[0]
            return self._keys(fresh(which)).argsort(1)[:, at * batch : (at + 1) * batch]
        rows = torch.empty(self.num_classes, batch, dtype=torch.int64, device=self.device)
        # Classes of different sizes are in different passes; each permutation is drawn once.
        for which in {which for which, _ in passes}:
            order = self._keys(fresh(which)).argsort(1)
            for label, (own, at) in enumerate(passes):
                if own == which:
                    rows[label] = order[label, at * batch : (at + 1) * batch]
        return rows

    def turn_flat(self, batch: int, number: int, fresh: Fresh) -> tuple[Tensor, Tensor]:
        """As :meth:`turn`, over the whole training set whatever the classes; images and labels as of :meth:`at`.

        A training set smaller than a batch is one.
        """
        batch = min(batch, self.total)
        which, at = divmod(number, self.total // batch)
        stream = fresh(which)
        # Drawn again for every batch, from the beginning of its own stream: nothing of a pass has to be kept.
        order = torch.randperm(self.total, generator=stream, device=stream.device)
        return self.at(order[at * batch : (at + 1) * batch].to(self.device))

    def draw_flat(self, batch: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """``batch`` different images drawn uniformly from the whole training set, whatever their class.

        Returns
        -------
        images : Tensor
            Normalised float32 (batch, c, h, w) on ``device``.
        labels : Tensor
            int64 (batch,) on ``device``.

        Raises
        ------
        BadValue
            If ``batch`` is below 1 or above the number of images.
        """
        self._check_flat(batch)
        flat = torch.randperm(self.total, generator=generator, device=generator.device)[:batch].to(
            self.device
        )
        return self.at(flat)

    def at(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """Images and labels by their number in the whole training set, in storage order.

        Parameters
        ----------
        index : Tensor
            int64 of any shape (...), on ``device``; 0 to ``total`` - 1.

        Returns
        -------
        images : Tensor
            Normalised float32 (..., c, h, w) on ``device``.
        labels : Tensor
            int64 (...) on ``device``.
        """
        flat = index.reshape(-1)
        images = self._normalised(flat)
        return images.view(*index.shape, *self.shape), self.labels.index_select(0, flat).view(index.shape)

    def padded_index(self) -> tuple[Tensor, Tensor]:
        """Every position of every class, in one rectangle.

        Returns
        -------
        index : Tensor
            int64 (C, largest): 0, 1, ... per class; beyond its size the last position is repeated, so that
            any slice of columns can be given to :meth:`take`.
        mask : Tensor
            bool (C, largest): True where the position is real.
        """
        position = torch.arange(self.largest, device=self.device).expand(self.num_classes, -1)
        # Repeated, not -1: a negative index would take an image of another class without an error.
        return torch.minimum(position, self.sizes[:, None] - 1), self._mask()

    def normalised_as(self, normalisation: Normalisation) -> ClassData:
        """The same images, normalised otherwise; they are copied only to be whitened.

        Raises
        ------
        BadValue
            For a whitening that was fitted on other training images.
        """
        if normalisation == self.normalisation:
            return self
        # Shallow: the images are shared, only the constants differ.
        other = copy.copy(self)
        other._normalise(self.dataset.normalised_as(normalisation))
        return other

    def fingerprint(self) -> Tensor:
        """sha256 of what networks see of it (images, labels, normalisation): (32,) uint8 on the CPU."""
        seen = tensors_digest({"images": self._images, "labels": self.labels})
        whole = digest([seen, self.normalisation.about()])
        return torch.tensor(list(bytes.fromhex(whole)), dtype=torch.uint8)

    def _keys(self, generator: torch.Generator) -> Tensor:
        """A random number for every image, (C, largest) on ``device``; padding has the largest of all.

        Keys of 62 bits do not tie in practice, so every device chooses alike.
        """
        shape = self.num_classes, self.largest
        keys = torch.randint(KEYS, shape, generator=generator, device=generator.device)
        return keys.to(self.device).masked_fill_(~self._mask(), KEYS)

    def _check_batch(self, batch: int) -> None:
        if not 1 <= batch <= self.smallest:
            label = self._size_list.index(self.smallest)
            raise BadValue(
                f"cannot draw {batch} different images per class of {self.name}: "
                f"class {label} ({self.classes[label]!r}) has {self.smallest}",
                f"a batch between 1 and {self.smallest}",
            )

    def _check_flat(self, batch: int) -> None:
        if not 1 <= batch <= self.total:
            raise BadValue(
                f"cannot draw {batch} different images of {self.name}: it holds {self.total}",
                f"a batch between 1 and {self.total}",
            )

    def _units(self, flat: Tensor) -> Tensor:
        return self._images.index_select(0, flat).to(torch.float32).div_(255)

    def _normalised(self, flat: Tensor) -> Tensor:
        if self._whitened is not None:
            return self._whitened.index_select(0, flat)
        # In place on the fresh copy: one buffer instead of three.
        return self._units(flat).sub_(self._mean).div_(self._std)

    def _mask(self) -> Tensor:
        return torch.arange(self.largest, device=self.device) < self.sizes[:, None]

    def _flat(self, index: Tensor, classes: Tensor | None) -> Tensor:
        rows = self.num_classes if classes is None else len(classes)
        if index.dtype != torch.int64 or index.dim() != 2 or len(index) != rows:
            raise BadValue(
                f"index is {index.dtype} {tuple(index.shape)}, expected int64 ({rows}, B): one row per class"
            )
        starts, sizes = self._starts, self.sizes
        if classes is not None:
            starts, sizes = starts[classes], sizes[classes]
        if index.device.type == "cpu" and bool(((index < 0) | (index >= sizes[:, None])).any()):
            raise BadValue(
                f"index reaches from {int(index.min())} to {int(index.max())}, beyond a class of {self.name}"
            )
        # Position within a class to position in storage order.
        return starts[:, None] + index


def _by_class(labels: Tensor, num_classes: int, per_class: int | None) -> Tensor:
    """Positions in the data set, sorted by class; within a class in data order, or seeded order when cut."""
    if per_class is None:
        return labels.argsort(stable=True)
    # One order of all images, then sorted by class: a smaller ``per_class`` keeps a prefix of a larger one.
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(ORDER_SEED))
    order = order[labels[order].argsort(stable=True)]
    sizes = torch.bincount(labels, minlength=num_classes)
    # The rank of an image within its class, in the seeded order.
    rank = torch.arange(len(labels)) - (sizes.cumsum(0) - sizes).repeat_interleave(sizes)
    return order[rank < per_class]
