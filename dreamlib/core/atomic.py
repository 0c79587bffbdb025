"""Atomic writes: a reader sees the old file or the new one, never half of one."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path

from .errors import StoreError

# The umask can only be read by setting it. Done once at import, before there are threads.
UMASK = os.umask(0o077)
os.umask(UMASK)


def write_atomically(path: str | Path, write: Callable[[Path], object]) -> Path:
    """Call ``write(temporary)`` in the folder of ``path`` and move the result into place.

    Parameters
    ----------
    path : str or Path
        The file to make or replace; missing folders are made.
    write : callable
        Is given the temporary path and must leave a whole file there.

    Raises
    ------
    StoreError
        When the folder cannot be written, the disk is full, or at ``path`` there is a device, a pipe or another thing
        that is no regular file; ``path`` is then as it was.
    """
    path, temporary = Path(path), None
    try:
        if (kind := special(path)) is not None:
            raise StoreError(
                f"cannot write {path}: it is a {kind}; expected a file, or nothing", "another name"
            )
        path.parent.mkdir(parents=True, exist_ok=True)
        # In the same folder: os.replace is atomic only within one file system.
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
        os.close(handle)
        temporary = Path(name)
        write(temporary)
        with temporary.open("rb+") as file:
            # On disk before the rename: otherwise a power failure could leave the new name with empty contents.
            os.fsync(file.fileno())
        # mkstemp makes private files, but results are there to be read, or shared.
        temporary.chmod(0o666 & ~UMASK)
        os.replace(temporary, path)
        temporary = None
    except OSError as error:
        raise cannot_write(path, error) from error
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):
                temporary.unlink()
    return path


def special(path: Path) -> str | None:
    """What is at ``path``, or where a link there leads, if it is no regular file: "device", "pipe", "socket", "folder".

    Raises OSError if that cannot be found out.
    """
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return None
    kinds = ((stat.S_ISDIR, "folder"), (stat.S_ISFIFO, "pipe"), (stat.S_ISSOCK, "socket"))
    return None if stat.S_ISREG(mode) else next((word for holds, word in kinds if holds(mode)), "device")


def write_text(path: str | Path, text: str) -> Path:
    """Write ``text`` as UTF-8 with ``\\n`` line ends. Raises StoreError as :func:`write_atomically`."""
    return write_atomically(path, lambda temporary: temporary.write_bytes(text.encode("utf-8")))


def cannot_write(path: Path, error: OSError) -> StoreError:
    """The error to raise when ``path`` could not be written because of ``error``."""
    reason = error.strerror or str(error)
    if error.errno in (errno.ENOSPC, errno.EDQUOT) or "No space left" in str(error):
        message = f"no space left for {path} ({reason}); nothing that was finished is lost"
        return StoreError(message, "free some space and run again")
    hint = "a folder that you may write to; for results: --results DIR"
    return StoreError(f"cannot write {path}: {reason}", hint)
