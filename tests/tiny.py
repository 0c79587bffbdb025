"""Recipes small enough for a test, with every part of the published ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from dreamlib.containers.base import CONTAINERS
from dreamlib.core import plugins
from dreamlib.criteria.base import CRITERIA
from dreamlib.distillation.recipe import Recipe, change
from dreamlib.networks import NetworkSpec
from dreamlib.recipes import methods, protocols

NETWORK = NetworkSpec(width=8, depth=2)
TOYS = {  # methods of new kinds, and the file of each
    method: str(Path(__file__).parent / "toys" / f"{file}.py")
    for method, file in (
        ("toy-labels", "learned_labels"),
        ("toy-rate", "learned_rate"),
        ("toy-ridge", "ridge"),
    )
}


@pytest.fixture(scope="module")
def toys() -> Iterator[None]:
    """The toys are known, in one module only."""
    with pytest.MonkeyPatch.context() as patch:
        for registry in (CONTAINERS, CRITERIA):
            patch.setattr(registry, "_parts", dict(registry._parts))
        patch.setattr(methods, "_methods", dict(methods._methods))
        patch.setattr(protocols, "_BASE", dict(protocols._BASE))
        patch.setattr(plugins, "_loaded", {})
        plugins.load(TOYS.values())
        yield


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def recipe(method: str, **changes: Any) -> Recipe:
    """A published recipe in six steps (two networks, three steps each) or four; ``changes`` as in ``using``."""
    out, _ = methods[method].resolve("cifar10", 10)
    iterations = min(out.iterations, 4)
    out = replace(out, network=NETWORK, iterations=iterations, image_lr=0.1, base_side=8)
    out = change(out, "real_batch", 4)
    if out.teacher.trained_on != "nothing":
        out = replace(out, iterations=2, teacher=replace(out.teacher, steps=3, epochs=2, images=20, batch=8))
    small = {"sampler.every": 2} if method.endswith("dream") else {}
    if out.initial.epochs:
        small |= {"initial.epochs": 2, "embedding.batch": 64}
    return changed(out, small | {path.replace("__", "."): value for path, value in changes.items()})


def generative(method: str, **changes: Any) -> Recipe:
    """A published generator in three epochs; DiM goes on from the second for two. ``changes`` as in ``using``."""
    out, _ = methods[method].resolve("cifar10", 10)
    small: dict[str, Any] = {
        "container.width": 4,
        "container.noise": 16,
        "criterion.epochs": 3,
        "criterion.also_kept": (1, 2),
        "criterion.batch": 40,
        "container.lr": 1e-3,
    }
    if method.startswith("dim"):
        small |= {
            "criterion.matched_from": 2,
            "criterion.matched_epochs": 2,
            "criterion.matched_batch": 30,
            "criterion.matched_rate": 1.0,
            "teacher.models": (replace(NETWORK, width=4), replace(NETWORK, width=4, depth=1)),
            "teacher.images": 20,
            "teacher.batch": 8,
        }
    return changed(out, small | {path.replace("__", "."): value for path, value in changes.items()})


def following(method: str = "mtt", **changes: Any) -> Recipe:
    """Images for students that follow two experts of three epochs, of two batches each where there are twelve images of
    each digit; ``changes`` as in ``using``.
    """
    out, _ = methods[method].resolve("digits", 10)
    small: dict[str, Any] = {
        "network": NETWORK,
        "iterations": 6,
        "image_lr": 10.0,
        "container.rate": 0.01,
        "student_steps": 3,
        "synthetic_batch": 15,
        "teacher.experts.count": 2,
        "teacher.experts.training.epochs": 3,
        "teacher.experts.training.batch": 60,
        "teacher.experts.training.lr": 0.05,
        "teacher.latest": 2,
        "teacher.ahead": 1,
    }
    return changed(out, small | {path.replace("__", "."): value for path, value in changes.items()})


def changed(out: Recipe, changes: Mapping[str, Any]) -> Recipe:
    """A recipe with the fields at dotted paths replaced."""
    for path, value in changes.items():
        out = change(out, path, value)
    return out
