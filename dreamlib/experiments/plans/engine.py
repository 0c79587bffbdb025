"""How fast the engine is, and at what price in accuracy."""

from __future__ import annotations

from ...engine import MODES
from ...recipes import rule
from ..cells import Cell, make_cell
from .base import Plan


def every_mode(profile: str, method: str, dataset: str, ipc: int, seed: int) -> list[Cell]:
    """The same cell in every mode of the engine. Compiling takes longer than all of ``quick``: there, DM only."""
    if profile == "quick" and method != "dm":
        return []
    made = []
    for mode in MODES:
        changed = (rule("mode of the engine", {"mode": mode}),)
        made.append(
            make_cell(profile, method, dataset, ipc, seed, recipe_rules=changed, evaluation_rules=changed)
        )
    return made


PLANS = (
    Plan(
        "engine/speed",
        "How fast, and at what price in accuracy",
        ("dm", "dsa", "dream"),
        cells=every_mode,
        ipcs=(10,),
        datasets=("cifar10",),
        seeds=5,
    ),
)
