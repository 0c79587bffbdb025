"""What makes a page offline: no script, nothing from elsewhere, and markup that every browser reads in the same way."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator

from ...core.errors import BadValue

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
_NEVER = re.compile(
    "script|iframe|object|embed|base|frame|frameset|applet|portal|foreignobject"
    "|animate|set|animatemotion|animatetransform|discard|handler|listener|template"
    "|textarea|xmp|noscript|noembed|noframes|plaintext"
)
_LOADS = re.compile(
    "src|srcset|imagesrcset|srcdoc|poster|data|background|action|formaction|manifest|href|xlink:href|ping"
)
IGNORED = re.compile(r"[\x00-\x20\x7f]")  # what a browser leaves out of an address, in part or everywhere
_INSIDE = re.compile(
    r"(?:#|data:image/(?!svg)[a-z.+-]*[;,]|data:,|data:image/svg\+xml;base64,|$)", re.IGNORECASE
)
_BESIDE = re.compile(r"figures/[\w.,@+~%-]+\.(?:svg|png)")  # a figure of the page, in the folder next to it
LINK = re.compile(r"https?:|mailto:|(?![a-z][a-z0-9+.-]*:)", re.IGNORECASE)
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
        if _NEVER.fullmatch(tag):
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
        address = IGNORED.sub("", value)
        link = tag in ("a", "area") and name in ("href", "xlink:href")
        wrong = name.startswith("on")
        beside = tag == "img" and name == "src" and _BESIDE.fullmatch(value)
        wrong |= bool(_LOADS.fullmatch(name)) and not ((LINK if link else _INSIDE).match(address) or beside)
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

    Ordinary ``<a>`` links may lead anywhere. Images may lie in ``figures/`` next to the page: as images, drawings run
    no script and load nothing. Scripts, event handlers, frames, images, style sheets and fonts from elsewhere may not
    be there, nor markup that browsers may read in another way than this function does.

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
