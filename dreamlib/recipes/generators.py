"""DiM and the generative models it is compared with: a data set as a generator, each with the source of its settings.

A generative model alone is one recipe; with a matcher it is DiM::

    methods["gan"].using(matcher=Logits(), matched_epochs=80, teacher=ModelsPool())
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import cast

from ..augment import Siamese
from ..containers import Generator
from ..core.errors import unknown
from ..criteria import Adversarial, Generative, Hinge, MomentMatching, Objective, Variational
from ..distillation.recipe import Recipe
from ..matchers import Feature, Gradient, Logits, Matcher
from ..networks import NetworkSpec
from ..teachers import ModelsPool, Untaught
from .method import Method
from .published import methods

__all__ = ["MODELS", "POOLS", "models", "released"]


def released(name: str, width: int = 64) -> NetworkSpec:
    """A ResNet as DiM's released code builds it for CIFAR: batch norm, basic blocks; width 64 is 32 to 256 channels."""
    return NetworkSpec(name, width=width, norm="batch", form="idc")


# ConvNet-3, ResNet-10 and ResNet-18 of DiM's tables, by the paper's short names.
MODELS = {"C3": NetworkSpec(), "R10": released("resnet10"), "R18": released("resnet18")}


def models(pool: str = "C3+R10+R18", known: Mapping[str, NetworkSpec] = MODELS) -> tuple[NetworkSpec, ...]:
    """The models pool that DiM's Table 6 calls ``pool``; smaller profiles have other networks by the same names.

    Every ResNet is there twice: as it is and with average pooling (Table 6: "both average and max pooling"; the
    released code's pool of five).
    """
    # Names of the table: C3 is ConvNet-3, R10 and R18 are ResNets.
    for name in pool.split("+"):
        if name not in known:
            raise unknown("network of a models pool", name, known)
    named = tuple(known[name] for name in pool.split("+"))
    averaged = (replace(one, name=f"{one.name}ap") for one in named if one.name.startswith("resnet"))
    return (*named, *averaged)


POOLS = ("C3", "R10", "R18", "C3+R10", "C3+R18", "R10+R18", "C3+R10+R18")  # of DiM's Table 6

# Epochs that the paper looks at: where matching starts (Table 5), and images along the way (Figures 5 to 7).
_KEPT = (20, 50, 80, 100, 120, 130, 150, 170, 190)

_gan = Recipe(
    container=Generator(noise=100, width=196, label="inside", lr=1e-4, betas=(0.0, 0.9)),
    criterion=Generative(
        objective=Adversarial(penalty=10.0, slope=0.01),
        epochs=200,
        batch=64,
        also_kept=_KEPT,
        independent_draws=True,
        generator_first=True,
        carries_adam=True,
    ),
    teacher=Untaught(),
)
# Asked for by an honest test, and by the paper's words.
_JUDGED = (
    "the generator at the end of its training is judged, by the last test of a network (the code keeps the best of "
    "both on the test images)",
    "networks are tested in evaluation mode (the code's stay in training mode: their batch norms use the test batch)",
    "test images are normalised like those that networks learn from (the code: on MNIST and FashionMNIST with a mean "
    "and a deviation of one half)",
)
_PAPER = (
    "the GAN has batches of 64 (paper; the code: 128)",
    "an epoch shows INPC images of every class, under the learning rates of IDC (paper; the code fills batches with "
    "classes drawn at random, adds a batch, and never lowers the rate)",
)
_SHAPES = (
    "every data set is matched under the networks for CIFAR (the code has others elsewhere, whose average-pooling kind "
    "cannot take images of 28 pixels)"
)
methods.register(
    Method(
        "gan",
        "GAN",
        _gan,
        protocol="dim",
        sources=(
            ("all", "DiM section 4.1 and Figure 4: batch 64, Adam 1e-4"),
            ("container", "DiM released code"),
            ("criterion.objective", "DiM released code"),
            ("container.betas", "DiM released code; the paper names none"),
            ("criterion.independent_draws", "DiM released code"),
            ("criterion.generator_first", "DiM released code"),
            ("criterion.carries_adam", "DiM released code"),
            ("criterion.epochs", "as long as DiM in all (Figure 6 compares the two up to epoch 190)"),
        ),
        differs=(
            *_JUDGED,
            *_PAPER,
            "200 epochs, as long as DiM in all (the code: 150; the paper shows the GAN up to epoch 190)",
        ),
        reported_as="GAN",
    )
)

