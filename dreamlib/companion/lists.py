"""Lists as they are typed, at a command line or as the parameter of a notebook: names and whole numbers."""

from __future__ import annotations

import argparse
import re

from ..core.errors import BadValue


def names_of(text: str) -> tuple[str, ...]:
    """The parts of a comma-separated list."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def whole(text: str) -> int:
    """A whole number in plain digits: Python would take "1_0" and the digits of every script."""
    if not re.fullmatch(r"-?[0-9]{1,18}", text.strip()):
        raise argparse.ArgumentTypeError(f"{text!r}; expected a whole number")
    return int(text)


def numbers_of(text: str) -> tuple[int, ...]:
    """The numbers of a comma-separated list."""
    try:
        return tuple(whole(part) for part in names_of(text))
    except argparse.ArgumentTypeError as error:
        hint = "--ipc 1,10, or IPC=1,10 to make"
        raise BadValue(f"IPC {text!r}; expected whole numbers separated by commas", hint) from error
