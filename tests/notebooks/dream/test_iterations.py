"""By how many times fewer iterations a curve reaches another one's end."""

from __future__ import annotations

import pytest
from iterations import leads, times_fewer


def course(method: str, seed: int, *means: float) -> list[dict[str, object]]:
    """Records of one set, kept after 0, 10, 20, ... steps; two networks that lie one point from their mean."""
    last = 10 * (len(means) - 1)
    about = {"method": method, "dataset": "digits", "ipc": 10, "seed": seed, "iterations": last}
    return [
        {**about, "key": f"{method}{seed}{at}", "iteration": 10 * at, "accuracies": [mean - 1, mean + 1]}
        for at, mean in enumerate(means)
    ]


def test_a_set_is_compared_with_the_base_of_its_seed_and_means_are_geometric() -> None:
    records = [
        *(course("x", 0, 10, 20, 30, 40, 50) + course("x", 1, 0, 0, 0, 0, 20)),
        *course("x+dream", 0, 10, 50, 60, 60, 60),  # at step 10 of 40: 4 times
        *course("x+dream", 1, 0, 10, 10, 10, 20),  # at step 40: once
    ]
    found = times_fewer(records, "x+dream", "x", "digits", 10)
    assert found.times == pytest.approx(2.0)
    assert found.reached == found.evidence.sets == 2
    assert found.words().startswith("2.0 [")
    assert found.words().endswith("2 sets")


def test_where_a_curve_crosses_between_two_kept_steps_is_interpolated() -> None:
    records = course("x", 0, 0, 0, 30) + course("y", 0, 20, 40, 40)
    assert times_fewer(records, "y", "x", "digits", 10).times == pytest.approx(
        20 / 10
    )  # not before it was kept
    records = course("x", 0, 0, 0, 30) + course("y", 0, 0, 20, 40)
    assert times_fewer(records, "y", "x", "digits", 10).times == pytest.approx(20 / 15)


def test_a_set_that_never_reaches_it_counts_as_one_and_is_told() -> None:
    found = times_fewer(course("x", 0, 0, 50) + course("y", 0, 0, 40), "y", "x", "digits", 10)
    assert (found.times, found.reached) == (1.0, 0)
    assert found.words() == "1.0, 1 set, 1 of which does not reach it"


def test_a_curve_that_is_not_whole_and_a_base_without_an_end_say_nothing() -> None:
    whole = course("x", 0, 0, 50) + course("y", 0, 0, 60, 70)
    assert times_fewer(whole[:-1], "y", "x", "digits", 10).words() == "not measured here"
    assert times_fewer(whole[1:], "z", "x", "digits", 10).times is None
    assert (
        times_fewer(course("x", 0, 0, 50)[:1] + course("y", 0, 0, 60), "y", "x", "digits", 10).times is None
    )


def test_a_set_whose_end_alone_was_judged_is_no_curve() -> None:
    whole = course("x", 0, 0, 50, 60) + course("y", 0, 0, 60, 70)
    ends = course("x", 1, 0, 50, 60)[-1:] + course("y", 1, 0, 10, 70)[-1:]
    found = times_fewer(whole + ends, "y", "x", "digits", 10)
    assert found.words() == times_fewer(whole, "y", "x", "digits", 10).words()
    alone = course("x", 1, 0, 50, 60)[-1:] + course("y", 1, 0, 10, 70)[-1:]
    assert times_fewer(alone, "y", "x", "digits", 10).words() == "not measured here"
    assert found.evidence.sets == 1


def test_a_lead_is_told_at_every_step_that_both_were_kept() -> None:
    base = course("x", 0, 10, 50, 60) + course("x", 1, 12, 50, 58)
    ours = course("y", 0, 14, 50, 59, 70) + course("y", 1, 18, 52, 57, 70)
    found = leads(base + ours, "y", "x", "digits", 10)
    assert list(found) == [0, 10, 20], "x was not kept after 30 steps"
    assert [lead.difference for lead in found.values()] == pytest.approx([5, 1, -1])
    assert {lead.sets for lead in found.values()} == {2}
    assert leads(base, "y", "x", "digits", 10) == {}
