"""Whether a claim holds, by one rule: True, False, or None for "not decided".

The unit of evidence is the synthetic set (a generator, a class order): networks that were trained on one set share its
luck, so they are averaged first. What is left is one number for every set, such as the difference between two methods'
sets of one seed, judged by the same networks. A verdict is True or False only if the 95 % Student-t interval of the
mean of these numbers leaves out zero. Every page and table decides by :func:`decide`, and by nothing else.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from scipy.special import stdtrit  # Student's t: scipy.stats has it too, and takes a second to import

from ...core.errors import BadValue
from .words import plural, points

Verdict = bool | None
WORDS = {True: "higher", False: "lower", None: "not decided"}
TINY = 1e-9  # below this a difference of percentages is rounding
MOST = 1_000_000  # sets; a difference that needs more of them is out of reach


def rule(made: str = "set") -> str:
    """The rule for the reader of a page; ``made`` is what an independent set is called there."""
    several = made.replace(" or ", "s or ") + "s"
    what, averaged = "difference of accuracy", f"networks trained on one {made} are averaged, and "
    where = "What an interval says holds for the panel of networks that judges this page. "
    if made.endswith("network"):  # a page whose numbers are no accuracies
        what, averaged, where = "difference", "", ""
    return (
        f"One rule decides every {what}: {averaged}a comparison is decided only if the 95 % interval (Student's t) of "
        f"its difference over {several} leaves out zero. With one {made} there is no interval, and nothing is decided. "
        "A claim about several places fails only if one of them is decided against it at five percent divided by their "
        f"number. {where}With as many {several} as are named for an open claim, its interval is as wide as the "
        "difference it asks for: about one repeat in two would decide it. Times, counts, bytes and identities stand as "
        "they were measured."
    )


@dataclass(frozen=True)
class Evidence:
    """What the sets say about one number: is it above zero? Made by :func:`decide`.

    Attributes
    ----------
    difference, low, high : float or None
        Mean over sets, and its 95 % interval; None without a set, the interval also with a single one or where all sets
        give the same number: then their spread is below the grain of an accuracy, or they are one and the same set.
    sets : int
        Independent synthetic sets (generators, class orders).
    verdict : bool or None
        Whether the difference is above zero; None: not decided.
    spread : float or None
        Standard deviation from set to set (ddof 1); None below two sets.
    claimed : float or None
        The difference that the paper prints; ``source`` says where, if not here: "on CIFAR-10".
    needed : int or None
        How many sets would decide a difference of that size, from the measured spread; None where one of the two is not
        known, or more than a million.
    note : str
        Why there is no verdict although there are numbers.
    made : str
        What a set is called here.
    """

    difference: float | None = None
    low: float | None = None
    high: float | None = None
    sets: int = 0
    verdict: Verdict = None
    spread: float | None = None
    claimed: float | None = None
    needed: int | None = None
    source: str = ""
    note: str = ""
    made: str = "set"

    def inside(self, low: float, high: float) -> Verdict:
        """Whether the number lies between two others: True if its whole interval does, False if none of it does."""
        if self.low is None or self.high is None or self.note:
            return None
        if low <= self.low and self.high <= high:
            return True
        return False if self.high < low or high < self.low else None

    def within(self, bound: float) -> Verdict:
        """Whether the number is no larger than ``bound``, whatever its sign."""
        return self.inside(-bound, bound)

    def stricter(self, places: int) -> Evidence:
        """The same numbers at five percent divided by ``places``: a wider interval, and what it still decides."""
        if places < 2 or self.difference is None or self.low is None or not self.spread or self.note:
            return self
        half = quantile(self.sets, places) * self.spread / self.sets**0.5
        low, high = self.difference - half, self.difference + half
        return replace(self, low=low, high=high, verdict=True if low > 0 else False if high < 0 else None)

    def barred(self, why: str) -> Evidence:
        """The same numbers without a verdict, if there is a reason; an empty one changes nothing."""
        return replace(self, verdict=None, note=why) if why else self

    def words(self, digits: int = 1, unit: str = "points") -> str:
        """``"+1.2 points [−0.3, +2.7] over 3 sets (not decided: ...)"``: with all that is needed to weigh it."""
        if self.difference is None:
            return "not measured here"
        return f"{self.size(digits, unit)} {self.ground()}{self.open_to(digits, unit)}{self.why}"

    def size(self, digits: int = 1, unit: str = "points") -> str:
        """The difference and its interval: ``"+1.2 points [−0.3, +2.7]"``."""
        told = points(self.difference, digits) + (f" {unit}" if unit else "")
        return (
            told if self.low is None else f"{told} [{points(self.low, digits)}, {points(self.high, digits)}]"
        )

    def ground(self) -> str:
        """What it stands on: ``"over 3 sets"``, or why there is no interval."""
        counted = plural(self.sets, self.made)
        if self.low is not None:
            return f"over {counted}"
        told = f"over {counted}" if self.sets == 1 else f"in each of {counted}"
        return f"{told}, so there is no interval and the spread between {self.made}s is not known"

    def open_to(self, digits: int = 1, unit: str = "points") -> str:
        """How many sets would decide what is open; nothing where it is decided, barred or has no interval."""
        if self.note or self.verdict is not None or self.low is None:
            return ""
        return f" (not decided{self._wanted(digits, unit)})"

    @property
    def why(self) -> str:
        """The note behind a semicolon."""
        return f"; {self.note}" if self.note else ""

    def _wanted(self, digits: int, unit: str) -> str:
        """How many sets would decide it, behind a colon."""
        if self.claimed is None:
            if unit != "points":
                return ""
            many = _many(needed(self.spread or 0.0, 1.0), self.made)
            return f": no difference is printed for it, one of a point would take {many}"
        if abs(self.claimed) < TINY:
            return ": the paper prints no difference between the two"
        where = f" {self.source}" if self.source else ""
        many = _many(self.needed, self.made)
        return (
            f": a difference as large as the paper's {points(self.claimed, digits)}{where} would take {many}"
        )

    def told(self, where: str = "", digits: int = 1, unit: str = "points") -> tuple[Verdict, str]:
        """The verdict, and the words behind a place."""
        return self.verdict, (f"{where}: " if where else "") + self.words(digits, unit)


def _many(count: int | None, made: str) -> str:
    return f"more than {MOST:,} {made}s" if count is None else plural(count, made)


def decide(
    values: Iterable[float],
    claimed: float | None = None,
    *,
    against: float = 0.0,
    source: str = "",
    made: str = "set",
) -> Evidence:
    """Whether a number is above another one, from one value for every independent set.

    Parameters
    ----------
    values : iterable of float
        One per set: the difference of two methods at the same seed, each averaged over the same networks; or a value of
        its own, to be held against ``against``.
    claimed : float, optional
        The difference that the paper prints, for ``needed``; ``source`` says where.
    against : float
        A fixed number, such as one of another paper.
    made : str
        What a set is called: ``"generator"``, ``"class order"``.

    Raises
    ------
    BadValue
        A value is not finite: such a set has to be left out, or its record mended, before anything is decided.
    """
    gaps = np.asarray(list(values), dtype=float) - against
    if not np.isfinite(gaps).all():
        raise BadValue(
            f"{int((~np.isfinite(gaps)).sum())} of {len(gaps)} values are not finite", "one per set"
        )
    if claimed is not None and not np.isfinite(claimed):
        claimed = None
    if not len(gaps):
        return Evidence(claimed=claimed, source=source, made=made)
    mean = _rounded(float(gaps.mean()))
    if len(gaps) == 1:
        return Evidence(difference=mean, sets=1, claimed=claimed, source=source, made=made)
    spread = _rounded(float(gaps.std(ddof=1)))
    if not spread:
        # Independent sets never agree to the last digit: it is the grain of an accuracy, or one set counted twice.
        return Evidence(mean, sets=len(gaps), spread=0.0, claimed=claimed, source=source, made=made)
    half = quantile(len(gaps)) * spread / len(gaps) ** 0.5
    low, high = mean - half, mean + half
    return Evidence(
        difference=mean,
        low=low,
        high=high,
        sets=len(gaps),
        verdict=True if low > 0 else False if high < 0 else None,
        spread=spread,
        claimed=claimed,
        needed=needed(spread, claimed),
        source=source,
        made=made,
    )


def _rounded(value: float) -> float:
    return 0.0 if abs(value) < TINY else value


@cache
def quantile(sets: int, places: int = 1) -> float:
    """The 97.5 % point of Student's t for the mean of so many sets; of one of several ``places``, further out."""
    return float(stdtrit(sets - 1, 1 - 0.025 / places))


