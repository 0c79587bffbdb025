"""The published settings, against tables written by hand from the papers and their released code."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from dreamlib.augment import PerImage, Siamese
from dreamlib.companion.cells import make_cell
from dreamlib.companion.profiles import profiles
from dreamlib.containers import Generator, MultiFormation, Pixels
from dreamlib.core.errors import PluginError, UnknownName
from dreamlib.coresets import FirstImages, Noise, RealImages, RepresentativeImages
from dreamlib.criteria import Adversarial
from dreamlib.data import names as datasets
from dreamlib.distillation.evaluate import Generated
from dreamlib.distillation.recipe import Recipe, change
from dreamlib.matchers import Feature, Gradient, Logits
from dreamlib.networks import NetworkSpec
from dreamlib.recipes import POOLS, Method, apply, methods, models, protocol
from dreamlib.recipes.protocols import names as protocols
from dreamlib.samplers import Random, Representative
from dreamlib.teachers import ModelsPool

BUDGETS = (1, 10, 50)
DATASETS = ("digits", "mnist", "fashionmnist", "svhn", "cifar10", "cifar100")
DIGITS = ("digits", "mnist", "svhn")  # a mirrored digit is no digit
DSA = {True: "color_crop_cutout_scale_rotate", False: "color_crop_cutout_flip_scale_rotate"}

# Outer loops (matching steps with one network) and inner loops (passes over the synthetic set after each).
LOOPS = {1: (1, 1), 10: (10, 50), 50: (50, 10)}

# IDC, released code: metric, image learning rate at IPC 10, real images per update of the network.
IDC = {
    "digits": ("l1", 1e-4, 500),
    "mnist": ("l1", 1e-4, 500),
    # Sides of 28 where the base is 32: (28 / 32)^2 = .765625.
    "fashionmnist": ("l1", 1e-4 * 0.765625, 500),
    "svhn": ("mse", 5e-3, 500),
    "cifar10": ("mse", 5e-3, 2000),
    "cifar100": ("mse", 5e-3, 2000),
}
SIDE = {"digits": 8, "mnist": 28, "fashionmnist": 28, "svhn": 32, "cifar10": 32, "cifar100": 32}

SELECTED = ("random", "herding", "k-center", "forgetting")
CENTRES = ("random+dream", "herding+dream")
UNDISTILLED = ("whole", "early-stopping")
PIXEL_METHODS = ("dm", "dc", "dsa", "dm+dream", "dc+dream", "dsa+dream")
IDC_METHODS = ("idc", "idc-dm", "dream", "idc+dream", "idc-dm+dream")

TABLE_T1 = ("mmd", "mmd-polynomial", "mmd-rbf", "mmd-laplacian", "gmmn", "vae", "biggan")
ARMS = ("dim-unmatched", "dim-fast", "dim-fast-unmatched")  # DiM's controls
KERNEL_METHODS = (
    *("kip", "kip+dream", "kip+dream-weighted", "label-solve"),
    *("frepo", "frepo+dream", "frepo+dream-weighted"),
)
WITH_DD = ("dd", "ld", "ld-ridge")
LEARNED = ("ld", "ld-hard", "ld-ridge", "ld+dream", "ld-ridge+dream", "dd", "dd-real")
GENERATORS = ("gan", "dim", "dim-feature", "dim-gradient", "dim-code", *ARMS)


def test_all_methods_and_datasets_are_covered_here() -> None:
    images = {*SELECTED, *CENTRES, *UNDISTILLED, *PIXEL_METHODS, *IDC_METHODS, "dm-lastlayer"}
    assert set(methods) == images | set(GENERATORS) | set(TABLE_T1) | set(KERNEL_METHODS) | set(LEARNED)
    assert set(datasets()) == set(DATASETS)
    assert set(protocols()) == {
        "dc",
        "dsa",
        "idc",
        "dim",
        "dim-code",
        "dsa-squares",
        "ridge",
        "frepo",
        *WITH_DD,
    }


def facts(recipe: Any, *paths: str) -> dict[str, Any]:
    """What stands at dotted paths; fields of the criterion bear their bare names."""
    out = {}
    for path in paths:
        value = recipe if hasattr(recipe, path.partition(".")[0]) else recipe.criterion
        for name in path.split("."):
            value = getattr(value, name)
        out[path] = value
    return out


def test_kip_has_the_settings_of_its_notebook() -> None:
    """5,000 balanced real images, Adam at 0.04 on images and labels, 300 steps; judged by the regression itself."""
    cell = make_cell("paper", "kip", "cifar10", 10, 0)
    recipe: Any = cell.recipe
    assert recipe.criterion.real_batch * 10 == 5000
    assert recipe.iterations == 300
    assert recipe.container.images_by.lr == recipe.container.labels_by.lr == 0.04
    assert (recipe.criterion.kernel.kind, recipe.criterion.kernel.depth) == ("ntk", 1)
    assert recipe.criterion.regularisation == 1e-6
    assert (cell.evaluation.protocol, cell.evaluation.networks) == ("ridge", 1)
    assert make_cell("paper", "label-solve", "cifar10", 10, 0).recipe.steps == 1


def test_frepo_has_the_settings_of_its_code() -> None:
    """Ten networks of up to 100 steps, LAMB and Adam at 3e-4, flips in the kernel but for grey images (facts 9)."""
    cell = make_cell("paper", "frepo", "cifar10", 10, 0)
    recipe: Any = cell.recipe
    assert (recipe.teacher.networks, recipe.teacher.oldest, recipe.teacher.lr) == (10, 100, 3e-4)
    assert recipe.container.images_by.lr == recipe.container.labels_by.lr == 3e-4
    assert recipe.iterations == 500_000
    assert abs(recipe.criterion.real_batch * 10 - 1024) < 10
    learner: Any = cell.evaluation.learner
    assert (learner.updates, learner.lr, learner.warm_up, learner.last) == (2000, 3e-4, 500, 0.01)
    assert (cell.evaluation.networks, cell.evaluation.network.norm) == (5, "none")
    for dataset, ipc, flips in (("cifar10", 1, True), ("mnist", 1, False), ("fashionmnist", 10, False)):
        row: Any = make_cell("paper", "frepo", dataset, ipc, 0).recipe
        assert row.criterion.mirrored == flips
    for ipc, flips in ((1, True), (10, False), (50, False)):
        many: Any = make_cell("paper", "frepo", "cifar100", ipc, 0).recipe
        assert many.criterion.mirrored == flips
        assert many.container.scale == pytest.approx((10 / 100) ** 0.5)


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
        ("mnist", 50, 250, 200),
    ):
        for method in ("ld", "ld-ridge"):
            cell = make_cell("paper", method, dataset, ipc, 0)
            recipe, learner = cell.recipe, cell.evaluation.learner
            assert (recipe.criterion.batch, recipe.teacher.window) == (batch, window)  # type: ignore[attr-defined]
            assert learner.batch == batch  # type: ignore[attr-defined]
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


@pytest.mark.parametrize("method", CENTRES)
def test_dream_as_a_choice_made_once_replaces_the_choice_alone(method: str) -> None:
    base = methods[method.removesuffix("+dream")].resolve("cifar10", 20)[0]
    recipe = methods[method].resolve("cifar10", 20)[0]
    assert recipe == replace(base, initial=RepresentativeImages(epochs=base.initial.epochs))
    for profile in ("quick", "cpu"):
        rules = profiles[profile].recipe_rules
        ours, theirs = (
            methods[name].resolve("cifar10", 20, rules)[0] for name in (method, methods[method].base)
        )
        assert ours == replace(theirs, initial=RepresentativeImages(epochs=theirs.initial.epochs))


@pytest.mark.parametrize("ipc", BUDGETS)
@pytest.mark.parametrize("dataset", DATASETS)
@pytest.mark.parametrize("method", PIXEL_METHODS)
def test_dc_dsa_and_dm(method: str, dataset: str, ipc: int) -> None:
    recipe, _ = methods[method].resolve(dataset, ipc)
    base = method.removesuffix("+dream")
    outer, inner = LOOPS[ipc]
    if base == "dsa" and (dataset, ipc) == ("cifar100", 50):
        outer, inner = 10, 10
    strategy = "none" if base == "dc" else DSA[dataset in DIGITS]
    expected: dict[str, Any] = {
        "container": Pixels("normalised"),
        # Random batches are drawn anew for every step. All synthetic images are matched, however many there are.
        "sampler": Representative(every=10, space="stored") if method.endswith("+dream") else Random("anew"),
        "synthetic_batch": None,
        "initial": Noise() if base == "dc" else RealImages(),
        "network": NetworkSpec("convnet", depth=3, width=128, norm="instance"),
        "real_batch": 256,
        "image_momentum": 0.5,
        "augment": Siamese(strategy),
        "per_class": None,
    }
    if base == "dm":
        expected |= {
            "matcher": Feature("mse"),
            "iterations": 20000,
            "teacher.steps": 1,
            "teacher.trained_on": "nothing",
        }
        rate = 1.0
    else:
        expected |= {
            "matcher": Gradient("cosine", "weights"),
            "iterations": 1000,
            "teacher.steps": outer,
            "teacher.trained_on": "synthetic",
            "teacher.epochs": inner,
            "teacher.batch": 256,
            "teacher.lr": 0.01,
            "teacher.momentum": 0.0,
            "teacher.weight_decay": 0.0,
            "teacher.cutmix": 0.0,
            "teacher.augment": Siamese(strategy),
        }
        rate = 0.1
    assert facts(recipe, *expected) == expected
    assert recipe.update(ipc, SIDE[dataset]).lr == rate
    assert (recipe.image_steps, recipe.constants) == ("together", "")


@pytest.mark.parametrize("ipc", [100, 128, 200, 500, 1000, 1250])
def test_dm_learns_ten_times_as_fast_from_a_hundred_images_on_on_cifar10_alone(ipc: int) -> None:
    """DM's README up to 1,250 images per class; CIFAR-100 stays at 1."""
    found = {
        name: methods["dm"].resolve(name, ipc)[0].update(ipc, 32).lr
        for name in ("cifar10", "cifar100", "svhn")
    }
    assert found == {"cifar10": 10, "cifar100": 1, "svhn": 1}


