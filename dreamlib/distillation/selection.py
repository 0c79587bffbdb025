"""The initial images of a set: a coreset's choice, and the embedding network behind it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from ..containers import Container
from ..core.files import below
from ..coresets import History
from ..networks import build, initialise
from ..networks.training import Stack, Training, module_from
from ..samplers import View
from ..teachers import Scene
from .recipe import Recipe


class Selection:
    """Chooses the real images (or noise) to start from; first trains the network that a coreset asks for.

    A task that advances by small steps and can be saved at any of them: :attr:`step` of :attr:`steps`, the last of
    which is the choice itself, :meth:`choose`.
    """

    def __init__(self, recipe: Recipe, scene: Scene, slots: int) -> None:
        self.recipe, self.scene, self.slots = recipe, scene, slots
        self.training = self._training() if recipe.initial.epochs else None

    @property
    def step(self) -> int:
        return self.training.step if self.training else 0

    @property
    def steps(self) -> int:
        return self.training.steps + 1 if self.training else 1

    @property
    def trained(self) -> bool:
        """Whether nothing but the choice is left to do."""
        return self.training is None or self.training.done

    def advance(self) -> None:
        """One step of the network."""
        assert self.training is not None
        self.training.advance()

    def _training(self) -> Training:
        """Training of the embedding network on all real images, which counts forgetting events on the way."""
        scene, data = self.scene, self.scene.data
        generator = scene.streams["embedding"]
        position, mask = data.padded_index()
        label = torch.arange(data.num_classes, device=data.device).unsqueeze(1).expand_as(position)
        # Every image as (position in its class, class), and its slot in the padded (C, N) rectangle.
        flat_position, flat_label = position[mask], label[mask]
        slot = mask.flatten().nonzero().squeeze(1)
        self.correct = torch.zeros(mask.numel(), dtype=torch.bool, device=data.device)
        self.ever = torch.zeros_like(self.correct)
        self.events = torch.zeros(mask.numel(), dtype=torch.int64, device=data.device)

        def fetch(index: Tensor) -> tuple[Tensor, Tensor]:
            # index is (1, B): a stack of one network.
            images = data.take(flat_position[index[0]].unsqueeze(1), flat_label[index[0]])
            return images.transpose(0, 1), flat_label[index]

        def count_forgetting(index: Tensor, correct: Tensor) -> None:
            # A forgetting event: right at the last visit of this image, wrong now (Toneva et al. 2019, section 3).
            at = slot[index[0]]
            self.events[at] += self.correct[at] & ~correct[0]
            self.correct[at] = correct[0]
            self.ever[at] |= correct[0]

        # The coreset says how long: forgetting has to see several epochs, herding only needs features.
        settings = replace(self.recipe.embedding, epochs=self.recipe.initial.epochs)
        stack = Stack(scene.network, data.shape, data.num_classes, 1, generator)
        return Training(
            stack, fetch, len(flat_label), settings, generator, count_forgetting, engine=scene.engine
        )

    def history(self) -> History:
        """The number of forgetting events of each image."""
        position, _ = self.scene.data.padded_index()
        if self.training is None:
            return History(torch.zeros_like(position))
        # Images that were never classified correctly count as the most forgotten, as in Toneva et al.
        events = torch.where(self.ever, self.events, self.events.max() + 1)
        return History(events.view(position.shape))

    def choose(self, container: Container) -> Tensor:
        """Images (C, slots, c, h, w) in the container's space."""
        scene, data, space = self.scene, self.scene.data, container.space
        if self.training is None:
            # An untrained network: DREAM's start clusters its embedding (released code).
            network = build(scene.network, data.shape, data.num_classes, device=scene.device)
            initialise(network, scene.streams["embedding"])
        else:
            self.training.check()
            network = module_from(self.training.stack)
        # In evaluation mode: features must not depend on the other images of a batch.
        network.requires_grad_(False).eval()
        stream = scene.streams["initial"]
        view = View(data, network, self.slots, stream, scene.engine, space=space)
        # Positions (C, slots) of real images, or None for noise.
        index = self.recipe.initial.choose(view, self.history())
        if index is not None:
            return data.take(index) if space == "normalised" else data.unit(index)
        noise = torch.randn(data.num_classes, self.slots, *data.shape, generator=stream, device=scene.device)
        # In unit space noise is brought to mean 0.5 and standard deviation 1/4, and clamped (IDC, released code).
        return (noise / 4 + 0.5).clamp(0, 1) if space == "unit" else noise

    def state(self) -> dict[str, Tensor]:
        """Everything needed to resume, except the random streams."""
        if self.training is None:
            return {}
        out = {f"training.{name}": value for name, value in self.training.state().items()}
        return out | {"events": self.events, "correct": self.correct, "ever": self.ever}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Resume from what :meth:`state` returned."""
        if self.training is None:
            return
        self.training.generator = self.scene.streams["embedding"]
        self.training.restore(below(state, "training."))
        for name in ("events", "correct", "ever"):
            getattr(self, name).copy_(state[name])
