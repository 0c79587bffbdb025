"""What a notebook asks of its session, without any cell computed."""

from __future__ import annotations

import json
import re
import sys
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from IPython.display import HTML, Markdown
from madeup import record
from matplotlib.figure import Figure

from dreamlib.companion.report import figures
from dreamlib.companion.session import Session
from dreamlib.core.errors import BadValue


class Place:
    """Where something is displayed, and what replaces it later."""

    def __init__(self, out: list[str]) -> None:
        self.out, self.at = out, len(out)

    def update(self, value: HTML | Markdown, metadata: object = None) -> None:
        self.out[self.at - 1] = text_of(value)


def text_of(value: HTML | Markdown) -> str:
    return re.sub(r"\s*\n\s*|(?<=<t[dh])\s+(?=>)", "", str(value.data))


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What a session displays, as text."""
    out: list[str] = []

    def display(value: HTML | Markdown, display_id: str = "", metadata: object = None) -> Place:
        out.append(text_of(value))
        return Place(out)

    monkeypatch.setattr("dreamlib.companion.session.display", display)
    return out


def test_a_page_of_generators_speaks_of_inpc(tmp_path: Path, shown: list[str]) -> None:
    told = []
    for item in ("dim/table4", "dm/figureF2"):
        shown.clear()
        Session(item, results=str(tmp_path)).about()
        told.append(shown[-1])
    assert "<details" in told[0]
    assert "; INPC 10; 1 generator of each method." in told[0]
    assert "INPC" not in told[1]
    assert re.search(r"\d synthetic sets? of each method", told[1])


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


def test_what_the_paper_does_not_claim_has_a_table_of_its_own(tmp_path: Path, shown: list[str]) -> None:
    session = Session("dream/table1", results=str(tmp_path))
    session.verdict([("a", True, "x"), ("b", None, "y")], [("c", False, "z")])
    claims, also = shown
    assert "networks trained on one set are averaged" in claims
    assert "<th>The paper&#39;s claim</th>" in claims
    assert '<td>a</td><td><span class="verdict holds">holds</span></td><td>x</td>' in claims
    assert '<td>b</td><td><span class="verdict open">not decided here</span></td>' in claims
    assert "<td>c</td>" not in claims
    assert "Also seen here (no claim of the paper)" in also
    assert '<td>c</td><td><span class="verdict fails">does not hold</span></td>' in also


TIMED = {"device": "AMD EPYC, 1 thread", "seconds": {"distill": 5000.0, "evaluate": 4000.0, "core": 8280.0}}


def test_a_page_says_below_its_verdicts_what_its_numbers_took(
    tmp_path: Path, shown: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    session = Session("dream/table1", results=str(tmp_path))
    session.verdict([("a", True, "x")])
    assert "Computing" not in shown[-1], "nothing is measured"
    other = TIMED | {"device": "Xeon, 1 thread", "seconds": {"distill": 36000.0, "evaluate": 0.0}}
    monkeypatch.setattr(Session, "records", [record("dc", **TIMED), record("dm", **other)])
    session.verdict([("a", True, "x")], [("b", True, "y")])
    told = "2.3 core-hours, 10 core-hours by the clock (shared machine), on AMD EPYC, 1 thread and Xeon, 1 thread."
    assert f"Computing in all: {told}" in shown[-2]
    assert "Computing" not in shown[-1], "once on a page"
    monkeypatch.setattr(
        Session, "records", [record(device=TIMED["device"], seconds={"distill": 1.0, "core": 1.0})]
    )
    session.verdict([("a", True, "x")])
    assert "Computing in all: less than 0.1 core-hours, on AMD EPYC, 1 thread." in shown[-1]


def test_costs_name_the_records_that_are_left_out(
    tmp_path: Path, shown: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    session = Session("dream/table1", results=str(tmp_path))
    monkeypatch.setattr(Session, "records", [record("dc", **TIMED)])
    session.costs()
    (table,) = shown
    assert "2.30" in table
    assert "<td>DC</td>" in table
    old = {"device": TIMED["device"], "seconds": {"distill": 9.0, "evaluate": 4.0}}
    places = [
        ("dm", "cifar10", 1, 0),
        ("dm", "cifar10", 1, 1),
        ("dm", "mnist", 10, 0),
        ("dsa", "mnist", 1, 0),
    ]
    monkeypatch.setattr(
        Session, "records", [record("dc", **TIMED), *(record(*place, **old) for place in places)]
    )
    session.costs()
    assert shown[1] == table
    assert shown[2] == (
        "Left out, since no processor time is recorded for them: DM (CIFAR-10 1, MNIST 10); DSA (MNIST 1)."
    )


def test_verdicts_and_table_stand_at_the_top_whenever_they_come(tmp_path: Path, shown: list[str]) -> None:
    session = Session("dream/table1", results=str(tmp_path), reports=str(tmp_path))
    session.about()
    session.say("later")
    session.save_frame(pd.DataFrame({"first": [1]}), 0)
    session.save_frame(pd.DataFrame({"second": [2]}), 0)
    session.verdict([("a", True, "x")])
    verdicts, table, profile, later, second = shown
    assert '<td>a</td><td><span class="verdict holds">' in verdicts
    assert "first" in table
    assert "Profile quick: what it reduces" in profile
    assert later == "later"
    assert "second" in second


def test_a_page_whose_claims_are_about_other_methods_says_so(tmp_path: Path, shown: list[str]) -> None:
    session = Session("dream/table1", results=str(tmp_path))
    session.about()
    session.verdict([])
    assert "not decided here" in shown[0]
    assert "not among these cells" in shown[0]


def test_long_evidence_is_folded_away_whole(tmp_path: Path, shown: list[str]) -> None:
    places = "; ".join(f"Digits, IPC {ipc}: +1.0 points over 3 sets" for ipc in range(1, 9))
    Session("dream/table1", results=str(tmp_path)).verdict([("a", True, places)])
    assert f"<summary>Digits, IPC 1: +1.0 points over 3 sets (7 more)</summary>{places}</details>" in shown[0]


def test_a_page_tells_the_front_page_what_it_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: dict[str, Any] = {}

    def display(value: object, metadata: dict[str, Any] | None = None) -> None:
        told.update((metadata or {}).get("dreamlib", {}))

    monkeypatch.setattr("dreamlib.companion.session.display", display)
    session = Session("dream/table1", results=str(tmp_path), workers=-1)
    session.run()
    session.verdict([("a", np.True_, "x"), ("b", None, "y")], [("c", False, "z")])
    session.agreement(session.accuracy_table([]))
    claims = {"claims": [["a", True, "x"], ["b", None, "y"]], "also": [["c", False, "z"]]}
    command = f"make table1 PROFILE=quick RESULTS={tmp_path}"
    assert told == {"datasets": ["digits"], "cost": {}, "command": command, **claims}
    assert json.loads(json.dumps(told)) == told, "it goes into a notebook"


def test_a_page_of_generators_decides_over_generators(tmp_path: Path, shown: list[str]) -> None:
    Session("dim/table4", results=str(tmp_path)).verdict([("a", None, "x")], heading="This project's claim")
    (told,) = shown
    assert "over generators leaves out zero" in told
    assert "This project&#39;s claim" in told


def test_methods_have_their_labels_in_a_table(tmp_path: Path, shown: list[str]) -> None:
    frame = pd.DataFrame({"dataset": ["cifar10"], "method": ["dm+dream"], "base": ["dm"], "low": [1.0]})
    Session("dream/table1", results=str(tmp_path)).show(frame)
    (told,) = shown
    for there in ("CIFAR-10", "DM+DREAM", "compared with", "95 % from"):
        assert there in told
    assert "dm+dream" not in told


def test_a_figure_is_kept_once_with_its_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out: list[tuple[dict[str, str], dict[str, dict[str, str]]]] = []
    monkeypatch.setattr(
        "dreamlib.companion.session.display",
        lambda data, metadata, raw: out.append((data, metadata)),
    )
    session = Session("dream/table1", results=str(tmp_path), reports=str(tmp_path))
    axes = figures.bars(["DM"], [88.7], methods=["dm"], title="MNIST, 1 image per class")
    assert isinstance(axes.figure, Figure)
    session.save_figure(axes.figure, "mnist ipc1")
    [(data, metadata)] = out
    words = "MNIST, 1 image per class: test accuracy (%): DM 88.7."
    assert metadata == {"dreamlib": {"figure": "figures/table1-mnist-ipc1.svg", "alt": words}}
    assert sorted(data) == ["image/svg+xml", "text/plain"]
    assert [path.name for path in (session.folder / "figures").iterdir()] == ["table1-mnist-ipc1.svg"]


@pytest.mark.parametrize("said", ["cosine nan", "over 0.0 times as long", "−0.0 points"])
def test_a_page_never_says_nan(tmp_path: Path, shown: list[str], said: str) -> None:
    session = Session("dream/table1", results=str(tmp_path))
    with pytest.raises(BadValue, match="in a sentence"):
        session.verdict([("a", None, said)])
    with pytest.raises(BadValue, match="in a sentence"):
        session.say(said)


def test_a_kept_table_has_a_dash_for_what_is_not_there(tmp_path: Path, shown: list[str]) -> None:
    session = Session("dream/table1", results=str(tmp_path), reports=str(tmp_path))
    frame = pd.DataFrame({"a": [float("nan"), float("inf"), -0.0, 0.004], "b": [None, pd.NA, "x", 2]})
    session.save_frame(frame, 1)
    (html,) = shown
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
    """Facts 7: the tables' KIP has a convolutional kernel, ours that of a fully connected network: no twins."""
    session = Session("dim/table8", results=str(tmp_path))
    found = {
        name: [(row.method, row.reported_as) for row in session.rows(name)]
        for name in ("dsa", "kip", "frepo")
    }
    assert found == {
        "dsa": [("dsa", "DSA")],
        "kip": [("kip", None), ("kip+common", None)],
        "frepo": [("frepo", "FRePo"), ("frepo+common", None)],
    }


def test_a_control_is_no_variant_and_is_what_a_method_is_better_than(tmp_path: Path) -> None:
    session = Session("dream/table1", methods="kip,kip-real,label-solve,dm,dm+dream", results=str(tmp_path))
    assert set(session.pairs().method) == {"dm+dream"}
    claims = [claim for claim, verdict, _ in session.controls() if verdict is None]
    assert claims == [
        f"{name} is better than its control: Real images under KIP's kernel"
        for name in ("KIP (FC1)", "Label Solve (FC1)")
    ]
