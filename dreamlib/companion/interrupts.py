"""Ctrl-C and SIGTERM: work stops between two steps, never within one."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

ASKED = (signal.SIGINT, signal.SIGTERM)


class Interrupts:
    """Turns the signals that ask a process to end into a :class:`KeyboardInterrupt` at a good moment.

    A step that is torn in two leaves weights that no undisturbed run ever has, so a checkpoint taken then would
    change the result. Inside :meth:`deferred` the first signal is therefore only noted (:attr:`asked`), and the work
    looks at it where everything is whole. Outside, and at a second Ctrl-C, KeyboardInterrupt is raised at once.

    Attributes
    ----------
    asked : bool
        Somebody wants this process to stop; so it is too when ``parent``, the process that started it, has ended.
    """

    def __init__(self, say: bool = True, parent: int | None = None) -> None:
        self._asked, self._parent = False, parent
        self._say, self._deferring = say, False

    @property
    def asked(self) -> bool:
        return self._asked or self._parent not in (None, os.getppid())

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Handle SIGINT and SIGTERM here; only the main thread can, and what is ignored (nohup) stays ignored."""
        before = {}
        if threading.current_thread() is threading.main_thread():
            before = {number: signal.getsignal(number) for number in ASKED}
        before = {number: handler for number, handler in before.items() if handler is not signal.SIG_IGN}
        for number in before:
            signal.signal(number, self._on_signal)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler or signal.SIG_DFL)

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Only note a signal in here; what is still noted at the end is raised then."""
        self.check()
        self._deferring = True
        try:
            yield
        finally:
            self._deferring = False
        self.check()

    def check(self) -> None:
        """Raise KeyboardInterrupt if somebody has asked."""
        if self.asked:
            raise KeyboardInterrupt

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        # A second Ctrl-C means at once, whatever is lost since the last checkpoint.
        again, self._asked = self._asked, True
        if not self._deferring or (again and number == signal.SIGINT):
            raise KeyboardInterrupt
        if self._say:
            with suppress(OSError):  # not print: a signal may come in the middle of another print
                os.write(2, b"\nstopping after this step and saving; Ctrl-C again to stop at once\n")


@contextmanager
def ignoring_keyboard() -> Iterator[None]:
    """Processes started in here never see Ctrl-C: the terminal sends it to all, but stopping them is their parent's."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before or signal.SIG_DFL)
