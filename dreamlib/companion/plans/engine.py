"""How fast the engine is, and at what price in accuracy."""

from __future__ import annotations

from collections.abc import Mapping

from ...compute.engine import MODES
from ...recipes import rule
from ..cells import Cell, make_cell
from ..profiles import Modes, profiles
from .base import Plan

GENERATORS = ("gan", "dim")


def every_mode(profile: str, method: str, dataset: str, ipc: int, seed: int) -> list[Cell]:
    """The same cell in every mode of the engine, as far as a profile has time for."""
    chosen: Mapping[str, Modes] = profiles[profile].choice("modes", {})
    how = chosen.get(method, chosen.get("", Modes(MODES)))
    if seed >= how.seeds:
        return []
    dataset = how.dataset or dataset
    made = []
    for mode in how.modes:
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
