"""The page of all pages, ``reports/index.html``: every notebook by profile and paper, run or not."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from ...core.errors import DataError
from .html import About, PageRenderer, describe, read, shows, write_page
from .layouts import templates
from .reported import PAPERS, where
from .words import MISSING, make_target

KINDS = ("html", "ipynb", "csv", "md", "tex")


def index(
    reports_root: str | Path,
    *,
    notebooks: str | Path | None = None,
    command: str = "python -m dreamlib notebook {paper}/{item} --profile {profile}",
    profiles: Mapping[str, str],
) -> Path:
    """Write ``reports/index.html``: every notebook by profile and paper, run or not.

    Parameters
    ----------
    reports_root : str or Path
        Holds ``<profile>/<paper>/<item>.ipynb`` and what belongs to it.
    notebooks : str or Path, optional
        Holds ``<paper>/<item>.ipynb``; by default ``notebooks`` next to `reports_root`. What is there and was not
        run is listed with the command that runs it.
    command : str
        That command, with ``{profile}``, ``{paper}``, ``{item}`` and ``{target}``, the name of make's target.
    profiles : dict of str to str
        What each profile says to a reader (``Profile.reading``). They are always shown, in this order; others that
        have reports follow.

    Returns
    -------
    Path
        The index.

    Raises
    ------
    StoreError
        The folder cannot be written.
    """
    root = Path(reports_root)
    sources = Path(notebooks) if notebooks is not None else root.parent / "notebooks"
    # A module next to notebooks is not one of them: it has no twin.
    known = {(file.parent.name, file.stem) for file in sources.glob("*/*.ipynb")}
    made = {
        (file.parts[-3], file.parts[-2], file.stem.removesuffix(".failed"))
        for file in root.glob("*/*/*.ipynb")
    }
    shown = [*profiles, *sorted({profile for profile, _, _ in made} - set(profiles))]
    renderer = PageRenderer(root)
    sections = []
    for profile in shown:
        names = known | {(paper, item) for one, paper, item in made if one == profile}
        entries = [
            _entry(root, profile, *name, command, renderer) for name in sorted(names, key=reading_order)
        ]
        there = [entry for entry in entries if entry["about"] is not None]
        papers = {entry["paper"]: [one for one in there if one["paper"] == entry["paper"]] for entry in there}
        todo = [entry for entry in entries if entry["about"] is None]
        sections.append((profile, profiles.get(profile, ""), papers, todo))
    page = templates().get_template("index.html.j2").render(sections=sections, papers=PAPERS)
    return write_page(root / "index.html", page)


def _entry(
    root: Path, profile: str, paper: str, item: str, command: str, renderer: PageRenderer
) -> dict[str, Any]:
    """What the list shows of a notebook under a profile: title and claim, status, files, and what to type."""
    stem = root / profile / paper / item
    notebook = stem.with_name(f"{item}.ipynb")
    files = {kind: stem.with_name(f"{item}.{kind}") for kind in KINDS}
    files["failed run"] = stem.with_name(f"{item}.failed.ipynb")
    about = None
    try:
        about = describe(notebook) if notebook.exists() else None
        status = _status(stem, about)
    except DataError as error:  # one bad file stops no other
        status = "unreadable"
        warnings.warn(f"{paper}/{item} under {profile} is listed as unreadable: {error}", stacklevel=3)
    todo = command.format(profile=profile, paper=paper, item=item, target=make_target(paper, item))
    return {
        "paper": paper,
        "name": where(paper, item),
        "short": where("", item).strip(),
        "about": about,
        "title": renderer.line(about.title) if about else "",
        "claim": renderer.line(first_sentence(about.claim)) if about else "",
        "status": status,
        "links": [(kind, file.relative_to(root).as_posix()) for kind, file in files.items() if file.exists()],
        "command": "" if status == "rendered" else todo,
    }


def _status(stem: Path, about: About | None) -> str:
    """Where an item stands, in words: "rendered", "3 cells missing", "not executed" for a notebook without a run."""
    notebook, page = stem.with_name(f"{stem.name}.ipynb"), stem.with_name(f"{stem.name}.html")
    if stem.with_name(f"{stem.name}.failed.ipynb").exists() or (about is not None and about.failed):
        return "failed"
    if about is None:
        return "not run"
    if not about.when:
        return "not executed"
    if not page.exists():
        return "no page"
    if not shows(page, notebook):
        return "stale page"
    missing = _missing(stem.with_name(f"{stem.name}.csv"))
    return f"{missing} cell{'s' * (missing != 1)} missing" if missing else "rendered"


def _missing(table: Path) -> int:
    """Cells of an accuracy table's CSV that could be measured and were not; 0 for any other file."""
    raw = read(table) if table.exists() else b""
    if not raw.strip():
        return 0
    try:
        frame = pd.read_csv(io.BytesIO(raw))
    except ValueError as error:
        raise DataError(f"{table} is no table: {error}", "run its notebook again") from error
    return int((frame["status"] == MISSING).sum()) if "status" in frame else 0


def first_sentence(text: str) -> str:
    """Up to the first full stop that ends a sentence, outside formulas."""
    match = re.match(r"(?:\$[^$]*\$|[^$])*?[.!?](?=\s+[A-Z*_(]|\s*$)", text)
    return match.group(0) if match else text


def reading_order(name: tuple[str, str]) -> tuple[int, list[tuple[int, str]]]:
    """Papers as in the project's name, then tables and figures by number: table2 before table10."""
    paper, item = name
    order = list(PAPERS)
    pieces = re.findall(r"\d+|\D+", item)
    return (
        order.index(paper) if paper in order else len(order),
        [(int(piece), "") if piece.isdigit() else (0, piece) for piece in pieces],
    )
