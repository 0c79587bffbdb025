"""What stands beside a number: where its recipe is not the published one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dreamlib.companion.cells import make_cell
from dreamlib.companion.report.settings import differences, shown
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
    label = records[0]["label"]
    assert differences(records) == {label: ["a", "b (CIFAR-10 10)"]}


def test_the_page_says_what_all_share_once_and_escapes_it(make: Make) -> None:
    records = [make("dm", differs=["shared", "x < 3"]), make("dc", differs=["shared"])]
    html = shown(records).text
    assert html.count("shared") == 1
    assert "x &lt; 3" in html
    assert "Differs from paper and released code in" in html
    assert "Differs from paper" not in shown([make("dm")]).text
