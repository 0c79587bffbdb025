from __future__ import annotations

import io
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from dreamlib.companion.profiles import profiles
from dreamlib.companion.report.settings import of_methods, shown
from dreamlib.companion.report.statistics import by_seed, paired_difference
from dreamlib.companion.report.tables import AccuracyTable, Row, accuracy_table, styled
from dreamlib.companion.report.words import duration, network, number, percent, points, size, sound, times
from dreamlib.core.errors import BadValue, StoreError

Make = Callable[..., dict[str, Any]]
ROWS = [
    Row("dc", "DC", "DC", "Gradient matching"),
    Row("dc+dream", "DC+DREAM", None, "Gradient matching"),
    Row("dm", "DM <b> & Söhne_1", "DM", "Feature matching"),
    Row(None, "KIP", "KIP", "Others"),
    Row("whole", "Whole data set", "Whole dataset", "Others", bound=True),
]


@pytest.fixture
def table(make: Make, numbers: pd.DataFrame) -> AccuracyTable:
    records = [
        make("dc", seed=0, accuracies=[44.0, 46.0]),
        make("dc", seed=1, accuracies=[47.0, 45.5], peak_memory_bytes=2**21),
        make("dc+dream", seed=0, accuracies=[48.25], key="one"),
        make("dc+dream", seed=0, accuracies=[48.25], key="one"),  # the same record twice counts once
        make("dc", seed=0, iteration=10, key="halfway", accuracies=[1.0, 2.0]),  # belongs to a curve
        make("dc", "fashionmnist", 1, accuracies=[70.6]),
        make("dm", "digits", 1, accuracies=[90.0, 92.0]),
        make("whole", ipc=0, accuracies=[85.0, 85.2]),
    ]
    return accuracy_table(
        records, ROWS, ["cifar10", "fashionmnist", "digits"], [1, 10], numbers, command="make table1 A=_b"
    )


def line(frame: pd.DataFrame, method: str, dataset: str, ipc: int) -> pd.Series:
    found = frame[(frame["method"] == method) & (frame["dataset"] == dataset) & (frame["ipc"] == ipc)]
    assert len(found) == 1
    return found.iloc[0]


def test_arithmetic_is_numpys(table: AccuracyTable) -> None:
    cell = line(table.frame(), "dc", "cifar10", 10)
    pooled = [44.0, 46.0, 47.0, 45.5]
    assert cell["measured"] == np.mean(pooled)
    assert cell["std"] == np.std(pooled, ddof=1)
    assert (cell["n"], cell["sets"]) == (4, 2)
    assert cell["difference"] == np.mean(pooled) - 44.9
    assert cell["reported_std"] == 0.5
    assert cell["seconds"] == 14.0
    assert cell["peak_memory_bytes"] == 2**21
    assert cell["reported_from"] == "DREAM Table 1"


def test_one_network_has_no_spread(table: AccuracyTable) -> None:
    cell = line(table.frame(), "dc+dream", "cifar10", 10)
    assert cell["n"] == 1
    assert np.isnan(cell["std"])
    assert cell["reported_from"] == "not reported"
    assert "48.2 (n=1)" in table.markdown()


def test_a_fallback_is_marked(table: AccuracyTable) -> None:
    cell = line(table.frame(), "dc", "fashionmnist", 1)
    assert (cell["reported"], cell["reported_from"]) == (70.5, "DiM Table 2")
    for text in (table.markdown(), table.latex(), table.html()):
        assert "reported by DiM Table 2" in text


def test_whole_data_set_answers_for_every_budget(table: AccuracyTable) -> None:
    for ipc in (1, 10):
        cell = line(table.frame(), "whole", "cifar10", ipc)
        assert cell["measured"] == pytest.approx(85.1)
        assert cell["reported"] == 84.8
        assert table.best(("cifar10", ipc)) != 4
    assert table.best(("cifar10", 10)) == 1
    assert table.best(("cifar10", 1)) is None


def test_status_tells_what_a_number_is(table: AccuracyTable) -> None:
    frame = table.frame()
    assert set(frame["status"]) == {"measured", "missing", "not implemented"}
    assert (
        frame.loc[frame["status"] != "measured", ["measured", "std", "difference", "seconds"]]
        .isna()
        .all(axis=None)
    )
    assert (frame.loc[frame["status"] != "measured", "n"] == 0).all()
    assert table.missing == (frame["status"] == "missing").sum()
    assert len(frame) == len(ROWS) * 6