def test_last_layer_matching_is_dm_with_another_matcher() -> None:
    plain, other = (methods[name].resolve("mnist", 10)[0] for name in ("dm", "dm-lastlayer"))
    assert other == change(plain, "matcher", Gradient("mse", "classifier"))


@pytest.mark.parametrize("ipc", BUDGETS)
@pytest.mark.parametrize("dataset", DATASETS)
@pytest.mark.parametrize("method", IDC_METHODS)
def test_idc_and_dream(method: str, dataset: str, ipc: int) -> None:
    recipe, _ = methods[method].resolve(dataset, ipc)
    metric, rate, images = IDC[dataset]
    grey_digits = dataset in ("digits", "mnist")
    dm = method.startswith("idc-dm")
    expected = {
        "container": MultiFormation(factor=2, decoding="uniform", space="unit"),
        # Real batches of a class run through a permutation of it. Clustering embeds images as they are stored, which is
        # without normalisation.
        "sampler": Random("permutation")
        if method in ("idc", "idc-dm")
        else Representative(10, space="stored"),
        "matcher": Feature("mse") if dm else Gradient(metric, "convolutions"),
        "initial": RepresentativeImages(space="stored") if method == "dream" else FirstImages(),
        "network": NetworkSpec("convnet", depth=3, width=128, norm="instance"),
        "iterations": 2000,
        # One step of the optimiser after each class, moving all images.
        "image_steps": "class by class",
        "constants": "cifar10" if dataset == "cifar100" else "",
        "real_batch": 128 if method == "dream" else 64,
        "synthetic_batch": 128,
        "image_momentum": 0.5,
        "augment": Siamese("color_crop" if grey_digits else "color_crop_cutout", family="idc"),
        "teacher.steps": 100,
        "teacher.trained_on": "real",
        "teacher.images": images,
        # DREAM: one loader serves matching and learning, so batches of 128 there too.
        "teacher.batch": 128 if method == "dream" else 64,
        "teacher.lr": 0.01,
        "teacher.momentum": 0.9,
        "teacher.weight_decay": 5e-4,
        "teacher.cutmix": 0.0 if grey_digits else 0.5,
        "teacher.augment": Siamese("color_crop", family="idc"),
    }
    assert facts(recipe, *expected) == expected
    # Feature matching sets the metric and leaves the learning rate of the data set.
    assert recipe.update(ipc, SIDE[dataset]).lr == pytest.approx(rate * ipc / 10)


