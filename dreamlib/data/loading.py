"""From a name to a :class:`Dataset`: which reader, which folder, which normalisation."""

from __future__ import annotations

import re
from pathlib import Path

import torch

from ..core.errors import BadValue, DataError, unknown
from ..core.places import path_of, setting
from . import classic, digits, folder, parquet, splits
from . import normalisation as norms
from .arrays import Arrays
from .dataset import Dataset

OWN = re.compile(r"(parquet|folder):.", re.IGNORECASE)
MODES = {"rgb": "RGB", "grey": "L"}


def names() -> tuple[str, ...]:
    """The built-in data sets."""
    return ("digits", *classic.SOURCES)


def check_name(name: str) -> str:
    """The name as the library has it, for one in whatever case; what :func:`load` would raise for one that cannot be.

    Nothing is read.

    Raises
    ------
    UnknownName
        If no data set has this name.
    BadValue
        If it is derived (:mod:`dreamlib.data.splits`) in a way that cannot be.
    """
    if name != name.encode("utf-8", "replace").decode("utf-8"):
        raise BadValue(f"data set {name!r} is not valid Unicode (UTF-8)", "rename the folder")
    name = spelt(name)
    class_count(name)
    built_in = splits.origin(name)
    if built_in not in names() and not OWN.match(built_in):
        extra = "; or parquet:PATH, folder:PATH for your own; with @holdout or @5steps-order0-step1 behind it"
        raise unknown("data set", built_in, names(), extra)
    return name


def spelt(name: str) -> str:
    """``name`` with a built-in data set, or the kind of one's own, spelt as here: mnist for MNIST."""
    if OWN.match(name):
        kind, _, path = name.partition(":")
        return f"{kind.lower()}:{path}"
    whole, at, part = name.partition("@")
    return next((known for known in names() if known == whole.lower()), whole) + at + part


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
    test: bool = True,
) -> Dataset:
    """Load a data set by name.

    Parameters
    ----------
    name : str
        A built-in name (:func:`names`); ``"parquet:PATH"`` for a folder of Hugging Face style parquet files
        (``train*.parquet`` and ``test*.parquet`` or ``val*.parquet``); or ``"folder:PATH"`` for images sorted
        as ``train/CLASS/*`` and ``test/CLASS/*`` (or ``val``), TinyImageNet's layout included. The test part may also
        be called ``valid``, ``validation`` or ``dev``. PATH is absolute or relative to ``root``; with ``@rgb`` or
        ``@grey`` behind it every image is converted. Any of them with ``@holdout``, ``@5steps-order0-step1`` or
        ``@5steps-order0-upto1`` behind it is a part of that data set; see :mod:`dreamlib.data.splits`.
    root : str or Path, optional
        Data folder; by default the environment variable ``DREAMLIB_DATA``, or else ``data``, below the project's
        folder if there is one. ``digits`` needs none. A built-in data set is read from ``root/NAME/*.parquet`` if
        there are such files, otherwise from torchvision's layout.
    normalisation : {"papers", "pixel"}
        Which constants of :func:`statistics` a built-in data set carries. Others always carry their own pixel
        statistics, measured on the training images.
    download : bool
        Whether torchvision may fetch a built-in data set that is not there.
    mode : {None, "L", "RGB"}
        For parquet files and image folders: convert every image to grey or to RGB, as ``@grey`` and ``@rgb`` do. By
        default nothing is converted and all images must agree (TinyImageNet's layout, which mixes both, is read as
        RGB).
    test : bool
        Whether a test part must be there. Without one, the training images stand in its place until a split
        (``@holdout``) puts some of them there.

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
    name = check_name(name)
    parent, split = splits.parse(name)
    if split is not None:
        # A part is cut out of its whole. Whether that needs test images depends on the part: a held-out one brings its
        # own.
        whole = load(
            parent,
            root,
            normalisation=normalisation,
            download=download,
            mode=mode,
            test=split.keeps_test,
        )
        return splits.derive(whole, name)
    home = data_folder(root)
    try:
        arrays = _read(name, home, download, mode, test)
    except OSError as error:
        raise DataError(f"{name}: cannot read {error.filename or home}: {error.strerror or error}") from error
    # A competition's test part has no labels; a split will take test images from the training part.
    if not test and (arrays.test_labels == -1).all():  # nobody says what they show
        arrays = arrays._replace(test_images=arrays.train_images, test_labels=arrays.train_labels)
    train_images = torch.from_numpy(arrays.train_images)
    return Dataset(
        name=name,
        train_images=train_images,
        train_labels=torch.from_numpy(arrays.train_labels),
        test_images=torch.from_numpy(arrays.test_images),
        test_labels=torch.from_numpy(arrays.test_labels),
        classes=arrays.classes,
        normalisation=norms.statistics(name, normalisation)
        # Published constants where there are any; what a user brings is measured.
        if name in names()
        else norms.measured(train_images),
    )


def data_folder(root: str | Path | None = None) -> Path:
    """``root``, else what ``DREAMLIB_DATA`` names, else the project's ``data``."""
    return setting("DREAMLIB_DATA", "data") if root is None else path_of(root)


def at_hand(name: str, root: str | Path | None = None) -> str | None:
    """The fingerprint of a user's own data set as it is now.

    Returns
    -------
    str or None
        :attr:`Dataset.fingerprint`; ``""`` where its files cannot be read; None where there are
        no files, and for built-in data sets, which do not change.
    """
    kind, _, path = splits.origin(name).partition(":")
    if not path or not _place(kind, path, data_folder(root))[0].exists():
        return None
    try:
        return load(name, root).fingerprint
    except DataError:
        return ""


def _place(kind: str, path: str, home: Path) -> tuple[Path, str | None]:
    """The folder of a user's own data set, and the mode that ``@rgb`` or ``@grey`` behind its path asks for."""
    # A folder that is really called "...@rgb" is itself.
    folder, (before, _, mode) = home / path_of(path), path.rpartition("@")
    if mode in MODES and not folder.exists():
        return home / path_of(before), MODES[mode]
    return folder, None


def _read(name: str, home: Path, download: bool, mode: str | None, test: bool) -> Arrays:
    kind, _, path = name.partition(":")
    if path:
        place, told = _place(kind, path, home)
        return (parquet if kind == "parquet" else folder).read(name, place, mode or told, test)
    if name == "digits":
        return digits.read()
    # A folder with the data set's name and parquet files wins over torchvision's layout.
    if parquet.found_in(home / name):
        return parquet.read(name, home / name, mode, test)
    return classic.read(name, home, download)
