"""Methods that follow the trajectories of experts: MTT, TESLA's form of it, and MTT+DREAM.

The facts are those of the papers and of their authors' released code, as in :mod:`.published`. The settings are the
authors' table, of CIFAR-10 and CIFAR-100; for other data sets none were published.
"""

from __future__ import annotations

from dataclasses import replace

from ..augment import Siamese
from ..containers import SGD, Paced
from ..coresets import RealImages, RepresentativeImages
from ..criteria import Trajectory
from ..distillation.recipe import Recipe, change
from ..teachers import StoredExperts
from .method import GREY_SETS, Method, methods
from .protocols import protocol, register
from .published import CLUSTERED, DSA_ALL, no_flip
from .rules import rule

_dsa, _ = protocol("dsa", {})
register(
    "mtt",
    # MTT learns the rate together with the images, so they are judged at it.
    change(replace(_dsa, protocol="mtt"), "learner.own_rate", True),
    (no_flip("learner.augment.strategy"),),
    "MTT, released code: DSA's, at the rate that was learned with the images",
)

_TABLE = "MTT, released code: the authors' table of settings"

methods.register(
    Method(
        "mtt",
        "MTT",
        Recipe(
            container=Paced(rate=1e-3, rate_by=SGD(1e-5, 0.5)),
            criterion=Trajectory(student_steps=30, augment=Siamese(DSA_ALL)),
            teacher=StoredExperts(latest=20, ahead=2),
            initial=RealImages(),
            iterations=5000,
            image_lr=100.0,
            image_momentum=0.5,
            whitening="kornia",
        ),
        protocol="mtt",
        common="dsa",
        rules=(
            rule(
                _TABLE,
                {
                    "student_steps": 50,
                    "teacher.latest": 2,
                    "container.rate": 0.01,
                    "container.rate_by": SGD(1e-7, 0.5),
                },
                ipc=1,
            ),
            # In the authors' table whitening depends on data set and budget: CIFAR-10 at 50 images per class has none.
            rule(_TABLE, {"teacher.latest": 40, "image_lr": 1000.0, "whitening": ""}, ipc=50),
            rule(
                _TABLE,
                {
                    "student_steps": 20,
                    "teacher.latest": 20,
                    "image_lr": 1000.0,
                    "container.rate": 0.01,
                    "container.rate_by": SGD(1e-5, 0.5),
                },
                dataset="cifar100",
            ),
            rule(_TABLE, {"teacher.ahead": 3}, dataset="cifar100", ipc=1),
            rule(
                f"{_TABLE}; images that are not whitened have CIFAR-10's constants",
                {"whitening": "", "constants": "cifar10"},
                dataset="cifar100",
                ipc=10,
            ),
            rule(
                _TABLE,
                {"student_steps": 80, "synthetic_batch": 125, "teacher.latest": 40, "whitening": "kornia"},
                dataset="cifar100",
                ipc=50,
            ),
            rule(
                "ours: the settings of CIFAR-10 at the same budget, without whitening; none were published",
                {"whitening": ""},
                dataset=(*GREY_SETS, "svhn"),
            ),
            no_flip("augment.strategy"),
            no_flip("teacher.experts.training.augment.strategy"),
        ),
        sources=(
            ("all", "MTT section 3 and released code"),
            (
                "image_lr",
                "the authors' table; its README prints 100000 for 10 images per class, a typo (issue 31)",
            ),
            ("teacher.experts", "MTT, released code: with DSA, without momentum and weight decay"),
        ),
        reported_as="MTT",
        differs=(
            "the last set is judged, not the best on the test images of those along the way (the code's)",
        ),
    )
)
# TESLA: the same loss; its gradient leaves out that a step moves the gradients of those after it.
methods.register(methods["mtt"].using(exact=False, name="mtt-tesla", label="MTT, TESLA's gradient"))
# MTT starts from random real images; here, from those that stand for clusters.
_plugged = methods["mtt"].using(initial=RepresentativeImages(epochs=0), name="mtt+dream", label="MTT+DREAM")
methods.register(replace(_plugged, differs=(*_plugged.differs, CLUSTERED)))
