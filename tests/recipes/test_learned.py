"""The published settings of LD and DD, against what their papers and released code say."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from dreamlib.companion.cells import make_cell
from dreamlib.coresets import Noise, RepresentativeImages
from dreamlib.networks import NetworkSpec
from dreamlib.recipes import methods


@pytest.mark.parametrize(
    ("dataset", "network", "passes", "step", "held_out", "window"),
    [
        ("mnist", "lenet", 400, 49, 10000, 50),  # 50,000 images in batches of 1,024
        ("cifar10", "alexcifarnet", 400, 44, 5000, 50),  # 45,000
        ("cifar100", "alexcifarnet", 800, 44, 5000, 100),
    ],
)
def test_ld_has_the_settings_of_its_code(
    dataset: str, network: str, passes: int, step: int, held_out: int, window: int
) -> None:
    """Adam at 1e-3 on labels and network, an inner rate of 0.01, a choice every five passes, 20 networks (facts 2)."""
    cell = make_cell("paper", "ld", dataset, 1, 0)
    recipe: Any = cell.recipe
    assert recipe.iterations == passes * step
    criterion = recipe.criterion
    assert (criterion.every, criterion.held_out, criterion.real_batch) == (5 * step, held_out, 1024)
    assert (criterion.way, criterion.step_lr) == ("second order", 0.01)
    assert recipe.container.labels_by.lr == recipe.teacher.lr == 1e-3
    assert (recipe.container.begin, recipe.container.simplex, recipe.container.images_by) == (
        "uniform",
        True,
        None,
    )
    assert recipe.teacher.window == window
    assert recipe.network == cell.evaluation.network == NetworkSpec(network)
    assert cell.evaluation.networks == 20


def test_ld_looks_at_more_images_at_once_where_there_are_more() -> None:
    for dataset, ipc, batch, window in (
        ("mnist", 1, 10, 50),
        ("cifar10", 10, 50, 50),
        ("cifar100", 1, 100, 100),
        ("cifar100", 50, 100, 100),
        # 20 and 50 images: batches of 10 and 25 (facts 2). More than 100 images: a window of 200.
        ("mnist", 2, 10, 50),
        ("cifar10", 5, 25, 50),
        ("mnist", 20, 50, 200),
        ("mnist", 50, 250, 200),
    ):
        for method in ("ld", "ld-ridge"):
            cell = make_cell("paper", method, dataset, ipc, 0)
            recipe, learner = cell.recipe, cell.evaluation.learner
            assert (recipe.criterion.batch, recipe.teacher.window) == (batch, window)  # type: ignore[attr-defined]  # of LD's own parts
            assert learner.batch == batch  # type: ignore[attr-defined]  # of LD's own parts
    assert make_cell("paper", "ld-ridge", "mnist", 1, 0).evaluation.protocol == "ld-ridge"


@pytest.mark.parametrize(
    ("dataset", "network", "rate", "passes"),
    [("mnist", "lenet", 0.02, 59), ("cifar10", "alexcifarnet", 0.001, 49)],
)
def test_dd_has_the_settings_of_its_code(dataset: str, network: str, rate: float, passes: int) -> None:
    """Three epochs of ten steps, Adam at 0.01 halved every 40 passes, Glorot's weights, 200 networks (facts 1)."""
    cell = make_cell("paper", "dd", dataset, 10, 0)
    recipe: Any = cell.recipe
    container = recipe.container
    assert (container.epochs, container.rate, recipe.iterations) == (3, rate, 400 * passes)
    for update in (container.images_by, container.rates_by):
        assert (update.lr, update.betas, update.every, update.by) == (0.01, (0.5, 0.999), 40 * passes, 0.5)
    assert recipe.criterion.real_batch == 1024
    assert recipe.initial == Noise()
    assert recipe.network == cell.evaluation.network == NetworkSpec(network, form="xavier")
    assert (recipe.teacher.steps, recipe.teacher.trained_on) == (1, "nothing")
    assert cell.evaluation.networks == 200


def test_dds_real_images_are_cropped_and_mirrored_on_cifar10_alone() -> None:
    """Released code: a border of 4 pixels, reflected; LD's and the grey data sets' are taken as they are."""
    found = {
        name: make_cell("paper", "dd", name, 10, 0).recipe.criterion.crops for name in ("mnist", "cifar10")
    }  # type: ignore[attr-defined]  # of DD's criterion
    assert found == {"mnist": 0, "cifar10": 4}


@pytest.mark.parametrize(
    "method", ["dd", "dd-real", "ld", "ld-hard", "ld+dream", "kip", "kip-real", "label-solve"]
)
def test_the_oldest_methods_divide_cifar10_by_the_deviation_of_all_pixels(method: str) -> None:
    """Released code: 63.0, 62.1 and 66.7 of 255, which is .247, .243 and .262."""
    rows = {name: make_cell("paper", method, name, 10, 0).recipe for name in ("mnist", "cifar10")}
    assert {name: row.constants for name, row in rows.items()} == {"mnist": "", "cifar10": "pixel"}
    # Whitening begins with the same statistics, so one word of a recipe is enough to whiten.
    methods[method].using(whitening="kip").resolve("cifar10", 10)[0].check()


def test_what_learned_labels_and_images_are_compared_with_differs_in_that_alone() -> None:
    for profile in ("quick", "cpu", "paper"):
        labels, classes = (make_cell(profile, name, "mnist", 10, 0) for name in ("ld", "ld-hard"))
        container: Any = classes.recipe.container
        assert (container.begin, container.labels_by, container.timed) == ("one-hot", None, True)
        assert replace(classes.recipe, container=labels.recipe.container) == labels.recipe
        assert classes.evaluation == labels.evaluation
        learned, real = (make_cell(profile, name, "mnist", 10, 0) for name in ("dd", "dd-real"))
        container = real.recipe.container
        assert container.images_by is None
        assert replace(container, images_by=container.rates_by) == learned.recipe.container
        assert real.evaluation == learned.evaluation
        for name in ("ld", "ld-ridge"):
            base, plugged = (make_cell(profile, f"{name}{tail}", "mnist", 10, 0) for tail in ("", "+dream"))
            assert plugged.recipe == replace(base.recipe, initial=RepresentativeImages())