def test_network_updates_are_whole_batches() -> None:
    """For "2000" IDC takes 32 batches of 64 and DREAM 16 of 128; for "500" 8 and 4."""
    found = {
        (method, dataset): methods[method].resolve(dataset, 10)[0].teacher.real_batches
        for method in ("idc", "dream")
        for dataset in ("cifar10", "mnist")
    }
    assert found == {
        ("idc", "cifar10"): 32,
        ("idc", "mnist"): 8,
        ("dream", "cifar10"): 16,
        ("dream", "mnist"): 4,
    }


def test_images_of_tiny_imagenet_move_four_times_as_fast() -> None:
    """Sides of 64 where the base is 32."""
    assert methods["idc"].recipe.update(10, 64).lr == pytest.approx(4 * 5e-3)


def test_augmentation_of_mnist_depends_on_the_factor() -> None:
    """IDC, released code: color_crop and no CutMix for factor > 1 alone."""
    single = methods["idc"].using(container=MultiFormation(factor=1), name="idc-i")
    recipe, _ = single.resolve("mnist", 10)
    assert (recipe.matching.augment.strategy, recipe.teacher.cutmix) == ("color_crop_cutout", 0.5)
    judged = [protocol("idc", one.facts("mnist", 10))[0].learner for one in (methods["idc"], single)]
    assert [how.cutmix for how in judged] == [0.0, 0.5]


