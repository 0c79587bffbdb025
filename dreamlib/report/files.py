"""Writes that are all or nothing: a reader sees the old file or the new one, never half of one."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from ..errors import StoreError


def write_with(path: str | Path, fill: Callable[[Path], None]) -> Path:
    """Let `fill` write a temporary file in the folder of `path`, then move it onto `path`.

    Parameters
    ----------
    path : str or Path
        The file to make or replace; missing folders are made.
    fill : callable
        Is given the temporary path, which ends as `path` does, and must leave a whole file there.

    Raises
    ------
    StoreError
        The folder cannot be written, or the disk is full. The old file, if any, is untouched.
    """
    target = Path(path)
    temporary: Path | None = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=".", suffix=f".tmp{target.suffix}")
        os.close(handle)
        temporary = Path(name)
        temporary.chmod(0o644)  # mkstemp makes private files, but reports are there to be read
        fill(temporary)
        os.replace(temporary, target)
    except OSError as error:
        raise cannot_write(target, error) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
    return target


def write_text(path: str | Path, text: str) -> Path:
    """Write `text` as UTF-8 with ``\\n`` line ends, as :func:`write_with` does."""

    def fill(temporary: Path) -> None:
        temporary.write_bytes(text.encode("utf-8"))

    return write_with(path, fill)


def cannot_write(path: Path, error: OSError) -> StoreError:
    """The StoreError that tells which folder refused `path`, why, and what to do."""
    reason = error.strerror or str(error)
    return StoreError(
        f"cannot write {path.name} in folder {path.parent}: {reason}",
        f"free space in {path.parent} or make it writable, then run the same command again",
    )
