"""Which version of dreamlib this is."""

from __future__ import annotations

from importlib import metadata


def version() -> str:
    """The version that is installed; "0" where the code is read from a folder."""
    try:
        return metadata.version("dreamlib")
    except metadata.PackageNotFoundError:
        return "0"
