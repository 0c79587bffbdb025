"""Distillation: one loop for every method, resumable at every step.

    the teacher gives a network, the criterion a loss and its gradient by the stored tensors, their updates take a
    step, and the teacher may train its network

Which network, which loss and which tensors are the recipe's parts; nothing here knows them by name.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ..compute.backend import Stopwatch
from ..compute.engine import Engine, Programs
from ..containers import Optimiser
from ..core.errors import BadValue, Diverged
from ..core.files import below
from ..core.streams import Streams
from ..criteria import SNAPSHOTS, snapshot_steps
from ..data import ClassData
from ..networks import Network, build, forward_operations
from ..teachers import Idle, Scene, Teaching
from ..teachers.base import BESIDE
from .recipe import Recipe
from .selection import carried, select, trained_embedding

# In a state "settled.PART.NAME" is tensor NAME of a part that later states hold too, unchanged; the same for ever, so
# that whoever writes states needs to write it once.
SETTLED = "settled."


class Distillation:
    """One run of one recipe: select the initial images, prepare the teacher, then step by step.

    Parameters
    ----------
    data : ClassData
        The real training images, on the device of the run.
    recipe : Recipe
        What to do.
    ipc : int
        Stored images per class; without effect for a generator.
    seed : int
        Seed of every random stream of the run.
    memory_gb : float, optional
        Gibibytes that tensors may take on the device while images are matched: as many classes go through the network
        together as fit. Changes no result but for the order of sums and, where fast mode rounds to bytes, which maps
        share a range. Default: no bound.
    start : dict of str to Tensor, optional
        For recipes that need one. What :attr:`snapshots` of ``recipe.first`` hold, after ``recipe.criterion.first``
        steps where it is an earlier stage, else at its end; and, of ``recipe.embedded``, what
        :func:`~dreamlib.distillation.selection.carried` makes of its last one.
    programs : Programs, optional
        Functions that other runs have compiled.

    Attributes
    ----------
    stored : dict of str to Tensor
        The container's tensors.
    step, steps : int
        Work done and all work: steps of the loop and, before them, those of the selection and of the teacher.
    matched : int
        Steps of the loop that are done.
    snapshots : dict of int to Tensors
        Copies of ``stored`` at ``recipe.kept``, by the criterion's own steps; with what a later stage needs, below
        :data:`BESIDE`.
    losses : list of (int, float)
        The loss after a step, sparsely.
    seconds : dict of str to float
        Time spent by phase; ``core_seconds`` is processor time, in all.

    Raises
    ------
    BadValue
        For a recipe that contradicts itself or does not fit the data, and for a missing start.
    """

    def __init__(
        self,
        data: ClassData,
        recipe: Recipe,
        ipc: int,
        seed: int,
        memory_gb: float | None = None,
        start: Mapping[str, Tensor] | None = None,
        programs: Programs | None = None,
    ) -> None:
        if memory_gb is not None and not memory_gb > 0:
            raise BadValue(f"memory is {memory_gb} GiB; expected more than 0", "--memory-gb 8")
        recipe.check()
        data = data.normalised_as(recipe.normalisation(data.dataset))
        recipe.fits(data, ipc)
        how = recipe.criterion
        self.data, self.recipe, self.device = data, recipe, data.device
        self.container = recipe.container
        self.unit = how.unit(data)
        # An earlier stage has made ``first`` of the steps. A coreset has none left: it is only selected.
        self.loops = (recipe.steps - how.first) * self.unit
        moves, taught = self.loops > 0, self.loops > 0 and how.taught
        # Real images that the container starts from; a generator needs none.
        slots = self.container.slots(ipc)
        phases = (
            *(("select",) if slots else ()),
            *(how.phases if moves else ()),
            *(recipe.teacher.phases if taught else ()),
        )
        self.stopwatch = Stopwatch(self.device, *phases)
        self.scene = Scene(
            data=data,
            container=self.container,
            network=recipe.network,
            ipc=ipc,
            steps=self.loops,
            unit=self.unit,
            streams=Streams(seed, self.device),
            engine=self._engine(ipc, programs),
            stopwatch=self.stopwatch,
            memory_gb=memory_gb,
        )
        # The published image rate may depend on IPC and image size (IDC), so it is known only here.
        self.updates = self.container.updates(recipe.update(ipc, data.shape[1]))
        self.matched = 0
        self.snapshots: dict[int, dict[str, Tensor]] = {}
        self.losses: list[tuple[int, float]] = []
        self.stored: dict[str, Tensor] = {}
        # The choice of the images to start from is the first step.
        self.slots, self._selections = slots, int(slots > 0)
        self._chosen_by = trained_embedding(recipe, data, start) if slots else {}
        # Without images to start from (a generator, experts) there is nothing to select.
        if not slots:
            self._begin(None, start)
        # A later stage takes over the partner that an earlier stage has trained.
        partner = None if start is None or recipe.first is None else below(start, BESIDE)
        # A coreset makes no step, so it has neither teacher nor criterion.
        self.teaching: Teaching = recipe.teacher.begin(self.scene, start) if taught else Idle()
        self.criterion = how.begin(self.scene, self.teaching, partner) if moves else None
        if not slots and self.mark in recipe.kept:
            self._keep_snapshot()

    def _engine(self, ipc: int, programs: Programs | None) -> Engine:
        recipe, data = self.recipe, self.data
        network = build(recipe.network, data.shape, data.num_classes, device="meta")
        seen = recipe.criterion.shown(data.num_classes, ipc) + recipe.teacher.shown(data.num_classes, ipc)
        images = self.loops and self.loops * seen
        # A training step costs about three forward passes: one forward, two backward (by the maps and by the weights).
        work = 3 * forward_operations(recipe.network, data.shape, data.num_classes) * images
        return Engine(recipe.mode, self.device, operations=work, programs=programs).for_network(network)

    # The task contract of the companion's workers: small steps, and a state that can be saved after any of them.

    @property
    def steps(self) -> int:
        return self._selections + self.teaching.steps + self.loops

    @property
    def step(self) -> int:
        return (self._selections if self.stored else 0) + self.teaching.step + self.matched

    @property
    def done(self) -> bool:
        return bool(self.stored) and self.matched >= self.loops

    @property
    def ahead(self) -> int:
        """Steps to come of the kind of the next one: of the selection, of preparing the teacher, or of the loop."""
        if not self.stored:
            return self._selections
        if not self.teaching.done:
            return self.teaching.steps - self.teaching.step
        return self.loops - self.matched

    @property
    def mark(self) -> int:
        """Steps done, in the criterion's unit, those of an earlier stage included."""
        return self.recipe.criterion.first + self.matched // self.unit

    @property
    def seconds(self) -> dict[str, float]:
        return self.stopwatch.seconds

    @property
    def core_seconds(self) -> float:
        """Processor time of all phases, added up over threads."""
        return self.stopwatch.core_seconds

    @property
    def notes(self) -> dict[str, Any]:
        """What a record should say of this run beyond its recipe; empty for most."""
        return {**self.teaching.notes, **(self.criterion.notes if self.criterion else {})}

    @property
    def engine(self) -> Engine:
        """How its heavy functions run."""
        return self.scene.engine

    @property
    def streams(self) -> Streams:
        """Its randomness."""
        return self.scene.streams

    @property
    def network(self) -> Network | None:
        """The network of the step, if steps need one."""
        return self.teaching.network

    def advance(self) -> None:
        """Do the next small piece of work."""
        # In order: select the initial images, prepare the teacher, then the loop.
        if not self.stored:
            with self.stopwatch.phase("select"):
                self._begin(select(self.recipe, self.scene, self.slots, self._chosen_by), None)
            self._keep_snapshot()
        elif not self.teaching.done:
            self.teaching.advance()
        else:
            self._step()

    def _begin(self, images: Tensor | None, start: Mapping[str, Tensor] | None) -> None:
        """Start the container, from selected images or from the result of an earlier stage."""
        data, how = self.data, self.recipe.criterion
        self.stored = self.container.start(
            images, self.scene.ipc, data.shape, data.num_classes, self.streams["weights"]
        )
        # Integers (the count of batches in a batch norm) have no gradient.
        learned = {name: value for name, value in self.stored.items() if value.is_floating_point()}
        self.optimiser = Optimiser(learned, self.updates)
        if self.slots or how.before(self.recipe) is None:
            return
        if start is None:
            raise BadValue(
                f"this recipe goes on from a run of {how.first} steps, and none is given",
                "start=run.snapshots[step] of a run of recipe.first",
            )
        given = {name: value for name, value in start.items() if not name.startswith(BESIDE)}
        if {n: v.shape for n, v in given.items()} != {n: v.shape for n, v in self.stored.items()}:
            raise BadValue(
                f"the start holds another container ({len(given)} tensors) than this recipe's ({len(self.stored)})",
                f"start=run.snapshots[{how.first}] of a run of recipe.first",
            )
        for name, value in given.items():
            self.stored[name].copy_(value)
        if how.carries:
            remembered = below(start, f"{BESIDE}moves.")
            if not remembered:
                raise BadValue(
                    "Adam is to continue with its state of the first stage, and the start does not hold it",
                    "the snapshots of a run of recipe.first, or carries_adam=False",
                )
            self.optimiser.restore(remembered, self.stored)

    def _step(self) -> None:
        """One step of the loop, the same for every method."""
        assert self.criterion is not None
        step, lr_factor = self.matched, self.recipe.criterion.lr_factor
        # 1. Weights to learn under. With new ones comes projection: IDC clamps once per network, not once per step.
        if self.teaching.next(step):
            self.container.project(self.stored)
        # 2. Where the gradient is taken: IDC's images first drift by the momentum of the classes before them.
        self.optimiser.approach(self.stored, lr_factor)
        # 3. The loss and its gradient by the stored tensors, and the updates. Running statistics are set, not learned.
        result = self.criterion.gradients(step, self.stored)
        self.optimiser.step(self.stored, result.gradients, lr_factor * result.lr_factor)
        for name, value in result.statistics.items():
            self.stored[name].copy_(value)
        # Counted before the checks below, so that an error names the step that caused it.
        self.matched += 1
        self._record_loss(result.loss)
        # 4. A partner's own step, and then the network's training, both on the updated tensors (DC, IDC: matching
        # first, training second).
        self.criterion.after(step, self.stored)
        self.teaching.after(step, self.stored)
        if self.matched % self.unit == 0 and self.mark in self.recipe.kept:
            self._keep_snapshot()

    # Bookkeeping

    def preview(self) -> Tensor | None:
        """Unit images (C, n, c, h, w) that show the progress of a generator; None where images are stored."""
        look = getattr(self.criterion, "preview", None)
        return None if look is None else look(self.stored)

    def _record_loss(self, loss: Tensor) -> None:
        # Reading the loss waits for the device, so it is read about a hundred times in a run, not at every step.
        if self.matched % max(1, self.loops // 100) and self.matched != self.loops:
            return
        value = float(loss)
        if not math.isfinite(value):
            raise Diverged(
                f"the loss became {value} at step {self.matched} of {self.loops}", self._lower_rate_hint()
            )
        # Counted from the first stage on, so that the losses of two stages follow each other.
        self.losses.append((self.recipe.criterion.first * self.unit + self.matched, value))

    def _lower_rate_hint(self) -> str:
        """The hint of an error when a run has diverged."""
        if not self.updates:  # no learning rate
            return ""
        update = next(iter(self.updates.values()))
        name = "image_lr" if self.slots else "lr"
        return f"lower {name} (now {update.lr * self.recipe.criterion.lr_factor})"

    def _keep_snapshot(self) -> None:
        self._check()
        kept = dict(self.stored)
        if self.criterion is not None:
            kept |= {f"{BESIDE}{name}": value for name, value in self.criterion.for_next_stage().items()}
            # Only a first stage is continued, so only its snapshots carry the state of its updates.
            if self.recipe.criterion.carries and self.recipe.first is None:
                kept |= {f"{BESIDE}moves.{name}": value for name, value in self.optimiser.state().items()}
        self.snapshots[self.mark] = {name: value.clone() for name, value in kept.items()}

    def _check(self) -> None:
        """Raise :class:`Diverged` when a stored tensor or the criterion's state is no longer finite."""
        for name, value in {**self.stored, **(self.criterion.state() if self.criterion else {})}.items():
            if value.is_floating_point() and not bool(torch.isfinite(value).all()):
                raise Diverged(
                    f"{name} is not finite after step {self.matched} of {self.loops}", self._lower_rate_hint()
                )

    # Checkpoints

    def state(self) -> dict[str, Tensor]:
        """Everything needed to resume bit for bit, as named tensors. They are live: write them before the next step.

        Raises
        ------
        Diverged
            If a stored tensor is not finite, so that the last good checkpoint is kept.
        """
        self._check()
        out = {f"stream.{name}": value for name, value in self.streams.state().items()}
        out |= {f"seconds.{name}": torch.tensor(v, dtype=torch.float64) for name, v in self.seconds.items()}
        out["core_seconds"] = torch.tensor(self.core_seconds, dtype=torch.float64)
        if not self.stored:
            return out
        parts = {} if self.criterion is None else self.criterion.settled(self.stored)
        for part, tensors in parts.items():
            out |= {f"{SETTLED}{part}.{name}": value for name, value in tensors.items()}
        if not parts:
            out |= {f"stored.{name}": value for name, value in self.stored.items()}
        out |= {f"moves.{name}": value for name, value in self.optimiser.state().items()}
        out |= {f"teacher.{name}": value for name, value in self.teaching.state().items()}
        if self.criterion is not None:
            out |= {f"criterion.{name}": value for name, value in self.criterion.state().items()}
        # Snapshots are in every checkpoint: after a restart they could not be taken again.
        for mark, snapshot in self.snapshots.items():
            out |= {f"snapshot.{mark}.{name}": value for name, value in snapshot.items()}
        out["losses"] = torch.tensor(self.losses, dtype=torch.float64).view(-1, 2)
        return out | {"matched": torch.tensor(self.matched)}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Resume from what :meth:`state` returned, in a new object made with the same arguments."""
        # The streams first: all that follows draws from them.
        self.streams.restore(below(state, "stream."))
        seconds = {name: float(value) for name, value in below(state, "seconds.").items()}
        self.stopwatch.restore(seconds, float(state["core_seconds"]))
        if "matched" not in state:
            self.teaching.restore({})
            return
        settled = _by_first_word(below(state, SETTLED))
        stored = self.stored if settled else below(state, "stored.")
        if self.stored and {n: v.shape for n, v in stored.items()} != {
            n: v.shape for n, v in self.stored.items()
        }:
            raise ValueError("it holds another container")
        self.stored = {name: value.to(self.device, copy=True) for name, value in stored.items()}
        if settled:
            assert self.criterion is not None
            self.criterion.settle(self.stored, settled)
        # Updates refer to the stored tensors, which are other objects now.
        self.optimiser = Optimiser(
            {n: v for n, v in self.stored.items() if v.is_floating_point()}, self.updates
        )
        self.optimiser.restore(below(state, "moves."), self.stored)
        self.teaching.restore(below(state, "teacher."))
        if self.criterion is not None:
            self.criterion.restore(below(state, "criterion."))
        # "7.images" is tensor "images" of the snapshot after 7 steps.
        snapshots = _by_first_word(below(state, "snapshot."))
        self.snapshots = {
            int(mark): {name: value.to(self.device) for name, value in tensors.items()}
            for mark, tensors in snapshots.items()
        }
        self.losses = [(int(step), float(loss)) for step, loss in state["losses"].tolist()]
        self.matched = int(state["matched"])


def _by_first_word(tensors: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """Tensors "a.b.c" as tensors "b.c" of "a"."""
    out: dict[str, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        word, _, name = key.partition(".")
        out.setdefault(word, {})[name] = value
    return out


def distill(data: ClassData, recipe: Recipe, ipc: int, seed: int = 0) -> Distillation:
    """Run a recipe to its end in one call; the set is ``result.stored``. For long runs see ``companion``.

    What has to be there first (a GAN, experts, a coreset's network) is run before.
    """
    start: dict[str, Tensor] = {}
    if (first := recipe.first) is not None:
        # A later stage goes on where it starts to match; experts are taken at the end of their training.
        start |= distill(data, first, ipc, seed).snapshots[recipe.criterion.first or first.steps]
    if (embedded := recipe.embedded) is not None:
        start |= carried(distill(data, embedded, ipc, seed).snapshots[embedded.steps])
    run = Distillation(data, recipe, ipc, seed, start=start or None)
    while not run.done:
        run.advance()
    return run


__all__ = ["BESIDE", "SETTLED", "SNAPSHOTS", "Distillation", "distill", "snapshot_steps"]
