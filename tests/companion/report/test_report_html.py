from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import nbformat
import pytest
from pandas import DataFrame

from dreamlib.companion.report.html import describe, mathml, render
from dreamlib.companion.report.index import first_sentence, index
from dreamlib.companion.report.layouts import folded, styled, verdicts
from dreamlib.companion.report.offline import assert_offline
from dreamlib.core.errors import BadValue, DataError, StoreError

READINGS = {name: f"Words of {name} & more." for name in ("quick", "cpu", "paper")}
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
PROSE = r"""# DREAM, Table 1: *accuracy* & more of $\lambda$

**The claim.** Representative images are better than random ones. They are also fewer.

Inline $\mathcal{S}^* = \arg\min_x |x| < 1$, and in code `$HOME` stays. [A link](https://example.org/paper).

$$\sum_{i=1}^{N} \frac{1}{N} x_i \tag{1}$$

```python
price = "$5 and $6"
```

## Tafel für Ärzte
## Second
## Second
## Fourth
"""


def notebook(
    prose: str = PROSE, outputs: list[Any] | None = None, failed: bool = False
) -> nbformat.NotebookNode:
    v4 = nbformat.v4
    cells = [
        v4.new_markdown_cell(prose),
        v4.new_code_cell('profile: str = "quick"', metadata={"tags": ["parameters"]}),
        v4.new_code_cell('# Parameters\nprofile = "cpu"', metadata={"tags": ["injected-parameters"]}),
        v4.new_code_cell("# Load <the> records:\nprint(1 < 2)", outputs=outputs or []),
    ]
    run = {
        "end_time": "2026-03-01T14:05:00.5+00:00",
        "duration": 75.2,
        "exception": failed or None,
        "parameters": {"profile": "cpu"},
    }
    return v4.new_notebook(cells=cells, metadata={"papermill": run})


def write(path: Path, content: nbformat.NotebookNode) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(content, path)
    return path


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "reports" / "quick" / "dream" / "table1.ipynb"


def test_render(place: Path) -> None:
    v4 = nbformat.v4
    outputs = [
        v4.new_output("stream", name="stdout", text="\x1b[31mred\x1b[0m <tag>\n"),
        v4.new_output(
            "execute_result", {"text/plain": "plain", "text/html": "<table><tr><td>rich</td></tr></table>"}
        ),
        v4.new_output(
            "display_data",
            {"image/png": PIXEL, "text/plain": "<Figure>"},
            metadata={"image/png": {"width": 7}},
        ),
        v4.new_output("display_data", {"image/svg+xml": '<?xml version="1.0"?><svg id="a"></svg>'}),
        v4.new_output("display_data", {"text/latex": r"$\alpha$"}),
        v4.new_output("display_data", {"text/markdown": "**bold**"}),
        v4.new_output(
            "error", ename="ValueError", evalue="bad", traceback=["\x1b[0;31mValueError\x1b[0m: bad <x>"]
        ),
    ]
    place.parent.mkdir(parents=True)
    (place.parent / "table1.csv").write_text("")
    page = render(write(place, notebook(outputs=outputs)), READINGS["quick"])
    assert page == place.with_suffix(".html")
    text = page.read_text(encoding="utf-8")
    assert_offline(text)
    for there in (
        "<title>DREAM, Table 1: accuracy &amp; more of lambda · quick</title>",
        "<em>accuracy</em> &amp; more of <math",
        "2026-03-01 14:05 UTC",
        "1 min 15 s",
        '<a href="table1.ipynb">notebook</a>',
        '<a href="table1.csv">csv</a>',
        "Parameters of this run",
        "<summary>Load &lt;the&gt; records</summary>",
        '<span class="ansi-red-fg">red</span> &lt;tag&gt;',
        "<td>rich</td>",
        'width="7" src="data:image/png;base64,',
        'src="data:image/svg+xml;base64,',
        "<strong>bold</strong>",
        "bad &lt;x&gt;",
        '<h2 id="tafel-für-ärzte">',
        '<h2 id="second-2">',
        '<a href="#second-2">',
        '<a href="https://example.org/paper">',
        "<code>$HOME</code>",
        "DREAM Table 1",
        "Words of quick &amp; more.",
    ):
        assert there in text, there
    assert text.count("<h1>") == 1
    assert "$5 and $6" in re.sub(r"<[^>]+>", "", text)
    assert "table1.md" not in text
    assert "gradients" not in text
    assert text.count("<math ") >= 4
    assert len(re.findall(r"<details", text)) == len(re.findall(r"</details>", text)) == 2
    assert '<details class="code" open' not in text


