from __future__ import annotations

import hashlib
from pathlib import Path

import pandas as pd
import pytest

from dreamlib.companion.report.reported import COLUMNS, find, load_reported, rows, where
from dreamlib.core.errors import DataError
from dreamlib.core.places import project_root

ROOT = Path(__file__).resolve().parents[3]


def test_the_papers_numbers_are_all_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DREAMLIB_ROOT", raising=False)
    monkeypatch.chdir(ROOT / "tests" / "companion")
    assert project_root() == ROOT
    frame = load_reported()
    assert len(frame) == 495
    assert frame["value"].notna().all()
    assert set(frame["paper"]) == {"dream", "dm", "dim"}
    content = (ROOT / "reports" / "reported" / "reported.csv").read_bytes()
    assert (
        hashlib.sha256(content).hexdigest()
        == "e2a7cc620ae8ec034d1586872303d89a2ae0bb11bf01d1943a50fe2e921cfca1"
    )
    assert getattr(find(rows(frame), "dream", "table1", "cifar10", 10, "DREAM"), "value", None) == 69.4
    assert find(rows(frame), "dream", "table1", "cifar10", 10, "no such method") is None
    assert find(rows(frame), "dream", "table1", "digits", 10, "DREAM") is None


def test_types(numbers: pd.DataFrame) -> None:
    assert numbers["ipc"].dtype == "Int64"
    assert numbers["std"].isna().sum() == 5
    assert (numbers["note"] == "less, more or less images per class 1 to 10").sum() == 1
    assert rows(numbers)[1].std == 0.5
    assert rows(numbers)[5].ipc is None


def test_find(numbers: pd.DataFrame) -> None:
    listed = rows(numbers)
    hit = find(listed, "dream", "table1", "cifar10", 10, "DC")
    assert hit is not None
    assert (hit.value, hit.std, hit.budget) == (44.9, 0.5, "ipc")
    whole = find(listed, "dim", "table2", "cifar10", 50, "Whole dataset")
    assert whole is not None
    assert whole.value == 84.8
    assert find(listed, "dream", "table1", "cifar10", 10, "DC", network="resnet18") is None


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "numbers.csv"
    head = ",".join(COLUMNS)
    file.write_text(f"{head}\ndm,t,mnist,ipc,1,DM,convnet3,top1_percent,89.7,,\n")
    assert load_reported(file)["value"].tolist() == [89.7]
    mine = load_reported(file)
    mine.loc[0, "value"] = 0.0  # nobody else sees this
    assert load_reported(file)["value"].tolist() == [89.7]
    file.write_text(f"{head}\ndm,t,mnist,ipc,1,DM,convnet3,top1_percent,9.25,,\n")
    assert load_reported(file)["value"].tolist() == [9.25]


def test_bad_files(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no reported numbers"):
        load_reported(tmp_path / "none.csv")
    (tmp_path / "columns.csv").write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match="has columns"):
        load_reported(tmp_path / "columns.csv")
    (tmp_path / "value.csv").write_text(
        ",".join(COLUMNS) + "\ndm,t,mnist,ipc,1,DM,convnet3,top1_percent,many,,\n"
    )
    with pytest.raises(DataError, match="not a number"):
        load_reported(tmp_path / "value.csv")


@pytest.mark.parametrize(
    ("paper", "item", "words"),
    [
        ("dream", "table1", "DREAM Table 1"),
        ("dim", "fig3a", "DiM Figure 3a"),
        ("dream", "figure_gradnorm", "DREAM Figure gradnorm"),
        ("dm", "section2.3", "DM Section 2.3"),
        ("dream", "readme", "DREAM README"),
        ("mine", "notes", "mine notes"),
    ],
)
def test_where(paper: str, item: str, words: str) -> None:
    assert where(paper, item) == words
