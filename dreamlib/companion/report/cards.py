"""The card of a report: what the front page shows of it, read from the report itself (:mod:`.facts`)."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import nbformat
import pandas as pd

from ...core.errors import DataError
from .facts import FACTS, hours
from .html import About, describe, read, shows
from .reported import PAPERS, where
from .verdicts import Verdict
from .words import MISSING, number, plural

KINDS = {"page": "html", "notebook": "ipynb", "table": "md", "csv": "csv", "LaTeX": "tex"}
FIGURE = re.compile(r"!\[([^\]]*)\]\((figures/[^)]+)\)")  # as a page shows it
VERDICTS: dict[Verdict, str] = {True: "holds", False: "does not hold", None: "not decided"}


@dataclass(frozen=True)
class Claim:
    """One line of a page's verdicts."""

    text: str
    holds: Verdict
    evidence: str

    @property
    def verdict(self) -> str:
        """In words."""
        return VERDICTS[self.holds]


@dataclass(frozen=True)
class Card:
    """What the front page shows of a report.

    Attributes
    ----------
    profile, paper, item : str
        Its place.
    about : About or None
        Title, claim and run; None where there is no notebook that can be read.
    status : str
        "rendered", "3 entries missing", "failed", "not executed", "no page", "stale page", "unreadable", "not run".
    claims, also : tuple of Claim
        What the paper claims, and what else was decided.
    agreement : tuple of dict
        Lines of :func:`~dreamlib.companion.report.agreement.agreement`.
    datasets : tuple of str
    cost : dict of str to float
        As :func:`~dreamlib.companion.report.facts.cost` gives it.
    command : str
        What makes the report as it is, and fills what it lacks; "" where its page does not say it.
    files : dict of str to Path
        What there is of :data:`KINDS`, and "failed run".
    picture : Path or None
        The first of its figures; ``shown`` says what it shows.
    """

    profile: str
    paper: str
    item: str
    about: About | None = None
    status: str = "not run"
    claims: tuple[Claim, ...] = ()
    also: tuple[Claim, ...] = ()
    agreement: tuple[Mapping[str, Any], ...] = ()
    datasets: tuple[str, ...] = ()
    cost: Mapping[str, float] = field(default_factory=dict, hash=False)
    command: str = ""
    files: Mapping[str, Path] = field(default_factory=dict, hash=False)
    picture: Path | None = None
    shown: str = ""

    @property
    def name(self) -> str:
        """``"DREAM Table 1"``."""
        return where(self.paper, self.item)

    def address(self, kind: str) -> str:
        """One of its files as a link from the folder of all reports; "picture" too."""
        path = self.picture if kind == "picture" else self.files.get(kind)
        return quote("/".join(path.parts[-4 if kind == "picture" else -3 :])) if path else ""

    @property
    def facts(self) -> dict[str, str]:
        """What is said of it below its claim, by name; what is not known is left out."""
        told = {
            "Verdicts": self.verdicts,
            "Order": f"Kendall's τ {self.order}" if self.order else "",
            "Computing": self.hours,
            "State": "" if self.status == "rendered" else self.status,
            "Run": self.about.when if self.about else "",
        }
        return {name: text for name, text in told.items() if text}

    @property
    def counts(self) -> dict[str, int]:
        """How many claims of the paper hold, do not hold and are not decided; what there is none of is left out."""
        words = [claim.verdict for claim in self.claims]
        return {word: words.count(word) for word in VERDICTS.values() if word in words}

    @property
    def verdicts(self) -> str:
        """:attr:`counts` in words: ``"2 claims hold, 1 does not hold"``."""
        return claims_in_words(self.counts)

    @property
    def order(self) -> str:
        """How far its methods stand in the paper's order: ``"0.67 [0.33, 1.00] on MNIST, IPC 1 (4 methods)"``."""
        lines = []
        for line in self.agreement:
            low, high = line.get("low"), line.get("high")
            interval = f" [{number(low, 2)}, {number(high, 2)}]" if low is not None else ""
            lines.append(f"{number(line['tau'], 2)}{interval} on {line['place']} ({line['methods']} methods)")
        return "; ".join(lines)

    @property
    def hours(self) -> str:
        """:attr:`cost` in words (:func:`~dreamlib.companion.report.facts.hours`), as the page itself says it."""
        return hours(self.cost)


def claims_in_words(counts: Mapping[str, int], thing: str = "claim") -> str:
    """``"2 claims hold, 1 does not hold, 3 are not decided"``; empty for none, and without ``thing`` "2 hold, ..."."""
    many = {"holds": "hold", "does not hold": "do not hold"}
    one = {word: word for word in many}
    parts = [
        f"{count} {one.get(word, f'is {word}') if count == 1 else many.get(word, f'are {word}')}"
        for word, count in counts.items()
    ]
    if parts and thing:
        count, _, rest = parts[0].partition(" ")
        parts[0] = f"{plural(int(count), thing)} {rest}"
    return ", ".join(parts)


