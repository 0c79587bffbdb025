"""Methods that learn a set through a ridge regression, KIP, Label Solve and FRePo, with sources."""

from __future__ import annotations

from dataclasses import replace

from ..augment import Siamese
from ..containers import LAMB, Adam, Answers
from ..coresets import RealImages
from ..criteria.features import FeatureRegression
from ..criteria.regression import LabelSolve, Regression
from ..distillation.evaluate import Evaluation
from ..distillation.learners import Fit, Ridge
from ..distillation.recipe import Recipe
from ..networks import NetworkSpec
from ..samplers import Representative, WeightedRepresentative
from ..teachers import Aging, Untaught
from .method import DIGIT_SETS, GREY_SETS, Method
from .protocols import register
from .published import methods
from .rules import rule

register(
    "ridge",
    Evaluation("ridge", Ridge(), networks=1),
    source="KIP (Nguyen et al. 2021), released notebook: the kernel that distils predicts all test images",
)

_adam = Adam(lr=0.04)
_kip = methods.register(
    Method(
        "kip",
        "KIP (FC1)",
        Recipe(
            container=Answers(images_by=_adam, labels_by=_adam, begin="centred"),
            # 500 of each of ten classes: the notebook's balanced batch of 5,000.
            criterion=Regression(real_batch=500),
            teacher=Untaught(),
            initial=RealImages(),
            iterations=300,
        ),
        protocol="ridge",
        rules=(
            rule(
                "KIP, released notebook: mean and deviation of all pixels",
                {"constants": "pixel"},
                dataset="cifar10",
            ),
        ),
        sources=(
            (
                "all",
                "KIP, released notebook: FC1 NTK, batches of 5,000 balanced real images, Adam at 0.04, 1e-6 of the "
                "mean diagonal, 300 steps",
            ),
            ("container.labels_by", "KIP: labels are learned too, at the rate of the images"),
            (
                "whitening",
                "KIP, released notebook: images of a fully connected kernel are normalised; those of the paper's "
                "convolutional kernels are whitened too",
            ),
        ),
        # The tables' KIP has a convolutional kernel. It is another method, whose numbers say nothing about this one.
        common="dsa-squares",
        control="kip-real",
    )
)

_OPERATIONS = "color_crop_cutout_flip_scale_rotate"
# Batch norm while the set is learned, none when it is judged (FRePo, released code).
_WIDENING = NetworkSpec("frepo", norm="batch")
register(
    "frepo",
    Evaluation(
        "frepo",
        Fit(augment=Siamese(_OPERATIONS, brightness=0.5, cutout=0.25, scale=1.25)),
        replace(_WIDENING, norm="none"),
    ),
    (
        rule(
            "released code of the DC family: no flip on digits",
            {"learner.augment.strategy": _OPERATIONS.replace("_flip", "")},
            dataset=DIGIT_SETS,
        ),
        # Its final script: so many updates for so many images in all.
        rule("FRePo, released code: 100 images", {"learner.updates": 2000}, ipc=10),
        rule("FRePo, released code: 200 images", {"learner.updates": 20000}, ipc=20),
        rule("FRePo, released code: 500 images", {"learner.updates": 5000}, ipc=50),
        rule("FRePo, released code: 100 images", {"learner.updates": 2000}, dataset="cifar100", ipc=1),
        rule("FRePo, released code: 1,000 images", {"learner.updates": 10000}, dataset="cifar100", ipc=10),
        rule("FRePo, released code: 5,000 images", {"learner.updates": 40000}, dataset="cifar100", ipc=50),
    ),
    "FRePo, released code: no norm, squared error on the labels as they are, Adam at 3e-4, warm-up of 500 steps, "
    "cosine to 1 %, a running mean of the weights, the last of 5 networks",
)
_lamb = LAMB(lr=3e-4)
_frepo = methods.register(
    Method(
        "frepo",
        "FRePo",
        Recipe(
            container=Answers(images_by=_lamb, labels_by=_lamb, begin="centred"),
            # 102 of each of ten classes, for the code's 1,024.
            criterion=FeatureRegression(real_batch=102, mirrored=True),
            teacher=Aging(),
            initial=RealImages(),
            network=_WIDENING,
            iterations=500_000,
            whitening="frepo",
        ),
        protocol="frepo",
        rules=(
            rule("FRePo, released code: grey images are not whitened", {"whitening": ""}, dataset=GREY_SETS),
            rule("FRePo, released code: no flips", {"mirrored": False}, dataset=GREY_SETS),
            rule("ours: no flips of digits; FRePo's paper has no SVHN", {"mirrored": False}, dataset="svhn"),
            rule("FRePo, released code: no flips", {"mirrored": False}, dataset="cifar100", ipc=(10, 50)),
            # The root of 10 / C, with C = 100.
            rule("FRePo, released code", {"container.scale": 0.1**0.5, "real_batch": 10}, dataset="cifar100"),
        ),
        sources=(
            (
                "all",
                "FRePo (Zhou et al. 2022), released code: ten networks of up to 100 steps, LAMB at 3e-4, 1,024 real "
                "images a step, 1e-6 of the mean diagonal",
            ),
        ),
        reported_as="FRePo",
        common="dsa-squares",
        control="frepo-real",
        differs=(
            "weights start from PyTorch's distributions, and not from flax's: smaller ones, with biases",
            "real images are balanced over classes, 1,020 of 1,024 with ten of them",
            "its evaluation changes colours as DSA does, draws one operation for all images of a batch, and takes the "
            "last set, not the best of those tested every 10,000 steps",
        ),
    )
)
for base in (_kip, _frepo):
    methods.register(base.using(sampler=Representative()))
    methods.register(
        base.using(
            name=f"{base.name}+dream-weighted",
            label=f"{base.label}+DREAM, weighted",
            sampler=WeightedRepresentative(),
        )
    )

# What learned images and labels are compared with: real ones and their classes, judged alike.
methods.register(_kip.using(iterations=0, name="kip-real", label="Real images under KIP's kernel"))
methods.register(_frepo.using(iterations=0, name="frepo-real", label="Real images under FRePo's judge"))
methods.register(
    Method(
        "label-solve",
        "Label Solve (FC1)",
        Recipe(
            container=Answers(begin="centred"),
            criterion=LabelSolve(),
            teacher=Untaught(),
            initial=RealImages(),
            iterations=1,
        ),
        protocol="ridge",
        rules=_kip.rules,
        sources=(
            (
                "all",
                "Label Solve (Nguyen et al. 2021): real images stay, labels are solved for on all of them",
            ),
        ),
        common="dsa-squares",
        control="kip-real",
    )
)
