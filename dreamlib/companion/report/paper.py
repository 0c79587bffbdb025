"""The pages of one paper as a PDF: pandoc turns what they say into Typst, and Typst sets it.

Both come as packages with everything inside (``pip install "dreamlib[paper]"``), so no TeX has to be there. Code is
left out, and so is what a cell prints. Tables, figures, prose and verdicts are bound, each number as its page shows it.
"""

from __future__ import annotations

import base64
import json
import re
import shutil
import tempfile
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import unquote

import nbformat
from bs4 import BeautifulSoup

from ...core.atomic import write_atomically
from ...core.errors import DataError, DreamlibError
from .cards import reading_order
from .html import About, describe, plain
from .reported import PAPERS
from .words import make_target

TEMPLATE = Path(__file__).parent / "templates" / "paper.typ"
MARKDOWN = "gfm+tex_math_dollars-gfm_auto_identifiers"
HTML = "html-auto_identifiers"
WIDE = 11  # a table of more columns than these stands on a page of its own, on its side
FIGURES = "figures"  # next to the pages
FIGURE = re.compile(
    rf"!\[(?P<words>.*)\]\((?P<place>{FIGURES}/[^()]+)\)\s*", re.DOTALL
)  # what a kept figure is
PICTURES = {"image/svg+xml": "svg", "image/png": "png", "image/jpeg": "jpg"}  # the best first


def bind(reports: str | Path, paper: str, profile: str, *, notebooks: str | Path, reading: str = "") -> Path:
    """Bind what a profile has of a paper as ``REPORTS/PROFILE/PAPER.pdf``; says on its first page what it has not.

    Parameters
    ----------
    reports : str or Path
        Holds ``PROFILE/PAPER/ITEM.ipynb``, executed.
    paper, profile : str
        ``dream``, ``dm`` or ``dim``; ``quick``, ``cpu`` or ``paper``.
    notebooks : str or Path
        Holds ``PAPER/ITEM.ipynb``: what there could be.
    reading : str
        What the profile says to a reader who compares with the paper (``Profile.reading``).

    Returns
    -------
    Path
        The PDF. The same pages give the same bytes.

    Raises
    ------
    DataError
        No page of this paper is there, or one is no notebook.
    DreamlibError
        Pandoc or Typst is not installed, or refuses a page.
    StoreError
        The folder cannot be written.
    """
    root = Path(reports) / profile
    items = sorted(
        (path.stem for path in Path(notebooks, paper).glob("*.ipynb")),
        key=lambda item: reading_order((paper, item)),
    )
    pages = {item: root / paper / f"{item}.ipynb" for item in items}
    there = {item: page for item, page in pages.items() if page.is_file()}
    if not there:
        raise DataError(
            f"no page of {paper} under {profile} in {root / paper}", f"make {paper} PROFILE={profile}"
        )
    press = Press()
    with tempfile.TemporaryDirectory(prefix="dreamlib-paper-") as scratch:
        press.folder = Path(scratch)
        if (figures := root / paper / FIGURES).is_dir():
            shutil.copytree(
                figures, press.folder / FIGURES
            )  # Typst reads nothing that lies outside of its folder
        sections = [press.section(page) for page in there.values()]
        missing = [
            f"make {make_target(paper, item)} PROFILE={profile}" for item in items if item not in there
        ]
        about = {"paper": PAPERS.get(paper, paper), "profile": profile, "reading": reading}
        words = "".join(f"  {name}: {_quoted(value)},\n" for name, value in about.items())
        words += f"  missing: ({''.join(f'{_quoted(command)}, ' for command in missing)}),\n"
        begin = f'#import "paper.typ": *\n#show: bound.with(\n{words})\n\n'
        made = press.set(begin + "\n".join(sections))
        return write_atomically(root / f"{paper}.pdf", lambda temporary: temporary.write_bytes(made))


def _quoted(text: str) -> str:
    """A string of Typst."""
    return json.dumps(text, ensure_ascii=False)


