"""Methods that learn more than images: labels for images that stay (LD), and a rate for every step of training (DD).

The facts are those of the papers and of their authors' released code, as in :mod:`.published`.
"""

from __future__ import annotations

from dataclasses import replace

from ..containers import Adam, Answers, Falling, Steps
from ..coresets import Noise, RealImages, RepresentativeImages
from ..criteria import Labelling, RidgeHead, Unrolling
from ..distillation.evaluate import Evaluation
from ..distillation.recipe import Recipe
from ..networks import NetworkSpec
from ..networks.learners import Adam as AdamLearner
from ..networks.learners import Replay
from ..teachers import Networks, Restarting
from . import protocols
from .method import Method, methods
from .published import CLUSTERED
from .rules import Rule, rule

# LD: Bohdal, Yang and Hospedales, "Flexible dataset distillation: learn labels instead of images" (2020).
MNIST_LIKE = ("mnist", "fashionmnist")
# Both papers use LeNet on grey images and AlexCifarNet on CIFAR.
_LENET = rule(
    "DD and LD, released code: LeNet for grey images", {"network": NetworkSpec("lenet")}, dataset=MNIST_LIKE
)


# The standard deviation over all pixels, which is a fifth larger than what the other methods' code divides by.
_PIXELS = {"constants": "pixel"}


def _batches(field: str) -> tuple[Rule, ...]:
    """Base images of a step, by budget."""
    return (
        rule("LD, released configurations", {field: 10}, ipc=(1, 2)),
        rule("LD, released configurations", {field: 25}, ipc=5),
        rule("ours: half of the images, as at 10; no configuration is released", {field: 250}, ipc=50),
        rule("LD, released configurations", {field: 100}, ipc=1, dataset="cifar100"),
        rule(
            "ours: as at 1; no configuration is released",
            {field: 100},
            ipc=(2, 5, 10, 50),
            dataset="cifar100",
        ),
    )


for name, learner in (("ld", AdamLearner(50)), ("ld-ridge", RidgeHead(50))):
    protocols.register(
        name,
        Evaluation(name, learner, NetworkSpec("alexcifarnet"), networks=20),
        (_LENET, *_batches("learner.batch")),
        "LD section 4 and released code: Adam for as many steps as the set says, 20 networks",
    )

_ld = methods.register(
    Method(
        "ld",
        "LD",
        Recipe(
            container=Answers(labels_by=Adam(1e-3), begin="uniform", simplex=True, timed=True),
            # Labels are chosen every five passes: 5 x 44 steps.
            criterion=Labelling(
                "second order", step_lr=0.01, batch=50, real_batch=1024, held_out=5000, every=220
            ),
            teacher=Restarting(lr=1e-3, window=50),
            initial=RealImages(),
            network=NetworkSpec("alexcifarnet"),
            # 44 batches of 1,024 in the 45,000 images that are not held out.
            iterations=400 * 44,
        ),
        protocol="ld",
        rules=(
            _LENET,
            rule("LD, released code: mean and deviation of all pixels", _PIXELS, dataset="cifar10"),
            *_batches("criterion.batch"),
            rule(
                "LD, released code: a window of 200 for more than 100 images",
                {"teacher.window": 200},
                ipc=range(11, 1001),
            ),
            rule(
                "LD, released code: 400 passes over the 50,000 images that are not held out",
                {"iterations": 400 * 49, "criterion.every": 245, "criterion.held_out": 10000},
                dataset=MNIST_LIKE,
            ),
            rule(
                "LD, released code: 800 passes; a window of 100",
                {"iterations": 800 * 44, "teacher.window": 100},
                dataset="cifar100",
            ),
        ),
        sources=(
            ("all", "LD sections 3 and 4 and released code"),
            ("iterations", "LD, released code: 400 passes over the 45,000 images that are not held out"),
        ),
        reported_as="LD",
        common="dsa",
        control="ld-hard",
        differs=(
            "a label of which the projection leaves nothing begins again uniform (the code divides by zero)",
            "base images are chosen from all training images, the held-out ones among them",
            "CIFAR-100 is normalised with its own constants (the code: with CIFAR-10's)",
        ),
    )
)
# The same images, labels and network; only the way from labels to loss differs, and with it how a set is judged.
_ridge = _ld.using(criterion__way="ridge", name="ld-ridge", label="LD, ridge")
methods.register(replace(_ridge, protocol="ld-ridge", control=""))
for base in ("ld", "ld-ridge"):
    plugged = methods[base].using(
        initial=RepresentativeImages(), name=f"{base}+dream", label=f"{methods[base].label}+DREAM"
    )
    methods.register(replace(plugged, differs=(*plugged.differs, CLUSTERED)))
# What labels are compared with: the classes of the same images, judged alike. Networks learn for as long as was best.
methods.register(
    _ld.using(
        container__labels_by=None,
        container__begin="one-hot",
        container__simplex=False,
        name="ld-hard",
        label="LD with the images' own classes",
    )
)

# DD: Wang, Zhu, Torralba and Efros, "Dataset distillation" (2018), for unknown random initial weights.
_GLOROT = NetworkSpec("alexcifarnet", form="xavier")
_LENET_GLOROT = rule(
    "DD, released code: LeNet for grey images",
    {"network": NetworkSpec("lenet", form="xavier")},
    dataset=MNIST_LIKE,
)
protocols.register(
    "dd",
    Evaluation("dd", Replay(), _GLOROT, networks=200),
    (_LENET_GLOROT,),
    "DD section 4.1: 200 networks, trained on the set's own steps at its own rates",
)
_dd = methods.register(
    Method(
        "dd",
        "DD",
        Recipe(
            container=Steps(epochs=3, rate=1e-3),
            criterion=Unrolling(real_batch=1024),
            teacher=Networks(steps=1, trained_on="nothing"),
            initial=Noise(),
            network=_GLOROT,
            # 49 batches of 1,024 in 50,000 images.
            iterations=400 * 49,
        ),
        protocol="dd",
        rules=(
            _LENET_GLOROT,
            rule(
                "DD, released code: mean and deviation of all pixels; real images are cropped and mirrored",
                {**_PIXELS, "criterion.crops": 4},
                dataset="cifar10",
            ),
            rule(
                "DD, released code: a rate of 0.02, and passes over 60,000 images",
                {
                    "container.rate": 0.02,
                    "iterations": 400 * 59,
                    "container.images_by": Falling(every=40 * 59),
                    "container.rates_by": Falling(every=40 * 59),
                },
                dataset=MNIST_LIKE,
            ),
        ),
        sources=(
            (
                "all",
                "DD sections 3 and 4 and released code; 1 and 50 images per class: the same, which is not published",
            ),
            ("container", "DD, released code: Adam at 0.01 that halves every 40 passes; rates by softplus"),
            ("iterations", "DD, released code: 400 passes over the real images"),
        ),
        reported_as="DD",
        common="dsa",
        control="dd-real",
        differs=(
            "the images left at the end of a pass over the data, too few for a batch, are not looked at",
        ),
    )
)
# What learned images are compared with: real ones, with rates that are learned in the same way.
methods.register(
    _dd.using(
        initial=RealImages(), container__images_by=None, name="dd-real", label="DD's rates for real images"
    )
)
