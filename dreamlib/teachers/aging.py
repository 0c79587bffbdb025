"""An online pool of networks of all ages, trained on the set while it is distilled (FRePo: Zhou et al. 2022)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.func import functional_call

from ..containers import Adam, Images, Optimiser
from ..core.errors import BadValue
from ..core.files import below
from ..data import ClassData
from ..networks import Network, build, initialise
from ..networks.training import squared_error
from .base import Idle, R, Scene, register


@register("aging")
@dataclass(frozen=True)
class Aging:
    """A network of the pool is drawn for every step, makes one step on the set after it, and is replaced when old.

    Attributes
    ----------
    networks : int
        Size of the pool (FRePo: 10). Network i starts with an age of ``i * oldest / networks`` (released code).
    oldest : int
        K, the greatest age of a network (100). One that is older is initialised again, at age 0.
    lr : float
        Adam on half the squared error of the set's labels, summed over classes.
    most : int
        At most so many stored images in a training step, drawn again each step (1,000).
    """

    networks: int = 10
    oldest: int = 100
    lr: float = 3e-4
    most: int = 1000

    phases: tuple[str, ...] = ("network",)

    @property
    def rounds(self) -> int:
        return 1

    def check(self) -> None:
        for name in ("networks", "oldest", "most"):
            if getattr(self, name) < 1:
                raise BadValue(
                    f"teacher: {name} is {getattr(self, name)}; expected at least 1", f"teacher.{name}=10"
                )

    def fits(self, data: ClassData) -> None:
        """Nothing to check: networks are trained on the set alone."""

    def shown(self, classes: int, ipc: int) -> float:
        return float(min(self.most, classes * ipc))

    def before(self, recipe: R) -> R | None:
        return None

    def begin(self, scene: Scene, start: Mapping[str, Tensor] | None) -> Growing:
        return Growing(self, scene)


class Growing(Idle):
    """The pool in one run.

    Attributes
    ----------
    ages : list of int
        Training steps of each network, its initial age included.
    at : int
        The network of the step.
    """

    def __init__(self, how: Aging, scene: Scene) -> None:
        self.how, self.scene, self.at = how, scene, 0
        data = scene.data
        self._network = build(scene.network, data.shape, data.num_classes, device=scene.device)
        self._network.requires_grad_(False)
        self.weights: list[dict[str, Tensor]] = []
        self.optimisers: list[Optimiser] = []
        # Spread over all ages at the start, so that networks are not all replaced at the same step (released code).
        self.ages = [number * how.oldest // how.networks for number in range(how.networks)]

    @property
    def network(self) -> Network:
        return self._network

    def next(self, step: int) -> bool:
        stream = self.scene.streams["network"]
        # On the first step, not earlier: only then are the streams those of this run.
        if not self.weights:
            for _ in range(self.how.networks):
                self.weights.append({})
                self.optimisers.append(Optimiser({}, {}))
                self._renew(len(self.weights) - 1)
        # One network of the pool, uniformly (FRePo).
        self.at = int(torch.randint(self.how.networks, (), generator=stream, device=stream.device))
        self.network.load_state_dict(self.weights[self.at])
        return True

    def _renew(self, number: int) -> None:
        initialise(self.network, self.scene.streams["network"])
        self.weights[number] = {name: value.clone() for name, value in self.network.state_dict().items()}
        self.optimisers[number] = self._fresh()

    def _fresh(self) -> Optimiser:
        learned = {name: value.detach() for name, value in self.network.named_parameters()}
        return Optimiser(learned, {"": Adam(self.how.lr)})

    def after(self, step: int, stored: Mapping[str, Tensor]) -> None:
        """Train the step's network on the updated set, and count one more step of its age."""
        with self.scene.stopwatch.phase("network"):
            self._train(stored)
            self.ages[self.at] += 1
            # More than K, not K: a network makes K + 1 steps from age 0 before it is replaced (released code).
            if self.ages[self.at] > self.how.oldest:
                self._renew(self.at)
                self.ages[self.at] = 0

    def _train(self, stored: Mapping[str, Tensor]) -> None:
        scene, stream, network = self.scene, self.scene.streams["training"], self.network
        data = scene.data
        made = scene.container.training_set(
            stored, data.shape, data.num_classes, data.normalisation, scene.device
        )
        assert isinstance(made, Images)
        images, targets = made.images, made.targets
        if len(images) > self.how.most:
            # At most ``most`` images: large sets would make this step the slowest of all.
            part = torch.randperm(len(images), generator=stream, device=stream.device)[: self.how.most]
            images, targets = images[part], targets[part]
        network.train()
        state = self.weights[self.at]
        with torch.enable_grad():
            # One step of Adam on half the squared error, the loss of a regression, not cross-entropy (FRePo).
            leaves = {name: state[name].detach().requires_grad_() for name, _ in network.named_parameters()}
            statistics = {name: value.clone() for name, value in state.items() if name not in leaves}
            logits = functional_call(network, {**leaves, **statistics}, (images,))
            loss = squared_error(logits, targets)
            found = torch.autograd.grad(loss, list(leaves.values()))
        # Running statistics are set by the forward pass, not learned.
        for name, value in statistics.items():
            state[name].copy_(value)
        self.optimisers[self.at].step(state, dict(zip(leaves, found, strict=True)))

    def state(self) -> dict[str, Tensor]:
        out = {"ages": torch.tensor(self.ages), "at": torch.tensor(self.at)}
        for number, (weights, moves) in enumerate(zip(self.weights, self.optimisers, strict=True)):
            out |= {f"{number}.weights.{name}": value for name, value in weights.items()}
            out |= {f"{number}.moves.{name}": value for name, value in moves.state().items()}
        return out

    def restore(self, state: Mapping[str, Tensor]) -> None:
        if "ages" not in state:
            return
        self.ages, self.at = state["ages"].tolist(), int(state["at"])
        self.weights, self.optimisers = [], []
        for number in range(self.how.networks):
            held = below(state, f"{number}.weights.")
            if not held:
                return  # before the first step
            self.weights.append(
                {name: value.to(self.scene.device, copy=True) for name, value in held.items()}
            )
            self.optimisers.append(self._fresh())
            self.optimisers[-1].restore(below(state, f"{number}.moves."), self.weights[-1])
