"""The time left is arithmetic on what was measured."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

import pytest
from tinyruns import cell

from dreamlib.companion.cells import Cell
from dreamlib.companion.forecast import expected_seconds
from dreamlib.companion.store import Holder, Store

pytestmark = pytest.mark.usefixtures("tiny")


def measured(store: Store, one: Cell, distill: float, evaluate: float) -> None:
    seconds = {"distill": distill, "evaluate": evaluate}
    store.write_record(one, {"accuracies": [1.0, 2.0], "seconds": seconds})


def test_nothing_missing_takes_no_time(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert expected_seconds([], store) == 0.0
    measured(store, cell(), 5, 7)
    assert expected_seconds([cell()], store) == 0.0


def test_nothing_measured_says_nothing(tmp_path: Path) -> None:
    assert expected_seconds([cell()], Store(tmp_path)) is None


def test_another_seed_counts_as_it_is(tmp_path: Path) -> None:
    store = Store(tmp_path)
    measured(store, cell("dm"), 5, 7)
    measured(store, cell("dc"), 100, 10)
    assert expected_seconds([cell("dm"), cell("dm", 1), cell("dm", 2), cell("dc")], store) == 2 * (5 + 7)


def test_another_method_counts_as_the_median(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for method, distill, evaluate in (("dm", 1, 20), ("dc", 3, 40), ("herding", 100, 30)):
        measured(store, cell(method), distill, evaluate)
    cells = [cell(method) for method in ("dm", "dc", "herding", "dream")]
    assert expected_seconds(cells, store) == 3 + 30


def test_a_set_is_distilled_once_and_not_at_all_when_it_is_there(tmp_path: Path) -> None:
    store = Store(tmp_path)
    measured(store, cell("dc"), 50, 2)
    course = [cell("dc", 1, step=step) for step in (0, 1, 2, 12)]
    assert expected_seconds([cell("dc"), *course], store) == 50 + 4 * 2
    store.write_set(course[0], {}, {}, {})
    assert expected_seconds([cell("dc"), *course], store) == 4 * 2


def test_what_workers_have_timed_counts_where_no_record_does(tmp_path: Path) -> None:
    """A set that is half made needs the other half; another seed of it, the whole; evaluations, as one is timed."""
    store, one = Store(tmp_path), cell("dc")
    pace = {"step": 30, "steps": 60, "ahead": 30, "seconds": 2.0, "first": 9.0}
    with store.lock(one):
        store.tell(one, "at work", "distill", pace)
        assert expected_seconds([one, cell("dc", 1)], store) == 60 + 120
        store.tell(one, "at work", "evaluate", {**pace, "seconds": 1.0})
    assert expected_seconds([one, cell("dc", 1)], store) == 60 + 120 + 2 * 60
    held = store.holder(one)
    assert held is not None
    assert held.text == "", "who has let go is not at work"
    measured(store, cell("dc", 2), 10, 1)
    assert expected_seconds([one, cell("dc", 1), cell("dc", 2)], store) == 60 + 10 + 2 * 1, (
        "records count first"
    )


def test_a_note_that_is_not_ours_says_nothing(tmp_path: Path) -> None:
    store, one = Store(tmp_path), cell("dc")
    with store.lock(one):
        pass
    (path,) = tmp_path.rglob("*.lock")
    stranger = {"host": "", "pid": 1, "since": "", "paces": {"distill": {"seconds": "x"}}}
    for text in ("", "[]", "[" * 60_000, '{"host": 1}', json.dumps(stranger)):
        path.write_text(text)
        assert store.pace(one, "distill") == {}
        assert expected_seconds([one], store) is None
    path.unlink()
    os.mkfifo(path)
    assert store.holder(one) is None, "and nobody waits for what a pipe says"


def test_who_reads_a_note_while_it_is_written_finds_the_old_one_or_the_new_one(tmp_path: Path) -> None:
    """An empty note would be taken for that of a stranger, who is waited for."""
    store, one = Store(tmp_path), cell("dc")
    seen: list[Holder | None] = []

    def read() -> None:
        while not seen or seen[-1] is None or seen[-1].text != "last":
            seen.append(store.holder(one))

    with store.lock(one):
        reader = threading.Thread(target=read)
        reader.start()
        for number in range(300):
            store.tell(one, "x" * (number % 7 * 50), "distill", {"step": float(number)})
        store.tell(one, "last", "distill", {})
        reader.join(60)
    assert not reader.is_alive()
    assert None not in seen
