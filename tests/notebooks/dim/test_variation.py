"""One setting of DiM varied: the rows are the paper's; its best value is held against the ends that were measured."""

from __future__ import annotations

from pathlib import Path

import ablation
import pytest
from variation import own_spread, variants, worse_at_the_ends

from dreamlib.companion.plans import dim
from dreamlib.companion.session import Session


def test_rows_are_all_that_the_paper_prints_and_the_cells_are_the_profiles_own(tmp_path: Path) -> None:
    session = Session("dim/table10", results=str(tmp_path), reports=str(tmp_path / "reports"))
    how = {"published": dim.NOISES, "called": "DiM noise_dim={}"}
    named, table = variants(session, dim.noises, "100", **how)
    assert [row.label for row in table.rows] == [str(size) for size in dim.NOISES]
    assert {row.label for row in table.rows if row.method} == set(named) < {row.label for row in table.rows}
    assert (session.folder / "table10.csv").is_file()


def test_the_best_value_is_not_held_against_itself(tmp_path: Path) -> None:
    """Figure 3a: "a large λ or a small λ is worse". Where the best is an end of what is measured, one claim is left."""
    session = Session("dim/figure3a", results=str(tmp_path), reports=str(tmp_path / "reports"))
    named, table = variants(session, dim.weights, "0.01")
    ends = sorted(named, key=float)
    told = [claim for claim, holds, _ in worse_at_the_ends(table, named, "0.01", "λ") if holds is None]
    assert told == [
        f"too {much} a λ is worse: λ = 0.01 above λ = {name}"
        for much, name in (("small", ends[0]), ("large", ends[-1]))
        if name != "0.01"
    ]


def test_an_ablation_of_nothing_is_missing_beside_the_papers_numbers(tmp_path: Path) -> None:
    session = Session("dim/table6", results=str(tmp_path))
    named = dim.pools("quick", "digits", 10)
    methods = {name: cell.method for name, cell in named.items()}
    rows = ablation.variants(methods, dim.MIXES, "DiM pool={}")
    table = ablation.of_session(session, rows, base="C3+R10+R18", average=True)
    assert table.missing == 3 * 4  # quick has three of the seven
    assert "make dim-table6 PROFILE=quick" in table.markdown()
    number = table.entries[6, ("CIFAR-10, INPC 50", "Avg.")].number
    assert number is not None
    assert number.value == 73.9


def test_what_is_not_measured_along_the_way_names_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = Session("dim/table5", profile="cpu", results=str(tmp_path), reports=str(tmp_path / "reports"))
    _, table = variants(session, dim.starts, "120", published=dim.STARTS, called="DiM matching_from_epoch={}")
    said: list[str] = []
    monkeypatch.setattr(session, "say", said.append)
    own_spread(session, table)
    measures, beyond = said
    assert measures.startswith(
        "*MNIST, INPC 10: how far one generator moves along its epochs is not measured"
    )
    assert "under C-3 and R-10. " in measures
    assert f"`make dim-figure6 PROFILE=cpu RESULTS={tmp_path}` measures it" in measures
    assert "under R-18 it is not measured, and no command does" in beyond
    assert "points" not in " ".join(said)