def test_math_is_well_formed_mathml(place: Path) -> None:
    text = render(write(place, notebook())).read_text(encoding="utf-8")
    formulas = re.findall(r"<math.*?</math>", text, re.DOTALL)
    assert len(formulas) >= 3
    for formula in formulas:
        assert ElementTree.fromstring(formula).tag == "{http://www.w3.org/1998/Math/MathML}math"
    assert 'display="block"' in text
    assert "$$" not in text
    assert "\\mathcal" not in re.sub(r'aria-label="[^"]*"', "", text)


def test_mathml() -> None:
    assert "<mi>x</mi>" in mathml("x", display=False)
    assert 'aria-label="a &lt; b"' in mathml("a < b", display=False)
    assert "<mo>arg</mo>" in mathml(r"\arg\min_x", display=True)
    ElementTree.fromstring(mathml("a & b < c", display=False))
    ElementTree.fromstring(
        mathml(r"\begin{align} a &= b \\ c &= d \label{x} \nonumber \end{align}", display=True)
    )
    with pytest.raises(BadValue, match=r"unknown command \\softmax"):
        mathml(r"\softmax(x)", display=False)
    with pytest.raises(BadValue, match="cannot turn the TeX"):
        mathml(r"\left( x", display=False)


@pytest.fixture
def drawn(place: Path) -> Path:
    """A notebook with a figure next to it."""
    write(place, notebook("# T\n\n![what it shows](figures/a.svg)\n"))
    (place.parent / "figures").mkdir()
    (place.parent / "figures" / "a.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg" width="300pt"/>')
    return place


def test_a_page_refers_to_its_figures(drawn: Path) -> None:
    text = render(drawn).read_text()
    assert 'src="figures/a.svg" alt="what it shows"' in text
    assert "width:400px" in text  # as wide as it was drawn
    assert "base64" not in text


def test_figures_come_along_where_that_is_asked_for(drawn: Path) -> None:
    text = render(drawn, inline=True).read_text()
    assert "data:image/svg+xml;base64," in text
    assert "figures/a.svg" not in text


def test_verdicts_come_right_after_the_claim_and_the_contents_below_the_table(place: Path) -> None:
    v4 = nbformat.v4
    told = verdicts("The paper's claim", "quick", [("a", True, "x")], "the rule")
    top = [
        v4.new_output("display_data", {"text/html": html})
        for html in (told, styled(DataFrame({"b": [1]})).text, folded("Profile quick: x", "smaller"))
    ]
    book = notebook("# T\n\n**The claim.** DREAM is best.\n", outputs=top)
    book.cells.append(v4.new_markdown_cell("## One\n## Two\n## Three\n## Four"))
    book.cells.append(v4.new_code_cell("# NBVAL_CHECK_OUTPUT\nprint(session.check())"))
    text = render(write(place, book)).read_text(encoding="utf-8")
    below = text.partition("</style>")[2]
    marks = (
        "DREAM is best",
        "dl-verdicts",
        ">b<",
        "Profile quick: x",
        'class="toc"',
        'id="one"',
        "Parameters of",
    )
    found = [below.index(mark) for mark in marks]
    assert found == sorted(found)
    assert "NBVAL" not in text
    assert text.count("<style>") == 1
    assert '<a href="../../glossary.html">' in text


def test_a_failed_run_says_so(place: Path) -> None:
    text = render(write(place, notebook(failed=True))).read_text()
    assert "This run failed." in text
    assert describe(place).failed


def test_pages_that_need_the_network_are_refused(place: Path) -> None:
    write(place, notebook("# T\n\n![remote](https://example.org/a.png)\n"))
    with pytest.raises(BadValue, match="not offline"):
        render(place)
    assert not place.with_suffix(".html").exists()
    script = nbformat.v4.new_output("display_data", {"text/html": "<script>1</script>"})
    write(place, notebook(outputs=[script]))
    with pytest.raises(BadValue, match="<script>"):
        render(place)


@pytest.mark.parametrize(
    "page",
    [
        '<script src="a.js"></script>',
        "<SCRIPT>1</SCRIPT>",
        '<img src="http://a.b/c.png">',
        '<img src="//a.b/c.png">',
        '<img srcset="a.png 1x, https://a.b/c.png 2x">',
        '<link rel="stylesheet" href="style.css">',
        '<style>@import "a.css";</style>',
        "<style>p { background: url(https://a.b/c.png) }</style>",
        '<p style="background: url(//a.b/c.png)">',
        '<iframe src="a.html"></iframe>',
        "<object data='a.svg'></object>",
        '<a href="javascript:alert(1)">',
        '<p onclick="x()">',
        '<meta http-equiv="refresh" content="0; url=https://a.b">',
        '<base href="https://a.b">',
        '<svg><image href="https://a.b/c.png"/></svg>',
        '<svg><use xlink:href="https://a.b/c.svg#d"/></svg>',
        '<form action="https://a.b"></form>',
        '<video poster="https://a.b/c.png"></video>',
        # Where a lenient parser and a browser part ways: comments, CDATA, raw text, stray quotes, foreign content.
        "<!--x--!><img src=x onerror=alert(1)>-->",
        "<!--><img src=x onerror=alert(1)>-->",
        "<!-- harmless -->",
        "<svg><![CDATA[><img src=x onerror=alert(1)>]]></svg>",
        "<?x><img src=x onerror=alert(1)>?>",
        "<svg><style><img src=x onerror=alert(1)></style></svg>",
        "<style></style ><script>1</script>",
        '<textarea><p title="</textarea><img src=x onerror=alert(1)>"></textarea>',
        '<title><p title="</title><img src=x onerror=alert(1)>"></title>',
        """<p a="b"'"><img src=x onerror=alert(1)>'>""",
        "<img/src=x/onerror=alert(1)>",
        "<p\x00 onclick=x>",
        "<p",
        # Addresses that a browser cleans first.
        '<a href="java&#10;script:alert(1)">',
        '<a href="&#106;avascript&colon;alert(1)">',
        '<a href=" \x01javascript:alert(1)">',
        '<a href="data:text/html,x">',
        '<a href="vbscript:x">',
        '<img src="https&colon;//a.b/c.png">',
        '<img src="beside.png">',
        '<img src="figures/../../secret.svg">',
        '<img src="figures/page.html">',
        '<iframe src="figures/a.svg"></iframe>',
        '<img src="\\\\a.b\\c.png">',
        '<svg><a><animate attributeName="href" values="javascript:alert(1)"/></a></svg>',
        '<svg><set attributeName="href" to="javascript:alert(1)"/></svg>',
        '<svg><a xlink:href="java&Tab;script:alert(1)"></a></svg>',
        '<svg><rect fill="url(https://a.b/c.svg#d)"/></svg>',
        "<style>p { background: u\\72l(https://a.b/c.png) }</style>",
        "<style>@im/**/port 'a.css'; @\\69mport 'a.css'</style>",
        "<style>p { background: image-set('https://a.b/c.png' 1x) }</style>",
        '<meta http-equiv="Set-Cookie" content="a=b">',
    ],
)
def test_offline_refuses(page: str) -> None:
    with pytest.raises(BadValue, match="not offline"):
        assert_offline(f"<!DOCTYPE html><html><body>{page}</body></html>")


@pytest.mark.parametrize(
    "page",
    [
        '<a href="https://example.org">x</a>',
        '<a href="../../index.html#quick">x</a>',
        '<img src="data:image/png;base64,AAAA">',
        '<img alt="a" src="figures/table1-mnist-ipc1.svg">',
        '<link rel="icon" href="data:,">',
        '<svg xmlns="http://www.w3.org/2000/svg"><use href="#a"/></svg>',
        "<code>&lt;script src=&quot;https://a.b&quot;&gt;</code>",
        "<p>@import url(https://a.b)</p>",
        '<p title="a > b, url(https://a.b)">a &gt; b > c</p>',
        "<style>p > a::before { content: '\\201c'; background: url(data:image/png;base64,AA) }</style>",
        '<a href="mailto:a@b.c">x</a><br/><hr class=thin>',
    ],
)
def test_offline_allows(page: str) -> None:
    assert_offline(page)


NAME = '<!--x--!><img src=x onerror="alert(1)">-->'


def test_the_name_of_a_folder_does_not_run_in_a_page(place: Path, tmp_path: Path) -> None:
    v4 = nbformat.v4
    said = v4.new_output("display_data", {"text/markdown": f"Data sets {NAME}; [x](javascript:alert(1))."})
    printed = v4.new_output("stream", name="stdout", text=NAME)
    prose = f"# Of {NAME}\n\nMeasured on {NAME}."
    write(place, notebook(prose=prose, outputs=[said, printed]))
    for text in (render(place).read_text(), index(tmp_path / "reports", profiles=READINGS).read_text()):
        assert_offline(text)
        assert "<img" not in text
        assert "&lt;img src=x onerror=" in text
        assert "default-src 'none'" in text.partition("<title>")[0]
    rich = v4.new_output("display_data", {"text/html": f"<p>{NAME}</p>"})
    write(place, notebook(outputs=[rich]))
    with pytest.raises(BadValue, match=r"not offline: markup '<!--x--!>"):
        render(place)


def test_describe(place: Path) -> None:
    about = describe(write(place, notebook()))
    assert (about.profile, about.paper, about.item) == ("quick", "dream", "table1")
    assert about.claim == "Representative images are better than random ones. They are also fewer."
    assert about.parameters == {"profile": "cpu"}
    bare = describe(write(place, nbformat.v4.new_notebook()))
    assert (bare.title, bare.claim, bare.when, bare.took) == ("table1", "", "", "")


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("One. Two.", "One."),
        ("With 2.5 points. Then", "With 2.5 points."),
        ("Where $a. B$ holds. Then", "Where $a. B$ holds."),
        ("No stop", "No stop"),
        ("e.g. this is fine. Next", "e.g. this is fine."),
        ("", ""),
    ],
)
def test_first_sentence(text: str, first: str) -> None:
    assert first_sentence(text) == first


