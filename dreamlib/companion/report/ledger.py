"""Every claim of the papers in one list, each with what became of it: ``reports/claims.md`` and ``claims.html``."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from markupsafe import Markup

from ...core.atomic import write_text
from .cards import Card, Claim, claims_in_words
from .html import PageRenderer, plain, write_page
from .layouts import MARKDOWN, brief, templates
from .reported import PAPERS, where
from .words import DATASETS, plural

OPEN = "not decided"
UNMEASURED = "not measured"  # the verdict of a claim for which nothing is there yet
ORDER = ("holds", "does not hold", OPEN, UNMEASURED)

# Reasons, as pages word them, for which no measurement under a profile decides a claim.
REASONS = (
    "judgement of the eye",
    "not implemented",
    "it would follow",
    "no measurement of this profile decides it",
)
# A page without measurements names a place before a reason: of no matter here.
BLANK_PLACE = re.compile(rf"^({'|'.join(map(re.escape, DATASETS.values()))})(, [^:;]*)?: ")


@dataclass(frozen=True)
class Line:
    """A claim of an item, and where it stands.

    Attributes
    ----------
    claim : Claim
        With the verdict and the evidence that count: those of the published protocol, else of ``cpu``, else none.
    word : str
        One of :data:`ORDER`.
    card : Card or None
        The report that decides it, or comes nearest to it; None where there is none.
    """

    claim: Claim
    word: str
    card: Card | None

    @property
    def waits(self) -> bool:
        """Whether a measurement may decide it: not a judgement of the eye, nor what is not implemented."""
        return self.word == UNMEASURED or (self.word == OPEN and not _reasoned(self.claim))


@dataclass(frozen=True)
class Takes:
    """What measures the rest of a page.

    Attributes
    ----------
    command : str
        What to type.
    missing, cells, sets : int
        Cells that are not measured, of all; synthetic sets of each method.
    seconds : float or None
        On one core; None before anything of the page is timed.
    about : str
        The same in words.
    """

    command: str
    missing: int
    cells: int
    sets: int
    seconds: float | None
    about: str


def lines(reports: Sequence[Card], blank: Card) -> list[Line]:
    """The claims of an item, each once.

    Parameters
    ----------
    reports : sequence of Card
        Its reports, that of the published protocol first.
    blank : Card
        Its page where nothing is measured: it has every claim, and what it says without numbers.
    """
    found: dict[str, Line] = {}
    for card in (*reports, blank):
        for claim in card.claims:
            line = _unmeasured(claim) if card is blank else Line(claim, _word(claim), card)
            best = found.setdefault(claim.text, line)
            # Of equal ones the first stays: what is published comes before what is scaled down.
            if _rank(line) < _rank(best):
                found[claim.text] = line
    return list(found.values())


def _word(claim: Claim) -> str:
    if claim.holds is not None:
        return claim.verdict
    # A page that has anything says by how many points.
    return UNMEASURED if "measured" in claim.evidence and "point" not in claim.evidence else OPEN


def _unmeasured(claim: Claim) -> Line:
    """A claim as a page without measurements tells it: open for a reason, or to be measured."""
    if _reasoned(claim):
        return Line(replace(claim, holds=None, evidence=BLANK_PLACE.sub("", claim.evidence)), OPEN, None)
    return Line(replace(claim, holds=None, evidence=""), UNMEASURED, None)


def _reasoned(claim: Claim) -> bool:
    return any(reason in claim.evidence for reason in REASONS)


def _rank(line: Line) -> int:
    return {"holds": 0, "does not hold": 0, OPEN: 1, UNMEASURED: 2}[line.word]


def in_words(found: Iterable[Line]) -> str:
    """``"109 claims: 6 hold, 3 do not hold, 8 are not decided, 92 are not measured"``."""
    words = [line.word for line in found]
    counts = {word: words.count(word) for word in ORDER if word in words}
    return f"{plural(len(words), 'claim')}: {claims_in_words(counts, '')}"


def ledger(
    root: Path, items: Mapping[tuple[str, str], Sequence[Line]], takes: Mapping[tuple[str, str], Takes]
) -> list[Path]:
    """Write the list, in Markdown for code hosts and as a page that needs no network.

    Parameters
    ----------
    root : Path
        Holds the reports.
    items : dict of (str, str) to sequence of Line
        The claims by paper and item, in reading order.
    takes : dict of (str, str) to Takes
        What would measure the rest of a page; nothing for items where nothing is missing.
    """
    by_paper: dict[str, list[Line]] = {}
    for (paper, _), found in items.items():
        by_paper.setdefault(PAPERS[paper], []).extend(found)
    open_ones = [(asked, sum(line.waits for line in items[name])) for name, asked in takes.items()]
    told = {
        "papers": {paper: in_words(found) for paper, found in by_paper.items()},
        "all": in_words(line for found in items.values() for line in found),
        "open": sorted((one for one in open_ones if one[1]), key=lambda one: one[0].seconds or math.inf),
        "parts": {
            where(*name): [
                (MARKDOWN(line.claim.text), _verdict(line), MARKDOWN(_evidence(line))) for line in found
            ]
            for name, found in items.items()
        },
    }
    text = templates().get_template("claims.md.j2").render(**told)
    renderer = PageRenderer(root)
    title, _, rest = text.partition("\n")
    body = Markup(renderer.markdown(rest))
    page = {"title": plain(title.removeprefix("# ")), "body": body, "words": renderer.headings}
    return [
        write_text(root / "claims.md", text),
        write_page(root / "claims.html", templates().get_template("glossary.html.j2").render(**page)),
    ]


def _verdict(line: Line) -> str:
    """The word, as a link to the report it is from."""
    if line.card is None:
        return line.word
    kind = "page" if "page" in line.card.files else "notebook"
    return f"[{line.word}]({line.card.address(kind)}) (`{line.card.profile}`)"


def _evidence(line: Line) -> str:
    """Its start; where nothing is measured the word says all."""
    return brief(line.claim.evidence)[0] if line.word != UNMEASURED else ""
