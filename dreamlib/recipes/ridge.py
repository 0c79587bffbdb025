"""Methods that learn a set through a ridge regression: KIP and Label Solve, with the sources of their settings."""

from __future__ import annotations

from ..containers import Adam, Answers
from ..coresets import RealImages
from ..criteria.regression import LabelSolve, Regression
from ..distillation.evaluate import Evaluation
from ..distillation.learners import Ridge
from ..distillation.recipe import Recipe
from ..samplers import Representative
from ..teachers import Untaught
from .method import Method, methods
from .protocols import register

KERNEL_METHODS = ("kip", "kip+dream", "kip+dream-weighted", "label-solve")

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
            criterion=Regression(real_batch=500),
            teacher=Untaught(),
            initial=RealImages(),
            iterations=300,
        ),
        protocol="ridge",
        sources=(
            (
                "all",
                "KIP, released notebook: FC1 NTK, batches of 5,000 balanced real images, Adam at 0.04, 1e-6 of the "
                "mean diagonal, 300 steps",
            ),
            ("container.labels_by", "KIP: labels are learned too, at the rate of the images"),
        ),
        differs=("images are normalised by channel, as in the notebook, and not whitened, as in the papers",),
    )
)
for weighted, tail in ((False, "dream"), (True, "dream-weighted")):
    methods.register(
        _kip.using(
            name=f"kip+{tail}",
            label="KIP (FC1)+DREAM" + (", weighted" if weighted else ""),
            sampler=Representative(),
            weighted=weighted,
        )
    )

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
        sources=(
            (
                "all",
                "Label Solve (Nguyen et al. 2021): real images stay, labels are solved for on all of them",
            ),
        ),
    )
)
