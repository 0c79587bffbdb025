"""Data sets derived by name: nothing lost, nothing twice, nothing from the test set, settings of the origin."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor

from dreamlib.companion.cells import make_cell
from dreamlib.companion.report.words import data_set
from dreamlib.core.errors import BadValue, DataError, UnknownName
from dreamlib.data import Dataset, check_name, class_count, derive, load, names, origin
from dreamlib.data.splits import ClassSequence, alike

HOLDOUT = "6d8eca0e11"
SEQUENCE = "6489f7aef3"


def rows(images: Tensor) -> list[bytes]:
    return [image.numpy().tobytes() for image in images]


def test_a_tenth_of_the_training_images_is_held_out_and_nothing_else_changes(digits: Dataset) -> None:
    part = load("digits@holdout")
    assert len(part.test_labels) == round(0.1 * len(digits.train_labels))
    assert sorted(rows(part.train_images) + rows(part.test_images)) == sorted(rows(digits.train_images))
    whole = dict(zip(rows(digits.train_images), digits.train_labels.tolist(), strict=True))
    for images, labels in ((part.train_images, part.train_labels), (part.test_images, part.test_labels)):
        assert [whole[row] for row in rows(images)] == labels.tolist()
    assert (part.name, part.classes, part.normalisation) == (
        "digits@holdout",
        digits.classes,
        digits.normalisation,
    )


def test_the_test_images_of_the_parent_decide_nothing(digits: Dataset) -> None:
    other = replace(
        digits, test_images=digits.test_images.flip(0)[:7], test_labels=digits.test_labels.flip(0)[:7]
    )
    assert derive(other, "digits@holdout").fingerprint == load("digits@holdout").fingerprint


def test_the_draws_are_what_they_always_were() -> None:
    assert load("digits@holdout").fingerprint[:10] == HOLDOUT
    assert load("digits@5steps-order2-step3").fingerprint[:10] == SEQUENCE


@pytest.mark.parametrize("steps", [1, 3, 5, 10])
def test_steps_share_out_all_classes(digits: Dataset, steps: int) -> None:
    parts = [load(f"digits@{steps}steps-order1-step{t}") for t in range(1, steps + 1)]
    seen = [load(f"digits@{steps}steps-order1-upto{t}") for t in range(1, steps + 1)]
    arrived: tuple[str, ...] = ()
    for part, all_so_far in zip(parts, seen, strict=True):
        arrived += part.classes
        assert all_so_far.classes == arrived
        assert part.normalisation == all_so_far.normalisation == digits.normalisation
    assert sorted(arrived) == sorted(digits.classes)
    sizes = [part.num_classes for part in parts]
    assert max(sizes) - min(sizes) <= 1
    assert sorted(rows(seen[-1].test_images)) == sorted(rows(digits.test_images))
    assert sum(len(part.train_labels) for part in parts) == len(digits.train_labels)


def test_labels_follow_the_classes_and_the_sets_of_all_steps_join_to_those_seen(digits: Dataset) -> None:
    for name in ("digits@4steps-order3-step2", "digits@4steps-order3-upto2"):
        part = load(name)
        for label, word in enumerate(part.classes):
            theirs = digits.train_images[digits.train_labels == digits.classes.index(word)]
            assert torch.equal(part.train_images[part.train_labels == label], theirs)
            theirs = digits.test_images[digits.test_labels == digits.classes.index(word)]
            assert torch.equal(part.test_images[part.test_labels == label], theirs)


def test_orders_differ_and_none_is_the_order_of_the_data_set(digits: Dataset) -> None:
    orders = [load(f"digits@1steps-order{k}-upto1").classes for k in range(5)]
    assert len({*orders, digits.classes}) == 6


def test_classes_arrive_in_the_order_of_the_papers_code() -> None:
    # numpy.random.seed(0); numpy.random.permutation(10), as in DM's released code
    assert load("digits@5steps-order0-upto5").classes == tuple("2849167305")


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("mnist@5steps-order12-upto3", "mnist@5steps-upto3"),
        ("mnist@5steps-order12-step3", "mnist@5steps-step3"),
        ("mnist@holdout", "mnist@holdout"),
        ("folder:x-order1-y", "folder:x-order1-y"),
    ],
)
def test_orders_are_pooled(name: str, kind: str) -> None:
    assert alike(name) == kind


@given(count=st.integers(1, 200), steps=st.integers(1, 200))
def test_bounds_have_no_gap(count: int, steps: int) -> None:
    if steps > count:
        with pytest.raises(BadValue, match=f"{count} classes cannot arrive in {steps} steps"):
            ClassSequence(steps, 0, 1, seen=False).classes(count, "name@...")
        return
    ends = [ClassSequence(steps, 0, step, seen=False).bounds(count) for step in range(1, steps + 1)]
    assert (ends[0][0], ends[-1][1]) == (0, count)
    assert all(before[1] == after[0] for before, after in pairwise(ends))
    assert [ClassSequence(steps, 0, t, seen=True).bounds(count) for t in range(1, steps + 1)] == [
        (0, end) for _, end in ends
    ]


@pytest.mark.parametrize(
    ("name", "error", "says"),
    [
        ("digits@holdot", BadValue, "unknown part 'holdot'; expected holdout, Nsteps-orderK-stepT"),
        (
            "digits@5steps",
            BadValue,
            r"unknown part '5steps'(.|\n)*try: digits@holdout or digits@5steps-order0",
        ),
        ("digits@5steps-order-1-step2", BadValue, "unknown part"),
        ("digits@5steps-order00-step1", BadValue, "unknown part"),  # one part, one name
        ("digits@５steps-order0-step1", BadValue, "unknown part"),
        ("digits@0steps-order1-step0", BadValue, "0 steps; expected at least 1"),
        ("digits@5steps-order1-step6", BadValue, r"step 6 of 5; expected 1 to 5(.|\n)*5steps-order1-step5"),
        ("digits@5steps-order1-upto0", BadValue, "step 0 of 5; expected 1 to 5"),
        ("digits@5steps-order4294967296-step1", BadValue, "order 4294967296; expected less than"),
        ("digits@11steps-order0-step1", BadValue, "10 classes cannot arrive in 11 steps; expected 1 to 10"),
        ("digit@holdout", UnknownName, "unknown data set 'digit'(.|\n)*did you mean 'digits'"),
        ("@holdout", UnknownName, "unknown data set ''"),
        ("folder:x@5step-order0-step1", BadValue, "unknown part '5step-order0-step1'"),
    ],
)
def test_what_cannot_be_is_named(name: str, error: type[Exception], says: str) -> None:
    for attempt in (load, check_name, lambda text: make_cell("quick", "dm", text, 1, 0)):
        with pytest.raises(error, match=says):
            attempt(name)


def test_only_a_part_of_the_parent_can_be_derived_from_it(digits: Dataset) -> None:
    for name in ("digits", "mnist@holdout"):
        with pytest.raises(BadValue, match=f"'{re.escape(name)}' is not derived from 'digits'"):
            derive(digits, name)


def test_a_class_that_loses_all_its_images_is_named(make: Callable[..., Dataset]) -> None:
    sizes = [1] * 20
    data = replace(make(sizes), test_labels=torch.tensor([0, 1, 0]))
    with pytest.raises(DataError, match="no training image of 2 of 20 classes"):
        derive(data, "noise@holdout")


def test_a_folder_of_ones_own_can_be_split_and_may_have_an_at_sign_in_its_name(tmp_path: Path) -> None:
    for part in ("train", "test"):
        for number, word in enumerate("abcd"):
            folder = tmp_path / "me@home" / part / word
            folder.mkdir(parents=True)
            for shade in range(5):
                Image.fromarray(np.full((4, 4), 40 * number + shade, np.uint8)).save(folder / f"{shade}.png")
    whole = load("folder:me@home", tmp_path)
    assert origin(whole.name) == whole.name
    part = load("folder:me@home@2steps-order0-step2", tmp_path)
    assert part.num_classes == 2
    assert part.normalisation == whole.normalisation
    with pytest.raises(BadValue, match="4 classes cannot arrive in 5 steps"):
        load("folder:me@home@5steps-order0-step2", tmp_path)


def test_parts_of_parts(digits: Dataset) -> None:
    part = load("digits@holdout@5steps-order0-step1")
    assert origin(part.name) == "digits"
    assert part.num_classes == class_count(part.name) == 2
    held_out = set(rows(load("digits@holdout").test_images))
    assert set(rows(part.test_images)) <= held_out


def test_class_counts_are_known_without_reading() -> None:
    assert {name: class_count(name) for name in names()} == dict.fromkeys(names(), 10) | {"cifar100": 100}
    assert class_count("digits") == load("digits").num_classes
    assert class_count("cifar100@10steps-order0-upto3") == 30
    assert class_count("folder:x@holdout") is None


@pytest.mark.parametrize("method", ["dsa", "dream", "dc"])
@pytest.mark.parametrize("tail", ["holdout", "5steps-order0-step1"])
def test_a_part_has_the_settings_of_its_origin_and_a_key_of_its_own(method: str, tail: str) -> None:
    for dataset in ("mnist", "cifar10"):
        whole = make_cell("paper", method, dataset, 10, 0)
        part = make_cell("paper", method, f"{dataset}@{tail}", 10, 0)
        assert (part.recipe, part.evaluation, part.sources) == (whole.recipe, whole.evaluation, whole.sources)
        assert part.key != whole.key
        assert part.name.startswith(f"{dataset}_{tail}-{method}-ipc10-s0-")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("cifar10", "CIFAR-10"),
        ("cifar10@holdout", "CIFAR-10, tested on held-out training images"),
        ("mnist@5steps-order2-step3", "MNIST, classes of step 3 of 5 (order 2)"),
        ("mnist@5steps-order2-upto3", "MNIST, classes of steps 1 to 3 of 5 (order 2)"),
        ("mnist@5steps-order2-upto1", "MNIST, classes of step 1 of 5 (order 2)"),
        ("folder:me@home", "folder:me@home"),
    ],
)
def test_words_for_parts(name: str, words: str) -> None:
    assert data_set(name) == words
