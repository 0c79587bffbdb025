"""Recipes as data: numbers in range, one field changed at a time, rules with their sources."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from dreamlib.errors import UnknownName
from dreamlib.recipe import NetworkSchedule, Recipe, change
from dreamlib.recipes import apply, rule
from dreamlib.samplers import Representative


def test_the_learning_rate_follows_the_ipc_where_it_should() -> None:
    plain = Recipe(image_lr=0.2)
    assert [plain.rate(ipc) for ipc in (1, 10, 50)] == [0.2, 0.2, 0.2]
    scaled = replace(plain, lr_scaling="ipc")
    assert [scaled.rate(ipc) for ipc in (1, 10, 50)] == pytest.approx([0.02, 0.2, 1.0])


def test_steps_are_networks_times_steps_of_each() -> None:
    assert Recipe(iterations=7, schedule=NetworkSchedule(steps=3)).steps == 21
    assert Recipe().steps == 0


def test_one_field_is_changed_and_no_other() -> None:
    before = Recipe()
    after = change(before, "schedule.steps", 5)
    assert after == replace(before, schedule=replace(before.schedule, steps=5))
    assert before == Recipe()
    assert change(before, "sampler", Representative()) == replace(before, sampler=Representative())
    assert change(before, "schedule.augment.strategy", "crop").schedule.augment.strategy == "crop"


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("imag_lr", "unknown field of Recipe 'imag_lr'.*image_lr"),
        ("sampler.pool", "unknown field of Random 'pool'; valid: every"),
        ("iterations.x", "unknown field of int 'x'"),
    ],
)
def test_a_field_that_is_not_there_is_an_error(path: str, message: str) -> None:
    with pytest.raises(UnknownName, match=message):
        change(Recipe(), path, 1)


@pytest.mark.parametrize("path", ["sampler.pool", "nothing", "iterations.x", "container.factor.x"])
def test_an_optional_field_is_set_only_where_it_is_there_and_empty(path: str) -> None:
    assert change(Recipe(), path, 1, optional=True) == Recipe()
    assert change(
        Recipe(sampler=Representative()), "sampler.pool", 9, optional=True
    ).sampler == Representative(pool=9)
    assert change(Recipe(), "sampler.every", 9, optional=True) == Recipe()


@dataclass(frozen=True)
class Settings:
    rate: float = 1.0
    rounds: int = 10


def test_rules_that_hold_apply_in_order_and_leave_their_source() -> None:
    rules = (
        rule("first", {"rate": 2.0, "rounds": 20}, dataset="mnist"),
        rule("second", {"rate": 3.0}, dataset=("mnist", "svhn"), ipc=(1, 50)),
        rule("passed over", {"none": 1}, optional=True),
    )
    cases = {
        ("cifar10", 1): (Settings(), {}),
        ("mnist", 10): (Settings(2.0, 20), {"rate": "first", "rounds": "first"}),
        ("mnist", 50): (Settings(3.0, 20), {"rate": "second", "rounds": "first"}),
        ("svhn", 1): (Settings(3.0, 10), {"rate": "second"}),
    }
    for (dataset, ipc), (expected, sources) in cases.items():
        found, told = apply(Settings(), rules, {"dataset": dataset, "ipc": ipc})
        assert found == expected
        assert {path: source for path, source in told.items() if path != "none"} == sources


def test_one_of_several_values_of_a_fact_is_enough() -> None:
    about_dm = rule("source", {"rate": 0.0}, method="dm")
    assert about_dm.holds({"method": ("mine", "dm")})
    assert not about_dm.holds({"method": ("mine", "dc")})


def test_a_rule_about_a_fact_that_is_not_given_does_not_hold() -> None:
    assert not rule("source", {"rate": 0.0}, profile="quick").holds({"dataset": "mnist"})
    assert rule("source", {"rate": 0.0}).holds({})
