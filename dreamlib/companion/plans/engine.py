"""How fast the engine is, and at what price in accuracy."""

from __future__ import annotations

from collections.abc import Mapping

from ...compute.engine import MODES
from ...recipes import methods as known_methods
from ...recipes import rule
from ..cells import Cell, make_cell
from ..profiles import Modes, Tried, profiles
from .base import Plan, variant

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


def every_rate(profile: str, method: str, dataset: str, ipc: int, seed: int) -> list[Cell]:
    """Short runs at several image learning rates, judged on training images that are held out; a rate is a row."""
    tried: Mapping[str, Tried] = profiles[profile].choice("rates", {})
    held_out = f"{dataset}@holdout"
    published, _ = known_methods[method].resolve(held_out, ipc)
    # IDC's own rule scales the rate at 10 images per class to other budgets.
    if method not in tried or (published.lr_scaling != "none" and ipc != 10):
        return []
    steps = make_cell(profile, method, held_out, ipc, seed).recipe.iterations
    made = []
    for factor in tried[method].factors:
        lr = factor * published.image_lr
        short = rule("search of rates", {"iterations": round(tried[method].share * steps), "image_lr": lr})
        cell = make_cell(profile, method, held_out, ipc, seed, recipe_rules=(short,))
        made.append(variant(cell, f"lr{lr:g}", f"image rate {lr:g}"))
    return made


PLANS = (
    Plan(
        "engine/rates",
        "Image learning rates on held-out training images",
        ("dm", "dsa", "dc", "idc-dm", "idc"),
        cells=every_rate,
    ),
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
