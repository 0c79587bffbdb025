"""A user's own parts: Python files that register samplers, matchers, containers, coresets and methods."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from collections.abc import Iterable
from pathlib import Path

from .errors import DreamlibError, PluginError


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
        path = Path(file).resolve()
        name = f"dreamlib_plugin_{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
        names.append(name)
        if name in sys.modules:
            continue
        if not path.is_file():
            raise PluginError(f"plug-in {file} is not a file", "PLUGINS=path/to/my_sampler.py")
        spec = importlib.util.spec_from_file_location(name, path)
        if spec is None or spec.loader is None:
            raise PluginError(f"plug-in {file} is not a Python file", "PLUGINS=path/to/my_sampler.py")
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module  # before it runs: dataclasses look their module up
        try:
            spec.loader.exec_module(module)
        except DreamlibError:
            del sys.modules[name]
            raise
        except Exception as error:
            del sys.modules[name]
            raise PluginError(f"plug-in {file} failed to import: {error!r}", "fix it and run again") from error
    return names
