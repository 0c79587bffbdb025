"""Profiles: the same study at three sizes. A table never mixes them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from ..core.errors import PluginError, unknown
from ..recipes.generators import models
from ..recipes.method import GREY_SETS
from ..recipes.rules import Rule, rule
from ..recipes.search import Search, SearchSpace


@dataclass(frozen=True)
class Profile:
    """How a whole study is scaled.

    Attributes
    ----------
    name : str
        ``quick``, ``cpu`` or ``paper``.
    summary : str
        What is different from the papers, in words for the reader of a report.
    datasets, ipcs : tuple
        What a study covers unless asked otherwise.
    seeds : int
        Synthetic sets per cell of a table.
    recipe_rules, evaluation_rules : tuple of Rule
        Applied after a method's own rules.
    threads : int
        CPU threads of one worker. They decide the last bits of a sum, so the profile fixes them, not the machine.
    search : Search
        How architecture search is scaled; the published protocol by default.
    """

    name: str
    summary: str
    datasets: tuple[str, ...]
    ipcs: tuple[int, ...]
    seeds: int
    recipe_rules: tuple[Rule, ...] = ()
    evaluation_rules: tuple[Rule, ...] = ()
    threads: int = 1
    search: Search = field(default_factory=Search)


# A rule for a method holds for its variants too (Method.family).
GRADIENT_PIXELS = ("dc", "dsa")
TRAINED_CORESETS = ("herding", "k-center", "forgetting")
IDC_FAMILY = ("idc", "idc-dm")
PIXEL_MMD = ("mmd", "mmd-polynomial", "mmd-rbf", "mmd-laplacian")


# DiM's released code by a tenth: matching after all of the GAN's training.
CODE_IN_SHORT = {"criterion.epochs": 15, "criterion.matched_from": 15, "criterion.matched_epochs": 10}


_quick = Profile(
    name="quick",
    summary=(
        "the 1,797 handwritten digits of scikit-learn (8x8), ConvNet-2 of width 32, some hundred matching steps, "
        "64 real images per class and step, 100 evaluation epochs; generators of width 16 in 20 epochs, judged in 40, "
        "matched under networks that learn two batches before a step (published: 16); minutes on two cores"
    ),
    datasets=("digits",),
    ipcs=(1, 10),
    seeds=2,
    recipe_rules=(
        rule(
            "profile quick",
            {"network.depth": 2, "network.width": 32, "real_batch": 64},
            criterion="Matching",
        ),
        rule("profile quick", {"initial.epochs": 10, "embedding.batch": 64}, method=TRAINED_CORESETS),
        rule("profile quick", {"iterations": 20, "teacher.epochs": 5}, method=GRADIENT_PIXELS),
        rule("profile quick", {"iterations": 200}, method=GRADIENT_PIXELS, ipc=1),
        rule("profile quick", {"iterations": 300, "image_lr": 1.0}, method="dm"),
        rule(
            "profile quick; image_lr: ours, on held-out training images at 1 and 10 images per class",
            {"iterations": 100, "image_lr": 0.5},
            method=PIXEL_MMD,
        ),
        rule(
            "profile quick; image_lr: ours, on held-out training images at 1 and 10 images per class",
            {"image_lr": 0.1},
            method=PIXEL_MMD,
            ipc=1,
        ),
        rule(
            "profile quick; factor 1 since a 4x4 tile of an 8x8 digit carries too little",
            {
                "iterations": 10,
                "teacher.steps": 20,
                "teacher.images": 128,
                "container.factor": 1,
                "image_lr": 0.01,
            },
            method=IDC_FAMILY,
        ),
        rule(
            "profile quick",
            {
                "container.width": 16,
                "criterion.epochs": 20,
                "container.lr": 1e-3,
                "criterion.also_kept": (2, 5, 8, 10, 12, 13, 15, 17, 19),
            },
            method="gan",
        ),
        rule(
            "profile quick",
            {
                "criterion.matched_from": 12,
                "criterion.matched_epochs": 8,
                "teacher.models": models("quick"),
                "teacher.images": 128,
            },
            method="dim",
        ),
        rule("profile quick", CODE_IN_SHORT, method="dim-code"),
        rule(
            "profile quick",
            {"container.width": 16, "criterion.epochs": 20, "container.lr": 2e-3},
            method="generative",
        ),
        rule("profile quick", {"criterion.batch": 200, "criterion.epochs": 60}, method="gmmn"),
        rule("profile quick", {"iterations": 100, "real_batch": 64}, method="kip"),
        rule(
            "profile quick; rates: ours",
            {
                "iterations": 400,
                "real_batch": 64,
                "network.depth": 2,
                "network.width": 32,
                "container.images_by.lr": 5e-3,
                "container.labels_by.lr": 5e-3,
                "teacher.oldest": 50,
                "teacher.lr": 1e-3,
            },
            method="frepo",
        ),
    ),
    evaluation_rules=(
        rule(
            "profile quick",
            {"networks": 3, "network.depth": 2, "network.width": 32, "training.epochs": 100},
            learner="SGD",
        ),
        rule(
            "profile quick",
            {
                "networks": 3,
                "network.depth": 2,
                "network.width": 32,
                "training.updates": 500,
                "training.lr": 1e-3,
            },
            learner="Fit",
        ),
        # A generator is judged by every network of a table, some hundred times in all.
        rule("profile quick", {"training.epochs": 40}, protocol=("dim", "dim-code")),
    ),
    search=Search(
        space=SearchSpace(width=(8, 16), depth=(1, 2)),
        count=8,
        top=0.5,
        networks=3,
        epochs=30,
        whole_epochs=6,
        batch=50,
    ),
)

_cpu = Profile(
    name="cpu",
    summary=(
        "real MNIST, FashionMNIST and CIFAR-10 with all their test images; 1,000 training images of each class; "
        "ConvNet-3 of width 16 (published: 128); 32 real and at most 16 synthetic images per class and step; 100 to "
        "300 matching steps (published: 1,000 to 200,000) with image learning rates raised to match, after a coarse "
        "search on held-out training images for DC, DM and DREAM and by analogy for the others; k-means over 256 "
        "images of each class; DiM and its GAN of width 24 (published: 196) in 20 epochs (200) at ten times the "
        "learning rate, matched under networks that learn two batches before a step (16); other generators of width 16 "
        "in 10 to 30 epochs; stored images are judged after 1,000 steps of training whatever their number, generators "
        "after 100 epochs, 300 at one image per class; one synthetic set and three networks per cell"
    ),
    datasets=("mnist", "fashionmnist", "cifar10"),
    ipcs=(1, 10),
    seeds=1,
    recipe_rules=(
        rule("profile cpu", {"per_class": 1000}),
        rule("profile cpu", {"network.width": 16, "real_batch": 32}, criterion="Matching"),
        rule("profile cpu", {"synthetic_batch": 16}, method=IDC_FAMILY),
        rule("profile cpu", {"sampler.pool": 256}, optional=True),
        rule("profile cpu", {"initial.epochs": 3}, method=TRAINED_CORESETS),
        rule("profile cpu", {"iterations": 15, "teacher.epochs": 3, "image_lr": 0.5}, method=GRADIENT_PIXELS),
        rule("profile cpu", {"iterations": 100}, method=GRADIENT_PIXELS, ipc=1),
        rule("profile cpu", {"iterations": 300, "image_lr": 5.0}, method="dm"),
        rule(
            "profile cpu; image_lr: ours, on held-out training images at 1 and 10 images per class",
            {"image_lr": 0.5},
            method=PIXEL_MMD,
        ),
        rule(
            "profile cpu; image_lr: ours, on held-out training images at 1 and 10 images per class",
            {"image_lr": 0.1},
            method=PIXEL_MMD,
            ipc=1,
        ),
        rule("profile cpu", {"iterations": 5, "teacher.steps": 20, "teacher.images": 256}, method=IDC_FAMILY),
        rule("profile cpu", {"image_lr": 0.5}, method="idc"),
        rule("profile cpu", {"image_lr": 0.01}, method="idc", dataset=GREY_SETS),
        rule("profile cpu", {"image_lr": 0.05}, method="idc-dm"),
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
                "teacher.models": models("cpu"),
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
        rule("profile cpu", {"networks": 3, "network.width": 16}, learner="SGD"),
        rule(
            "profile cpu",
            {"networks": 3, "network.width": 16, "training.updates": 1000, "training.lr": 1e-3},
            learner="Fit",
        ),
        # Networks learn for equally long from one image per class and from fifty, so that budgets can be compared.
        rule("profile cpu", {"steps": 1000}, protocol=("dc", "dsa", "idc")),
        # INPC counts the images of an epoch: for a generator it is the length of the training.
        rule("profile cpu", {"training.epochs": 100}, protocol=("dim", "dim-code")),
        rule("profile cpu", {"training.epochs": 300}, protocol=("dim", "dim-code"), ipc=1),
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
            rule("profile cpu; outer loops as at 10 images per class", {"teacher.steps": 10}, method="dsa"),
        ),
    ),
)

_paper = Profile(
    name="paper",
    summary=(
        "the published protocol: ConvNet-3 of width 128, and every published setting but two: three synthetic sets a "
        "cell (published: up to five), and fast mode, with shorter numbers where the machine has them and clustering "
        "that rests early (notebook engine/speed: what that does); a GPU's "
        "work, of which two cores do the smaller cells"
    ),
    datasets=("cifar10", "mnist", "fashionmnist", "svhn", "cifar100"),
    ipcs=(10, 1, 50),
    seeds=3,
    recipe_rules=(rule("profile paper", {"mode": "fast"}),),
    evaluation_rules=(rule("profile paper", {"mode": "fast"}),),
)


class Profiles(Mapping[str, Profile]):
    """The profiles by name."""

    def __init__(self, *profiles: Profile) -> None:
        self._profiles = {profile.name: profile for profile in profiles}

    def register(self, profile: Profile) -> Profile:
        """Add a profile of one's own, so that ``PROFILE=name`` knows it.

        Raises
        ------
        PluginError
            If another profile has this name.
        """
        if self._profiles.get(profile.name, profile) != profile:
            raise PluginError(f"a profile named {profile.name!r} exists already", "give yours another name")
        self._profiles[profile.name] = profile
        return profile

    def __getitem__(self, name: str) -> Profile:
        if name not in self._profiles:
            raise unknown("profile", name, self._profiles)
        return self._profiles[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._profiles)

    def __len__(self) -> int:
        return len(self._profiles)


profiles = Profiles(_quick, _cpu, _paper)
