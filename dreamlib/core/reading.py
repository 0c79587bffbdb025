"""Reading: a file is opened once, without waiting for it, after a look at what it is and how large."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from .errors import StoreError

_NO_WAIT = getattr(os, "O_NONBLOCK", 0)


def contents(
    path: Path,
    check: Callable[[BinaryIO, int], None] = lambda stream, size: None,
    read: Callable[[BinaryIO], bytes] = lambda stream: stream.read(),
) -> bytes:
    """The bytes of a regular file, opened and read once.

    Parameters
    ----------
    path : Path
        The file.
    check : callable
        ``check(stream, size)`` may look at the start and raise ValueError before the rest takes memory.
    read : callable
        What is read of it from the start; by default all.

    Raises
    ------
    OSError
        If it cannot be opened or read.
    ValueError
        If it is no regular file, or does not pass ``check``.
    """
    # O_NONBLOCK: opening a pipe that nobody writes to would wait for ever.
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | _NO_WAIT)) as stream:
        # Of the open file, not of the name: the name may lead to another file by now.
        about = os.fstat(stream.fileno())
        if not stat.S_ISREG(about.st_mode):
            raise ValueError("it is no regular file")
        check(stream, about.st_size)
        stream.seek(0)
        return read(stream)


def present(path: Path) -> bool:
    """Whether there is a regular file. Raises StoreError if that cannot be found out."""
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except (OSError, ValueError) as error:  # the latter: a null character in the name
        raise cannot_read(path, error) from error


def is_folder(path: Path) -> bool:
    """Whether there is a folder; a name that no file can have is none."""
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def no_more_than(most: int) -> Callable[[BinaryIO, int], None]:
    """A ``check`` for :func:`contents`: at most so many bytes."""

    def check(stream: BinaryIO, size: int) -> None:
        if size > most:
            raise ValueError(f"it has {size:,} bytes; expected at most {most:,}")

    return check


def cannot_read(path: Path, error: Exception) -> StoreError:
    """The error to raise when ``path`` could not be read because of ``error``: it is there, and not damaged."""
    reason = getattr(error, "strerror", None) or str(error) or "it does not fit into memory"
    hint = "read permission for it, a disk that answers, or fewer open files; nothing was changed"
    if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
        hint = "a shorter path"
    return StoreError(f"cannot read {path}: {reason}", hint)