def test_reported_only_never_looks_measured(table: AccuracyTable) -> None:
    [kip] = re.findall(r"^\| KIP .*$", table.markdown(), re.MULTILINE)
    assert kip.startswith("| KIP (not implemented) | *reported* |")
    assert "*62.7*" in kip
    assert "**" not in kip
    page = table.html()
    [body] = [part for part in page.split("<tr>") if ">KIP" in part]
    assert "not implemented" in body
    assert '<em class="reported">62.7</em>' in body
    assert 'class="measured' not in body
    [tex] = [one for one in table.latex().splitlines() if one.startswith("KIP")]
    assert tex.startswith(r"KIP\textsuperscript{*} & \textit{reported} & -- & \textit{62.7}")


def test_missing_is_a_word_with_its_command(table: AccuracyTable) -> None:
    for text, command in (
        (table.markdown(), "`make table1 A=_b`"),
        (table.latex(), r"\texttt{make table1 A=\_b}"),
        (table.html(), "<code>make table1 A=_b</code>"),
    ):
        assert command in text
        assert f"{table.missing} entries are missing." in text
    body = table.markdown().split("\n\n")[0]
    assert body.count("missing") == table.missing
    measured = [one for one in body.splitlines() if "| measured |" in one]
    assert all(cell.strip() for one in measured for cell in one.strip("|").split("|")[2:])


def test_profile_is_named_and_explained(table: AccuracyTable, numbers: pd.DataFrame) -> None:
    """In the profile's own words, which stand last in the caption."""
    told = replace(table, reading=profiles["quick"].reading)
    for text in (told.markdown(), told.latex(), told.html()):
        assert "Profile quick: a scaled-down protocol" in text
    empty = accuracy_table([], ROWS, ["cifar10"], [10], numbers)
    assert "Nothing has been measured yet." in empty.markdown()
    assert 'class="measured' not in empty.html()


def test_data_set_of_no_paper(table: AccuracyTable) -> None:
    cell = line(table.frame(), "dm", "digits", 1)
    assert np.isnan(cell["reported"])
    assert "Digits<sup>a</sup> · 1" in table.markdown()
    assert "<sup>a</sup> no paper reports this data set" in table.markdown()


def test_budgets_of_a_generator_are_told(make: Make, numbers: pd.DataFrame) -> None:
    table = accuracy_table(
        [], [Row("dim", "DiM", "DiM")], ["cifar10"], [10], numbers, paper="dim", item="table2"
    )
    assert "images per class that a generator draws again for every epoch (INPC)" in table.markdown()
    assert "as printed in DiM Table 2" in table.markdown()


def test_n_is_said_once_or_in_every_cell(table: AccuracyTable, make: Make, numbers: pd.DataFrame) -> None:
    assert "(n=4)" in table.markdown()
    assert "(n=4)" in table.html()
    same = accuracy_table([make("dc"), make("dc", ipc=1)], ROWS[:1], ["cifar10"], [1, 10], numbers)
    assert "n = 2 of 1 distilled set in every cell." in same.markdown()
    assert "(n=" not in same.markdown()


def test_html_escapes_and_keeps_non_ascii(table: AccuracyTable) -> None:
    page = table.html()
    assert "DM &lt;b&gt; &amp; Söhne_1" in page
    assert "<b>" not in page
    assert table._repr_html_() == page


def test_every_measured_number_leads_to_its_records(make: Make, numbers: pd.DataFrame) -> None:
    records = [make("dc", seed=seed, key=f"key-of-dc-{seed}") for seed in (0, 1)] + [
        make("dm", key="key-of-dm")
    ]
    links = {record["key"]: f"../../results/cpu/{record['key']}.json" for record in records}
    rows = [Row("dc", "DC", "DC"), Row("dm", "DM", "DM")]
    table = accuracy_table(records, rows, ["cifar10"], [10], numbers, links=links)
    html = table.html()
    assert '<a href="../../results/cpu/key-of-dm.json"><b class="measured' in html
    assert (
        '<a href="#records-key-of-dc-0"><b class="measured' in html
    )  # of two sets: to the line that lists both
    line = html.partition('<span id="records-key-of-dc-0">')[2].partition("</span>")[0]
    assert line == ", ".join(
        f'<a href="../../results/cpu/key-of-dc-{seed}.json">{seed}</a>' for seed in (0, 1)
    )
    assert "results" not in table.markdown() + table.latex()
    every = shown(records, links=links).text.partition("Every record (3)")[2]
    assert all(f'<a href="{address}">record</a>' in every for address in links.values())


