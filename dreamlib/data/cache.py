"""Decoded images, kept uncompressed, so that the second load is a memory map.

One safetensors file per data set, with checksums and class names in its header.
Its name holds a digest of the source files' paths, sizes and times, so changed data never meets an old file.
If anything is wrong with the cache, the data are decoded again.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import tempfile
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open

from ..core.errors import StoreError
from ..core.files import digest, tensors_digest, write_tensors
from ..core.places import path_of
from .arrays import Arrays

FORMAT = "dreamlib-arrays-3"  # another number when the same files are decoded to other arrays
ABANDONED = (
    3600.0  # seconds after which a temporary file is left over from a killed process: writing takes a few
)
log = logging.getLogger(__name__)


def folder() -> Path:
    """``DREAMLIB_CACHE``, or ``dreamlib`` in the user's cache folder; without a home, in the temporary folder."""
    if own := os.environ.get("DREAMLIB_CACHE"):
        return path_of(own)
    if shared := os.environ.get("XDG_CACHE_HOME"):
        return path_of(shared) / "dreamlib"
    try:
        return Path.home() / ".cache" / "dreamlib"
    except RuntimeError:  # no HOME and no account: containers run under such users
        return Path(tempfile.gettempdir(), f"dreamlib-cache-{os.getuid()}")


def through(name: str, files: Iterable[Path], settings: str, decode: Callable[[], Arrays]) -> Arrays:
    """The arrays of ``decode()``, from the cache if the very same ``files`` were decoded before.

    Parameters
    ----------
    name : str
        Readable start of the cache file's name.
    files : iterable of Path
        The source files; their paths, sizes and modification times make the key.
    settings : str
        Whatever else the result depends on.
    decode : callable
        Makes the arrays; called at most once.
    """
    # The name is for people; the key alone identifies the sources.
    readable = "".join(c if c.isalnum() else "-" for c in name)[-40:]
    path = folder() / f"{readable}-{_key(files, settings)}.safetensors"
    try:
        return _load(path)
    except FileNotFoundError:
        log.info("decoding %s into %s", name, path)
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        log.info("decoding %s again, its cache %s is unusable: %s", name, path, error)
    arrays = decode()
    try:
        _save(path, arrays)
    except StoreError as error:
        log.info("%s is not cached: %s", name, error)
    return arrays


def _key(files: Iterable[Path], settings: str) -> str:
    digest = hashlib.sha256(f"{FORMAT} {settings}".encode())
    for file in sorted(files):
        stat = file.stat()
        # Size and time instead of contents: hashing gigabytes would cost as much as decoding saves.
        digest.update(f"\n{file.absolute()} {stat.st_size} {stat.st_mtime_ns}".encode())
    return digest.hexdigest()[:24]


def _load(path: Path) -> Arrays:
    # safetensors maps the file copy-on-write: all processes share its pages, and none can change it.
    with safe_open(path, "pt") as file:
        header = file.metadata() or {}
        parts = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no mapping
    about = json.loads(header["dreamlib"])
    # A torn or altered file is caught here, and decoded again: the cache can be slow, but never wrong.
    if (header["sha256"], header["sha256_of_metadata"]) != (tensors_digest(parts), digest(about)):
        raise ValueError("its contents do not match its checksum")
    return Arrays(**{name: part.numpy() for name, part in parts.items()}, classes=tuple(about["classes"]))


def _save(path: Path, arrays: Arrays) -> None:
    _sweep(path.parent)
    parts = {
        # safetensors wants contiguous memory, and torch warns of arrays that cannot be written to.
        name: torch.from_numpy(np.require(part, requirements=["C", "W"]))
        for name, part in zip(arrays._fields[:-1], arrays[:-1], strict=True)
    }
    write_tensors(path, parts, {"classes": list(arrays.classes)})


def _sweep(folder: Path) -> None:
    """Remove temporary files of killed processes."""
    for draft in folder.glob(".*.tmp"):
        with suppress(OSError):
            if time.time() - draft.stat().st_mtime > ABANDONED:
                draft.unlink()
