"""Recipes as data: numbers in range, one field changed at a time, rules with their sources."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import pytest

from dreamlib.augment import Siamese
from dreamlib.containers import Generator, Pixels
from dreamlib.core.errors import BadValue, DreamlibError, UnknownName
from dreamlib.criteria import Adversarial, Generative, Matching
from dreamlib.distillation.recipe import Recipe, change, snapshot_steps
from dreamlib.matchers import Feature, Logits
from dreamlib.networks import NetworkSpec
from dreamlib.recipes import apply, rule
from dreamlib.samplers import Representative
from dreamlib.teachers import ModelsPool, Networks, Untaught


def test_the_learning_rate_follows_the_ipc_where_it_should() -> None:
    plain = Recipe(image_lr=0.2)
    assert [plain.update(ipc, 28).lr for ipc in (1, 10, 50)] == [0.2, 0.2, 0.2]
    scaled = replace(plain, lr_scaling="ipc and size")
    assert [scaled.update(ipc, 32).lr for ipc in (1, 10, 50)] == pytest.approx([0.02, 0.2, 1.0])
    # Images with four times the pixels move four times as fast (IDC, released code).
    assert [scaled.update(10, side).lr for side in (28, 64)] == pytest.approx([0.2 * 0.765625, 0.8])


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
    assert Recipe(iterations=7, teacher=Networks(steps=3)).steps == 21
    assert Recipe().steps == 0


def test_one_field_is_changed_and_no_other() -> None:
    before = Recipe()
    after = change(before, "teacher.steps", 5)
    assert after == replace(before, teacher=Networks(steps=5))
    assert before == Recipe()
    # A field of the criterion bears its bare name.
    sampled = replace(before, criterion=Matching(sampler=Representative()))
    assert change(before, "sampler", Representative()) == sampled
    assert change(before, "criterion.sampler", Representative()) == sampled
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


@dataclass(frozen=True)
class Settings:
    rate: float = 1.0
    rounds: int = 10


def test_rules_that_hold_apply_in_order_and_leave_their_source() -> None:
    rules = (
        rule("first", {"rate": 2.0, "rounds": 20}, dataset="mnist"),
        rule("second", {"rate": 3.0}, dataset=("mnist", "svhn"), ipc=(1, 50)),
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
        assert told == sources


def test_one_of_several_values_of_a_fact_is_enough() -> None:
    about_dm = rule("source", {"rate": 0.0}, method="dm")
    assert about_dm.holds({"method": ("mine", "dm")})
    assert not about_dm.holds({"method": ("mine", "dc")})


def test_a_rule_about_a_fact_that_is_not_given_does_not_hold() -> None:
    assert not rule("source", {"rate": 0.0}, profile="quick").holds({"dataset": "mnist"})
    assert rule("source", {"rate": 0.0}).holds({})


# Generators

ALONE = Generative(epochs=9, also_kept=(2, 4, 6, 12))
BOTH = replace(ALONE, matched_from=4, matched_epochs=4)


def drawn(how: Generative, **more: Any) -> Recipe:
    teacher = ModelsPool() if how.matching else Untaught()
    return Recipe(container=Generator(), criterion=how, teacher=teacher, **more)


def test_states_are_kept_from_the_start_of_a_stage_to_its_end() -> None:
    assert (drawn(ALONE).steps, drawn(ALONE).kept) == (9, (0, 2, 4, 6, 9))
    assert (drawn(BOTH).steps, drawn(BOTH).kept) == (8, (4, 6, 8))
    beyond = drawn(replace(BOTH, matched_epochs=20))  # further than the objective alone was ever trained
    assert (beyond.steps, beyond.kept) == (24, (4, 6, 12, 24))
    assert Recipe(iterations=100).kept == snapshot_steps(100)


def test_a_first_stage_does_not_know_what_is_matched_later() -> None:
    one = change(drawn(BOTH, per_class=7, mode="compiled"), "matcher", Logits())
    assert one.first == drawn(ALONE, per_class=7, mode="compiled")
    assert all(
        change(one, path, value).first == one.first
        for path, value in (
            ("matcher", Feature()),
            ("augment", Siamese("flip")),
            ("matched_from", 6),
            ("matched_epochs", 2),
            ("matched_batch", 3),
            ("matched_rate", 0.5),
            ("weight", 9.0),
            ("teacher.images", 7),
            ("teacher.mode", "eval"),
            ("teacher.space", "unit"),
            ("teacher.models", ()),
        )
    )
    for path, value in (
        ("container.lr", 0.5),
        ("container.betas", (0.5, 0.9)),
        ("objective", Adversarial(penalty=1.0)),
        ("batch", 3),
        ("also_kept", (4,)),
        ("epochs", 8),
        ("independent_draws", False),
        ("generator_first", False),
        ("carries_adam", False),
    ):
        assert change(one, path, value).first != one.first
    assert drawn(ALONE).first is None
    assert Recipe().first is None
    assert one.first is not None
    assert one.first.first is None


def test_without_a_matcher_only_what_trains_the_objective_is_left() -> None:
    other = replace(BOTH, objective=Adversarial(penalty=1.0), weight=9.0, augment=Siamese("flip"))
    first = drawn(other).first
    assert first is not None
    assert first.criterion == replace(ALONE, objective=Adversarial(penalty=1.0))
    names = [field.name for field in fields(Generative)]
    common = names.index("carries_adam") + 1  # the order that the class promises
    assert set(names[common:]) == {
        *("matched_from", "matched_epochs", "matched_batch", "matched_rate", "weight", "matcher", "augment")
    }


def test_a_first_stage_keeps_the_state_that_matching_goes_on_from() -> None:
    first = drawn(replace(BOTH, matched_from=5)).first
    assert first is not None
    assert first.kept == (0, 2, 4, 5, 6, 9)


@pytest.mark.parametrize("path", ["sampler", "real_batch", "synthetic_batch", "statistics"])
def test_a_generator_has_no_settings_of_matching_images(path: str) -> None:
    with pytest.raises(UnknownName, match=f"unknown field of Recipe '{path}'.*matched_batch"):
        change(drawn(BOTH), path, 3)
    with pytest.raises(BadValue, match=r"criterion is Generative, which has no sampler.*\n.*such as dm"):
        _ = drawn(BOTH).matching


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"criterion.epochs": 0}, "epochs is 0; expected a whole number of at least 1"),
        ({"criterion.batch": 1}, "batch is 1; expected a whole number of at least 2"),
        ({"criterion.matched_batch": 1}, "matched_batch is 1; expected a whole number of at least 2"),
        ({"criterion.matched_from": -1}, "matched_from is -1; expected a whole number of at least 0"),
        ({"criterion.epochs": 2.5}, "epochs is 2.5; expected a whole number"),
        ({"criterion.weight": "a"}, "weight is 'a'; expected a number"),
        ({"criterion.matched_rate": -1.0}, "matched_rate is -1.0"),
        ({"criterion.weight": -1.0}, "weight is -1.0"),
        (
            {"criterion.matched_from": 10},
            "matching starts after epoch 10, but the generator is trained for 9",
        ),
        ({"teacher.models": ("convnet",)}, "expected a tuple of NetworkSpec"),
        ({"teacher.models": NetworkSpec()}, "expected a tuple of NetworkSpec"),
        ({"teacher.models": ()}, "a models pool without networks"),
        ({"teacher.mode": "evil"}, "unknown mode of a models pool 'evil'"),
        ({"teacher.space": "units"}, "unknown space of images for a models pool 'units'"),
        ({"teacher.trained_on": "synthetic"}, "unknown choice of training data .*'synthetic'; valid: real"),
    ],
)
def test_numbers_of_a_generator_out_of_range_are_named(changes: dict[str, Any], says: str) -> None:
    wrong = drawn(BOTH)
    for path, value in changes.items():
        wrong = change(wrong, path, value)
    with pytest.raises((BadValue, UnknownName), match=says):
        wrong.check()
    for fine in (BOTH, ALONE, replace(ALONE, matched_from=5), replace(BOTH, matched_from=9)):
        drawn(fine).check()


def test_matched_epochs_below_none_are_named() -> None:
    with pytest.raises(BadValue, match="matched_epochs is -1"):
        drawn(replace(BOTH, matched_epochs=-1)).check()


@pytest.mark.parametrize(
    ("recipe", "says"),
    [
        (
            drawn(replace(ALONE, augment=Siamese("flip"))),
            r"augment is 'flip', and nothing is matched under it\n.*matched_epochs",
        ),
        (replace(drawn(BOTH), teacher=Networks()), r"a teacher Networks; .*\n.*teacher=ModelsPool"),
        (replace(drawn(BOTH), teacher=Untaught()), r"a teacher Untaught; .*\n.*teacher=ModelsPool"),
        (replace(drawn(ALONE), teacher=ModelsPool()), r"a teacher ModelsPool; .*needs none\n.*Untaught"),
        (replace(drawn(ALONE), container=Pixels()), r"container Pixels is no generator\n.*=Generator"),
        (Recipe(container=Generator()), r"container Generator holds no images\n.*criterion=Generative"),
        (Recipe(teacher=ModelsPool()), r"a teacher ModelsPool; images are .*\n.*teacher=Networks"),
    ],
)
def test_parts_that_do_not_go_together_are_refused(recipe: Recipe, says: str) -> None:
    with pytest.raises(BadValue, match=says):
        recipe.check()
