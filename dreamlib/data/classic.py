"""The classic data sets in the layout of torchvision, read and downloaded by torchvision."""

from __future__ import annotations

import gzip
import math
import struct
import warnings
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..core.errors import DataError
from .arrays import Arrays


@dataclass(frozen=True)
class Source:
    """A torchvision class, the folder it is given, the folder of its files, and the order of its axes."""

    loader: str
    base: str
    files: str
    axes: str


LARGEST = 2**31  # bytes
SOURCES = {
    "mnist": Source("MNIST", ".", "MNIST/raw", "nhw"),
    "fashionmnist": Source("FashionMNIST", ".", "FashionMNIST/raw", "nhw"),
    "svhn": Source("SVHN", "svhn", "svhn", "nchw"),
    "cifar10": Source("CIFAR10", ".", "cifar-10-batches-py", "nhwc"),
    "cifar100": Source("CIFAR100", ".", "cifar-100-python", "nhwc"),
}


def read(name: str, root: Path, download: bool) -> Arrays:
    """Read a data set of :data:`SOURCES` below ``root``, fetching it first if it is missing and ``download``.

    Raises
    ------
    DataError
        If it is missing, damaged, or cannot be downloaded.
    """
    _check_regular(name, root / SOURCES[name].files)
    try:
        return _read(name, root, download=False)
    except Exception as error:  # torchvision and the formats beneath it raise almost anything on a bad file
        problem = error
    if SOURCES[name].axes == "nhw" and (found := _idx_files(root / SOURCES[name].files)):
        try:
            return _read_idx(name, *found)
        except (OSError, EOFError, ValueError, struct.error, zlib.error) as error:
            problem = error
    # Only now: what is there, in whatever form, is read before anything is fetched.
    if download:
        try:
            return _read(name, root, download=True)
        except Exception as error:
            problem = error
    where = root / SOURCES[name].files
    reason = " ".join(str(problem).split()) or type(problem).__name__
    if where.is_dir() and any(where.iterdir()):
        raise DataError(
            f"{name}: the files in {where} are incomplete or damaged ({reason})",
            f"remove {where} and load again",
        ) from problem
    tried = f"and downloading failed ({reason})" if download else "and download=False"
    raise DataError(
        f"{name}: not found in {where}, {tried}",
        f"set DREAMLIB_DATA to the folder of {SOURCES[name].files}, or use 'digits', which needs no files",
    ) from problem


def _idx_files(folder: Path) -> list[Path]:
    """The four files of MNIST as browsers and Kaggle leave them, packed or with a dot for a dash; none if one lacks."""
    found = []
    for part in ("train", "t10k"):
        for what in ("images-idx3", "labels-idx1"):
            stems = (f"{part}-{what}-ubyte", f"{part}-{what.replace('-', '.')}-ubyte")
            files = [folder / f"{stem}{end}" for stem in stems for end in ("", ".gz")]
            found += [next((file for file in files if file.is_file()), folder)]
    # Torchvision reads them under their published names, and says what is wrong with them.
    as_published = all(file.suffix == "" for file in found)
    return [] if folder in found or as_published else found


def _read_idx(name: str, *files: Path) -> Arrays:
    from torchvision import datasets

    arrays: list[Any] = []
    for file in files:
        with gzip.open(file) if file.suffix == ".gz" else file.open("rb") as opened:
            # Bounded: a packed file of a few kilobytes may unpack to more than the memory. MNIST needs 47 MB.
            raw = opened.read(2**27)
        # The IDX format: 2051 is a file of images, 2049 one of labels; sizes follow as big-endian 32-bit integers.
        magic, count = struct.unpack(">ii", raw[:8])
        images = magic == 2051
        shape = (count, *struct.unpack(">ii", raw[8:16])) if images else (count,)
        body = np.frombuffer(raw, np.uint8, offset=16 if images else 8)
        if magic not in (2049, 2051) or body.size != math.prod(shape):
            raise ValueError(f"{file.name} holds {body.size} values, and says {shape}")
        arrays.append(body.reshape(count, 1, *shape[1:]).copy() if images else body.astype(np.int64))
    names = getattr(datasets, SOURCES[name].loader).classes
    return Arrays._make([*arrays, tuple(label.split(" - ")[0] for label in names)])


def _check_regular(name: str, folder: Path) -> None:
    """Torchvision would wait for ever at a pipe, and read a file of any size into memory."""
    for file in folder.iterdir() if folder.is_dir() else ():
        if file.exists() and not (file.is_file() or file.is_dir()):
            raise DataError(f"{name}: {file} is no regular file", f"remove {folder} and load again")
        if file.is_file() and file.stat().st_size > LARGEST:
            raise DataError(
                f"{name}: {file} has {file.stat().st_size:,} bytes; none of its files has more than {LARGEST:,}",
                f"remove {folder} and load again",
            )


def _read(name: str, root: Path, download: bool) -> Arrays:
    with warnings.catch_warnings():
        # The original CIFAR pickles are so old that some versions of numpy warn of the dtypes in them.
        warnings.filterwarnings("ignore", message=".*align should be passed")
        train, test = _open(name, root, True, download), _open(name, root, False, download)
    axes = SOURCES[name].axes
    classes = getattr(train, "classes", [str(digit) for digit in range(10)])
    return Arrays(
        *_arrays(train, axes), *_arrays(test, axes), classes=tuple(label.split(" - ")[0] for label in classes)
    )


def _open(name: str, root: Path, train: bool, download: bool) -> Any:
    from torchvision import datasets  # slow to import, and needed by these data sets alone

    source = SOURCES[name]
    # SVHN calls its parts by name in torchvision; the others take a flag.
    part: dict[str, Any] = {"split": "train" if train else "test"} if name == "svhn" else {"train": train}
    return getattr(datasets, source.loader)(root / source.base, download=download, **part)


def _arrays(part: Any, axes: str) -> tuple[np.ndarray, np.ndarray]:
    """Images (N, c, h, w) and labels of one torchvision data set."""
    images, labels = np.asarray(part.data), part.labels if hasattr(part, "labels") else part.targets
    if axes == "nhw":
        images = images[:, None]
    elif axes == "nhwc":
        images = images.transpose(0, 3, 1, 2)
    return np.ascontiguousarray(images), np.asarray(labels, dtype=np.int64)
