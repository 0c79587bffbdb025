"""Notebooks as offline pages: nbconvert with one template. No script; formulas as MathML; figures next to the page."""

from __future__ import annotations

import hashlib
import html
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import latex2mathml.converter
import nbformat
from jinja2 import Environment, pass_context
from jinja2.runtime import Context
from markupsafe import Markup
from nbconvert.exporters import TemplateExporter
from nbconvert.filters import Highlight2HTML, ansi2html
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from PIL import Image
from traitlets.config import Config

from ...core.atomic import write_text
from ...core.errors import BadValue, DataError, StoreError
from ...core.limits import MOST_FILE
from ...core.reading import contents, no_more_than
from .offline import IGNORED, LINK, assert_offline
from .reported import PAPERS, where
from .words import duration

TAGGED = {"injected-parameters": "Parameters of this run", "parameters": "Parameters and their defaults"}
TITLE = re.compile(r"^#[ \t]+(.+?)[ \t]*#*$", re.MULTILINE)
OURS = (
    b'<meta name="notebook" content="',
    b'<p class="kicker">dreamlib</p>',
)  # in every page, and in the index
CONTENTS = "\N{OBJECT REPLACEMENT CHARACTER}contents\N{OBJECT REPLACEMENT CHARACTER}"  # where they will stand
TABLE_STYLE = re.compile(r"<style>\s*\.dl-block.*?</style>\n?", re.DOTALL)
TEMPLATE = Path(__file__).parent / "templates" / "page.html.j2"
HIDDEN = {"hide-input", "remove-input"}
FIRST_TO_SHOW = (
    "text/html",
    "image/svg+xml",
    "image/png",
    "image/jpeg",
    "text/markdown",
    "text/latex",
    "text/plain",
)


@dataclass(frozen=True)
class About:
    """What is known of a rendered notebook without reading its prose.

    Attributes
    ----------
    title, claim : str
        The first heading, and the first paragraph below it, as the notebook's own Markdown.
    profile, paper, item : str
        From its place ``reports/<profile>/<paper>/<item>.ipynb``.
    when : str
        End of the run, ``"2026-03-01 14:05 UTC"``, or "" if it was never run.
    took : str
        Duration of the run.
    failed : bool
        Whether a cell failed.
    parameters : dict
        All parameters in effect, injected ones included.
    """

    title: str
    claim: str
    profile: str
    paper: str
    item: str
    when: str
    took: str
    failed: bool
    parameters: Mapping[str, Any]


def render(notebook_path: str | Path, reading: str = "", *, inline: bool = False) -> Path:
    """Write the page of an executed notebook next to it.

    Code is folded away, tables scroll sideways, styles are inside the file, figures lie next to it, and TeX in
    Markdown cells (``$..$``, ``$$..$$``) becomes MathML.

    Parameters
    ----------
    notebook_path : str or Path
        An ``.ipynb``.
    reading : str
        Below the page: what its profile says to a reader who compares with the paper (``Profile.reading``).
    inline : bool
        Put the figures into the page, so that the one file can be sent to someone.

    Returns
    -------
    Path
        The ``.html`` of the same name.

    Raises
    ------
    DataError
        The file is missing or no notebook.
    BadValue
        The page would load something from the network or carry a script.
    StoreError
        The folder cannot be written.
    """
    path = Path(notebook_path)
    notebook = _load(path)
    about = describe(path, notebook)
    renderer = PageRenderer(path.parent, inline=inline)
    for cell in notebook.cells:  # the header of the page shows the title
        if cell.cell_type == "markdown" and TITLE.search(cell.source):
            cell.source = TITLE.sub("", cell.source, count=1)
            break
    told = {
        "about": about,
        "title": renderer.line(about.title),
        "plain_title": plain(about.title),
        "source_name": where(about.paper, about.item) if about.paper in PAPERS else about.item,
        "reading": reading,
        "inline": inline,
        "fingerprint": fingerprint(path),
        "notebook": path.name,
        "files": [file for kind in ("csv", "md", "tex") if (file := path.with_suffix(f".{kind}")).exists()],
    }
    page, _ = PageExporter(renderer).from_notebook_node(notebook, resources=told)
    if CONTENTS not in page:
        page = page.replace("<main>", f"<main>{CONTENTS}", 1)
    page = page.replace(CONTENTS, contents_of(renderer.headings), 1).replace(CONTENTS, "")
    return write_page(path.with_suffix(".html"), page)


