"""The distilled set as a user holds it: load, look, train on it."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, TensorDataset, get_worker_info

from ..augment import Augmentation, PerImage, Siamese, cutmix
from ..containers import CONTAINERS, Drawing, Generator, OfImages, drawing
from ..containers.generator import AT_ONCE
from ..core.errors import BadValue, Damaged, DataError, StoreError
from ..core.files import COURSE, below, read_json, read_tensors
from ..core.limits import check_fits, check_per_class
from ..core.places import path_of
from ..core.reading import is_folder, present
from ..core.streams import Streams
from ..data import Normalisation, folder, parquet, whitening
from ..data.normalisation import measured
from ..data.whitening import Whitening

# What reading a file of another version, or of another program, can raise.
NOT_OURS = (KeyError, TypeError, ValueError, AttributeError, IndexError, RuntimeError)
WHITENING = "whitening."  # what a whitened set's file holds of its normalisation
NOTES = "dreamlib.json"  # with exported pictures: classes, normalisation, metadata, learned rates
ANSWERS = "soft_label"  # what a column, or a line of metadata, calls a learned label


@dataclass(frozen=True, repr=False)
class DistilledSet:
    """A synthetic training set, decoded, with everything needed to use it as it was evaluated.

    ``len(found)`` is the number of images, ``found[3]`` the image in unit space and its label.

    Attributes
    ----------
    images : Tensor
        (N, c, h, w) float32 in unit space. Methods that do not clamp (DC, DSA, DM) may leave [0, 1]: those values
        are part of the set, :attr:`clipped` says how many.
    labels : Tensor
        (N,) int64, or (N, C) floats where the set has answers of its own.
    stored : Tensor
        (C, ipc, c, h, w) float32 in unit space: the images as they are stored, before decoding; of pictures ``images``
    classes : tuple of str
        Class names by label.
    normalisation : Normalisation
        What networks were trained with.
    about : dict
        Recipe, seed, seconds, checksum and the rest of the file's metadata.
    rates : Tensor, optional
        Learning rates that belong to the images; see :class:`~dreamlib.containers.Images`.
    steps : int, optional
        Of training that belong to the images; likewise.
    whitened : Tensor, optional
        (N, c, h, w) float32: the images as networks see them, where these are whitened. ``images`` are then pictures of
        them, from which there is no exact way back.
    """

    images: Tensor
    labels: Tensor
    stored: Tensor
    classes: tuple[str, ...]
    normalisation: Normalisation
    about: dict[str, Any]
    rates: Tensor | None = None
    steps: int | None = None
    whitened: Tensor | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: Any) -> tuple[Tensor, Tensor]:
        return self.images[index], self.labels[index]

    def __repr__(self) -> str:
        about, (channels, height, width) = self.about, self.images.shape[1:]
        names = ", ".join(self.classes[:4]) + (", ..." if len(self.classes) > 4 else "")
        known = [
            str(about.get("label") or about.get("method") or "of unknown method"),
            *([f"from {about['dataset']}"] if about.get("dataset") else []),
            *([f"seed {about['seed']}"] if "seed" in about else []),
            *([f"profile {about['profile']}"] if "profile" in about else []),
        ]
        return (
            f"DistilledSet of {len(self)} images, {channels} x {height} x {width}, "
            f"{len(self.classes)} classes ({names})\n"
            f"  {', '.join(known)}\n"
            f"  {self.clipped:.1%} of the pixels outside [0, 1]; normalisation {self.normalisation.name!r}"
        )

    @property
    def normalised(self) -> Tensor:
        """Images as networks see them, (N, c, h, w)."""
        return self.whitened if self.whitened is not None else self.normalisation.apply(self.images)

    @property
    def hard_labels(self) -> Tensor:
        """The class of each image, (N,) int64: its label, or, where labels are learned, the class it is stored under.

        Raises
        ------
        BadValue
            If labels are learned, and N is no multiple of the number of classes.
        """
        if not self.labels.is_floating_point():
            return self.labels
        classes = len(self.classes)
        if len(self) % classes:
            raise BadValue(
                f"{len(self)} images with learned labels, and {classes} classes; expected as many of each, class after "
                "class, as sets hold them",
                "labels.argmax(1), if the class of the largest number will do",
            )
        return torch.arange(classes, device=self.labels.device).repeat_interleave(len(self) // classes)

    @property
    def by_class(self) -> Tensor:
        """Images as networks see them, (C, M, c, h, w): what :func:`~dreamlib.distillation.evaluate.evaluate` takes.

        Raises
        ------
        BadValue
            If the classes have different numbers of images, or labels are learned: images alone would lose them.
        """
        if self.labels.is_floating_point():
            raise BadValue(
                f"each label of this set is {self.labels.shape[1]} learned numbers, which images by class would lose",
                "evaluate(distilled, ...), which takes the set as it is; or normalised and hard_labels",
            )
        sizes = self.labels.bincount(minlength=len(self.classes))
        if not bool((sizes == sizes[0]).all()):
            raise BadValue(
                f"the classes have {int(sizes.min())} to {int(sizes.max())} images; expected as many of each",
                "loader(), which takes any",
            )
        # Stable, so that the images of a class keep their order.
        order = self.labels.sort(stable=True).indices
        return self.normalised[order].unflatten(0, (len(self.classes), -1))

    @property
    def clipped(self) -> float:
        """Share of the pixels that lie outside [0, 1] and that a picture cannot show."""
        return float(((self.images < 0) | (self.images > 1)).float().mean())

    def dataset(self) -> TensorDataset:
        """A torch data set of (normalised image, label)."""
        return TensorDataset(self.normalised, self.labels)

    def loader(
        self, batch: int | None = None, *, augment: bool = True, seed: int = 0
    ) -> DataLoader[tuple[Tensor, ...]]:
        """Batches to train on as the set's own evaluation does: shuffled, normalised, augmented, mixed.

        Parameters
        ----------
        batch : int, optional
            Images of a batch (the last of an epoch may be smaller); by default the evaluation's. A set with a rate for
            every step (DD) has batches of its own, in their order, as they are: ``rates[e, s]`` belongs to batch s in
            epoch e.
        augment : bool
            Draw the evaluation's augmentation, with numbers of its own for every image, and its CutMix. False leaves
            the images as they are.
        seed : int
            Of the order, the augmentation and CutMix: two loaders with one seed give the same batches.

        Returns
        -------
        DataLoader
            Of (images, labels): float32 (B, c, h, w), normalised, and what
            :func:`torch.nn.functional.cross_entropy` takes as its target: int64 (B,), or, where the evaluation uses
            CutMix, probabilities float32 (B, C).

        Raises
        ------
        BadValue
            If ``batch`` is below 1, or the set does not say how it is evaluated.
        """
        if batch is None and self.rates is not None and self.rates.ndim == 2:
            return DataLoader(self.dataset(), batch_size=len(self) // self.rates.shape[1])
        size, collate, order = _batches(self.about, batch, augment, len(self.classes), seed)
        return DataLoader(self.dataset(), batch_size=size, shuffle=True, generator=order, collate_fn=collate)

    def bytes(self) -> Tensor:
        """Images (N, c, h, w) as uint8, clamped and rounded.

        Raises
        ------
        BadValue
            If a value is no number.
        """
        if wrong := int((~self.images.isfinite()).sum()):
            raise BadValue(
                f"{wrong} values of the images are NaN or infinite, which no picture can show",
                "distil it again; safetensors keeps what there is",
            )
        return self.images.clamp(0, 1).mul(255).round().to(torch.uint8)


def _batches(
    about: dict[str, Any], batch: int | None, augment: bool, classes: int, seed: int
) -> tuple[int, _Augmented, torch.Generator]:
    """Size of a batch, how one is made of pairs, and the random stream of their order."""
    # The file holds the evaluation it was made for, so that a loader can repeat it.
    training = about.get("evaluation", {}).get("learner", {})
    # A learner without a batch (a regression) has no augmentation either.
    if (augment or batch is None) and "batch" not in training:
        raise BadValue(
            "this set does not say how networks are trained on it, so neither augmentation nor batch is known",
            "loader(batch=64, augment=False)",
        )
    size = training["batch"] if batch is None else batch
    if size < 1:
        raise BadValue(f"batch is {size}; expected at least 1 image", "loader(batch=64)")
    streams = Streams(seed)
    strategy: Augmentation = Siamese("none")
    probability = 0.0
    if augment and "augment" in training:  # not every learner augments
        known = dict(training["augment"])
        kinds: dict[str, type[Augmentation]] = {"Siamese": Siamese, "PerImage": PerImage}
        strategy, probability = kinds[known.pop("part")](**known), training.get("cutmix", 0.0)
    return size, _Augmented(strategy, probability, classes, streams["augment"]), streams["order"]


@dataclass(frozen=True)
class _Augmented:
    """Makes a batch of (image, label) pairs; see :meth:`DistilledSet.loader`."""

    augment: Augmentation
    cutmix: float
    classes: int
    generator: torch.Generator

    def __call__(self, pairs: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
        images = torch.stack([image for image, _ in pairs])
        labels = torch.stack([label for _, label in pairs])
        # One group of B images, each with numbers of its own.
        images = self.augment.draw(1, self.generator, per_image=len(images))(images.unsqueeze(0))
        if not self.cutmix:
            return images[0], labels
        images, first, second, share = cutmix(images, labels.unsqueeze(0), self.generator, self.cutmix)
        own, pasted = (
            part[0] if part.is_floating_point() else F.one_hot(part[0], self.classes).float()
            for part in (first, second)
        )
        # Two labels in one, by their shares of the pixels: what CutMix asks for (cross-entropy is linear in the
        # target).
        return images[0], share * own + (1 - share) * pasted


@dataclass(frozen=True)
class DistilledGenerator:
    """A data set distilled into a generator: any number of training images, drawn when they are wanted.

    Attributes
    ----------
    drawing : Drawing
        Draws images; where it was loaded to.
    shape : tuple of int
        (c, h, w) of an image.
    classes : tuple of str
        Class names by label.
    about : dict
        Recipe, seed, seconds, checksum and the rest of the file's metadata.
    """

    drawing: Drawing
    shape: tuple[int, int, int]
    classes: tuple[str, ...]
    about: dict[str, Any]

    @property
    def normalisation(self) -> Normalisation:
        """What networks are trained with."""
        return self.drawing.normalisation

    def draw(self, per_class: int = 10, *, seed: int = 0) -> DistilledSet:
        """A set of images drawn once, ``per_class`` of each; the same for the same seed.

        Raises
        ------
        BadValue
            If ``per_class`` is below 1, or so many images do not fit into memory.
        """
        labels = self._labels(per_class)
        check_fits(
            4 * len(labels) * math.prod(self.shape), f"{len(labels)} images to draw", "fewer: per_class=10"
        )
        images = self.drawing.unit(labels, Streams(seed, self.drawing.device)["noise"])
        # Drawn with the classes in turn, as an evaluation draws them; held class by class, as all sets are.
        each = images.unflatten(0, (per_class, len(self.classes))).transpose(0, 1)
        # What was drawn, and how, so that the set can be drawn again.
        about = {**self.about, "drawn": {"per_class": per_class, "seed": seed}}
        return DistilledSet(
            each.flatten(0, 1), labels.sort().values, each, self.classes, self.normalisation, about
        )

    def dataset(self, per_class: int = 10, *, seed: int = 0) -> FreshImages:
        """A torch data set of (normalised image, label) whose every epoch has ``per_class`` new images of each class.

        Its k-th epoch is the same whenever the seed is.

        Raises
        ------
        BadValue
            If ``per_class`` is below 1.
        """
        return FreshImages(self.drawing, self._labels(per_class), seed)

    def loader(
        self, per_class: int = 10, *, batch: int | None = None, augment: bool = True, seed: int = 0
    ) -> DataLoader[tuple[Tensor, ...]]:
        """Batches to train on as the generator's own evaluation does: every epoch draws new images.

        Parameters
        ----------
        per_class : int
            Images of each class in an epoch (INPC).
        batch, augment, seed
            As for :meth:`DistilledSet.loader`; images are on the generator's device.

        Raises
        ------
        BadValue
            If ``per_class`` or ``batch`` is below 1, or the generator does not say how it is evaluated.
        """
        size, collate, _ = _batches(self.about, batch, augment, len(self.classes), seed)
        return DataLoader(self.dataset(per_class, seed=seed), batch_size=size, collate_fn=collate)

    def _labels(self, per_class: int) -> Tensor:
        check_per_class(per_class, "INPC", "per_class=10")
        return torch.arange(len(self.classes), device=self.drawing.device).repeat(per_class)


class FreshImages(IterableDataset[tuple[Tensor, Tensor]]):
    """New images from a generator in every epoch, the classes in turn; see :meth:`DistilledGenerator.dataset`.

    The workers of a DataLoader know nothing of each other's epochs: there its ``generator`` decides what is drawn.
    """

    def __init__(self, drawing: Drawing, labels: Tensor, seed: int) -> None:
        super().__init__()
        self.drawing, self.labels, self.seed, self.epoch = drawing, labels, seed, 0

    def __len__(self) -> int:
        return len(self.labels)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        worker = get_worker_info()
        # Every worker draws its own part of the labels: together they make one epoch.
        mine = self.labels if worker is None else self.labels[worker.id :: worker.num_workers]
        # Workers cannot count epochs together: a DataLoader gives each of them a new seed per epoch.
        which = f"epoch {self.epoch}" if worker is None else f"worker {worker.seed}"
        self.epoch += 1
        stream = Streams(self.seed, self.drawing.device)[which]
        for part in mine.split(AT_ONCE):
            yield from zip(self.drawing.draw(part, stream), part, strict=True)


def load_set(path: str | Path, dataset: str = "") -> DistilledSet:
    """Load a distilled set from its safetensors file, or from what :func:`~.exports.export` made of it.

    Pictures of others are read too: a folder of images with labels, as Hugging Face's ``datasets`` reads it
    (:func:`dreamlib.data.folder.labelled`), or a parquet file. Their normalisation is measured on them.

    Parameters
    ----------
    path : path
        The file, or the folder of images.
    dataset : str
        The data set it is expected to hold; empty takes any.

    Raises
    ------
    StoreError
        If the file is missing, damaged, not a distilled set, or holds another data set.
    """
    path = path_of(path)
    if is_folder(path) or (present(path) and _is_parquet(path)):
        return _pictures(path, dataset)
    stored, about = _read(path)
    try:
        _expect(path, about, dataset)
        return _checked(_decoded(path, stored, about))
    except NOT_OURS as error:
        raise StoreError(
            f"{path} is not a distilled set of this version: {_short(error)}", "distil it again"
        ) from error


def _decoded(path: str | Path, stored: dict[str, Tensor], about: dict[str, Any]) -> DistilledSet:
    normalisation, classes = _normalisation(path, about, stored), tuple(about["classes"])
    if "stored" in stored:  # exported: already images in unit space
        images, labels, kept = stored["images"], stored["labels"], stored["stored"]
        steps = int(stored["steps"]) if "steps" in stored else None
        more = stored.get("rates"), steps, stored.get("whitened")
        return DistilledSet(images, labels, kept, classes, normalisation, about, *more)
    container = _container(about)
    if not isinstance(container, OfImages):
        raise StoreError(
            f"{path} holds a generator, not a set of images", f"load_generator({str(path)!r}).draw(10)"
        )

    def unit(images: Tensor) -> Tensor:
        return images if container.space == "unit" else normalisation.undo(images)

    seen = container.decode(stored)
    decoded = unit(seen)
    labels, rates = container.targets(stored, decoded.shape[1]), container.rates(stored)
    kept = unit(stored["images"])
    more = (
        rates,
        container.steps(stored),
        seen.flatten(0, 1) if isinstance(normalisation, Whitening) else None,
    )
    return DistilledSet(decoded.flatten(0, 1), labels, kept, classes, normalisation, about, *more)


def _is_parquet(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return path.is_file() and file.read(4) == b"PAR1"
    except OSError:  # said by the reader
        return False


def _pictures(path: Path, dataset: str) -> DistilledSet:
    """A set from a folder of images or a parquet file."""
    import pyarrow.parquet as pq

    try:
        if path.is_dir():
            if (path / "images.pt").is_file():
                raise DataError("it holds tensors for DD-Ranking, and pickles are not read", "another export")
            pixels, numbers, names = folder.labelled(path)
            notes = read_json(path / NOTES) if (path / NOTES).is_file() else {}
            if notes:  # labels by the place of a folder's name, or a number, among those that were written
                written = folder.class_folders(notes["classes"])
                place = [written.index(name) if name in written else int(name) for name in names]
                numbers = np.array(place)[numbers]
            listed = folder.column(path, ANSWERS)
            answers = None if listed is None else np.array(listed, dtype=np.float32)
        else:
            pixels, numbers, names = parquet.labelled(path)
            notes = json.loads((pq.read_schema(path).metadata or {}).get(NOTES.encode(), b"{}"))
            answers = parquet.numbers(path, ANSWERS)
        about = dict(notes.get("about", {}))
        classes = tuple(notes.get("classes", _without_numbers(names)))
        images, labels = torch.from_numpy(pixels), torch.from_numpy(numbers)
        normalisation = _normalisation(path, notes, {}) if notes else measured(images)
        rates = torch.tensor(notes["rates"]) if "rates" in notes else None
        steps = int(notes["steps"]) if "steps" in notes else None
        if not 0 <= int(labels.min()) <= int(labels.max()) < len(classes):
            raise DataError(f"labels are {labels.min()} to {labels.max()}, expected 0 to {len(classes) - 1}")
        if answers is not None and answers.shape != (len(labels), len(classes)):
            raise DataError(f"{ANSWERS} is {answers.shape}, expected {(len(labels), len(classes))}")
    except (KeyError, TypeError, ValueError, OSError, DataError) as error:
        raise StoreError(f"{path} is no set of images: {error}", "a folder of images with labels") from error
    _expect(path, about, dataset)
    unit = images.float() / 255
    # Class by class, as :class:`DistilledSet` holds its images.
    order = labels.sort(stable=True).indices
    sizes = labels.bincount(minlength=len(classes))
    even = bool((sizes == sizes[0]).all())
    stored = unit[order].unflatten(0, (len(classes), -1)) if even else unit[order]
    found = labels if answers is None else torch.from_numpy(answers)
    if not (notes and rates is not None and rates.ndim == 2):  # then the images are in the order of the steps
        unit, found = unit[order], found[order]
    return DistilledSet(unit, found, stored, classes, normalisation, about, rates, steps)


def _without_numbers(classes: Sequence[str]) -> tuple[str, ...]:
    """Names of class folders without what :func:`~dreamlib.data.folder.class_folders` puts in front of them."""
    found = [re.fullmatch(r"(\d{3,})-(.+)", name) for name in classes]
    if all(match and int(match[1]) == label for label, match in enumerate(found)):
        return tuple(match[2] for match in found if match)
    return tuple(classes)


def _checked(found: DistilledSet) -> DistilledSet:
    """The set, if its parts fit each other."""
    images, labels, classes = found.images, found.labels, len(found.classes)
    if images.dim() != 4 or not images.is_floating_point() or not images.numel():
        raise ValueError(f"images are {images.dtype} {tuple(images.shape)}, expected floats (N, c, h, w)")
    if images.shape[1] != found.normalisation.channels:
        raise ValueError(f"{images.shape[1]} channels, normalised as {found.normalisation.channels}")
    # Answers may be any numbers, so only their shape can be checked.
    if labels.is_floating_point() and labels.shape == (len(images), classes):
        return found  # answers of its own
    if labels.shape != images.shape[:1] or labels.dtype != torch.int64:
        raise ValueError(f"labels are {labels.dtype} {tuple(labels.shape)}, expected int64 ({len(images)},)")
    if labels.min() < 0 or labels.max() >= classes:
        raise ValueError(f"labels are {labels.min()} to {labels.max()}, expected 0 to {classes - 1}")
    return found


def _short(error: Exception) -> str:
    return repr(error) if len(repr(error)) < 200 else f"{repr(error)[:200]} ..."


def load_generator(
    path: str | Path, dataset: str = "", device: torch.device | str = "cpu"
) -> DistilledGenerator:
    """Load a generator from its safetensors file.

    Parameters
    ----------
    path : path
        The file.
    dataset : str
        The data set it is expected to hold; empty takes any.
    device : torch.device or str
        Where images are to be drawn; the same seed draws other images on another kind of device.

    Raises
    ------
    StoreError
        If the file is missing, damaged, not a generator, or holds another data set.
    """
    stored, about = _read(path)
    try:
        container = _container(about)
        if not isinstance(container, Generator) or "stored" in stored:  # the latter: exported, drawn once
            raise StoreError(f"{path} holds a set of images, not a generator", f"load_set({str(path)!r})")
        _expect(path, about, dataset)
        classes, shape = tuple(about["classes"]), tuple(about["shape"])
        draws = drawing(container, stored, shape, len(classes), _normalisation(path, about, {}), device)
    except NOT_OURS as error:
        raise StoreError(
            f"{path} is not a generator of this version: {_short(error)}", "train it again"
        ) from error
    return DistilledGenerator(draws, shape, classes, about)


def _read(path: str | Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    path = Path(path)
    if path.name.endswith(COURSE):
        last = path.with_name(path.name.removesuffix(COURSE) + ".safetensors")
        raise StoreError(f"{path} holds states along a training, not its end", str(last))
    if not present(path):
        raise StoreError(
            f"no distilled set at {path}",
            "dreamlib run dream/table1   (makes them, in reports/results/PROFILE/sets), or dreamlib status",
        )
    try:
        return read_tensors(path)
    except Damaged as error:  # what is not in our store is the user's own
        raise StoreError(error.message, "another file, or the same downloaded again") from error


def _expect(path: str | Path, about: dict[str, Any], dataset: str) -> None:
    if dataset and (held := about.get("dataset")) != dataset:
        what = repr(held) if held else "what it does not name"
        raise StoreError(f"{path} holds {what}, not {dataset!r}", f"another set, or the name {what}")


def _normalisation(path: str | Path, about: dict[str, Any], stored: dict[str, Tensor]) -> Normalisation:
    try:
        return whitening.read(about["normalisation"], below(stored, WHITENING))
    except ValueError as error:
        raise StoreError(f"{path} is no whole set: {error}", "distil it again") from error


def _container(about: dict[str, Any]) -> Any:
    """The container of a file's metadata."""
    # "part" and "source" say which class it is; the rest are its fields.
    fields = {k: v for k, v in about["container"].items() if k not in ("part", "source")}
    kinds: dict[str, Any] = {CONTAINERS[name].__name__: CONTAINERS[name] for name in CONTAINERS}
    return kinds[about["container"]["part"]](**fields)
