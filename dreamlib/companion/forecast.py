"""How long cells will take on this device, from a few of their steps."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..core.errors import DreamlibError
from ..coresets import RealImages
from ..criteria import Generative, Matching
from ..data import ClassData, Dataset, load
from ..data.splits import alike
from ..distillation.evaluate import EvaluationRun, Trained
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
    recipe, how = cell.recipe, cell.recipe.criterion
    seconds = 0.0
    if recipe.initial.epochs:
        run = Distillation(data, recipe, cell.ipc, cell.seed)
        seconds += _each(run.advance, data.device) * run.steps
    # The rest without what comes rarely: clustering, which is timed by itself, and a pool of networks.
    plain = replace(recipe, initial=RealImages())
    if isinstance(how, Matching):
        plain = replace(plain, criterion=replace(how, sampler=Random()))
    elif isinstance(how, Generative):  # from the very start, where Adam has nothing to carry on with
        plain = replace(plain, criterion=replace(how, carries_adam=False))
    start: dict[str, Tensor] | None = None
    for stage in (one for one in (plain.first, plain) if one is not None):
        run = Distillation(data, stage, cell.ipc, cell.seed, start=start)
        while not run.stored:
            run.advance()
        start = next(iter(run.snapshots.values()))
        if run.loops:
            seconds += _each(run.advance, data.device) * run.loops
    if isinstance(how, Matching) and recipe.steps:
        if not isinstance(how.sampler, Random):
            seconds += _embedding(run, how) * -(-recipe.steps // how.sampler.every)
        if not isinstance(recipe.initial, RealImages):
            seconds += _embedding(run, how)
    return seconds


def _embedding(run: Distillation, how: Matching) -> float:
    """Seconds for embedding all images that a sampler looks at; choosing among them is a small part of it."""
    data, network = run.data, run.network
    assert network is not None
    pool = getattr(how.sampler, "pool", None) or data.largest
    view = View(data, network, how.real_batch, torch.Generator(data.device), run.engine)
    index, _ = data.padded_index()
    few = index[:, :EMBEDDED].contiguous()
    return _each(lambda: view.embed(few), data.device) * pool / few.shape[1]


def _evaluating(cell: Cell, dataset: Dataset, data: ClassData) -> float:
    device, container = data.device, cell.recipe.container
    images: Trained = data
    if not cell.recipe.whole:
        slots, classes = container.slots(cell.ipc), dataset.num_classes
        begun = torch.zeros(classes, slots, *dataset.shape, device=device) if slots else None
        stream = torch.Generator(device)
        stored = container.start(begun, cell.ipc, dataset.shape, classes, stream)
        about = dataset.shape, classes, dataset.normalisation
        images = container.training_set(stored, *about, device, fast=cell.evaluation.mode == "fast")
    run = EvaluationRun(images, dataset, replace(cell.evaluation, also_on=""))
    seconds = _each(run.advance, device) * run.training.steps
    test = torch.zeros(TESTED, *dataset.shape, device=device)
    labels = torch.zeros(TESTED, dtype=torch.int64, device=device)
    testing = _each(lambda: run.training.accuracy(lambda part: test[part], labels), device)
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
