"""DiM and the generative models it is compared with: a data set as a generator, each with the source of its settings.

A generative model alone is one recipe; with a matcher it is DiM::

    methods["gan"].using(matcher=Logits(), generation__matched_epochs=80)
"""

from __future__ import annotations

from dataclasses import replace
from typing import cast

from ..augment import Siamese
from ..containers import Generator
from ..errors import unknown
from ..matchers import Feature, Gradient, Logits, Matcher
from ..networks import NetworkSpec
from ..objectives import Adversarial, Hinge, MomentMatching, Objective, Variational
from ..recipe import Generation, NetworkSchedule, Recipe
from .method import Method
from .published import methods

__all__ = ["MODELS", "POOLS", "models"]

# What stands for ConvNet-3, ResNet-10 and ResNet-18 in a smaller profile. A ResNet shrinks images of 8 pixels to one,
# where instance norm has nothing left to tell.
MODELS: dict[str, dict[str, NetworkSpec]] = {
    "quick": {
        "C3": NetworkSpec(depth=2, width=32),
        "R10": NetworkSpec("resnet10", width=8, norm="group"),
        "R18": NetworkSpec("resnet18", width=8, norm="group"),
    },
    "cpu": {
        "C3": NetworkSpec(width=16),
        "R10": NetworkSpec("resnet10", width=16),
        "R18": NetworkSpec("resnet18", width=16),
    },
    "paper": {"C3": NetworkSpec(), "R10": NetworkSpec("resnet10"), "R18": NetworkSpec("resnet18")},
}


def models(profile: str, pool: str = "C3+R10+R18") -> tuple[NetworkSpec, ...]:
    """The models pool that DiM's Table 6 calls ``pool``, under a profile; one of your own has the published one."""
    known = MODELS.get(profile, MODELS["paper"])
    for name in pool.split("+"):
        if name not in known:
            raise unknown("network of a models pool", name, known)
    return tuple(known[name] for name in pool.split("+"))


def pooled(profile: str) -> tuple[NetworkSpec, ...]:
    """The models pool of DiM's released code under a profile: the ResNets with average pooling too."""
    convnet, *resnets = models(profile)
    return (convnet, *resnets, *(replace(one, name=f"{one.name}ap") for one in resnets))


POOLS = ("C3", "R10", "R18", "C3+R10", "C3+R18", "R10+R18", "C3+R10+R18")  # of DiM's Table 6

# Epochs that the paper looks at: where matching starts (Table 5), and images along the way (Figures 5 to 7).
_KEPT = (20, 50, 80, 100, 120, 130, 150, 170, 190)

_gan = Recipe(
    container=Generator(noise=100, width=196, label="inside"),
    generation=Generation(
        objective=Adversarial(penalty=10.0, slope=0.01),
        epochs=200,
        batch=64,
        lr=1e-4,
        kept=_KEPT,
        carries_adam=True,
    ),
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
            ("generation.objective", "DiM released code"),
            ("generation.betas", "DiM released code; the paper names none"),
            ("generation.carries_adam", "DiM released code"),
            ("generation.epochs", "as long as DiM in all (Figure 6 compares the two up to epoch 190)"),
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
) -> Method:
    """A method that goes on from the GAN with a matcher."""
    how = replace(
        cast(Generation, _gan.generation),
        matched_from=120,
        matched_epochs=80,
        matched_batch=64,
        matched_lr=1e-4,
        weight=weight,
        models=models("paper"),
    )
    schedule = NetworkSchedule(
        steps=1, trained_on="real", images=16 * 64, batch=64, lr=0.01, momentum=0.9, weight_decay=5e-4
    )
    return Method(
        name,
        label,
        replace(_gan, matcher=matcher, schedule=schedule, generation=how),
        protocol="dim",
        family=(*family, "gan"),
        sources=(
            *_GAN_SOURCES,
            ("generation.matched_from", "DiM section 4.1 and Table 5"),
            ("generation.matched_epochs", "ours: to epoch 200; Figures 5 to 7 reach 190"),
            ("generation.models", "DiM Table 6"),
            (
                "schedule",
                "DiM released code: 16 batches of real images before every step; it augments them, the paper does not "
                "say so (dim-code does)",
            ),
            ("matcher", source),
            ("generation.weight", source),
        ),
        reported_as=reported_as,
    )