_GAN_SOURCES = methods["gan"].sources


def _dim(
    name: str,
    label: str,
    matcher: Matcher,
    weight: float,
    source: str,
    reported_as: str = "",
    family: tuple[str, ...] = (),
    differs: tuple[str, ...] = (),
) -> Method:
    """A method that goes on from the GAN with a matcher."""
    # The GAN's own criterion, so that both have one first stage, trained once.
    criterion = replace(
        cast(Generative, _gan.criterion),
        matched_from=120,
        matched_epochs=80,
        matched_batch=64,
        matched_rate=1 / 20,
        weight=weight,
        matcher=matcher,
        augment=Siamese("color_crop_cutout", family="idc"),
    )
    teacher = ModelsPool(
        models=models(),
        mode="train",
        space="signed",
        images=16 * 64,
        batch=64,
        lr=0.01,
        momentum=0.9,
        weight_decay=5e-4,
        augment=Siamese("color_crop", family="idc"),
    )
    return Method(
        name,
        label,
        replace(_gan, criterion=criterion, teacher=teacher),
        protocol="dim",
        family=(*family, "gan"),
        sources=(
            *_GAN_SOURCES,
            ("criterion.matched_from", "DiM section 4.1 and Table 5"),
            ("criterion.matched_epochs", "ours: to epoch 200; Figures 5 to 7 reach 190"),
            (
                "criterion.matched_rate",
                "DiM released code: 5e-6 after 1e-4; the paper names 1e-4 for the GAN alone, and Algorithm 1 has one "
                "letter for both stages",
            ),
            ("teacher.models", "DiM Table 6, and its released code for what the networks are"),
            ("teacher.mode", "DiM released code"),
            ("teacher.space", "DiM released code"),
            ("teacher", "DiM released code: 16 batches of real images before every step, augmented"),
            ("augment", "DiM released code, as its README runs it"),
            ("matcher", source),
            ("criterion.weight", source),
        ),
        differs=(
            *_JUDGED,
            *_PAPER,
            "matching from epoch 120 on (paper; the code: 150), for 80 epochs (the code: 100; the paper names no "
            "number, and its figures reach epoch 190)",
            _SHAPES,
            *differs,
        ),
        reported_as=reported_as,
    )


methods.register(
    _dim(
        "dim",
        "DiM",
        Logits("raw"),
        0.01,
        "DiM Eq. 5 and section 4.1: logits as they are",
        reported_as="DiM",
        differs=("logits are matched as they are (paper; the code: their log-softmax)",),
    )
)
_UNNAMED = "metric and weight of the released code; the paper names neither"
methods.register(
    _dim(
        "dim-feature",
        "DiM, features",
        Feature(metric="l1"),
        0.001,
        f"DiM Table 4; {_UNNAMED}; of the last layer before the classifier: ours, the code does not say which",
        family=("dim",),
        differs=("the last features are matched (the code does not say which, and stops)",),
    )
)
methods.register(
    _dim(
        "dim-gradient",
        "DiM, gradients",
        Gradient(metric="l1", layers="convolutions"),
        0.001,
        f"DiM Table 4; {_UNNAMED}",
        family=("dim",),
    )
)