def test_svhn_at_one_image_of_factor_one_is_judged_without_cutmix() -> None:
    single = methods["idc"].using(container=MultiFormation(factor=1), name="idc-i")
    cutmix = {
        (one.name, ipc): protocol("idc", one.facts("svhn", ipc))[0].learner.cutmix
        for one in (methods["idc"], single)
        for ipc in (1, 10)
    }
    assert cutmix == {("idc", 1): 0.5, ("idc", 10): 0.5, ("idc-i", 1): 0.0, ("idc-i", 10): 0.5}


@pytest.mark.parametrize("dataset", DATASETS)
@pytest.mark.parametrize("method", SELECTED)
def test_coresets_are_not_matched(method: str, dataset: str) -> None:
    recipe, _ = methods[method].resolve(dataset, 10)
    assert recipe.steps == 0
    assert recipe.container == Pixels("normalised")
    assert recipe.initial.epochs == (0 if method == "random" else 20)


# DiM section 4.1, and the released code where the paper is silent; the code's own numbers in the last column. The pool:
# ConvNet-3, and ResNets whose four stages have 32, 64, 128 and 256 channels, batch norm and He's weights.
POOL = (
    NetworkSpec("convnet", depth=3, width=128, norm="instance"),
    *(
        NetworkSpec(name, width=64, norm="batch", form="idc")
        for name in ("resnet10", "resnet18", "resnet10ap", "resnet18ap")
    ),
)
GENERATION: dict[str, tuple[Any, Any]] = {
    "container": (Generator(noise=100, width=196, label="inside"),) * 2,
    "criterion.objective": (Adversarial(penalty=10.0, slope=0.01),) * 2,
    "criterion.epochs": (200, 150),
    "criterion.batch": (64, 128),
    "container.lr": (1e-4, 1e-4),
    "container.betas": ((0.0, 0.9), (0.0, 0.9)),
    "criterion.independent_draws": (True, True),
    "criterion.generator_first": (True, True),
    "criterion.carries_adam": (True, True),
    "per_class": (None, None),
}
MATCHED: dict[str, tuple[Any, Any]] = {
    "criterion.matched_from": (120, 150),
    "criterion.matched_epochs": (80, 100),
    "criterion.matched_batch": (64, 64),
    "teacher.models": (POOL, POOL),
    "teacher.mode": ("train", "train"),
    "teacher.space": ("signed", "signed"),
    "teacher.trained_on": ("real", "real"),
    "teacher.images": (1024, 1024),  # 16 batches of 64
    "teacher.batch": (64, 64),
    "teacher.lr": (0.01, 0.01),
    "teacher.momentum": (0.9, 0.9),
    "teacher.weight_decay": (5e-4, 5e-4),
    "teacher.cutmix": (0.0, 0.0),
    "teacher.augment": (Siamese("color_crop", family="idc"),) * 2,
    "augment": (Siamese("color_crop_cutout", family="idc"),) * 2,
}
COMPARED = {
    # matcher, its weight, learning rate of the second stage
    "dim": (Logits("raw"), 0.01, 5e-6),
    "dim-feature": (Feature("l1"), 0.001, 5e-6),
    "dim-gradient": (Gradient("l1", "convolutions"), 0.001, 5e-6),
    "dim-code": (Logits("log-softmax"), 0.01, 5e-6),
    "dim-unmatched": (Logits("raw"), 0.0, 5e-6),
    "dim-fast": (Logits("raw"), 0.01, 1e-4),
    "dim-fast-unmatched": (Logits("raw"), 0.0, 1e-4),
}


