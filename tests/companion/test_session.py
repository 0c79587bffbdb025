"""What a notebook asks of its session, without any cell computed."""

from __future__ import annotations

import re
import sys
from importlib.machinery import PathFinder
from pathlib import Path

import pandas as pd
import pytest
from IPython.display import HTML, Markdown

from dreamlib.companion.session import Session
from dreamlib.core.errors import BadValue


def test_a_page_of_generators_speaks_of_inpc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(Session, "say", lambda self, text: said.append(text))
    for item in ("dim/table4", "dm/figureF2"):
        Session(item, results=str(tmp_path)).about()
    assert "; INPC 10; 1 generator(s) per cell." in said[0]
    assert "INPC" not in said[1]
    assert "synthetic set(s) per cell" in said[1]


PARAMETERS = dict.fromkeys(("datasets", "ipcs", "methods", "data", "plugins"), "")
PARAMETERS |= {"profile": "quick", "seeds": 0, "workers": 0, "device": "auto", "reports": "reports"}


def test_a_notebook_finds_its_modules_whatever_folder_its_kernel_starts_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Papermill starts a kernel in the folder of whoever types; only Jupyter and nbval start it beside the notebook."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DREAMLIB_ROOT", str(Path(__file__).parents[2]))
    monkeypatch.setattr(sys, "path", [path for path in sys.path if "notebooks" not in Path(path).parts])
    session = Session.of_notebook("dm/section4", PARAMETERS | {"results": str(tmp_path), "lines": []})
    assert session.study.item == "dm/section4"
    found = PathFinder.find_spec("lastlayer", sys.path)
    assert found is not None
    assert found.origin is not None
    assert Path(found.origin).parts[-3:] == ("notebooks", "dm", "lastlayer.py")


def test_a_notebook_that_sets_no_parameter_is_told_which() -> None:
    with pytest.raises(BadValue, match="dm/section4 sets no results; expected every parameter"):
        Session.of_notebook("dm/section4", PARAMETERS)


def test_rows_are_grouped_by_what_they_are(tmp_path: Path) -> None:
    session = Session("dim/table8", results=str(tmp_path))
    groups = {name: session.row(name).group for name in ("gan", "dim", "herding", "dm", "dc+dream")}
    assert groups == {
        "gan": "generators",
        "dim": "generators",
        "herding": "coresets",
        "dm": "other methods",
        "dc+dream": "variants",
    }


def test_a_number_of_another_paper(tmp_path: Path) -> None:
    session = Session("dim/figure3a", results=str(tmp_path))
    assert session.reported_number("fig3a", "cifar10", "DiM", "best_lambda", paper="dim") == 0.01
    assert session.reported_number("fig3a", "cifar10", "DiM", "best_lambda") is None


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What a session displays, as text."""
    out: list[str] = []

    def display(value: HTML | Markdown) -> None:
        out.append(re.sub(r"\s*\n\s*|(?<=<t[dh])\s+(?=>)", "", str(value.data)))

    monkeypatch.setattr("dreamlib.companion.session.display", display)
    return out


def test_what_the_paper_does_not_claim_has_a_table_of_its_own(tmp_path: Path, shown: list[str]) -> None:
    session = Session("dream/table1", results=str(tmp_path))
    session.verdict([("a", True, "x"), ("b", None, "y")], [("c", False, "z")])
    rule, claims, also = shown
    assert "networks trained on one set are averaged" in rule
    assert "<th>The paper's claim</th>" in claims
    assert '<td>a</td><td><span class="verdict">holds</span></td>' in claims
    assert '<td>b</td><td><span class="verdict">not decided here</span></td>' in claims
    assert "<td>c</td>" not in claims
    assert "Also seen here (no claim of the paper)" in also
    assert '<td>c</td><td><span class="verdict">does not hold</span></td>' in also


def test_a_page_of_generators_decides_over_generators(tmp_path: Path, shown: list[str]) -> None:
    Session("dim/table4", results=str(tmp_path)).verdict([("a", None, "x")], heading="This project's claim")
    assert "over generators leaves out zero" in shown[0]
    assert "This project's claim" in shown[1]
    assert len(shown) == 2


@pytest.mark.parametrize("said", ["cosine nan", "over 0.0 times as long", "−0.0 points"])
def test_a_page_never_says_nan(tmp_path: Path, shown: list[str], said: str) -> None:
    session = Session("dream/table1", results=str(tmp_path))
    with pytest.raises(BadValue, match="in a sentence"):
        session.verdict([("a", None, said)])
    with pytest.raises(BadValue, match="in a sentence"):
        session.say(said)


def test_a_kept_table_has_a_dash_for_what_is_not_there(tmp_path: Path) -> None:
    session = Session("dream/table1", results=str(tmp_path), reports=str(tmp_path))
    frame = pd.DataFrame({"a": [float("nan"), float("inf"), -0.0, 0.004], "b": [None, pd.NA, "x", 2]})
    html = session.save_frame(frame, 1).text
    kept = [(session.folder / f"table1.{kind}").read_text() for kind in ("md", "tex")]
    assert "| – | – |\n| – | – |\n| 0.0 | x |\n| 0.004 | 2 |" in kept[0]
    for text in (*kept, html):
        assert not re.search(
            r"\b(nan|inf|NaN)\b|[-−]0\.0\b", re.sub("<style>.*?</style>", "", text, flags=re.DOTALL)
        )


def test_a_measure_is_decided_over_the_sets_that_are_here(tmp_path: Path) -> None:
    session = Session("dream/table1", results=str(tmp_path), seeds=4)
    there = {0: 1.0, 1: 1.1, 3: 0.9}
    found = session.over_sets(lambda factor, seed: factor * there[seed] if seed in there else None, 2.0)
    assert (found.sets, found.verdict) == (3, True)
    assert found.difference == pytest.approx(2.0)
    assert session.compare("dm", "dc", "digits", 10).sets == 0
    assert session.place("digits", 10) == "Digits, IPC 10"


def test_a_number_that_an_item_prints_for_several_networks(tmp_path: Path) -> None:
    session = Session("dim/figure6", results=str(tmp_path))
    for network in ("convnet3", "resnet10"):
        ends = [
            session.reported_number(
                "fig6", "cifar10", "DiM", f"lead_to_gan_points_{end}", paper="dim", network=network
            )
            for end in ("low", "high")
        ]
        assert ends == [4.0, 5.5]
    assert session.reported_number("table2", "cifar10", "DREAM", "inner_loop_times_idc") == 1.5


def test_a_page_of_what_is_there_is_made_without_computing(tmp_path: Path) -> None:
    session = Session("dream/table2", results=str(tmp_path), workers=-1)
    session.run()
    assert session.check_complete() == "0 of 3 cells measured"
    assert not list(tmp_path.iterdir())
    with pytest.raises(AssertionError, match="3 cells are missing"):
        Session("dream/table2", results=str(tmp_path)).check_complete()


def test_a_method_that_is_judged_twice_has_two_rows_and_its_reported_number_stands_once(
    tmp_path: Path,
) -> None:
    """KIP's number of the tables is of trained networks, its own protocol trains none; FRePo's are both."""
    session = Session("dim/table8", results=str(tmp_path))
    found = {
        name: [(row.method, row.reported_as) for row in session.rows(name)]
        for name in ("dsa", "kip", "frepo")
    }
    assert found == {
        "dsa": [("dsa", "DSA")],
        "kip": [("kip", None), ("kip+common", "KIP")],
        "frepo": [("frepo", "FRePo"), ("frepo+common", None)],
    }
