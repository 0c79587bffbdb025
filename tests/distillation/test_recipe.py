"""Recipes as data: numbers in range, one field changed at a time, rules with their sources."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import pytest

from dreamlib.augment import Siamese
from dreamlib.containers import Generator, Pixels
from dreamlib.core.errors import BadValue, DreamlibError, UnknownName
from dreamlib.criteria import Adversarial
from dreamlib.distillation.recipe import Generation, NetworkSchedule, Recipe, change, snapshot_steps
from dreamlib.matchers import Feature, Logits
from dreamlib.networks import NetworkSpec
from dreamlib.recipes import apply, rule
from dreamlib.samplers import Representative
from dreamlib.teachers.pool import Pool


def test_the_learning_rate_follows_the_ipc_where_it_should() -> None:
    plain = Recipe(image_lr=0.2)
    assert [plain.rate(ipc, 28) for ipc in (1, 10, 50)] == [0.2, 0.2, 0.2]
    scaled = replace(plain, lr_scaling="ipc and size")
    assert [scaled.rate(ipc, 32) for ipc in (1, 10, 50)] == pytest.approx([0.02, 0.2, 1.0])
    # Images with four times the pixels move four times as fast (IDC, released code).
    assert [scaled.rate(10, side) for side in (28, 64)] == pytest.approx([0.2 * 0.765625, 0.8])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"image_steps": "each"}, "unknown order of image steps 'each'; valid: together, class by class"),
        ({"lr_scaling": "ipc"}, "unknown scaling of the image learning rate 'ipc'"),
        ({"image_momentum": 1.0}, "image_momentum is 1.0; expected less than 1"),
        ({"base_side": 0}, "base_side is 0; expected at least 1"),
    ],
)
def test_settings_of_the_image_step_are_checked(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(DreamlibError, match=message):
        replace(Recipe(), **wrong).check()


def test_steps_are_networks_times_steps_of_each() -> None:
    assert Recipe(iterations=7, schedule=NetworkSchedule(steps=3)).steps == 21
    assert Recipe().steps == 0


def test_one_field_is_changed_and_no_other() -> None:
    before = Recipe()
    after = change(before, "teacher.steps", 5)
    assert after == replace(before, schedule=replace(before.schedule, steps=5))
    assert before == Recipe()
    assert change(before, "sampler", Representative()) == replace(before, sampler=Representative())
    assert change(before, "teacher.augment.strategy", "crop").teacher.augment.strategy == "crop"


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("imag_lr", "unknown field of Recipe 'imag_lr'.*image_lr"),
        ("sampler.pool", "unknown field of Random 'pool'; valid: order, every"),
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


# Generators

ALONE = Generation(epochs=9, kept=(2, 4, 6, 12))
BOTH = replace(ALONE, matched_from=4, matched_epochs=4)


def drawn(how: Generation, **more: Any) -> Recipe:
    return Recipe(container=Generator(), generation=how, **more)


def test_states_are_kept_from_the_start_of_a_stage_to_its_end() -> None:
    assert (ALONE.end, ALONE.states) == (9, (0, 2, 4, 6, 9))
    assert (BOTH.end, BOTH.states) == (8, (4, 6, 8))
    beyond = replace(BOTH, matched_epochs=20)  # further than the objective alone was ever trained
    assert (beyond.end, beyond.states) == (24, (4, 6, 12, 24))
    assert drawn(BOTH).kept == BOTH.states
    assert (drawn(BOTH).steps, drawn(ALONE).steps) == (8, 9)
    assert Recipe(iterations=100).kept == snapshot_steps(100)


def test_a_first_stage_does_not_know_what_is_matched_later() -> None:
    one = drawn(BOTH, matcher=Logits(), per_class=7, mode="compiled")
    assert one.first == drawn(ALONE, per_class=7, mode="compiled")
    others = [
        replace(one, matcher=Feature()),
        replace(one, schedule=NetworkSchedule(images=7)),
        *(
            change(one, f"generation.{name}", value)
            for name, value in (
                ("matched_from", 6),
                ("matched_epochs", 2),
                ("matched_batch", 3),
                ("matched_rate", 0.5),
                ("pool_mode", "eval"),
                ("pool_space", "unit"),
                ("weight", 9.0),
                ("models", ()),
            )
        ),
    ]
    assert {other.first for other in others} == {one.first}
    assert len({other.canonical for other in (one, *others)}) == 1 + len(others)
    for name, value in (
        ("lr", 0.5),
        ("batch", 3),
        ("kept", (4,)),
        ("betas", (0.5, 0.9)),
        ("epochs", 8),
        ("independent_draws", False),
        ("generator_first", False),
        ("carries_adam", False),
    ):
        assert change(one, f"generation.{name}", value).first != one.first
    assert drawn(ALONE).first is None
    assert Recipe().first is None
    assert one.first is not None
    assert one.first.first is None


def test_settings_without_effect_are_as_they_are_by_default() -> None:
    image_settings: dict[str, Any] = {
        "network": NetworkSpec(width=7),
        "iterations": 5,
        "real_batch": 3,
        "image_lr": 9.0,
        "statistics": "frozen",
    }
    assert drawn(BOTH, **image_settings).canonical == drawn(BOTH)
    assert drawn(ALONE, matcher=Logits(), **image_settings).canonical == drawn(ALONE)
    assert drawn(replace(ALONE, weight=3.0, matched_rate=1.0, pool_mode="eval")).canonical == drawn(ALONE)
    plain = Recipe(**image_settings)
    assert plain.canonical is plain


def test_without_a_matcher_only_what_trains_the_objective_is_left() -> None:
    assert BOTH.alone() == ALONE
    assert ALONE.alone() == ALONE
    first = [field.name for field in fields(Generation)][:8]
    assert first[:6] == ["objective", "epochs", "batch", "lr", "betas", "kept"]
    assert first[6:] == ["independent_draws", "generator_first"]
    other = Adversarial(penalty=1.0)
    assert replace(BOTH, objective=other).alone().objective == other


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ({"epochs": 0}, "epochs is 0; expected a whole number of at least 1"),
        ({"batch": 1}, "batch is 1; expected a whole number of at least 2"),
        ({"matched_batch": 1}, "matched_batch is 1; expected a whole number of at least 2"),
        ({"matched_from": -1}, "matched_from is -1; expected a whole number of at least 0"),
        ({"epochs": 2.5}, "epochs is 2.5; expected a whole number"),
        ({"weight": "a"}, "weight is 'a'; expected a number"),
        ({"betas": (1.5, 0.9)}, "betas are"),
        ({"models": ("convnet",)}, "expected a tuple of NetworkSpec"),
        ({"models": NetworkSpec()}, "expected a tuple of NetworkSpec"),
        ({"matched_epochs": -1}, "matched_epochs is -1"),
        ({"lr": -0.1}, "lr is -0.1"),
        ({"lr": float("nan")}, "lr is nan"),
        ({"matched_rate": -1.0}, "matched_rate is -1.0"),
        ({"pool_mode": "evil"}, "unknown mode of a models pool 'evil'"),
        ({"pool_space": "units"}, "unknown space of images for a models pool 'units'"),
        ({"weight": -1.0}, "weight is -1.0"),
        ({"models": ()}, "a models pool without networks"),
        ({"matched_from": 10}, "matching starts after epoch 10, but the generator is trained for 9"),
    ],
)
def test_generations_out_of_range_are_named(how: dict[str, Any], says: str) -> None:
    with pytest.raises((BadValue, UnknownName), match=says):
        drawn(replace(BOTH, **how)).check()
    for fine in (BOTH, ALONE, replace(ALONE, models=(), matched_from=5), replace(BOTH, matched_from=9)):
        drawn(fine).check()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"sampler": Representative()}, "a sampler Representative"),
        ({"augment": Siamese("flip"), "generation": ALONE}, "nothing is matched under it"),
        ({"schedule": NetworkSchedule(steps=2)}, "steps=2"),
        ({"schedule": NetworkSchedule(trained_on="synthetic")}, "trained_on='synthetic'"),
        ({"schedule": NetworkSchedule(pool=Pool())}, "teacher.models is the pool"),
    ],
)
def test_what_a_generators_training_would_pass_over_is_refused(change: dict[str, Any], says: str) -> None:
    with pytest.raises(BadValue, match=says):
        replace(drawn(BOTH), **change).check()


def test_a_generator_and_how_it_is_trained_come_together() -> None:
    with pytest.raises(
        BadValue, match=r"a container Generator, and nothing trains it\n.*generation=Generation"
    ):
        Recipe(container=Generator()).check()
    with pytest.raises(BadValue, match=r"the container Pixels is no generator\n.*container=Generator"):
        Recipe(container=Pixels(), generation=Generation()).check()
