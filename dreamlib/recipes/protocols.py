"""Evaluation protocols by the name of the paper family they come from."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ..augment import PerImage, Siamese
from ..core.errors import PluginError, unknown
from ..distillation.evaluate import Evaluation, Generated
from ..networks.training import SGD, SquaredError
from .method import DIGIT_SETS
from .rules import Rule, apply, rule

_DSA = "color_crop_cutout_flip_scale_rotate"

# DC's released code, which DSA and DM share: E + 1 epochs; after the epoch with index E // 2 + 1 a new optimiser, whose
# momentum is zero, goes on at a tenth of the rate.
_dc = SGD(epochs=300, batch=256, lr=0.01, decay_at=(0.5,), decay_by=0.1, extra=1, late=2, restarts=True)

_no_flip = rule(
    "released code: no flip on digits",
    {"learner.augment.strategy": _DSA.replace("_flip", "")},
    dataset=DIGIT_SETS,
)

_BASE: dict[str, tuple[Evaluation, tuple[Rule, ...], str]] = {
    "dc": (
        Evaluation("dc", _dc, networks=20),
        (
            rule(
                "DC, released code: MNIST is evaluated with DC's own augmentation, image by image",
                {"learner.epochs": 1000, "learner.augment": PerImage("crop_scale_rotate")},
                dataset=("digits", "mnist"),
            ),
        ),
        "DC section 4.1; E + 1 epochs, a fall after epoch E // 2 + 1 and a new optimiser there: released code",
    ),
    "dsa": (
        Evaluation("dsa", replace(_dc, epochs=1000, augment=Siamese(_DSA))),
        (_no_flip,),
        "DSA and DM released code, which is DC's with 1,000 epochs; 5 networks as in DM's README",
    ),
    "idc": (
        Evaluation(
            "idc",
            SGD(
                epochs=1000,
                batch=64,
                lr=0.01,
                decay_at=(2 / 3, 5 / 6),
                decay_by=0.2,
                augment=Siamese("color_crop_flip_scale_rotate", family="idc"),
                cutmix=0.5,
            ),
        ),
        (
            rule(
                "released code: no flip on digits",
                {"learner.augment.strategy": "color_crop_scale_rotate"},
                dataset=DIGIT_SETS,
            ),
            rule(
                "IDC released code: factor > 1 on MNIST",
                {"learner.cutmix": 0.0},
                dataset=("digits", "mnist"),
                factor=range(2, 100),
            ),
            rule(
                "IDC released code: factor 1 at one image per class on SVHN",
                {"learner.cutmix": 0.0, "learner.augment.strategy": "color_crop_cutout_scale_rotate"},
                dataset="svhn",
                ipc=1,
                factor=1,
            ),
        ),
        "IDC and DREAM released code, but the last of its four tests, not the best",
    ),
    "dim": (
        Evaluation(
            "dim",
            SGD(
                epochs=1000,
                batch=64,
                lr=0.01,
                decay_at=(2 / 3, 5 / 6),
                decay_by=0.2,
                augment=Siamese(_DSA),
            ),
            generated=Generated(),
        ),
        (_no_flip,),
        "DiM section 4.1: 1,000 epochs as in IDC, augmentation as in DSA; batch and schedule of IDC",
    ),
    "dim-code": (
        Evaluation(
            "dim-code",
            SGD(epochs=1000, batch=64, lr=0.01, decay_at=(), augment=Siamese("color_crop", family="idc")),
            generated=Generated(whole_batches=True),
        ),
        (),
        "DiM released code: whole batches, no schedule, but the last of its five tests, not the best",
    ),
    # DSA's for sets whose labels are real numbers: with those of KIP, which add up to zero, cross-entropy has no
    # least value.
    "dsa-squares": (
        Evaluation("dsa-squares", SquaredError(**vars(replace(_dc, epochs=1000, augment=Siamese(_DSA))))),
        (_no_flip,),
        "DSA's protocol, with half the squared error in the place of cross-entropy: ours",
    ),
}


def protocol(
    name: str, facts: dict[str, Any], extra: tuple[Rule, ...] = ()
) -> tuple[Evaluation, dict[str, str]]:
    """The evaluation of a protocol for one cell, and the sources of its settings.

    Parameters
    ----------
    name : str
        One of :func:`names`.
    facts : dict
        ``dataset``, ``ipc``, ``method``, ``factor``; see :meth:`~dreamlib.recipes.method.Method.facts`.
    extra : tuple of Rule
        A profile's rules, applied last.
    """
    if name not in _BASE:
        raise unknown("evaluation protocol", name, _BASE)
    base, rules, source = _BASE[name]
    # By class and base classes: what a profile says of SGD holds for its squared-error form too.
    learner = tuple(kind.__name__ for kind in type(base.learner).__mro__)
    own = {"protocol": name, "learner": learner}
    evaluation, sources = apply(base, (*rules, *extra), {**facts, **own})
    return evaluation, {"evaluation": source, **{f"evaluation.{k}": v for k, v in sources.items()}}


def register(name: str, evaluation: Evaluation, rules: tuple[Rule, ...] = (), source: str = "ours") -> None:
    """Add a protocol of one's own, so that a method can name it.

    Raises
    ------
    PluginError
        If another protocol has this name.
    """
    if _BASE.setdefault(name, (evaluation, rules, source)) != (evaluation, rules, source):
        raise PluginError(f"an evaluation protocol named {name!r} exists already", "give yours another name")


def names() -> tuple[str, ...]:
    """Names of the protocols."""
    return tuple(_BASE)
