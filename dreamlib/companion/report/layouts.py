"""How tables look: a frame of finished texts, which pandas' Styler prints as HTML and LaTeX.

A *dialect* makes such texts of words: it escapes them, and marks what they are ("best", "reported", "note"). What holds
them, a frame, a caption and footnotes, is the same in HTML, LaTeX and Markdown.
"""

from __future__ import annotations

import html as markup
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from ...core.atomic import write_text
from .words import data_set, number, plainly


@dataclass(frozen=True)
class Fragment:
    """A piece of HTML that notebooks show as such."""

    text: str

    def _repr_html_(self) -> str:
        return self.text


@cache
def templates() -> Environment:
    """The templates of this package; values are escaped, and a missing one is an error."""
    return Environment(
        loader=PackageLoader("dreamlib.companion.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


# ----------------------------------------------------------------------------------------------------------- dialects


@dataclass(frozen=True)
class Dialect:
    """Words as text of one format.

    Attributes
    ----------
    escape : callable
        Words to text that the format shows as it is.
    marks : dict of str to str
        The look of a mark, with ``%s`` for the text; other marks look like ``other``, in which ``%m`` is the mark.
    """

    escape: Callable[[str], str]
    marks: Mapping[str, str]
    other: str = "%s"

    def __call__(self, words: str, mark: str = "") -> str:
        """The words in the look of a mark; no words, no mark."""
        look = self.marks.get(mark, self.other.replace("%m", mark)) if mark else "%s"
        return look.replace("%s", self.escape(words)) if words else ""


_SPREAD = re.compile(r" (±|\$\\pm\$) ([\d.]+)")  # what follows a mean


def _html(text: str) -> str:
    return _SPREAD.sub(r'<span class="spread"> \1 \2</span>', markup.escape(text, quote=False))


def _markdown(text: str) -> str:
    return re.sub(r"([\\`*_|<>\[\]])", r"\\\1", " ".join(text.split()))


_SIGNS = {
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    **{"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"},
    **{"<": r"\textless{}", ">": r"\textgreater{}", "–": "--", "—": "---", "…": r"\dots{}"},
    **{"−": "$-$", "±": r"$\pm$", "×": r"$\times$", "·": r"$\cdot$", "∞": r"$\infty$"},
    **{"≥": r"$\geq$", "≤": r"$\leq$", "→": r"$\to$"},
}
_GREEK = re.findall(
    r"(\S) (\w+)",
    "α alpha β beta γ gamma δ delta ε varepsilon ζ zeta η eta θ theta ι iota κ kappa λ lambda μ mu ν nu "
    "ξ xi π pi ρ rho σ sigma τ tau υ upsilon φ varphi χ chi ψ psi ω omega Γ Gamma Δ Delta Θ Theta Λ Lambda "
    "Ξ Xi Π Pi Σ Sigma Φ Phi Ψ Psi Ω Omega",
)
_TEX = str.maketrans(_SIGNS | {sign: f"$\\{name}$" for sign, name in _GREEK})


def tex(text: str) -> str:
    """`text` with all that LaTeX would read as a command escaped; Greek and common signs become commands.

    Accented Latin letters stay as they are, which LaTeX has understood since 2018. A standard deviation is set tiny, so
    that six columns fit on a page.
    """
    return _SPREAD.sub(r"{\\tiny\\,\1 \2}", text.translate(_TEX))


HTML = Dialect(
    _html,
    {
        "best": '<b class="measured best">%s</b>',
        "measured": '<b class="measured">%s</b>',
        "reported": '<em class="reported">%s</em>',
        "change": '<em class="quiet"> (%s)</em>',
        "note": "<sup>%s</sup>",
        "absent": ' <span class="tag">%s</span>',
    },
    other='<span class="%m">%s</span>',
)
MARKDOWN = Dialect(
    _markdown,
    {
        "best": "**%s**",
        "group": "**%s**",
        "reported": "*%s*",
        "change": " *(%s)*",
        "note": "<sup>%s</sup>",
        "absent": " (%s)",
        "tag": " (%s)",
    },
)
LATEX = Dialect(
    tex,
    {
        "best": r"\textbf{%s}",
        "group": r"\rlap{\textit{%s}}",
        "reported": r"\textit{%s}",
        "change": r" \textit{(%s)}",
        "note": r"\textsuperscript{%s}",
        "absent": r"\textsuperscript{*}",
        "tag": "",
    },
)


# -------------------------------------------------------------------------------------------------- frames and blocks


# What tables call the columns that several of them share.
HEADS = {
    "dataset": "data set",
    "ipc": "IPC",
    "base": "compared with",
    "core_hours": "core-hours",
    "device_hours": "device-hours",
    "difference": "difference (points)",
    "low": "95 % from",
    "high": "to",
    "needed": "sets needed",
    "claimed": "paper's difference",
}


def finished(frame: pd.DataFrame, say: Dialect, decimals: int) -> pd.DataFrame:
    """Any frame as texts: numbers with so many decimals, what is not there as a dash, data sets by their names."""
    columns: list[list[str]] = []
    for name, values in frame.items():
        mark = "number" if pd.api.types.is_numeric_dtype(values) else ""
        named = name in ("dataset", "data set")
        shown = [data_set(str(value)) if named else value for value in values]
        head = HEADS.get(str(name), plainly(str(name)))
        columns.append([say(head, mark), *(_said(value, mark, say, decimals) for value in shown)])
    texts = pd.DataFrame({place: column[1:] for place, column in enumerate(columns)})
    return texts.set_axis([column[0] for column in columns], axis=1)


def _said(value: object, mark: str, say: Dialect, decimals: int) -> str:
    """A value as a text of a dialect; a fragment of HTML stays as it is."""
    if isinstance(value, Fragment):
        return value.text
    known = value is None or value is pd.NA or isinstance(value, float)
    return say(number(value, decimals) if known else str(value), mark)


def html(texts: pd.DataFrame) -> str:
    """A frame of HTML texts as a table; a named index stands left of it."""
    style = texts.style if isinstance(texts.index, pd.MultiIndex) else texts.style.hide(axis="index")
    return style.to_html(exclude_styles=True)


def latex(texts: pd.DataFrame, columns: str | None = None) -> str:
    """A frame of LaTeX texts as a ``tabular``; it needs ``\\usepackage{booktabs}``."""
    style = texts.style if isinstance(texts.index, pd.MultiIndex) else texts.style.hide(axis="index")
    return style.to_latex(hrules=True, column_format=columns, multirow_align="naive", multicol_align="c")


def markdown(heads: Sequence[str], lines: Iterable[Sequence[str]], left: int) -> str:
    """Markdown texts as a table; the first columns, so many, are set left and the others right."""
    rule = ["---"] * left + ["---:"] * (len(heads) - left)
    body = "".join(f"| {' | '.join(line)} |\n" for line in lines)
    return f"| {' | '.join(heads)} |\n|{'|'.join(rule)}|\n{body}"


def block(
    table: str,
    *,
    caption: str = "",
    same: Mapping[str, str] | None = None,
    notes: Sequence[tuple[str, str]] = (),
    missing: str = "",
    command: str = "",
    costs: str = "",
) -> str:
    """A table of :func:`html` with what is said around it, in its own style.

    Parameters
    ----------
    same : dict of str to str
        What all lines share.
    notes : sequence of (str, str)
        Mark and text.
    missing, command : str
        How much is missing, and what fills it.
    costs : str
        A second table, folded away.
    """
    about: dict[str, Any] = {
        "caption": caption,
        "same": same,
        "notes": notes,
        "missing": missing,
        "command": command,
    }
    template = templates().get_template("table.html.j2")
    return template.render(table=Markup(table), costs=Markup(costs), **about)


def verdicts(
    heading: str,
    profile: str,
    claims: Sequence[tuple[str, bool | None, str]],
    rule: str = "",
    spent: str = "",
) -> str:
    """Claims with their verdicts and evidence; long evidence and the rule of all verdicts are folded away.

    Parameters
    ----------
    heading : str
        Above the claims.
    profile : str
        Where they were decided.
    claims : sequence of (str, bool or None, str)
        The claim, whether it holds, and why.
    rule : str
        How a verdict comes about.
    spent : str
        What the numbers behind them took to compute.
    """
    word = {
        True: ("holds", "holds"),
        False: ("does not hold", "fails"),
        None: ("not decided here", "open"),
    }
    lines = [(claim, *word[holds], *brief(evidence)) for claim, holds, evidence in claims]
    template = templates().get_template("verdicts.html.j2")
    return template.render(heading=heading, profile=profile, claims=lines, rule=rule, spent=spent)


BRIEF = 110  # letters of evidence that are shown at once


def brief(evidence: str) -> tuple[str, str]:
    """The start of an evidence, and the whole of it where that is more."""
    if len(evidence) <= BRIEF:
        return evidence, ""
    first, _, rest = evidence.partition("; ")
    if len(first) > BRIEF:
        first = first[: first.rindex(" ", 0, BRIEF)] if " " in first[:BRIEF] else first[:BRIEF]
        return f"{first.rstrip(',;:([')} (more)", evidence
    more = rest.count("; ") + 1
    return f"{first} ({more} more)", evidence


def folded(summary: str, body: str | Fragment) -> str:
    """A sentence, or a table, behind a line that opens it."""
    inside = Markup(body.text) if isinstance(body, Fragment) else body
    return templates().get_template("folded.html.j2").render(summary=summary, body=inside)


def by_method(summary: str, told: Mapping[str, Sequence[str]]) -> str:
    """A list of what is said of each method, under a line; what is said of all is said once. Empty for nothing."""
    if not any(told.values()):
        return ""
    lists = list(told.values())
    shared = [words for words in lists[0] if len(lists) > 1 and all(words in others for others in lists)]
    own = {label: [w for w in words if w not in shared] for label, words in told.items()}
    template = templates().get_template("by_method.html.j2")
    return template.render(
        summary=summary, shared=shared, own={label: words for label, words in own.items() if words}
    )


def styled(
    frame: pd.DataFrame,
    caption: str = "",
    *,
    decimals: int = 2,
    same: Mapping[str, str] | None = None,
    notes: Sequence[tuple[str, str]] = (),
) -> Fragment:
    """Any frame as a block: escaped, NaN as "–", without its index."""
    return Fragment(block(html(finished(frame, HTML, decimals)), caption=caption, same=same, notes=notes))


def csv(frame: pd.DataFrame) -> str:
    """`frame` as CSV with ``\\n`` line ends and round-trip floats."""
    return frame.to_csv(index=False, lineterminator="\n")


def save(folder: str | Path, stem: str, **texts: str) -> list[Path]:
    """Write ``stem.KIND`` for every kind of text into `folder`, each all or nothing.

    Raises
    ------
    StoreError
        The folder cannot be written.
    """
    return [write_text(Path(folder) / f"{stem}.{kind}", text) for kind, text in texts.items()]


def save_frame(frame: pd.DataFrame, folder: str | Path, stem: str, decimals: int) -> list[Path]:
    """Keep any frame as CSV, Markdown and LaTeX."""
    shown = finished(frame, MARKDOWN, decimals)
    text = markdown(list(shown.columns), shown.to_numpy().tolist(), len(shown.columns))
    return save(folder, stem, csv=csv(frame), md=text, tex=latex(finished(frame, LATEX, decimals)))
