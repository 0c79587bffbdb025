"""Expected numbers of a page: in bands, by unambiguous names, and with the numbers that a paper reports."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from dreamlib.companion.report import expected
from dreamlib.companion.report.reported import load_reported
from dreamlib.companion.session import Session
from dreamlib.companion.studies import study
from dreamlib.core.errors import BadValue, UnknownName


def test_what_lies_in_its_band_is_said_without_its_digits() -> None:
    said = {expected.within("dm", measured, 71, 4) for measured in (67.0, 71.2, 75.0)}
    assert said == {"dm: 71 within 4"}


@pytest.mark.parametrize("measured", [66.99, 75.01, math.nan, math.inf])
def test_what_lies_outside_is_said_with_what_was_measured(measured: float) -> None:
    told = expected.within("dm", measured, 71, 4)
    assert told == f"dm: {measured:.4g} measured, where 71 within 4 is expected"


def test_what_is_not_there_does_not_agree() -> None:
    assert expected.within("dm", None, 71, 4) == "dm: nothing measured, where 71 within 4 is expected"


def test_a_count_is_exact() -> None:
    assert expected.within("weights", 1234567, 1234567, 0) == "weights: 1,234,567"
    assert expected.within("weights", 1234568, 1234567, 0).startswith("weights: 1,234,568 measured")


def records(item: str, **choice: Any) -> list[dict[str, Any]]:
    """Records of a study as they would be, each with an accuracy of its own."""
    cells = study(item, **choice).cells
    return [{**cell.describe(), "accuracies": [float(n), n + 1.0]} for n, cell in enumerate(cells)]


def test_a_name_says_what_distinguishes_a_cell_from_the_others() -> None:
    named = {
        item: expected.names(records(item))
        for item in ("dream/table1", "dream/figure1", "dim/table8", "dm/continual", "engine/speed")
    }
    assert "dc+dream, IPC 10" in named["dream/table1"]
    assert {"dc, IPC 10, step 10", "dc, IPC 10"} <= set(named["dream/figure1"])
    assert "dim, INPC 1, ResNet-10, batch norm" in named["dim/table8"]
    assert "dm, IPC 20, digits@5steps-upto5" in named["dm/continual"]
    assert "dm, IPC 10, fast" in named["engine/speed"]
    assert all(len(names) == len(records(item)) for item, names in named.items())


def test_a_mean_is_one_over_sets() -> None:
    found = records("dream/table1", methods=["dm", "dc"], ipcs=[10], seeds=2)
    assert expected.means(found, ["dm, IPC 10"]) == {"dm, IPC 10": 1.5}  # cells 0 and 2 of four
    assert expected.means(found[:2], ["dm, IPC 10"]) == {"dm, IPC 10": 0.5}


def test_a_name_that_is_not_there_or_says_too_little_is_refused() -> None:
    found = records("dream/table1", methods=["dm"])
    with pytest.raises(UnknownName, match="dm, IPC 1, dm, IPC 10"):
        expected.means(found, ["dm, IPC 50"])
    with pytest.raises(BadValue, match="several cells"):
        expected.means([*found, *found], ["dm, IPC 10"])


def test_any_change_of_a_reported_number_is_noticed() -> None:
    frame = load_reported()
    line = expected.reported_line(frame, "dream/table1")
    assert line.startswith("DREAM Table 1: 124 reported numbers, sum ")
    own = frame.index[(frame.paper == "dream") & (frame.item == "table1")]
    more, swapped = frame.copy(), frame.copy()
    more.loc[own[0], "value"] += 1
    swapped.loc[own[[0, 1]], "value"] = frame.loc[own[[1, 0]], "value"].to_numpy()
    assert len({line, *(expected.reported_line(one, "dream/table1") for one in (more, swapped))}) == 3
    note = frame.copy()
    note.loc[own[0], "note"] = "a note is no number"
    assert expected.reported_line(note, "dream/table1") == line
    with pytest.raises(UnknownName):
        expected.reported_line(frame, "dream/table9")


# The session


def fill(session: Session, accuracy: float) -> Session:
    for cell in session.study.cells:
        session.study.store.write_record(cell, {"accuracies": [accuracy] * cell.evaluation.networks})
    return session


def test_a_page_is_checked_against_its_own_parameters_alone(tmp_path: Path) -> None:
    wanted = {"dc, IPC 10": (70, 3)}
    session = fill(Session("dream/table1", results=str(tmp_path / "all")), 71.0)
    count = len(session.study.cells)
    assert session.check(wanted, {"ratio": (0.6, 0.5, 0.2)}).splitlines() == [
        f"{count} of {count} cells measured",
        "dc, IPC 10: 70 within 3",
        "ratio: 0.5 within 0.2",
    ]
    few = fill(Session("dream/table1", results=str(tmp_path / "few"), methods="dm"), 10.0)
    told = few.check(wanted, reported=["dim/table9"]).splitlines()
    assert told[0] == "2 of 2 cells measured"
    assert "nothing to compare" in told[1]
    assert told[2].startswith("DiM Table 9: 18 reported numbers")


def test_a_missing_cell_stops_the_page(tmp_path: Path) -> None:
    session = Session("dream/figure1", results=str(tmp_path))
    with pytest.raises(AssertionError, match="42 cells are missing; fill them with: make figure1"):
        session.check()
    assert session.check(failures=42).startswith("0 of 42 cells measured")
