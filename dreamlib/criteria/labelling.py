"""Learning labels for fixed images: LD (Bohdal et al. 2020), by second-order gradients or by ridge regression.

While labels are learned, a network is trained on them. It is replaced once it has stopped improving. The number of
steps that earlier networks needed is how long networks are trained when the set is evaluated.

Legend: n base images with labels Y (n, C), a batch of B of them, R real images, F features and a bias.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.func import functional_call

from ..compute.engine import Engine
from ..containers import Adam, Answers, Container, Optimiser
from ..core.errors import BadValue, Diverged, unknown
from ..core.files import below
from ..data import ClassData
from ..networks import Network, NetworkSpec, build, initialise
from ..networks.learners import Adam as AdamLearner
from ..networks.learners import own_steps
from ..networks.training import Learner, Outputs, TrainingData
from ..teachers import Restarting, Restarts, Scene, Teaching
from .base import OfSteps, Stateless, StepResult, register
from .labels import averaged, ridge_labels, second_order, with_bias
from .unrolled import Tensors, cross_entropy, forward_of, on_images, weight_gradient

WAYS = ("second order", "ridge")


@register("labelling")
@dataclass(frozen=True)
class Labelling(OfSteps):
    """The loss of real images after one step on base images, as a function of their labels.

    Attributes
    ----------
    way : str
        ``"second order"``: through one step of gradient descent of the whole network. ``"ridge"``: through the ridge
        solution of its last layer, :func:`~.labels.ridge_labels`.
    step_lr : float
        Of that one step of gradient descent.
    batch : int
        B, base images of a step, drawn for it; at most all.
    real_batch : int
        R.
    held_out : int
        Real images that only choose the labels: every :attr:`every` steps a new network is trained on the set and
        tested on them. The labels with the lowest error are the result. 0: the last labels are.
    every : int
        Steps between two such choices (LD: five passes over the real images).
    """

    way: str = "second order"
    step_lr: float = 0.01
    batch: int = 50
    real_batch: int = 1024
    held_out: int = 5000
    every: int = 245

    def check(self) -> None:
        if self.way not in WAYS:
            raise unknown("way to learn labels", self.way, WAYS)
        for name, least in (("batch", 1), ("real_batch", 1), ("held_out", 0), ("every", 1)):
            if getattr(self, name) < least:
                raise BadValue(
                    f"criterion: {name} is {getattr(self, name)}; expected at least {least}", f"{name}=50"
                )

    def suits(self, container: Container, teacher: object) -> None:
        if not isinstance(container, Answers) or not container.timed:
            raise BadValue(
                f"labels are to be learned, and the container is {type(container).__name__}; expected one of labels "
                "that says how long to train",
                'Answers(labels_by=Adam(), begin="uniform", simplex=True, timed=True)',
            )
        if not isinstance(teacher, Restarting):
            raise BadValue(
                f"labels are learned with a network that restarts, but the teacher is {type(teacher).__name__}",
                "teacher=Restarting()",
            )

    def fits(self, data: ClassData) -> None:
        if self.held_out + self.real_batch > data.total:
            raise BadValue(
                f"{self.held_out} held-out images and a batch of {self.real_batch} are more than the {data.total} of "
                f"{data.name}",
                f"held_out={data.total // 10}, real_batch={min(self.real_batch, data.total // 2)}",
            )

    def shown(self, classes: int, ipc: int) -> float:
        return 3.0 * min(self.batch, classes * ipc) + self.real_batch  # with a product with its Hessian

    def learner(self) -> Learner:
        """How networks are trained on the set: as the network that labels are learned with."""
        return AdamLearner(self.batch) if self.way == "second order" else RidgeHead(self.batch)

    def begin(self, scene: Scene, teaching: Teaching, start: Mapping[str, Tensor] | None) -> Learning:
        kind = Learning if self.way == "second order" else LearningByRidge
        return kind(self, scene, cast(Restarts, teaching))


class Learning(Stateless):
    """Labels by second-order gradients."""

    def __init__(self, how: Labelling, scene: Scene, teaching: Restarts) -> None:
        self.how, self.scene, self.teaching = how, scene, teaching
        count = scene.data.total
        # Always the same images for a seed: ``once`` starts the stream from its beginning.
        order = torch.randperm(count, generator=scene.streams.once("held out"), device=scene.device)
        self.held_out, self.kept = order[: how.held_out], order[how.held_out :]
        self.lowest = float("inf")  # error of held-out images, in percent
        self.chosen: Tensors = {}  # the labels and the number of steps that it belongs to
        self.learned: Tensors = {}  # the network's own gradient, taken before the labels move
        self.error = 0.0

    def gradients(self, step: int, stored: Tensors) -> StepResult:
        with self.scene.stopwatch.phase("matching"):
            labels = stored["labels"].flatten(0, 1)
            batch = self._batch(len(labels))
            real, classes = self._real(step)
            loss, by_labels, logits = self._step(
                stored["images"].flatten(0, 1),
                labels,
                batch,
                real,
                F.one_hot(classes, labels.shape[1]).to(labels),
            )
        # The real batch is not what the network learned from, so its error says when the network stops improving.
        self.error = 100 * float((logits.argmax(1) != classes).float().mean())
        return StepResult(loss, {"labels": by_labels.view_as(stored["labels"])})

    def _step(
        self, images: Tensor, labels: Tensor, batch: Tensor, real: Tensor, known: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The loss of real images, its gradient by the labels (n, C), and the real images' logits."""
        forward, weights = forward_of(self.teaching.network), _weights(self.teaching.network)
        # The network's own gradient, by the labels as they are before their update.
        ask = partial(weight_gradient, forward)
        self.learned = self._run("gradient", ask, weights, images[batch], labels[batch])
        rates = labels.new_tensor([self.how.step_lr])
        final = on_images(forward, real, known)
        # One step on the base images, then the loss of real images: its gradient by the labels (LD).
        found = second_order(forward, weights, images, labels, [batch], rates, final, self._run)
        return found.loss, found.learned["targets"], found.kept

    def _run(self, key: Hashable, function: Callable[..., Any], *arguments: Any) -> Any:
        scene = self.scene
        about = "labelling", scene.network, scene.data.shape, scene.data.num_classes
        return scene.engine.run((*about, key), function, *arguments)

    def after(self, step: int, stored: Tensors) -> None:
        # Labels stay probabilities after every update (LD), unlike IDC's pixels, which are clamped once per network.
        self.scene.container.project(stored)
        # The network's own step: by its gradient from before the labels moved (second order), or by the labels as they
        # are now (ridge).
        self._teach(stored)
        # The set carries how long networks shall learn from it, which LD finds together with the labels.
        stored["steps"].fill_(self.teaching.best)
        last = step + 1 == self.scene.steps
        if self.how.held_out and ((step + 1) % self.how.every == 0 or last):
            self._choose(step, stored)
            if last:
                for name, value in self.chosen.items():
                    stored[name].copy_(value)

    def _teach(self, stored: Tensors) -> None:
        self.teaching.learn(self.learned, self.error)

    def _choose(self, step: int, stored: Tensors) -> None:
        """Keep the labels if a new network trained on them has the lowest error so far on held-out images."""
        data, images, labels = self.scene.data, stored["images"].flatten(0, 1), stored["labels"].flatten(0, 1)

        def fetch(index: Tensor) -> tuple[Tensor, Tensor]:
            return images[index], labels[index]

        stream = self.scene.streams.once(f"validation, step {step}")
        training_data = TrainingData(fetch, len(labels), steps=int(stored["steps"]))
        outputs = Outputs(data.shape, data.num_classes, 1, stream)
        # As in an evaluation: new weights, and as many steps as the set says.
        training = self.how.learner().begin(
            training_data, self.scene.network, outputs, Engine("plain", data.device), None
        )
        with self.scene.stopwatch.phase("network"):
            while not training.done:
                training.advance()
            classes = data.labels[self.held_out]
            (right,) = training.accuracy(lambda part: data.at(self.held_out[part])[0], classes)
        # On equal errors the later labels are kept.
        if 100 - right <= self.lowest:
            self.lowest = 100 - right
            self.chosen = {name: stored[name].clone() for name in ("labels", "steps")}

    def _batch(self, count: int) -> Tensor:
        stream = self.scene.streams["base"]
        return torch.randperm(count, generator=stream, device=stream.device)[: self.how.batch].to(
            self.scene.device
        )

    def _real(self, step: int) -> tuple[Tensor, Tensor]:
        """The batch of a step: passes over all images not held out, the last batch of each perhaps smaller."""
        size = self.how.real_batch
        number, at = divmod(step, -(-len(self.kept) // size))
        stream = self.scene.fresh("real")(number)
        order = torch.randperm(len(self.kept), generator=stream, device=stream.device)
        return self.scene.data.at(self.kept[order[at * size : (at + 1) * size].to(self.scene.device)])

    @property
    def notes(self) -> dict[str, Any]:
        return {"held-out error": self.lowest, "steps": int(self.chosen["steps"])} if self.chosen else {}

    def state(self) -> Tensors:
        lowest = torch.tensor(self.lowest if self.chosen else -1.0, dtype=torch.float64)
        return {"lowest": lowest} | {f"chosen.{name}": value for name, value in self.chosen.items()}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        chosen = below(state, "chosen.")
        self.chosen = {name: value.to(self.scene.device, copy=True) for name, value in chosen.items()}
        self.lowest = float(state["lowest"]) if chosen else float("inf")


class LearningByRidge(Learning):
    """Labels through the ridge solution of the last layer, which is averaged over all steps of a network."""

    def __init__(self, how: Labelling, scene: Scene, teaching: Restarts) -> None:
        super().__init__(how, scene, teaching)
        self.head = Head(teaching.network.feature_size, scene.data.num_classes, scene.device)

    def _step(
        self, images: Tensor, labels: Tensor, batch: Tensor, real: Tensor, known: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        network = self.teaching.network
        if self.teaching.fresh:
            # The head averages solutions in the features of one network; those of the next are others.
            self.head = Head(network.feature_size, known.shape[1], real.device)
        with torch.no_grad():
            base, of_real = (with_bias(network.features(part)) for part in (images[batch], real))
        found = ridge_labels(base, labels[batch], self.head.weights, self.head.scale, of_real, known)
        self.given = images[batch], labels[batch].clone(), batch
        # Labels outside of the batch have a gradient of 0. Adam still moves them, by its running mean.
        return found.loss, torch.zeros_like(labels).index_copy(0, batch, found.labels), found.logits

    def _teach(self, stored: Tensors) -> None:
        # The head comes from the labels before their step, the loss from those after it (released code).
        images, before, batch = self.given
        now = stored["labels"].flatten(0, 1)[batch]
        self.teaching.learn(self.head.learn(self.teaching.network, images, before, now), self.error)

    def state(self) -> Tensors:
        return super().state() | {f"head.{name}": value for name, value in self.head.state().items()}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        super().restore(state)
        self.head.restore(below(state, "head."))


class Head:
    """LD's last layer by ridge regression: weights (F + 1, C) from zeros, and a scale that learns with the network."""

    def __init__(self, features: int, classes: int, device: torch.device) -> None:
        self.weights = torch.zeros(features + 1, classes, device=device)
        self.scale = torch.ones((), device=device)
        self.optimiser = Optimiser({"scale": self.scale}, {"scale": Adam(0.01)})

    def learn(self, network: Network, images: Tensor, labels: Tensor, targets: Tensor) -> Tensors:
        """Mix in the solution of a batch, update the scale, and return the gradient by the network's weights.

        Parameters
        ----------
        network : Network
            Its classifier is not used, and has no gradient.
        images, labels : Tensor
            (B, c, h, w) and (B, C): the batch that the ridge solution is of.
        targets : Tensor
            (B, C): targets of network and scale for this batch.
        """
        with torch.enable_grad():
            weights = {name: value.requires_grad_() for name, value in _weights(network).items()}
            # The classifier is replaced by the ridge solution, so it has no gradient.
            used = {name: value for name, value in weights.items() if not name.startswith("classifier.")}
            scale = self.scale.clone().requires_grad_()
            features = with_bias(_features(network, weights, images))
            head = averaged(self.weights, features, labels)
            loss = cross_entropy(scale * (features @ head), targets)
            *found, by_scale = torch.autograd.grad(loss, [*used.values(), scale])
        self.weights = head.detach()
        self.optimiser.step({"scale": self.scale}, {"scale": by_scale})
        return dict(zip(used, found, strict=True))

    def state(self) -> Tensors:
        return {"weights": self.weights, "scale": self.scale} | self.optimiser.state()

    def restore(self, state: Mapping[str, Tensor]) -> None:
        self.weights = state["weights"].to(self.weights.device, copy=True)
        self.scale.copy_(state["scale"])
        self.optimiser.restore(state, {"scale": self.scale})


@dataclass(frozen=True)
class RidgeHead:
    """Trains as LD's ridge variant does while labels are learned: features by Adam, the last layer by :class:`Head`.

    Attributes
    ----------
    batch : int
        Images of a step, drawn for it; at most all.
    lr : float
        Of Adam.
    """

    batch: int = 50
    lr: float = 1e-3

    def shown(self, size: int, stop: int | None) -> float:
        return AdamLearner(self.batch).shown(size, stop)

    def begin(
        self,
        training_data: TrainingData,
        spec: NetworkSpec,
        outputs: Outputs,
        engine: Engine,
        stop: int | None,
    ) -> RidgeTraining:
        return RidgeTraining(self, training_data, spec, outputs, own_steps(training_data, stop))


class RidgeTraining:
    """K networks, each trained one step after the other."""

    def __init__(
        self, how: RidgeHead, training_data: TrainingData, spec: NetworkSpec, outputs: Outputs, steps: int
    ) -> None:
        self.how, self.training_data, self.steps, self.step = how, training_data, steps, 0
        self.generator, self.size = outputs.generator, training_data.size
        device = outputs.generator.device
        self.networks = [
            build(spec, outputs.shape, outputs.num_classes, device) for _ in range(outputs.count)
        ]
        for network in self.networks:
            initialise(network.requires_grad_(False), outputs.generator)
        self.heads = [Head(network.feature_size, outputs.num_classes, device) for network in self.networks]
        self.optimisers = [
            Optimiser(dict(network.named_parameters()), {"": Adam(how.lr)}) for network in self.networks
        ]

    @property
    def done(self) -> bool:
        return self.step >= self.steps

    def advance(self) -> None:
        generator = self.generator
        # Sorted random keys: a draw without replacement for every network.
        keys = torch.rand(len(self.networks), self.size, generator=generator, device=generator.device)
        images, labels = self.training_data.fetch(keys.argsort(1)[:, : self.how.batch])
        if not labels.is_floating_point():
            labels = F.one_hot(labels, self.heads[0].weights.shape[1]).to(images)
        for number, (network, head) in enumerate(zip(self.networks, self.heads, strict=True)):
            gradients = head.learn(network, images[number], labels[number], labels[number])
            self.optimisers[number].step(dict(network.named_parameters()), gradients)
        self.step += 1

    def check(self) -> None:
        if not all(bool(torch.isfinite(head.weights).all()) for head in self.heads):
            raise Diverged(
                f"training diverged: the last layer is not finite after step {self.step} of {self.steps}",
                f"lower the learning rate (now {self.how.lr})",
            )

    def accuracy(self, images: Callable[[slice], Tensor], labels: Tensor, chunk: int = 500) -> list[float]:
        right = torch.zeros(len(self.networks))
        for first in range(0, len(labels), chunk):
            part = slice(first, min(first + chunk, len(labels)))
            batch = images(part)
            for number, (network, head) in enumerate(zip(self.networks, self.heads, strict=True)):
                answers = (with_bias(network.features(batch)) @ head.weights).argmax(1)
                right[number] += int((answers == labels[part]).sum())
        return (100 * right / len(labels)).tolist()

    def state(self) -> dict[str, Tensor]:
        out = {"step": torch.tensor(self.step)}
        for number, (network, head, moves) in enumerate(
            zip(self.networks, self.heads, self.optimisers, strict=True)
        ):
            parts = {"network": network.state_dict(), "head": head.state(), "moves": moves.state()}
            out |= {f"{number}.{part}.{name}": v for part, held in parts.items() for name, v in held.items()}
        return out

    def restore(self, state: dict[str, Tensor], generator: torch.Generator) -> None:
        self.generator, self.step = generator, int(state["step"])
        for number, (network, head, moves) in enumerate(
            zip(self.networks, self.heads, self.optimisers, strict=True)
        ):
            held = below(state, f"{number}.")
            network.load_state_dict(below(held, "network."))
            head.restore(below(held, "head."))
            moves.restore(below(held, "moves."), dict(network.named_parameters()))


def _weights(network: Network) -> Tensors:
    return {name: value.detach() for name, value in network.named_parameters()}


class _Body(torch.nn.Module):
    """``network.features`` as a module, under whose names weights can be put."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        return self.network.features(images)


def _features(network: Network, weights: Tensors, images: Tensor) -> Tensor:
    given = {f"network.{name}": value for name, value in weights.items()}
    found: Tensor = functional_call(_Body(network), given, (images,))
    return found