def test_markdown_escapes(table: AccuracyTable) -> None:
    assert r"| DM \<b\> & Söhne\_1 | measured |" in table.markdown()
    widths = {one.count("|") for one in table.markdown().split("\n\n")[0].splitlines()}
    assert widths == {9}


def test_latex_is_balanced(table: AccuracyTable) -> None:
    text = table.latex()
    assert text.replace(r"\{", "").replace(r"\}", "").count("{") == text.replace(r"\{", "").replace(
        r"\}", ""
    ).count("}")
    assert re.findall(r"\\begin\{(\w+)\}", text) == ["table", "tabular", "minipage"]
    assert re.findall(r"\\end\{(\w+)\}", text) == ["tabular", "minipage", "table"]
    assert text.count("$") % 2 == 0
    assert r"DM \textless{}b\textgreater{} \& Söhne\_1 & measured &" in text
    body = text[text.index("\\midrule") : text.index("\\bottomrule")]
    for one in body.splitlines()[1:]:
        assert one.endswith(r"\\")
        if not one.startswith(r"\multicolumn"):
            assert len(re.findall(r"(?<!\\)&", one)) == 7
    assert not set(re.sub(r"\\.", "", text)) & set("±−–")


def test_latex_parts_wide_tables(make: Make, numbers: pd.DataFrame) -> None:
    table = accuracy_table(
        [make()],
        ROWS[:1],
        ["cifar10", "mnist", "svhn"],
        {"cifar10": [1, 10, 50], "mnist": [1, 10], "svhn": [1, 10]},
        numbers,
    )
    assert len(table.columns) == 7
    assert table.latex().count("\\begin{tabular}") == 2
    assert table.latex().count("\\caption") == 1


def test_golden_markdown(make: Make, numbers: pd.DataFrame) -> None:
    rows = [Row("dc", "DC", "DC"), Row("dm", "DM", None), Row(None, "KIP", "KIP")]
    table = accuracy_table(
        [make("dc"), make("dm", accuracies=[40.0, 41.0])], rows, ["cifar10"], [10], numbers
    )
    assert table.markdown().split("\n\n")[0] == (
        "| Method |  | CIFAR-10 · 10 |\n"
        "|---|---|---:|\n"
        "| DC | measured | **45.0 ± 1.4** |\n"
        "|  | *reported* | (+0.1) *44.9 ± 0.5* |\n"
        "| DM | measured | 40.5 ± 0.7 |\n"
        "| KIP (not implemented) | *reported* | *62.7* |"
    )


def test_records_that_must_not_be_pooled(make: Make, numbers: pd.DataFrame) -> None:
    with pytest.raises(BadValue, match="profiles cpu, quick in one table"):
        accuracy_table([make(), make("dm", profile="cpu")], ROWS, ["cifar10"], [10], numbers)
    with pytest.raises(BadValue, match="several records for seed 0"):
        accuracy_table([make(), make(key="other")], ROWS, ["cifar10"], [10], numbers)


def test_save(table: AccuracyTable, tmp_path: Path) -> None:
    files = table.save(tmp_path / "quick" / "dream", "table1")
    assert [file.name for file in files] == ["table1.csv", "table1.md", "table1.tex"]
    assert sorted(file.name for file in (tmp_path / "quick" / "dream").iterdir()) == sorted(
        f.name for f in files
    )
    kept = pd.read_csv(io.StringIO(files[0].read_text()))
    assert kept["measured"].dropna().tolist() == table.frame()["measured"].dropna().tolist()
    assert files[1].read_text() == table.markdown()
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="file"):
        table.save(tmp_path / "file", "table1")


def test_settings_show_what_differs(make: Make) -> None:
    records = [
        make("dc", seed=0),
        make("dc", seed=1, ipc=1, device="GPU", seconds={"distill": 60.0, "evaluate": 60.0}),
        make("dc", seed=2, revision=""),
        make("dm", seed=0, recipe={}, evaluation={}, peak_memory_bytes=0),
        make("dm", seed=0, iteration=1, key="halfway", ipc=50),
    ]
    frame = of_methods(records)
    assert "generator" not in frame.columns
    assert list(of_methods([]).columns) == list(frame.columns)
    dc, dm = frame.iloc[0], frame.iloc[1]
    assert dc["seeds"] == "0–2"
    assert dc["images/class"] == "1, 10"
    assert dc["device"] == "CPU; GPU"
    assert dc["computing"] == "7.0 s – 2 min 00 s"
    assert dc["epochs"] == "300"
    assert dc["augmentation"] == "crop (dsa)"
    assert dc["network"] == "name convnet, depth 3"
    assert dc["revision"] == "0123456789; not recorded"
    assert dc["versions"] == "python 3.11, torch 2.11"
    assert dm["images/class"] == "10"
    assert dm["real batch"] == dm["epochs"] == dm["peak memory"] == "not recorded"
    assert of_methods([]).empty


