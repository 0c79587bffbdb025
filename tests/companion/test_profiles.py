"""A profile is complete, and plans name none."""

import ast
import re
from pathlib import Path

import pytest

from dreamlib.companion.cells import make_cell
from dreamlib.companion.plans import PLANS, dim
from dreamlib.companion.profiles import profiles

ROOT = Path(__file__).parents[2] / "dreamlib"
OURS = ("quick", "cpu", "paper")
SOURCES = sorted([*(ROOT / "companion" / "plans").glob("*.py"), *(ROOT / "recipes").glob("*.py")])


def asked(what: str) -> set[str]:
    """The names that plans ask a profile for, by ``choice`` or by ``item``."""
    return {
        name for file in SOURCES for name in re.findall(rf'\.{what}\(\s*"([^"]+)"', file.read_text("utf-8"))
    }


@pytest.mark.parametrize("file", SOURCES, ids=lambda file: f"{file.parent.name}/{file.stem}")
def test_plans_and_recipes_name_no_profile(file: Path) -> None:
    nodes = ast.walk(ast.parse(file.read_text("utf-8")))
    assert not {node.value for node in nodes if isinstance(node, ast.Constant)} & set(OURS)


@pytest.mark.parametrize("name", OURS)
def test_whatever_a_profile_says_is_asked_for(name: str) -> None:
    """A choice or an item with a slip in its name would be left out in silence."""
    profile = profiles[name]
    assert set(profile.choices) <= asked("choice")
    assert set(profile.items) <= set(PLANS)
    ruled = {item for item, own in profile.items.items() if own.recipe_rules or own.evaluation_rules}
    assert ruled <= asked("item")


def test_a_profile_that_says_nothing_takes_the_published_choices(tiny: None) -> None:
    """DiM, Tables 5, 6 and 10 and Figure 3: every value that the paper tries."""
    assert list(dim.starts("tiny", "digits", 10)) == ["20", "50", "80", "100", "120", "150"]
    assert list(dim.pools("tiny", "digits", 10)) == [
        "C3",
        "R10",
        "R18",
        "C3+R10",
        "C3+R18",
        "R10+R18",
        "C3+R10+R18",
    ]
    assert list(dim.noises("tiny", "digits", 10)) == ["32", "64", "100", "128", "200"]
    assert list(dim.batches("tiny", "digits", 10)) == ["16", "32", "64", "128", "256", "384"]
    assert list(dim.larger("tiny")) == ["C3", "R10", "R18", "R34", "R50", "D121"]
    assert dim.judges("tiny")["C3"].width == 128


@pytest.mark.parametrize(("profile", "dataset"), [("quick", "digits"), ("cpu", "cifar10"), ("cpu", "mnist")])
@pytest.mark.parametrize("method", ["mmd", "mmd-polynomial", "mmd-rbf", "mmd-laplacian"])
def test_pixels_that_are_matched_without_a_network_keep_a_rate_of_their_own(
    method: str, profile: str, dataset: str
) -> None:
    """They build on DM, whose rate is for gradients that a network has made small: at 25 they diverge in 40 steps."""
    dm = make_cell(profile, "dm", dataset, 10, 0).recipe.image_lr
    assert make_cell(profile, method, dataset, 10, 0).recipe.image_lr <= dm / 2
