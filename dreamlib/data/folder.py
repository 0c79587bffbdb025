"""Images sorted into one folder per class, and TinyImageNet's variant of that."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..core.errors import DataError
from ..core.limits import MOST_FILE
from ..core.reading import contents, no_more_than
from . import cache
from .arrays import Arrays
from .decoding import decode

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".webp"}
ANNOTATIONS = "val_annotations.txt"
Labelled = list[tuple[Path, str]]


def read(name: str, path: Path, mode: str | None) -> Arrays:
    """Read ``path/train/CLASS/**`` and ``path/test/CLASS/**`` (or ``path/val``); classes are sorted by name.

    TinyImageNet's layout, whose ``val/images`` are labelled by ``val/val_annotations.txt``, is recognised by
    that file and read as RGB, since some of its images are grey.

    Raises
    ------
    DataError
        If a part or class is missing or empty, or images are damaged or differ.
    """
    train = _sorted_into_classes(name, path / "train")
    tiny = path / "val" / ANNOTATIONS
    if tiny.is_file():
        test, mode = _annotated(tiny), mode or "RGB"
    else:
        test = _sorted_into_classes(
            name, next((p for p in (path / "test", path / "val") if p.is_dir()), path / "test")
        )
    classes = tuple(sorted({label for _, label in train}))
    strangers = sorted({label for _, label in test} - set(classes))
    if strangers:
        raise DataError(f"{name}: test classes without training images: {', '.join(strangers[:5])}")
    files = [file for file, _ in train + test] + ([tiny] if tiny.is_file() else [])
    return cache.through(
        name,
        files,
        f"mode={mode}",
        lambda: Arrays(*_part(train, classes, mode), *_part(test, classes, mode), classes),
    )


def _sorted_into_classes(name: str, folder: Path) -> Labelled:
    if not folder.is_dir():
        raise DataError(f"{name}: no folder {folder}", "expected train/CLASS/*.png and test/CLASS/*.png")
    labelled: Labelled = []
    for place in sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith(".")):
        if place.name != place.name.encode("utf-8", "replace").decode("utf-8"):
            raise DataError(f"{name}: the name of class folder {str(place)!r} is not UTF-8", "rename it")
        images = sorted(
            p for p in place.rglob("*") if p.suffix.lower() in SUFFIXES and not p.name.startswith(".")
        )
        if not images:
            raise DataError(f"{name}: class folder {place} holds no image ({', '.join(sorted(SUFFIXES))})")
        labelled += [(image, place.name) for image in images]
    if not labelled:
        raise DataError(f"{name}: {folder} holds no class folders", "expected one folder of images per class")
    return labelled


def _annotated(file: Path) -> Labelled:
    labelled: Labelled = []
    try:
        lines = _bytes(file).decode("utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise DataError(f"{file} is no text: {error}", "unpack the data set again") from error
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
