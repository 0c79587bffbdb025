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
        found &= {ROOT / name for name in git("ls-files", "-z").split("\0")}
    return sorted(found)


def git(*words: str) -> str:
    """What git answers in this repository."""
    return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True).stdout


def links(page: Path, text: str | None = None) -> set[str]:
    """The addresses that a page leads to or shows, but those on the network; its text is read if it is not given."""
    text = page.read_text(encoding="utf-8") if text is None else text
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


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="no git here")
@pytest.mark.parametrize("name", ["reports/index.html", "reports/README.md"])
def test_a_front_page_is_committed_without_reports_of_ones_own(name: str) -> None:
    # `make` adds what it left for oneself (reports/quick) to the front page, and there it belongs: but not in git.
    known = git("ls-files", "-z").split("\0")
    page = ROOT / name
    for link in links(page, git("show", f":{name}")):
        address = unquote(link.partition("#")[0].partition("?")[0])
        target = (page.parent / address).resolve().relative_to(ROOT.resolve()).as_posix()
        assert not address or any(one == target or one.startswith(f"{target}/") for one in known), link


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
