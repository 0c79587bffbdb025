"""The cells of an architecture search: one proxy for the training set, judged by every network of a search space."""

from __future__ import annotations

from dataclasses import replace

from .cells import Cell, make_cell
from .profiles import profiles


def search(profile: str, method: str, dataset: str, ipc: int, seed: int) -> list[Cell]:
    """A proxy of ``ipc`` images per class under every architecture of the profile's search (DM supplement 1.3).

    A tenth of the training images is held out: an architecture is chosen by its accuracy on these, and its accuracy on
    the test images is in the record too. The method ``"whole"`` is no proxy but what all of them stand for.
    """
    scale = profiles[profile].search
    first = make_cell(
        profile,
        method,
        f"{dataset}@holdout",
        ipc,
        seed,
        recipe_rules=scale.recipe_rules,
        evaluation_rules=scale.judging(method, dataset, ipc),
    )
    return [
        # One set, many judges: only the evaluation differs, so it is distilled once.
        replace(first, evaluation=replace(first.evaluation, network=network))
        for network in scale.architectures()
    ]