def test_settings_say_how_a_generator_was_made(make: Make) -> None:
    pool = [{"part": "NetworkSpec", "name": name} for name in ("convnet", "resnet18")]
    how = {
        "part": "Generative",
        "objective": {"part": "Adversarial", "penalty": 10.0},
        "batch": 64,
        "epochs": 20,
        "matched_from": 12,
        "matched_epochs": 0,
        "matched_batch": 32,
        "matched_rate": 0.5,
        "weight": 0.01,
        "matcher": {"part": "Logits", "scale": "raw"},
    }
    container = {"part": "Generator", "noise": 100, "lr": 0.001}
    teacher = {"models": pool, "mode": "eval", "space": "unit", "images": 128}

    def made(method: str, criterion: dict[str, Any], teacher: dict[str, Any]) -> dict[str, Any]:
        return make(method, recipe={"container": container, "criterion": criterion, "teacher": teacher})

    alone, matched = made("gan", how, {}), made("dim", {**how, "matched_epochs": 8}, teacher)
    now = {"matched_epochs": 8, "matched_rate": 0.05, "carries_adam": True, "independent_draws": True}
    released = made("dim", {**how, **now}, {**teacher, "mode": "train", "space": "signed"})
    (text,) = of_methods([released]).generator
    assert text.endswith(
        "20 epochs, its partner's images drawn by themselves; after epoch 12 for 8 epochs, lr 5e-05, Adam carried on: "
        "0.01 times Logits (scale raw), under ConvNet, ResNet-18 in training mode on images in [-1, 1], normalised as "
        "if in [0, 1], which learn from 128 real images before a step"
    )
    frame = of_methods([alone, matched, make("dc")])
    assert frame["real batch"].tolist()[:2] == ["64 of all classes", "32 of all classes"]
    assert frame.generator.tolist() == [
        "noise 100; Adversarial slope 0.2, penalty 10.0; batch 64, lr 0.001, 20 epochs",
        "noise 100; Adversarial slope 0.2, penalty 10.0; batch 64, lr 0.001, 20 epochs; after epoch 12 for 8 epochs, "
        "lr 0.0005, Adam afresh: 0.01 times Logits (scale raw), under ConvNet, ResNet-18, which learn from 128 real "
        "images before a step",
        "–",
    ]


def test_settings_page_lists_the_same_once(make: Make) -> None:
    text = shown([make("dc"), make("dm", device="GPU <1>")]).text
    assert "<dt>normalisation</dt><dd>pixels</dd>" in text
    assert "GPU &lt;1&gt;" in text
    assert "<th >device</th>" in text


def test_styled() -> None:
    frame = pd.DataFrame({"dataset": ["cifar10", "x<y"], "value": [-1.234, np.nan], "n": [3, 4]})
    text = styled(frame, "What & why", decimals=1)._repr_html_()
    assert "CIFAR-10" in text
    assert "x&lt;y" in text
    assert "−1.2" in text
    assert ">–<" in text
    assert "What &amp; why" in text
    assert "<td" not in styled(pd.DataFrame(columns=["a"])).text


def test_paired_difference(make: Make) -> None:
    records = [make("dc", seed=seed, accuracies=[40.0 + seed, 41.0 + seed]) for seed in range(3)] + [
        make("dc+dream", seed=seed, accuracies=[43.0 + seed + gap, 44.5 + seed])
        for seed, gap in enumerate((0.0, 0.1, 0.2, 9.0))
    ]
    frame = paired_difference(records, "dc+dream", "dc", ["cifar10"], [1, 10], {("cifar10", 10): 0.5})
    missing, found = frame.iloc[0], frame.iloc[1]
    assert missing["verdict"] == "missing"
    assert np.isnan(missing["difference"])
    assert found["difference"] == pytest.approx(3.3)
    assert (found["n"], found["verdict"], found["needed"], found["claimed"]) == (3, "higher", 2, 0.5)
    # Per set 3.25, 3.30 and 3.35: a spread of 0.05, and t(.975, 2) = 4.3027.
    assert found["high"] - found["low"] == pytest.approx(2 * 4.302653 * 0.05 / 3**0.5, abs=1e-6)
    back = paired_difference(records, "dc", "dc+dream", ["cifar10"], [10]).iloc[0]
    assert back["difference"] == -found["difference"]
    assert back["verdict"] == "lower"
    assert pd.isna(back["needed"])


