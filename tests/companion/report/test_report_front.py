"""The front page of a small made-up reports folder: what it says, and where that comes from."""

from __future__ import annotations

import base64
import html
import io
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from xml.etree import ElementTree

import nbformat
import numpy as np
import pandas as pd
import pytest
from madeup import record, reported
from PIL import Image

from dreamlib.companion.report import comparison, facts, style
from dreamlib.companion.report.cards import Card, card
from dreamlib.companion.report.front import thumbnail
from dreamlib.companion.report.html import render
from dreamlib.companion.report.index import index
from dreamlib.companion.report.offline import assert_offline
from dreamlib.companion.report.tables import Row, accuracy_table
from dreamlib.core.errors import DataError

READINGS = {
    "paper": "Profile paper: the published protocol.",
    "cpu": "Profile cpu: scaled down.",
    "quick": "",
}
CLAIMS = [
    ("DREAM is best", True, "+2.0"),
    ("DREAM needs fewer steps", False, "−1"),
    ("Noise is enough", None, "?"),
]
NEVER = re.compile(r"image\(s\)|set\(s\)|(?<![\w.])[-−]0\.0\b|\bnan\b|NBVAL|\b[0-9a-f]{24,}\b")


def report(
    root: Path, name: str, table: Any = None, *, datasets: list[str] | None = None, **told: Any
) -> Path:
    """An executed notebook with its page and figure; ``name`` is PROFILE/PAPER/ITEM."""
    v4, place = nbformat.v4, root / f"{name}.ipynb"
    place.parent.mkdir(parents=True, exist_ok=True)
    about = {"datasets": datasets or ["mnist"], **told}
    shown = v4.new_output("display_data", {"text/markdown": "1 of 1"}, metadata=facts.told(**about))
    drawn = v4.new_output(
        "display_data", {"text/markdown": f"![Bars of {name}](figures/{place.stem}-bars.png)"}
    )
    cells = [
        v4.new_markdown_cell(f"# Title of {name}\n\n**The claim.** Its claim. More."),
        v4.new_code_cell("x", outputs=[shown, drawn]),
    ]
    run = {"end_time": "2026-03-01T14:05:00.5+00:00", "parameters": {}}
    figure = place.parent / "figures" / f"{place.stem}-bars.png"
    figure.parent.mkdir(exist_ok=True)
    Image.fromarray(np.full((600, 900, 3), 200, np.uint8)).save(figure)
    nbformat.write(v4.new_notebook(cells=cells, metadata={"papermill": run}), place)
    render(place)
    if table is not None:
        table.save(place.parent, place.stem)
    return place


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """DC at one image per class, 3.7 points above, and at ten, 0.1 points above the paper's 44.9 ± 0.5."""
    records = [
        record(ipc=1, accuracies=[31.0, 33.0], profile="paper"),
        record(ipc=10, accuracies=[45.0], profile="paper"),
    ]
    rows = [Row("dc", "DC", "DC"), Row("dc+dream", "DC+DREAM", None)]
    records.append(record(dataset="fashionmnist", ipc=1, accuracies=[60.5], profile="paper"))
    return accuracy_table(
        records, rows, ("cifar10", "fashionmnist"), (1, 10), reported(tmp_path_factory.mktemp("numbers"))
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, table: Any) -> Path:
    """Reports without a front page; every test gets a copy of its own."""
    project = tmp_path_factory.mktemp("project")
    root = project / "reports"
    order = [{"place": "CIFAR-10, IPC 1", "methods": 4, "tau": -0.5, "low": None, "high": None, "sets": 1}]
    about = {"claims": CLAIMS, "agreement": order, "cost": {"core": 7200.0, "clock": 40.0}}
    about["command"] = "make table1 PROFILE=paper METHODS=dc"
    report(root, "paper/dream/table1", table, datasets=["cifar10", "fashionmnist"], **about)
    report(root, "paper/dim/table2", datasets=["mnist"], claims=[["DiM is best", None, "?"]])
    report(root, "quick/dm/figureF1", datasets=["digits"], claims=[["Quick shows something", True, ""]])
    report(root, "paper/engine/speed", claims=[["This project is fast", True, ""]])
    (root / "findings.md").write_text("- **Nothing collapsed.** It was *short*.\n")
    for item in ("dream/table1", "dream/table2", "dim/table2", "dm/figureF1", "engine/speed"):
        twin = project / "notebooks" / f"{item}.ipynb"
        twin.parent.mkdir(parents=True, exist_ok=True)
        twin.write_text("")
    return root


