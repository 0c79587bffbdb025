"""A committed page says what the committed records say: made again from them alone, it shows the same numbers."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest

pytestmark = pytest.mark.trains

ROOT = Path(__file__).parents[2]
NUMBER = re.compile(r"(?<![\w.])[-+−]?\d+(?:\.\d+)?")


def committed() -> list[Path]:
    """Executed notebooks under reports/PROFILE/PAPER, as far as git knows them."""
    found = subprocess.run(
        ["git", "ls-files", "reports/*/*/*.ipynb"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return [Path(line) for line in found.stdout.split()]


def texts(page: Path) -> list[str]:
    """What the cells of an executed notebook show, as text; pictures are left out."""
    out = []
    for cell in nbformat.read(page, as_version=4).cells:
        for output in cell.get("outputs", ()):
            data = output.get("data", {})
            shown = data.get("text/html") or data.get("text/markdown") or output.get("text", "")
            # A style sheet and a picture inside a page hold numbers that nobody reads, and so do addresses.
            out.append(
                re.sub(r"(?s)<style>.*?</style>|<svg.*?</svg>|base64,[^\"']*|href=\"[^\"]*\"", "", shown)
            )
    return out


def rendered_again(page: Path, into: Path) -> Path:
    """The page made anew with its own parameters, from the committed records, without computing anything."""
    profile, paper = page.parts[1:3]
    given: dict[str, Any] = nbformat.read(ROOT / page, as_version=4).metadata.papermill.parameters
    words = [sys.executable, "-m", "dreamlib", "notebook", f"{paper}/{page.stem}", "--profile", profile]
    words += ["--workers", "-1", "--reports", str(into), "--seeds", str(given.get("seeds", 0))]
    for name, option in (("datasets", "--datasets"), ("ipcs", "--ipc"), ("methods", "--methods")):
        if given.get(name):
            words += [option, str(given[name])]
    subprocess.run(words, cwd=ROOT, check=True, capture_output=True, text=True)
    return into / profile / paper / page.name


# By day one page, at night all of them.
@pytest.mark.parametrize(
    "page",
    [
        page if page.match("cpu/dream/table1.ipynb") else pytest.param(page, marks=pytest.mark.nightly)
        for page in committed()
    ],
    ids=str,
)
def test_a_page_made_again_from_the_records_shows_the_same_numbers(page: Path, tmp_path: Path) -> None:
    again = rendered_again(page, tmp_path)
    before, after = texts(ROOT / page), texts(again)
    assert [NUMBER.findall(text) for text in after] == [NUMBER.findall(text) for text in before]
    for table in (ROOT / page).parent.glob(f"{page.stem}.csv"):
        assert again.with_suffix(".csv").read_text() == table.read_text()


def test_no_committed_page_shows_what_is_no_number() -> None:
    for page in committed():
        for text in texts(ROOT / page):
            found = re.findall(r"\bnan\b|\binf\b|[-−]0\.0\b|\b0\.0 times", text, flags=re.IGNORECASE)
            assert not found, f"{page}: {found}"


def shown(page: Path) -> str:
    """What a reader sees of a page: no tags, no style, no code."""
    told = (ROOT / page).with_suffix(".html").read_text(encoding="utf-8")
    # The path of a script is for a reader to type.
    told = re.sub(r"(?s)<style>.*?</style>|<pre>.*?</pre>|<code>.*?</code>|\bexamples/\w+\.py\b", "", told)
    return re.sub(r"<[^>]*>", " ", told)


def test_no_committed_page_shows_what_is_for_the_code() -> None:
    for page in committed():
        found = re.findall(r"NBVAL|\w+\(s\)|\b[a-z]+_[a-z_]+\b|dreamlib 0|step \d+\.\d", shown(page))
        assert not found, f"{page}: {found}"


def test_the_claim_the_verdicts_and_the_table_come_first() -> None:
    for page in committed():
        told = (ROOT / page).with_suffix(".html").read_text(encoding="utf-8").partition("<main>")[2]
        listed = 'class="toc"' if 'class="toc"' in told else "<h2 "  # a short page needs no list of its parts
        begins = "<strong>The claim." if "<strong>The claim." in told else "<strong>What the paper shows."
        marks = [told.index(mark) for mark in (begins, "dl-verdicts", listed, "<h2 ")]
        assert marks == sorted(marks), page
        assert told.index("<table", marks[1] + 500) < marks[2]
        pictures = re.findall(r'<img [^>]*alt="([^"]*)"', told)
        assert all(len(words) > 20 for words in pictures), page


def test_every_measured_number_of_a_committed_table_leads_to_its_record() -> None:
    found = {}
    for page in committed():
        told = (ROOT / page).with_suffix(".html").read_text(encoding="utf-8")
        found[page] = re.findall(r'(<a href="[^"]+">)?<b class="measured', told)
        assert all(found[page]), page
    # Not every page has a table of accuracies; Table 1 has.
    assert found[Path("reports/paper/dream/table1.ipynb")]


def test_no_committed_page_names_a_folder_of_the_machine_that_made_it() -> None:
    for page in committed():
        for text in texts(ROOT / page):
            assert "site-packages" not in text, f"{page}: {text[:200]}"