def write_page(path: Path, page: str) -> Path:
    """Write a page that needs nothing but itself; one that is not ours is not replaced."""
    assert_offline(page)
    if path.exists() and not any(mark in read(path) for mark in OURS):
        raise StoreError(
            f"{path} is not a page of dreamlib; it is left as it is", "move it away, or --reports DIR"
        )
    return write_text(path, page)


class PageExporter(TemplateExporter):
    """What nbconvert makes of a notebook with the template of a page; values are escaped.

    Not its ``HTMLExporter``: that one has a lenient parser read and rewrite the page, but browsers have to get what is
    checked here.
    """

    def __init__(self, renderer: PageRenderer) -> None:
        hidden = {"remove_input_tags": HIDDEN, "remove_cell_tags": {"papermill-error-cell-tag"}}
        config = {
            "NbConvertBase": {"display_data_priority": list(FIRST_TO_SHOW)},
            "TagRemovePreprocessor": {"enabled": True, **hidden},
            # Cells with nothing in them, and the one that holds a run to committed numbers.
            "RegexRemovePreprocessor": {"patterns": [r"\s*\Z", r"# NBVAL_CHECK_OUTPUT"]},
        }
        super().__init__(config=Config(config), template_name="base", template_file=str(TEMPLATE))
        for tell in (renderer.cell, summary, highlighted, shown_ansi, unstyled):
            self.register_filter(tell.__name__, tell)
        self.environment.globals["contents"] = Markup(CONTENTS)

    def _create_environment(self) -> Environment:
        environment: Environment = super()._create_environment()
        environment.autoescape = True
        return environment


def summary(cell: nbformat.NotebookNode) -> str:
    """What stands in the place of folded code: the comment it starts with; without one it is just code."""
    tagged = [word for tag, word in TAGGED.items() if tag in cell.metadata.get("tags", [])]
    first = cell.source.strip().partition("\n")[0]
    told = first.lstrip("#% ").rstrip(":. ") if first.startswith("#") else "Code"
    return next(iter(tagged), told)


def unstyled(fragment: str) -> Markup:
    """The HTML of an output without the style of our tables, which the page has already."""
    return Markup(TABLE_STYLE.sub("", fragment))


def contents_of(headings: list[tuple[int, str, str]]) -> str:
    """Links to the sections of a page; none for a few. Headings are known once all cells are written."""
    found = [(name, text) for level, name, text in headings if level == 2]
    if len(found) < 4:
        return ""
    lines = "".join(f'<li><a href="#{html.escape(name)}">{text}</a></li>' for name, text in found)
    return f'<nav class="toc" aria-label="Contents"><ol>{lines}</ol></nav>'


def highlighted(source: str) -> Markup:
    """Python in colours."""
    return Markup(Highlight2HTML(pygments_lexer="python")(source.strip("\n")))


def shown_ansi(text: str) -> Markup:
    """What a terminal shows, with its colours."""
    return Markup(ansi2html(text.rstrip()))


def fingerprint(notebook: Path) -> str:
    """What ties a page to the notebook it shows; file times say nothing after a clone."""
    return hashlib.sha256(read(notebook)).hexdigest()[:16]


def shows(page: Path, notebook: Path) -> bool:
    """Whether a page was made from the notebook as it is now."""
    return f'<meta name="notebook" content="{fingerprint(notebook)}">'.encode() in read(page)


