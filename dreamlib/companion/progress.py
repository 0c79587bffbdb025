"""What a run shows of itself: cells done, steps made, and the time left."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

from tqdm import tqdm

from .cells import Cell
from .forecast import expected_seconds, span
from .store import Store

LINE_SECONDS = 30.0  # between two lines about the steps at work, where there is no terminal
LOOK_SECONDS = 0.5  # between two looks at what workers have done


class Progress:
    """Cells done and steps made: a bar on a terminal; elsewhere a line for every cell, and now and then one between."""

    def __init__(self, store: Store, cells: Sequence[Cell], todo: Sequence[Cell], shown: bool) -> None:
        terminal = shown and sys.stderr.isatty()
        self.store, self.cells, self.lines = store, cells, shown and not terminal
        self.shown, self.count, self.last = shown, 0, time.monotonic()
        self.waiting, self.total = list(todo), len(todo)
        self.left, self.reckoned, self.pause = "", time.monotonic(), LINE_SECONDS
        self.bar = tqdm(total=len(todo), unit="cell", disable=not terminal, dynamic_ncols=True, smoothing=0)

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *error: object) -> None:
        self.bar.close()

    def done(self, cell: Cell) -> None:
        """A cell has been finished, or has failed."""
        self.bar.update()
        self.count += 1
        self._line(f"{self.count}/{self.total} cells: {cell.name}")

    def say(self, text: str) -> None:
        """What is at work."""
        if self.shown and time.monotonic() - self.reckoned > self.pause:
            begun = time.monotonic()
            seconds = expected_seconds(self.cells, self.store)
            self.left = f", about {span(seconds)} of computing left" if seconds else ""
            self.reckoned = time.monotonic()
            # To read thousands of records takes a while.
            self.pause = max(LINE_SECONDS, 50 * (self.reckoned - begun))
        self.bar.set_postfix_str(text + self.left)
        if time.monotonic() - self.last > LINE_SECONDS:
            self._line(text + self.left)

    def look(self, run_id: str) -> float:
        """See from the store how far the workers of a run are; returns for how many seconds to look at nothing."""
        if not self.shown:
            return LOOK_SECONDS
        begun = time.monotonic()
        for cell in [cell for cell in self.waiting if self.settled(cell, run_id)]:
            self.done(cell)
            self.waiting.remove(cell)
        # The locks say who is at what; needs too, since experts are trained under a lock of their own.
        notes = (self.store.holder(one) for cell in self.waiting for one in (cell, *cell.needs))
        texts = (note.text for note in notes if note and note.run == run_id and note.text)
        self.say(", ".join(dict.fromkeys(texts)))
        # Looking takes at most a twentieth of the time.
        return max(LOOK_SECONDS, 20 * (time.monotonic() - begun))

    def settled(self, cell: Cell, run_id: str) -> bool:
        """Whether a cell is finished, or has failed in a run."""
        return self.store.finished(cell) or self.store.failure(cell, run_id) is not None

    def _line(self, text: str) -> None:
        if self.lines and text:
            print(text, file=sys.stderr, flush=True)
            self.last = time.monotonic()
