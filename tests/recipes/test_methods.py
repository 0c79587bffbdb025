"""A method: variants, their names, what a caller chose, and what a profile scales."""

from __future__ import annotations

from typing import Any

import pytest

from dreamlib.companion.profiles import profiles
from dreamlib.core.errors import PluginError, UnknownName
from dreamlib.distillation.recipe import Recipe
from dreamlib.matchers import Feature
from dreamlib.recipes import Method, apply, methods, protocol
from dreamlib.samplers import Representative

# Variants


def test_the_callers_word_is_the_last() -> None:
    """DC's own rules set the loops at IPC 1; a caller who set them is not overruled."""
    mine = methods["dc"].using(teacher__steps=7, augment__strategy="crop")
    for ipc, inner in ((1, 1), (10, 50), (50, 10)):
        recipe, _ = mine.resolve("mnist", ipc)
        assert recipe.teacher.steps == 7
        assert recipe.matching.augment.strategy == "crop"
        assert recipe.teacher.epochs == inner


@pytest.mark.parametrize(
    ("changes", "name", "label"),
    [
        ({"sampler": Representative()}, "dc+dream", "DC+DREAM"),
        ({"matcher": Feature()}, "dc+feature", "DC+Feature"),
        ({"image_lr": 0.2}, "dc+image_lr=0.2", "DC+image_lr=0.2"),
        (
            {"teacher__steps": 3, "sampler": Representative()},
            "dc+teacher.steps=3+dream",
            "DC+teacher.steps=3+DREAM",
        ),
        ({"image_lr": 0.2, "name": "mine", "label": "Mine"}, "mine", "Mine"),
    ],
)
def test_variants_are_named_by_what_they_change(changes: dict[str, Any], name: str, label: str) -> None:
    found = methods["dc"].using(**changes)
    assert (found.name, found.label) == (name, label)


def test_a_field_that_does_not_exist_cannot_be_used() -> None:
    with pytest.raises(UnknownName, match="unknown field of Recipe 'smapler'") as caught:
        methods["dc"].using(smapler=Representative())
    assert caught.value.hint == "did you mean 'sampler'?"


def test_unknown_names_list_the_known() -> None:
    with pytest.raises(UnknownName, match="unknown method 'dmm'; valid: random, herding"):
        methods["dmm"]
    with pytest.raises(UnknownName, match="unknown evaluation protocol 'best'; valid: dc, dsa, idc"):
        protocol("best", {"dataset": "mnist", "ipc": 1, "method": "dm"})
    with pytest.raises(UnknownName, match="unknown profile 'fast'; valid: quick, cpu, paper"):
        profiles["fast"]
    assert "dmm" not in methods
    assert "dm" in methods


def test_a_name_is_given_to_one_method() -> None:
    assert methods.register(methods["dm"]) is methods["dm"]
    other = methods["dc"].using(image_lr=3.0, name="dm")
    with pytest.raises(PluginError, match="a method named 'dm' exists already"):
        methods.register(other)
    assert methods["dm"].recipe.image_lr == 1.0


# Profiles


def test_the_paper_profile_changes_no_setting_of_a_paper() -> None:
    for rules in (profiles["paper"].recipe_rules, profiles["paper"].evaluation_rules):
        assert [entry.change for entry in rules] == [(("mode", "fast"),)]


def width(recipe: Recipe) -> int:
    """Of a generator, or of the networks that images are matched under."""
    return recipe.container.width if recipe.drawn else recipe.network.width


@pytest.mark.parametrize("profile", ["quick", "cpu"])
def test_smaller_profiles_apply_to_every_method_and_say_so(profile: str) -> None:
    scale = profiles[profile]
    for method in methods.values():
        for dataset in scale.datasets:
            for ipc in scale.ipcs:
                full, _ = method.resolve(dataset, ipc)
                small, _ = method.resolve(dataset, ipc, scale.recipe_rules)
                _, sources = apply(full, scale.recipe_rules, method.facts(dataset, ipc))
                small.check()
                shape = (1, 8, 8) if dataset == "digits" else (3, 32, 32)
                small.container.check(shape, 10, ipc)
                # A kernel has no width, and these networks have one that their name settles.
                settled = full.network.name in ("lenet", "alexcifarnet")
                if full.drawn or (full.criterion.taught and not settled):
                    assert width(small) < width(full)
                assert small.steps <= full.steps
                assert (small.steps == 0) == (full.steps == 0)
                assert type(small.criterion) is type(full.criterion)
                for part in ("sampler", "matcher", "objective"):
                    ours, theirs = (getattr(one.criterion, part, None) for one in (small, full))
                    assert type(ours) is type(theirs)
                assert all(source.startswith(f"profile {profile}") for source in sources.values())


def quick(method: Method, ipc: int) -> Recipe:
    return method.resolve("digits", ipc, profiles["quick"].recipe_rules)[0]


def test_quick_needs_only_digits_and_stays_small() -> None:
    assert profiles["quick"].datasets == ("digits",)
    for method in methods.values():
        for ipc in profiles["quick"].ipcs:
            small = quick(method, ipc)
            assert small.steps <= 600  # LD, which moves labels alone
            assert getattr(small.criterion, "real_batch", 0) <= 130


def test_a_family_is_the_methods_a_variant_was_made_from() -> None:
    assert methods["dc"].family == ()
    assert methods["idc-dm+dream"].family == ("idc-dm",)
    assert methods["dream"].family == ("idc",)
    assert methods["dream"].base == "idc"
    with pytest.raises(UnknownName, match="unknown method 'cd'"):
        methods["cd"]


def test_a_profile_holds_for_a_users_variant_of_a_variant_even_of_one_without_a_row() -> None:
    mine = methods["dc+dream"].using(matcher=Feature()).using(real_batch=7, name="mine")
    assert mine.family[1:] == ("dc+dream", "dc")
    assert quick(mine, 10).steps == quick(methods["dc"], 10).steps <= 500


@pytest.mark.parametrize("profile", ["quick", "cpu"])
def test_a_number_that_the_caller_chose_survives_rules_and_profile(profile: str) -> None:
    scale = profiles[profile].recipe_rules
    mine = methods["dm"].using(image_lr=7.0, teacher__epochs=9)
    for dataset in profiles[profile].datasets:
        recipe, sources = mine.resolve(dataset, 1, scale)
        assert (recipe.image_lr, recipe.teacher.epochs) == (7.0, 9)
        assert sources["image_lr"] == f"chosen in {mine.name}"