@pytest.mark.parametrize("ipc", BUDGETS)
@pytest.mark.parametrize("dataset", DATASETS)
@pytest.mark.parametrize("method", GENERATORS)
def test_generators(method: str, dataset: str, ipc: int) -> None:
    recipe, _ = methods[method].resolve(dataset, ipc)
    table = GENERATION if method == "gan" else GENERATION | MATCHED
    expected = {path: values[method == "dim-code"] for path, values in table.items()}
    if method != "gan":
        expected["matcher"], expected["criterion.weight"], rate = COMPARED[method]
        assert recipe.container.lr * recipe.criterion.pace == pytest.approx(rate)
    assert facts(recipe, *expected) == expected
    assert recipe.steps == {"gan": 200, "dim-code": 250}.get(method, 200)
    recipe.check()


def test_states_are_kept_at_the_epochs_that_the_paper_shows() -> None:
    found = {name: methods[name].resolve("cifar10", 10)[0].kept for name in ("gan", "dim", "dim-code")}
    assert found["gan"] == (0, 20, 50, 80, 100, 120, 130, 150, 170, 190, 200)  # Table 5, Figures 6 and 7
    assert found["dim"] == (120, 130, 150, 170, 190, 200)
    assert found["dim-code"] == (150, 170, 190, 250)


@pytest.mark.parametrize("profile", ["quick", "cpu", "paper"])
@pytest.mark.parametrize("method", ["dim", "dim-feature", "dim-gradient", "dim-code", *ARMS])
def test_dim_stays_itself_in_small(profile: str, method: str) -> None:
    """What no profile scales: the order and the draws of a step, Adam, the discriminator, and what a pool is."""
    dataset = {"quick": "digits", "cpu": "mnist", "paper": "cifar10"}[profile]
    recipe = make_cell(profile, method, dataset, 10, 0).recipe
    how = recipe.criterion
    assert how.pace == pytest.approx(1 if "fast" in method else 1 / 20)
    assert how.weight == COMPARED[method][1]
    assert how.objective == Adversarial(penalty=10.0, slope=0.01)
    assert recipe.container.betas == (0.0, 0.9)
    assert (how.carries_adam, how.independent_draws, how.generator_first) == (True, True, True)
    assert (recipe.teacher.mode, recipe.teacher.space) == ("train", "signed")
    assert (how.matched_from == how.epochs) == (method == "dim-code")  # all of the GAN first
    assert how.augment == Siamese("color_crop_cutout", family="idc")
    assert recipe.teacher.augment == Siamese("color_crop", family="idc")
    assert {(one.norm, one.form) for one in recipe.teacher.models[1:]} == {("batch", "idc")}
    assert [spec.name for spec in recipe.teacher.models] == [
        "convnet",
        "resnet10",
        "resnet18",
        "resnet10ap",
        "resnet18ap",
    ]


def test_the_control_of_a_matcher_is_the_same_but_for_its_weight() -> None:
    """The first stage is shared, and the second one is trained, not skipped."""
    dim, control = (make_cell("quick", name, "digits", 10, 0).recipe for name in ("dim", "dim-unmatched"))
    assert control.first == dim.first
    assert control != dim
    assert change(control, "weight", 0.01) == dim
    assert control.steps == dim.steps


def test_a_pool_holds_every_resnet_with_both_poolings() -> None:
    """DiM Table 6: "we utilize both average and max pooling for ResNet-10 and ResNet-18"."""
    names = {pool: tuple(one.name for one in models(pool)) for pool in POOLS}
    assert names["C3"] == ("convnet",)
    assert names["R10"] == ("resnet10", "resnet10ap")
    assert names["C3+R18"] == ("convnet", "resnet18", "resnet18ap")
    assert models() == POOL