def _load(path: Path) -> nbformat.NotebookNode:
    try:
        return nbformat.reads(read(path).decode("utf-8"), as_version=4)
    except DataError:
        raise
    except Exception as error:  # nbformat raises almost anything at a file that is none
        raise DataError(f"{path} is not a notebook: {str(error)[:200]}", "run it again") from error


def read(path: Path) -> bytes:
    """What a file in the reports holds."""
    try:
        return contents(path, no_more_than(MOST_FILE))
    except FileNotFoundError as error:
        raise DataError(f"no notebook, page or table {path}", f"ls {path.parent}") from error
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read {path}: {error}", "mend or remove it") from error


def describe(path: Path, notebook: nbformat.NotebookNode | None = None) -> About:
    """Title, claim, profile and state of an executed notebook.

    Raises
    ------
    DataError
        If it is no notebook, or does not say of its run what papermill writes.
    """
    try:
        return _described(path, _load(path) if notebook is None else notebook)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise DataError(f"{path} is not a notebook that was run here: {error!r}", "run it again") from error


def _described(path: Path, notebook: nbformat.NotebookNode) -> About:
    prose = "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    heading = TITLE.search(prose)
    title = heading.group(1) if heading else path.stem
    rest = prose[heading.end() :] if heading else prose
    blocks = [block.strip() for block in re.split(r"\n\s*\n", rest) if block.strip()]
    claim = next((block for block in blocks if not block.startswith("#")), "")
    claim = " ".join(line.lstrip("> ").strip() for line in claim.splitlines())
    claim = re.sub(r"^\*\*[^*]+[.:]\*\*\s*", "", claim)  # a label such as "**The claim.**"
    run = notebook.metadata.get("papermill", {})
    folders = path.resolve().parts
    return About(
        title=title,
        claim=claim,
        profile=folders[-3],
        paper=folders[-2],
        item=path.stem,
        when=_moment(run.get("end_time")),
        took=duration(float(run["duration"])) if run.get("duration") else "",
        failed=bool(run.get("exception")),
        parameters=dict(run.get("default_parameters", {})) | dict(run.get("parameters", {})),
    )


def _moment(text: str | None) -> str:
    if not text:
        return ""
    return datetime.fromisoformat(text).astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")


class PageRenderer(IPythonRenderer):
    """Markdown to HTML: formulas as MathML, figures in their own size, headings that can be linked to.

    Parameters
    ----------
    folder : Path
        Where relative image paths start.
    inline : bool
        Whether images come inside the file.
    """

    def __init__(self, folder: Path, *, inline: bool = False) -> None:
        # Tags in Markdown are shown, not obeyed: what a notebook says may hold the name of a folder.
        super().__init__(escape=True, embed_images=inline, exclude_anchor_links=True, path=str(folder))
        self.headings: list[tuple[int, str, str]] = []

    def markdown(self, source: str) -> str:
        """HTML of a Markdown text."""
        return MarkdownWithMath(renderer=self).render(source)

    def line(self, source: str) -> Markup:
        """HTML of a single line, without the paragraph that Markdown puts around it."""
        text = self.markdown(source)
        match = re.fullmatch(r"\s*<p>(.*)</p>\s*", text, re.DOTALL)
        return Markup(match.group(1) if match and "<p>" not in match.group(1) else text)

    @pass_context
    def cell(self, context: Context, source: str) -> Markup:
        """HTML of the text of a cell or of its output; pictures may be attached to the cell."""
        self.attachments = context.get("cell", {}).get("attachments", {})
        return Markup(self.markdown(source))

    def heading(self, text: str, level: int, **attrs: Any) -> str:
        """A heading with an id made of its words; the same words twice get a number."""
        base = re.sub(r"[^\w]+", "-", plain_html_text(text).lower()).strip("-") or "section"
        taken = {name for _, name, _ in self.headings}
        name = next(one for one in (base, *(f"{base}-{k}" for k in range(2, 1000))) if one not in taken)
        self.headings.append((level, name, text))
        return f'<h{level} id="{html.escape(name)}">{text}</h{level}>\n'

    def link(self, text: str, url: str, title: str | None = None) -> str:
        """A link where a browser may go; to nowhere in place of a script."""
        harmless = LINK.match(IGNORED.sub("", html.unescape(url)))
        return str(super().link(text, url if harmless else "#", title))

    def image(self, text: str, url: str, title: str | None = None) -> str:
        """A figure with its words, as wide as it was drawn, or as the screen allows."""
        shown = str(super().image(text, url, title))
        wide = width_of(Path(self.path, unquote(url)))
        if not wide:
            return shown
        # On a narrow screen it shrinks as far as its texts can be read; then it scrolls sideways.
        size = f'style="width:{wide}px;min-width:{round(SMALLEST * wide)}px"'
        return f'<span class="figure">{shown.replace("<img ", f"<img {size} ", 1)}</span>'

    def inline_math(self, body: str) -> str:
        """``$..$``"""
        return mathml(body, display=False)

    def block_math(self, body: str) -> str:
        """``$$..$$``"""
        return f'<div class="math">{mathml(body, display=True)}</div>\n'

    def latex_environment(self, name: str, body: str) -> str:
        """``\\begin{align}..\\end{align}`` outside dollars."""
        return self.block_math(f"\\begin{{{name}}}{body}\\end{{{name}}}")

    def block_mermaidjs(self, code: str) -> str:
        """Diagrams would need a script, so they stay text."""
        return f"<pre><code>{html.escape(code)}</code></pre>\n"


