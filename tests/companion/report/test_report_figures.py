from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from dreamlib.companion.report import figures, style
from dreamlib.core.errors import BadValue

Make = Callable[..., dict[str, Any]]


@pytest.fixture(autouse=True)
def look() -> None:
    style.use()


def test_a_method_looks_the_same_everywhere() -> None:
    for base in ("dc", "dsa", "dm", "idc", "idc-dm", "a-new-one"):
        plain, plugged = style.line(base), style.line(f"{base}+dream")
        assert plain["color"] == plugged["color"] == style.colour(base)
        assert plugged["linewidth"] > plain["linewidth"]
        assert plain["markerfacecolor"] != plugged["markerfacecolor"]
        assert style.line(base) == plain
    assert style.colour("dream") == style.colour("idc")
    assert style.with_dream("dream")
    assert not style.with_dream("dm")
    assert style.colour("random+dsa") == style.colour("random")
    assert style.colour("kip+common") == style.colour("kip")
    assert style.colour("a-new-one") not in style.COLOURS.values()
    colours = [style.colour(name) for name in style.COLOURS]
    assert len(set(colours)) == len(colours)


@pytest.mark.parametrize("shape", [(7, 4, 5), (7, 4, 5, 1), (7, 4, 5, 3)])
def test_image_grid(shape: tuple[int, ...]) -> None:
    images = np.linspace(0, 1, np.prod(shape)).reshape(shape)
    ax, clipped = figures.image_grid(images, 3, "Titel ü", ["a", "b", "c"])
    assert clipped == 0
    sheet = ax.images[0].get_array()
    assert sheet.shape[:2] == (3 * 5 - 1, 3 * 6 - 1)
    np.testing.assert_array_equal(np.asarray(sheet)[5:9, 6:11].squeeze(), images[4].squeeze())
    assert [label.get_text() for label in ax.get_yticklabels()] == ["a", "b", "c"]
    assert ax.get_xlabel() == ""


def test_image_grid_says_what_it_clips() -> None:
    images = np.full((2, 2, 2), 0.5)
    images[0, 0, 0], images[1, 1, 1] = -0.1, 1.5
    ax, clipped = figures.image_grid(images, 2)
    assert clipped == 0.25
    assert "25.0 %" in ax.get_xlabel()
    assert float(np.max(ax.images[0].get_array())) == 1.0
    assert images[0, 0, 0] == -0.1


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((2, 3, 4, 4)), "shape"),
        (np.zeros((0, 4, 4)), "shape"),
        (np.zeros((2, 4, 4), dtype=np.uint8), "dtype uint8"),
        (np.full((2, 4, 4), np.nan), "NaN"),
    ],
)
def test_image_grid_refuses(images: np.ndarray, message: str) -> None:
    with pytest.raises(BadValue, match=message):
        figures.image_grid(images, 2)


def test_image_grid_counts_labels() -> None:
    with pytest.raises(BadValue, match="1 row labels for 2 rows"):
        figures.image_grid(np.zeros((4, 2, 2)), 2, row_labels=["a"])
    with pytest.raises(BadValue, match="columns is 0"):
        figures.image_grid(np.zeros((4, 2, 2)), 0)


@pytest.mark.parametrize(
    ("iterations", "means", "target", "at"),
    [
        ([0, 10, 20], [10, 20, 40], 30, 15.0),
        ([20, 0, 10], [40, 10, 20], 30, 15.0),
        ([0, 10, 20], [10, 20, 40], 5, 0.0),
        ([0, 10, 20], [10, 20, 40], 40, 20.0),
        ([0, 10, 20], [10, 20, 40], 41, None),
        ([0, 10, 20], [10, np.nan, 40], 25, 10.0),
        ([0, 10, 20, 30], [10, 30, 20, 40], 25, 7.5),
        ([], [], 1, None),
    ],
)
def test_crossing(iterations: list[float], means: list[float], target: float, at: float | None) -> None:
    assert figures.crossing(iterations, means, target) == at


def test_crossing_refuses_uneven_curves() -> None:
    with pytest.raises(BadValue):
        figures.crossing([1, 2], [1], 0)


def test_curves(make: Make) -> None:
    records = [
        make(
            method,
            seed=seed,
            iteration=step,
            key=f"{method}{seed}{step}",
            accuracies=[step + gain, step + gain + 2],
        )
        for method, gain in (("dsa", 0), ("dsa+dream", 20))
        for seed in (0, 1)
        for step in (0, 25, 50)
    ]
    frame = figures.curve_frame(records)
    assert frame["method"].tolist() == ["dsa"] * 3 + ["dsa+dream"] * 3
    assert frame["n"].tolist() == [4] * 6
    assert frame["sets"].tolist() == [2] * 6
    assert frame["mean"].tolist() == [1, 26, 51, 21, 46, 71]
    assert frame["std"].to_numpy() == pytest.approx(np.std([0, 2, 0, 2], ddof=1))
    ax, reached = figures.accuracy_curves(frame, target=51.0, target_label="DSA, final", title="Ä")
    assert reached == {"dsa": 50.0, "dsa+dream": 30.0}
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["DSA (n = 4)", "DSA+DREAM (n = 4)"]
    assert {"DSA, final", "50", "30"} <= {text.get_text() for text in ax.texts}
    assert len(ax.collections) == 2
    _, none = figures.accuracy_curves(frame)
    assert none == {}