class Press:
    """Pandoc and Typst, and the folder in which a document is made."""

    folder: Path

    def __init__(self) -> None:
        self.pandoc, self.typst = _tools("pypandoc", "typst")
        self.pictures = 0

    def section(self, page: Path) -> str:
        """An executed notebook as a chapter."""
        try:
            notebook = nbformat.read(page, as_version=4)
        except Exception as error:  # nbformat raises almost anything at a file that is none
            raise DataError(f"{page} is not a notebook: {str(error)[:200]}", "run it again") from error
        about = describe(page, notebook)
        parts: list[str] = []
        for cell in notebook.cells:
            if cell.cell_type == "markdown":
                parts.append(self.words(cell.source, MARKDOWN))
            elif cell.cell_type == "code":
                parts += self.outputs(cell, about)
        parts.append(f"#made({_quoted(_run(about))})\n")
        return "\n".join(part for part in parts if part.strip())

    def outputs(self, cell: nbformat.NotebookNode, about: About) -> Iterator[str]:
        """What a cell shows. What it prints is a check of this machine's numbers, and no part of the paper."""
        for output in cell.outputs:
            data = output.get("data", {})
            picture = next((kind for kind in PICTURES if kind in data), None)
            if output.output_type == "error":
                yield f"#failed({_quoted(f'{output.ename}: {output.evalue}')})"
            elif "text/html" in data:
                yield self.table(data["text/html"])
            elif picture:
                yield self.picture(data[picture], picture, plain(about.title))
            elif file := FIGURE.fullmatch(data.get("text/markdown", "")):
                yield f"#drawn({_quoted(unquote(file['place']))}, {_quoted(file['words'])})"
            elif "text/markdown" in data:
                yield self.words(data["text/markdown"], MARKDOWN)
            elif "text/plain" in data:
                yield f"#raw({_quoted(data['text/plain'])}, block: true)"

    def picture(self, data: str, kind: str, alternative: str) -> str:
        """A figure, in the size in which it was drawn."""
        self.pictures += 1
        name = f"figure{self.pictures}.{PICTURES[kind]}"
        raw = data.encode() if kind == "image/svg+xml" else base64.b64decode(data)
        (self.folder / name).write_bytes(raw)
        return f"#drawn({_quoted(name)}, {_quoted(alternative)})"

    def table(self, markup: str) -> str:
        """A block of :mod:`.layouts`; what is folded away on a page stands below it."""
        shown, folded, wide = printable(markup)
        text = self.words(shown, HTML)
        below = self.words(folded, HTML) if folded else ""
        return (f"#sideways[\n{text}\n]" if wide else text) + "\n" + below

    def words(self, text: str, form: str) -> str:
        """Text in one of pandoc's formats as Typst's markup."""
        try:
            made: str = self.pandoc.convert_text(text, "typst", format=form, extra_args=["--wrap=none"])
        except (OSError, RuntimeError) as error:
            raise DreamlibError(f"pandoc cannot read {text[:80]!r}: {error}") from error
        return made

    def set(self, document: str) -> bytes:
        """The PDF of a document, in the fonts that Typst carries: the same on every machine."""
        (self.folder / TEMPLATE.name).write_bytes(TEMPLATE.read_bytes())
        main = self.folder / "main.typ"
        main.write_text(document, encoding="utf-8")
        try:
            made: bytes = self.typst.compile(str(main), ignore_system_fonts=True)
        except RuntimeError as error:  # typst's own error is one
            raise DreamlibError(f"Typst cannot set the document: {error}") from error
        return made


def printable(markup: str) -> tuple[str, str, bool]:
    """A block of :mod:`.layouts` in HTML that needs no style sheet: its looks become tags that pandoc knows.

    Returns what is shown, what is folded away, and whether a table that is shown has more than ``WIDE`` columns.
    """
    soup = BeautifulSoup(markup, "html.parser")
    for style in soup("style"):
        style.decompose()
    for link in soup.select('a:not([href^="http"])'):  # a PDF has no records next to it
        link.unwrap()
    for evidence in soup.select("td details"):  # long evidence: below its summary stands all of it
        for summary in evidence("summary"):
            summary.decompose()
        evidence.unwrap()
    for best in soup.select("b.best"):
        best.wrap(soup.new_tag("mark"))
    for tag in soup.select("span.tag"):  # on a page it stands on a line of its own
        tag.insert_before(soup.new_tag("br"))
    for kept in soup.select("span.spread, tbody span.tag"):  # no line ends in them
        kept.string = kept.get_text().replace(" ", "\N{NO-BREAK SPACE}")
    for row in soup.select("tbody tr:has(> th > span.group)"):  # as a head, it would be ruled off
        columns = _columns(row)
        first, *rest = row(["th", "td"])
        first.name, first["colspan"] = "td", str(columns)
        for group in first("span"):
            group.name = "b"
        for cell in rest:
            cell.decompose()
    for table in soup("table"):
        accuracies = table.select_one("tbody th") is not None
        for cell in table(["td", "th"]):
            if cell.name == "td":
                number = cell.select_one("span.number") or (accuracies and not cell.get("colspan"))
                side = "right" if number else "left"
            else:
                side = "center" if accuracies and cell.find_parent("thead") else "left"
            cell["style"] = f"text-align: {side}"
    folded = "".join(str(part.extract()) for part in soup("details"))
    wide = max((_columns(row) for row in soup("tr")), default=0) > WIDE
    return str(soup), folded, wide


def _tools(*names: str) -> list[Any]:
    """The modules of these names, or what to type."""
    found: list[ModuleType] = []
    for name in names:
        try:
            found.append(import_module(name))
        except ImportError as error:
            raise DreamlibError(
                f"a PDF is made by pandoc and Typst; {error.name} is not installed",
                "pip install 'dreamlib[paper]', or make paper, which does it",
            ) from error
    return found


def _columns(row: Any) -> int:
    """How many columns a row of a table fills."""
    return sum(int(cell.get("colspan", 1)) for cell in row(["th", "td"]))


def _run(about: About) -> str:
    """Which run a chapter shows: its time, and the parameters that were chosen."""
    folders = ("data", "device", "plugins", "profile", "reports", "results", "workers")
    chosen = [f"{name} {value}" for name, value in about.parameters.items() if value and name not in folders]
    when = f"run {about.when}" if about.when else "not run"
    return "; ".join([f"{about.paper}/{about.item}, profile {about.profile}, {when}", *chosen])
