"""Every claim of the papers in one list, and what it would take to decide the open ones: ``make claims``."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..core.errors import DreamlibError
from .forecast import expected_seconds, span
from .report import ledger
from .report.cards import Card, card, reading_order
from .report.notebook import run_notebook
from .report.reported import PAPERS
from .store import Store
from .studies import study

KEPT = ("paper", "cpu")  # profiles whose verdicts count, that of the published protocol first
ASKED = "cpu"  # the profile that two processor cores are enough for
LEAST = "quick"
MEASURES = ".measured("  # in a notebook that measures by itself, whenever it runs


def rewrite(root: Path, reports: Path, data: str | None = None) -> list[Path]:
    """Write ``claims.md`` and ``claims.html`` in the folder of reports, from its reports and from all notebooks.

    Parameters
    ----------
    root : Path
        The project; each of its notebooks runs once without any measurement, which takes some minutes. Their words are
        those of ``cpu`` where its data sets are here.
    reports : Path
        The reports, with their records in ``results``.
    data : str, optional
        Folder of the data sets.
    """
    store = Store(reports / "results", data=data)
    items, takes = {}, {}
    for name in sorted(_items(root), key=reading_order):
        with _blank(root, name, store) as empty:
            own = [card(reports, profile, *name) for profile in KEPT]
            found = ledger.lines([one for one in own if one.about], empty)
        if found:
            items[name] = found
        if found and (asked := _takes("/".join(name), store)):
            takes[name] = asked
    return ledger.ledger(reports, items, takes)


def _items(root: Path) -> Iterator[tuple[str, str]]:
    for file in (root / "notebooks").glob("*/*.ipynb"):
        if file.parent.name in PAPERS:
            yield file.parent.name, file.stem


@contextmanager
def _blank(root: Path, name: tuple[str, str], store: Store) -> Iterator[Card]:
    """The page of an item without any record."""
    paper, item = name
    source = root / "notebooks" / paper / f"{item}.py"
    with tempfile.TemporaryDirectory(prefix="dreamlib-claims-") as folder:

        def made(profile: str) -> Card:
            output = Path(folder, profile, paper, f"{item}.ipynb")
            given = {
                "profile": profile,
                "workers": -1,
                "results": str(Path(folder, "results")),
                "reports": folder,
            }
            if store.data:
                given["data"] = str(store.data)
            run_notebook(source, output, given, progress=False)
            return card(Path(folder), profile, paper, item)

        # What is varied, and so what is claimed, goes by the profile. Where a notebook would measure something, only
        # its words are wanted.
        if MEASURES in source.read_text():
            found = made(LEAST)
        else:
            try:
                found = made(ASKED)
            except DreamlibError:  # it shows images of a data set that is not here
                found = made(LEAST)
        yield found


def _takes(item: str, store: Store) -> ledger.Takes | None:
    """What the whole page would take under :data:`ASKED`."""
    asked = study(item, profile=ASKED, store=store)
    if not asked.cells:
        return ledger.Takes(asked.command(), 0, 0, 0, None, "what its notebook takes, which measures it")
    missing = len(asked.missing())
    if not missing:
        return None
    # A worker of these profiles has one thread.
    left = expected_seconds(asked.cells, store)
    about = "not known before a first cell is timed" if left is None else span(left)
    return ledger.Takes(asked.command(), missing, len(asked.cells), asked.seeds, left, about)