@pytest.fixture(scope="module")
def made_with_pages(tmp_path_factory: pytest.TempPathFactory, made: Path) -> Path:
    reports = copied(made, tmp_path_factory.mktemp("indexed"))
    index(reports, profiles=READINGS, kept=("paper", "cpu"), command="make {target} PROFILE={profile}")
    return reports


def copied(reports: Path, to: Path) -> Path:
    """The project that the reports belong to, in another folder."""
    shutil.copytree(reports.parent, to, dirs_exist_ok=True)
    return to / reports.name


@pytest.fixture
def reports(tmp_path: Path, made: Path) -> Path:
    return copied(made, tmp_path)


@pytest.fixture
def indexed(tmp_path: Path, made_with_pages: Path) -> Path:
    return copied(made_with_pages, tmp_path)


@pytest.fixture
def pages(made_with_pages: Path) -> dict[str, str]:
    return {
        kind: (made_with_pages / name).read_text()
        for kind, name in (("html", "index.html"), ("md", "README.md"))
    }


FOUND = (
    "3 measured numbers with a reported one, +0.1 points apart in the median. Of the 2 with a printed standard "
    "deviation, 1 lies within two of it. Farthest away: DC on FashionMNIST, IPC 1, 60.5 measured and 70.5 ± 0.6 "
    "reported."
)


@pytest.mark.parametrize("kind", ["html", "md"])
def test_it_says_what_holds(pages: dict[str, str], kind: str) -> None:
    text = re.sub(r"</?(?:em|strong)>|\*+", "", html.unescape(pages[kind]))
    assert FOUND in text
    assert "−0.50 on CIFAR-10, IPC 1 (4 methods)" in text
    assert "Of the papers' claims, 1 holds, 1 does not hold, 2 are not decided." in text
    assert "Holds: DREAM is best" in text
    assert "Does not hold: DREAM needs fewer steps" in text
    assert "Nothing collapsed. It was short." in text
    assert "Noise is enough" not in text
    assert "Quick shows something" not in text, "quick is no finding"
    assert "This project is fast" not in text, "no paper claims it"


@pytest.mark.parametrize("kind", ["html", "md"])
def test_a_card_says_what_its_report_says(pages: dict[str, str], kind: str) -> None:
    for told in (
        "Title of paper/dream/table1",
        "Its claim.",
        "1 claim holds, 1 does not hold, 1 is not decided",
        "2.0 core-hours, less than 0.1 core-hours by the clock (shared machine)",
        "5 entries missing",
        "make table1 PROFILE=paper METHODS=dc",
        "paper/dream/table1.ipynb",
        "2026-03-01 14:05 UTC",
    ):
        assert told in html.unescape(pages[kind]), told
    assert "make dim-table2" not in pages[kind], "it is complete"


@pytest.mark.parametrize("kind", ["html", "md"])
def test_what_was_not_run_is_a_line(pages: dict[str, str], kind: str) -> None:
    assert "Not run here: 2 of 5 tables and figures" in pages[kind]
    assert re.search(r"Profile cpu(?:\*\*|</strong>): not run\. Scaled down\.", pages[kind])
    assert "dream/table2" not in pages[kind]


def test_code_hosts_see_what_the_repository_holds(pages: dict[str, str], indexed: Path) -> None:
    assert "figureF1" in pages["html"]
    assert "figureF1" not in pages["md"]
    for address in re.findall(r"\]\(([^)]+)\)|src=\"([^\"]+)\"", pages["md"]):
        target = indexed / unquote("".join(address))
        assert target.exists() or "docs" in target.parts, target


def test_no_page_says_what_nobody_reads(pages: dict[str, str]) -> None:
    for text in pages.values():
        assert not NEVER.findall(re.sub(r"base64,[^\"]*|<style>.*?</style>", "", text, flags=re.DOTALL))


def test_every_picture_says_what_it_shows(pages: dict[str, str]) -> None:
    for text in pages.values():
        alts = re.findall(r"<img [^>]*alt=\"([^\"]*)\"", text)
        assert len(alts) == text.count("<img")
        assert any("line of equality" in alt and "3 measured numbers" in alt for alt in alts)
        assert "Bars of paper/dream/table1" in alts


def test_the_page_is_one_file_without_a_script(pages: dict[str, str]) -> None:
    assert_offline(pages["html"])


def matching(page: str, *labels: str) -> list[str]:
    """The reports that are shown once these choices are made, as the style sheet has it."""
    chosen = [next(iter(re.findall(rf'id="choice-([\d-]+)">{label}</label>', page))) for label in labels]
    hidden = dict(re.findall(r'#choice-([\d-]+):checked\) \.card:not\(\[data-has~="([\d-]+)"\]\)', page))
    cards = re.findall(
        r'<article class="card[^"]*" data-has="([^"]*)">.*?<a href="([^"]*)\.html"', page, re.DOTALL
    )
    return [name for has, name in cards if all(hidden[one] in has.split() for one in chosen)]


