"""How long cells will take: from records, and from the steps that workers have timed in what is begun."""

from __future__ import annotations

import re
import statistics
from collections.abc import Collection, Iterable, Iterator, Sequence

from ..core.reading import present
from ..data.splits import alike
from .cells import Cell
from .store import Store

BUDGET = (
    20.0  # seconds in which cells are begun for a forecast; those of a kind that comes later stay unknown
)

Kind = tuple[str, str, int, str]


def like(cell: Cell) -> Kind:
    """What cells have in common that take equally long: the steps of a class sequence do, in whatever order."""
    return cell.method, re.sub(r"-step\d+$", "", alike(cell.dataset)), cell.ipc, cell.recipe.mode


def unknown_kinds(cells: Sequence[Cell], store: Store, known: Collection[Kind] = ()) -> Iterator[list[Cell]]:
    """Cells by what they have in common, without the kinds that are ``known`` or begun when their turn comes."""
    kinds: dict[Kind, list[Cell]] = {}
    for cell in cells:
        if like(cell) not in known:
            kinds.setdefault(like(cell), []).append(cell)
    for kind in kinds.values():
        # Asked when its turn comes: another worker of the run may have begun one of the kind by now.
        if not any(_paces(cell, store) for cell in kind):
            yield kind


def _paces(cell: Cell, store: Store) -> dict[str, dict[str, float]]:
    """What workers have timed of a cell, by phase."""
    found = {
        "distil": next(filter(None, (_pace(one, store) for one in cell.sets)), {}),
        "evaluate": store.pace(cell, "evaluate"),
    }
    return {phase: pace for phase, pace in found.items() if pace.get("seconds")}


def _pace(cell: Cell, store: Store) -> dict[str, float]:
    """What is timed of the making of a set, or of what has to be there before; empty where that is nothing."""
    # What has to be there first is timed in its place, for as long as it is not there.
    for one in (cell, *cell.needs):
        pace = store.pace(one, "distill")
        if pace.get("seconds") and (one is cell or not present(store.set_path(one))):
            return pace
    return {}


def _whole(pace: dict[str, float]) -> float:
    """Seconds of a task as far as it has been timed: what it does first may take longer or shorter than the rest."""
    return (pace["step"] + pace["ahead"]) * pace["seconds"]


def forecast(kind: Sequence[Cell], store: Store) -> str:
    """A line on cells that are begun: "DREAM, cifar10, IPC 10, paper: about 14 min to distil on this device"."""
    cell, many = kind[0], f", {len(kind)} cells" if len(kind) > 1 else ""
    times = []
    for phase, pace in _paces(cell, store).items():
        rest = pace["steps"] - pace["step"] - pace["ahead"]  # not reached yet; of an evaluation only the test
        # Of a set that waits for an earlier stage, or for a coreset's network, that is all that is timed.
        begun = phase != "distil" or any(store.pace(one, "distill").get("seconds") for one in cell.sets)
        how = "about" if begun and not cell.parts and rest <= (phase == "evaluate") else "more than"
        times.append(f"{how} {span(_whole(pace))} to {phase}")
    return f"  {cell.label}, {cell.dataset}, IPC {cell.ipc}, {cell.profile}: {', '.join(times)} on this device{many}"


def expected_seconds(cells: Sequence[Cell], store: Store) -> float | None:
    """Computing time still needed for ``cells``; None when there is nothing to go by.

    Cells of the same method, data set and IPC (another seed, step or network) count as the mean of their records, else
    as the one of them that is begun; failing that the median over all is taken, so the answer gets better as cells
    finish. A synthetic set is distilled once for all its cells, and a set that is there costs nothing.
    """
    distil: dict[Kind, list[float]] = {}
    evaluate: dict[Kind, list[float]] = {}
    missing = []
    for cell in cells:
        record = store.record(cell)
        if record is None:
            missing.append(cell)
        elif {"distill", "evaluate"} <= (took := record.get("seconds", {})).keys():
            for one in cell.sets:
                distil.setdefault(like(one), []).append(took["distill"] / len(cell.sets))
            evaluate.setdefault(like(cell), []).append(took["evaluate"])
    if not missing:
        return 0.0
    needed = (one for cell in missing for one in cell.sets if not one.recipe.whole)
    sets = {one.set_key: one for one in needed if not present(store.set_path(one))}
    begun = 0.0
    # A set that is begun is known by its own pace, and the others of its kind by it.
    for key, one in list(sets.items()):
        if pace := _pace(one, store):
            distil.setdefault(like(one), [_whole(pace)])
            begun += pace["ahead"] * pace["seconds"]
            del sets[key]
    for cell in missing:
        if (pace := store.pace(cell, "evaluate")).get("seconds"):
            evaluate.setdefault(like(cell), [_whole(pace)])
    if not distil and not evaluate:
        return None
    return begun + _sum(distil, sets.values()) + _sum(evaluate, missing)


def _sum(known: dict[Kind, list[float]], cells: Iterable[Cell]) -> float:
    # The median of the kinds stands in for one of which nothing is known: a few slow methods would pull up a mean.
    means = {kind: statistics.mean(values) for kind, values in known.items()}
    typical = statistics.median(means.values()) if means else 0.0
    return sum(means.get(like(cell), typical) for cell in cells)


def span(seconds: float) -> str:
    """A duration for people: "14 min", "2.5 h"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
