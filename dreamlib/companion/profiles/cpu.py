"""Profile cpu: real data on two cores."""

from __future__ import annotations

from dataclasses import replace

from ...containers import Adam, Falling
from ...networks import NetworkSpec
from ...recipes.generators import models, released
from ...recipes.method import GREY_SETS
from ...recipes.rules import rule
from ...recipes.search import Search, SearchSpace
from .base import (
    CODE_IN_SHORT,
    GRADIENT_PIXELS,
    IDC_FAMILY,
    PIXEL_MMD,
    TRAINED_CORESETS,
    Item,
    Modes,
    Profile,
    Tried,
)

# In the place of ConvNet-3, ResNet-10 and ResNet-18 of DiM's tables.
JUDGES = {
    "C3": NetworkSpec(width=32),
    "R10": released("resnet10", 16),
    "R18": released("resnet18", 16),
}
LENET = NetworkSpec("lenet")  # also in the place of AlexCifarNet
MNIST = ("mnist",)  # DiM's ablations are on CIFAR-10; two cores get a GAN of MNIST trained
ABLATIONS = ("table5", "table10", "figure3a", "figure3b", "figure5", "figure7")
# Image learning rates on sets in colour and in grey; those of IDC's family at 10 images per class, from which its own
# rule scales them. The search that chose them: rates five times apart, in runs that are shorter than the profile's.
SEARCHED = "profile cpu; ours: the best on held-out images of CIFAR-10, or within a point of it (notebook engine/rates)"
GUESSED = "profile cpu; ours: a guess, on grey images the search (notebook engine/rates) is made for DM alone"
FOUND = (
    "profile cpu; ours: on MNIST at 10 images per class within a point of the best on held-out images (notebook "
    "engine/rates), a guess at other budgets and on other grey images"
)
COLOUR_SETS = ("cifar10", "cifar100", "svhn")
RATES = {
    "dc": (2.5, 0.5),
    "dsa": (2.5, 0.5),
    "dm": (25.0, 5.0),
    "idc": (0.02, 0.01),
    "idc-dm": (0.1, 0.01),
}
TRIED = {
    "dc": Tried((1, 5, 25), share=0.2),
    "dsa": Tried((1, 5, 25), share=0.2),
    "dm": Tried((1, 5, 25), share=0.3),
    "idc": Tried((4, 20, 100), share=0.2),
    "idc-dm": Tried((4, 20, 100), share=0.2),
}
# On two cores a GAN of MNIST takes its time, and a CPU does not compile its steps.
TWO_GENERATORS = Modes(("plain", "fast"), "mnist", 2)

