"""The initial images of a set: what a coreset chooses under a network that was trained for it, or an untrained one."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from ..core.errors import BadValue
from ..core.files import below, with_prefix
from ..coresets import History
from ..criteria.embedding import FORGOTTEN
from ..data import ClassData
from ..networks import build, initialise
from ..samplers import View
from ..teachers import Scene
from ..teachers.base import BESIDE, FINGERPRINT
from .recipe import Recipe

EMBEDDING = f"{BESIDE}embedding."


def carried(snapshot: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The last snapshot of a run of ``recipe.embedded`` as a part of the start of a run of ``recipe``."""
    weights = {name: value for name, value in snapshot.items() if not name.startswith(BESIDE)}
    return with_prefix(EMBEDDING, weights) | with_prefix(f"{EMBEDDING}{BESIDE}", below(snapshot, BESIDE))


def trained_embedding(
    recipe: Recipe, data: ClassData, start: Mapping[str, Tensor] | None
) -> dict[str, Tensor]:
    """What :func:`carried` has put into a start; empty where the coreset's network is not trained.

    Raises
    ------
    BadValue
        If it is trained and not there, or on other images.
    """
    if not recipe.initial.epochs:
        return {}
    given = below(start or {}, EMBEDDING)
    if not given:
        raise BadValue(
            "this recipe's coreset is chosen by a network that is trained on the real images, and none is given",
            "distill(...), or start=carried(run.snapshots[run.mark]) of a finished run of recipe.embedded",
        )
    if not given[BESIDE + FINGERPRINT].cpu().equal(data.fingerprint()):
        raise BadValue(
            f"the coreset's network was trained on other images than those of {data.name!r}, or on images that were "
            f"normalised otherwise than by {data.normalisation.name!r}",
            "a run of recipe.embedded on the same data",
        )
    return given


def select(recipe: Recipe, scene: Scene, slots: int, trained: Mapping[str, Tensor]) -> Tensor:
    """The images, (C, slots, c, h, w) in the container's space, that a set starts from.

    Parameters
    ----------
    recipe : Recipe
        Says which coreset chooses.
    scene : Scene
        The setting of the run.
    slots : int
        Images of each class.
    trained : dict of str to Tensor
        The network that the coreset is chosen by, as :func:`trained_embedding` gives it.
    """
    data, space = scene.data, scene.container.space
    network = build(scene.network, data.shape, data.num_classes, device=scene.device)
    if trained:
        network.load_state_dict({n: value[0] for n, value in trained.items() if not n.startswith(BESIDE)})
        forgotten = trained[BESIDE + FORGOTTEN].to(scene.device)
    else:
        # An untrained network: DREAM's start clusters its embedding (released code).
        initialise(network, scene.streams["embedding"])
        forgotten = torch.zeros_like(data.padded_index()[0])
    # In evaluation mode: features must not depend on the other images of a batch.
    network.requires_grad_(False).eval()
    stream = scene.streams["initial"]
    view = View(data, network, slots, stream, scene.engine, space=space)
    # Positions (C, slots) of real images, or None for noise.
    index = recipe.initial.choose(view, History(forgotten))
    if index is not None:
        return data.take(index) if space == "normalised" else data.unit(index)
    noise = torch.randn(data.num_classes, slots, *data.shape, generator=stream, device=scene.device)
    # In unit space noise is brought to mean 0.5 and standard deviation 1/4, and clamped (IDC, released code).
    return (noise / 4 + 0.5).clamp(0, 1) if space == "unit" else noise