def test_a_set_whose_end_alone_was_judged_is_on_no_curve(make: Make) -> None:
    whole = [make(seed=0, iteration=step, key=f"0{step}", accuracies=[step]) for step in (0, 25, 50)]
    ends = [make(seed=1, iteration=50, key="150", accuracies=[90.0])]
    frame = figures.curve_frame(ends + whole)
    assert frame["mean"].tolist() == [0, 25, 50]
    assert frame["sets"].tolist() == [1, 1, 1]
    assert figures.curve_frame(ends)["mean"].tolist() == [90], "where nothing else is there"


def test_curves_of_different_cells_are_not_mixed(make: Make) -> None:
    with pytest.raises(BadValue, match="2 different"):
        figures.curve_frame([make(ipc=1), make(ipc=10)])
    with pytest.raises(BadValue, match="missing: std"):
        figures.accuracy_curves(figures.curve_frame([make()]).drop(columns="std"))
    assert figures.curve_frame([]).empty


def test_bars() -> None:
    ax = figures.bars(
        ["DC", "DM", "IDC"],
        [44.0, None, np.nan],
        [1.0, None, None],
        [44.9, 48.9, None],
        methods=["dc", "dm", "idc"],
    )
    assert [patch.get_width() for patch in ax.patches] == [44.0]
    assert [text.get_text() for text in ax.texts] == ["44.0", "missing", "missing"]
    assert {text.get_text() for text in ax.get_legend().get_texts()} == {"measured", "reported by the paper"}
    with pytest.raises(BadValue, match="2 labels and 1 means"):
        figures.bars(["a", "b"], [1.0])
    alone = figures.bars(["a"], [None])
    assert not alone.patches


@pytest.mark.parametrize("measured", [3.0, 50.0, 99.9])
@pytest.mark.parametrize("apart", [-2.0, -0.5, 0.0, 0.5, 2.0])
def test_a_measured_number_is_never_covered_by_the_reported_mark(measured: float, apart: float) -> None:
    ax = figures.bars(["DC", "DM"], [measured, 50], [0.4, 1], [min(measured + apart, 100.0), 60])
    ax.figure.draw_without_rendering()
    text = ax.texts[0].get_window_extent()
    mark = next(line for line in ax.get_lines() if str(line.get_label()).startswith("reported"))
    x, y = ax.transData.transform(np.column_stack([mark.get_xdata(), mark.get_ydata()]))[0]
    half = ax.figure.dpi / 72 * mark.get_markersize() * 0.75
    assert not (text.x0 < x + half and x - half < text.x1 and text.y0 < y + half and y - half < text.y1)


def test_axes_of_accuracies_end_at_a_hundred(make: Make) -> None:
    assert figures.bars(["DC"], [99.0], [3.0], [99.9]).get_xlim() == (0, 100)
    assert figures.bars(["DC"], [3.0], quantity="milliseconds").get_xlim()[1] < 4
    frame = figures.curve_frame(
        [make(iteration=step, key=f"{step}", accuracies=[98, 100]) for step in (0, 9)]
    )
    axes, _ = figures.accuracy_curves(frame)
    assert axes.get_ylim()[1] == 100


def test_saved_figures_have_the_same_bytes(tmp_path: Path) -> None:
    def draw() -> plt.Figure:
        ax = figures.bars(["é"], [1.0], [0.5])
        assert isinstance(ax.figure, plt.Figure)
        return ax.figure

    first = figures.save(draw(), tmp_path / "a" / "figures", "table1-bars")
    second = figures.save(draw(), tmp_path / "b", "table1-bars")
    assert first.name == "table1-bars.svg"
    assert first.read_bytes() == second.read_bytes()
    assert b"date" not in first.read_bytes().lower()
    assert len(list((tmp_path / "b").iterdir())) == 1


def test_a_drawing_follows_a_dark_page(tmp_path: Path) -> None:
    ax = figures.bars(["DM"], [50.0], [1.0], methods=["dm"])
    assert isinstance(ax.figure, plt.Figure)
    drawn = figures.save(ax.figure, tmp_path, "bars").read_text()
    ElementTree.fromstring(drawn)
    assert drawn.count("prefers-color-scheme:dark") == 1
    used = {tone for tone in style.DARK if f"fill: {tone}" in drawn or f"stroke: {tone}" in drawn}
    assert {style.INK, style.colour("dm")} <= used
    ground = drawn.rpartition("</style>")[2].partition("matplotlib.axis")[0]
    assert style.WHITE not in ground


