"""Evaluation protocols by the name of the paper family they come from."""

from __future__ import annotations

from typing import Any

from ..augment import Siamese
from ..errors import unknown
from ..evaluate import Evaluation, Generated
from ..training import SGD
from .method import DIGIT_SETS
from .rules import Rule, apply, rule

_DSA = "color_crop_cutout_flip_scale_rotate"

_BASE: dict[str, tuple[Evaluation, tuple[Rule, ...], str]] = {
    "dc": (
        Evaluation("dc", SGD(epochs=300, batch=256, lr=0.01, decay_at=(0.5,), decay_by=0.1), networks=20),
        (
            rule(
                "DC, released code: MNIST is evaluated with augmentation",
                {"training.epochs": 1000, "training.augment.strategy": "crop_scale_rotate"},
                dataset=("digits", "mnist"),
            ),
        ),
        "DC section 4.1 and released code",
    ),
    "dsa": (
        Evaluation(
            "dsa", SGD(epochs=1000, batch=256, lr=0.01, decay_at=(0.5,), decay_by=0.1, augment=Siamese(_DSA))
        ),
        (
            rule(
                "released code: no flip on digits",
                {"training.augment.strategy": _DSA.replace("_flip", "")},
                dataset=DIGIT_SETS,
            ),
        ),
        "DSA and DM released code; 5 networks as in DM's README",
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
                {"training.augment.strategy": "color_crop_scale_rotate"},
                dataset=DIGIT_SETS,
            ),
            rule(
                "IDC released code: factor > 1 on MNIST",
                {"training.cutmix": 0.0},
                dataset=("digits", "mnist"),
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
        (
            rule(
                "released code: no flip on digits",
                {"training.augment.strategy": _DSA.replace("_flip", "")},
                dataset=DIGIT_SETS,
            ),
        ),
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
}


def protocol(
    name: str, facts: dict[str, Any], extra: tuple[Rule, ...] = ()
) -> tuple[Evaluation, dict[str, str]]:
    """The evaluation of a protocol for one cell, and the sources of its settings.

    Parameters
    ----------
    name : str
        ``"dc"``, ``"dsa"``, ``"idc"``, ``"dim"`` or ``"dim-code"``.
    facts : dict
        ``dataset``, ``ipc``, ``method``.
    extra : tuple of Rule
        A profile's rules, applied last.
    """
    if name not in _BASE:
        raise unknown("evaluation protocol", name, _BASE)
    base, rules, source = _BASE[name]
    evaluation, sources = apply(base, (*rules, *extra), {**facts, "protocol": name})
    return evaluation, {"evaluation": source, **{f"evaluation.{k}": v for k, v in sources.items()}}


def names() -> tuple[str, ...]:
    """Names of the protocols."""
    return tuple(_BASE)
