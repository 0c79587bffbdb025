"""Where things are: the project's folder, and paths as a user types them."""

from __future__ import annotations

import os
from pathlib import Path

from .errors import BadValue, DataError


def path_of(text: str | Path) -> Path:
    """A path as a user gives it; ``~`` is the home folder, whoever should have expanded it.

    Raises
    ------
    BadValue
        If it begins with ``~`` and there is no such home folder.
    """
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise BadValue(f"path {str(text)!r}: {error}", "the whole path, without ~") from error


def project_root() -> Path:
    """The folder that holds notebooks/ and reports/.

    ``DREAMLIB_ROOT`` wins; otherwise the nearest folder from the working directory upwards whose
    pyproject.toml is ours; otherwise the checkout that this code is read from, so that a notebook runs in any folder.

    Raises
    ------
    DataError
        ``DREAMLIB_ROOT`` is no folder, or there is no checkout: dreamlib was installed from a wheel.
    """
    above = _enclosing_project()
    if os.environ.get("DREAMLIB_ROOT") or _is_project(above):
        return above
    checkout = Path(__file__).resolve().parents[2]
    if _is_project(checkout):
        return checkout
    raise DataError(
        f"no dreamlib project at or above {Path.cwd()}; notebooks and reported numbers are part of the repository, "
        "not of the installed package",
        "clone the repository and cd into it, or set DREAMLIB_ROOT=/path/to/the/repository",
    )


def _enclosing_project() -> Path:
    """The project of ``DREAMLIB_ROOT`` or of the working directory; the working directory where there is none."""
    chosen = os.environ.get("DREAMLIB_ROOT")
    if chosen:
        root = path_of(chosen).resolve()
        if not root.is_dir():
            raise DataError(
                f"DREAMLIB_ROOT={chosen!r} is not a folder", "unset DREAMLIB_ROOT, or correct its path"
            )
        return root
    here = Path.cwd()
    return next(filter(_is_project, (here, *here.parents)), here)


def _is_project(folder: Path) -> bool:
    file = folder / "pyproject.toml"
    return file.is_file() and '"dreamlib"' in file.read_text(encoding="utf-8", errors="replace")


def setting(variable: str, default: str) -> Path:
    """The folder that an environment variable names, else ``default``; the same from any folder of the project.

    A relative path counts from the project's folder, or, outside of a project, from the working directory.
    """
    path = path_of(os.environ.get(variable) or default)
    if path.is_absolute():
        return path
    root = _enclosing_project()
    return path if root == Path.cwd() else root / path