def test_bad_notebooks(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no notebook"):
        render(tmp_path / "none.ipynb")
    (tmp_path / "broken.ipynb").write_text("{")
    with pytest.raises(DataError, match="not a notebook"):
        render(tmp_path / "broken.ipynb")


def test_index(tmp_path: Path) -> None:
    reports, sources = tmp_path / "reports", tmp_path / "notebooks"
    for name in (
        "dream/table1",
        "dream/table2",
        "dream/figure1",
        "dm/table10",
        "dm/table2",
        "dim/table4",
        "dream/new",
    ):
        (sources / name).parent.mkdir(parents=True, exist_ok=True)
        for kind in ("py", "ipynb"):
            (sources / f"{name}.{kind}").write_text("")
    (sources / "dream" / "gradients.py").write_text("")  # a module beside the notebooks is no page
    done = write(reports / "quick" / "dream" / "table1.ipynb", notebook())
    render(done)
    for kind in ("csv", "tex"):
        done.with_suffix(f".{kind}").write_text("")
    write(reports / "quick" / "dream" / "table2.ipynb", notebook())
    write(reports / "quick" / "dm" / "table2.failed.ipynb", notebook(failed=True))
    render(write(reports / "quick" / "dream" / "figure1.ipynb", notebook()))
    (reports / "quick" / "dream" / "figure1.csv").write_text(
        "method,status\na,missing\nb,missing\nc,measured\n"
    )
    render(write(reports / "quick" / "dim" / "table4.ipynb", nbformat.v4.new_notebook()))
    stale = write(reports / "mine <x>" / "dim" / "table4.ipynb", notebook())
    render(stale)
    write(stale, notebook(prose="# Run again"))

    text = index(reports, profiles=READINGS).read_text(encoding="utf-8")
    assert_offline(text)
    for there in (
        '<a href="quick/dream/table1.html">DREAM, Table 1: <em>accuracy</em> &amp; more of <math',
        '<a href="quick/dream/table1.ipynb">notebook</a>',
        '<a href="quick/dream/table1.csv">csv</a>',
        '<a href="quick/dream/table1.tex">LaTeX</a>',
        "<p>Representative images are better than random ones.</p>",
        "<dt>State</dt><dd>2 entries missing</dd>",
        "<dt>State</dt><dd>not executed</dd>",
        "<dt>State</dt><dd>no page</dd>",
        "<dt>State</dt><dd>stale page</dd>",
        "<dt>State</dt><dd>failed</dd>",
        "<dt>Run</dt><dd>2026-03-01 14:05 UTC</dd>",
        "python -m dreamlib notebook dm/table2 --profile quick",
        '<a href="quick/dm/table2.failed.ipynb">failed run</a>',
        "Profile mine &lt;x&gt;",
        "How to read a report",
        "<strong>Profile cpu</strong>: not run.",
        "Not run here: 2 of 7 tables and figures",
    ):
        assert there in text, there
    assert "table1.md" not in text
    assert "dm/table10" not in text, "what there is not has no entry"
    assert text.count("<dt>State</dt>") == text.count("<article") - 1, "what is rendered says nothing of it"
    order = ['id="quick"', "mine &lt;x&gt;", 'id="cpu"', 'id="paper"']
    assert sorted(order, key=text.index) == order, "what was not run comes last"
    papers = re.findall(r"<article.*?href=\"quick/(\w+)/", text, re.DOTALL)
    assert papers == ["dream", "dream", "dream", "dm", "dim"]


def test_a_page_that_is_not_ours_is_left_as_it_is(tmp_path: Path) -> None:
    theirs = "<!DOCTYPE html><title>My home page</title>"
    done = write(tmp_path / "quick" / "dream" / "table1.ipynb", notebook())
    for page, make in (
        (tmp_path / "index.html", lambda: index(tmp_path, profiles=READINGS)),
        (done.with_suffix(".html"), lambda: render(done)),
    ):
        page.write_text(theirs)
        with pytest.raises(StoreError, match=f"{page.name} is not a page of dreamlib"):
            make()
        assert page.read_text() == theirs
        page.unlink()
        assert make().read_text() == make().read_text(), "our own are replaced"


@pytest.mark.parametrize("text", ["", "[" * 100_000, '{"cells": 1}', "\udcff"], ids=range(4))
def test_one_bad_notebook_does_not_stop_the_others(tmp_path: Path, text: str) -> None:
    render(write(tmp_path / "quick" / "dream" / "table1.ipynb", notebook()))
    bad = tmp_path / "quick" / "dream" / "table2.ipynb"
    bad.write_text(text, errors="surrogateescape")
    with pytest.warns(UserWarning, match="dream/table2 under quick is listed as unreadable"):
        page = index(tmp_path, profiles=READINGS).read_text()
    assert '<a href="quick/dream/table1.html">DREAM, Table 1' in page
    assert "<h3>DREAM Table 2</h3>" in page
    assert "<dt>State</dt><dd>unreadable</dd>" in page
    assert 'href="quick/dream/table2.ipynb"' in page, "the file that is bad can be found"


def test_one_bad_table_does_not_stop_the_others(tmp_path: Path) -> None:
    render(write(tmp_path / "quick" / "dream" / "table1.ipynb", notebook()))
    write(
        tmp_path / "quick" / "dream" / "table2.ipynb", notebook()
    )  # without a page, as in the middle of a run
    (tmp_path / "quick" / "dream" / "table2.csv").write_bytes(b"\xff" * 9)
    with pytest.warns(
        UserWarning, match=r"dream/table2 under quick is listed as unreadable(.|\n)*table2\.csv"
    ):
        page = index(tmp_path, profiles=READINGS).read_text()
    assert '<a href="quick/dream/table1.html">DREAM, Table 1' in page
    assert "<dt>State</dt><dd>unreadable</dd>" in page


def test_index_of_nothing(tmp_path: Path) -> None:
    text = index(
        tmp_path / "reports", profiles={"quick": ""}, command="make {item} PROFILE={profile}"
    ).read_text()
    assert_offline(text)
    assert "Profile quick" in text
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="file"):
        index(tmp_path / "file", profiles=READINGS)
