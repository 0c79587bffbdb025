"""What notebooks measure by themselves: measured once, read afterwards, never shown where it is another's."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from dreamlib.companion.measurements import Measurement
from dreamlib.companion.report import facts
from dreamlib.companion.session import Session
from dreamlib.companion.store import Store
from dreamlib.core.errors import BadValue

pytestmark = pytest.mark.usefixtures("tiny")
Rows = list[dict[str, Any]]


def session(root: Path, **about: Any) -> Session:
    return Session("dream/table1", profile="tiny", results=str(root / "results"), reports=str(root), **about)


def once(rows: Rows) -> tuple[Callable[[], Rows], list[int]]:
    """A way to measure, and how often it was called."""
    calls: list[int] = []

    def measure() -> Rows:
        calls.append(1)
        return rows

    return measure, calls


def files(root: Path) -> list[Path]:
    return sorted((root / "results" / "tiny" / "measured").iterdir())


def test_what_is_measured_once_is_read_afterwards_and_reading_changes_nothing(tmp_path: Path) -> None:
    measure, calls = once(
        [{"network": 0, "cosine": 0.1 + 0.2, "norms": [1.0, 2.5]}, {"network": 1, "cosine": 1.0}]
    )
    first = session(tmp_path).measured("gradients", measure, "digits", networks=2)
    before = files(tmp_path)[0].read_bytes()
    again = session(tmp_path, workers=-1).measured("gradients", measure, "digits", networks=2)
    assert len(calls) == 1
    assert first.equals(again)
    assert again.cosine.tolist() == [0.1 + 0.2, 1.0]
    assert again.norms[0] == [1.0, 2.5]
    assert again.attrs["device"] == first.attrs["device"] != ""
    assert [path.read_bytes() for path in files(tmp_path)] == [before]


def test_another_setting_or_data_set_is_another_measurement(tmp_path: Path) -> None:
    measure, calls = once([{"value": 1}])
    here = session(tmp_path)
    for about, dataset, networks in (
        ("a", "digits", 2),
        ("a", "digits", 3),
        ("b", "digits", 2),
        ("a", "digits@holdout", 2),
    ):
        here.measured(about, measure, dataset, networks=networks)
    assert len(calls) == len(files(tmp_path)) == 4


def test_the_key_is_of_item_profile_and_settings_and_a_file_under_another_key_is_not_read(
    tmp_path: Path,
) -> None:
    one = Measurement("dm/section4", "cpu", "a", "digits", {"networks": 2})
    others = [
        replace(one, item="dm/batchnorm"),
        replace(one, profile="paper"),
        replace(one, of={"networks": 3}),
    ]
    assert len({each.key for each in (one, *others)}) == 4
    store = Store(tmp_path)
    about = {"device": "a", "seconds": {}, "versions": {}, "revision": "", "data_fingerprint": ""}
    assert store.write_measurement(one, {"rows": [{"value": 1}], **about})["rows"] == [{"value": 1}]
    store.measurement_path(one).rename(store.measurement_path(others[2]))
    with pytest.warns(UserWarning, match="another measurement"):
        assert store.measurement(others[2]) is None


@pytest.mark.parametrize("value", [float("nan"), [1.0, float("inf")], np.float32(1)])
def test_what_a_file_cannot_hold_is_named(tmp_path: Path, value: object) -> None:
    measure, _ = once([{"cosine": 1.0}, {"cosine": value}])
    with pytest.raises(
        BadValue, match=r"dream-table1-gradients-digits-\w+, row 1: cosine is .*; expected finite"
    ):
        session(tmp_path).measured("gradients", measure, "digits")


def test_what_cannot_be_measured_here_is_not_kept(tmp_path: Path) -> None:
    measure, calls = once([])
    for _ in range(2):
        assert session(tmp_path).measured("course", measure, "digits").empty
    assert len(calls) == 2
    assert not (tmp_path / "results" / "tiny" / "measured").exists()


@pytest.mark.parametrize("broken", ["half a fil", '{"rows": []}'])
def test_a_damaged_file_is_measured_again_and_kept_aside(tmp_path: Path, broken: str) -> None:
    measure, calls = once([{"value": 1}])
    session(tmp_path).measured("a", measure, "digits")
    path = files(tmp_path)[0]
    path.write_text(broken)
    with pytest.warns(UserWarning, match="damaged"):
        found = session(tmp_path).measured("a", measure, "digits")
    assert found.value.tolist() == [1]
    assert len(calls) == 2
    assert sorted(one.suffix for one in files(tmp_path)) == [".damaged", ".json"]
    assert path.with_name(f"{path.name}.damaged").read_text() == broken


def test_a_number_changed_by_hand_is_not_shown(tmp_path: Path) -> None:
    measure, _ = once([{"value": 1}])
    session(tmp_path).measured("a", measure, "digits")
    path = files(tmp_path)[0]
    told = json.loads(path.read_text())
    told["rows"][0]["value"] = 99
    path.write_text(json.dumps(told))
    with pytest.warns(UserWarning, match="checksum"):
        assert session(tmp_path).measured("a", measure, "digits").value.tolist() == [1]


def test_images_of_ones_own_that_changed_are_measured_again(tmp_path: Path) -> None:
    def images(seed: int) -> None:
        random = np.random.default_rng(seed)
        for part in ("train", "test"):
            for label in "ab":
                folder = tmp_path / "data" / "mine" / part / label
                folder.mkdir(parents=True, exist_ok=True)
                for number in range(3):
                    pixels = random.integers(0, 256, (8, 8), np.uint8)
                    Image.fromarray(pixels).save(folder / f"{number}.png")

    measure, calls = once([{"value": 1}])
    for seed in (0, 0, 1):
        images(seed)
        here = session(tmp_path, data=str(tmp_path / "data"))
        if seed:
            with pytest.warns(UserWarning, match="holds other images"):
                here.measured("a", measure, "folder:mine")
        else:
            here.measured("a", measure, "folder:mine")
    assert len(calls) == 2
    assert len(files(tmp_path)) == 2  # nothing that was measured is lost


def test_a_page_says_what_it_measured_by_itself_and_what_that_took(tmp_path: Path) -> None:
    here = session(tmp_path)
    for networks in (2, 3):
        here.measured("gradients", once([{"value": 1}, {"value": 2}])[0], "digits", networks=networks)
    told = here.settings().text
    assert "Measured by this page itself" in told
    assert "gradients" in told
    for number, path in enumerate(files(tmp_path), 1):
        assert path.name in told
        assert f">{number}</a>" in told
    spent = facts.cost(here.measurements)
    assert set(spent) == {"core"}
    assert spent["core"] > 0
