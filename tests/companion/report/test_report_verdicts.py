"""The one rule: Student's t over sets, paired by seed and by network, and what is built from it."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ttest_1samp

from dreamlib.companion.report.verdicts import (
    Evidence,
    all_of,
    compare,
    conjunction,
    decide,
    every,
    frame_line,
    in_most,
    interval,
    needed,
    negation,
    paired,
    rule,
)
from dreamlib.core.errors import BadValue

NOTEBOOKS = sorted((Path(__file__).resolve().parents[3] / "notebooks").glob("*/*.py"))


def test_the_interval_is_students() -> None:
    # t(.975, 2) = 4.302653 and a spread of 1: 4.302653 / sqrt(3) on either side of 2.
    found = decide([1.0, 2.0, 3.0])
    assert (found.difference, found.sets, found.spread) == (2.0, 3, 1.0)
    assert found.low == pytest.approx(2 - 2.484138, abs=1e-6)
    assert found.high == pytest.approx(2 + 2.484138, abs=1e-6)
    assert found.verdict is None
    # t(.975, 1) = 12.706205 and a spread of sqrt(2) / 2.
    two = decide([10.0, 11.0])
    assert two.low == pytest.approx(10.5 - 6.353102, abs=1e-6)
    assert two.verdict is True
    assert decide([-10.0, -11.0]).verdict is False


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(-50, 50), min_size=2, max_size=9))
def test_it_decides_where_a_t_test_does(values: list[int]) -> None:
    found = decide(map(float, values))
    if len(set(values)) == 1:
        assert found.verdict is None
        return
    p = ttest_1samp(values, 0.0).pvalue
    if abs(p - 0.05) > 1e-9:
        assert (found.verdict is not None) == (p < 0.05)


def test_one_set_has_no_interval_and_none_is_not_measured() -> None:
    one = decide([30.0], claimed=2.0)
    assert (one.difference, one.low, one.verdict, one.spread, one.needed) == (30.0, None, None, None, None)
    assert (
        one.words()
        == "+30.0 points over 1 set, so there is no interval and the spread between sets is not known"
    )
    none = decide([])
    assert (none.difference, none.sets, none.verdict, none.words()) == (None, 0, None, "not measured here")


@pytest.mark.parametrize("values", [[0.0, 0.0], [0.3, 0.1 + 0.2], [1.5] * 5])
def test_equal_sets_know_nothing_of_their_spread(values: list[float]) -> None:
    found = decide(values, claimed=1.0)
    assert (found.verdict, found.low, found.needed, found.spread) == (None, None, None, 0.0)
    assert f"in each of {len(values)} sets, so there is no interval" in found.words()


def test_values_against_a_fixed_number() -> None:
    found = decide([98.5, 98.7, 98.6], against=98.3)
    assert found.difference == pytest.approx(0.3)
    assert found.verdict is True
    with pytest.raises(BadValue, match="1 of 2 values are not finite"):
        decide([1.0, math.nan])


def test_how_many_sets_would_decide_the_papers_difference() -> None:
    def half(sets: int, spread: float) -> float:
        quantiles = {2: 12.7062, 3: 4.3027, 4: 3.1824, 6: 2.5706, 7: 2.4469, 387: 1.9662, 386: 1.9661}
        return quantiles[sets] * spread / sets**0.5

    assert needed(1.0, 1.0) == 7
    assert half(7, 1.0) < 1.0 <= half(6, 1.0)
    assert needed(10.0, -1.0) == 387  # whatever its sign
    assert half(387, 10.0) < 1.0 <= half(386, 10.0)
    assert needed(0.05, 1.0) == 2
    assert needed(1.0, None) is None
    assert needed(1.0, 0.0) is None
    assert needed(1e6, 1e-6) is None
    found = decide([0.5, -0.5, 0.2], claimed=1.3, source="on MNIST")
    assert found.needed == 3
    assert found.words() == (
        "+0.1 points [−1.2, +1.3] over 3 sets (not decided: a difference as large as the paper's +1.3 on MNIST "
        "would take 3 sets)"
    )
    assert "the paper prints no difference between the two" in decide([0.5, -0.5], claimed=0.0).words()
    assert "one of a point would take" in decide([0.5, -0.5], claimed=math.nan).words()
    assert "more than 1,000,000 sets" in decide([500.0, -400.0], claimed=1e-6).words()


def test_what_is_decided_still_says_its_interval_and_its_sets() -> None:
    found = decide([2.0, 2.2, 2.1], made="class order")
    assert found.words() == "+2.1 points [+1.9, +2.3] over 3 class orders"
    assert interval(found) == "+2.1 [+1.9, +2.3]"
    assert interval(decide([2.0])) == "+2.0"
    assert interval(decide([])) == "missing"


def test_pairs_are_made_by_seed_and_by_network() -> None:
    ours = {0: [90.0, 80.0], 1: [91.0, 81.0], 7: [0.0, 0.0]}
    theirs = {1: [90.0, 78.0, 99.0], 0: [88.0, 79.0], 9: [0.0]}
    # A third network, which only one of the two was judged by, does not count.
    assert paired(ours, theirs) == {0: (1.5,), 1: (2.0,)}
    found = compare(ours, theirs)
    assert (found.difference, found.sets) == (1.75, 2)
    # Luck that a seed or a network gives to both sides leaves no trace.
    shift = {seed: [value + 10 * seed for value in values] for seed, values in ours.items()}
    assert paired(shift, ours) == {0: (0.0,), 1: (10.0,), 7: (70.0,)}
    # Differences are compared in turn.
    assert paired(paired(ours, theirs), {0: [1.0], 1: [1.0]}) == {0: (0.5,), 1: (1.0,)}
    assert paired({0: []}, {0: [1.0]}) == {}


def test_networks_of_one_set_are_no_evidence() -> None:
    many = {0: list(np.linspace(50, 51, 100))}
    assert compare(many, {0: [10.0] * 100}).verdict is None


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([], None),
        ([True], True),
        ([True, True], True),
        ([True, None], None),
        ([None, False], False),
        ([False, True], False),
    ],
)
def test_every(given: list[bool | None], expected: bool | None) -> None:
    assert every(given) is expected
    assert every(iter(given)) is expected


def test_negation_leaves_open_what_is_open() -> None:
    assert [negation(value) for value in (True, False, None)] == [False, True, None]


UP, UNKNOWN, DOWN = decide([5.0, 5.1, 5.2]), decide([-5.0, 5.0, 1.0]), decide([-5.0, -5.1, -5.2])
ABOVE, OPEN, BELOW = (UP, UP), (UP, UNKNOWN), (UNKNOWN, DOWN)


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ([ABOVE, ABOVE, OPEN], True),
        ([ABOVE, ABOVE, BELOW], True),
        ([ABOVE, OPEN], None),  # half is not most
        ([ABOVE, BELOW], False),  # nor can half be most if the other half is lost
        ([ABOVE, ABOVE, OPEN, OPEN], None),
        ([BELOW, OPEN, OPEN], None),
        ([()], None),
        ([], None),
    ],
)
def test_best_in_most_columns(columns: list[tuple[Evidence, ...]], expected: bool | None) -> None:
    assert in_most(columns) is expected


def test_a_claim_about_many_places_is_not_refuted_by_chance() -> None:
    """One place of six lies below zero at five percent, and not at a sixth of that."""
    below = decide([-1.0, -1.4, -0.6])
    assert below.verdict is False
    assert conjunction([below]) is False
    assert below.stricter(6).verdict is None
    assert conjunction([below, *[UP] * 5]) is None
    assert conjunction([DOWN, *[UP] * 5]) is False
    assert conjunction([UP] * 6) is True
    assert conjunction([]) is None
    # Where nothing differs, a claim about six places is called wrong in at most one case of twenty.
    generator = np.random.default_rng(0)
    wrong = [conjunction([decide(generator.normal(size=3)) for _ in range(6)]) is False for _ in range(2000)]
    assert np.mean(wrong) < 0.05


def test_a_number_lies_inside_two_others_only_with_its_whole_interval() -> None:
    found = decide([4.7, 4.8, 4.9])
    assert found.inside(4, 5.5) is True
    assert found.inside(4.75, 5.5) is None
    assert found.inside(5.5, 6) is False
    assert decide([0.1, -0.1, 0.0]).within(1) is True
    assert decide([5.0, 5.1, 5.0]).within(1) is False
    assert decide([0.1]).within(1) is None


def test_what_cannot_be_compared_has_numbers_and_no_verdict() -> None:
    found = decide([5.0, 5.1, 5.2]).barred("not comparable: 10 training steps against 20")
    assert found.verdict is None
    assert found.within(100) is None
    assert found.words().endswith("over 3 sets; not comparable: 10 training steps against 20")
    assert decide([5.0, 5.1]).barred("") == decide([5.0, 5.1])


def test_several_places_are_one_claim() -> None:
    up, open_ = decide([2.0, 2.1]), decide([2.0, -2.1])
    holds, told = all_of({"here": up, "there": open_})
    assert holds is None
    assert told.startswith("here: +2.0 points [+1.4, +2.7]; there: −0.1 points [")
    assert told.endswith("; all over 2 sets")
    assert told.count("over 2 sets") == 1
    barred = {"here": up.barred("why"), "there": open_.barred("why")}
    assert all_of(barred)[1].endswith("; all over 2 sets; why")
    mixed = all_of({"here": up, "there": decide([1.0])})[1]
    assert "over 2 sets; there: +1.0 points over 1 set, so" in mixed
    assert all_of({"here": up})[0] is True
    assert all_of({}) == (None, "not measured here")
    assert all_of({"here": up}, judge=lambda one: one.within(5))[0] is True


def test_a_line_of_a_table() -> None:
    line = frame_line(decide([2.0, 2.2, 2.1], claimed=1.0))
    assert (line["n"], line["verdict"], line["needed"]) == (3, "higher", 2)
    assert frame_line(Evidence())["verdict"] == "missing"
    assert frame_line(decide([1.0]))["verdict"] == "not decided"
    assert math.isnan(float(str(frame_line(decide([1.0]))["low"])))


# A verdict that a page makes by itself: a count of wins, a standard error, a draw, a comparison of two pooled means.
OWN_RULES = (
    r"bootstrap",
    r"CLEAR|beats\(|standard error",
    r"higher in",
    r"\.std\([^)]*\)\s*[<>]|[<>]=?\s*[\w.]*\.std\(",
    r"bool\([^)\n]*\.(?:measured|mean\(\)|difference)\b[^)\n]*[<>]",
    r"\.(?:measured|difference)\s*[<>]\s*(?!0\b\s*\])",
    r"idxmax\(\).*label",
    r"\(not claimed",
)


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_no_page_has_a_rule_of_its_own(notebook: Path) -> None:
    source = notebook.read_text(encoding="utf-8")
    for own in OWN_RULES:
        assert not re.search(own, source), f"{own!r} in {notebook}"


@pytest.mark.parametrize(
    "statement",
    [
        "a cluster counts once",
        "at ten no longer",
        "less matching is better",
        "costs 1.2 points",
        "one generator moves as far as",
    ],
)
def test_no_page_says_what_was_not_measured_with_power(statement: str) -> None:
    said = [path for path in NOTEBOOKS if statement in path.read_text(encoding="utf-8").lower()]
    assert not said


def test_the_rule_is_said_in_words() -> None:
    assert "over sets or generators leaves out zero" in rule("set or generator")
    assert "With one class order there is no interval" in rule("class order")


# What a page may check directly: seconds, bytes, counts and closed forms, none of them an accuracy of a method.
DIRECT = {
    "dim-figure1d": 2,  # seconds
    "dim-table1": 3,  # seconds, bytes
    "dim-table9": 3,  # milliseconds, the paper's own arithmetic
    "dm-comparisons": 1,  # minutes
    "dm-figureF1": 1,  # seconds
    "dm-section4": 1,  # equations
    "dream-table2": 1,  # seconds
    "engine-rates": 2,  # which rate the profile has, and whether it lies at the edge
    "engine-speed": 1,  # times faster
}


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_page_decides_by_itself_only_what_is_no_accuracy(notebook: Path) -> None:
    claims = (
        notebook.read_text(encoding="utf-8")
        .partition("## How the verdicts come about")[2]
        .partition("# NBVAL")[0]
    )
    found = len(re.findall(r"\bbool\(", claims))
    assert found == DIRECT.get(f"{notebook.parent.name}-{notebook.stem}", 0), notebook
