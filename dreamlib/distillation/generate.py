"""Distillation into a generator: one loop for a generative model alone, and for DiM, resumable at every step.

    draw noise for a batch of labels, generate, move the generator by its objective; from some epoch on, compare what a
    network of the models pool makes of generated and of real images too (DiM, Algorithm 1); move the discriminator

Which objective, what is compared and under which networks are the recipe's parts; nothing here knows them by name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.func import functional_call

from ..augment import Transform
from ..compute.backend import Stopwatch
from ..compute.engine import Engine
from ..containers import Drawing, GenerativeContainer
from ..core.errors import BadValue, Diverged
from ..core.files import below
from ..core.streams import Streams
from ..criteria import Batch
from ..data import ClassData, statistics
from ..matchers import measure_under
from ..networks import Network, batch_norms, build, initialise
from ..networks.training import learn_batch
from .recipe import Generation, Recipe

Tensors = dict[str, Tensor]

PREVIEW = 8  # images of each class that are looked at for collapse, and shown along the way
# A class has collapsed when its images differ by less than this share of what real ones differ by. Watched from a tenth
# of the training on: at the start a generator gives one grey for everything.
COLLAPSED, WATCHED_FROM = 0.02, 0.1


class GeneratorTraining:
    """One run of one recipe whose container is a generator.

    Parameters
    ----------
    data : ClassData
        The real training images, on the device of the run.
    recipe : Recipe
        What to do; with a ``generation``.
    seed : int
        Seed of every random stream of the run.
    start : dict of str to Tensor, optional
        What :attr:`snapshots` of ``recipe.first`` hold after ``recipe.generation.matched_from`` epochs; for recipes
        that match.

    Attributes
    ----------
    snapshots : dict of int to Tensors
        By epoch, copies of the generator (``"generator.*"``), and while nothing is matched of what is trained beside it
        (``"partner.*"``), and of what Adam remembers (``"adam.*"``) where matching goes on with it.
    losses : list of (int, float)
        By step, sparsely: the generator's loss.
    seconds : dict of str to float
        Time spent by phase: generator, network (of the models pool).

    Raises
    ------
    BadValue
        For a recipe that does not fit the data: images of another size, more classes than numbers of noise, a pool of
        networks too deep for the images, a batch larger than the data set; for a missing start.
    """

    def __init__(
        self, data: ClassData, recipe: Recipe, seed: int, start: Mapping[str, Tensor] | None = None
    ) -> None:
        recipe.check()
        if recipe.generation is None:
            raise BadValue("this recipe does not say how its generator is trained", "generation=Generation()")
        if recipe.constants:
            data = data.normalised_as(statistics(recipe.constants))
        self.data, self.recipe, self.device = data, recipe, data.device
        self.how: Generation = recipe.generation
        self.matching = self.how.matched_epochs > 0
        self.compares = self.matching and self.how.weight > 0  # a matcher of no weight is not asked
        self.batch = self.how.matched_batch if self.matching else self.how.batch
        if self.batch > data.total:
            raise BadValue(
                f"a batch of {self.batch} exceeds the {data.total} images of {data.name}",
                f"batch={data.total}",
            )
        learns = self.matching and recipe.schedule.trained_on == "real"
        if learns and recipe.schedule.batch > data.total:
            raise BadValue(
                f"networks of the pool learn in batches of {recipe.schedule.batch}, and {data.name} has {data.total} "
                "images",
                f"schedule.batch={data.total}",
            )
        self.container = cast(GenerativeContainer, recipe.container)
        self.container.check(data.shape, data.num_classes)
        self.streams = Streams(seed, self.device)
        self.generator = self._fresh(self.container.module(data.shape, data.num_classes))
        inner = self.container
        partner = self.how.objective.partner(data.shape, data.num_classes, inner.noise, inner.width)
        self.partner = None if partner is None else self._fresh(partner)
        if self.matching:
            for spec in self.how.models:  # one that does not fit the images is to be refused now
                build(spec, data.shape, data.num_classes, device="meta")
            self._begin(start)
        self.moves = [self._adam(self.generator)] + (
            [] if self.partner is None else [self._adam(self.partner)]
        )
        if start is not None and self.matching and self.how.carries_adam and self.how.matched_from:
            self._carry_on(start)
        self.per_epoch = data.total // self.batch
        self.first = self.how.matched_from if self.matching else 0
        self.iteration = 0
        self.order = torch.empty(0, dtype=torch.int64, device=self.device)
        self.model = 0
        self.network: Network | None = None
        self.transform: Transform | None = (
            None  # of the step: which operations; their numbers are an argument
        )
        self.network_velocity: list[Tensor] = []
        self.snapshots: dict[int, dict[str, Tensor]] = {}
        self.losses: list[tuple[int, float]] = []
        self.stopwatch = Stopwatch(self.device, "generator", *(["network"] if self.matching else []))
        self.engine = Engine(recipe.mode, self.device)
        # On a CPU, layer norm between convolutions costs a compiled step more than fusing the rest saves.
        self.step_engine = Engine(recipe.mode, self.device, eager=self.device.type == "cpu")
        self.preview_labels = (
            torch.arange(data.num_classes, device=self.device).unsqueeze(1).expand(-1, PREVIEW)
        )
        self._real_spread = self._spread(data.unit(data.padded_index()[0][:, : 4 * PREVIEW]))
        self._keep()

    def _fresh(self, module: nn.Module) -> nn.Module:
        return initialise(module.to(self.device), self.streams["weights"])

    def _adam(self, module: nn.Module) -> torch.optim.Adam:
        rate = self.how.matched_lr if self.matching else self.how.lr
        return torch.optim.Adam(module.parameters(), lr=rate, betas=self.how.betas)

    def _begin(self, start: Mapping[str, Tensor] | None) -> None:
        if start is None:
            raise BadValue(
                f"matching goes on from a generator trained for {self.how.matched_from} epochs, and none is given",
                "start=run.snapshots[epoch] of a run of recipe.first",
            )
        for name, module in self._modules().items():
            given, wanted = below(start, f"{name}."), module.state_dict()
            if {key: value.shape for key, value in given.items()} != {
                key: value.shape for key, value in wanted.items()
            }:
                raise BadValue(
                    f"the start holds another {name} ({len(given)} tensors) than this recipe's ({len(wanted)})",
                    f"start=run.snapshots[{self.how.matched_from}] of a run of recipe.first",
                )
            module.load_state_dict({key: value.to(self.device) for key, value in given.items()})

    def _carry_on(self, start: Mapping[str, Tensor]) -> None:
        """Take over what Adam remembers of the first stage; the learning rate is that of matching."""
        if not below(start, "adam."):
            raise BadValue(
                "Adam is to go on with what it remembers of the first stage, and the start does not hold it",
                "the snapshots of a run of recipe.first, or carries_adam=False",
            )
        self._recall(start)

    def _modules(self) -> dict[str, nn.Module]:
        return {"generator": self.generator} | ({} if self.partner is None else {"partner": self.partner})

    # What the experiment runner sees: a task that advances by small steps and can be saved at any of them.

    @property
    def stored(self) -> dict[str, Tensor]:
        """The container's tensors: weights and running statistics of the generator."""
        return {name: value.detach() for name, value in self.generator.state_dict().items()}

    @property
    def steps(self) -> int:
        """Steps of this stage in all."""
        return (self.how.end - self.first) * self.per_epoch

    @property
    def step(self) -> int:
        """Steps of this stage that are done."""
        return self.iteration

    @property
    def seconds(self) -> dict[str, float]:
        """Seconds by phase."""
        return self.stopwatch.seconds

    @property
    def done(self) -> bool:
        """Whether this stage is at its end."""
        return self.iteration >= self.steps

    @property
    def epoch(self) -> int:
        """Epochs done, those of the first stage included."""
        return self.first + self.iteration // self.per_epoch

    @property
    def notes(self) -> dict[str, Any]:
        """What a record should say of this run beyond its recipe."""
        partner = 0 if self.partner is None else _count(self.partner)
        return {"parameters": {"generator": _count(self.generator), "partner": partner}, "steps": self.steps}

    def advance(self) -> None:
        """One step: of the network that is matched under, of the generator, and of the partner."""
        position = self.iteration % self.per_epoch
        if position == 0:
            keys = torch.rand(self.data.total, generator=self.streams["order"], device=self.device)
            self.order = keys.argsort()
            if self.compares:
                self._draw_model()
        if self.compares:
            with self.stopwatch.phase("network"):
                self._train_model()
        with self.stopwatch.phase("generator"):
            loss = self._step(self._draw(self.order[position * self.batch : (position + 1) * self.batch]))
        self.iteration += 1
        self._note(loss)
        if self.iteration % self.per_epoch == 0:
            self._watch()
            if self.epoch in self.recipe.kept:
                self._keep()

    # The models pool

    def _draw_model(self) -> None:
        stream = self.streams["network"]
        self.model = int(torch.randint(len(self.how.models), (), generator=stream, device=self.device))
        self.network = self._build_model()
        initialise(self.network, stream)
        self.network_velocity = [torch.zeros_like(weight) for weight in self.network.parameters()]

    def _build_model(self) -> Network:
        spec = self.how.models[self.model]
        network = build(spec, self.data.shape, self.data.num_classes, device=self.device)
        return network.requires_grad_(False)

    def _train_model(self) -> None:
        """What the schedule gives a network to learn before a step: whole batches of one pass over the real images."""
        schedule, stream = self.recipe.schedule, self.streams["training"]
        if schedule.trained_on != "real":
            return
        assert self.network is not None
        self.network.train()
        order = torch.randperm(self.data.total, generator=stream, device=self.device)
        count = min(schedule.real_batches, self.data.total // schedule.batch)
        for part in order[: count * schedule.batch].split(schedule.batch):
            images, labels = self.data.at(part)
            if self.how.pool_space == "signed":
                images = self._normalised(self._signed(images))
            learn_batch(
                self.engine,
                ("learning of", self.how.models[self.model], self.data.shape, self.data.num_classes),
                self.network,
                self.network_velocity,
                images,
                labels,
                schedule,
                stream,
            )

    def _signed(self, images: Tensor) -> Tensor:
        """Normalised images as the generator gives them, in [-1, 1]."""
        return self.data.normalisation.undo(images).mul_(2).sub_(1)

    def _normalised(self, signed: Tensor) -> Tensor:
        """Images in [-1, 1] as the networks of the pool see them."""
        return self.data.normalisation.apply(signed if self.how.pool_space == "signed" else (signed + 1) / 2)

    # One step

    def _draw(self, index: Tensor) -> Batch:
        """A batch of real images and all random numbers that a step needs."""
        images, labels = self.data.at(index)
        stream, count = self.streams["noise"], len(labels)
        size = count, self.container.noise
        noise, extra = (torch.randn(size, generator=stream, device=self.device) for _ in range(2))
        uniform = torch.rand(count, generator=stream, device=self.device)
        other = noise, labels
        if self.how.independent_draws:
            drawn = torch.randn(size, generator=stream, device=self.device)
            classes = self.data.num_classes
            other = drawn, torch.randint(classes, (count,), generator=stream, device=self.device)
        return Batch(self._signed(images), labels, noise, extra, uniform, *other)

    def _step(self, batch: Batch) -> Tensor:
        self.generator.train()
        if self.how.generator_first:
            loss = self._move_generator(batch)
            self._move_partner(batch)
        else:
            self._move_partner(batch)
            loss = self._move_generator(batch)
        return loss

    def _move_partner(self, batch: Batch) -> None:
        """One step of a partner that has a loss of its own."""
        if self.partner is None or self.how.objective.joint:
            return
        weights, beside = self.generator.state_dict(), self.partner.state_dict()
        gradients, statistics, seen = self.step_engine.run(
            self._key("partner"), self._partner_gradients, weights, beside, vars(batch)
        )
        self._move(self.moves[1], self.partner, gradients, statistics)
        _remember(self.generator, seen)

    def _move_generator(self, batch: Batch) -> Tensor:
        """One step of the generator, and of a partner that learns from the same loss."""
        weights = self.generator.state_dict()
        beside = {} if self.partner is None else self.partner.state_dict()
        under: dict[str, Tensor] = {}
        numbers = torch.empty(0, device=self.device)
        matched: tuple[object, ...] = ()
        if self.network is not None:
            self.network.train(self.how.pool_mode == "train")
            under = self.network.state_dict()
            transform = self.recipe.augment.draw(1, self.streams["augment"])
            how = self.recipe.matcher, self.how.weight, self.how.models[self.model]
            seen = self.how.pool_mode, self.how.pool_space, self.data.normalisation
            matched = (*how, *seen, transform.recipe, transform.kinds)
            self.transform, numbers = transform, transform.numbers
        loss, gradients, statistics, jointly, also, counted = self.step_engine.run(
            self._key("generator", *matched),
            self._generator_gradients,
            weights,
            beside,
            under,
            numbers,
            vars(batch),
        )
        self._move(self.moves[0], self.generator, gradients, statistics)
        if jointly:
            assert self.partner is not None
            self._move(self.moves[1], self.partner, jointly, also)
        if self.network is not None:
            _remember(self.network, counted)
        return cast(Tensor, loss)

    def _partner_gradients(
        self, weights: dict[str, Tensor], beside: dict[str, Tensor], tensors: dict[str, Tensor]
    ) -> tuple[dict[str, Tensor], dict[str, Tensor], dict[str, Tensor]]:
        """Gradients of the partner's loss by its weights, its running statistics and the generator's: pure.

        The generator draws in training mode, so its batch norms see these images too.
        """
        assert self.partner is not None
        with torch.enable_grad():
            leaves, others = _split(self.partner, beside)
            fixed, seen = _split(self.generator, weights)
            generator = self._under(self.generator, {**fixed, **seen})
            partner = self._under(self.partner, {**leaves, **others})
            loss = self.how.objective.partner_loss(generator, partner, Batch(**tensors))
            assert loss is not None
            found = torch.autograd.grad(loss, list(leaves.values()))
        return dict(zip(leaves, found, strict=True)), others, seen

    def _generator_gradients(
        self,
        weights: dict[str, Tensor],
        beside: dict[str, Tensor],
        under: dict[str, Tensor],
        numbers: Tensor,
        tensors: dict[str, Tensor],
    ) -> tuple[Tensor, Tensors, Tensors, Tensors, Tensors, Tensors]:
        """L_g + lambda L_m (Eq. 7), its gradients by the generator's weights and its running statistics; pure.

        And the same two of a joint partner, and the running statistics of the network that is matched under; empty
        where there is none.
        """
        batch = Batch(**tensors)
        counted: dict[str, Tensor] = {}
        with torch.enable_grad():
            leaves, others = _split(self.generator, weights)
            also, rest = ({}, beside) if self.partner is None else _split(self.partner, beside)
            partner = None if self.partner is None else self._under(self.partner, {**also, **rest})
            generator = self._under(self.generator, {**leaves, **others})
            loss, generated = self.how.objective.generator_loss(generator, partner, batch)
            if self.network is not None:
                counted = {name: under[name].clone() for name, _ in self.network.named_buffers()}
                seen = {**under, **counted}
                loss = loss + self.how.weight * self._mismatch(seen, numbers, generated, batch)
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

    def _under(self, module: nn.Module, tensors: dict[str, Tensor]) -> Callable[..., Any]:
        """A module under other tensors: a call of it is a pure function of them."""
        return self.step_engine.shorten(lambda *inputs: functional_call(module, tensors, inputs))

    def _mismatch(self, under: dict[str, Tensor], numbers: Tensor, generated: Tensor, batch: Batch) -> Tensor:
        """L_m (Eq. 5): distance of what the drawn network makes of generated and of real images, augmented alike."""
        assert self.network is not None
        assert self.transform is not None
        augment = replace(self.transform, numbers=numbers)
        # Running statistics need their own precision, and so does what they are taken of.
        exact = Engine("plain", self.device)
        low = (exact if batch_norms(self.network) else self.step_engine).lower

        def seen(images: Tensor) -> Tensor:
            return cast(Tensor, low(augment(self._normalised(images).unsqueeze(0))))

        labels = batch.labels.unsqueeze(0)
        measure = partial(measure_under, low(under), self.recipe.matcher, self.network)
        # The real images first: in training mode, batch norms count both batches, one after the other.
        real = measure(seen(batch.real), labels, False)
        found = measure(seen(generated), labels, True)
        return self.recipe.matcher.distance([v.detach().float() for v in real], [v.float() for v in found])

    def _move(
        self,
        adam: torch.optim.Adam,
        module: nn.Module,
        gradients: dict[str, Tensor],
        statistics: dict[str, Tensor],
    ) -> None:
        for name, weight in module.named_parameters():
            weight.grad = gradients[name]
        adam.step()
        adam.zero_grad()
        _remember(module, statistics)

    def _key(self, what: str, *more: object) -> tuple[object, ...]:
        """What the gradients close over, so that all runs that differ in something else share a compiled version."""
        return what, self.how.objective, self.container, self.data.shape, self.data.num_classes, *more

    # Watching

    def drawing(self) -> Drawing:
        """Draws from the generator as it is now."""
        return Drawing(self.generator, self.container.noise, self.data.normalisation)

    def preview(self) -> Tensor:
        """Unit images (C, n, c, h, w) of the generator as it is, always from the same noise."""
        return self.drawing().unit(self.preview_labels, Streams(0, self.device)["preview"])

    @staticmethod
    def _spread(images: Tensor) -> Tensor:
        """How much images (C, n, c, h, w) of each class differ: mean over pixels of their standard deviation, (C,)."""
        return images.std(1, correction=0).flatten(1).mean(1)

    def _watch(self) -> None:
        """Stop a generator that gives the same image whatever the noise."""
        if self.iteration < WATCHED_FROM * self.steps:
            return
        share = self._spread(self.preview()) / self._real_spread.clamp(min=1e-6)
        worst = int(share.argmin())
        if float(share[worst]) < COLLAPSED:
            raise Diverged(
                f"the generator has collapsed by epoch {self.epoch} of {self.how.end}: its images of class "
                f"{self.data.classes[worst]!r} differ by {float(share[worst]):.2%} of what real ones do",
                f"lower lr (now {self.moves[0].param_groups[0]['lr']}), or another seed",
            )

    def _note(self, loss: Tensor) -> None:
        # Reading the loss waits for the device, so it is read a hundred times in a run, not at every step.
        if self.iteration % max(1, self.steps // 100) and not self.done:
            return
        self.losses.append((self.first * self.per_epoch + self.iteration, self._finite(loss)))

    def _finite(self, loss: Tensor) -> float:
        value = float(loss)
        if value != value or value in (float("inf"), float("-inf")):
            raise Diverged(
                f"the generator's loss became {value} in epoch {self.epoch + 1} of {self.how.end}",
                f"lower lr (now {self.moves[0].param_groups[0]['lr']})",
            )
        return value

    def _keep(self) -> None:
        self._check()
        kept = {} if self.matching else self._modules()
        kept["generator"] = self.generator
        tensors = {
            f"{name}.{key}": value
            for name, module in kept.items()
            for key, value in module.state_dict().items()
        }
        if self.how.carries_adam and not self.matching:
            tensors |= self._moments()
        self.snapshots[self.epoch] = {name: value.detach().clone() for name, value in tensors.items()}

    def _moments(self) -> dict[str, Tensor]:
        """What Adam remembers, by network, number of the tensor and name."""
        return {
            f"adam.{name}.{number}.{slot}": value
            for name, adam in zip(self._modules(), self.moves, strict=True)
            for number, slots in adam.state_dict()["state"].items()
            for slot, value in slots.items()
        }

    def _recall(self, state: Mapping[str, Tensor]) -> None:
        """Put back what :meth:`_moments` gave."""
        for name, adam in zip(self._modules(), self.moves, strict=True):
            slots: dict[int, dict[str, Tensor]] = {}
            for key, value in below(state, f"adam.{name}.").items():
                number, _, slot = key.partition(".")
                slots.setdefault(int(number), {})[slot] = value.clone()
            adam.load_state_dict({**adam.state_dict(), "state": slots})

    def _check(self) -> None:
        """Raise :class:`Diverged` when a weight, or what a batch norm remembers, is no longer a finite number."""
        for name, module in self._modules().items():
            values = (value for value in module.state_dict().values() if value.is_floating_point())
            if not all(bool(torch.isfinite(value).all()) for value in values):
                raise Diverged(
                    f"weights of the {name} are not finite after step {self.iteration} of {self.steps}",
                    f"lower lr (now {self.moves[0].param_groups[0]['lr']})",
                )

    # Checkpoints

    def state(self) -> dict[str, Tensor]:
        """Everything needed to go on bit for bit, as named tensors. Live ones: write them before the next step.

        Raises
        ------
        Diverged
            If weights are not finite, so that the last good checkpoint stays.
        """
        self._check()
        out = {f"stream.{name}": value for name, value in self.streams.state().items()}
        out |= {
            f"seconds.{name}": torch.tensor(value, dtype=torch.float64)
            for name, value in self.seconds.items()
        }
        for name, module in self._modules().items():
            out |= {f"{name}.{key}": value for key, value in module.state_dict().items()}
        out |= self._moments()
        if self.network is not None:
            out |= {f"network.{name}": value for name, value in self.network.state_dict().items()}
            out |= {f"network_velocity.{i}": value for i, value in enumerate(self.network_velocity)}
        for epoch, snapshot in self.snapshots.items():
            out |= {f"snapshot.{epoch}.{name}": value for name, value in snapshot.items()}
        out["losses"] = torch.tensor(self.losses, dtype=torch.float64).view(-1, 2)
        return out | {"order": self.order, "progress": torch.tensor((self.iteration, self.model))}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Go on from what :meth:`state` returned, in a fresh object made with the same arguments."""
        self.streams.restore(below(state, "stream."))
        self.stopwatch.restore({name: float(value) for name, value in below(state, "seconds.").items()})
        self.iteration, self.model = state["progress"].tolist()
        for name, module in self._modules().items():
            module.load_state_dict(below(state, f"{name}."))
        self._recall(state)
        if network := below(state, "network."):
            self.network = self._build_model()
            self.network.load_state_dict(network)
            velocities = below(state, "network_velocity.")
            self.network_velocity = [
                velocities[str(i)].to(self.device, copy=True) for i in range(len(velocities))
            ]
        self.snapshots = {}
        for key, value in below(state, "snapshot.").items():
            epoch, _, name = key.partition(".")
            self.snapshots.setdefault(int(epoch), {})[name] = value.to(self.device)
        self.losses = [(int(step), float(loss)) for step, loss in state["losses"].tolist()]
        self.order = state["order"].to(self.device)


def _split(module: nn.Module, tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Tensors of a module as leaves to differentiate by, and copies of the running statistics."""
    learned = {name for name, _ in module.named_parameters()}
    leaves = {name: value.detach().requires_grad_() for name, value in tensors.items() if name in learned}
    return leaves, {name: value.clone() for name, value in tensors.items() if name not in learned}


def _remember(module: nn.Module, statistics: Mapping[str, Tensor]) -> None:
    """Put running statistics into a module."""
    tensors = module.state_dict()
    for name, value in statistics.items():
        tensors[name].copy_(value)


def _count(module: nn.Module) -> int:
    return sum(weight.numel() for weight in module.parameters())
