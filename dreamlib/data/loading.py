"""From a name to a :class:`Dataset`: which reader, which folder, which normalisation."""

from __future__ import annotations

import os
import re
from pathlib import Path

import torch

from ..core.errors import BadValue, DataError, unknown
from . import classic, digits, folder, parquet, splits
from . import normalisation as norms
from .arrays import Arrays
from .dataset import Dataset


def names() -> tuple[str, ...]:
    """The built-in data sets."""
    return ("digits", *classic.SOURCES)


def check_name(name: str) -> None:
    """Raise what :func:`load` would raise for a name that cannot be right, without reading anything.

    Raises
    ------
    UnknownName
        If no data set has this name.
    BadValue
        If it is derived (:mod:`dreamlib.data.splits`) in a way that cannot be.
    """
    if name != name.encode("utf-8", "replace").decode("utf-8"):
        raise BadValue(f"data set {name!r} is not valid Unicode (UTF-8)", "rename the folder")
    class_count(name)
    built_in = splits.origin(name)
    if built_in not in names() and not re.match(r"(parquet|folder):.", built_in):
        extra = "; or parquet:PATH, folder:PATH for your own; with @holdout or @5steps-order0-step1 behind it"
        raise unknown("data set", built_in, names(), extra)


def class_count(name: str) -> int | None:
    """Classes of a built-in data set or one derived from it, without reading it; None for a user's own."""
    parent, split = splits.parse(name)
    if split is None:
        return {"cifar100": 100}.get(name, 10) if name in names() else None
    count = class_count(parent)
    return None if count is None else split.classes(count, name)


def load(
    name: str,
    root: str | Path | None = None,
    *,
    normalisation: str = "papers",
    download: bool = True,
    mode: str | None = None,
) -> Dataset:
    """Load a data set by name.

    Parameters
    ----------
    name : str
        A built-in name (:func:`names`); ``"parquet:PATH"`` for a folder of Hugging Face style parquet files
        (``train*.parquet`` and ``test*.parquet`` or ``val*.parquet``); or ``"folder:PATH"`` for images sorted
        as ``train/CLASS/*`` and ``test/CLASS/*`` (or ``val``), TinyImageNet's layout included. PATH is
        absolute or relative to ``root``. Any of them with ``@holdout``, ``@5steps-order0-step1`` or
        ``@5steps-order0-upto1`` behind it is a part of that data set; see :mod:`dreamlib.data.splits`.
    root : str or Path, optional
        Data folder; by default the environment variable ``DREAMLIB_DATA``, or else ``data``. ``digits`` needs
        none. A built-in data set is read from ``root/NAME/*.parquet`` if there are such files, otherwise from
        torchvision's layout.
    normalisation : {"papers", "pixel"}
        Which constants of :func:`statistics` a built-in data set carries. Others always carry their own pixel
        statistics, measured on the training images.
    download : bool
        Whether torchvision may fetch a built-in data set that is not there.
    mode : {None, "L", "RGB"}
        For parquet files and image folders: convert every image to grey or to RGB. By default nothing is
        converted and all images must agree (TinyImageNet's layout, which mixes both, is read as RGB).

    Raises
    ------
    UnknownName
        For an unknown ``name``, ``normalisation`` or ``mode``.
    BadValue
        For a part of a data set that cannot be.
    DataError
        If files are missing, unreadable, damaged, or do not fit each other.
    """
    if normalisation not in norms.KINDS:
        raise unknown("normalisation", normalisation, norms.KINDS)
    if mode not in (None, "L", "RGB"):
        raise unknown("image mode", mode, ("L", "RGB"))
    check_name(name)
    parent, split = splits.parse(name)
    if split is not None:
        whole = load(parent, root, normalisation=normalisation, download=download, mode=mode)
        return splits.derive(whole, name)
    home = Path(root if root is not None else os.environ.get("DREAMLIB_DATA") or "data").expanduser()
    try:
        arrays = _read(name, home, download, mode)
    except OSError as error:
        raise DataError(f"{name}: cannot read {error.filename or home}: {error.strerror or error}") from error
    train_images = torch.from_numpy(arrays.train_images)
    return Dataset(
        name=name,
        train_images=train_images,
        train_labels=torch.from_numpy(arrays.train_labels),
        test_images=torch.from_numpy(arrays.test_images),
        test_labels=torch.from_numpy(arrays.test_labels),
        classes=arrays.classes,
        normalisation=norms.statistics(name, normalisation)
        if name in names()
        else norms.measured(train_images),
    )


def _read(name: str, home: Path, download: bool, mode: str | None) -> Arrays:
    kind, _, path = name.partition(":")
    if path and kind == "parquet":
        return parquet.read(name, home / Path(path).expanduser(), mode)
    if path and kind == "folder":
        return folder.read(name, home / Path(path).expanduser(), mode)
    if name == "digits":
        return digits.read()
    if parquet.found_in(home / name):
        return parquet.read(name, home / name, mode)
    return classic.read(name, home, download)
