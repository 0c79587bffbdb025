"""How long cells will take on this device, from a few of their steps."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import cast

import torch
from torch import Tensor

from ..containers import Drawing, GenerativeContainer
from ..core.errors import DreamlibError
from ..coresets import RealImages
from ..data import ClassData, Dataset, load
from ..data.splits import alike
from ..distillation.evaluate import EvaluationRun
from ..distillation.generate import GeneratorTraining
from ..distillation.loop import Distillation
from ..samplers import Random, View
from .cells import Cell
from .store import Store

STEPS = 3  # timed, after one that is not: it compiles, and fills caches
EMBEDDED = 64  # images of each class whose embedding is timed
TESTED = 500
BUDGET = 20.0  # seconds


@dataclass(frozen=True)
class Forecast:
    """Seconds that one cell will take.

    Attributes
    ----------
    cell : Cell
        The cell, standing for all that differ from it by seed or step only.
    distill, evaluate : float
        Seconds of its synthetic set (of each, when it judges several) and of judging it.
    """

    cell: Cell
    distill: float
    evaluate: float

    @property
    def seconds(self) -> float:
        """Of both."""
        return self.distill + self.evaluate


Kind = tuple[str, str, int, str]


def like(cell: Cell) -> Kind:
    """What cells have in common that take equally long: the steps of a stream of classes do, in whatever order."""
    return cell.method, re.sub(r"-step\d+$", "", alike(cell.dataset)), cell.ipc, cell.recipe.mode


def forecast(cell: Cell, dataset: Dataset, data: ClassData) -> Forecast:
    """Time a few steps of every phase of a cell and multiply.

    Parameters
    ----------
    cell : Cell
        What is to be computed.
    dataset : Dataset
        Its data set.
    data : ClassData
        The training images of its set (of the first, when it judges several), on the device of the run.
    """
    return Forecast(cell, _distilling(cell.sets[0], data), _evaluating(cell, dataset, data))


def _distilling(cell: Cell, data: ClassData) -> float:
    recipe = cell.recipe
    seconds = 0.0
    if recipe.generation is not None:
        start: dict[str, Tensor] | None = None
        # From the very start, where Adam has nothing to carry on with; a step takes as long.
        begun = replace(recipe, generation=replace(recipe.generation, carries_adam=False))
        for stage in (one for one in (begun.first, begun) if one is not None):
            training = GeneratorTraining(data, stage, cell.seed, start)
            start = next(iter(training.snapshots.values()))
            seconds += _each(training.advance, data.device) * training.steps
        return seconds
    if recipe.initial.epochs:
        run = Distillation(data, recipe, cell.ipc, cell.seed)
        seconds += _each(run.advance, data.device) * run.steps
    if recipe.iterations:
        plain = replace(recipe, initial=RealImages(), sampler=Random())
        run = Distillation(data, plain, cell.ipc, cell.seed)
        run.advance()
        seconds += _each(run.advance, data.device) * recipe.steps
        if not isinstance(recipe.sampler, Random):
            seconds += _embedding(run) * -(-recipe.steps // recipe.sampler.every)
        if not isinstance(recipe.initial, RealImages):
            seconds += _embedding(run)
    return seconds


def _embedding(run: Distillation) -> float:
    """Seconds for embedding all images that a sampler looks at; choosing among them is a small part of it."""
    data = run.data
    pool = getattr(run.recipe.sampler, "pool", None) or data.largest
    view = View(data, run.network, run.recipe.real_batch, torch.Generator(data.device), run.engine)
    index, _ = data.padded_index()
    few = index[:, :EMBEDDED].contiguous()
    return _each(lambda: view.embed(few), data.device) * pool / few.shape[1]


def _evaluating(cell: Cell, dataset: Dataset, data: ClassData) -> float:
    device = data.device
    count = sum(factor**2 for factor in getattr(cell.recipe.container, "factors", (1,)))  # images from one
    images: Tensor | ClassData | Drawing = data
    if cell.recipe.generation:
        container = cast(GenerativeContainer, cell.recipe.container)
        module = container.module(dataset.shape, dataset.num_classes).to(device)
        images = Drawing(module, container.noise, dataset.normalisation)
    elif not cell.recipe.whole:
        images = torch.zeros(dataset.num_classes, cell.ipc * count, *dataset.shape, device=device)
    run = EvaluationRun(images, dataset, replace(cell.evaluation, also_on=""))
    seconds = _each(run.advance, device) * run.training.steps
    test = torch.zeros(TESTED, *dataset.shape, device=device)
    labels = torch.zeros(TESTED, dtype=torch.int64, device=device)
    ask = run.training.stack.accuracy
    testing = _each(lambda: ask(lambda part: test[part], labels, engine=run.engine), device)
    return seconds + testing * len(dataset.test_labels) / TESTED


def _each(call: Callable[[], object], device: torch.device, steps: int = STEPS) -> float:
    """Seconds of one call, the median of a few, the device's queue included."""
    times = []
    for _ in range(steps + 1):
        start = time.perf_counter()
        call()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(time.perf_counter() - start)
    return sorted(times[1:])[steps // 2]


def forecasts(
    cells: Sequence[Cell],
    store: Store,
    *,
    device: torch.device,
    threads: int,
    data_root: str | None = None,
    seconds: float = BUDGET,
) -> Iterator[tuple[Forecast, int]]:
    """Forecasts of cells that no record speaks for yet, kind by kind, each with the number of its cells.

    Parameters
    ----------
    cells : sequence of Cell
        Most valuable first; what is finished, or like a finished one, is passed over.
    store : Store
        Its records.
    device, threads, data_root
        As the run will have them.
    seconds : float
        No further kind is timed once these are over.
    """
    end = time.monotonic() + seconds
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    datasets: dict[str, Dataset] = {}
    try:
        for kind in _unknown(cells, store):
            if time.monotonic() > end:
                return
            first = kind[0]
            with suppress(DreamlibError):  # the worker that meets it will say so
                source = first.sets[0]
                for name in (first.dataset, source.dataset):
                    if name not in datasets:
                        datasets[name] = load(name, data_root)
                data = ClassData(datasets[source.dataset], device, per_class=source.recipe.per_class)
                yield forecast(first, datasets[first.dataset], data), len(kind)
    finally:
        torch.set_num_threads(before)


def _unknown(cells: Sequence[Cell], store: Store) -> list[list[Cell]]:
    """Cells to compute by what they have in common, without the kinds that have a record."""
    kinds: dict[Kind, list[Cell]] = {}
    known = set()
    for cell in cells:
        if store.record(cell) is None:
            kinds.setdefault(like(cell), []).append(cell)
        else:
            known.add(like(cell))
    return [kind for name, kind in kinds.items() if name not in known]
