"""Three-valued verdicts."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pytest

from dreamlib.report.verdicts import beats, every, negation


@dataclass
class Row:
    measured: float
    std: float
    n: int


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (Row(50.0, 1.0, 4), Row(48.0, 1.0, 4), True),  # 2 points at a standard error of 0.71
        (Row(48.0, 1.0, 4), Row(50.0, 1.0, 4), False),
        (Row(50.0, 1.0, 4), Row(49.0, 1.0, 4), None),
        (Row(50.0, 1.0, 400), Row(49.0, 1.0, 400), True),
        (Row(50.0, math.nan, 1), Row(10.0, 1.0, 4), None),
        (Row(50.0, 0.0, 3), Row(50.0, 0.0, 3), None),
        (Row(50.0, 0.0, 3), Row(49.9, 0.0, 3), True),
    ],
)
def test_rows_are_told_apart_by_two_standard_errors(one: Row, other: Row, expected: bool | None) -> None:
    assert beats(one, other) is expected


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