def test_one_set_decides_nothing(make: Make) -> None:
    records = [make("dc", accuracies=[40.0, 40.1]), make("dm", accuracies=[61.0, 61.1])]
    found = paired_difference(records, "dm", "dc", ["cifar10"], [10]).iloc[0]
    assert (found["difference"], found["n"], found["verdict"]) == (pytest.approx(21.0), 1, "not decided")
    assert np.isnan(found["low"])
    with pytest.raises(BadValue, match="several records for seed 0"):
        paired_difference([*records, make("dm", key="other")], "dm", "dc", ["cifar10"], [10])
    assert list(paired_difference([], "dm", "dc", [], []).columns)[:5] == [
        "dataset",
        "ipc",
        "method",
        "base",
        "difference",
    ]


def test_a_moment_along_the_way_is_asked_for_by_its_step(make: Make) -> None:
    records = [make("dc", accuracies=[50.0]), make("dc", accuracies=[20.0], iteration=10, key="halfway")]
    assert by_seed(records, "dc", "cifar10", 10) == {0: (50.0,)}
    assert by_seed(records, "dc", "cifar10", 10, 10) == {0: (20.0,)}
    assert by_seed(records, "dc", "cifar10", 10, 11) == {}


def best(make: Make, numbers: pd.DataFrame, gains: dict[str, float], seeds: int = 3) -> AccuracyTable:
    """DC, and rows that stand above it by so much, with a little noise from set to set."""
    noise = (0.0, 0.1, -0.1)
    records = [
        make(method, seed=seed, ipc=ipc, accuracies=[50.0 + seed + gain + noise[seed] * gain])
        for method, gain in {"dc": 0.0, **gains}.items()
        for ipc in (1, 10)
        for seed in range(seeds)
    ]
    rows = [Row(name, name.upper(), name.upper()) for name in ("dc", *gains)]
    return accuracy_table(records, rows, ["cifar10"], [1, 10], numbers)


def test_the_best_row_of_most_columns_is_decided_against_every_other(
    make: Make, numbers: pd.DataFrame
) -> None:
    table = best(make, numbers, {"kip": 2.0, "dm": 1.0})
    holds, evidence = table.best_in_most("KIP")
    assert holds is True
    assert evidence.startswith(
        "decided above every other row in 2 of 2 columns, below some other in 0. CIFAR-10, IPC 1"
    )
    assert "to DM: " in evidence
    assert table.best_in_most("DM")[0] is False
    assert best(make, numbers, {"kip": 2.0}, seeds=1).best_in_most("KIP")[0] is None
    assert table.compare(1, 0, ("cifar10", 10)).claimed == pytest.approx(62.7 - 44.9)


def test_the_papers_difference_is_that_of_the_column_or_the_median_of_its_others(
    make: Make, numbers: pd.DataFrame
) -> None:
    rows = [Row("dc", "DC", "DC"), Row("kip", "KIP", "KIP")]
    table = accuracy_table([], rows, ["digits"], [1, 10], numbers, beyond=True)
    gap = pytest.approx(62.7 - 44.9)
    assert table.claimed(1, 0, ("cifar10", 10)) == (gap, "")
    assert table.claimed(1, 0, ("digits", 10)) == (gap, "in the median of its columns at 10")
    assert table.claimed(1, 0, ("digits", 1)) == (gap, "in the median of its columns")
    assert table.claimed(0, 0, ("digits", 1))[0] == 0.0


