"""What the front page says of a profile: its findings, its reports as cards, and small pictures of them."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from PIL import Image

from .cards import VERDICTS, Card, claims_in_words
from .comparison import in_words
from .html import read
from .layouts import MARKDOWN
from .reported import PAPERS

MOST = 6  # decided claims of a profile; the others are on its pages
THUMB = (480, 320)  # pixels at most: twice the size at which it is shown
LARGEST = 300_000  # bytes of an SVG that is shown as a thumbnail


@dataclass(frozen=True)
class Section:
    """The reports of one profile.

    Attributes
    ----------
    profile, reading : str
        Its name, and what it says to a reader who compares with the paper.
    cards : tuple of Card
        What there is, in reading order.
    absent : int
        Tables and figures that have no report under this profile.
    both : DataFrame
        Its accuracies with a reported number (:func:`~dreamlib.companion.report.comparison.comparable`).
    picture : str
        Those as a picture, in SVG; empty for none.
    """

    profile: str
    reading: str
    cards: tuple[Card, ...]
    absent: int
    both: pd.DataFrame
    picture: str = ""

    @property
    def alt(self) -> str:
        """What the picture shows."""
        return (
            f"Measured against reported accuracy under profile {self.profile}, one mark for a method on a data set, "
            f"with the line of equality. {in_words(self.both)}"
        )

    @property
    def findings(self) -> list[str]:
        """What the reports have shown, in lines of Markdown, all from their numbers and verdicts."""
        told = [in_words(self.both)]
        told += [
            f"Kendall's rank correlation with the paper's order of the methods in {linked(one)}: {one.order}."
            for one in self.cards
            if one.order
        ]
        claims = [(one, claim) for one in self.cards if one.paper in PAPERS for claim in one.claims]
        verdicts = [claim.verdict for _, claim in claims]
        counts = {word: verdicts.count(word) for word in VERDICTS.values() if word in verdicts}
        told.append(f"Of the papers' claims, {claims_in_words(counts, '')}." if claims else "")
        decided = [(one, claim) for one, claim in claims if claim.holds is not None]
        told += [
            f"*{claim.verdict.capitalize()}*: {MARKDOWN(claim.text)} ({linked(one)})."
            for one, claim in decided[:MOST]
        ]
        if (more := len(decided) - MOST) > 0:
            told.append(f"{more} more {'is' if more == 1 else 'are'} decided on the pages.")
        return [line for line in told if line]


def linked(one: Card) -> str:
    """The name of a report as a link, in Markdown."""
    return f"[{one.name}]({one.address('page' if 'page' in one.files else 'notebook')})"


def thumbnail(path: Path) -> str:
    """A small picture as a data address; empty for an SVG that is too large to be shown as it is."""
    raw = read(path)
    if path.suffix == ".svg":
        return f"data:image/svg+xml;base64,{base64.b64encode(raw).decode()}" if len(raw) <= LARGEST else ""
    with Image.open(io.BytesIO(raw)) as picture:
        whole = picture.convert("RGBA")
    ground = Image.alpha_composite(Image.new("RGBA", whole.size, "white"), whole).convert("RGB")
    ground.thumbnail(THUMB)
    out = io.BytesIO()
    ground.quantize(48).save(out, "png", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(out.getvalue()).decode()}"


def choices(cards: Sequence[Card]) -> dict[str, list[str]]:
    """What a reader can choose reports by, with the values that occur; a group with a single value is left out."""
    groups = {
        "Paper": [one.paper for one in cards],
        "Data set": [name for one in cards for name in one.datasets],
        "Verdict": [word for word in VERDICTS.values() if any(word in one.counts for one in cards)],
    }
    values = {name: list(dict.fromkeys(found)) for name, found in groups.items()}
    return {name: found for name, found in values.items() if len(found) > 1}


def chosen(one: Card, groups: dict[str, list[str]]) -> str:
    """Under which of the choices a report falls: the places of their values, ``"0-1 1-0 1-3"``."""
    mine = {"Paper": {one.paper}, "Data set": set(one.datasets), "Verdict": set(one.counts)}
    return " ".join(
        f"{group}-{place}"
        for group, (name, values) in enumerate(groups.items())
        for place, value in enumerate(values)
        if value in mine[name]
    )
