"""Decoded images, kept uncompressed, so that the second load is a memory map.

One file per data set: a line of checksum and JSON (shapes, offsets, checksums, class names), then the arrays.
Its name holds a digest of the source files' paths, sizes and times, so changed data never meets an old file.
Whatever goes wrong with the cache, the data are decoded again and the caller never notices.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import tempfile
import time
import uuid
import zlib
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

import numpy as np

from ..core.places import path_of
from .arrays import Arrays

FORMAT = "dreamlib-arrays-2"  # another number when the same files are decoded to other arrays
ALIGN = 64
ABANDONED = 3600.0  # seconds after which nobody goes on with a draft: writing one takes a few
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
    readable = "".join(c if c.isalnum() else "-" for c in name)[-40:]
    path = folder() / f"{readable}-{_key(files, settings)}.arrays"
    try:
        return _load(path)
    except FileNotFoundError:
        log.info("decoding %s into %s", name, path)
    except (OSError, ValueError) as error:
        log.info("decoding %s again, its cache %s is unusable: %s", name, path, error)
    arrays = decode()
    try:
        _save(path, arrays)
    except OSError as error:
        log.info("%s is not cached: %s", name, error)
    return arrays


def _key(files: Iterable[Path], settings: str) -> str:
    digest = hashlib.sha256(f"{FORMAT} {settings}".encode())
    for file in sorted(files):
        stat = file.stat()
        digest.update(f"\n{file.absolute()} {stat.st_size} {stat.st_mtime_ns}".encode())
    return digest.hexdigest()[:24]


def _load(path: Path) -> Arrays:
    with path.open("rb") as file:
        checksum, _, text = file.readline().partition(b" ")
        base = file.tell()
    if int(checksum, 16) != zlib.crc32(text):
        raise ValueError("its header is damaged")
    header = json.loads(text)
    arrays = {}
    for name, shape, dtype, offset, expected in header["arrays"]:
        # Copy on write: the file stays as it is, and all processes share the pages that none of them writes.
        array = np.memmap(path, dtype, "c", base + offset, tuple(shape))
        if zlib.crc32(array.data) != expected:
            raise ValueError(f"its {name} are damaged")
        arrays[name] = array.view(np.ndarray)
    return Arrays(**arrays, classes=tuple(header["classes"]))


def _save(path: Path, arrays: Arrays) -> None:
    contents = {
        name: np.ascontiguousarray(part) for name, part in zip(arrays._fields[:-1], arrays[:-1], strict=True)
    }
    entries, offset = [], 0
    for name, array in contents.items():
        entries.append((name, array.shape, array.dtype.str, offset, zlib.crc32(array.data)))
        offset += array.nbytes + _gap(array.nbytes)
    text = json.dumps({"classes": arrays.classes, "arrays": entries}).encode()
    text += b" " * _gap(len(text) + 10) + b"\n"  # 8 digits of checksum, a space, and the line's end
    path.parent.mkdir(parents=True, exist_ok=True)
    _sweep(path.parent)
    draft = path.with_name(f"{path.name}.{uuid.uuid4().hex}.draft")
    try:
        with draft.open("xb") as file:
            file.write(b"%08x " % zlib.crc32(text) + text)
            for array in contents.values():
                file.write(array.data)
                file.write(b"\0" * _gap(array.nbytes))
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def _sweep(folder: Path) -> None:
    """Remove drafts that nobody writes any more: a process was killed at it."""
    for draft in folder.glob("*.draft"):
        with suppress(OSError):
            if time.time() - draft.stat().st_mtime > ABANDONED:
                draft.unlink()


def _gap(size: int) -> int:
    """Bytes from ``size`` to the next multiple of the alignment."""
    return -size % ALIGN