def test_where_dim_is_not_the_released_code_is_said() -> None:
    for name in ("gan", "dim", "dim-feature", "dim-gradient", "dim-code", *ARMS):
        said = " ".join(methods[name].differs)
        assert "the code keeps the best of both on the test images" in said
        assert "evaluation mode" in said
        # What the paper asks for in other words than the code does.
        assert ("batches of 64" in said) == (name != "dim-code")
    assert "from epoch 120 on" in " ".join(methods["dim"].differs)
    assert "the code: 100" in " ".join(methods["dim"].differs)
    assert "their log-softmax" in " ".join(methods["dim"].differs)


def test_an_unknown_network_of_a_pool_is_named() -> None:
    with pytest.raises(UnknownName, match="R99"):
        models("C3+R99")


def test_dim_is_the_gan_with_a_matcher() -> None:
    """A generative model with a matcher plugged in is DiM; of its settings none of the first stage's is another."""
    plain, plugged = (methods[name].resolve("cifar10", 10)[0] for name in ("gan", "dim"))
    assert plugged.first == plain
    made = methods["gan"].using(matcher=Logits(), matched_epochs=80, teacher=ModelsPool(), name="mine")
    assert made.resolve("cifar10", 10)[0].first == plain


JUDGED_BY = {
    **dict.fromkeys(("random", "herding", "k-center", "forgetting", "dc", "dc+dream"), "dc"),
    **dict.fromkeys(("dsa", "dm", "dsa+dream", "dm+dream"), "dsa"),
    **dict.fromkeys(IDC_METHODS, "idc"),
    **dict.fromkeys(("gan", "dim", "dim-feature", "dim-gradient", *ARMS), "dim"),
    "dim-code": "dim-code",
}


@pytest.mark.parametrize("method", JUDGED_BY)
def test_methods_are_judged_by_their_own_papers_protocol(method: str) -> None:
    assert methods[method].protocol == JUDGED_BY[method]


# epochs, batch, decay after these fractions, decay by, augmentation, family, CutMix
EVALUATION: dict[tuple[str, str], tuple[Any, ...]] = {
    ("dc", "digits"): (1000, 256, (0.5,), 0.1, "crop_scale_rotate", "per image", 0.0),
    ("dc", "mnist"): (1000, 256, (0.5,), 0.1, "crop_scale_rotate", "per image", 0.0),
    **{("dc", name): (300, 256, (0.5,), 0.1, "none", "dsa", 0.0) for name in DATASETS[2:]},
    **{("dsa", name): (1000, 256, (0.5,), 0.1, DSA[name in DIGITS], "dsa", 0.0) for name in DATASETS},
    ("idc", "digits"): (1000, 64, (2 / 3, 5 / 6), 0.2, "color_crop_scale_rotate", "idc", 0.0),
    ("idc", "mnist"): (1000, 64, (2 / 3, 5 / 6), 0.2, "color_crop_scale_rotate", "idc", 0.0),
    ("idc", "svhn"): (1000, 64, (2 / 3, 5 / 6), 0.2, "color_crop_scale_rotate", "idc", 0.5),
    **{
        ("idc", name): (1000, 64, (2 / 3, 5 / 6), 0.2, "color_crop_flip_scale_rotate", "idc", 0.5)
        for name in ("fashionmnist", "cifar10", "cifar100")
    },
    **{("dim", name): (1000, 64, (2 / 3, 5 / 6), 0.2, DSA[name in DIGITS], "dsa", 0.0) for name in DATASETS},
    **{("dim-code", name): (1000, 64, (), 0.1, "color_crop", "idc", 0.0) for name in DATASETS},
}
# Fresh images in every epoch; the released code fills whole batches.
GENERATED = {"dim": Generated(), "dim-code": Generated(whole_batches=True)}


