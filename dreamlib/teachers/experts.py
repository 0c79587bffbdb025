"""Experts: networks trained on real images, whose weights are kept after every epoch (MTT: Cazenavette et al. 2022).

A student starts from an expert's weights, and its target is the expert's weights some epochs later.
Legend: E experts, P epochs; theta*_t an expert's weights after t epochs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..augment import Siamese
from ..core.errors import BadValue
from ..data import ClassData
from ..networks import Network, build
from ..networks.training import SGD
from .base import BESIDE, FINGERPRINT, Idle, Scene, Untaught, register

Tensors = dict[str, Tensor]


@dataclass(frozen=True)
class Experts:
    """How many experts there are, and how they are trained. The defaults are MTT's, on 32x32 images (released code).

    Attributes
    ----------
    count : int
        E.
    training : SGD
        A rate of 0.01 without momentum, weight decay or steps down, and images augmented like synthetic ones.
        As many epochs as students' targets may reach; snapshots of later ones would never be used.
    """

    count: int = 100
    training: SGD = field(
        default_factory=lambda: SGD(
            epochs=50,
            batch=256,
            lr=0.01,
            momentum=0.0,
            weight_decay=0.0,
            decay_at=(),
            augment=Siamese("color_crop_cutout_flip_scale_rotate"),
        )
    )


def segment(experts: Mapping[str, Tensor], expert: int, epoch: int, ahead: int) -> tuple[Tensors, Tensors]:
    """An expert's weights after ``epoch`` epochs, where a student starts, and ``ahead`` epochs later, its target.

    Parameters
    ----------
    experts : dict of str to Tensor
        (E, P + 1, ...) by the name of the weight.
    expert, epoch, ahead : int
        Which expert; t, from 0; and M, at least 1.

    Raises
    ------
    BadValue
        If the experts were not trained for so long.
    """
    count, snapshots = next(iter(experts.values())).shape[:2]
    if not (0 <= expert < count and 0 <= epoch < epoch + ahead < snapshots):
        raise BadValue(
            f"expert {expert} from epoch {epoch} for {ahead} epochs, of {count} experts trained for "
            f"{snapshots - 1} epochs",
            f"experts trained for {epoch + ahead} epochs, or an earlier start",
        )
    # Snapshot 0 is the initial network, so snapshot t is the network after t epochs.
    start = {name: value[expert, epoch] for name, value in experts.items()}
    return start, {name: value[expert, epoch + ahead] for name, value in experts.items()}


@register("stored-experts")
@dataclass(frozen=True)
class StoredExperts(Untaught):
    """Gives an expert's weights at a random epoch, and its weights some epochs later as the target.

    Experts are used in turn, in a new random order each time (MTT, released code).

    Attributes
    ----------
    experts : Experts
        The experts.
    latest : int
        T+: a student starts after 0 to T+ - 1 epochs.
    ahead : int
        M: epochs from its start to its target.
    """

    experts: Experts = field(default_factory=Experts)
    latest: int = 20
    ahead: int = 2

    def check(self) -> None:
        epochs = self.experts.training.passes
        if self.latest < 1 or self.ahead < 1 or self.latest - 1 + self.ahead > epochs:
            raise BadValue(
                f"students that start after 0 to {self.latest} - 1 epochs, with a target {self.ahead} later, and "
                f"experts trained for {epochs}; expected at least 1, and targets that experts reach",
                f"experts.training.epochs={max(1, self.latest - 1 + self.ahead)}",
            )

    def begin(self, scene: Scene, start: Mapping[str, Tensor] | None) -> Segments:
        if start is None:
            raise BadValue(
                "this recipe is taught by experts, and none are given",
                "start=run.snapshots[run.mark] of a finished run of recipe.first",
            )
        return Segments(self, scene, start)


class Segments(Idle):
    """Stored experts in one run: the start and the target of the student of a step."""

    def __init__(self, how: StoredExperts, scene: Scene, start: Mapping[str, Tensor]) -> None:
        self.how, self.scene = how, scene
        # Only a form: students run it with the weights of a segment.
        self._network = build(scene.network, scene.data.shape, scene.data.num_classes, device=scene.device)
        self.experts = {name: value for name, value in start.items() if not name.startswith(BESIDE)}
        self._check(scene.data, start.get(BESIDE + FINGERPRINT))
        self.start: Tensors = {}
        self.target: Tensors = {}

    def _check(self, data: ClassData, of: Tensor | None) -> None:
        wanted = {name: tuple(value.shape) for name, value in self._network.named_parameters()}
        given = {name: tuple(value.shape[2:]) for name, value in self.experts.items()}
        if given != wanted:
            raise BadValue(
                f"the experts have {len(given)} weights of other names or shapes than the {len(wanted)} of the "
                f"recipe's network ({self.scene.network.name}, width {self.scene.network.width}) on {data.name!r}",
                "the snapshots of a run of recipe.first",
            )
        if of is None or not of.cpu().equal(data.fingerprint()):
            raise BadValue(
                f"the experts were trained on other images than those of {data.name!r}, or on images that were "
                f"normalised otherwise than by {data.normalisation.name!r}",
                "a run of recipe.first on the same data",
            )

    @property
    def network(self) -> Network:
        return self._network

    def next(self, step: int) -> bool:
        streams, count = self.scene.streams, self.how.experts.count
        # Both draws follow from the number of the step, so nothing of them is in a checkpoint.
        turn, place = divmod(step, count)
        expert = torch.randperm(
            count, generator=streams.once(f"experts, turn {turn}"), device=streams.device
        )[place]
        drawn = streams.once(f"epoch of step {step}")
        epoch = torch.randint(self.how.latest, (), generator=drawn, device=streams.device)
        found = segment(self.experts, int(expert), int(epoch), self.how.ahead)
        # Only this segment is moved to the device: all experts together can be larger than its memory.
        self.start, self.target = (
            {name: value.to(self.scene.device) for name, value in weights.items()} for weights in found
        )
        return True