cpu = Profile(
    name="cpu",
    summary=(
        "real MNIST, FashionMNIST and CIFAR-10 with all their training and test images; ConvNet-3 of width 32 "
        "(published: 128); the published real batches of DC, DSA and DM, and DREAM's 128 for all of IDC's family (64 "
        "in IDC), so that its rows differ in their choice of images alone; 2,000 steps of DM and of IDC's family "
        "(20,000 and 200,000), 500 of DC and DSA (1,000 at one image per class, 10,000 at ten), with image learning "
        "rates raised to match, after a search on held-out training images of CIFAR-10 (notebook engine/rates; on "
        "grey images it is made for DM on MNIST at 10 images per class alone, and the other rates are guesses); fast "
        "mode; DiM and its GAN on 1,000 images of each class, of width 24 (196), in 20 epochs (200) at ten times the "
        "learning rate, matched under networks that learn two batches before a step (16); other generators of width "
        "16 in 10 to 30 epochs; LD and DD under LeNet, in 4,000 and 2,000 steps (some 20,000); ten experts of 4 "
        "epochs for MTT (100 of 50), of width 16, and 300 steps (5,000); stored images are judged after 1,000 steps "
        "of training whatever their number, generators after 100 epochs, 300 at one image per class; three synthetic "
        "sets of each method, five where a page says so, each judged by three networks under the common protocol"
    ),
    datasets=("cifar10", "mnist", "fashionmnist"),
    ipcs=(10, 1),
    seeds=3,
    recipe_rules=(
        rule("profile cpu", {"mode": "fast"}),
        rule("profile cpu", {"network.width": 32}, criterion="Matching"),
        rule("profile cpu", {"per_class": 1000}, criterion="Generative"),
        rule("profile cpu", {"initial.epochs": 10}, method=TRAINED_CORESETS),
        rule("profile cpu", {"iterations": 50}, method=GRADIENT_PIXELS),
        rule("profile cpu", {"iterations": 500}, method=GRADIENT_PIXELS, ipc=1),
        rule("profile cpu", {"iterations": 2000}, method="dm"),
        rule("profile cpu", {"iterations": 20, "real_batch": 128, "teacher.batch": 128}, method=IDC_FAMILY),
        *(
            rule(source, {"image_lr": lr}, method=method, dataset=sets)
            for method, rates in RATES.items()
            for source, sets, lr in zip(
                (SEARCHED, FOUND if method == "dm" else GUESSED), (COLOUR_SETS, GREY_SETS), rates, strict=True
            )
        ),
        # After those of DM, on which they build.
        rule(
            "profile cpu; image_lr: ours, on held-out training images in 300 steps of an earlier cpu",
            {"image_lr": 0.5},
            method=PIXEL_MMD,
        ),
        rule(
            "profile cpu; image_lr: ours, on held-out training images in 300 steps of an earlier cpu",
            {"image_lr": 0.1},
            method=PIXEL_MMD,
            ipc=1,
        ),
        rule(
            "profile cpu",
            {
                "container.width": 24,
                "criterion.epochs": 20,
                "container.lr": 1e-3,
                "criterion.also_kept": (2, 5, 8, 10, 12, 13, 15, 17, 19),
            },
            method="gan",
        ),
        rule(
            "profile cpu",
            {
                "criterion.matched_from": 12,
                "criterion.matched_epochs": 8,
                "teacher.models": models(known=JUDGES),
                "teacher.images": 128,
            },
            method="dim",
        ),
        rule("profile cpu", CODE_IN_SHORT, method="dim-code"),
        rule(
            "profile cpu",
            {"container.width": 16, "criterion.epochs": 20, "container.lr": 1e-3},
            method="generative",
        ),
        rule("profile cpu", {"criterion.batch": 500, "criterion.epochs": 30}, method="gmmn"),
        rule("profile cpu", {"criterion.epochs": 10}, method="biggan"),
        rule(
            "profile cpu; students go on from experts' first two epochs, as published at one image per class",
            {
                "network.width": 16,
                "teacher.experts.count": 10,
                "teacher.experts.training.epochs": 4,
                "teacher.latest": 2,
                "iterations": 300,
                "container.rate": 0.01,
            },
            criterion="Trajectory",
        ),
        rule("profile cpu", {"synthetic_batch": 50}, criterion="Trajectory", ipc=(10, 50)),
        rule(
            "profile cpu; rate of the labels: ours",
            {
                "network": LENET,
                "iterations": 4000,
                "real_batch": 256,
                "held_out": 1000,
                "every": 400,
                "container.labels_by": Adam(2e-3),
            },
            method="ld",
        ),
        rule(
            "profile cpu; rates: ours",
            {
                "network": replace(LENET, form="xavier"),
                "iterations": 2000,
                "real_batch": 256,
                "container.images_by": Falling(every=700),
                "container.rates_by": Falling(every=700),
            },
            method="dd",
        ),
        rule("profile cpu", {"iterations": 200, "real_batch": 100}, method="kip"),
        rule(
            "profile cpu; rates: ours",
            {
                "iterations": 4000,
                "real_batch": 25,
                "network.width": 16,
                "container.images_by.lr": 3e-3,
                "container.labels_by.lr": 3e-3,
                "teacher.oldest": 50,
                "teacher.lr": 1e-3,
            },
            method="frepo",
        ),
    ),
    evaluation_rules=(
        rule("profile cpu", {"mode": "fast"}),
        rule("profile cpu", {"networks": 3, "network.width": 32}, learner="SGD"),
        rule("profile cpu", {"networks": 5, "network": LENET}, protocol=("ld", "ld-ridge")),
        rule("profile cpu", {"networks": 50, "network": replace(LENET, form="xavier")}, protocol="dd"),
        rule(
            "profile cpu",
            {"networks": 3, "network.width": 16, "learner.updates": 1000, "learner.lr": 1e-3},
            learner="Fit",
        ),
        # Networks learn for equally long from one image per class and from fifty, so that budgets can be compared.
        rule("profile cpu", {"steps": 1000}, protocol=("dc", "dsa", "dsa-squares", "mtt", "idc")),
        # INPC counts the images of an epoch: for a generator it is the length of the training.
        rule("profile cpu", {"learner.epochs": 100}, protocol=("dim", "dim-code")),
        rule("profile cpu", {"learner.epochs": 300}, protocol=("dim", "dim-code"), ipc=1),
    ),
    search=Search(
        # Four channels in four groups are instance norm: at width 4 two norms of the space are one.
        space=SearchSpace(width=(4, 8, 16)),
        count=24,
        top=0.5,
        networks=3,
        epochs=20,
        whole_epochs=5,
        batch=100,
        recipe_rules=(
            rule(
                "profile cpu; outer loops as at 10 images per class",
                {"teacher.steps": 10, "iterations": 15},
                method="dsa",
            ),
            rule("profile cpu, architecture search", {"iterations": 300}, method="dm"),
        ),
    ),
    items={
        # Five sets of what a claim compares, else three; one where arms lie nearer than a generator's own spread
        # (DiM's ablations, which say what it would take) and where a claim is no difference of accuracies.
        **{f"dim/{name}": Item(MNIST, (10,)) for name in ABLATIONS},
        "dim/table4": Item(("mnist", "cifar10"), (10,), seeds=5),
        "dim/table6": Item(("mnist", "cifar10"), (10,)),
        "dim/table1": Item(MNIST, (10, 1), seeds=5),
        "dim/table3": Item(MNIST, (10, 1)),
        "dim/table2": Item(("mnist", "cifar10"), (10, 1)),
        "dim/table7": Item(MNIST, seeds=5),
        **{f"dim/{name}": Item(MNIST) for name in ("table9", "figure4")},
        "dim/control": Item(
            MNIST,
            recipe_rules=(
                rule("as published: 16 batches of 64 before every step", {"teacher.images": 1024}),
            ),
        ),
        "dim/table8": Item(MNIST, (1, 10, 50), seeds=5),  # one generator answers for all budgets
        "dim/figure1c": Item(MNIST, (1, 10), seeds=5),
        "dim/figure1d": Item(MNIST, (1, 10)),
        "dim/figure3c": Item(MNIST, (1, 10, 50), seeds=5),
        "dim/figure6": Item(MNIST, (10,), seeds=5),
        "dm/tableT1": Item(ipcs=(1, 10, 50), seeds=5),
        "dm/continual": Item(
            seeds=5,
            recipe_rules=(
                rule("profile cpu, continual learning", {"iterations": 8}, method="dsa"),
                rule("profile cpu, continual learning", {"iterations": 300}, method="dm"),
            ),
            evaluation_rules=(
                rule(
                    "profile cpu, continual learning; chosen with random memories, on a fifth of the test images",
                    {"learner.epochs": 40, "learner.batch": 32, "steps": 0},
                ),
            ),
        ),
        "dm/figureF1": Item(ipcs=(50,)),
        "dream/figure1": Item(("cifar10",), seeds=5),
        "engine/rates": Item(("cifar10", "mnist"), seeds=1),
    },
    choices={
        "judges": JUDGES,
        "unseen": {
            "R18": NetworkSpec("resnet18", width=16, norm="instance"),
            "VGG11": NetworkSpec("vgg11", width=16),
            "AlexNet": NetworkSpec("alexnet", width=16),
        },
        "timed": {
            "R34": released("resnet34", 16),
            "R50": released("resnet50", 16),
            "D121": NetworkSpec("densenet121", width=16),
        },
        "larger": tuple(JUDGES),
        # The published value is among them, and a smaller and a larger one.
        "starts": (50, 100, 120, 150),
        "noises": (32, 100, 200),
        "weights": (1e-3, 1e-2, 1.0),
        "batches": (16, 64, 384),
        "widths": (16, 128),
        "bands": {"cifar10": tuple((low, low + 10.0) for low in (10.0, 20.0, 30.0, 40.0))},
        "pool": {"networks": 5, "held_out": 30, "epochs": 3},
        "resnets": ("resnet10", 0),
        "rates": TRIED,
        "modes": {"gan": TWO_GENERATORS, "dim": TWO_GENERATORS},
    },
)
