"""Make the documentation site in build/docs.

The sources are laid out as in the repository, so that a link from one file to another leads to the same place here and
there. A notebook is shown as the last run under ``quick`` left it, or without results where there was none. Pages of
the other profiles are shown where they are.
"""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

ROOT = Path(__file__).resolve().parents[1]
STAGE, SITE = ROOT / "build" / "docs-source", ROOT / "build" / "docs"
PAPERS = {"dream": "DREAM", "dm": "DM", "dim": "DiM", "engine": "The engine"}
LINK = re.compile(r"\[([^\[\]]*)\]\((?!https?:|mailto:|#)([^()#\s]+)(#[^()\s]*)?\)")
RECORD = re.compile(r'<a href="\.\./[^"]*">(.*?)</a>', re.DOTALL)
FIGURE = re.compile(r"\]\((figures/[^()]+)\)")
LOADS = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src", "object": "data"}
ELSEWHERE = re.compile(r"\s*(?:https?:)?//", re.IGNORECASE)


def stage() -> None:
    """Lay out what Sphinx reads, in a fresh folder."""
    shutil.rmtree(STAGE, ignore_errors=True)
    notebooks = sorted(ROOT.glob("notebooks/*/*.ipynb"), key=numbered)
    for source in notebooks:
        ran = ROOT / "reports" / "quick" / source.parent.name / source.name
        notebook(ran if ran.is_file() else source, source)
    pages = [path for path in ROOT.glob("reports/*/*/*.ipynb") if not path.name.endswith(".failed.ipynb")]
    measured = sorted((path for path in pages if path.parts[-3] != "quick"), key=numbered)
    for source in measured:
        notebook(source, source)
    guides = sorted(ROOT.glob("docs/*.md"))
    others = [ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]
    for source in (*guides, *others):
        text(source)
    parts = [("Guides", guides)]
    for paper, title in PAPERS.items():
        parts.append((title, [source for source in notebooks if source.parent.name == paper]))
    parts += [("Measured", measured), ("Reference", [ROOT / "api" / "dreamlib" / "index", *others])]
    text(ROOT / "README.md", "".join(contents(*part) for part in parts))


def numbered(path: Path) -> tuple[Path, list[tuple[int, str]]]:
    """Where a file stands in an order in which table2 is before table10."""
    pieces = re.findall(r"\d+|\D+", path.stem)
    return path.parent, [(int(piece), "") if piece.isdigit() else (0, piece) for piece in pieces]


def contents(caption: str, pages: list[Path]) -> str:
    """A part of the table of contents, in MyST's words; nothing for no pages."""
    listed = "".join(f"/{page.relative_to(ROOT).with_suffix('').as_posix()}\n" for page in pages)
    return f"\n```{{toctree}}\n:hidden:\n:caption: {caption}\n\n{listed}```\n" if pages else ""


def notebook(file: Path, place: Path) -> None:
    """Stage a notebook with its code folded; one that was not run says so, and what to type."""
    page = json.loads(file.read_text(encoding="utf-8"))
    cells = [cell for cell in page["cells"] if cell["cell_type"] == "code"]
    for cell in cells:
        cell["metadata"]["tags"] = [*cell["metadata"].get("tags", []), "hide-input"]
    if file.parent == ROOT / "notebooks" / file.parent.name:  # a twin: what it holds is there for nbval alone
        for cell in cells:
            cell["outputs"] = []
        target = place.stem if place.parent.name == "dream" else f"{place.parent.name}-{place.stem}"
        said = f"*Not run when this site was made: what follows has no results. `make {target}` runs it.*"
        page["cells"].insert(1, {"cell_type": "markdown", "id": "not-run", "metadata": {}, "source": said})
    for output in (output for cell in cells for output in cell["outputs"]):
        shown = output.get("data", {})
        if "text/html" in shown:  # records stay in the repository
            shown["text/html"] = RECORD.sub(r"\1", "".join(shown["text/html"]))
        for name in FIGURE.findall("".join(shown.get("text/markdown", ""))):
            put(file.parent / unquote(name), place.parent / unquote(name))
    staged = STAGE / place.relative_to(ROOT)
    staged.parent.mkdir(parents=True, exist_ok=True)
    staged.write_text(json.dumps(page), encoding="utf-8")


def put(file: Path, place: Path) -> None:
    """Stage a file where another lies in the repository."""
    staged = STAGE / place.relative_to(ROOT)
    staged.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(file, staged)


def text(source: Path, end: str = "") -> None:
    """Stage a Markdown file with what it links to. The README becomes the front page."""

    def link(match: re.Match[str]) -> str:
        words, target, anchor = match.groups()
        file = (source.parent / target).resolve()
        if not file.exists():
            raise SystemExit(f"{source.relative_to(ROOT)} links to {target}, which is not there")
        # A site has no page for a folder, and has the reports themselves in place of their list for code hosts.
        if file.is_dir() or file == ROOT / "reports" / "README.md":
            return str(words)
        if file.suffix not in (".md", ".ipynb"):
            put(file, file)  # to look at, or to download
        place = "index.md" if file == ROOT / "README.md" else file.relative_to(ROOT).as_posix()
        return f"[{words}](/{place}{anchor or ''})"

    staged = STAGE / ("index.md" if source.name == "README.md" else source.relative_to(ROOT))
    staged.parent.mkdir(parents=True, exist_ok=True)
    staged.write_text(LINK.sub(link, source.read_text(encoding="utf-8")) + end, encoding="utf-8")


class Loaded(HTMLParser):
    """Collects what a page would fetch from the network."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        address = dict(attributes).get(LOADS.get(tag, "")) or ""
        if ELSEWHERE.match(address):
            self.found.append(f"<{tag}> {address}")


def fetched(site: Path) -> Iterator[str]:
    """What the pages and style sheets of a site would fetch from the network."""
    for page in site.rglob("*.html"):
        loaded = Loaded()
        loaded.feed(page.read_text(encoding="utf-8"))
        yield from (f"{page.relative_to(site)}: {what}" for what in loaded.found)
    for sheet in site.rglob("*.css"):
        for address in re.findall(
            r"(?:url\(|@import)\s*['\"]?([^)'\"\s]+)", sheet.read_text(encoding="utf-8")
        ):
            if ELSEWHERE.match(address):
                yield f"{sheet.relative_to(site)}: {address}"


def main() -> int:
    """Stage, build with warnings as errors, and look for what is not offline; the exit status."""
    stage()
    shutil.rmtree(SITE, ignore_errors=True)
    words = [
        "--fail-on-warning",
        "--keep-going",
        "--quiet",
        "--builder",
        "html",
        "--conf-dir",
        str(ROOT / "docs"),
    ]
    words += ["--doctree-dir", str(ROOT / "build" / "docs-trees"), "--fresh-env"]
    made = subprocess.run([sys.executable, "-m", "sphinx", *words, str(STAGE), str(SITE)], check=False)
    if made.returncode:
        return made.returncode
    if found := list(fetched(SITE)):
        print("the site is not offline:", *found, sep="\n  ", file=sys.stderr)
        return 1
    print(SITE / "index.html")
    return 0


if __name__ == "__main__":
    sys.exit(main())
