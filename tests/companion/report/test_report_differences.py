"""What stands beside a number: where its recipe is not the published one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dreamlib.companion.cells import make_cell
from dreamlib.companion.report.settings import choices, differences, shown, sources
from dreamlib.core.registry import as_data
from dreamlib.recipes import changes, methods

Make = Callable[..., dict[str, Any]]


def test_a_profile_is_compared_with_what_is_published() -> None:
    found = make_cell("quick", "dm", "digits", 10, 0).differs
    assert "network.width 32 (published: 128)" in found
    assert "iterations 100 (published: 20000)" in found
    assert "evaluation.learner.epochs 60 (published: 1000)" in found
    assert not any(words.startswith("image_momentum") for words in found)


def test_paper_differs_in_its_number_format_and_in_what_a_method_says_of_itself() -> None:
    """ "Nothing reduced" would not be true: convolutions are in bfloat16."""
    for name in ("dm", "dream"):
        found = make_cell("paper", name, "cifar10", 10, 0).differs
        formats = ("mode fast (published: plain)", "evaluation.mode fast (published: plain)")
        assert found == (*methods[name].differs, *formats)
    assert methods["dream"].differs


def test_a_callers_own_choice_is_the_method_and_no_difference() -> None:
    mine = methods["dm"].using(image_lr=3.0, name="mine")
    recipe, _ = mine.resolve("cifar10", 10)
    assert changes(as_data(recipe), as_data(mine.resolve("cifar10", 10)[0])) == []
    base, _ = methods["dm"].resolve("cifar10", 10)
    assert changes(as_data(base), as_data(recipe)) == ["image_lr 3 (published: 1)"]


def test_a_part_of_another_kind_is_named() -> None:
    base, plugged = (methods[name].resolve("cifar10", 10)[0] for name in ("dm", "dm+dream"))
    assert changes(as_data(base), as_data(plugged)) == [
        "criterion.sampler Representative (published: Random)"
    ]


def test_a_difference_of_some_cells_names_them(make: Make) -> None:
    records = [
        make("dm", "cifar10", 1, differs=["a"]),
        make("dm", "cifar10", 10, differs=["a", "b"]),
        make("dm", "mnist", 10, differs=["a"]),
        make("dc", "mnist", 10),
    ]
    dm, dc = records[0]["label"], records[-1]["label"]
    assert differences(records) == {dm: ["a", "b (CIFAR-10 10)"], dc: []}


def test_the_page_says_what_all_share_once_and_escapes_it(make: Make) -> None:
    records = [make("dm", differs=["shared", "x < 3"]), make("dc", differs=["shared"])]
    html = shown(records).text
    assert html.count("shared") == 1
    assert "x &lt; 3" in html
    assert "Differs from paper and released code in" in html
    assert "Differs from paper" not in shown([make("dm")]).text


def test_long_settings_stand_once_below_the_lines_of_the_methods(make: Make) -> None:
    long = "x < y" + " and so on" * 4
    records = [make("dm", device=long), make("dc", device=long), make("dsa", device="short")]
    html = shown(records).text
    assert html.count("x &lt; y and so") == 1
    assert html.count("note 1") == 3  # two lines and the note itself
    assert "device: x &lt; y" in html
    assert "short" in html
    assert "note 1" not in shown([make("dm")]).text


SOURCES = {
    "all": "DM section 4.1; its epochs: ours",
    "image_lr": "DM",
    "teacher.steps": "DM",
    "mode": "ours: hours",
    "ipc": "an image_lr (examples/a_b.py)",
}


def test_the_page_says_where_settings_come_from_and_which_are_our_own(make: Make) -> None:
    records = [make("dm", sources=SOURCES), make("dm", ipc=1, sources={"all": SOURCES["all"]}), make("dc")]
    dm, dc = records[0]["label"], records[-1]["label"]
    place = f"CIFAR-10 {records[0]['ipc']}"
    assert choices(records) == {dm: [SOURCES["all"], f"mode: ours: hours ({place})"], dc: []}
    lines = sources(records)
    assert set(lines.methods) == {dm}
    assert f"ipc: an image lr (examples/a_b.py) ({place})" in lines.iloc[:, 1].tolist()
    assert f"image lr, teacher: steps: DM ({place})" in lines.iloc[:, 1].tolist()
    html = shown(records).text
    assert html.index("Our own choices") < html.index("Where every setting comes from")
    # Hours and courses are not ours, and DC, which says nothing, shares no choice.
    assert choices([make("dm", sources={"all": "two hours of courses"})]) == {dm: []}
    assert "all methods" not in html
    assert "Our own choices" not in shown([make("dc")]).text
