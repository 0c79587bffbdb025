"""The distilled set as a user holds it: load, look, train on it, export it."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, TensorDataset, get_worker_info

from ..augment import Augmentation, PerImage, Siamese, cutmix
from ..containers import CONTAINERS, Drawing, Generator, OfImages, drawing
from ..containers.generator import AT_ONCE
from ..core.atomic import write_atomically
from ..core.errors import BadValue, Damaged, StoreError, unknown
from ..core.files import COURSE, read_tensors, write_tensors
from ..core.registry import plain
from ..core.streams import Streams
from ..data import Normalisation

FORMATS = ("safetensors", "images", "parquet")


@dataclass(frozen=True)
class DistilledSet:
    """A synthetic training set, decoded, with everything needed to use it as it was evaluated.

    Attributes
    ----------
    images : Tensor
        (N, c, h, w) float32 in unit space. Methods that do not clamp (DC, DSA, DM) may leave [0, 1]: those values
        are part of the set, :attr:`clipped` says how many.
    labels : Tensor
        (N,) int64, or (N, C) floats where the set has answers of its own.
    stored : Tensor
        (C, ipc, c, h, w) float32 in unit space: the images as they are stored, before decoding.
    classes : tuple of str
        Class names by label.
    normalisation : Normalisation
        What networks were trained with.
    about : dict
        Recipe, seed, seconds, checksum and the rest of the file's metadata.
    rates : Tensor, optional
        Learning rates that belong to the images; see :class:`~dreamlib.containers.Images`.
    """

    images: Tensor
    labels: Tensor
    stored: Tensor
    classes: tuple[str, ...]
    normalisation: Normalisation
    about: dict[str, Any]
    rates: Tensor | None = None

    @property
    def normalised(self) -> Tensor:
        """Images as networks see them, (N, c, h, w)."""
        return self.normalisation.apply(self.images)

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
            Images of a batch (the last of an epoch may be smaller); by default the evaluation's.
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
        size, collate, order = _batches(self.about, batch, augment, len(self.classes), seed)
        return DataLoader(self.dataset(), batch_size=size, shuffle=True, generator=order, collate_fn=collate)

    def bytes(self) -> Tensor:
        """Images (N, c, h, w) as uint8, clamped and rounded."""
        return self.images.clamp(0, 1).mul(255).round().to(torch.uint8)


def _batches(
    about: dict[str, Any], batch: int | None, augment: bool, classes: int, seed: int
) -> tuple[int, _Augmented, torch.Generator]:
    """Size of a batch, how one is made of pairs, and the random stream of their order."""
    training = about.get("evaluation", {}).get("training")
    if training is None and (augment or batch is None):
        raise BadValue(
            "this set does not say how it is evaluated, so neither its augmentation nor its batch is known",
            "loader(batch=64, augment=False)",
        )
    # A regression looks at all images at once and has no batch: it is that of the DC family then.
    size = training.get("batch", 256) if batch is None else batch
    if size < 1:
        raise BadValue(f"batch is {size}; expected at least 1 image", "loader(batch=64)")
    streams = Streams(seed)
    strategy: Augmentation = Siamese("none")
    probability = 0.0
    if augment and "augment" in training:  # not every learner augments
        known = dict(training["augment"])
        kinds: dict[str, type[Augmentation]] = {"Siamese": Siamese, "PerImage": PerImage}
        strategy, probability = kinds[known.pop("part")](**known), training["cutmix"]
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
        images = self.augment.draw(1, self.generator, per_image=len(images))(images.unsqueeze(0))
        if not self.cutmix:
            return images[0], labels
        images, first, second, share = cutmix(images, labels.unsqueeze(0), self.generator, self.cutmix)
        own, pasted = (
            part[0] if part.is_floating_point() else F.one_hot(part[0], self.classes).float()
            for part in (first, second)
        )
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
            If ``per_class`` is below 1.
        """
        labels = self._labels(per_class)
        images = self.drawing.unit(labels, Streams(seed, self.drawing.device)["noise"])
        each = images.unflatten(0, (per_class, len(self.classes))).transpose(0, 1)
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
        if not isinstance(per_class, int) or per_class < 1:
            raise BadValue(
                f"INPC is {per_class!r}; expected a whole number of at least 1 image per class",
                "per_class=10",
            )
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
        mine = self.labels if worker is None else self.labels[worker.id :: worker.num_workers]
        which = f"epoch {self.epoch}" if worker is None else f"worker {worker.seed}"
        self.epoch += 1
        stream = Streams(self.seed, self.drawing.device)[which]
        for part in mine.split(AT_ONCE):
            yield from zip(self.drawing.draw(part, stream), part, strict=True)


