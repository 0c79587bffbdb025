"""A rate at the edge of what was tried; the accuracies are made up."""

from __future__ import annotations

import pytest
from edges import edge

from dreamlib.core.errors import BadValue


def test_at_the_top_a_higher_rate_may_be_better() -> None:
    found = edge({2.5: 39.0, 0.1: 32.3, 0.5: 36.5}, 2.5)
    assert (found.beyond, found.rising) == ("higher", True)
    assert found.words == "at the edge of what was tried: a higher rate may be better still"


def test_at_the_bottom_a_lower_one_may_be() -> None:
    found = edge({0.02: 52.5, 0.1: 52.2, 0.5: 47.7}, 0.02)
    assert (found.beyond, found.rising) == ("lower", True)
    assert "a lower rate may be better still" in found.words


def test_an_edge_to_which_accuracy_does_not_rise_is_an_edge_all_the_same() -> None:
    found = edge({0.1: 25.3, 0.5: 27.1, 2.5: 26.8}, 2.5)
    assert (found.beyond, found.rising) == ("higher", False)
    assert "at the edge of what was tried" in found.words
    assert "better still" not in found.words


def test_between_two_others_nothing_is_said() -> None:
    found = edge({0.02: 50.0, 0.1: 51.0, 0.5: 50.3}, 0.1)
    assert (found.beyond, found.words) == ("", "")


@pytest.mark.parametrize("accuracies", [{1.0: 50.0}, {1.0: 50.0, 5.0: 51.0}, {}])
def test_a_rate_needs_others_on_a_side(accuracies: dict[float, float]) -> None:
    with pytest.raises(BadValue, match="expected one of two rates or more"):
        edge(accuracies, 1.0 if len(accuracies) == 1 else 2.0)
