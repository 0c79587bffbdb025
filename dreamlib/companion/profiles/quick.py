"""Profile quick: the digits of scikit-learn, minutes on two cores."""

from __future__ import annotations

from ...compute.engine import MODES
from ...containers import SGD, Adam, Falling
from ...networks import NetworkSpec
from ...recipes.generators import models, released
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
    "C3": NetworkSpec(depth=2, width=32),
    "R10": released("resnet10", 8),
    "R18": released("resnet18", 8),
}
# In the place of LeNet, which leaves nothing of 8 pixels.
SMALL = NetworkSpec(depth=2, width=16)
UNROLLED = NetworkSpec(depth=2, width=16, form="xavier")
DIGITS = ("digits",)
ABLATIONS = ("table4", "table5", "table6", "table10", "figure3a", "figure3b", "figure5", "figure6", "figure7")

quick = Profile(
    name="quick",
    summary=(
        "the 1,797 handwritten digits of scikit-learn (8x8), ConvNet-2 of width 32, some sixty matching steps, "
        "64 real images per class and step, judged by two networks in 60 epochs; generators of width 16 in 20 epochs "
        "of 600 images, judged in 30, matched under networks that learn two batches before a step (published: 16); "
        "LD and DD under ConvNet-2 of width 16, in 500 and 300 steps (published: some 20,000) at ten times the "
        "learning rate; minutes on two cores"
    ),
    datasets=("digits",),
    ipcs=(1, 10),
    # What more sets would decide, other profiles do; SEEDS=3 asks for them here.
    seeds=1,
    recipe_rules=(
        rule(
            "profile quick",
            {"network.depth": 2, "network.width": 32, "real_batch": 64},
            criterion="Matching",
        ),
        rule("profile quick", {"initial.epochs": 10, "embedding.batch": 64}, method=TRAINED_CORESETS),
        rule("profile quick", {"iterations": 10, "teacher.epochs": 5}, method=GRADIENT_PIXELS),
        rule("profile quick", {"iterations": 100}, method=GRADIENT_PIXELS, ipc=1),
        # DC starts from noise and loses six points with fewer steps; DSA starts from real images and loses none.
        rule("profile quick", {"iterations": 6}, method="dsa"),
        rule("profile quick", {"iterations": 60}, method="dsa", ipc=1),
        rule("profile quick", {"iterations": 100, "image_lr": 1.0}, method="dm"),
        rule(
            "profile quick; image_lr: ours, on held-out training images at 1 and 10 images per class",
            {"iterations": 50, "image_lr": 0.5},
            method=PIXEL_MMD,
        ),
        rule(
            "profile quick; image_lr: ours, on held-out training images at 1 and 10 images per class",
            {"image_lr": 0.1},
            method=PIXEL_MMD,
            ipc=1,
        ),
        rule(
            "profile quick; factor 1 since a 4x4 tile of an 8x8 digit carries too little; augmentation and CutMix, in "
            "the test too, as with factor 2",
            {
                "iterations": 3,
                "teacher.steps": 20,
                "teacher.images": 128,
                "container.factor": 1,
                "augment.strategy": "color_crop",
                "teacher.cutmix": 0.0,
                "image_lr": 0.01,
            },
            method=IDC_FAMILY,
        ),
        rule(
            "profile quick",
            {
                "per_class": 60,
                "container.width": 16,
                "criterion.epochs": 20,
                "container.lr": 2e-3,
                "criterion.also_kept": (2, 5, 8, 10, 12, 13, 15, 17, 19),
            },
            method="gan",
        ),
        rule(
            "profile quick",
            {
                "criterion.matched_from": 12,
                "criterion.matched_epochs": 8,
                "teacher.models": models(known=JUDGES),
                "teacher.images": 128,
            },
            method="dim",
        ),
        rule("profile quick", CODE_IN_SHORT, method="dim-code"),
        rule(
            "profile quick",
            {"per_class": 60, "container.width": 16, "criterion.epochs": 20, "container.lr": 2e-3},
            method="generative",
        ),
        rule("profile quick", {"criterion.batch": 200, "criterion.epochs": 60}, method="gmmn"),
        rule(
            "profile quick; rates: ours",
            {
                "network.depth": 2,
                "network.width": 32,
                "teacher.experts.count": 5,
                "teacher.experts.training.epochs": 5,
                "teacher.experts.training.batch": 64,
                "teacher.experts.training.lr": 0.05,
                "teacher.latest": 4,
                "teacher.ahead": 1,
                "student_steps": 6,
                "synthetic_batch": 50,
                "iterations": 80,
                "image_lr": 10.0,
                "container.rate": 0.05,
                "container.rate_by": SGD(1e-4, 0.5),
            },
            criterion="Trajectory",
        ),
        rule(
            "profile quick; rates: ours",
            {
                "network": SMALL,
                "iterations": 500,
                "real_batch": 128,
                "held_out": 300,
                "every": 100,
                "step_lr": 0.1,
                "container.labels_by": Adam(0.01),
            },
            method="ld",
        ),
        rule(
            "profile quick; rates: ours",
            {
                "network": UNROLLED,
                "iterations": 300,
                "real_batch": 128,
                "container.rate": 0.2,
                "container.images_by": Falling(lr=0.1, every=100),
                "container.rates_by": Falling(lr=0.1, every=100),
            },
            method="dd",
        ),
        rule("profile quick", {"iterations": 100, "real_batch": 64}, method="kip"),
        rule(
            "profile quick; rates: ours",
            {
                "iterations": 200,
                "real_batch": 64,
                "network.depth": 2,
                "network.width": 16,
                "container.images_by.lr": 0.01,
                "container.labels_by.lr": 0.01,
                "teacher.oldest": 50,
                "teacher.lr": 1e-3,
            },
            method="frepo",
        ),
    ),
    evaluation_rules=(
        rule(
            "profile quick",
            {"networks": 2, "network.depth": 2, "network.width": 32, "learner.epochs": 60},
            learner="SGD",
        ),
        rule("profile quick", {"networks": 5, "network": SMALL}, protocol=("ld", "ld-ridge")),
        rule("profile quick", {"networks": 50, "network": UNROLLED}, protocol="dd"),
        rule(
            "profile quick",
            {
                "networks": 3,
                "network.depth": 2,
                "network.width": 16,
                "learner.updates": 200,
                "learner.lr": 1e-3,
            },
            learner="Fit",
        ),
        # A generator is judged by every network of a table, some hundred times in all.
        rule("profile quick", {"learner.epochs": 30}, protocol=("dim", "dim-code")),
    ),
    search=Search(
        space=SearchSpace(width=(8, 16), depth=(1, 2)),
        count=6,
        top=0.5,
        networks=2,
        epochs=20,
        whole_epochs=4,
        batch=50,
    ),
    on_request=("dd", "ld", "mtt", "frepo+dream"),
    items={
        **{f"dim/{name}": Item(DIGITS, (10,)) for name in ABLATIONS},
        **{f"dim/table{number}": Item(DIGITS, (1, 10)) for number in (1, 2, 3, 8)},
        **{f"dim/{name}": Item(DIGITS) for name in ("table7", "table9", "figure4")},
        "dim/figure1c": Item(DIGITS, (1, 10)),
        "dim/figure1d": Item(DIGITS, (1, 10)),
        "dim/figure3c": Item(DIGITS, (1, 10, 20)),
        "dm/tableT1": Item(ipcs=(1, 10)),
        # A course is judged seven times.
        "dream/figure1": Item(methods=("dc", "dc+dream", "dsa", "dsa+dream", "idc-dm", "idc-dm+dream")),
        "engine/speed": Item(seeds=1),
        # Networks are trained on every memory again, some hundred of them. Batches smaller than the published 256 make
        # up for fewer epochs, at half the price.
        "dm/continual": Item(
            recipe_rules=(
                rule("profile quick, continual learning", {"iterations": 75}, method="dm"),
                rule("profile quick, continual learning", {"iterations": 1}, method="dsa"),
            ),
            evaluation_rules=(
                rule(
                    "profile quick, continual learning",
                    {"networks": 2, "learner.epochs": 10, "learner.batch": 32},
                ),
            ),
        ),
        "dm/figureF1": Item(ipcs=(10,)),
        "dim/control": Item(DIGITS, (10,), seeds=1),
        "engine/rates": Item(ipcs=(10,)),
        # Forty-four evaluations.
        "dm/batchnorm": Item(evaluation_rules=(rule("profile quick, in this item", {"learner.epochs": 30}),)),
    },
    choices={
        "judges": JUDGES,
        # Instance norm leaves nothing to tell of 8 pixels, and VGG-11 needs images of 28.
        "unseen": {
            "R18": NetworkSpec("resnet18", width=8, norm="group"),
            "AlexNet": NetworkSpec("alexnet", width=8),
        },
        "timed": {
            "R34": released("resnet34", 8),
            "R50": released("resnet50", 8),
            "D121": NetworkSpec("densenet121", width=8),
        },
        "larger": tuple(JUDGES),
        "starts": (80, 120),
        "noises": (32, 100),
        "weights": (1e-2, 1.0),
        "batches": (32, 64),
        "mixes": ("C3", "C3+R10", "C3+R10+R18"),
        "widths": (8, 64),
        "bands": {"digits": tuple((low, low + 10.0) for low in (10.0, 30.0, 50.0, 70.0))},
        "pool": {"networks": 5, "held_out": 30, "epochs": 3},
        "resnets": ("resnet10", 16),
        "fewer iterations": 6,
        "rates": {"dm": Tried((0.2, 1.0), share=0.3)},
        # Compiling takes longer than all the rest.
        "modes": {"dm": Modes(MODES), "": Modes(())},
    },
)
