"""Records in the repository are whole, say what they are, and are of today's code; reading them changes nothing."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from committed import ROOT, committed, measured, problems, problems_of_measurement

from dreamlib.companion.cells import make_cell
from dreamlib.companion.cli import main
from dreamlib.companion.plans import PLANS
from dreamlib.companion.report.distances import load_causes
from dreamlib.companion.store import Store
from dreamlib.core.files import write_json

pytestmark = pytest.mark.trains


def test_every_committed_record_is_whole_and_of_todays_code() -> None:
    wrong = {path.relative_to(ROOT).as_posix(): found for path in committed() if (found := problems(path))}
    told = "\n".join(f"{path}: {'; '.join(found)}" for path, found in list(wrong.items())[:20])
    assert not wrong, f"{len(wrong)} of {len(committed())} records\n{told}"


def test_everything_committed_that_a_notebook_measured_is_whole_and_under_its_name() -> None:
    assert {path.name: found for path in measured() if (found := problems_of_measurement(path))} == {}


def test_a_measurement_under_another_name_or_of_other_settings_is_noticed(tmp_path: Path) -> None:
    kept = measured()
    if not kept:
        pytest.skip("none is committed")
    other = tmp_path / kept[0].name
    shutil.copy(kept[0], other)
    assert "today's code calls it" in problems_of_measurement(other)[0]
    resealed(other, lambda data: data["of"].update(label=99))
    assert "its key is not that of what it describes" in problems_of_measurement(other)[0]


CELL = make_cell("quick", "random", "digits", 10, 0)


@pytest.fixture
def record(tmp_path: Path) -> Path:
    """A record that is well."""
    store = Store(tmp_path)
    store.write_record(
        CELL,
        {"accuracies": [81.0, 82.5], "device": "here", "seconds": {"distill": 0.5, "evaluate": 1.0}},
    )
    assert problems(store.record_path(CELL)) == []
    return store.record_path(CELL)


def resealed(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Tamper with a record, and seal it again as if nothing had happened."""
    data = json.loads(path.read_text())
    del data["sha256"]
    change(data)
    write_json(path, data)


def test_a_changed_digit_is_noticed(record: Path) -> None:
    record.write_text(record.read_text().replace("82.5", "92.5"))
    assert "do not match its checksum" in problems(record)[0]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda data: data["recipe"].update(image_lr=3.0), "its key is not that of what it describes"),
        (lambda data: data["evaluation"]["learner"].update(lr=0.02), "its key is not that of what it describes"),
        (lambda data: data.update(seed=1), "its key is not that of what it describes"),
        (lambda data: data.update(key="0" * 64), "its name does not carry its key"),
        (lambda data: data.update(profile="cpu"), "among those of quick"),
        (lambda data: data.update(accuracies=[81.0]), "1 numbers of 2 networks"),
        (lambda data: data.update(accuracies=[81.0, 182.5]), "are no percentages"),
        (lambda data: data.pop("accuracies"), "no record of a cell"),
    ],
)  # fmt: skip
def test_a_record_that_was_tampered_with_and_sealed_again_is_noticed(
    record: Path, change: Callable[[dict[str, Any]], object], told: str
) -> None:
    resealed(record, change)
    assert any(told in problem for problem in problems(record)), problems(record)


def test_a_record_of_another_version_is_noticed(tmp_path: Path) -> None:
    old = make_cell("cpu", "dim", "mnist", 10, 0)
    store = Store(tmp_path)
    store.write_record(old, {"accuracies": [50.0] * old.evaluation.networks})
    path = store.record_path(old)
    assert problems(path) == []
    resealed(path, lambda data: data.update(key="0" * 64))
    renamed = path.rename(path.with_name(path.name.replace(old.key[:10], "0" * 10)))
    assert any("today's code computes another cell in its place" in problem for problem in problems(renamed))


def test_a_renamed_record_is_noticed(record: Path) -> None:
    moved = record.rename(record.with_name(record.name.replace("ipc10", "ipc1")))
    assert problems(moved) == [f"today's code calls it {CELL.name}"]


# Reading


@pytest.fixture
def results(tmp_path: Path, record: Path) -> Path:
    """All committed records, one that is whole, one that is damaged, and what is none at all."""
    folder = tmp_path / "results"
    shutil.move(record.parent, folder / "quick")
    for path in committed():
        target = folder / path.parent.name / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    other = make_cell("quick", "random", "digits", 1, 0)
    Store(folder).write_record(other, {"accuracies": [40.0, 41.0, 42.0]})
    damaged = Store(folder).record_path(other)
    damaged.write_text(damaged.read_text().replace("41.0", "43.0"))
    Store(folder).record_path(make_cell("quick", "dm", "digits", 1, 0)).write_text("not ours")
    return folder


def everything(folder: Path) -> dict[str, str]:
    """Every file under a folder, and what is in it."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files
    }


@pytest.mark.filterwarnings("ignore:passed over")
@pytest.mark.parametrize(
    "items",
    [["dream/table1"], pytest.param([i for i, p in PLANS.items() if p.methods], marks=pytest.mark.nightly)],
    ids=["table1", "all"],
)
def test_status_and_show_change_no_file(
    results: Path, items: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    before = everything(results)
    for profile in ("quick", "cpu", "paper"):
        main(
            ["status", "all" if len(items) > 1 else items[0], "--profile", profile, "--results", str(results)]
        )
    for item in items:  # of quick, which has the damaged record too
        main(["show", item, "--profile", "quick", "--results", str(results)])
    main(["show", items[0], "--profile", "paper", "--results", str(results)])
    capsys.readouterr()
    assert everything(results) == before


@pytest.mark.filterwarnings("ignore:passed over")
def test_a_notebook_that_computes_nothing_changes_no_file(
    results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = everything(results)
    # Most cells are missing here, and the page says so.
    where = ["--results", str(results), "--reports", str(tmp_path / "reports")]
    assert main(["notebook", "dream/table1", "--workers", "-1", *where]) == 0
    capsys.readouterr()
    assert "missing" in (tmp_path / "reports" / "quick" / "dream" / "table1.md").read_text()
    assert everything(results) == before


def test_a_cause_is_of_a_number_that_is_committed() -> None:
    known = {
        (data["profile"], data["dataset"], data["ipc"], data["method"])
        for data in (json.loads(path.read_text()) for path in committed())
    }
    assert set(load_causes()) <= known
