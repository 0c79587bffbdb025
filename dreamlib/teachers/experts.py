"""Experts: networks trained on real images, whose weights are kept after every epoch (MTT: Cazenavette et al. 2022).

Legend: E experts, P snapshots of each: before the first epoch, and after each.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..augment import Siamese
from ..compute.engine import Engine
from ..core.errors import BadValue
from ..core.files import below
from ..core.streams import Streams
from ..data import ClassData
from ..networks import NetworkSpec
from ..networks.training import SGD, Stack, Training


@dataclass(frozen=True)
class Experts:
    """How many experts there are, and how they are trained. The defaults are MTT's, on 32x32 images (released code).

    Attributes
    ----------
    count : int
        E.
    training : SGD
        Plain: a rate of 0.01 without momentum, weight decay or steps down, and images augmented like synthetic ones.
        As many epochs as students' targets reach; the rest would be kept and never looked at.
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


class ExpertTraining:
    """Trains experts side by side; a task that advances by small steps and can be saved at any of them.

    Parameters
    ----------
    data : ClassData
        The real training images, all of which are trained on.
    spec : NetworkSpec
        Architecture of the experts, without running statistics: students are not to inherit what is no weight.
    experts : Experts
        What to do.
    streams : Streams
        ``"experts"`` draws the weights, the order of the images and the augmentation.
    engine : Engine, optional
        Runs the networks; by default plainly.

    Attributes
    ----------
    trajectories : dict of str to Tensor
        (E, P so far, ...) by the name of the weight.

    Raises
    ------
    BadValue
        For a network with running statistics, and for no experts.
    """

    def __init__(
        self,
        data: ClassData,
        spec: NetworkSpec,
        experts: Experts,
        streams: Streams,
        engine: Engine | None = None,
    ) -> None:
        generator = streams["experts"]
        stack = Stack(spec, data.shape, data.num_classes, experts.count, generator)
        if len(stack.tensors) > len(stack.parameter_names):
            raise BadValue(
                f"experts of {spec.name} with {spec.norm} norm keep running statistics; students follow weights",
                'norm="instance"',
            )
        self.training = Training(stack, data.at, data.total, experts.training, generator, engine=engine)
        self.trajectories = {name: value[:, None] for name, value in self._snapshot().items()}

    def _snapshot(self) -> dict[str, Tensor]:
        return {name: value.clone() for name, value in self.training.stack.tensors.items()}

    @property
    def step(self) -> int:
        return self.training.step

    @property
    def steps(self) -> int:
        return self.training.steps

    @property
    def done(self) -> bool:
        return self.training.done

    def advance(self) -> None:
        """One training step of all experts, and a snapshot where it ends an epoch.

        Raises
        ------
        Diverged
            If weights are no longer finite at the end of an epoch; :attr:`trajectories` holds those before it.
        """
        self.training.advance()
        if self.step % self.training.per_epoch == 0:
            self.training.check()
            self.trajectories = {
                name: torch.cat([self.trajectories[name], value[:, None]], 1)
                for name, value in self._snapshot().items()
            }

    def state(self) -> dict[str, Tensor]:
        """Everything needed to go on, but for the random stream; of finished training, only the trajectories."""
        out = {f"trajectories.{name}": value for name, value in self.trajectories.items()}
        if not self.done:
            out |= {f"training.{name}": value for name, value in self.training.state().items()}
        return out

    def restore(self, state: dict[str, Tensor], generator: torch.Generator) -> None:
        """Go on from what :meth:`state` returned, with the random stream as it was then."""
        device = self.training.generator.device
        self.trajectories = {
            name: value.to(device, copy=True) for name, value in below(state, "trajectories.").items()
        }
        self.training.generator = generator
        training = below(state, "training.")
        if training:
            self.training.restore(training)
        else:
            self.training.step = self.training.steps
