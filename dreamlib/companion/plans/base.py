"""What a plan is: which cells stand behind a table or a figure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from ...recipes import methods as known_methods
from ..cells import Cell, judged_again, make_cell
from ..profiles import profiles

Cells = Callable[[str, str, str, int, int], Sequence[Cell]]


def final(profile: str, method: str, dataset: str, ipc: int, seed: int) -> list[Cell]:
    """The set at its end, judged by its method's own protocol, and by the common one where that is another."""
    own = make_cell(profile, method, dataset, ipc, seed)
    again = judged_again(own)
    return [own] if again is None else [own, again]


def once(profile: str, method: str, dataset: str, ipc: int, seed: int) -> list[Cell]:
    """The set at its end, judged by its method's own protocol alone: where only the making of it is looked at."""
    return [make_cell(profile, method, dataset, ipc, seed)]


def course(profile: str, method: str, dataset: str, ipc: int, seed: int) -> list[Cell]:
    """The set along the way, from its start to its end."""
    steps = make_cell(profile, method, dataset, ipc, seed).recipe.kept
    return [make_cell(profile, method, dataset, ipc, seed, step=step) for step in steps]


def variant(cell: Cell, name: str, label: str) -> Cell:
    """A cell as a row of its own: its method's name and label say what the item has changed in it."""
    return replace(cell, method=f"{cell.method}+{name}", label=f"{cell.label}, {label}", base=cell.method)


@dataclass(frozen=True)
class Plan:
    """The cells of one item.

    Attributes
    ----------
    item, title : str
        ``"dream/table1"`` and what it shows.
    methods : tuple of str
        In the order of the rows.
    cells : callable
        ``cells(profile, method, dataset, ipc, seed)`` gives the cells of one place of the table: :func:`final`,
        :func:`course`, or a function of the item's own.
    sets : bool
        The images themselves are shown, so a record without its set is not enough.
    ipcs : tuple of int
        Budgets of the item under every profile that names none for it; empty takes the profile's.
    datasets : tuple of str
        Data sets of the item, most valuable first, where the profile has them, likewise.
    seeds : int
        Synthetic sets of each method, likewise; 0 takes the profile's.
    """

    item: str
    title: str
    methods: tuple[str, ...]
    cells: Cells = final
    sets: bool = False
    ipcs: tuple[int, ...] = ()
    datasets: tuple[str, ...] = ()
    seeds: int = 0

    def methods_of(self, profile: str) -> tuple[str, ...]:
        """Methods under a profile: all but those that it computes on request only."""
        slow = set(profiles[profile].on_request)
        named = profiles[profile].item(self.item).methods or self.methods
        return tuple(name for name in named if not slow & {name, *known_methods[name].family})

    def seeds_of(self, profile: str) -> int:
        """Synthetic sets of each method under a profile."""
        return profiles[profile].item(self.item).seeds or self.seeds or profiles[profile].seeds

    def ipcs_of(self, profile: str) -> tuple[int, ...]:
        """Budgets under a profile."""
        return profiles[profile].item(self.item).ipcs or self.ipcs or profiles[profile].ipcs

    def datasets_of(self, profile: str) -> tuple[str, ...]:
        """Data sets under a profile."""
        offered = profiles[profile].datasets
        own = profiles[profile].item(self.item).datasets or self.datasets
        return tuple(name for name in own if name in offered) or offered
