"""Other images under the name of a data set of one's own: never old numbers, and nothing lost."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tinyruns import cell, words

from dreamlib.companion.cells import Cell
from dreamlib.companion.cli import main
from dreamlib.companion.run import Summary, run_cells
from dreamlib.companion.session import Session
from dreamlib.companion.store import Store

pytestmark = pytest.mark.usefixtures("tiny")
OTHER = "folder:mine holds other images than when it was measured"


def images(root: Path, seed: int, classes: str) -> Path:
    """Twelve random training images and two test images of each class, as ``folder:mine`` below ``root``."""
    random = np.random.default_rng(seed)
    shutil.rmtree(root / "mine", ignore_errors=True)
    for part, count in (("train", 12), ("test", 2)):
        for word in classes:
            folder = root / "mine" / part / word
            folder.mkdir(parents=True)
            for number in range(count):
                Image.fromarray(random.integers(0, 256, (8, 8), np.uint8)).save(folder / f"{number}.png")
    return root


def mine(method: str = "dm", seed: int = 0) -> Cell:
    return cell(method, seed, "folder:mine")


def run(results: Path, data: Path, *cells: Cell) -> Summary:
    return run_cells(cells, Store(results, data=data), workers=1, device="cpu", progress=False)


@pytest.mark.parametrize("tail", ["", "@holdout"])
@pytest.mark.parametrize("method", ["dm", "random"])
def test_images_replaced_under_the_same_folder(tmp_path: Path, method: str, tail: str) -> None:
    data, results = images(tmp_path / "data", 0, "ab"), tmp_path / "r"
    wanted = cell(method, dataset=f"folder:mine{tail}")
    assert run(results, data, wanted) == Summary(1, 0, 0, {})
    assert run(results, data, wanted) == Summary(0, 1, 0, {})
    before = {p.name: p.read_bytes() for p in (results / "tiny").rglob("*") if p.is_file()}
    images(data, 1, "abc")
    store = Store(results, data=data)
    with pytest.warns(UserWarning, match=f"folder:mine{tail} holds other images"):
        assert store.record(wanted) is store.read_set(wanted) is store.read_course(wanted) is None
    assert {
        p.name: p.read_bytes() for p in (results / "tiny").rglob("*") if p.is_file()
    } == before  # only read
    with pytest.warns(UserWarning, match="other images"):
        assert run(results, data, wanted) == Summary(1, 0, 0, {})
    record = Store(results, data=data).record(wanted)
    assert record is not None
    assert record["test_images"] == (4 if tail else 6)  # of 36 training images a tenth; of 3 classes 2 each
    after = {p.name: p.read_bytes() for p in (results / "tiny").rglob("*") if p.is_file()}
    for name, content in before.items():
        if name.endswith((".json", ".safetensors")):
            assert after[f"{name}.other-data"] == content  # nothing computed is lost


@pytest.mark.usefixtures("one_step")
def test_a_checkpoint_of_other_images_is_not_gone_on_from(tmp_path: Path) -> None:
    data, results = images(tmp_path / "data", 0, "ab"), tmp_path / "r"
    stop = run_cells(
        [mine()], Store(results, data=data), workers=1, device="cpu", progress=False, seconds=1e-3
    )
    assert stop.missing == 1
    images(data, 1, "ab")
    with pytest.warns(UserWarning, match=OTHER):
        assert Store(results, data=data).read_checkpoint(mine(), "distill") is None


def test_data_that_cannot_be_read_show_no_old_numbers(tmp_path: Path) -> None:
    data, results = images(tmp_path / "data", 0, "ab"), tmp_path / "r"
    run(results, data, mine())
    (data / "mine/train/a/0.png").write_bytes(b"no image")
    with pytest.warns(UserWarning, match="folder:mine cannot be read now"):
        summary = run(results, data, mine())
    assert (summary.computed, summary.found, len(summary.failed)) == (0, 0, 1)
    images(data, 0, "ab")
    assert run(results, data, mine()) == Summary(0, 1, 0, {})  # and the record is still there


def test_two_data_sets_under_one_relative_name_are_never_mixed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DREAMLIB_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    results, one, two = tmp_path / "r", images(tmp_path / "A", 0, "ab"), images(tmp_path / "B", 1, "abcd")
    run(results, one, mine("random"))
    run(results, two, mine("dm"))
    show = words(results, "--datasets", "folder:mine", "--methods", "random,dm", command="show")
    assert main(show) == 2
    said = capsys.readouterr()
    assert "results of two different data sets, both called folder:mine\n  try: --data DIR" in said.err
    assert " IPC " not in said.out
    with pytest.warns(UserWarning, match=OTHER):
        assert main([*show, "--data", str(two)]) == 0
    out = capsys.readouterr().out
    assert "1 cells missing" in out
    assert out.count(" IPC ") == 1


def test_without_the_data_what_was_measured_is_shown(tmp_path: Path) -> None:
    data, results = images(tmp_path / "data", 0, "ab"), tmp_path / "r"
    run(results, data, mine())
    shutil.rmtree(data)
    assert Store(results, data=data).finished(mine())


def test_a_page_does_not_show_a_set_of_other_images(tmp_path: Path) -> None:
    data, results = images(tmp_path / "data", 0, "ab"), tmp_path / "r"
    run(results, data, mine())

    def page() -> Session:
        how = {"profile": "tiny", "datasets": "folder:mine", "methods": "dm", "data": str(data)}
        return Session("dream/table1", results=str(results), **how)

    assert page().distilled("dm", "folder:mine", 1) is not None
    images(data, 1, "ab")
    with pytest.warns(UserWarning, match=OTHER):
        assert page().distilled("dm", "folder:mine", 1) is None


def test_a_page_passes_over_a_damaged_set(tmp_path: Path) -> None:
    data, results = images(tmp_path / "data", 0, "ab"), tmp_path / "r"
    run(results, data, mine())
    path = Store(results).set_path(mine())
    path.write_bytes(path.read_bytes()[:-1])
    page = Session(
        "dream/table1",
        profile="tiny",
        datasets="folder:mine",
        methods="dm",
        data=str(data),
        results=str(results),
    )
    with pytest.warns(UserWarning, match="passed over"):
        assert page.distilled("dm", "folder:mine", 1) is None


def test_a_set_of_other_images_is_not_exported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, results = images(tmp_path / "data", 0, "ab"), tmp_path / "r"
    run(results, data, mine())
    images(data, 1, "ab")
    chosen = ["--profile", "tiny", "--methods", "dm", "--datasets", "folder:mine", "--ipc", "1"]
    where = ["--results", str(results), "--data", str(data), "--to", str(tmp_path / "set.safetensors")]
    with pytest.warns(UserWarning, match=OTHER):
        assert main(["export", *chosen, *where]) == 2
    assert "no distilled set of folder:mine as it is now" in capsys.readouterr().err
    assert not (tmp_path / "set.safetensors").exists()


def test_a_record_without_a_fingerprint_of_its_data_is_not_theirs(tmp_path: Path) -> None:
    data, results = images(tmp_path / "data", 0, "ab"), tmp_path / "r"
    run(results, data, mine())
    store = Store(results, data=data)
    about = json.loads(store.record_path(mine()).read_text())
    del about["data_fingerprint"]
    with pytest.warns(UserWarning, match=OTHER):
        assert not store.fits(mine(), about, store.record_path(mine()))


def test_built_in_data_sets_are_not_looked_at(tmp_path: Path) -> None:
    store = Store(tmp_path, data=tmp_path / "nowhere")
    assert store.fits(cell(), {}, store.record_path(cell()))
