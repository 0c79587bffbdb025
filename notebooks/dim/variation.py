"""What Tables 5, 6, 10 and Figures 3a, 3b share: one setting of DiM varied, each variant judged by several networks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import ablation

from dreamlib.companion.cells import Cell
from dreamlib.companion.report import tables
from dreamlib.companion.session import Claim, Session


def variants(
    session: Session,
    make: Callable[[str, str, int], Mapping[str, Cell]],
    base: str,
    *,
    published: Sequence[Any] = (),
    called: str = "",
    average: bool = True,
) -> tuple[Mapping[str, Cell], ablation.AblationTable]:
    """The cells of a session by the name of their row, and their table, which is kept with the page.

    Parameters
    ----------
    make : callable
        The plan of the item: cells by name, from profile, data set and budget.
    base : str
        The row that every other one is compared with.
    published : sequence
        The names of all rows that the paper prints; none where it prints only the best value.
    called : str
        What the reported numbers call a row, with ``{}`` for its name.
    average : bool
        Add a column of the mean over the networks.
    """
    named = make(session.profile.name, session.study.datasets[0], session.study.ipcs[0])
    if published:
        methods = {name: cell.method for name, cell in named.items()}
        rows = ablation.variants(methods, [str(name) for name in published], called)
    else:
        rows = [tables.Row(cell.method, name, None) for name, cell in named.items()]
    table = ablation.of_session(session, rows, base=base, average=average)
    session.save(table)
    return named, table


def plot(
    session: Session,
    table: ablation.AblationTable,
    name: str,
    xlabel: str,
    values: Sequence[Any] | None = None,
    *,
    connected: bool = True,
    logarithmic: bool = False,
) -> None:
    """Accuracy against the setting, a line for each network; kept as the figure ``name``.

    ``values`` is the setting of every row as a number; without it rows stand side by side.
    """
    panels = table.curves(None if values is None else [float(value) for value in values])
    figure = ablation.varied(
        panels,
        xlabel=xlabel,
        connected=connected,
        logarithmic=logarithmic,
        suptitle=f"Profile {session.profile.name}",
    )
    session.save_figure(figure, name)


def worse_at_the_ends(
    table: ablation.AblationTable, named: Mapping[str, Cell], best: str, sign: str, network: str = ""
) -> list[Claim]:
    """The claims that the paper's best value is above the smallest and the largest one that is measured here."""
    ends = {"small": min(named, key=float), "large": max(named, key=float)}
    where = ", on average" if network else ""
    return [
        (
            f"too {much} a {sign} is worse: {sign} = {best} above {sign} = {name}{where}",
            *table.above(best, name, network=network),
        )
        for much, name in ends.items()
        if name != best
    ]