def test_images_are_one_png_on_a_transparent_ground(tmp_path: Path) -> None:
    (tmp_path / "grid.svg").write_text("of an earlier run")
    digits = np.random.default_rng(0).random((4, 8, 8))
    ax, _ = figures.image_grid(digits, 2, "Digits", ["zero", "one"])
    assert isinstance(ax.figure, plt.Figure)
    path = figures.save(ax.figure, tmp_path, "grid")
    assert [one.name for one in tmp_path.iterdir()] == ["grid.png"]
    with Image.open(path) as picture:
        assert picture.mode == "LA"  # grey images need no colours
        pixels = np.asarray(picture.convert("RGBA"))
    assert pixels[0, 0, 3] == 0
    shown = pixels[pixels[..., 3] == 255][:, 0] / 255
    assert np.abs(shown[:, None] - digits.ravel()[None]).min(0).max() < 0.01  # every grey is there


def test_a_picture_of_few_colours_has_a_palette(tmp_path: Path) -> None:
    flags = np.zeros((4, 8, 8, 3))
    flags[:, :4, :, 0], flags[:, 4:, :, 2] = 1.0, 0.5
    ax, _ = figures.image_grid(flags, 2)
    assert isinstance(ax.figure, plt.Figure)
    with Image.open(figures.save(ax.figure, tmp_path, "flags")) as picture:
        assert picture.mode == "P"


def test_a_picture_whose_colours_would_change_keeps_them(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).random((4, 32, 32, 3))
    ax, _ = figures.image_grid(noise, 2)
    assert isinstance(ax.figure, plt.Figure)
    with Image.open(figures.save(ax.figure, tmp_path, "noise")) as picture:
        assert picture.mode == "RGBA"


def test_words_say_what_a_figure_shows(make: Make) -> None:
    bars = figures.bars(
        ["DC", "DM"], [44.0, 50.0], None, [44.9, None], methods=["dc", "dm"], title="CIFAR-10"
    )
    told = figures.described(bars.figure)
    assert told == "CIFAR-10: test accuracy (%): DC 44.0; DM 50.0; reported: DC 44.9."
    records = [make("dsa", iteration=step, key=f"{step}", accuracies=[step, step]) for step in (0, 25, 50)]
    axes, _ = figures.accuracy_curves(figures.curve_frame(records), title="Digits")
    told = figures.described(axes.figure)
    assert told == (
        "Digits: test accuracy (%) by distillation iterations: DSA (n = 2): 0.0 at 0 to 50.0 at 50."
    )
    panels = figures.image_panels(
        {"GAN": np.zeros((2, 1, 4, 4, 1))}, row_labels=["cat", "dog"], title="CIFAR-10"
    )
    assert figures.described(panels) == "CIFAR-10. GAN: images of cat, dog."


def test_frames_from_a_table_can_be_drawn() -> None:
    frame = pd.DataFrame({"label": ["DC", "DM"], "measured": [1.0, np.nan], "std": [np.nan, np.nan]})
    figures.bars(frame["label"].tolist(), frame["measured"].tolist(), frame["std"].tolist(), [np.nan, np.nan])


def test_lines_show_every_curve_and_zero_on_a_logarithmic_axis() -> None:
    ax = figures.lines(
        {"a": ([0, 1, 10], [1.0, 0.9, 0.5], [0.1, 0.1, 0.1]), "b": ([0, 1, 10], [0.2, 0.3, 0.1], None)},
        xlabel="x",
        ylabel="y",
        logarithmic=True,
    )
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["a", "b"]
    assert len(ax.collections) == 1  # one band
    assert [label.get_text() for label in ax.get_xticklabels()] == ["0", "1", "10"]
    with pytest.raises(BadValue, match="2 places, 1 means"):
        figures.lines({"a": ([0, 1], [1.0], None)}, xlabel="", ylabel="")
    with pytest.raises(BadValue, match="no curve"):
        figures.lines({}, xlabel="", ylabel="")


def test_panels_show_every_grid_under_its_title() -> None:
    grids = {name: np.full((3, 4, 8, 8, 1), 0.5) for name in ("first", "second", "third")}
    figure = figures.image_panels(grids, row_labels=["a", "b", "c"], across=2, title="above")
    axes = figure.axes
    assert [ax.get_title(loc="left") for ax in axes[:3]] == ["first", "second", "third"]
    assert not axes[3].axison
    assert [[tick.get_text() for tick in ax.get_yticklabels()] for ax in axes[:3]] == [
        list("abc"),
        [],
        list("abc"),
    ]
    assert axes[0].images[0].get_array().shape == (3 * 9 - 1, 4 * 9 - 1)
    plt.close("all")


@pytest.mark.parametrize("panels", [{}, {"flat": np.zeros((3, 8, 8, 1))}])
def test_panels_need_rows_of_images(panels: dict[str, np.ndarray]) -> None:
    with pytest.raises(BadValue, match="expected"):
        figures.image_panels(panels)
