"""Where things are, from every folder of a checkout and however a path was typed."""

from __future__ import annotations

from pathlib import Path

import pytest

from dreamlib.companion.session import Session
from dreamlib.companion.store import Store
from dreamlib.core.errors import BadValue, DataError
from dreamlib.core.places import path_of, project_root, setting
from dreamlib.data import data_folder

ROOT = Path(__file__).parents[2]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def test_a_tilde_that_no_shell_has_expanded(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DREAMLIB_DATA", "~/data")
    monkeypatch.setenv("DREAMLIB_RESULTS", "~/found")
    assert Store("~/results").root == home / "results"
    assert Store().root == home / "found"
    assert data_folder() == home / "data"
    assert Session("dream/table1").data_root == str(home / "data")
    assert Session("dream/table1").study.store.root == home / "found"
    page = Session("dream/table1", data="~/d", results="~/r", reports="~/pages")
    assert page.data_root == str(home / "d")
    assert page.study.store.root == home / "r"
    assert page.folder == home / "pages" / "quick" / "dream"


def test_a_home_that_nobody_has() -> None:
    with pytest.raises(BadValue, match="without ~"):
        path_of("~nobody-of-this-name/data")


@pytest.mark.parametrize("below", ["", "notebooks", "notebooks/dream"])
@pytest.mark.parametrize("given", ["", "elsewhere/results"])
def test_one_results_folder_wherever_one_is_in_the_checkout(
    monkeypatch: pytest.MonkeyPatch, below: str, given: str
) -> None:
    monkeypatch.delenv("DREAMLIB_ROOT", raising=False)
    monkeypatch.setenv("DREAMLIB_RESULTS", given)
    monkeypatch.chdir(ROOT / below)
    assert project_root() == ROOT
    expected = ROOT / (given or "reports/results")
    assert Store().root.absolute() == Session("dream/table1").study.store.root == expected


def test_outside_of_a_project_paths_count_from_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DREAMLIB_ROOT", raising=False)
    monkeypatch.delenv("DREAMLIB_RESULTS", raising=False)
    monkeypatch.chdir(tmp_path)
    assert setting("DREAMLIB_RESULTS", "reports/results") == Path("reports/results")


def test_project_root(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DREAMLIB_ROOT", str(tmp_path))
    assert project_root() == tmp_path.resolve()
    monkeypatch.setenv("DREAMLIB_ROOT", str(tmp_path / "none"))
    with pytest.raises(DataError, match="DREAMLIB_ROOT"):
        project_root()
    monkeypatch.delenv("DREAMLIB_ROOT")
    monkeypatch.chdir(tmp_path)
    assert project_root() == ROOT  # the checkout that this code is read from: a notebook runs in any folder