def test_reports_can_be_chosen_by_paper_data_set_and_verdict(pages: dict[str, str]) -> None:
    every = ["paper/dream/table1", "paper/dim/table2", "paper/engine/speed", "quick/dm/figureF1"]
    assert matching(pages["html"]) == every
    assert matching(pages["html"], "DiM") == every[1:2]
    assert matching(pages["html"], "CIFAR-10") == every[:1]
    assert matching(pages["html"], "not decided") == every[:2]
    assert matching(pages["html"], "holds") == [every[0], *every[2:]]
    assert matching(pages["html"], "MNIST", "does not hold") == []


def test_the_picture_of_numbers_is_for_light_and_dark_pages(pages: dict[str, str], indexed: Path) -> None:
    svg = (indexed / "front" / "paper.svg").read_text()
    ElementTree.fromstring(svg)
    rules = re.search(r"<style>@media \(prefers-color-scheme: dark\)\{(.*?)\}</style>", svg)
    assert rules is not None
    assert style.INK in svg.replace(rules[0], ""), "there is something to be made lighter"
    assert f'[style*="fill: {style.INK}"]' in rules[1]
    assert (
        5 * 72 * 0.95
        <= float(ElementTree.fromstring(svg).get("width", "").removesuffix("pt"))
        <= 5 * 72 * 1.05
    )


def test_the_same_reports_give_the_same_pages(pages: dict[str, str], indexed: Path) -> None:
    index(indexed, profiles=READINGS, kept=("paper", "cpu"), command="make {target} PROFILE={profile}")
    assert (indexed / "index.html").read_text() == pages["html"]
    assert (indexed / "README.md").read_text() == pages["md"]


def test_a_claim_is_shown_letter_by_letter(reports: Path) -> None:
    report(reports, "paper/dim/figure4", claims=[["FC from 100 to 194*4*4", False, "196*4*4"]])
    page = index(reports, profiles=READINGS, kept=("paper",)).read_text()
    assert "FC from 100 to 194*4*4 (" in page
    assert r"FC from 100 to 194\*4\*4 (" in (reports / "README.md").read_text()


def test_a_list_that_is_not_ours_stays(reports: Path) -> None:
    (reports / "README.md").write_text("# Mine\n")
    index(reports, profiles=READINGS, kept=("paper",))
    assert (reports / "README.md").read_text() == "# Mine\n"
    assert not (reports / "front").exists()


def test_without_kept_profiles_nothing_is_found(reports: Path) -> None:
    text = index(reports, profiles=READINGS).read_text()
    assert "DREAM is best" not in text
    assert not (reports / "README.md").exists()


def test_an_accuracy_in_two_tables_counts_once(reports: Path, table: Any) -> None:
    report(reports, "paper/dm/tableT1", table)
    # A page may call its row otherwise.
    other = reports / "paper" / "dm" / "tableT1.csv"
    other.write_text(other.read_text().replace("dc,DC,", "dc,DC judged elsewhere,"))
    assert "judged elsewhere" in other.read_text()
    cards = [
        card(reports, "paper", *name) for name in (("dream", "table1"), ("dm", "tableT1"), ("dim", "table2"))
    ]
    both = comparison.comparable(cards)
    assert both[["dataset", "ipc", "measured", "reported"]].to_numpy().tolist() == [
        ["cifar10", 1, 32.0, 28.3],
        ["cifar10", 10, 45.0, 44.9],
        ["fashionmnist", 1, 60.5, 70.5],
    ]
    assert comparison.in_words(both.iloc[:0]) == ""


def test_of_two_tables_the_one_counts_that_prints_a_deviation(reports: Path, table: Any) -> None:
    report(reports, "paper/dm/tableT1", table)
    other = reports / "paper" / "dm" / "tableT1.csv"
    frame = pd.read_csv(other)
    frame.assign(reported_std=frame.reported_std.fillna(0.4)).to_csv(other, index=False)
    both = comparison.comparable(
        [card(reports, "paper", *name) for name in (("dream", "table1"), ("dm", "tableT1"))]
    )
    assert both[["dataset", "ipc", "reported_std"]].to_numpy().tolist() == [
        ["cifar10", 10, 0.5],
        ["fashionmnist", 1, 0.6],
        ["cifar10", 1, 0.4],
    ]


