"""Images sorted into one folder per class, and TinyImageNet's variant of that."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..core.errors import DataError
from ..core.limits import MOST_FILE
from ..core.reading import contents, no_more_than
from . import cache
from .arrays import TEST, TRAIN, Arrays
from .decoding import decode

SUFFIXES = {
    *(".bmp", ".jfif", ".jpe", ".jpeg", ".jpg", ".pbm", ".pgm", ".png"),
    *(".pnm", ".ppm", ".tif", ".tiff", ".webp"),
}
# Image formats that are not read: leaving such a file out silently would change the data set.
UNREAD = {".avif", ".gif", ".heic", ".heif", ".ico", ".j2k", ".jp2", ".jxl", ".tga"}
ANNOTATIONS = "val_annotations.txt"
# Folders that file managers and storage boxes leave behind, with small copies of the images in them.
LEFT_BEHIND = {"@eaDir", "__MACOSX"}
Labelled = list[tuple[Path, str]]
Part = tuple[np.ndarray, np.ndarray, tuple[str, ...]]  # images, labels, names of the classes


def read(name: str, path: Path, mode: str | None, test: bool) -> Arrays:
    """Read ``path/train/CLASS/**`` and ``path/test/CLASS/**`` (or ``path/val``); classes are sorted by name.

    The names of the parts are those of :mod:`.arrays`. TinyImageNet's layout, whose ``val/images`` are labelled by
    ``val/val_annotations.txt``, is recognised by that file and read as RGB, since some of its images are grey; it may
    have been sorted into ``val/CLASS`` since. Hidden files and folders are passed over.

    Raises
    ------
    DataError
        If a part or class is missing or empty, or images are damaged or differ.
    """
    train = _sorted_into_classes(name, next(iter(_parts(path, TRAIN)), path / "train"))
    # Sorted by name, as torchvision and Hugging Face number them.
    classes = tuple(sorted({label for _, label in train}))
    tested, notes = _tested_on(name, path, classes, test)
    # Networks could only be wrong about a class that they have never seen.
    strangers = sorted({label for _, label in tested or ()} - set(classes))
    if strangers:
        raise DataError(f"{name}: test classes without training images: {', '.join(strangers[:5])}")
    # TinyImageNet has some grey images among colour ones.
    mode = mode or ("RGB" if notes else None)

    def decoded() -> Arrays:
        images = _part(train, classes, mode)
        return Arrays(*images, *(images if tested is None else _part(tested, classes, mode)), classes)

    files = [file for file, _ in train + (tested or [])] + ([notes] if notes else [])
    return cache.through(name, files, f"mode={mode} tested={tested is not None}", decoded)


def labelled(path: Path, mode: str | None = None) -> Part:
    """Images of a single part (of ``path/train`` where there is one), their labels, and the names of the classes.

    As Hugging Face's ``datasets`` reads a folder of images: with a folder for each class, or with ``metadata.csv`` or
    ``metadata.jsonl``, whose ``file_name`` and ``label`` say what an image is.

    Raises
    ------
    DataError
        If there are no images, or they or the metadata are damaged.
    """
    path, notes = _only_part(path)
    found = _sorted_into_classes(str(path), path) if notes is None else _listed(notes)
    classes = tuple(sorted({label for _, label in found}))
    # Numbers by their value: sorted as text, 10 would come before 2.
    if all(label.isdecimal() for label in classes):
        classes = tuple(sorted(classes, key=int))
    return *_part(found, classes, mode), classes


def column(path: Path, name: str) -> list[Any] | None:
    """What else ``metadata.csv`` or ``metadata.jsonl`` says of the images of :func:`labelled`, in their order.

    None where it says nothing under this name.

    Raises
    ------
    DataError
        If it says it of some images only.
    """
    _, notes = _only_part(path)
    rows = [] if notes is None else _rows(notes)
    said = [row[name] for row in rows if name in row]
    if said and len(said) != len(rows):
        raise DataError(
            f"{notes} has {name} in {len(said)} of {len(rows)} lines", f"{name} in every line, or none"
        )
    return said or None


def class_folders(classes: Sequence[str]) -> list[str]:
    """Names of the folders of classes: sorted by name, as all readers do, they are in the order of the labels.

    They are the names of the classes, with numbers in front where these would be sorted otherwise.
    """
    names = ["".join(letter if letter.isalnum() else "_" for letter in name) for name in classes]
    if names == sorted(set(names)) and all(names):
        return names
    return [f"{label:0{max(3, len(str(len(names) - 1)))}d}-{name}" for label, name in enumerate(names)]


def _only_part(path: Path) -> tuple[Path, Path | None]:
    """The folder of the images of a single part, and its metadata where it has any."""
    path = next(iter(_parts(path, TRAIN)), path)
    return path, next((p for kind in ("csv", "jsonl") if (p := path / f"metadata.{kind}").is_file()), None)


def _rows(notes: Path) -> list[dict[str, Any]]:
    text = notes.read_text(encoding="utf-8-sig")
    if notes.suffix == ".csv":
        return list(csv.DictReader(io.StringIO(text)))
    return [json.loads(line) for line in text.splitlines() if line.strip()]


def _listed(notes: Path) -> Labelled:
    """Images and labels listed in ``metadata.csv`` or ``metadata.jsonl``."""
    try:
        found = [(notes.parent / row["file_name"], str(row["label"])) for row in _rows(notes)]
    except (ValueError, KeyError, TypeError, csv.Error, RecursionError) as error:
        raise DataError(
            f"{notes} does not list images: {error!r}", "file_name and label in every line"
        ) from error
    # A list from elsewhere must not read files outside of its own folder.
    for file, _ in found:
        if not file.resolve().is_relative_to(notes.parent.resolve()):
            raise DataError(f"{notes} lists {file}, which lies elsewhere", "file names below its own folder")
    if not found:
        raise DataError(f"{notes} lists no images", "file_name and label in every line")
    return found


def _parts(path: Path, names: tuple[str, ...]) -> list[Path]:
    """The folders of these names in ``path``, whatever their case, in the order of the names."""
    found = [p for p in path.iterdir() if p.is_dir()] if path.is_dir() else []
    return [place for name in names for place in sorted(found) if place.name.lower() == name]


def _tested_on(
    name: str, path: Path, classes: tuple[str, ...], needed: bool
) -> tuple[Labelled | None, Path | None]:
    """The labelled test images, and the file with TinyImageNet's annotations where there is one."""
    places = _parts(path, TEST)
    notes = next((p / ANNOTATIONS for p in places if (p / ANNOTATIONS).is_file()), None)
    if notes is not None:
        unsorted, place = notes.parent / "images", notes.parent
        if (unsorted.is_dir() and any(unsorted.iterdir())) or not any(
            p.name in classes for p in _folders(place)
        ):
            return _annotated(notes), notes
        places = [place]
    for place in places:
        # TinyImageNet's own test/images have no labels.
        if "images" in classes or [p.name for p in _folders(place)] != ["images"]:
            unlabelled = () if "images" in classes else ("images",)
            return _sorted_into_classes(name, place, unlabelled), notes
    if not needed:
        return None, notes
    raise DataError(
        f"{name}: no folder {path / 'test'} with a folder for each class",
        f"a part called {', '.join(TEST)}; or {name}@holdout, tested on a tenth of the training images",
    )


def _folders(place: Path) -> list[Path]:
    return sorted(p for p in place.iterdir() if p.is_dir() and not _left_out(p.name))


def _left_out(name: str) -> bool:
    return name.startswith(".") or name in LEFT_BEHIND


def _sorted_into_classes(name: str, folder: Path, but: tuple[str, ...] = ()) -> Labelled:
    if not folder.is_dir():
        raise DataError(f"{name}: no folder {folder}", "expected train/CLASS/*.png and test/CLASS/*.png")
    labelled: Labelled = []
    for place in (p for p in _folders(folder) if p.name not in but):
        if place.name != place.name.encode("utf-8", "replace").decode("utf-8"):
            raise DataError(f"{name}: the name of class folder {str(place)!r} is not UTF-8", "rename it")
        images = _images(place, sorted(place.rglob("*")))
        if not images:
            raise DataError(f"{name}: class folder {place} holds no image ({', '.join(sorted(SUFFIXES))})")
        labelled += [(image, place.name) for image in images]
    if not labelled:
        raise DataError(f"{name}: {folder} holds no class folders", "expected one folder of images per class")
    # An image in no class folder would be left out silently, and the set would be another one.
    if loose := _images(folder, sorted(folder.iterdir())):
        raise DataError(
            f"{name}: {loose[0]} lies in no class folder", "move it into the folder of its class, or away"
        )
    return labelled


def _images(place: Path, found: list[Path]) -> list[Path]:
    """Those of the files in ``place`` that are images; an error for one of a format that is not read."""
    seen = [p for p in found if not any(map(_left_out, p.relative_to(place).parts))]
    if wrong := [p for p in seen if p.suffix.lower() in UNREAD]:
        raise DataError(
            f"{wrong[0]} is an image of a kind that is not read; expected {', '.join(sorted(SUFFIXES))}",
            "convert it to PNG, or move it away",
        )
    return [p for p in seen if p.suffix.lower() in SUFFIXES and not p.is_dir()]


def _annotated(file: Path) -> Labelled:
    labelled: Labelled = []
    try:
        lines = _bytes(file).decode("utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise DataError(f"{file} is no text: {error}", "the file as TinyImageNet has it") from error
    for number, line in enumerate(lines, start=1):
        fields = line.split("\t")
        if len(fields) < 2:
            raise DataError(
                f"{file}, line {number}: expected image and class separated by a tab, got {line!r}"
            )
        labelled.append((file.parent / "images" / fields[0], fields[1]))
    if not labelled:
        raise DataError(f"{file} is empty")
    return labelled


def _bytes(file: Path) -> bytes:
    try:
        return contents(file, no_more_than(MOST_FILE))
    except ValueError as error:  # a pipe, a device
        raise DataError(f"{file}: {error}", "replace it by a copy, or remove it") from error


def _part(labelled: Labelled, classes: tuple[str, ...], mode: str | None) -> tuple[np.ndarray, np.ndarray]:
    number = {label: i for i, label in enumerate(classes)}
    images = decode(len(labelled), lambda i: _bytes(labelled[i][0]), lambda i: str(labelled[i][0]), mode)
    return images, np.array([number[label] for _, label in labelled], dtype=np.int64)
