"""Ablation tables on made-up records and made-up reported numbers; nothing here was measured."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from ablation import (
    JUDGES,
    AblationTable,
    Course,
    ablation_table,
    course,
    told,
    variants,
    varied,
    wanted,
    wanted_told,
)

from dreamlib.companion.report.reported import COLUMNS, load_reported
from dreamlib.companion.report.tables import Row
from dreamlib.companion.report.verdicts import decide
from dreamlib.companion.report.words import MISSING, NOT_HERE
from dreamlib.core.errors import BadValue

Make = Callable[..., dict[str, Any]]
PRINTED = f"""{",".join(COLUMNS)}
dim,table0,cifar10,inpc,50,DiM way=a,convnet3,top1_percent,60.0,,
dim,table0,cifar10,inpc,50,DiM way=b,convnet3,top1_percent,64.0,,
dim,table0,cifar10,inpc,50,DiM way=c,convnet3,top1_percent,63.0,,
dim,table0,cifar10,inpc,50,DiM way=a,resnet10,top1_percent,61.0,,
dim,table0,cifar10,inpc,50,DiM way=b,resnet10,top1_percent,66.5,,
dim,table0,cifar10,inpc,50,DiM way=b,average,top1_percent,65.2,,
dim,table9,svhn,inpc,50,DiM way=b,convnet3,top1_percent,1.0,,of another item
"""
TWO = [JUDGES["C-3"], JUDGES["R-10"]]
# Two generators of each row; the second one is a little different.
AGAIN = {"dim+a": 0.9, "dim": 1.1}
ACCURACIES = {
    ("dim+a", "convnet"): [80.0, 82.0],
    ("dim+a", "resnet10"): [70.0, 71.0],
    ("dim", "convnet"): [90.0, 92.0],
    ("dim", "resnet10"): [68.0, 74.0],
}


@pytest.fixture
def printed(tmp_path: Path) -> pd.DataFrame:
    file = tmp_path / "reported.csv"
    file.write_text(PRINTED, encoding="utf-8")
    return load_reported(file)


@pytest.fixture
def records(make: Make) -> list[dict[str, Any]]:
    return [judged(make, *place, values) for place, values in ACCURACIES.items()]


def judged(make: Make, method: str, network: str, values: list[float], **changes: Any) -> dict[str, Any]:
    """A record of a generator, judged by a network."""
    one = make(
        method,
        "digits",
        accuracies=values,
        key=f"{method}-{network}-{changes}",
        budget="inpc",
        iteration=20,
        iterations=20,
    )
    norm = "instance" if network == "convnet" else "group"
    one["evaluation"]["network"] = {"name": network, "depth": 2, "width": 8, "norm": norm}
    one["recipe"] = {"criterion": {"part": "Generative", "epochs": 20}}
    return one | changes


def rows() -> list[Row]:
    return variants({"a": "dim+a", "b": "dim"}, ["a", "b", "c"], "DiM way={}")


def table_of(records: list[dict[str, Any]], printed: pd.DataFrame, **changes: Any) -> AblationTable:
    how: dict[str, Any] = {"item": "table0", "base": "a", "average": True, "command": "make dim-table0"}
    return ablation_table(records, rows(), TWO, ["digits"], [10], printed, **(how | changes))


@pytest.fixture
def table(records: list[dict[str, Any]], printed: pd.DataFrame) -> AblationTable:
    return table_of(records, printed)


HERE, THERE = "Digits, INPC 10", "CIFAR-10, INPC 50"


def test_a_record_stands_where_its_method_and_network_say(table: AblationTable) -> None:
    assert table.columns == tuple((span, head) for span in (HERE, THERE) for head in ("C-3", "R-10", "Avg."))
    assert table.entries[0, (HERE, "C-3")].accuracies == (80.0, 82.0)
    assert table.entries[1, (HERE, "R-10")].accuracies == (68.0, 74.0)
    assert table.missing == 0


def test_an_average_is_of_one_network_of_each_kind(table: AblationTable) -> None:
    cell = table.entries[1, (HERE, "Avg.")]
    pairs = [(90.0 + 68.0) / 2, (92.0 + 74.0) / 2]
    assert cell.mean == np.mean(pairs)
    assert cell.std == np.std(pairs, ddof=1)
    assert cell.n == 2
    assert table.entries[1, (THERE, "Avg.")].number is not None


def test_an_average_waits_for_all_networks(records: list[dict[str, Any]], printed: pd.DataFrame) -> None:
    table = table_of(records[:1] + records[2:], printed)
    assert table.entries[0, (HERE, "Avg.")].status == MISSING
    assert table.missing == 2
    assert "missing" in table.markdown()
    assert "make dim-table0" in table.html()


def test_an_average_of_unequal_networks_is_refused(make: Make, printed: pd.DataFrame) -> None:
    uneven = [judged(make, "dim", "convnet", [90.0, 91.0]), judged(make, "dim", "resnet10", [70.0])]
    with pytest.raises(BadValue, match="different seeds or numbers"):
        table_of(uneven, printed)


def test_the_papers_place_has_columns_of_its_own(table: AblationTable) -> None:
    cell = table.entries[1, (THERE, "C-3")]
    assert (cell.status, cell.mean) == (NOT_HERE, None)
    assert cell.number is not None
    assert cell.number.value == 64.0
    assert table.entries[1, (HERE, "C-3")].number is None
    frame = table.frame()
    assert frame[frame.dataset == "cifar10"].measured.isna().all()
    assert not (frame.dataset == "svhn").any()
    for text in (table.markdown(), table.html(), table.latex()):
        assert "it is not measured for this page" in text
        assert "stored images" not in text  # INPC is said in the heading, not of every number


def test_measured_and_reported_share_a_column_where_the_place_is_the_same(
    make: Make, printed: pd.DataFrame
) -> None:
    one = judged(make, "dim", "convnet", [70.0, 72.0], dataset="cifar10", ipc=50)
    table = ablation_table([one], rows(), TWO, ["cifar10"], [50], printed, item="table0")
    assert {span for span, _ in table.columns} == {THERE}
    assert table.entries[1, (THERE, "C-3")].difference == 71.0 - 64.0


def test_change_to_the_base_row(table: AblationTable) -> None:
    assert table.change(1, (HERE, "C-3")) == (10.0, None)
    assert table.change(1, (THERE, "R-10")) == (None, 5.5)
    assert table.change(0, (HERE, "C-3")) == (None, None)
    line = next(text for text in table.markdown().splitlines() if "| to a |" in text)
    assert line.split("|")[3:6] == [" +10.0 ", " +0.5 ", " +5.2 "]
    assert "*(+5.5)*" in line
    assert "to a" in table.latex()
    frame = table.frame().set_index(["label", "dataset", "network"])
    assert frame.loc[("b", "digits", "C-3"), "change"] == 10.0
    assert frame.loc[("b", "cifar10", "R-10"), "reported_change"] == 5.5


def test_without_a_base_row_there_is_no_line_for_it(
    records: list[dict[str, Any]], printed: pd.DataFrame
) -> None:
    table = table_of(records, printed, base="")
    assert "to a" not in table.markdown()
    with pytest.raises(BadValue, match="no base row"):
        table.changes()
    with pytest.raises(BadValue, match=r"no row 'z'; expected one of a, b, c"):
        table_of(records, printed, base="z")


@pytest.fixture
def twice(make: Make, records: list[dict[str, Any]], printed: pd.DataFrame) -> AblationTable:
    """The same with a second generator in every row."""
    second = [
        judged(make, method, name, [value + AGAIN[method] for value in values], seed=1)
        for (method, name), values in ACCURACIES.items()
    ]
    return table_of([*records, *second], printed)


def test_changes_have_an_interval_and_the_papers_own_difference(twice: AblationTable) -> None:
    frame = twice.changes().set_index(["network", "row"])
    assert list(frame.index) == [("C-3", "b"), ("R-10", "b")]
    clear, unclear = frame.loc[("C-3", "b")], frame.loc[("R-10", "b")]
    assert (clear.difference, clear.verdict, clear.n) == (pytest.approx(10.1), "higher", 2)
    # 10.0 and 10.2: a spread of 0.1414, and t(.975, 1) = 12.7062.
    assert clear.high - clear.difference == pytest.approx(12.7062 * 0.1, abs=1e-4)
    assert unclear.verdict == "not decided"
    assert (clear.reported, clear.reported_at) == (4.0, THERE)
    assert unclear.needed == 2
    assert twice.changes(network="Avg.").difference.tolist() == [pytest.approx(5.35)]
    words = told(twice.changes())
    assert words["difference (points)"].iloc[0].startswith("+10.1 [")
    assert words.reported.iloc[0] == "+4.0 (CIFAR-10, INPC 50)"
    assert words["generators for that"].tolist() == ["2", "2"]


def test_one_generator_a_row_decides_nothing(table: AblationTable) -> None:
    assert table.changes().verdict.tolist() == ["not decided", "not decided"]
    assert told(table.changes())["difference (points)"].tolist() == ["+10.0", "+0.5"]
    holds, evidence = table.above("b")
    assert holds is None
    assert "C-3: +10.0 points; " in evidence
    assert "; all over 1 generator, so there is no interval" in evidence
    assert table.best_is("b")[0] is None


def test_what_is_above_what(twice: AblationTable) -> None:
    holds, evidence = twice.above("b")
    assert holds is None
    assert evidence.startswith(
        "Digits, INPC 10, C-3: +10.1 points [+8.8, +11.4]; Digits, INPC 10, R-10: +0.6 points ["
    )
    assert (
        "as large as the paper's +5.5 on CIFAR-10, INPC 50 would take 2 generators); all over 2" in evidence
    )
    assert twice.above("b", network="C-3")[0] is True
    assert twice.above("a", "b")[0] is False
    assert twice.above("a", "b", network="R-10")[0] is None
    assert twice.above("c", "a") == (None, "not measured here")


def test_what_is_best(twice: AblationTable) -> None:
    assert twice.best_is("b", network="C-3")[0] is True
    assert twice.best_is("b")[0] is None
    holds, evidence = twice.best_is("a")
    assert holds is False
    assert "Digits, INPC 10, C-3, to b: −10.1 points" in evidence
    assert twice.best_is("a", network="R-10")[0] is None


def test_nothing_measured_is_nothing_decided(printed: pd.DataFrame) -> None:
    table = table_of([], printed)
    assert table.above("b") == (None, "not measured here")
    assert table.best_is("b") == (None, "not measured here")
    assert told(table.changes())["difference (points)"].tolist() == [MISSING, MISSING]
    assert table.missing == 6
    assert "Nothing has been measured yet" in table.html()


def along(make: Make, accuracies: dict[int, list[float]], **changes: Any) -> list[dict[str, Any]]:
    """Records of one generator along its epochs, of 20."""
    return [
        judged(
            make, "dim", "convnet", values, iteration=epoch, key=f"{epoch}-{changes}", label="DiM", **changes
        )
        for epoch, values in accuracies.items()
    ]


def test_the_spread_of_one_generator_is_that_of_its_means_along_its_epochs(make: Make) -> None:
    way = along(make, {13: [60.0, 62.0], 17: [63.0, 63.0], 20: [61.0, 63.0]})
    found = course([*way, judged(make, "dim", "resnet10", [10.0], iteration=13)], "convnet")
    assert found is not None
    assert found.spread == pytest.approx(np.std([61.0, 63.0, 62.0], ddof=1))
    assert (found.generators, found.words) == (1, "DiM, epochs 13, 17 and 20 of 20")


def test_generators_that_lie_apart_move_no_further_for_it(make: Make) -> None:
    """The variance is that within a generator, averaged: not the one between two."""
    first, second = (
        along(make, {17: [at - step], 20: [at + step]}, seed=seed)
        for seed, (at, step) in enumerate([(60.0, 1.0), (90.0, 3.0)])
    )
    found = course(first + second, "convnet")
    assert found is not None
    assert found.spread == pytest.approx(np.sqrt((2.0 + 18.0) / 2))
    assert found.generators == 2


def test_a_generator_at_its_end_alone_says_nothing_of_the_way(make: Make) -> None:
    ends = along(make, {20: [60.0]}) + along(make, {20: [64.0]}, seed=1)
    assert course(ends, "convnet") is None
    assert course(along(make, {17: [60.0]}), "convnet") is None
    assert course([], "convnet") is None
    with pytest.raises(BadValue, match="several generators in one course"):
        course([*ends, judged(make, "gan", "convnet", [1.0])], "convnet")


def test_how_many_generators_the_papers_difference_takes(twice: AblationTable) -> None:
    spread = 2.0
    frame = wanted(twice.changes(), {("digits", 10, "C-3"): Course("DiM", (17, 20), 20, spread, 1)})
    [line] = frame.to_dict("records")  # R-10 has no course
    assert (line["network"], line["row"], line["claimed"], line["needed"]) == ("C-3", "b", 4.0, 5)
    # The rule of every page: with so many pairs of rows, each of that spread, the interval is narrower than 4 points.
    wide, narrow = (
        decide(np.sqrt(2) * spread * np.linspace(-1, 1, many) / np.std(np.linspace(-1, 1, many), ddof=1))
        for many in (line["needed"] - 1, line["needed"])
    )
    assert wide.high > 4.0 > narrow.high
    assert wanted_told(frame)["generators of each row"].tolist() == ["5"]
    assert wanted_told(frame)["reported difference"].tolist() == ["+4.0 (CIFAR-10, INPC 50)"]


def test_where_the_paper_prints_no_difference_one_point_is_asked_for_once(twice: AblationTable) -> None:
    changes = twice.changes().assign(reported=np.nan, reported_at="")
    changes = pd.concat([changes, changes.assign(row="d")])
    frame = wanted(changes, {("digits", 10, "C-3"): Course("DiM", (17, 20), 20, 1.0, 1)})
    assert frame[["network", "row", "claimed", "needed"]].values.tolist() == [["C-3", "any", 1.0, 11]]
    assert wanted_told(frame)["reported difference"].tolist() == ["none; for one point"]


def test_equal_rows_and_what_is_out_of_reach_take_no_number(twice: AblationTable) -> None:
    about = {("digits", 10, label): Course("DiM", (17, 20), 20, 2.0, 1) for label in ("C-3", "R-10")}
    changes = twice.changes().assign(reported=[0.0, 1e-3])
    frame = wanted(changes, about)
    assert frame.needed.isna().all()
    assert wanted_told(frame)["generators of each row"].tolist() == ["–", "more than 1,000,000"]
    assert wanted(changes, {}).empty


def test_a_row_of_another_profile_says_so(table: AblationTable) -> None:
    [line] = [text for text in table.markdown().splitlines() if text.startswith("| c ")]
    assert line.startswith("| c (not on this page) | *reported* |")
    assert "*63.0*" in line
    assert "not on this page" in table.html()
    assert "not on this page, so only" in table.latex()
    assert "not implemented" not in table.markdown() + table.html() + table.latex()


def test_the_caption_says_what_a_profile_has_made_of_networks_and_epochs(table: AblationTable) -> None:
    text = table.markdown()
    assert "C-3 is ConvNet-2, instance norm, width 8 (published: 128)" in text
    assert "R-10 is ResNet-10, group norm, width 8 (published: 128)" in text
    assert "The paper's 200 epochs of a generator are 20 here." in text
    assert "n = 2 of 1 generator in every cell." in text


def test_published_settings_need_no_remark(make: Make, printed: pd.DataFrame) -> None:
    one = judged(make, "dim", "resnet10", [70.0], iteration=200, iterations=200)
    one["evaluation"]["network"] = {"name": "resnet10", "depth": 3, "width": 128, "norm": "instance"}
    text = table_of([one], printed, average=False).markdown()
    assert "R-10 is ResNet-10, instance norm." in text
    assert "epochs of a generator" not in text


def test_stored_images_are_refused(make: Make, records: list[dict[str, Any]], printed: pd.DataFrame) -> None:
    stored = judged(make, "dim", "convnet", [90.0], budget="ipc")
    with pytest.raises(BadValue, match="DIM: stored images in a table of images drawn again for every epoch"):
        table_of([*records[:2], stored], printed)
    assert table_of([*records, stored | {"method": "dm"}], printed).missing == 0


def test_two_records_for_one_place_are_refused(
    make: Make, records: list[dict[str, Any]], printed: pd.DataFrame
) -> None:
    twin = judged(make, "dim", "convnet", [1.0, 2.0], key="other")
    with pytest.raises(BadValue, match="several records for seed 0"):
        table_of([*records, twin], printed)


def test_seeds_are_pooled_and_paired(
    make: Make, records: list[dict[str, Any]], printed: pd.DataFrame
) -> None:
    again = [
        judged(make, method, name, [value + 1 for value in values], seed=1)
        for (method, name), values in ACCURACIES.items()
    ]
    table = table_of([*records, *again], printed)
    cell = table.entries[1, (HERE, "C-3")]
    assert (cell.n, cell.sets, cell.mean) == (4, 2, 91.5)
    assert table.entries[1, (HERE, "Avg.")].n == 4
    assert table.changes().n.tolist() == [2, 2]


def test_save_and_latex_are_whole(table: AblationTable, tmp_path: Path) -> None:
    assert [file.name for file in table.save(tmp_path, "table4")] == ["table4.csv", "table4.md", "table4.tex"]
    text = (tmp_path / "table4.tex").read_text()
    for name in ("table", "tabular", "minipage"):
        assert text.count(f"\\begin{{{name}}}") == text.count(f"\\end{{{name}}}") > 0
    lines = [line.split("&") for line in text.splitlines() if line.endswith(r"\\") and line.count("&") > 3]
    assert {len(line) for line in lines} == {8}  # a label, a kind, and six columns
    assert [line[1].strip() for line in lines].count("to a") == 2


def test_curves_are_drawn_with_reported_markers_open(table: AblationTable) -> None:
    curves = table.curves([1, 10, 100])
    assert list(curves) == [HERE, THERE]
    assert set(curves[HERE]["line"]) == {"C-3", "R-10"}
    figure = varied(curves, xlabel="way", logarithmic=True)
    measured, reported = figure.axes
    assert [text.get_text() for text in measured.get_legend().get_texts()] == ["C-3 (n = 2)", "R-10 (n = 2)"]
    assert [text.get_text() for text in reported.get_legend().get_texts()] == [
        "C-3, reported",
        "R-10, reported",
    ]
    assert measured.lines[0].get_markerfacecolor() != "white"
    assert reported.lines[0].get_markerfacecolor() == "white"
    assert measured.lines[0].get_linestyle() == "-"
    assert reported.lines[0].get_linestyle() != "-"
    assert [label.get_text() for label in measured.get_xticklabels()] == ["a", "b", "c"]
    with pytest.raises(BadValue, match="2 values for 3 rows"):
        table.curves([1, 2])


def test_categories_are_not_joined_and_do_not_cover_each_other(table: AblationTable) -> None:
    figure = varied(table.curves(), xlabel="way", connected=False)
    first, second = (bars.lines[0] for bars in figure.axes[0].containers)
    assert {first.get_linestyle(), second.get_linestyle()} == {"None"}
    assert not set(first.get_xdata()) & set(second.get_xdata())


def test_a_figure_of_nothing_says_missing(printed: pd.DataFrame) -> None:
    bare = [Row("dim", "b", None)]
    empty = ablation_table([], bare, TWO, ["digits"], [10], printed, item="table0")
    figure = varied(empty.curves(), xlabel="way")
    assert [text.get_text() for text in figure.axes[0].texts] == ["missing"]
    assert "Reported" not in empty.markdown()
    for bad in ({}, {"a": pd.DataFrame({"line": []})}):
        with pytest.raises(BadValue):
            varied(bad, xlabel="way")


def test_panels_go_on_in_a_second_line() -> None:
    one = pd.DataFrame(
        {
            "line": ["C-3"],
            "x": [1.0],
            "tick": ["1"],
            "mean": [50.0],
            "std": [1.0],
            "n": [2],
            "reported": [np.nan],
        }
    )
    figure = varied({str(number): one for number in range(5)}, xlabel="x")
    assert len(figure.axes) == 6
    assert [ax.axison for ax in figure.axes] == [True] * 5 + [False]
    assert figure.get_figheight() > 7
