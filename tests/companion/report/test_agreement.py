"""Rank agreement: known correlations, what the interval stands on, and who takes part."""

from __future__ import annotations

import math

import pytest

from dreamlib.companion.report.agreement import FEWEST, rank_agreement

EXACT = [(10.0, 0.0), (20.0, 0.0), (30.0, 0.0), (40.0, 0.0)]


def test_the_same_order_is_one_and_the_opposite_minus_one() -> None:
    sets = [[1.0, 1.2], [2.0, 2.2], [3.0, 3.2], [4.0, 4.2]]
    assert rank_agreement(sets, EXACT) == (1.0, 1.0, 1.0)
    assert rank_agreement(sets[::-1], EXACT) == (-1.0, -1.0, -1.0)


def test_one_exchanged_pair_of_six_takes_a_third() -> None:
    """Kendall: (concordant - discordant) / pairs = (5 - 1) / 6."""
    tau, *_ = rank_agreement([[1.0], [3.0], [2.0], [4.0]], EXACT)
    assert tau == pytest.approx(4 / 6)


def test_single_sets_without_any_known_spread_give_no_interval() -> None:
    _, low, high = rank_agreement([[1.0], [2.0], [3.0], [4.0]], EXACT)
    assert math.isnan(low)
    assert math.isnan(high)


def test_a_single_set_has_the_spread_of_the_others() -> None:
    near = rank_agreement([[1.0, 1.01], [2.0, 2.01], [3.0], [4.0, 4.01]], EXACT)
    wide = rank_agreement([[1.0, 4.0], [2.0, 5.0], [3.0], [4.0, 7.0]], EXACT)
    assert near == (1.0, 1.0, 1.0)
    assert wide[1] < near[1]


def test_a_single_set_has_the_deviation_that_the_paper_prints_for_it() -> None:
    """Order of two methods a point apart, each with a printed deviation of two: it may as well be the other."""
    sure = rank_agreement([[10.0], [20.0], [30.0], [40.0]], [(value, 0.1) for value, _ in EXACT])
    close = [(10.0, 0.1), (20.0, 0.1), (30.0, 2.0), (31.0, 2.0)]
    tau, low, high = rank_agreement([[10.0], [20.0], [30.0], [31.0]], close)
    assert sure == (1.0, 1.0, 1.0)
    assert (tau, high) == (1.0, 1.0)
    assert low == pytest.approx(4 / 6)


def test_few_methods_have_no_order_worth_a_number() -> None:
    assert all(map(math.isnan, rank_agreement([[1.0, 2.0]] * (FEWEST - 1), EXACT[: FEWEST - 1])))


def test_the_interval_grows_with_the_spread_of_sets_and_with_the_printed_deviation() -> None:
    near = [[1.0, 1.1], [2.0, 2.1], [3.0, 3.1], [4.0, 4.1]]
    wide = [[1.0, 4.0], [2.0, 2.1], [3.0, 3.1], [0.0, 4.1]]
    assert rank_agreement(wide, EXACT)[1] < rank_agreement(near, EXACT)[1] == 1.0
    unsure = [(value, 20.0) for value, _ in EXACT]
    assert rank_agreement(near, unsure)[1] < 1.0
    assert rank_agreement(near, unsure) == rank_agreement(near, unsure)  # drawn from a fixed stream


def test_a_single_set_without_anything_of_its_own_has_the_median_of_the_printed_deviations() -> None:
    reported = [(10.0, 4.0), (20.0, 6.0), (30.0, 5.0), (31.0, 0.0)]
    named = [*reported[:3], (31.0, 5.0)]
    sets = [[10.0], [20.0], [30.0], [31.0]]
    assert rank_agreement(sets, reported)[1] <= 4 / 6
    assert rank_agreement(sets, reported)[0] == rank_agreement(sets, named)[0]
