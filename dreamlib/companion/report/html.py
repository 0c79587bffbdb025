"""Notebooks as single offline pages, and the index that lists them. No script; formulas as MathML."""

from __future__ import annotations

import base64
import hashlib
import html
import io
import re
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import latex2mathml.converter
import nbformat
import pandas as pd
from markupsafe import Markup
from nbconvert.filters import Highlight2HTML, ansi2html
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath

from ...core.atomic import write_text
from ...core.errors import BadValue, DataError, StoreError
from ...core.limits import MOST_FILE
from ...core.reading import contents, no_more_than
from .layouts import templates
from .reported import PAPERS, where
from .words import MISSING, duration, make_target

TAGGED = {"injected-parameters": "Parameters of this run", "parameters": "Parameters and their defaults"}
TITLE = re.compile(r"^#[ \t]+(.+?)[ \t]*#*$", re.MULTILINE)
OURS = (
    b'<meta name="notebook" content="',
    b'<p class="kicker">dreamlib</p>',
)  # in every page, and in the index
KINDS = ("html", "ipynb", "csv", "md", "tex")
FIRST_TO_SHOW = (
    "text/html",
    "image/svg+xml",
    "image/png",
    "image/jpeg",
    "text/markdown",
    "text/latex",
    "text/plain",
)


# --------------------------------------------------------------------------------------------------- one page


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


