"""Time: how much is left, how long a task will take, and when its state is written."""

from __future__ import annotations

import math
import os
import time
from contextlib import suppress
from dataclasses import dataclass, field

from ..core.errors import BadValue


@dataclass
class Clock:
    """How much time is left, with room for the next step and for saving.

    Attributes
    ----------
    seconds : float, optional
        Time given; None is all the time in the world.
    reserve : float
        Twice a long step: the longest so far, slowly forgotten.
    steps : int
        Steps that have been made.
    """

    seconds: float | None = None
    started: float = field(default_factory=time.monotonic)
    reserve: float = 0.0
    steps: int = 0

    def tick(self, seconds: float) -> None:
        """A step took so long."""
        self.steps += 1
        # Twice a step leaves time to save. Slowly forgotten, so that one slow step does not count for ever.
        self.reserve = max(2 * seconds, 0.9 * self.reserve)

    def remaining(self) -> float | None:
        """Seconds left; None without a limit."""
        return None if self.seconds is None else self.seconds - (time.monotonic() - self.started)

    def over(self, expected: float = 0.0) -> bool:
        """Whether another step might not fit, or one that is expected to take so many seconds."""
        left = self.remaining()
        return left is not None and left < max(self.reserve, expected)


@dataclass
class Pace:
    """How fast a task is: the mean over its last steps of one kind, without the first of a process, which compiles.

    Attributes
    ----------
    started, now : float
        When the task was begun here, and when its last step ended.
    steps, counted : int
        Steps made here, and those of them that the mean is over.
    """

    started: float = field(default_factory=time.monotonic)
    now: float = 0.0
    steps: int = 0
    counted: int = 0
    _since: float = 0.0
    _ahead: int = 0

    def tick(self, ahead: int) -> None:
        """A step is done that had so many of its kind ahead of it, itself included."""
        self.now = time.monotonic()
        # More steps ahead than before: another kind of step begins, which takes as long as it takes.
        if not self.steps or ahead > self._ahead:
            self._since, self.counted = self.now, 0
        else:
            self.counted += 1
        self.steps, self._ahead = self.steps + 1, ahead

    @property
    def seconds(self) -> float:
        """What a step takes; 0 where none has been timed."""
        return (self.now - self._since) / self.counted if self.counted else 0.0


def checkpoint_seconds() -> float:
    """Seconds between two checkpoints: the environment variable DREAMLIB_CHECKPOINT_SECONDS, else 20."""
    text = os.environ.get("DREAMLIB_CHECKPOINT_SECONDS") or "20"
    with suppress(ValueError):
        if (seconds := float(text)) >= 0 and math.isfinite(seconds):
            return seconds
    raise BadValue(
        f"DREAMLIB_CHECKPOINT_SECONDS is {text!r}; expected a number of seconds",
        "DREAMLIB_CHECKPOINT_SECONDS=20",
    )
