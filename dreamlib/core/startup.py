"""A process that starts and ends quickly: the garbage collector does not search what imports leave behind.

Importing PyTorch and what comes with it makes some hundred thousand objects that stay. Python's collector goes through
them again and again while they are made, and once more at the end: over a second of a process that shows one table.
"""

from __future__ import annotations

import atexit
import gc
from collections.abc import Iterator
from contextlib import contextmanager


def starting() -> None:
    """No collections from here on, until :func:`started`; none at the end either. For the first line of a command."""
    gc.disable()
    atexit.register(gc.freeze)


def started() -> None:
    """What is there stays, and what comes from here on is collected as usual; nothing where collections go on anyway.

    For where computing begins. It does not know who put collections off: a caller who did so gets them again, too.
    """
    if not gc.isenabled():
        gc.freeze()
        gc.enable()


@contextmanager
def uncollected() -> Iterator[None]:
    """Inside this context nothing is collected: for a compiler, whose objects stay until it is done."""
    before = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if before:
            gc.enable()
