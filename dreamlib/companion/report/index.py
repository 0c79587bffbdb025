"""The page of all pages, ``reports/index.html``, and the same for code hosts, ``reports/README.md``."""

from __future__ import annotations

import base64
import re
import warnings
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from markupsafe import Markup

from ...core.atomic import write_text
from ...core.errors import DataError
from .cards import VERDICTS, Card, card, reading_order
from .comparison import comparable, picture
from .front import Section, choices, chosen, thumbnail
from .html import PageRenderer, read, write_page
from .layouts import templates
from .reported import PAPERS
from .words import data_set, make_target

FIXED = "findings.md"  # what was found that is no number of a report; in the reports folder
OURS = "<!-- made by make index -->"  # the first line of a list that may be replaced


def index(
    reports_root: str | Path,
    *,
    notebooks: str | Path | None = None,
    command: str = "python -m dreamlib notebook {paper}/{item} --profile {profile}",
    profiles: Mapping[str, str],
    kept: Collection[str] = (),
) -> Path:
    """Write ``reports/index.html``: what holds so far, and a card for every report that there is.

    Parameters
    ----------
    reports_root : str or Path
        Holds ``<profile>/<paper>/<item>.ipynb`` and what belongs to it.
    notebooks : str or Path, optional
        Holds ``<paper>/<item>.ipynb``; by default ``notebooks`` next to `reports_root`. Says how many were not run.
    command : str
        What runs one, with ``{profile}``, ``{paper}``, ``{item}`` and ``{target}``, the name of make's target.
    profiles : dict of str to str
        What each profile says to a reader (``Profile.reading``). They are always shown, in this order; others that
        have reports follow.
    kept : collection of str
        Profiles whose reports are part of the repository. They alone are in ``README.md`` and have findings; the
        others show that the machine runs. Empty: no ``README.md`` is written.

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
        (file.parts[-3], (file.parts[-2], file.stem.removesuffix(".failed")))
        for file in root.glob("*/*/*.ipynb")
    }
    shown = [*profiles, *sorted({profile for profile, _ in made} - set(profiles))]
    sections = [
        _section(root, name, profiles.get(name, ""), {item for one, item in made if one == name}, known)
        for name in shown
    ]
    fixed = read(root / FIXED).decode() if (root / FIXED).exists() else ""
    tell = {
        "papers": PAPERS,
        "data_set": data_set,
        "verdicts": VERDICTS,
        "command": _command(command),
        "claims": (root / "claims.md").exists(),
    }
    mine = [section for section in sections if section.profile in kept]
    if mine:
        _write_list(root, mine, fixed, tell)
    return write_page(root / "index.html", _page(root, sections, mine, fixed, tell))


def _section(
    root: Path, profile: str, reading: str, made: Iterable[tuple[str, str]], known: set[tuple[str, str]]
) -> Section:
    made = sorted(made, key=reading_order)
    cards = tuple(_card(root, profile, *name) for name in made)
    both = comparable(cards)
    drawn = picture(both, profile) if len(both) else ""
    return Section(profile, reading, cards, len(known - set(made)), both, drawn)


def _card(root: Path, profile: str, paper: str, item: str) -> Card:
    try:
        return card(root, profile, paper, item)
    except DataError as error:  # one bad file stops no other
        warnings.warn(f"{paper}/{item} under {profile} is listed as unreadable: {error}", stacklevel=4)
        notebook = root / profile / paper / f"{item}.ipynb"
        return Card(profile, paper, item, status="unreadable", files={"notebook": notebook})


def _command(template: str) -> object:
    def command(profile: str, paper: str, item: str) -> str:
        """What to type for a report."""
        return template.format(profile=profile, paper=paper, item=item, target=make_target(paper, item))

    return command


def _page(
    root: Path, sections: list[Section], mine: list[Section], fixed: str, tell: Mapping[str, object]
) -> str:
    renderer = PageRenderer(root)
    groups = choices([one for section in sections for one in section.cards])
    template = templates().get_template("index.html.j2")
    return template.render(
        sections=sections,
        mine=mine,
        findings={section.profile: [renderer.line(line) for line in section.findings] for section in mine},
        fixed=Markup(renderer.markdown(fixed)),
        groups=groups,
        chosen=lambda one: chosen(one, groups),
        line=renderer.line,
        first_sentence=first_sentence,
        thumbnail=thumbnail,
        drawn=lambda svg: base64.b64encode(svg.encode()).decode(),
        **tell,
    )


def _write_list(root: Path, mine: list[Section], fixed: str, tell: Mapping[str, object]) -> None:
    """``README.md`` and its pictures; a file of this name that is not ours is left as it is."""
    path = root / "README.md"
    if path.exists() and not read(path).startswith(OURS.encode()):
        return
    for section in mine:
        if section.picture:
            write_text(root / "front" / f"{section.profile}.svg", section.picture)
    template = templates().get_template("front.md.j2")
    page = template.render(ours=OURS, sections=mine, fixed=fixed, first_sentence=first_sentence, **tell)
    write_text(path, re.sub(r"\n{3,}", "\n\n", page))


def first_sentence(text: str) -> str:
    """Up to the first full stop that ends a sentence, outside formulas."""
    match = re.match(r"(?:\$[^$]*\$|[^$])*?[.!?](?=\s+[A-Z*_(]|\s*$)", text)
    return match.group(0) if match else text