def render(notebook_path: str | Path, reading: str = "") -> Path:
    """Write the page of an executed notebook beside it.

    Code is folded away, tables scroll sideways, images and styles are inside the file, and TeX in Markdown
    cells (``$..$``, ``$$..$$``) becomes MathML.

    Parameters
    ----------
    notebook_path : str or Path
        An ``.ipynb``.
    reading : str
        Below the page: what its profile says to a reader who compares with the paper (``Profile.reading``).

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
    renderer = PageRenderer(path.parent)
    for cell in notebook.cells:  # the header of the page shows the title
        if cell.cell_type == "markdown" and TITLE.search(cell.source):
            cell.source = TITLE.sub("", cell.source, count=1)
            break
    cells = [_view(cell, renderer) for cell in notebook.cells]
    page = (
        templates()
        .get_template("page.html.j2")
        .render(
            about=about,
            title=Markup(strip_outer(renderer.markdown(about.title))),
            plain_title=plain(about.title),
            source_name=f"{where(about.paper, about.item)}" if about.paper in PAPERS else about.item,
            reading=reading,
            cells=[cell for cell in cells if cell],
            headings=renderer.headings,
            notebook_name=path.name,
            fingerprint=fingerprint(path),
            siblings=[kind for kind in ("csv", "md", "tex") if path.with_suffix(f".{kind}").exists()],
            up="../../index.html",
        )
    )
    return _write_page(path.with_suffix(".html"), page)


def fingerprint(notebook: Path) -> str:
    """What ties a page to the notebook it shows; file times say nothing after a clone."""
    return hashlib.sha256(_bytes(notebook)).hexdigest()[:16]


def _shows(page: Path, notebook: Path) -> bool:
    """Whether a page was made from the notebook as it is now."""
    return f'<meta name="notebook" content="{fingerprint(notebook)}">'.encode() in _bytes(page)


def _load(path: Path) -> nbformat.NotebookNode:
    try:
        return nbformat.reads(_bytes(path).decode("utf-8"), as_version=4)
    except DataError:
        raise
    except Exception as error:  # nbformat raises almost anything at a file that is none
        raise DataError(f"{path} is not a notebook: {str(error)[:200]}", "run it again") from error


def _bytes(path: Path) -> bytes:
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
    """Markdown to HTML: formulas as MathML, local images inside the file, headings that can be linked to.

    Parameters
    ----------
    folder : Path
        Where relative image paths start.
    """

    def __init__(self, folder: Path) -> None:
        # Tags in Markdown are shown, not obeyed: what a notebook says may hold the name of a folder.
        super().__init__(escape=True, embed_images=True, exclude_anchor_links=True, path=str(folder))
        self.headings: list[tuple[int, str, str]] = []

    def markdown(self, source: str) -> str:
        """HTML of a Markdown text."""
        return MarkdownWithMath(renderer=self).render(source)

    def heading(self, text: str, level: int, **attrs: Any) -> str:
        """A heading with an id made of its words; the same words twice get a number."""
        base = re.sub(r"[^\w]+", "-", plain_html_text(text).lower()).strip("-") or "section"
        taken = {name for _, name, _ in self.headings}
        name = next(one for one in (base, *(f"{base}-{k}" for k in range(2, 1000))) if one not in taken)
        self.headings.append((level, name, text))
        return f'<h{level} id="{html.escape(name)}">{text}</h{level}>\n'

    def link(self, text: str, url: str, title: str | None = None) -> str:
        """A link where a browser may go; to nowhere in place of a script."""
        harmless = _LINK.match(_IGNORED.sub("", html.unescape(url)))
        return str(super().link(text, url if harmless else "#", title))

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


def strip_outer(fragment: str) -> str:
    """Without the paragraph that Markdown puts around a single line."""
    match = re.fullmatch(r"\s*<p>(.*)</p>\s*", fragment, re.DOTALL)
    return match.group(1) if match and "<p>" not in match.group(1) else fragment


def _view(cell: nbformat.NotebookNode, renderer: PageRenderer) -> dict[str, Any] | None:
    """What the template needs of a cell; None for a cell with nothing to show."""
    if not cell.source.strip():
        return None
    if cell.cell_type == "markdown":
        renderer.attachments = cell.get("attachments", {})
        return {"kind": "prose", "body": Markup(renderer.markdown(cell.source))}
    if cell.cell_type != "code":
        return None
    tags = cell.metadata.get("tags", [])
    if "papermill-error-cell-tag" in tags:
        return None
    highlight = Highlight2HTML(pygments_lexer="python")
    return {
        "kind": "code",
        "summary": next((word for tag, word in TAGGED.items() if tag in tags), _summary(cell.source)),
        "open": "injected-parameters" in tags,
        "number": cell.execution_count,
        "source": Markup(highlight(cell.source.strip("\n"))),
        "outputs": [Markup(text) for text in (_output(output, renderer) for output in cell.outputs) if text],
        "hidden": "hide-input" in tags or "remove-input" in tags,
    }


def _summary(source: str) -> str:
    """The comment a cell starts with says what it does; without one it is just code."""
    first = source.strip().partition("\n")[0]
    return first.lstrip("#% ").rstrip(":. ") if first.startswith("#") else "Code"


def _output(output: nbformat.NotebookNode, renderer: PageRenderer) -> str:
    """HTML of one output, the richest form it has that needs no script."""
    if output.output_type == "stream":
        kind = "stream error" if output.name == "stderr" else "stream"
        return f'<pre class="{kind}">{ansi2html(output.text.rstrip())}</pre>'
    if output.output_type == "error":
        trace = "\n".join(output.traceback) or f"{output.ename}: {output.evalue}"
        return f'<pre class="failure">{ansi2html(trace)}</pre>'
    data = output.data
    kind = next((one for one in FIRST_TO_SHOW if one in data), "")
    if kind == "text/html":
        return f'<div class="rich">{data[kind]}</div>'
    if kind.startswith("image/"):
        return _image(kind, data[kind], output.metadata)
    if kind == "text/markdown":
        return f'<div class="rich">{renderer.markdown(data[kind])}</div>'
    if kind == "text/latex":
        return f'<div class="rich">{renderer.markdown(data[kind])}</div>'
    return f'<pre class="result">{html.escape(data[kind])}</pre>' if kind else ""


def _image(kind: str, content: str, metadata: Mapping[str, Any]) -> str:
    """An image inside the page. SVG too becomes an <img>: inlined, two figures would share their ids."""
    if kind == "image/svg+xml":
        content = base64.b64encode(content.encode()).decode("ascii")
    sizes = metadata.get(kind, {})
    size = "".join(f' {side}="{int(sizes[side])}"' for side in ("width", "height") if side in sizes)
    alternative = html.escape(str(metadata.get("alt", "Figure; what it shows is told in the text around it")))
    source = f"data:{kind};base64,{''.join(content.split())}"
    return f'<figure><img alt="{alternative}"{size} src="{source}"></figure>'


# ---------------------------------------------------------------------------------------------------- offline

# The only markup that a page may have: a stricter form than HTML's, which every browser reads in the same way. No
# comments, no CDATA, no processing instructions, no tag with a stray quote: parsers differ about where those end.
_VALUE = r"\"[^\"]*\"|'[^']*'|[^\s\"'=<>`]+"
_ATTRIBUTE = re.compile(rf"\s+([^\s\"'<>/=]+)(?:\s*=\s*({_VALUE}))?")
_TOKEN = re.compile(
    rf"(?P<text>[^<]+)|<!doctype html>|</(?P<end>[a-z][\w:.-]*)\s*>"
    rf"|<(?P<start>[a-z][\w:.-]*)(?P<attributes>(?:\s+[^\s\"'<>/=]+(?:\s*=\s*(?:{_VALUE}))?)*)\s*/?>",
    re.IGNORECASE,
)
# Tags that run or fetch something, change another tag's attributes, or whose contents a browser does not read as tags.
_NEVER = {
    *(
        "script",
        "iframe",
        "object",
        "embed",
        "base",
        "frame",
        "frameset",
        "applet",
        "portal",
        "foreignobject",
    ),
    *("animate", "set", "animatemotion", "animatetransform", "discard", "handler", "listener", "template"),
    *("textarea", "xmp", "noscript", "noembed", "noframes", "plaintext"),
}
_LOADS = {
    *(
        "src",
        "srcset",
        "imagesrcset",
        "srcdoc",
        "poster",
        "data",
        "background",
        "action",
        "formaction",
        "manifest",
    ),
    *("href", "xlink:href", "ping"),
}
_IGNORED = re.compile(r"[\x00-\x20\x7f]")  # what a browser leaves out of an address, in part or everywhere
_INSIDE = re.compile(
    r"(?:#|data:image/(?!svg)[a-z.+-]*[;,]|data:,|data:image/svg\+xml;base64,|$)", re.IGNORECASE
)
_LINK = re.compile(r"https?:|mailto:|(?![a-z][a-z0-9+.-]*:)", re.IGNORECASE)
_CSS_ESCAPE = re.compile(r"\\([0-9a-f]{1,6})\s?", re.IGNORECASE)
_CSS = re.compile(
    r"@import|(?:image|image-set|src|expression)\(|url\((?!\s*['\"]?\s*(?:#|data:))|-moz-binding|(?<![\w-])behavior\s*:",
    re.IGNORECASE,
)
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f]")


def _not_offline(page: str) -> Iterator[str]:
    """What a browser would load or run, or may read in another way than we do."""
    if found := _CONTROL.search(page):
        yield f"control character {found.group()!r}"
    at, inside = 0, ""  # the tag whose text is read as text alone
    while at < len(page):
        token = _TOKEN.match(page, at)
        if token is None:
            yield f"markup {page[at : at + 40]!r}"
            return
        at, tag = token.end(), (token["start"] or "").lower()
        if inside and (token["start"] or (token["end"] and token["end"].lower() != inside)):
            yield f"markup in <{inside}>: {token.group()[:40]!r}"
        if token["text"] and inside == "style" and _loads_css(token["text"]):
            yield f"style sheet: {token['text'][:80]!r}"
        if token["end"]:
            inside = ""
        if tag in _NEVER:
            yield f"<{tag}>"
        if tag in ("style", "title"):
            inside = tag
        if tag:
            yield from (f"<{tag} {one}>" for one in _loading(tag, token["attributes"]))


def _loading(tag: str, attributes: str) -> Iterator[str]:
    """The attributes of a tag that load or run something."""
    found = [
        (name.lower(), html.unescape(value.strip("\"'"))) for name, value in _ATTRIBUTE.findall(attributes)
    ]
    for name, value in found:
        address = _IGNORED.sub("", value)
        link = tag in ("a", "area") and name in ("href", "xlink:href")
        wrong = name.startswith("on")
        wrong |= name in _LOADS and not (_LINK if link else _INSIDE).match(address)
        wrong |= name in ("srcset", "imagesrcset", "srcdoc") and bool(address)
        wrong |= name not in ("alt", "title", "aria-label", "content", "href") and _loads_css(value)
        wrong |= name == "http-equiv" and address.lower() != "content-security-policy"
        if wrong:
            yield f"{name}={value[:80]!r}"


def _loads_css(text: str) -> bool:
    plain = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
    plain = _CSS_ESCAPE.sub(lambda code: chr(min(int(code[1], 16), 0x10FFFF)), plain)
    return _CSS.search(plain) is not None


def assert_offline(page: str) -> None:
    """Refuse a page that needs anything but itself.

    Ordinary ``<a>`` links may lead anywhere; scripts, event handlers, frames, images, style sheets and fonts from
    elsewhere may not be there, nor markup that browsers may read in another way than this function does.

    Raises
    ------
    BadValue
        Names what would be loaded or run.
    """
    if found := list(_not_offline(page)):
        listed = "; ".join(dict.fromkeys(found[:20]))
        raise BadValue(
            f"the page is not offline: {listed}", "put images and styles into the notebook, and no script"
        )


# -------------------------------------------------------------------------------------------------------
# index


@dataclass(frozen=True)
class Entry:
    """One line of the index: a notebook in one profile, rendered or not.

    Attributes
    ----------
    paper, item, name, short : str
        ``"dream"``, ``"table1"``, ``"DREAM Table 1"``, ``"Table 1"``.
    about : About or None
        None: not run yet.
    status : str
        ``"rendered"``, ``"3 cells missing"``, ``"failed"``, ``"not executed"`` (a notebook without a run), ``"stale
        page"``, ``"no page"``, ``"unreadable"`` (a file that is not what its name says) or ``"not run"``.
    links : tuple of (str, str)
        File kind and relative link.
    command : str
        What makes or mends it; "" when there is nothing to do.
    """

    paper: str
    item: str
    name: str
    short: str
    about: About | None
    title: str
    claim: str
    status: str
    links: tuple[tuple[str, str], ...]
    command: str


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
        Holds ``<paper>/<item>.ipynb``; by default ``notebooks`` beside `reports_root`. What is there and was not
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
    # A module that lies beside notebooks is none: it has no twin.
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
            _entry(root, profile, *name, command, renderer) for name in sorted(names, key=_reading_order)
        ]
        there = [entry for entry in entries if entry.about is not None]
        papers = {entry.paper: [one for one in there if one.paper == entry.paper] for entry in there}
        todo = [entry for entry in entries if entry.about is None]
        sections.append((profile, profiles.get(profile, ""), papers, todo))
    page = templates().get_template("index.html.j2").render(sections=sections, papers=PAPERS)
    return _write_page(root / "index.html", page)


def _write_page(path: Path, page: str) -> Path:
    """Write a page that needs nothing but itself; one that is not ours is not replaced."""
    assert_offline(page)
    if path.exists() and not any(mark in _bytes(path) for mark in OURS):
        raise StoreError(
            f"{path} is not a page of dreamlib; it is left as it is", "move it away, or --reports DIR"
        )
    return write_text(path, page)


def _entry(root: Path, profile: str, paper: str, item: str, command: str, renderer: PageRenderer) -> Entry:
    stem = root / profile / paper / item
    notebook, failed = stem.with_name(f"{item}.ipynb"), stem.with_name(f"{item}.failed.ipynb")
    files = [(kind, stem.with_name(f"{item}.{kind}")) for kind in KINDS]
    files.append(("failed run", failed))
    links = tuple((kind, file.relative_to(root).as_posix()) for kind, file in files if file.exists())
    about = None
    try:
        about = describe(notebook) if notebook.exists() else None
        status = _status(stem, about)
    except DataError as error:  # one bad file stops no other
        status = "unreadable"
        warnings.warn(f"{paper}/{item} under {profile} is listed as unreadable: {error}", stacklevel=3)
    return Entry(
        paper=paper,
        item=item,
        name=where(paper, item),
        short=where("", item).strip(),
        about=about,
        title=Markup(strip_outer(renderer.markdown(about.title))) if about else "",
        claim=Markup(strip_outer(renderer.markdown(first_sentence(about.claim)))) if about else "",
        status=status,
        links=links,
        command=""
        if status == "rendered"
        else command.format(profile=profile, paper=paper, item=item, target=make_target(paper, item)),
    )


def _status(stem: Path, about: About | None) -> str:
    """Where an item stands; see :class:`Entry`."""
    notebook, page = stem.with_name(f"{stem.name}.ipynb"), stem.with_name(f"{stem.name}.html")
    if stem.with_name(f"{stem.name}.failed.ipynb").exists() or (about is not None and about.failed):
        return "failed"
    if about is None:
        return "not run"
    if not about.when:
        return "not executed"
    if not page.exists():
        return "no page"
    if not _shows(page, notebook):
        return "stale page"
    missing = _missing(stem.with_name(f"{stem.name}.csv"))
    return f"{missing} cell{'s' * (missing != 1)} missing" if missing else "rendered"


def _missing(table: Path) -> int:
    """Cells of an accuracy table's CSV that could be measured and were not; 0 for any other file."""
    raw = _bytes(table) if table.exists() else b""
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


def _reading_order(name: tuple[str, str]) -> tuple[int, list[tuple[int, str]]]:
    """Papers as in the project's name, then tables and figures by number: table2 before table10."""
    paper, item = name
    order = list(PAPERS)
    pieces = re.findall(r"\d+|\D+", item)
    return (
        order.index(paper) if paper in order else len(order),
        [(int(piece), "") if piece.isdigit() else (0, piece) for piece in pieces],
    )
