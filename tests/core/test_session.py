"""What a notebook asks of its session, without any cell computed."""

from __future__ import annotations

from pathlib import Path

import pytest

from dreamlib.experiments.plans import dim
from dreamlib.report import ablation
from dreamlib.session import Session


def test_a_page_of_generators_speaks_of_inpc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(Session, "say", lambda self, text: said.append(text))
    for item in ("dim/table4", "dm/figureF2"):
        Session(item, results=str(tmp_path)).about()
    assert "; INPC 10; 1 generator(s) per cell." in said[0]
    assert "INPC" not in said[1]
    assert "synthetic set(s) per cell" in said[1]


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


def test_an_ablation_of_nothing_is_missing_beside_the_papers_numbers(tmp_path: Path) -> None:
    session = Session("dim/table6", results=str(tmp_path))
    named = dim.pools("quick", "digits", 10)
    methods = {name: cell.method for name, cell in named.items()}
    rows = ablation.variants(methods, dim.MIXES["paper"], "DiM pool={}")
    table = session.ablation_table(rows, base="C3+R10+R18", average=True)
    assert table.missing == 3 * 4  # quick has three of the seven
    assert "make dim-table6 PROFILE=quick" in table.markdown()
    number = table.cells[6, ("CIFAR-10, INPC 50", "Avg.")].number
    assert number is not None
    assert number.value == 73.9


def test_a_number_of_another_paper(tmp_path: Path) -> None:
    session = Session("dim/figure3a", results=str(tmp_path))
    assert session.reported_number("fig3a", "cifar10", "DiM", "best_lambda", paper="dim") == 0.01
    assert session.reported_number("fig3a", "cifar10", "DiM", "best_lambda") is None