def needed(spread: float, claimed: float | None) -> int | None:
    """The smallest number of sets whose interval is narrower than a difference on either side.

    The least n of 2 or more with ``t(.975, n - 1) * spread / sqrt(n) < |claimed|``; None if ``claimed`` is None or
    zero, or if a million is not enough.
    """
    if claimed is None or abs(claimed) < TINY:
        return None

    def enough(sets: int) -> bool:
        return quantile(sets) * spread / sets**0.5 < abs(claimed)

    # The width falls with every further set, so that halving finds the first that is enough.
    counts = range(2, MOST + 1)
    place = bisect_left(counts, True, key=enough)
    return counts[place] if place < len(counts) else None


def paired(
    ours: Mapping[int, Sequence[float]], theirs: Mapping[int, Sequence[float]]
) -> dict[int, tuple[float]]:
    """One difference for every seed that both have: the mean over networks of ours minus theirs, network by network.

    Network i of both is the same one of the panel that judges a study. Where one of the two was judged by fewer, only
    the networks of both count. What is returned has the form of the arguments, so that differences can be compared in
    turn: "the lead is larger at one image than at fifty" is a difference of two differences.
    """
    gaps: dict[int, tuple[float]] = {}
    for seed in sorted(ours.keys() & theirs.keys()):
        both = min(len(ours[seed]), len(theirs[seed]))
        if both:
            one, other = (np.asarray(side[seed][:both], dtype=float) for side in (ours, theirs))
            gaps[seed] = (float((one - other).mean()),)
    return gaps


