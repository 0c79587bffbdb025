"""Errors a reader can act on: what was wrong, with which value, what was expected, what to type next."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class DreamlibError(Exception):
    """Base of every error raised on purpose.

    Parameters
    ----------
    message : str
        Names the thing, its value and what was expected.
    hint : str
        What to type or change next; shown on its own line.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        self.message = message
        self.hint = hint
        lead = "" if hint.startswith("did you mean") else "try: "
        super().__init__(f"{message}\n  {lead}{hint}" if hint else message)

    def __reduce__(self) -> tuple[type, tuple[str, str]]:
        # Errors cross process borders (workers report to their parent), so both arguments must survive pickling.
        return type(self), (self.message, self.hint)


class UnknownName(DreamlibError, ValueError):
    """A name that no registry knows."""


class BadValue(DreamlibError, ValueError):
    """A value outside its range, or values that do not fit each other."""


class DataError(DreamlibError):
    """A data set that is missing, damaged or not of the expected form."""


class StoreError(DreamlibError):
    """A results folder that cannot be read or written, or holds something that is not ours."""


class Damaged(StoreError):
    """A file that was read and is not what it should be: cut off, changed, or not ours."""


class Diverged(DreamlibError):
    """A loss became NaN or infinite."""


class Singular(Diverged):
    """A kernel that cannot be inverted, or no longer."""


class OutOfMemory(DreamlibError):
    """The device has too little memory even for the smallest chunk."""


class PluginError(DreamlibError):
    """A user's plug-in file could not be imported."""


def unknown(kind: str, name: object, valid: Iterable[str], extra: str = "") -> UnknownName:
    """An :class:`UnknownName` that lists the valid names and points at the closest one.

    Of names with a slash, those that go on from it as ``name`` does are the closest: "dream/table1" for "table1".
    """
    names = list(valid)
    asked, lower = str(name).lower(), {known.lower(): known for known in names}
    near = [known for known in names if known.lower().endswith(f"/{asked}")]
    near = near or [lower[word] for word in difflib.get_close_matches(asked, lower, n=1)]
    message = f"unknown {kind} {name!r}; valid: {', '.join(names)}{extra}"
    return UnknownName(message, f"did you mean {' or '.join(map(repr, near))}?" if near else "")


def known(kind: str, name: str, valid: Iterable[str], extra: str = "") -> str:
    """The one of ``valid`` that ``name`` is, or the only one that it is but for upper and lower case.

    Raises
    ------
    UnknownName
        See :func:`unknown`.
    """
    names = list(valid)
    alike = [name] if name in names else [word for word in names if word.lower() == str(name).lower()]
    if len(alike) != 1:
        raise unknown(kind, name, names, extra)
    return alike[0]