# What the released code does where the paper says otherwise.
_code = _dim(
    "dim-code", "DiM, released code", Logits("log-softmax"), 0.01, "DiM released code", family=("dim",)
)
# Its first stage is another GAN (150 epochs in batches of 128), so nothing is shared with the paper's.
_code_criterion = replace(
    cast(Generative, _code.recipe.criterion),
    epochs=150,
    batch=128,
    matched_from=150,
    matched_epochs=100,
)
methods.register(
    replace(
        _code,
        recipe=replace(_code.recipe, criterion=_code_criterion),
        protocol="dim-code",
        sources=(("all", "DiM released code, as its README runs it"),),
        differs=(
            *_JUDGED,
            "matching goes on from the end of the GAN's training (the code: from its best state on the test images)",
            "a batch of an evaluation has its classes in turn (the code draws them at random)",
            _SHAPES,
        ),
    )
)


# {weight 0, weight 0.01} by {a twentieth of the rate, the rate}: what the second stage gains without a matcher, by a
# lower rate alone, is no gain of matching.
_arms: dict[str, tuple[str, dict[str, float]]] = {
    "dim-unmatched": ("DiM, weight 0", {"weight": 0.0}),
    "dim-fast": ("DiM, first stage's rate", {"matched_rate": 1.0}),
    "dim-fast-unmatched": ("DiM, weight 0, first stage's rate", {"weight": 0.0, "matched_rate": 1.0}),
}
for _name, (_label, _changes) in _arms.items():
    _settings = {f"criterion__{path}": value for path, value in _changes.items()}
    methods.register(methods["dim"].using(name=_name, label=_label, **_settings))


# The generative models of DM's Table T1. Its supplement names the models and nothing of how they were trained.


def _generative(
    name: str,
    label: str,
    container: Generator,
    objective: Objective,
    epochs: int,
    batch: int,
    sources: dict[str, str],
    reported_as: str,
) -> Method:
    criterion = Generative(
        objective=objective,
        epochs=epochs,
        batch=batch,
        independent_draws=False,
        generator_first=False,
        carries_adam=False,
    )
    return Method(
        name,
        label,
        Recipe(container=container, criterion=criterion, teacher=Untaught()),
        protocol="dim",
        family=("generative",),
        sources=(("all", "ours; DM supplement 2.1 names the model alone"), *sources.items()),
        reported_as=reported_as,
    )


methods.register(
    _generative(
        "gmmn",
        "GMMN (conditional)",
        Generator(noise=100, width=196, label="beside", lr=1e-3, betas=(0.9, 0.999)),
        MomentMatching(),
        epochs=1000,
        batch=1000,
        sources={
            "criterion.objective": "Li, Swersky and Zemel 2015; within classes, and the widths: ours",
            "criterion.batch": "Li, Swersky and Zemel 2015: batches of 1,000",
            "container": "DiM Figure 4: the same generator as DiM's",
        },
        reported_as="GMMN",
    )
)
methods.register(
    _generative(
        "vae",
        "VAE (plain, conditional)",
        Generator(noise=100, width=196, label="beside", lr=1e-3, betas=(0.9, 0.999)),
        Variational(),
        epochs=200,
        batch=64,
        sources={
            "criterion.objective": "Kingma and Welling 2014 in place of DC-VAE, which DM's table has",
            "container": "DiM Figure 4: the same generator as DiM's",
        },
        reported_as="VAE",
    )
)
_BIGGAN = "released code of BigGAN and of differentiable augmentation, CIFAR-10"
methods.register(
    _generative(
        "biggan",
        "BigGAN (reduced)",
        Generator(noise=128, width=256, label="beside", architecture="biggan", lr=2e-4, betas=(0.0, 0.999)),
        Hinge(),
        epochs=200,
        batch=50,
        sources={
            "criterion.objective": f"{_BIGGAN}; one step of the discriminator in place of four",
            "criterion.batch": _BIGGAN,
            "container.lr": _BIGGAN,
            "container.betas": _BIGGAN,
            "criterion.epochs": "ours: 200,000 steps of the generator; the released code's 1,000 epochs are 250,000",
            "container": f"{_BIGGAN}; without the running mean of its weights",
        },
        reported_as="BigGAN",
    )
)