SMALLEST = 0.62  # of its own size: texts of 10 points are then read at 8 pixels
_SVG_WIDTH = re.compile(r'<svg [^>]*?width="([\d.]+)pt"')


def width_of(figure: Path) -> int:
    """How wide a figure was drawn, in pixels of a page; 0 for what is no figure of ours."""
    try:
        raw = read(figure)
        if figure.suffix == ".svg":
            found = _SVG_WIDTH.search(raw[:2000].decode("utf-8"))
            return round(float(found[1]) * 96 / 72) if found else 0
        if figure.suffix == ".png":
            with Image.open(io.BytesIO(raw)) as picture:
                return round(picture.width * 96 / float(picture.info.get("dpi", (96.0, 96.0))[0]))
    except (DataError, ValueError, OSError):
        pass
    return 0


def mathml(source: str, *, display: bool) -> str:
    """TeX as MathML, with the TeX itself as its accessible name.

    Raises
    ------
    BadValue
        TeX that cannot be understood.
    """
    written = re.sub(r"\\(?:nonumber|notag)\b|\\(?:label|tag)\{[^}]*\}", "", source.strip())
    written = re.sub(r"\\arg(?![a-zA-Z])", r"\\operatorname{arg}", written)
    try:
        body = latex2mathml.converter.convert(written, display="block" if display else "inline")
    except Exception as error:  # the converter raises many types, none of which says which formula it was
        raise BadValue(
            f"cannot turn the TeX {source!r} into MathML: {error!r}", "simplify the formula"
        ) from error
    if unread := re.search(r">\s*(\\[a-zA-Z]+)", body):
        raise BadValue(f"unknown command {unread.group(1)} in the TeX {source!r}", "use \\operatorname{...}")
    body = re.sub(r"&(?!#?\w+;)", "&amp;", body)
    alternative = html.escape(" ".join(source.split()), quote=True)
    return body.replace("<math ", f'<math aria-label="{alternative}" ', 1)


def plain_html_text(fragment: str) -> str:
    """The text of an HTML fragment, with the TeX name in place of a formula."""
    named = re.sub(r'<math[^>]*aria-label="([^"]*)".*?</math>', r"\1", fragment, flags=re.DOTALL)
    return html.unescape(re.sub(r"<[^>]+>", "", named)).strip()


def plain(markdown: str) -> str:
    """A line of Markdown without its marks, for the title bar."""
    return re.sub(r"[*_`$]|\\(?=[a-zA-Z])", "", re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", markdown))
