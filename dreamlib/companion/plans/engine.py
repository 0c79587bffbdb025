"""How fast the engine is, and at what price in accuracy."""

from __future__ import annotations

from ...compute.engine import MODES
from ...recipes import rule
from ..cells import Cell, make_cell
from .base import Plan

GENERATORS = ("gan", "dim")


def every_mode(profile: str, method: str, dataset: str, ipc: int, seed: int) -> list[Cell]:
    """The same cell in every mode of the engine.

    Compiling takes longer than all of ``quick``: there, DM only. On two cores a GAN of MNIST takes its time, so ``cpu``
    has two of them; a CPU does not compile their steps.
    """
    modes: tuple[str, ...] = MODES
    if profile == "quick" and method != "dm":
        return []
    if profile == "cpu" and method in GENERATORS:
        if seed >= 2:
            return []
        dataset, modes = "mnist", ("plain", "fast")
    made = []
    for mode in modes:
        changed = (rule("mode of the engine", {"mode": mode}),)
        made.append(
            make_cell(profile, method, dataset, ipc, seed, recipe_rules=changed, evaluation_rules=changed)
        )
    return made


PLANS = (
    Plan(
        "engine/speed",
        "How fast, and at what price in accuracy",
        ("dm", "dsa", "dream", *GENERATORS),
        cells=every_mode,
        ipcs=(10,),
        datasets=("cifar10",),
        seeds=5,
    ),
)
