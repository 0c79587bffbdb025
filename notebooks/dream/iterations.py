"""How far one method's curve lies above another's, and where it reaches the other's final accuracy: set by set."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dreamlib.companion.report import statistics
from dreamlib.companion.report.figures import crossing
from dreamlib.companion.report.statistics import Record
from dreamlib.companion.report.verdicts import Evidence, compare, decide


@dataclass(frozen=True)
class Fewer:
    """By how many times fewer iterations a method reaches the final accuracy of its base.

    Attributes
    ----------
    evidence : Evidence
        Of the logarithm (base 2) of that number, over sets: halves and doubles lie equally far from 1.
    reached : int
        Sets that reach it at all. One that does not counts as 1 time, which is more than it has earned.
    """

    evidence: Evidence
    reached: int

    @property
    def times(self) -> float | None:
        """The geometric mean over sets; None without a set."""
        found = self.evidence.difference
        return None if found is None else 2.0**found

    def words(self) -> str:
        """``"3.1 [2.0, 4.8], 5 sets"``; says how many sets do not reach it."""
        one, sets = self.evidence, self.evidence.sets
        if self.times is None:
            return "not measured here"
        told = f"{self.times:.1f}"
        if one.low is not None and one.high is not None:
            told += f" [{2.0**one.low:.1f}, {2.0**one.high:.1f}]"
        told += f", {sets} set{'s' * (sets != 1)}"
        short = sets - self.reached
        return told if not short else f"{told}, {short} of which do{'es' * (short == 1)} not reach it"


def times_fewer(records: Sequence[Record], method: str, base: str, dataset: str, ipc: int) -> Fewer:
    """Where each set of a method first reaches what the base's set of the same seed has at its end.

    A set that starts above it has reached it by its first kept step. Both are judged by the same networks, and a set is
    one number: the mean over them.
    """
    final = statistics.by_seed(records, base, dataset, ipc)
    # Of a set whose end alone was judged nobody knows where it crosses.
    own = [
        record
        for record in statistics.whole_courses(records)
        if (record["method"], record["dataset"], record["ipc"]) == (method, dataset, ipc)
    ]
    gains, reached = [], 0
    for seed, accuracies in final.items():
        curve = {r["iteration"]: float(np.mean(r["accuracies"])) for r in own if r["seed"] == seed}
        total = max(curve, default=0)
        later = [step for step in curve if step]
        # A curve that is not whole, or an end alone, says nothing of where it crosses.
        if len(curve) < 2 or not later or total != max(r["iterations"] for r in own if r["seed"] == seed):
            continue
        at = crossing(list(curve), list(curve.values()), float(np.mean(accuracies)))
        reached += at is not None
        gains.append(0.0 if at is None else math.log2(total / max(at, min(later))))
    return Fewer(decide(gains), reached)


def leads(records: Sequence[Record], method: str, base: str, dataset: str, ipc: int) -> dict[int, Evidence]:
    """How many points a method lies above its base after the same steps, at every step that both were kept."""
    steps = [
        {r["iteration"] for r in records if (r["method"], r["dataset"], r["ipc"]) == (name, dataset, ipc)}
        for name in (method, base)
    ]
    return {
        at: compare(
            statistics.by_seed(records, method, dataset, ipc, at),
            statistics.by_seed(records, base, dataset, ipc, at),
        )
        for at in sorted(steps[0] & steps[1])
    }
