"""Distillation: one loop for every method, resumable at every step.

    draw a network, choose real images, compare, move the synthetic set, train the network a little, repeat

Which network, which images and what is compared are the recipe's parts; nothing here knows them by name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cached_property, partial
from typing import Any, cast

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from ..augment import Transform
from ..compute.backend import Stopwatch
from ..compute.engine import Engine
from ..compute.memory import GIB, held_bytes, peak_bytes
from ..containers import Container
from ..core.errors import BadValue, Diverged, OutOfMemory
from ..core.files import below
from ..core.streams import Streams
from ..coresets import History
from ..data import ClassData, statistics
from ..matchers import measure_under
from ..networks import batch_norms, build, forward_operations, initialise, largest_map
from ..networks.training import Stack, Training, class_by_class, learn_batch, module_from, together
from ..samplers import View
from ..teachers.pool import PoolTraining
from .recipe import SNAPSHOTS, Recipe, snapshot_steps

STATISTICS_IMAGES = 16  # real images of each class that frozen batch norms have seen (DC, released code)


class Distillation:
    """One run of one recipe: select, then match.

    Parameters
    ----------
    data : ClassData
        The real training images, on the device of the run.
    recipe : Recipe
        What to do.
    ipc : int
        Stored images per class.
    seed : int
        Seed of every random stream of the run.
    memory_gb : float, optional
        Gibibytes that tensors may take on the device while images are matched: as many classes go through the network
        together as fit. Changes no result but for the order of sums and, where fast mode rounds to bytes, which maps
        share a range. Default: no bound.

    Attributes
    ----------
    stored : dict of str to Tensor
        The container's tensors, (C, ipc, ...) each.
    step, steps : int
        Work done and work in all, counted in matching steps plus, before them, the training steps of the embedding
        network and of the pool.
    snapshots : dict of int to Tensors
        Copies of ``stored`` at :func:`snapshot_steps`.
    losses : list of (int, float)
        Matching loss after a step, sparsely.
    seconds : dict of str to float
        Time spent by phase: select, clustering, matching, network, and pool where there is one.
    """

    def __init__(
        self, data: ClassData, recipe: Recipe, ipc: int, seed: int, memory_gb: float | None = None
    ) -> None:
        if memory_gb is not None and not memory_gb > 0:
            raise BadValue(f"memory is {memory_gb} GiB; expected more than 0", "--memory-gb 8")
        if ipc < 1:
            raise BadValue(f"IPC is {ipc}; expected at least 1 image per class", "--ipc 1")
        recipe.check()
        if recipe.constants:
            data = data.normalised_as(statistics(recipe.constants))
        self.container = cast(Container, recipe.container)
        self.container.check(data.shape)
        slots = self.container.slots(ipc)
        if slots > data.smallest:
            raise BadValue(
                f"IPC {ipc} needs {slots} real images of each class to start from, "
                f"but the smallest class of {data.name} has {data.smallest}",
                "a smaller IPC or factor",
            )
        if recipe.iterations and recipe.real_batch > data.smallest:
            raise BadValue(
                f"real_batch {recipe.real_batch} exceeds the smallest class of {data.name} ({data.smallest} images)",
                f"real_batch={data.smallest} or less",
            )
        self.data, self.recipe, self.ipc, self.slots = data, recipe, ipc, slots
        self.device = data.device
        self.streams = Streams(seed, self.device)
        self.labels = torch.arange(data.num_classes, device=self.device)
        self.stored: dict[str, Tensor] = {}
        self.velocity: dict[str, Tensor] = {}
        self.network = build(recipe.network, data.shape, data.num_classes, device=self.device)
        self.network_velocity: list[Tensor] = []
        self._map_bytes = largest_map(self.network, data.shape)
        self.choice = torch.empty(0, dtype=torch.int64, device=self.device)
        self.snapshots: dict[int, dict[str, Tensor]] = {}
        self.losses: list[tuple[int, float]] = []
        phases = ["select", "clustering", "matching", "network"]
        self.matched = 0
        self.classes_at_once = 1 if recipe.statistics == "per class" else data.num_classes
        self.memory_gb = memory_gb
        work = 3 * forward_operations(recipe.network, data.shape, data.num_classes) * self._images
        self.engine = Engine(recipe.mode, self.device, operations=work).for_network(self.network)
        # Fewer classes at once would be other statistics, and another result.
        self._inseparable = recipe.statistics == "joint" and bool(batch_norms(self.network))
        self._embedding = self._embedding_training() if recipe.initial.epochs else None
        self._embedding_steps = self._embedding.steps if self._embedding else 0
        self._pool: PoolTraining | None = None
        if recipe.iterations and recipe.schedule.pool is not None:
            self._pool = PoolTraining(data, recipe.network, recipe.schedule.pool, self.streams)
            phases.append("pool")
        self.stopwatch = Stopwatch(self.device, *phases)

    # What the experiment runner sees: a task that advances by small steps and can be saved at any of them.

    @property
    def steps(self) -> int:
        return self._embedding_steps + 1 + (self._pool.steps if self._pool else 0) + self.recipe.steps

    @property
    def step(self) -> int:
        if not self.stored:
            return self._embedding.step if self._embedding else 0
        return self._embedding_steps + 1 + (self._pool.step if self._pool else 0) + self.matched

    @property
    def _images(self) -> int:
        """How many images go through networks in all: real ones, and at least those that are stored."""
        recipe, schedule = self.recipe, self.recipe.schedule
        matched = self.data.num_classes * (recipe.real_batch + self.ipc)
        learned = {"nothing": 0, "real": schedule.batch * schedule.real_batches}
        taught = learned.get(schedule.trained_on, self.data.num_classes * self.ipc * schedule.epochs)
        return recipe.steps * (matched + taught) + recipe.initial.epochs * self.data.total

    @property
    def seconds(self) -> dict[str, float]:
        return self.stopwatch.seconds

    @property
    def done(self) -> bool:
        return bool(self.stored) and self.matched >= self.recipe.steps

    @property
    def notes(self) -> dict[str, Any]:
        """What a record should say of this run beyond its recipe; empty for most."""
        return {"pool": self._pool.summary()} if self._pool else {}

    def advance(self) -> None:
        """Do the next small piece of work."""
        if self.stored and self._pool is not None and not self._pool.done:
            with self.stopwatch.phase("pool"):
                self._pool.advance()
        elif self.stored:
            self._match()
        elif self._embedding is not None and not self._embedding.done:
            with self.stopwatch.phase("select"):
                self._embedding.advance()
        else:
            with self.stopwatch.phase("select"):
                self._select()

    # Selection

    def _embedding_training(self) -> Training:
        """Training of a coreset's embedding network on all real images, counting what is forgotten."""
        data, generator = self.data, self.streams["embedding"]
        position, mask = data.padded_index()
        label = self.labels.unsqueeze(1).expand_as(position)
        flat_position, flat_label = position[mask], label[mask]
        slot = mask.flatten().nonzero().squeeze(1)
        self._correct = torch.zeros(mask.numel(), dtype=torch.bool, device=self.device)
        self._ever = torch.zeros_like(self._correct)
        self._events = torch.zeros(mask.numel(), dtype=torch.int64, device=self.device)

        def fetch(index: Tensor) -> tuple[Tensor, Tensor]:
            images = data.take(flat_position[index[0]].unsqueeze(1), flat_label[index[0]])
            return images.transpose(0, 1), flat_label[index]

        def watch(index: Tensor, correct: Tensor) -> None:
            at = slot[index[0]]
            self._events[at] += self._correct[at] & ~correct[0]
            self._correct[at] = correct[0]
            self._ever[at] |= correct[0]

        settings = replace(self.recipe.embedding, epochs=self.recipe.initial.epochs)
        stack = Stack(self.recipe.network, data.shape, data.num_classes, 1, generator)
        return Training(stack, fetch, len(flat_label), settings, generator, watch, engine=self.engine)

    def _history(self) -> History:
        position, _ = self.data.padded_index()
        if self._embedding is None:
            return History(torch.zeros_like(position))
        events = torch.where(self._ever, self._events, self._events.max() + 1)
        return History(events.view(position.shape))

    def _select(self) -> None:
        """Choose the images to start from and put them into the container."""
        recipe, data = self.recipe, self.data
        if self._embedding is None:
            initialise(self.network, self.streams["embedding"])
        else:
            self._embedding.check()
            self.network = module_from(self._embedding.stack)
        self.network.eval()
        stream, space = self.streams["initial"], self.container.space
        view = View(data, self.network, self.slots, stream, self.engine, space=space)
        index = recipe.initial.choose(view, self._history())
        if index is None:
            shape = (data.num_classes, self.slots, *data.shape)
            images = torch.randn(shape, generator=self.streams["initial"], device=self.device)
            if self.container.space == "unit":  # IDC, released code
                images = (images / 4 + 0.5).clamp(0, 1)
        else:
            images = data.take(index) if self.container.space == "normalised" else data.unit(index)
        self.stored = self.container.pack(images, self.ipc)
        self.velocity = {name: torch.zeros_like(value) for name, value in self.stored.items()}
        self._embedding = None
        self._keep_snapshot()

    # Matching

    def _match(self) -> None:
        recipe, schedule = self.recipe, self.recipe.schedule
        within = self.matched % schedule.steps
        if within == 0:
            self._new_network()
        if self.matched % recipe.sampler.every == 0:
            with self.stopwatch.phase("clustering"):
                self.network.eval()
                self.choice = recipe.sampler.choose(self._view())
        with self.stopwatch.phase("matching"):
            self.network.train()
            if recipe.statistics == "frozen":
                self._freeze_statistics()
            loss = self._move()
        self.matched += 1
        self._note(loss)
        if within < schedule.steps - 1 and schedule.trained_on != "nothing":
            with self.stopwatch.phase("network"):
                self.network.train()  # batch norms that were frozen for matching learn again
                if schedule.trained_on == "synthetic":
                    self._train_on_synthetic()
                else:
                    self._train_on_real()
        if self.matched in recipe.kept:
            self._keep_snapshot()

    def _view(self) -> View:
        """What the sampler sees now."""
        return View(
            self.data,
            self.network,
            self.recipe.real_batch,
            self.streams["sampler"],
            self.engine,
            turn=self.matched // self.recipe.sampler.every,
            fresh=partial(self._pass, "sampler"),
            space=self.container.space,
        )

    def _pass(self, purpose: str, number: int) -> torch.Generator:
        """The random stream of one pass over the real images, from its beginning: nothing of it is in a checkpoint."""
        return self.streams.once(f"{purpose}, pass {number}")

    def _move(self) -> Tensor:
        """One step of the stored tensors down the gradient of the matching loss, which is returned."""
        recipe = self.recipe
        rate, momentum = recipe.rate(self.ipc, self.data.shape[1]), recipe.image_momentum
        transform = recipe.augment.draw(self.data.num_classes, self.streams["augment"])
        found: list[Tensor] = []

        def gradients() -> list[Tensor]:
            loss, by_name = self._retrying_gradient(transform, self._subset())
            found.append(loss)
            return list(by_name.values())

        step = class_by_class if recipe.image_steps == "class by class" else together
        step(list(self.stored.values()), list(self.velocity.values()), gradients, rate, momentum)
        return found[0]

    def _new_network(self) -> None:
        if self.container.space == "unit":
            for value in self.stored.values():
                value.clamp_(0, 1)
        trained = self._pool.choose(self.streams["network"]) if self._pool else None
        if trained is None:
            initialise(self.network, self.streams["network"])
        else:
            self.network.load_state_dict(trained)
        self.network.requires_grad_(False)
        learns = self.recipe.schedule.trained_on != "nothing"
        self.network_velocity = [torch.zeros_like(weight) for weight in self.network.parameters() if learns]

    def _decode(self, stored: dict[str, Tensor]) -> Tensor:
        images = self.container.decode(stored)
        return images if self.container.space == "normalised" else self.data.normalisation.apply(images)

    @cached_property
    def _decoded_count(self) -> int:
        """Decoded images per class."""
        with torch.no_grad():
            return self.container.decode({name: value[:1] for name, value in self.stored.items()}).shape[1]

    def _subset(self) -> Tensor | None:
        """Which decoded images this step looks at, (C, synthetic_batch), or None for all of them."""
        count, most = self._decoded_count, self.recipe.synthetic_batch
        if most is None or count <= most:
            return None
        keys = torch.rand(self.data.num_classes, count, generator=self.streams["subset"], device=self.device)
        return keys.topk(most, dim=1).indices

    def _retrying_gradient(
        self, transform: Transform, subset: Tensor | None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The gradient of the matching loss; on a full device again with half as many classes at once."""
        while True:
            try:
                return self._gradient(transform, subset)
            except torch.OutOfMemoryError as error:
                if self._inseparable:
                    raise OutOfMemory(
                        f"{self.device} has too little memory to match all classes at once, as batch norm needs it "
                        f"({self.data.num_classes} classes of {self.recipe.real_batch} real images)",
                        'a smaller real_batch or network width, or norm="instance"',
                    ) from error
                if self.classes_at_once == 1:
                    raise OutOfMemory(
                        f"{self.device} has too little memory to match one class of {self.recipe.real_batch} "
                        "real images",
                        "a smaller real_batch or network width, or --device cpu",
                    ) from error
            self.classes_at_once = -(-self.classes_at_once // 2)
            if self.device.type == "cuda":
                torch.cuda.empty_cache()

    def _gradient(self, transform: Transform, subset: Tensor | None) -> tuple[Tensor, dict[str, Tensor]]:
        weights = self._weights()
        total = torch.zeros((), device=self.device)
        parts: dict[str, list[Tensor]] = {name: [] for name in self.stored}
        targets: list[list[Tensor]] = []
        run = partial(self.engine.run, averages=getattr(self.recipe.matcher, "averages", False))
        # Where whole steps are recorded, augmentation is part of them; elsewhere each kind runs for the classes that
        # drew it alone.
        whole = self.engine.records
        drawn = transform.tensors(self.device) if whole else ()
        if self.memory_gb is not None:
            self._bound(subset)
        for classes in self._chunks(self.choice.shape[1]):
            real = self.data.take(self.choice[classes], classes)
            if whole:
                given = weights, classes, real, self._rows(drawn, classes)
                targets.append(run(self._key("augmented real"), self._augmented_real, *given))
            else:
                with torch.no_grad():
                    real = self._of(transform, classes)(real)
                targets.append(run(self._key("real"), self._measured_real, weights, real, classes))
        target = [torch.cat(pieces) for pieces in zip(*targets, strict=True)]
        for classes in self._chunks(self._decoded_count if subset is None else subset.shape[1]):
            rows = self._rows((self.stored, () if subset is None else (subset,), target), classes)
            if whole:
                wanted = weights, classes, *rows, self._rows(drawn, classes)
                loss, gradients = run(self._key("augmented synthetic"), self._augmented_pull, *wanted)
            else:
                pull, augment = partial(run, self._key("synthetic"), self._pull), self._of(transform, classes)
                loss, gradients = self._stored_pull(pull, augment, weights, classes, *rows)
            for name, gradient in gradients.items():
                parts[name].append(gradient)
            total += loss
        return total, {name: torch.cat(chunks) for name, chunks in parts.items()}

    def _of(self, transform: Transform, classes: Tensor) -> Transform:
        """The transform of some classes. All of them, as on a GPU, are no choice, which would wait for the device."""
        return transform if len(classes) == self.data.num_classes else transform.select(classes)

    def _rows(self, value: Any, classes: Tensor) -> Any:
        """The rows of some classes of (nested) tensors; all of them are no choice."""
        if len(classes) == self.data.num_classes:
            return value
        return pytree.tree_map_only(Tensor, lambda tensor: tensor[classes], value)

    def _weights(self) -> dict[str, Tensor]:
        # As plain tensors: what an engine runs is a pure function, for this network and the next.
        return {name: weight.detach() for name, weight in self.network.named_parameters()}

    def _bound(self, subset: Tensor | None) -> None:
        """Lower ``classes_at_once``, once, to what the memory given has room for."""
        assert self.memory_gb is not None
        images = (self._decoded_count if subset is None else subset.shape[1], self.choice.shape[1])
        room = self.memory_gb * GIB - held_bytes(self.device)
        self.memory_gb = None
        least = self.data.num_classes if self._inseparable else 1
        one, two = (self._peak(count, *images) for count in (least, 2))
        if one > room:
            enough = 1.01 * (one + held_bytes(self.device)) / GIB
            what = "one class" if least == 1 else f"all {least} classes together, as batch norm needs them,"
            raise BadValue(
                f"{room / GIB:.3g} GiB are left for matching, and {what} of {images[1]} real and {images[0]} "
                f"synthetic images takes {one / GIB:.3g} GiB",
                f"--memory-gb {enough:.3g}, or a smaller real_batch or network width",
            )
        if least == 1:
            self.classes_at_once = min(self.classes_at_once, 1 + int((room - one) // max(two - one, 1)))

    def _peak(self, classes: int, synthetic: int, real: int) -> int:
        """Bytes that matching ``classes`` at once takes, images and measurements included."""
        weights = self._weights()
        labels = self.labels[:1].expand(classes)

        def images(count: int) -> Tensor:
            return torch.empty(classes, count, *self.data.shape, device=self.device)

        def step() -> None:
            # The images are made twice over: drawn or decoded, and augmented.
            drawn = images(real), images(real)
            target = self._measured_real(weights, drawn[0], labels)
            made = images(synthetic), images(synthetic)
            self._pull(weights, made[0], labels, target)

        # Only shapes are asked for: batch norms must not take statistics of them.
        trained = [layer for layer in self.network.modules() if layer.training]
        self.network.eval()
        try:
            return peak_bytes(step)
        finally:
            for layer in trained:
                layer.training = True

    def _chunks(self, images: int) -> tuple[Tensor, ...]:
        """Classes that go through the network together, when each has so many images."""
        most = self.engine.groups(self.data.num_classes, images * self._map_bytes)
        return self.labels.split(
            self.classes_at_once if self._inseparable else min(self.classes_at_once, most)
        )

    # The two halves of a matching step, as pure functions: what an engine runs.

    def _key(self, what: str) -> tuple[object, ...]:
        recipe, data = self.recipe, self.data
        key = what, recipe.matcher, recipe.network, data.shape, data.num_classes
        return (*key, recipe.augment, self.container, data.normalisation) if self.engine.records else key

    def _measured_real(self, weights: dict[str, Tensor], images: Tensor, labels: Tensor) -> list[Tensor]:
        """Measurements of real images (G, B, c, h, w)."""
        low = self.engine.lower
        found = measure_under(low(weights), self.recipe.matcher, self.network, low(images), labels, False)
        return [value.detach().to(images.dtype) for value in found]

    def _pull(
        self, weights: dict[str, Tensor], images: Tensor, labels: Tensor, target: list[Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Distance of synthetic images (G, B, c, h, w) from the measurements ``target``, and its gradient."""
        low = self.engine.lower
        with torch.enable_grad():
            images = images.detach().requires_grad_()
            found = measure_under(low(weights), self.recipe.matcher, self.network, low(images), labels, True)
            loss = self.recipe.matcher.distance(target, [value.to(images.dtype) for value in found])
            (gradient,) = torch.autograd.grad(loss, images)
        return loss.detach(), gradient

    def _stored_pull(
        self,
        pull: Callable[..., tuple[Tensor, Tensor]],
        augment: Callable[[Tensor], Tensor],
        weights: dict[str, Tensor],
        labels: Tensor,
        stored: dict[str, Tensor],
        subset: tuple[Tensor, ...],
        target: list[Tensor],
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """What :meth:`_pull` finds for decoded and augmented images of G classes, and its gradient by what is stored.

        ``subset`` holds which of the decoded images are looked at, (G, B), or nothing for all of them.
        """
        with torch.enable_grad():
            leaves = {name: value.detach().requires_grad_() for name, value in stored.items()}
            images = self._decode(leaves)
            for seen in subset:
                images = images[torch.arange(len(labels), device=self.device).unsqueeze(1), seen]
            images = augment(images)
        loss, gradient = pull(weights, images.detach(), labels, target)
        found = torch.autograd.grad(images, list(leaves.values()), gradient)
        return loss, dict(zip(leaves, found, strict=True))

    # Both with the augmentation, for an engine that records whole steps; ``drawn`` is of Transform.tensors().

    def _augmented_real(
        self, weights: dict[str, Tensor], labels: Tensor, images: Tensor, drawn: tuple[Tensor, Tensor]
    ) -> list[Tensor]:
        return self._measured_real(weights, self.recipe.augment.apply(images, *drawn), labels)

    def _augmented_pull(
        self,
        weights: dict[str, Tensor],
        labels: Tensor,
        stored: dict[str, Tensor],
        subset: tuple[Tensor, ...],
        target: list[Tensor],
        drawn: tuple[Tensor, Tensor],
    ) -> tuple[Tensor, dict[str, Tensor]]:
        def augment(images: Tensor) -> Tensor:
            return self.recipe.augment.apply(images, *drawn)

        return self._stored_pull(self._pull, augment, weights, labels, stored, subset, target)

    def _freeze_statistics(self) -> None:
        """Give every batch norm the mean and variance of real images of all classes, and keep it from taking others.

        The released code moves the running statistics a tenth of the way there; here they are those of the images.
        """
        layers = batch_norms(self.network)
        if not layers:
            return
        index = self.data.draw(min(STATISTICS_IMAGES, self.data.smallest), self.streams["statistics"])
        usual = [layer.momentum for layer in layers]
        for layer in layers:
            layer.momentum = 1.0
        with torch.no_grad():
            self.network.features(self.data.take(index).flatten(0, 1))
        for layer, momentum in zip(layers, usual, strict=True):
            layer.momentum = momentum
            layer.eval()

    def _train_on_synthetic(self) -> None:
        schedule, generator = self.recipe.schedule, self.streams["training"]
        with torch.no_grad():
            images = self._decode(self.stored)
        labels = self.labels.repeat_interleave(images.shape[1])
        images = images.flatten(0, 1)
        for _ in range(schedule.epochs):
            order = torch.rand(len(labels), generator=generator, device=self.device).argsort()
            for part in order.split(schedule.batch):
                self._train_network(images[part], labels[part], generator)

    def _train_on_real(self) -> None:
        schedule, generator = self.recipe.schedule, self.streams["training"]
        # A network learns after each of its steps but the last: so often have networks learned before.
        before = self.matched - 1 - (self.matched - 1) // schedule.steps
        for number in range(before * schedule.real_batches, (before + 1) * schedule.real_batches):
            images, labels = self.data.turn_flat(schedule.batch, number, partial(self._pass, "training"))
            self._train_network(images, labels, generator)

    def _train_network(self, images: Tensor, labels: Tensor, generator: torch.Generator) -> None:
        """One SGD step of the matching network."""
        key = "learning", self.recipe.network, self.data.shape, self.data.num_classes
        learn_batch(
            self.engine,
            key,
            self.network,
            self.network_velocity,
            images,
            labels,
            self.recipe.schedule,
            generator,
        )

    # Bookkeeping

    def _note(self, loss: Tensor) -> None:
        # Reading the loss waits for the device, so it is read a hundred times in a run, not at every step.
        if self.matched % max(1, self.recipe.steps // 100) and self.matched != self.recipe.steps:
            return
        value = float(loss)
        if value != value or value in (float("inf"), float("-inf")):
            raise Diverged(
                f"the matching loss became {value} at step {self.matched} of {self.recipe.steps}",
                f"lower image_lr (now {self.recipe.rate(self.ipc, self.data.shape[1])})",
            )
        self.losses.append((self.matched, value))

    def _keep_snapshot(self) -> None:
        self.snapshots[self.matched] = {name: value.clone() for name, value in self.stored.items()}

    # Checkpoints

    def state(self) -> dict[str, Tensor]:
        """Everything needed to go on bit for bit, as named tensors. Live ones: write them before the next step."""
        out = {f"stream.{name}": value for name, value in self.streams.state().items()}
        out |= {
            f"seconds.{name}": torch.tensor(value, dtype=torch.float64)
            for name, value in self.seconds.items()
        }
        if not self.stored:
            if self._embedding is not None:
                out |= {f"embedding.{name}": value for name, value in self._embedding.state().items()}
                out |= {"events": self._events, "correct": self._correct, "ever": self._ever}
            return out
        out |= {f"stored.{name}": value for name, value in self.stored.items()}
        out |= {f"velocity.{name}": value for name, value in self.velocity.items()}
        out |= {f"network.{name}": value for name, value in self.network.state_dict().items()}
        out |= {f"network_velocity.{i}": value for i, value in enumerate(self.network_velocity)}
        for step, snapshot in self.snapshots.items():
            out |= {f"snapshot.{step}.{name}": value for name, value in snapshot.items()}
        if self._pool is not None:
            out |= {f"pool.{name}": value for name, value in self._pool.state().items()}
        out["losses"] = torch.tensor(self.losses, dtype=torch.float64).view(-1, 2)
        return out | {"choice": self.choice, "matched": torch.tensor(self.matched)}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Go on from what :meth:`state` returned, in a fresh object made with the same arguments."""
        self.streams.restore(below(state, "stream."))
        self.stopwatch.restore({name: float(value) for name, value in below(state, "seconds.").items()})
        if self._pool is not None:
            self._pool.training.generator = self.streams["pool"]
        if "matched" not in state:
            if self._embedding is not None:
                self._embedding.generator = self.streams["embedding"]
                self._embedding.restore(below(state, "embedding."))
                for name in ("events", "correct", "ever"):
                    getattr(self, f"_{name}").copy_(state[name])
            return
        self._embedding = None
        if self._pool is not None:
            self._pool.restore(below(state, "pool."), self.streams["pool"])
        self.stored = self._on_device(below(state, "stored."))
        self.velocity = self._on_device(below(state, "velocity."))
        self.network.load_state_dict(below(state, "network."))
        self.network.requires_grad_(False)
        velocities = below(state, "network_velocity.")
        self.network_velocity = [
            velocities[str(i)].to(self.device, copy=True) for i in range(len(velocities))
        ]
        self.snapshots = {}
        for name, value in below(state, "snapshot.").items():
            step, _, tensor = name.partition(".")
            self.snapshots.setdefault(int(step), {})[tensor] = value.to(self.device)
        self.losses = [(int(step), float(loss)) for step, loss in state["losses"].tolist()]
        self.choice, self.matched = state["choice"].to(self.device), int(state["matched"])

    def _on_device(self, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        return {name: value.to(self.device, copy=True) for name, value in tensors.items()}


def distill(data: ClassData, recipe: Recipe, ipc: int, seed: int = 0) -> Distillation:
    """Run a recipe to its end in one call; the set is ``result.stored``. For long runs see ``experiments``."""
    run = Distillation(data, recipe, ipc, seed)
    while not run.done:
        run.advance()
    return run


__all__ = ["SNAPSHOTS", "Distillation", "distill", "snapshot_steps"]