def card(root: Path, profile: str, paper: str, item: str) -> Card:
    """The card of a report, from what lies under ``<root>/<profile>/<paper>``.

    Raises
    ------
    DataError
        Its notebook or its table cannot be read.
    """
    stem = root / profile / paper / item
    paths = {kind: stem.with_name(f"{item}.{ending}") for kind, ending in KINDS.items()}
    paths["failed run"] = stem.with_name(f"{item}.failed.ipynb")
    files = {kind: path for kind, path in paths.items() if path.exists()}
    if "notebook" not in files:
        return Card(
            profile, paper, item, files=files, status="failed" if "failed run" in files else "not run"
        )
    # What cannot be read is noticed here: the front page holds the numbers of all tables next to the papers'.
    about = describe(files["notebook"])
    numbers = table(files["csv"]) if "csv" in files else pd.DataFrame()
    notebook = nbformat.reads(read(files["notebook"]).decode(), as_version=4)
    try:
        facts, (shown, address) = _facts(notebook), _figure(notebook)
        return Card(
            profile,
            paper,
            item,
            about,
            _status(files, about, numbers),
            claims=_claims(facts.get("claims", ())),
            also=_claims(facts.get("also", ())),
            agreement=tuple(map(dict, facts.get("agreement", ()))),
            datasets=tuple(map(str, facts.get("datasets", ()))),
            cost={str(kind): float(spent) for kind, spent in facts.get("cost", {}).items()},
            command=str(facts.get("command", "")),
            files=files,
            picture=_picture(stem, address),
            shown=shown,
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{files['notebook']} says something else of itself than a page does: {error!r}", "run it again"
        ) from error


def _facts(notebook: nbformat.NotebookNode) -> dict[str, Any]:
    """All facts of a notebook: lists are joined, and of the rest the first counts."""
    found: dict[str, Any] = {}
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            for name, value in output.get("metadata", {}).get(FACTS, {}).items():
                found[name] = (
                    [*found.get(name, []), *value] if isinstance(value, list) else found.get(name, value)
                )
    return found


def _claims(lines: Iterable[Sequence[Any]]) -> tuple[Claim, ...]:
    return tuple(Claim(str(text), holds, str(evidence)) for text, holds, evidence in lines)


def _status(files: Mapping[str, Path], about: About, numbers: pd.DataFrame) -> str:
    """Where an item stands, in words: "rendered", "3 entries missing", "not executed" for a notebook without a run."""
    if "failed run" in files or about.failed:
        return "failed"
    if not about.when:
        return "not executed"
    if "page" not in files:
        return "no page"
    if not shows(files["page"], files["notebook"]):
        return "stale page"
    missing = _missing(numbers)
    return f"{missing:,} {'entry' if missing == 1 else 'entries'} missing" if missing else "rendered"


def _missing(frame: pd.DataFrame) -> int:
    """Entries of an accuracy table that could be measured and were not; 0 for any other table."""
    return int((frame["status"] == MISSING).sum()) if "status" in frame else 0


def table(path: Path) -> pd.DataFrame:
    """The table of a report, as its CSV has it; empty where the file is.

    Raises
    ------
    DataError
        It is no table.
    """
    raw = read(path)
    if not raw.strip():
        return pd.DataFrame()
    try:
        return pd.read_csv(io.BytesIO(raw))
    except ValueError as error:
        raise DataError(f"{path} is no table: {error}", "run its notebook again") from error


def _figure(notebook: nbformat.NotebookNode) -> tuple[str, str]:
    """What the first figure of a notebook shows, and its address; empty for none."""
    texts = (
        str(output.get("data", {}).get("text/markdown", ""))
        for cell in notebook.cells
        for output in cell.get("outputs", ())
    )
    found = next(filter(None, (FIGURE.search(text) for text in texts)), None)
    return (found[1], unquote(found[2])) if found else ("", "")


def _picture(stem: Path, address: str) -> Path | None:
    """The figure at this address, else the first of its name."""
    if address and (path := stem.parent / address).exists():
        return path
    found = (stem.parent / "figures").glob(f"{stem.name}-*")
    return next((path for path in sorted(found) if path.suffix in (".png", ".svg")), None)


def reading_order(name: tuple[str, str]) -> tuple[int, list[tuple[int, str]]]:
    """Papers as in the project's name, then tables and figures by number: table2 before table10."""
    paper, item = name
    order = list(PAPERS)
    pieces = re.findall(r"\d+|\D+", item)
    return (
        order.index(paper) if paper in order else len(order),
        [(int(piece), "") if piece.isdigit() else (0, piece) for piece in pieces],
    )
