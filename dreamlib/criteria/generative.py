"""The criterion of a generator: an objective alone (a GAN, say), or with matching added to it (DiM, Algorithm 1)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.func import functional_call

from ..augment import Siamese
from ..compute.engine import Engine
from ..containers import Generator, Optimiser
from ..core.errors import BadValue, Diverged
from ..core.files import below
from ..core.streams import Streams
from ..data import ClassData
from ..matchers import Logits, Matcher, measure_under
from ..networks import batch_norms, initialise
from ..teachers import ModelsPool, Scene, Teaching, Untaught
from ..teachers.models import Epochs
from .adversarial import Adversarial
from .base import R, StepResult, Tensors, register
from .objective import Batch, Objective

PREVIEW = 8  # images of each class that are checked for collapse and shown during training
# A class has collapsed when the spread of its images is below this share of that of real ones. Checked from a tenth of
# the training on: at the start a generator gives one grey for everything. Both numbers are ours.
COLLAPSED, CHECKED_FROM = 0.02, 0.1


@register("generative")
@dataclass(frozen=True)
class Generative:
    """How a generator is trained: by its objective, and from some epoch on by a matcher too (DiM, Eq. 7).

    What is lowered is::

        L_g + weight * L_m        L_m: distance between generated and real images under a network of the models pool

    Epochs are passes over the real images, in whole batches. While nothing is matched, training depends only on the
    fields up to ``carries_adam``. One such training therefore serves all recipes that start to match at one of its
    epochs.
    Where DiM's paper is silent, the defaults are those of its released code.

    Attributes
    ----------
    objective : Objective
        L_g: what makes generated images resemble the data.
    epochs : int
        Of the objective alone, when nothing is matched later.
    batch : int
        Real images of a step, and as many generated ones.
    also_kept : tuple of int
        Further epochs after which a state is kept, besides the first and the last.
    independent_draws : bool
        The partner's step (the discriminator's) has noise and labels of its own, labels uniform over the classes (DiM,
        released code). False: it has those of the generator's step, whose labels are those of the real batch.
    generator_first : bool
        A step updates the generator, then the partner against the updated generator (DiM, released code). False: the
        partner first.
    carries_adam : bool
        Matching continues with Adam's running means from the first stage (released code). False: from zero.
    matched_from : int
        N, epochs of the objective alone before matching starts.
    matched_epochs : int
        Q, epochs with ``objective + weight * matcher``. 0: nothing is matched.
    matched_batch : int
        B, real images of a step while matching.
    matched_rate : float
        Adam's rate while matching, as a factor of the container's. 1/20 in the released code; the paper names none.
    weight : float
        Lambda (Eq. 7). With 0 nothing is matched and no network is drawn, and the stage is otherwise the same. This is
        the control for any gain of matching.
    matcher : Matcher
        What of generated and real images is compared (Eq. 5).
    augment : Siamese
        Of both, drawn once a step.
    """

    objective: Objective = field(default_factory=Adversarial)
    epochs: int = 200
    batch: int = 64
    also_kept: tuple[int, ...] = ()
    independent_draws: bool = True
    generator_first: bool = True
    carries_adam: bool = True
    matched_from: int = 120
    matched_epochs: int = 0
    matched_batch: int = 64
    matched_rate: float = 1 / 20
    weight: float = 0.01
    matcher: Matcher = field(default_factory=Logits)
    augment: Siamese = field(default_factory=lambda: Siamese("none"))

    @property
    def matching(self) -> bool:
        """Whether this is the stage that matches."""
        return self.matched_epochs > 0

    @property
    def taught(self) -> bool:
        # With weight 0 the matcher would add nothing to the gradient, so no network is drawn.
        return self.matching and self.weight > 0

    @property
    def phases(self) -> tuple[str, ...]:
        return ("generator",)

    @property
    def lr_factor(self) -> float:
        return self.matched_rate if self.matching else 1.0

    @property
    def first(self) -> int:
        return self.matched_from if self.matching else 0

    @property
    def carries(self) -> bool:
        return self.carries_adam and (not self.matching or self.matched_from > 0)

    @property
    def size(self) -> int:
        """Real images of a step of this stage."""
        return self.matched_batch if self.matching else self.batch

    def before(self, recipe: R) -> R | None:
        """The first stage: the objective alone, with a state kept where matching starts."""
        if not self.matching:
            return None
        alone = self._alone()
        # Recipes that start at a kept epoch share one first stage. Another epoch needs a first stage of its own.
        if self.matched_from not in alone.kept(alone.epochs):
            alone = replace(alone, also_kept=tuple(sorted({*alone.also_kept, self.matched_from})))
        return cast(R, replace(cast(Any, recipe), criterion=alone, teacher=Untaught()))

    def _alone(self) -> Generative:
        """This criterion without matching: the same for all criteria that differ only in what they match."""
        default = Generative()
        return replace(
            self,
            **{
                name: getattr(default, name)
                for name in (
                    "matched_from",
                    "matched_epochs",
                    "matched_batch",
                    "matched_rate",
                    "weight",
                    "matcher",
                    "augment",
                )
            },
        )

    def steps(self, iterations: int, rounds: int) -> int:
        """Epochs in all."""
        return self.matched_from + self.matched_epochs if self.matching else self.epochs

    def kept(self, steps: int) -> tuple[int, ...]:
        between = (epoch for epoch in self.also_kept if self.first < epoch < steps)
        return tuple(sorted({self.first, steps, *between}))

    def unit(self, data: ClassData) -> int:
        """Steps of an epoch."""
        return data.total // self.size

    def check(self) -> None:
        least = {"epochs": 1, "batch": 2, "matched_from": 0, "matched_epochs": 0, "matched_batch": 2}
        for name, low in least.items():
            value = getattr(self, name)
            if not isinstance(value, int) or value < low:
                raise BadValue(
                    f"generative criterion: {name} is {value!r}; expected a whole number of at least {low}",
                    f"{name}={low}",
                )
        for name in ("matched_rate", "weight"):
            value = getattr(self, name)
            if not isinstance(value, int | float) or not value >= 0:
                raise BadValue(
                    f"generative criterion: {name} is {value!r}; expected a number of at least 0",
                    f"{name}=0.01",
                )
        if self.matching and self.matched_from > self.epochs:
            raise BadValue(
                f"matching starts after epoch {self.matched_from}, but the generator is trained for {self.epochs}",
                f"matched_from={self.epochs} or less, or more epochs",
            )
        if not self.matching and self.augment.stages:
            raise BadValue(
                f"recipe: augment is {self.augment.strategy!r}, and nothing is matched under it",
                "matched_epochs=80 in the criterion, or augment=Siamese('none')",
            )

    def suits(self, container: object, teacher: object) -> None:
        if not isinstance(container, Generator):
            raise BadValue(
                f"recipe: a generative criterion, and the container {type(container).__name__} is no generator",
                "container=Generator()",
            )
        wanted = ModelsPool if self.matching else Untaught
        if not isinstance(teacher, wanted):
            raise BadValue(
                f"recipe: a teacher {type(teacher).__name__}; a generator "
                + (
                    "is matched under a pool of models"
                    if self.matching
                    else "that matches nothing needs none"
                ),
                f"teacher={wanted.__name__}()",
            )

    def fits(self, data: ClassData) -> None:
        if self.size > data.total:
            raise BadValue(
                f"a batch of {self.size} exceeds the {data.total} images of {data.name}",
                f"batch={data.total}",
            )

    def shown(self, classes: int, ipc: int) -> float:
        """Infinite: generators are compiled whatever the amount of work."""
        return float("inf")

    def begin(self, scene: Scene, teaching: Teaching, start: Mapping[str, Tensor] | None) -> Play:
        return Play(self, scene, teaching, start)


class Play:
    """A generator and its partner in one run."""

    def __init__(
        self, how: Generative, scene: Scene, teaching: Teaching, start: Mapping[str, Tensor] | None
    ) -> None:
        self.how, self.scene, self.teaching = how, scene, teaching
        self.container = cast(Generator, scene.container)
        data = self.data = scene.data
        with torch.device("meta"):
            self.generator = self.container.module(data.shape, data.num_classes)
        # Not compiled on a CPU: layer norm between convolutions costs a compiled step more than fusing saves.
        self.engine = Engine(
            scene.engine.mode, scene.device, scene.device.type == "cpu", programs=scene.engine.programs
        )
        noise, width = self.container.noise, self.container.width
        module = how.objective.partner(data.shape, data.num_classes, noise, width)
        self.partner: Tensors = {}
        if module is not None:
            initialise(module.to(scene.device), scene.streams["weights"])
            self.partner = {name: value.detach() for name, value in module.state_dict().items()}
        # From here on the module is only a form: functional_call puts the tensors of ``partner`` into it.
        self.module = None if module is None else module.to("meta")
        learned = (
            {} if module is None else {name: self.partner[name] for name, _ in module.named_parameters()}
        )
        # The partner is trained with the generator's Adam (DiM, released code: one rate and betas for both).
        update = next(iter(self.container.updates(cast(Any, None)).values()))
        self.optimiser = Optimiser(learned, {"": update})
        if start is not None:
            self._go_on(start)
        self.order = torch.empty(0, dtype=torch.int64, device=scene.device)
        self.batch: Batch | None = None
        self.jointly: StepResult | None = None
        # What collapse is measured by: the spread of some real images of every class.
        labels = torch.arange(data.num_classes, device=scene.device)
        self.preview_labels = labels.unsqueeze(1).expand(-1, PREVIEW)
        self._real_spread = _spread(data.unit(data.padded_index()[0][:, : 4 * PREVIEW]))

    def _go_on(self, start: Mapping[str, Tensor]) -> None:
        """Take the partner and its Adam state from the stage before."""
        given = below(start, "partner.")
        if {n: v.shape for n, v in given.items()} != {n: v.shape for n, v in self.partner.items()}:
            raise BadValue(
                f"the start holds another partner ({len(given)} tensors) than this recipe's ({len(self.partner)})",
                f"start=run.snapshots[{self.how.matched_from}] of a run of recipe.first",
            )
        for name, value in given.items():
            self.partner[name].copy_(value)
        if self.how.carries:
            self.optimiser.restore(below(start, "partner_moves."), self.partner)

    @property
    def notes(self) -> dict[str, Any]:
        parameters = {"generator": _count(self.generator), "partner": _count(self.module)}
        return {"parameters": parameters, "steps": self.scene.steps}

    # One step: the generator and then its partner, or the partner first (DiM, Algorithm 1)

    def gradients(self, step: int, stored: Tensors) -> StepResult:
        position = step % self.scene.unit
        # A new permutation of the real images at the beginning of each epoch.
        if position == 0:
            keys = torch.rand(
                self.data.total, generator=self.scene.streams["order"], device=self.scene.device
            )
            self.order = keys.argsort()
        with self.scene.stopwatch.phase("generator"):
            self.batch = self._draw(self.order[position * self.how.size : (position + 1) * self.how.size])
            if not self.how.generator_first:
                self._move_partner(stored)
            return self._generator_gradient(stored)

    def after(self, step: int, stored: Tensors) -> None:
        with self.scene.stopwatch.phase("generator"):
            # A joint partner (an encoder) was differentiated together with the generator, so it moves only after that.
            if self.jointly is not None:
                self.optimiser.step(self.partner, self.jointly.gradients, self.how.lr_factor)
                _copy_statistics(self.partner, self.jointly.statistics)
            if self.how.generator_first:
                self._move_partner(stored)
        # Once an epoch: a preview draws images that train nothing.
        if (step + 1) % self.scene.unit == 0:
            self._check_collapse(step + 1, stored)

    def _draw(self, index: Tensor) -> Batch:
        """A batch of real images and all random numbers that a step needs."""
        images, labels = self.data.at(index)
        stream, count, device = self.scene.streams["noise"], len(labels), self.scene.device
        # Always the same draws in the same order, whatever the objective needs, so that runs which differ only in the
        # objective see the same batches.
        size = count, self.container.noise
        noise, extra = (torch.randn(size, generator=stream, device=device) for _ in range(2))
        uniform = torch.rand(count, generator=stream, device=device)
        # The partner's generated images: those of the generator's step, or independent ones (released code).
        other = noise, labels
        if self.how.independent_draws:
            drawn = torch.randn(size, generator=stream, device=device)
            other = drawn, torch.randint(self.data.num_classes, (count,), generator=stream, device=device)
        # Generators give images in [-1, 1], so the real ones are brought there too.
        return Batch(self.data.normalisation.leave(images, "signed"), labels, noise, extra, uniform, *other)

    def _move_partner(self, stored: Tensors) -> None:
        """One step of a partner that has a loss of its own."""
        if self.module is None or self.how.objective.joint:
            return
        assert self.batch is not None
        gradients, statistics, seen = self.engine.run(
            self._key("partner"), self._partner_gradients, stored, self.partner, vars(self.batch)
        )
        self.optimiser.step(self.partner, gradients, self.how.lr_factor)
        _copy_statistics(self.partner, statistics)
        _copy_statistics(stored, seen)

    def _generator_gradient(self, stored: Tensors) -> StepResult:
        """The generator's loss and gradients, and those of a joint partner."""
        under: Tensors = {}
        numbers = torch.empty(0, device=self.scene.device)
        matched: tuple[object, ...] = ()
        mismatch: Callable[[Tensors, Tensor, Tensor, Batch], Tensor] | None = None
        network = self.teaching.network
        if network is not None:
            # Matching: the network's weights and the augmentation's numbers are arguments of the step, and what selects
            # code (the network's architecture, the drawn operations) is part of its key.
            pool = cast(Epochs, self.teaching)
            under = network.state_dict()
            transform = self.how.augment.draw(1, self.scene.streams["augment"])
            numbers = transform.numbers
            seen = pool.spec, pool.how.mode, pool.how.space, self.data.normalisation
            matched = self.how.matcher, self.how.weight, *seen, transform.recipe, transform.kinds
            mismatch = partial(self._mismatch, transform)
        assert self.batch is not None
        loss, gradients, statistics, jointly, also, counted = self.engine.run(
            self._key("generator", *matched),
            partial(self._generator_gradients, mismatch),
            stored,
            self.partner,
            under,
            numbers,
            vars(self.batch),
        )
        self.jointly = StepResult(loss, jointly, also) if jointly else None
        if network is not None:
            _copy_statistics(network.state_dict(), counted)
        return StepResult(loss, gradients, statistics)

    # The losses and their gradients, as pure functions that an engine can compile

    def _partner_gradients(
        self, weights: Tensors, partner_weights: Tensors, tensors: Tensors
    ) -> tuple[Tensors, Tensors, Tensors]:
        """Gradients of the partner's loss by its weights, its running statistics and the generator's.

        The generator runs in training mode, so these images update its running statistics too.
        """
        assert self.module is not None
        with torch.enable_grad():
            leaves, others = _split(self.module, partner_weights)
            fixed, seen = _split(self.generator, weights)
            generator = self._under(self.generator, {**fixed, **seen})
            partner = self._under(self.module, {**leaves, **others})
            loss = self.how.objective.partner_loss(generator, partner, Batch(**tensors))
            assert loss is not None
            found = torch.autograd.grad(loss, list(leaves.values()))
        return dict(zip(leaves, found, strict=True)), others, seen

    def _generator_gradients(
        self,
        mismatch: Callable[[Tensors, Tensor, Tensor, Batch], Tensor] | None,
        weights: Tensors,
        partner_weights: Tensors,
        under: Tensors,
        numbers: Tensor,
        tensors: Tensors,
    ) -> tuple[Tensor, Tensors, Tensors, Tensors, Tensors, Tensors]:
        """L_g + lambda L_m (Eq. 7), its gradients by the generator's weights and its running statistics.

        And the same two of a joint partner, and the running statistics of the network that is matched under; empty
        where there is none.
        """
        batch = Batch(**tensors)
        counted: Tensors = {}
        with torch.enable_grad():
            leaves, others = _split(self.generator, weights)
            also, rest = (
                ({}, partner_weights) if self.module is None else _split(self.module, partner_weights)
            )
            partner = None if self.module is None else self._under(self.module, {**also, **rest})
            generator = self._under(self.generator, {**leaves, **others})
            loss, generated = self.how.objective.generator_loss(generator, partner, batch)
            if mismatch is not None:
                assert self.teaching.network is not None
                # Copies: in training mode batch norms update these in place, and a pure function must not change its
                # arguments.
                counted = {name: under[name].clone() for name, _ in self.teaching.network.named_buffers()}
                loss = loss + self.how.weight * mismatch({**under, **counted}, numbers, generated, batch)
            # To the generator a discriminator is a constant: neither its weights nor its statistics change in this
            # step.
            if not self.how.objective.joint:
                also, rest = {}, {}
            found = torch.autograd.grad(loss, [*leaves.values(), *also.values()])
        first, second = found[: len(leaves)], found[len(leaves) :]
        return (
            loss.detach(),
            dict(zip(leaves, first, strict=True)),
            others,
            dict(zip(also, second, strict=True)),
            rest,
            counted,
        )

    def _mismatch(
        self, transform: Any, under: Tensors, numbers: Tensor, generated: Tensor, batch: Batch
    ) -> Tensor:
        """L_m (Eq. 5): distance of real and generated images under the drawn network, augmented alike."""
        network, pool = self.teaching.network, cast(Epochs, self.teaching)
        assert network is not None
        augment = replace(transform, numbers=numbers)
        # With batch norm everything stays in float32: running statistics, and the maps they are computed from.
        exact = Engine("plain", self.scene.device)
        low = (exact if batch_norms(network) else self.engine).lower

        def seen(images: Tensor) -> Tensor:
            return cast(Tensor, low(augment(pool.enter(images).unsqueeze(0))))

        # One group of N images. Generated image i has the label of real image i, so that the pairs of Eq. 5 are of one
        # class.
        labels = batch.labels.unsqueeze(0)
        measure = partial(measure_under, low(under), self.how.matcher, network)
        # The real images first: in training mode both batches update the running statistics, in this order.
        real = measure(seen(batch.real), labels, False)
        found = measure(seen(generated), labels, True)
        # The real side is a constant here, unlike in the released code, which detaches nothing: it has no path to the
        # generator either way.
        return self.how.matcher.distance([v.detach().float() for v in real], [v.float() for v in found])

    def _under(self, module: nn.Module, tensors: Tensors) -> Callable[..., Any]:
        """A module with other tensors in place of its own: a pure function of them."""
        return self.engine.autocast(lambda *inputs: functional_call(module, tensors, inputs))

    def _key(self, what: str, *more: object) -> tuple[object, ...]:
        """Everything the gradients close over: runs that differ in anything else share one compiled version."""
        return what, self.how.objective, self.container, self.data.shape, self.data.num_classes, *more

    # Check for collapse
    def preview(self, stored: Tensors) -> Tensor:
        """Unit images (C, n, c, h, w) of the current generator, always from the same noise."""
        data = self.data
        draws = self.container.training_set(
            stored, data.shape, data.num_classes, data.normalisation, self.scene.device
        )
        return draws.unit(self.preview_labels, Streams(0, self.scene.device)["preview"])

    def _check_collapse(self, steps: int, stored: Tensors) -> None:
        """Stop a generator that gives the same image for any noise."""
        if steps < CHECKED_FROM * self.scene.steps:
            return
        # Class by class: a generator can collapse on one class alone. 1e-6 stands in for a class of equal images.
        share = _spread(self.preview(stored)) / self._real_spread.clamp(min=1e-6)
        worst = int(share.argmin())
        if float(share[worst]) < COLLAPSED:
            epochs = self.scene.steps // self.scene.unit
            raise Diverged(
                f"the generator has collapsed by epoch {self.how.first + steps // self.scene.unit} of "
                f"{self.how.first + epochs}: the spread of its images of class {self.data.classes[worst]!r} is "
                f"{float(share[worst]):.2%} of that of real ones",
                f"lower lr (now {self.container.lr * self.how.lr_factor}), or another seed",
            )

    # Checkpoints

    def for_next_stage(self) -> Tensors:
        """The partner and its Adam state, for the stage that matches."""
        if self.how.matching:
            return {}
        out = {f"partner.{name}": value for name, value in self.partner.items()}
        if self.how.carries:
            out |= {f"partner_moves.{name}": value for name, value in self.optimiser.state().items()}
        return out

    def settled(self, stored: Tensors) -> dict[str, Tensors]:
        return {}

    def settle(self, stored: Tensors, parts: Mapping[str, Tensors]) -> None:
        return

    def state(self) -> Tensors:
        out = {f"partner.{name}": value for name, value in self.partner.items()}
        out |= {f"partner_moves.{name}": value for name, value in self.optimiser.state().items()}
        return out | {"order": self.order}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        for name, value in below(state, "partner.").items():
            self.partner[name].copy_(value)
        self.optimiser.restore(below(state, "partner_moves."), self.partner)
        self.order = state["order"].to(self.scene.device)


def _spread(images: Tensor) -> Tensor:
    """Spread of images (C, n, c, h, w) in each class: the mean over pixels of their standard deviation, (C,)."""
    return images.std(1, correction=0).flatten(1).mean(1)


def _split(module: nn.Module, tensors: Mapping[str, Tensor]) -> tuple[Tensors, Tensors]:
    """A module's weights as leaves to differentiate by, and copies of its running statistics."""
    learned = {name for name, _ in module.named_parameters()}
    leaves = {name: value.detach().requires_grad_() for name, value in tensors.items() if name in learned}
    return leaves, {name: value.clone() for name, value in tensors.items() if name not in learned}


def _copy_statistics(tensors: Mapping[str, Tensor], statistics: Mapping[str, Tensor]) -> None:
    """Copy new running statistics into ``tensors``."""
    for name, value in statistics.items():
        tensors[name].copy_(value)


def _count(module: nn.Module | None) -> int:
    return 0 if module is None else sum(weight.numel() for weight in module.parameters())