def test_columns_that_only_the_paper_has_are_shown_as_not_in_this_profile(
    make: Make, numbers: pd.DataFrame, tmp_path: Path
) -> None:
    table = accuracy_table([make("dc")], ROWS[:4], ["digits", "cifar10"], [10], numbers, beyond=True)
    assert table.columns == (("digits", 10), ("cifar10", 1), ("cifar10", 10))
    assert table.measured == [("digits", 10), ("cifar10", 10)]
    cell = table.entries[0, ("cifar10", 1)]
    assert (cell.status, cell.mean, cell.number and cell.number.value) == ("not on this page", None, 28.3)
    assert table.missing == 5  # of the columns that could be measured
    for text in (table.markdown(), table.html(), table.latex()):
        assert "not on this page: what the paper prints; it is not measured for this page" in text
    assert "CIFAR-10 · 1<sup>b</sup> (not on this page)" in table.markdown()
    assert '<span class="tag">not on this page</span>' in table.html()
    assert "*28.3*" in table.markdown()
    table.save(tmp_path, "table1")
    kept = pd.read_csv(tmp_path / "table1.csv")
    assert (kept[(kept.dataset == "cifar10") & (kept.ipc == 1)].measured.isna()).all()
    # A data set that the profile has not at all says it once.
    far = accuracy_table([], ROWS[:1], ["digits"], [10], numbers, beyond=True)
    assert far.columns == (("digits", 10), ("cifar10", 1), ("cifar10", 10))
    assert "CIFAR-10<sup>b</sup> (not on this page) · 1 |" in far.markdown()
    assert far.html().count('<span class="tag">not on this page</span>') == 1
    assert accuracy_table([], ROWS, ["digits"], [10], numbers).columns == (("digits", 10),)


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize("bad", [NAN, INF, -INF, None])
def test_no_helper_says_nan(bad: float | None) -> None:
    for words in (percent, points, duration, size, number, times):
        assert words(bad) == "–"  # type: ignore[operator]  # of helpers of several types
    assert percent(61.2, bad) == "61.2"
    assert percent(61.2, bad) == percent(61.2)


def test_no_rendering_says_nan(make: Make, numbers: pd.DataFrame) -> None:
    table = accuracy_table([make("dc", accuracies=[NAN, 40.0])], ROWS[:1], ["cifar10"], [10], numbers)
    frame = pd.DataFrame({"a": [NAN, INF, -0.0, -0.01], "b": [None, pd.NA, "x", 1]})
    texts = [table.markdown(), table.latex(), table.html(), styled(frame, decimals=1).text]
    for text in texts:
        assert not re.search(
            r"\b(nan|inf)\b|[-−]0\.0\b", re.sub(r"<style>.*?</style>", "", text, flags=re.DOTALL)
        )
    assert "−0.01" in texts[-1]


@pytest.mark.parametrize(
    "said",
    ["cosine nan between", "inf points", "−0.0 points", "[-0.0, 1.0]", "costs 0.0 times as much", "at -inf"],
)
def test_a_sentence_without_its_number_is_an_error(said: str) -> None:
    with pytest.raises(BadValue, match="in a sentence"):
        sound(said)


@pytest.mark.parametrize(
    "said", ["−0.05 points", "information", "Nancy", "10.0 times", "0.0 points", "DM-0.5"]
)
def test_a_sound_sentence_is_left_alone(said: str) -> None:
    assert sound(said) == said


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (3.44, "3.4"),
        (-0.04, "−0.04"),
        (-1e-15, "0.0"),
        (0, "0.0"),
        (np.float64(2), "2.0"),
        (1234.56, "1234.6"),
    ],
)
def test_a_number(value: float, words: str) -> None:
    assert number(value) == words


def test_how_many_times() -> None:
    assert [times(value) for value in (3.44, 0.96, 0.044, 0.0)] == [
        "3.4 times",
        "1.0 times",
        "0.044 times",
        "0 times",
    ]


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (percent(61.24, 0.78), "61.2 ± 0.8"),
        (percent(61.24), "61.2"),
        (points(0.04), "0.0"),
        (points(-0.04), "0.0"),
        (points(-1.26), "−1.3"),
        (points(2.0), "+2.0"),
        (duration(0), "0 s"),
        (duration(8.44), "8.4 s"),
        (duration(59.97), "1 min 00 s"),
        (duration(3599.7), "1 h 00 min"),
        (duration(7500), "2 h 05 min"),
        (size(312), "312 B"),
        (size(1023.99), "1.0 KiB"),
        (size(5 * 2**30), "5.0 GiB"),
        (size(5000 * 2**30), "5000.0 GiB"),
    ],
)
def test_words(said: str, words: str) -> None:
    assert said == words


def test_networks_are_named_as_the_papers_name_them() -> None:
    assert network({"name": "convnet", "depth": 3, "norm": "instance"}) == "ConvNet-3, instance norm"
    assert network({"name": "resnet18ap", "depth": 18, "norm": "batch"}) == "ResNetAP-18, batch norm"
    assert network({"name": "alexnet", "depth": 6, "norm": "none"}) == "AlexNet"
    assert network({"name": "my-own", "depth": 1, "norm": "none"}) == "my-own"