def load_set(path: str | Path, dataset: str = "") -> DistilledSet:
    """Load a distilled set from its safetensors file, or from the one that :func:`export` made of it.

    Parameters
    ----------
    path : path
        The file.
    dataset : str
        The data set it is expected to hold; empty takes any.

    Raises
    ------
    StoreError
        If the file is missing, damaged, not a distilled set, or holds another data set.
    """
    stored, about = _read(path)
    try:
        _expect(path, about, dataset)
        normalisation, classes = _normalisation(about), tuple(about["classes"])
        if "stored" in stored:  # exported: already images in unit space
            images, labels, kept = stored["images"], stored["labels"], stored["stored"]
            return DistilledSet(images, labels, kept, classes, normalisation, about, stored.get("rates"))
        container = _container(about)
    except (KeyError, TypeError) as error:
        raise StoreError(
            f"{path} is not a distilled set of this version: {error!r}", "distil it again"
        ) from error
    if not isinstance(container, OfImages):
        raise StoreError(
            f"{path} holds a generator, not a set of images", f"load_generator({str(path)!r}).draw(10)"
        )

    def unit(images: Tensor) -> Tensor:
        return images if container.space == "unit" else normalisation.undo(images)

    decoded = unit(container.decode(stored))
    labels, rates = container.targets(stored, decoded.shape[1]), container.rates(stored)
    kept = unit(stored["images"])
    return DistilledSet(decoded.flatten(0, 1), labels, kept, classes, normalisation, about, rates)


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
        draws = drawing(container, stored, shape, len(classes), _normalisation(about), device)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        short = repr(error) if len(repr(error)) < 200 else f"{repr(error)[:200]} ..."
        raise StoreError(f"{path} is not a generator of this version: {short}", "train it again") from error
    return DistilledGenerator(draws, shape, classes, about)


def _read(path: str | Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    path = Path(path)
    if path.name.endswith(COURSE):
        last = path.with_name(path.name.removesuffix(COURSE) + ".safetensors")
        raise StoreError(f"{path} holds states along a training, not its end", str(last))
    if not path.is_file():
        raise StoreError(
            f"no distilled set at {path}",
            "dreamlib run dream/table1   (makes them, in reports/results/PROFILE/sets), or dreamlib status",
        )
    try:
        return read_tensors(path)
    except Damaged as error:  # what is not in our store is the user's own
        raise StoreError(error.message, "another file, or the same downloaded again") from error


def _expect(path: str | Path, about: dict[str, Any], dataset: str) -> None:
    if dataset and about["dataset"] != dataset:
        held = about["dataset"]
        raise StoreError(f"{path} holds {held!r}, not {dataset!r}", f"dataset={held!r}")


def _normalisation(about: dict[str, Any]) -> Normalisation:
    known = about["normalisation"]
    return Normalisation(known["name"], tuple(known["mean"]), tuple(known["std"]))


def _container(about: dict[str, Any]) -> Any:
    """The container of a file's metadata."""
    fields = {k: v for k, v in about["container"].items() if k not in ("part", "source")}
    kinds: dict[str, Any] = {CONTAINERS[name].__name__: CONTAINERS[name] for name in CONTAINERS}
    return kinds[about["container"]["part"]](**fields)


def export(distilled: DistilledSet, target: str | Path, form: str) -> Path:
    """Write a distilled set for use elsewhere.

    Parameters
    ----------
    distilled : DistilledSet
        What to write.
    target : path
        A file for ``safetensors`` and ``parquet``, a folder for ``images``.
    form : str
        ``"safetensors"``: float32 images in unit space (decoded, and as stored) and labels, lossless.
        ``"images"``: PNG files, one folder per class, as torchvision's ImageFolder reads them. ``"parquet"``: PNG
        bytes and labels as Hugging Face's ``datasets`` reads them. The last two hold 8 bits per value and clamp to
        [0, 1].

    Returns
    -------
    Path
        What was written.
    """
    target = Path(target)
    if form not in FORMATS:
        raise unknown("export format", form, FORMATS)
    if form == "safetensors":
        tensors = {"images": distilled.images, "labels": distilled.labels, "stored": distilled.stored}
        if distilled.rates is not None:
            tensors["rates"] = distilled.rates
        about = {
            **distilled.about,
            "classes": list(distilled.classes),
            "normalisation": plain(distilled.normalisation),
            "space": "unit",
        }
        write_tensors(target, tensors, about)
        return target
    if distilled.labels.is_floating_point():
        raise BadValue(
            f"this set has answers of its own, a number for each class, and {form} holds one class an image",
            "--form safetensors",
        )
    pictures = [_png(image) for image in distilled.bytes()]
    labels = distilled.labels.tolist()
    if form == "images":
        if target.exists() and any(target.iterdir() if target.is_dir() else [target]):
            raise BadValue(f"{target} exists and is not an empty folder", "choose another --to")
        for number, (picture, label) in enumerate(zip(pictures, labels, strict=True)):
            folder = target / f"{label:03d}-{_safe(distilled.classes[label])}"
            write_atomically(folder / f"{number:05d}.png", partial(_write, picture))
        return target
    import json

    import pyarrow as pa
    import pyarrow.parquet as pq

    features = {
        "image": {"_type": "Image"},
        "label": {"names": list(distilled.classes), "_type": "ClassLabel"},
    }
    table = pa.table(
        {
            "image": pa.array(
                [{"bytes": picture, "path": None} for picture in pictures],
                type=pa.struct([("bytes", pa.binary()), ("path", pa.string())]),
            ),
            "label": pa.array(labels, type=pa.int64()),
        }
    ).replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    write_atomically(target, lambda file: pq.write_table(table, file))
    return target


def _png(image: Tensor) -> bytes:
    from PIL import Image

    array = image.permute(1, 2, 0).cpu().numpy()
    picture = Image.fromarray(array[:, :, 0] if array.shape[2] == 1 else array)
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG")
    return buffer.getvalue()


def _write(data: bytes, path: Path) -> None:
    path.write_bytes(data)


def _safe(name: str) -> str:
    return "".join(letter if letter.isalnum() else "_" for letter in name)