methods.register(
    _dim(
        "dim", "DiM", Logits("raw"), 0.01, "DiM Eq. 5 and section 4.1: logits as they are", reported_as="DiM"
    )
)
_UNNAMED = (
    "metric: ours, the squared error of logits; weight of the released code, where it weighs an l1 distance"
)
methods.register(
    _dim(
        "dim-feature",
        "DiM, features",
        Feature(metric="mse"),
        0.001,
        f"DiM Table 4; {_UNNAMED}",
        family=("dim",),
    )
)
methods.register(
    _dim(
        "dim-gradient",
        "DiM, gradients",
        Gradient(metric="mse", layers="weights"),
        0.001,
        f"DiM Table 4; {_UNNAMED}, of convolutions alone",
        family=("dim",),
    )
)

# What the released code does where the paper says otherwise.
_code = _dim(
    "dim-code", "DiM, released code", Logits("log-softmax"), 0.01, "DiM released code", family=("dim",)
)
_code_how = replace(
    cast(Generation, _code.recipe.generation),
    epochs=150,
    batch=128,
    matched_from=150,
    matched_epochs=100,
    matched_lr=5e-6,
    models=pooled("paper"),
)
methods.register(
    replace(
        _code,
        recipe=replace(
            _code.recipe,
            generation=_code_how,
            schedule=replace(_code.recipe.schedule, augment=Siamese("color_crop", family="idc")),
            augment=Siamese("color_crop_cutout", family="idc"),
        ),
        protocol="dim-code",
        sources=(
            ("all", "DiM released code, as its README runs it"),
            (
                "generation",
                "DiM released code; ours: the discriminator first, both on the same noise and labels, and labels of an "
                "evaluation's batch in turn, not drawn",
            ),
        ),
    )
)


# The generative models of DM's Table T1. Its supplement names the models and nothing of how they were trained.


def _generative(
    name: str,
    label: str,
    container: Generator,
    objective: Objective,
    epochs: int,
    batch: int,
    lr: float,
    betas: tuple[float, float],
    sources: dict[str, str],
    reported_as: str,
) -> Method:
    how = Generation(objective=objective, epochs=epochs, batch=batch, lr=lr, betas=betas)
    return Method(
        name,
        label,
        Recipe(container=container, generation=how),
        protocol="dim",
        family=("generative",),
        sources=(("all", "ours; DM supplement 2.1 names the model alone"), *sources.items()),
        reported_as=reported_as,
    )


methods.register(
    _generative(
        "gmmn",
        "GMMN (conditional)",
        Generator(noise=100, width=196, label="beside"),
        MomentMatching(),
        epochs=1000,
        batch=1000,
        lr=1e-3,
        betas=(0.9, 0.999),
        sources={
            "generation.objective": "Li, Swersky and Zemel 2015; within classes, and the widths: ours",
            "generation.batch": "Li, Swersky and Zemel 2015: batches of 1,000",
            "container": "DiM Figure 4: the same generator as DiM's",
        },
        reported_as="GMMN",
    )
)
methods.register(
    _generative(
        "vae",
        "VAE (plain, conditional)",
        Generator(noise=100, width=196, label="beside"),
        Variational(),
        epochs=200,
        batch=64,
        lr=1e-3,
        betas=(0.9, 0.999),
        sources={
            "generation.objective": "Kingma and Welling 2014 in place of DC-VAE, which DM's table has",
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
        Generator(noise=128, width=256, label="beside", architecture="biggan"),
        Hinge(),
        epochs=200,
        batch=50,
        lr=2e-4,
        betas=(0.0, 0.999),
        sources={
            "generation.objective": f"{_BIGGAN}; one step of the discriminator in place of four",
            "generation.batch": _BIGGAN,
            "generation.lr": _BIGGAN,
            "generation.betas": _BIGGAN,
            "generation.epochs": "ours: 200,000 steps of the generator; the released code's 1,000 epochs are 250,000",
            "container": f"{_BIGGAN}; without the running mean of its weights",
        },
        reported_as="BigGAN",
    )
)
