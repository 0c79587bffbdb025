"""What Tables 5, 6, 10 and Figures 3a, 3b share: one setting of DiM varied, each variant judged by several networks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import ablation

from dreamlib.companion.cells import Cell
from dreamlib.companion.report import tables
from dreamlib.companion.report.words import plural
from dreamlib.companion.session import Claim, Session
from dreamlib.companion.studies import study


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


ALONG = "dim/figure6"  # where DiM and its GAN are judged along their epochs


def own_spread(session: Session, table: ablation.AblationTable) -> None:
    """Say how far one generator moves along its last epochs, and how many generators the paper's differences take.

    Where none was judged along the way, the page says so, with the command that measures it.
    """
    found: dict[tuple[str, int, str], ablation.Course] = {}
    for dataset in session.study.datasets:
        for ipc in session.study.ipcs:
            courses = _along(session, table.judges, dataset, ipc)
            found |= {(dataset, ipc, label): course for label, course in courses.items()}
    frame = ablation.wanted(table.changes(), found)
    if frame.empty:
        return
    printed = frame[frame.reported.notna()]
    if len(printed):
        larger = int((printed.reported.abs() > printed.spread).sum())
        session.say(
            f"Of {plural(len(printed), 'difference')} that the paper prints for these rows, {larger or 'none'} "
            f"{'exceeds' if larger < 2 else 'exceed'} that spread."
        )
    session.say(
        "The last column says how many generators each of two rows takes for a 95 % interval as narrow as the paper's "
        "difference, or as one point where it prints none."
    )
    session.show(ablation.wanted_told(frame))


def _along(
    session: Session, judges: Sequence[ablation.Judge], dataset: str, ipc: int
) -> dict[str, ablation.Course]:
    """How far one generator moves at a place, by the label of the network; what is not measured is said.

    The records are those of Figure 6, and the ends of the page's own generators. DiM's generator is looked at, or its
    GAN where DiM's was not judged along the way.
    """
    way = study(
        ALONG, profile=session.profile.name, datasets=(dataset,), ipcs=(ipc,), store=session.study.store
    )
    here = [one for one in session.records if (one["dataset"], one["ipc"]) == (dataset, ipc)] + way.records()
    both = [[one for one in here if one["method"] == method] for method in ("dim", "gan")]
    courses = {
        judge.label: course
        for judge in judges
        if (course := next(filter(None, (ablation.course(own, judge.name) for own in both)), None))
    }
    place = session.place(dataset, ipc)
    alike: dict[str, list[str]] = {}
    for label, course in courses.items():
        about = f"{course.words}; {plural(course.generators, 'generator')}"
        alike.setdefault(about, []).append(f"{course.spread:.1f} points under {label}")
    for about, told in alike.items():
        session.say(
            f"{place}: along its last epochs one generator moves by {' and '.join(told)} (standard deviation; "
            f"{about}). A rise along them is in it."
        )
    judged = {cell.evaluation.network.name for cell in way.cells}
    lacking = [judge for judge in judges if judge.label not in courses]
    if filled := [judge.label for judge in lacking if judge.name in judged]:
        session.say(
            f"*{place}: how far one generator moves along its epochs is not measured under {' and '.join(filled)}. "
            f"`{way.command()}` measures it.*"
        )
    if beyond := [judge.label for judge in lacking if judge.name not in judged]:
        session.say(
            f"*{place}: under {' and '.join(beyond)} it is not measured, and no command does: Figure 6 has no such "
            "network.*"
        )
    return courses
