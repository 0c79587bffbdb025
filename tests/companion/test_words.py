"""What is typed: durations, lists, numbers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dreamlib.companion.cli import duration, names_of, numbers_of
from dreamlib.companion.forecast import span
from dreamlib.companion.report.words import device, plainly
from dreamlib.core.errors import BadValue


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90),
        ("90s", 90),
        ("9m", 540),
        ("1h30m", 5400),
        ("2h", 7200),
        ("1.5h", 5400),
        ("1d", 86400),
        (" 5M ", 300),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    assert duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "soon", "-5", "5 minutes", "1h30", "h", "1e3", "nan", "inf", "5x", "1:30"]
)
def test_other_durations(text: str) -> None:
    with pytest.raises(BadValue, match="expected a number with s, m, h or d") as caught:
        duration(text)
    assert repr(text.strip().lower()) in caught.value.message
    assert "--for 9m" in caught.value.hint


@given(st.integers(0, 99), st.integers(0, 59), st.integers(0, 59))
def test_duration_is_a_sum(hours: int, minutes: int, seconds: int) -> None:
    assert duration(f"{hours}h{minutes}m{seconds}s") == 3600 * hours + 60 * minutes + seconds


def test_spans() -> None:
    assert [span(value) for value in (0, 42, 89, 90, 800, 5399, 5400, 90000)] == [
        "0 s",
        "42 s",
        "89 s",
        "2 min",
        "13 min",
        "90 min",
        "1.5 h",
        "25.0 h",
    ]


def test_lists() -> None:
    assert names_of("") == names_of(" , ") == ()
    assert names_of("dm, dc+dream ,") == ("dm", "dc+dream")
    assert numbers_of("1, 10,50") == (1, 10, 50)


@pytest.mark.parametrize("text", ["ten", "1;10", "1.5", "1,x", "0x1"])
def test_ipc_that_is_no_number(text: str) -> None:
    with pytest.raises(BadValue, match="expected whole numbers separated by commas"):
        numbers_of(text)


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        (
            "evaluation.learner.epochs 100 (published: 1000)",
            "evaluation: learner: epochs 100 (published: 1000)",
        ),
        ("real_batch 64", "real batch 64"),
        ("kept at 3.5 points, e.g. in tests", "kept at 3.5 points, e.g. in tests"),
    ],
)
def test_names_in_the_code_are_words_on_a_page(keys: str, told: str) -> None:
    assert plainly(keys) == told


def test_a_device_has_no_bracketed_plural() -> None:
    assert device("AMD EPYC, 1 thread(s)") == "AMD EPYC, 1 thread"
    assert device("AMD EPYC, 2 thread(s)") == "AMD EPYC, 2 threads"