@pytest.mark.parametrize("ipc", BUDGETS)
@pytest.mark.parametrize(("name", "dataset"), EVALUATION)
def test_evaluation_protocols(name: str, dataset: str, ipc: int) -> None:
    found, sources = protocol(name, {"dataset": dataset, "ipc": ipc, "method": "dm", "factor": 2})
    how = found.learner
    epochs, batch, decay_at, decay_by, strategy, family, cutmix = EVALUATION[name, dataset]
    assert (how.epochs, how.batch, how.decay_at, how.decay_by) == (epochs, batch, decay_at, decay_by)
    augment = PerImage(strategy) if family == "per image" else Siamese(strategy, family=family)
    assert (how.augment, how.cutmix) == (augment, cutmix)
    assert (how.lr, how.momentum, how.weight_decay) == (0.01, 0.9, 5e-4)
    assert found.network == NetworkSpec("convnet", depth=3, width=128, norm="instance")
    assert found.networks == (20 if name == "dc" else 5)
    assert found.protocol == name
    assert found.generated == GENERATED.get(name)
    assert all(sources.values())


@pytest.mark.parametrize(("name", "dataset", "epochs"), [("dc", "cifar10", 300), ("dsa", "cifar10", 1000)])
def test_the_dc_family_trains_one_epoch_more_and_falls_after_the_middle(
    name: str, dataset: str, epochs: int
) -> None:
    """Released code: E + 1 epochs; a tenth of the rate after the epoch with index E // 2 + 1, with a new optimiser."""
    how = protocol(name, methods["dm"].facts(dataset, 10))[0].learner
    rates = [how.rate(epoch) for epoch in range(how.passes)]
    assert len(rates) == epochs + 1
    assert rates[: epochs // 2 + 2] == [0.01] * (epochs // 2 + 2)
    assert rates[epochs // 2 + 2 :] == pytest.approx([0.001] * (epochs // 2 - 1))
    assert how.restarts


def test_the_idc_family_lowers_its_rate_after_two_thirds_and_five_sixths() -> None:
    """Released code: milestones 2 * 1000 // 3 and 5 * 1000 // 6, so 666 epochs at the full rate and 167 at a fifth."""
    how = protocol("idc", methods["dream"].facts("cifar10", 10))[0].learner
    rates = [how.rate(epoch) for epoch in range(how.passes)]
    assert [round(rate / 0.01, 3) for rate in rates] == [1] * 666 + [0.2] * 167 + [0.04] * 167
    assert not how.restarts


# DREAM as a plug


@pytest.mark.parametrize("ipc", BUDGETS)
@pytest.mark.parametrize("dataset", DATASETS)
@pytest.mark.parametrize("base", ["dc", "dsa", "dm", "idc", "idc-dm"])
def test_dream_is_the_sampler_and_nothing_else(base: str, dataset: str, ipc: int) -> None:
    plugged = methods[base].using(sampler=Representative())
    assert (plugged.name, plugged.base) == (f"{base}+dream", base)
    assert plugged.label == methods[base].label + "+DREAM"
    before, _ = methods[base].resolve(dataset, ipc)
    after, sources = plugged.resolve(dataset, ipc)
    assert after != before
    assert after == change(before, "sampler", Representative())
    assert sources["sampler"] == f"chosen in {base}+dream"
    assert plugged.protocol == methods[base].protocol
    assert plugged.reported_as == ""


def test_the_callers_word_is_the_last() -> None:
    """DC's own rules set the loops at IPC 1; a caller who set them is not overruled."""
    mine = methods["dc"].using(teacher__steps=7, augment__strategy="crop")
    for ipc in BUDGETS:
        recipe, _ = mine.resolve("mnist", ipc)
        assert recipe.teacher.steps == 7
        assert recipe.matching.augment.strategy == "crop"
        assert recipe.teacher.epochs == LOOPS[ipc][1]


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


def test_every_setting_has_a_source() -> None:
    for method in methods.values():
        for dataset in DATASETS:
            for ipc in BUDGETS:
                _, sources = method.resolve(dataset, ipc)
                assert sources.get("all")
                assert all(sources.values())


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
                # A kernel has no width, LeNet one.
                if (full.drawn or full.criterion.taught) and small.network.name != "lenet":
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
            assert small.steps <= 500
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


def test_a_profile_bounds_a_pool_only_where_there_is_none() -> None:
    scale = profiles["cpu"].recipe_rules
    free, bound = (methods["dm"].using(sampler=Representative(pool=pool), name="x") for pool in (None, 64))
    assert getattr(free.resolve("mnist", 1, scale)[0].matching.sampler, "pool", 0) == 256
    recipe, sources = bound.resolve("mnist", 1, scale)
    assert getattr(recipe.matching.sampler, "pool", 0) == 64
    assert "sampler.pool" not in sources
