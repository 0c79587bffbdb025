"""The words that pages use without saying what they are: ``docs/glossary.md`` as a page next to the index."""

from __future__ import annotations

from pathlib import Path

from markupsafe import Markup

from .html import TITLE, PageRenderer, plain, read, write_page
from .layouts import templates


def glossary(reports_root: str | Path, source: str | Path) -> Path:
    """Write ``reports/glossary.html``, to which every page links; it can be read without a network.

    Parameters
    ----------
    reports_root : str or Path
        Where the index is.
    source : str or Path
        A Markdown file with a title, and a heading for every word.

    Raises
    ------
    DataError
        There is no `source`.
    StoreError
        The folder cannot be written, or holds a page of that name which is not ours.
    """
    text = read(Path(source)).decode("utf-8")
    title = TITLE.search(text)
    renderer = PageRenderer(Path(source).parent)
    body = renderer.markdown(TITLE.sub("", text, count=1))
    about = {"title": plain(title[1]) if title else "Words", "body": Markup(body), "words": renderer.headings}
    page = templates().get_template("glossary.html.j2").render(**about)
    return write_page(Path(reports_root) / "glossary.html", page)