def compare(
    ours: Mapping[int, Sequence[float]],
    theirs: Mapping[int, Sequence[float]],
    claimed: float | None = None,
    *,
    source: str = "",
    made: str = "set",
) -> Evidence:
    """Whether one method is better than another, from the accuracies of their sets by seed; see :func:`paired`."""
    gaps = paired(ours, theirs)
    return decide((gap for (gap,) in gaps.values()), claimed, source=source, made=made)


def negation(verdict: Verdict) -> Verdict:
    """Not; open stays open."""
    return None if verdict is None else not verdict


def every(verdicts: Iterable[Verdict]) -> Verdict:
    """And: False as soon as one is, and True only if there are some and all are."""
    found = list(verdicts)
    if False in found:
        return False
    return True if found and None not in found else None


def in_most(columns: Sequence[Sequence[Evidence]]) -> Verdict:
    """Best in most columns? Each column holds the evidence of one row against every other.

    True when it is decided above every other in more than half of the columns, False when it is decided below some
    other in at least half of them, else None. A column with nothing to compare counts as one that is not decided.
    """
    best = sum(conjunction(column) is True for column in columns)
    beaten = sum(conjunction(column) is False for column in columns)
    if columns and 2 * best > len(columns):
        return True
    return False if columns and 2 * beaten >= len(columns) else None


def all_of(
    found: Mapping[str, Evidence],
    *,
    digits: int = 1,
    unit: str = "points",
    judge: Callable[[Evidence], Verdict] = lambda one: one.verdict,
) -> tuple[Verdict, str]:
    """A claim about several places at once: the conjunction, and the evidence place by place.

    ``judge`` is what is asked of each; without it, whether its difference is above zero.
    """
    if not found:
        return None, "not measured here"
    told = [f"{where}: {one.words(digits, unit)}" for where, one in found.items()]
    grounds, notes = (
        {part(one) for one in found.values()} for part in (Evidence.ground, lambda one: one.note)
    )
    if len(found) > 1 and len(grounds) == len(notes) == 1 and all(one.sets for one in found.values()):
        # What all places share is said once.
        told = [f"{at}: {one.size(digits, unit)}{one.open_to(digits, unit)}" for at, one in found.items()]
        first = next(iter(found.values()))
        told[-1] += f"; all {first.ground()}{first.why}"
    return conjunction(found.values(), judge), "; ".join(told)


def conjunction(
    found: Iterable[Evidence], judge: Callable[[Evidence], Verdict] = lambda one: one.verdict
) -> Verdict:
    """Whether something holds in all of several places.

    True if it is decided so in every one. False if it is decided against in one of them, at five percent divided by
    their number: among many places one is below zero by chance.
    """
    places = list(found)
    if any(judge(one.stricter(len(places))) is False for one in places):
        return False
    return True if places and all(judge(one) is True for one in places) else None


def frame_line(evidence: Evidence) -> dict[str, object]:
    """The columns that a table of comparisons shares: `difference`, `low`, `high`, `n` (sets), `verdict`, `needed`."""
    missing = float("nan")
    return {
        "difference": missing if evidence.difference is None else evidence.difference,
        "low": missing if evidence.low is None else evidence.low,
        "high": missing if evidence.high is None else evidence.high,
        "n": evidence.sets,
        "verdict": "missing" if evidence.difference is None else WORDS[evidence.verdict],
        "needed": evidence.needed,
    }


def interval(evidence: Evidence) -> str:
    """``"+1.2 [−0.3, +2.7]"`` for a table; without an interval, the difference alone."""
    return "missing" if evidence.difference is None else evidence.size(unit="")