def test_facts_of_another_form_are_no_report(reports: Path) -> None:
    place = report(reports, "paper/dream/table1", claims=[["too short"]])
    with pytest.raises(DataError, match=r"table1\.ipynb says something else of itself than a page does"):
        card(reports, "paper", "dream", "table1")
    with pytest.warns(UserWarning, match="listed as unreadable"):
        index(reports, profiles=READINGS)
    assert place.exists()


def test_cost_counts_processor_time_and_a_set_once(make: Callable[..., dict[str, Any]]) -> None:
    core = {"device": "AMD EPYC, 2 thread(s)", "seconds": {"distill": 10.0, "evaluate": 4.0, "core": 20.0}}
    clock = {"device": "AMD EPYC, 2 thread(s)", "seconds": {"distill": 10.0, "evaluate": 4.0}}
    again = {"key": "b", "set_sha256": "x", **core}
    assert facts.cost([make(set_sha256="x", **core), make(**again)]) == {"core": 28.0}
    assert facts.cost([make(set_sha256="x", **clock), make(**{**again, **clock})]) == {"clock": 36.0}
    assert facts.cost([make(device="NVIDIA H200", **{"seconds": {"distill": 1.0}})]) == {"device": 1.0}
    twice = make(set_sha256="x", **core)
    assert facts.cost([twice, twice]) == facts.cost([twice])
    assert facts.cost([]) == {}


def test_cost_counts_an_earlier_stage_once(make: Callable[..., dict[str, Any]]) -> None:
    """Two sets that go on from one stage, one of them judged twice, and the stage as a row of its own."""
    processors, stage = (
        {"device": "AMD EPYC, 2 thread(s)"},
        {"earlier": {"gan": {"distill": 6.0, "core": 9.0}}},
    )
    core = {"seconds": {"distill": 10.0, "evaluate": 1.0, "core": 20.0}, **processors, **stage}
    sets = [make(key="a", set_sha256="x", **core), make(key="b", set_sha256="y", **core)]
    assert facts.cost(sets) == {"core": 20.0 + 11.0}
    again = make(key="c", set_sha256="y", **core)
    assert facts.cost([*sets, again]) == {"core": 20.0 + 11.0 + 2.0}
    own = {"seconds": {"distill": 6.0, "evaluate": 1.0, "core": 11.0}, **processors}
    gan = make(key="d", set_sha256="gan", **own)
    assert facts.cost([gan, *sets]) == {"core": 11.0 + 11.0 + 11.0}
    clock = {"seconds": {"distill": 10.0, "evaluate": 1.0}, **processors, **stage}
    waited = [make(key="a", set_sha256="x", **clock), make(key="b", set_sha256="y", **clock)]
    assert facts.cost(waited) == {"clock": 22.0 + 22.0 - 12.0}


def test_hours_in_words_never_say_none(make: Callable[..., dict[str, Any]]) -> None:
    assert facts.hours({"core": 8280.0}) == "2.3 core-hours"
    assert facts.hours({"core": 1.0}) == "less than 0.1 core-hours"
    both = facts.hours({"clock": 36000.0, "core": 3600.0})
    assert both == "1.0 core-hours, 10 core-hours by the clock (shared machine)"
    assert facts.hours({"device": 7200.0}) == "2.0 device-hours"
    assert facts.hours(facts.cost([])) == ""


def test_thumbnails_are_small(tmp_path: Path) -> None:
    raw = np.random.default_rng(0).integers(0, 255, (900, 1600, 4), dtype=np.uint8)
    Image.fromarray(raw).save(tmp_path / "a.png")
    kind, _, data = thumbnail(tmp_path / "a.png").partition(",")
    assert kind == "data:image/png;base64"
    with Image.open(io.BytesIO(base64.b64decode(data))) as small:
        assert small.size == (480, 270)
    (tmp_path / "b.svg").write_text("<svg/>")
    assert thumbnail(tmp_path / "b.svg").startswith("data:image/svg+xml;base64,")
    (tmp_path / "c.svg").write_text("<svg>" + "x" * 400_000 + "</svg>")
    assert thumbnail(tmp_path / "c.svg") == ""


def test_an_order_has_its_interval_where_there_is_one() -> None:
    line = {"place": "MNIST, IPC 1", "methods": 5, "tau": 0.6, "low": 0.2, "high": 1.0, "sets": 1}
    found = Card("paper", "dream", "table1", agreement=(line, line | {"low": None, "high": None}))
    assert found.order == "0.60 [0.20, 1.00] on MNIST, IPC 1 (5 methods); 0.60 on MNIST, IPC 1 (5 methods)"
