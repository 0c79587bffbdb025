"""A user's own parts: Python files that register samplers, matchers, containers, coresets and methods."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import sys
import traceback
from collections.abc import Iterable
from pathlib import Path

from .errors import DreamlibError, PluginError
from .registry import PLUGIN

_loaded: dict[str, str] = {}


def load(files: Iterable[str | Path]) -> list[str]:
    """Import each file once, by path.

    Parameters
    ----------
    files : iterable of path
        Python files. Their module name is made from the path, so that worker processes import the very same.

    Returns
    -------
    list of str
        Module names.

    Raises
    ------
    PluginError
        If a file is missing or raises while it is imported.
    """
    names = []
    for file in files:
        # realpath, unlike resolve(), raises no error for a link to itself.
        path = Path(os.path.realpath(Path(file).expanduser()))
        name = f"{PLUGIN}{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
        names.append(name)
        if name in _loaded:
            continue
        if not path.is_file():
            raise PluginError(
                f"plug-in {file} is not a file", "--plugins mine.py, or PLUGINS=mine.py to make"
            )
        spec = importlib.util.spec_from_file_location(name, path)
        if spec is None or spec.loader is None:
            raise PluginError(
                f"plug-in {file} is not a Python file",
                "--plugins mine.py, or PLUGINS=mine.py to make",
            )
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module  # before it runs: dataclasses look their module up
        try:
            spec.loader.exec_module(module)
        except DreamlibError:
            del sys.modules[name]
            raise
        except (Exception, SystemExit) as error:
            del sys.modules[name]
            trace = traceback.extract_tb(error.__traceback__)
            # The last frame in the user's own file: deeper ones are in the library.
            lines = [frame.lineno for frame in trace if frame.filename == str(path)]
            at = f", line {lines[-1]}" if lines else ""
            message = f"plug-in {file}{at} failed to import: {error!r}"
            raise PluginError(message, "fix it and run again") from error
        _loaded[name] = str(file)
    return names


def files() -> tuple[str, ...]:
    """The plug-in files of this process, as they were named."""
    return tuple(_loaded.values())
