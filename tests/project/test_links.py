"""Every link in README, documentation and reports leads somewhere, without a network: to a file, and to its anchor."""

from __future__ import annotations

import html
import re
import subprocess
from functools import cache
from pathlib import Path
from urllib.parse import unquote

import pytest

ROOT = Path(__file__).parents[2]
AWAY = re.compile(r"[a-z][a-z0-9+.-]*:|//", re.IGNORECASE)
HTML_LINK = re.compile(r"<(?:a|img|link)\b[^>]*?\b(?:href|src)=\"([^\"]*)\"")
MARKDOWN_LINK = re.compile(
    r"!?\[(?:[^\[\]]|\[[^\]]*\])*\]\(\s*<?([^()\s>]+(?:\([^()]*\))?)>?(?:\s+\"[^\"]*\")?\s*\)"
)


def pages() -> list[Path]:
    """README, documentation and reports, as far as git knows them; all of them where there is no git."""
    wanted = ("README.md", "docs/*.md", "reports/**/*.html", "reports/**/*.md")
    found = {path for pattern in wanted for path in ROOT.glob(pattern)}
    if (ROOT / ".git").exists():
        told = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
        found &= {ROOT / name for name in told.stdout.split("\0")}
    return sorted(found)


def links(page: Path) -> set[str]:
    """The addresses that a page leads to or shows, but those on the network."""
    text = page.read_text(encoding="utf-8")
    if page.suffix == ".md":
        text = re.sub(r"(?ms)^```.*?^```|`[^`\n]*`", "", text)
        found = MARKDOWN_LINK.findall(text) + HTML_LINK.findall(text)
    else:
        found = HTML_LINK.findall(text)
    return {html.unescape(one) for one in found if not AWAY.match(one)}


@cache
def anchors(page: Path) -> frozenset[str]:
    """What can stand behind a # in a link to a page: its ids, or what a code host makes of its headings."""
    text = page.read_text(encoding="utf-8")
    found = set(re.findall(r"\b(?:id|name)=\"([^\"]+)\"", text))
    if page.suffix == ".md":
        for heading in re.findall(r"(?m)^#+\s+(.*?)\s*#*$", re.sub(r"(?ms)^```.*?^```", "", text)):
            words = re.sub(r"[`*]|\[([^\]]*)\]\([^)]*\)", r"\1", heading)
            found.add(re.sub(r"[^\w\- ]", "", words.lower()).replace(" ", "-"))
    return frozenset(map(html.unescape, found))


def broken(page: Path) -> list[str]:
    """The links of a page that lead nowhere."""
    out = []
    for link in links(page):
        address, _, anchor = link.partition("#")
        target = (page.parent / unquote(address.partition("?")[0])).resolve() if address else page
        if not target.exists() or (
            anchor and target.suffix in (".html", ".md") and unquote(anchor) not in anchors(target)
        ):
            out.append(link)
    return sorted(out)


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_works_offline(page: Path) -> None:
    assert broken(page) == []


def test_a_link_to_nothing_is_found(tmp_path: Path) -> None:
    (tmp_path / "there.md").write_text("# A heading, of words\n")
    page = tmp_path / "page.md"
    page.write_text(
        "[a](there.md) [b](there.md#a-heading-of-words) [c](gone.md) [d](there.md#gone) ![e](https://a.b/c.png) "
        "`[f](code.md)`\n"
    )
    assert broken(page) == ["gone.md", "there.md#gone"]
    shown = tmp_path / "page.html"
    shown.write_text(
        '<a href="#x">x</a><p id="x"><img alt="" src="figures/gone.svg"><a href="there.md">y</a>'
    )
    assert broken(shown) == ["figures/gone.svg"]
