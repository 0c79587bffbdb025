"""What the README shows, from the records there are: ``make picture``.

Which entries it shows is decided by rule. The published protocol comes before ``cpu``, and that before ``quick``. The
table is the first profile's with a number that is measured and reported. The picture is the first profile's with a
distilled set: on its most valuable data set, at ten images per class if there is one, by DREAM if it is there, else by
the first method of DREAM's Table 1.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import torch

from ..core.errors import StoreError
from ..distillation.sets import DistilledSet
from ..recipes import methods
from .plans.dream import DISTILLED, PLUGGED
from .profiles import profiles
from .report import overview
from .report.accuracies import Entry
from .report.tables import AccuracyTable
from .report.words import MEASURED, data_set
from .session import Session, pixels

ITEM = "dream/table1"
PREFERRED = ("dream", *DISTILLED, *PLUGGED)
ROWS = 4  # images of a class
SETS = 5  # of each method at most, as the papers make: those that are there are shown
FOLDER = Path("reports", "front")


def sessions(results: str = "") -> Iterator[Session]:
    """DREAM's Table 1 under every profile, the published protocol first."""
    for name in reversed(list(profiles)):
        yield Session(ITEM, profile=name, results=results, seeds=SETS)


def table_of(session: Session) -> AccuracyTable:
    """Its table, with every method."""
    return session.accuracy_table([row for name in session.study.methods for row in session.rows(name)])


def summary(results: str = "") -> str:
    """The table of the README.

    Raises
    ------
    StoreError
        Nothing is measured that is reported too.
    """
    return overview.summary(map(table_of, sessions(results)))


def shown(found_in: Iterable[Session]) -> tuple[Session, list[Entry], str, DistilledSet]:
    """What the picture shows: the measured entries of one data set and budget, and one of their sets by its method.

    Raises
    ------
    StoreError
        No distilled set is there.
    """
    for session in found_in:
        table = table_of(session)
        for dataset, ipc in sorted(table.columns, key=lambda column: column[1] != 10):
            entries = [table.entries[index, (dataset, ipc)] for index in range(len(table.rows))]
            measured = [entry for entry in entries if entry.status == MEASURED and not entry.row.apart]
            names = [name for name in PREFERRED if any(entry.row.method == name for entry in measured)]
            for name in names:
                if (found := session.distilled(name, dataset, int(ipc))) is not None:
                    return session, measured, name, found
    raise StoreError("no distilled set is there to show", "make table1")


def draw(root: Path, results: str = "") -> tuple[list[Path], str]:
    """Draw the picture for light and dark pages under ``reports/front``; also how the README shows it, in Markdown."""
    session, entries, method, found = shown(sessions(results))
    dataset, label = session.dataset(entries[0].dataset), methods[method].label
    classes, rows = range(min(10, len(dataset.classes))), min(ROWS, found.stored.shape[1])
    real = [dataset.train_images[dataset.train_labels == one][:rows] / 255.0 for one in classes]
    images = (
        pixels(torch.stack(real, dim=1)),
        pixels(found.stored[: len(classes), :rows].transpose(0, 1)),
    )
    told = f"{data_set(dataset.name)}, {entries[0].ipc} images per class, profile {session.profile.name}"
    files = {end: FOLDER / f"picture{end}.png" for end in overview.INKS}
    for end, ink in overview.INKS.items():
        figure = overview.picture(*images, entries, label=label, told=told, ink=ink)
        overview.save(figure, root / files[end])
    alt = overview.described(entries, label, told)
    shown_as = overview.image(
        {end: file.as_posix() for end, file in files.items()}, alt, session.profile.reading
    )
    return [root / file for file in files.values()], shown_as


def rewrite(root: Path, results: str = "") -> list[Path]:
    """Bring the README's table and picture in line with the records; what was written.

    Raises
    ------
    StoreError
        Nothing is there to show. The table is in line by then, if it is only the picture that has nothing.
    DataError
        The README has no place for them.
    """
    readme = root / "README.md"
    overview.put(readme, "table", summary(results))
    files, shown_as = draw(root, results)
    overview.put(readme, "picture", shown_as)
    return [readme, *files]
