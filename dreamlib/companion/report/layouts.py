"""How an accuracy table looks in Markdown, LaTeX and HTML. The numbers come from :mod:`.accuracies`.

All three follow one plan. A method takes two lines, so that like stands under like: what was measured here, and
below it what the paper reports, with the difference in brackets (in LaTeX, where pages are narrow, on a third line).
A table with a base row adds how far each row is above it: as measured, and in italics as reported.
A method that is not implemented has only the second line and says so. A cell that could be measured and was not says
"missing", never nothing.
"""

from __future__ import annotations

import re
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined

from .accuracies import Accuracies, Cell, Column
from .reported import where
from .words import (
    MEASURED,
    MISSING,
    NOT_HERE,
    NOT_IMPLEMENTED,
    NOTHING,
    data_set,
    duration,
    number,
    percent,
    points,
    size,
)

BUDGETS = {
    "inpc": "images per class that a generator draws anew (INPC), not stored images",
    "inpc*": "by images per class of an epoch (INPC*): as many for each method as are decoded from this IPC",
    "whole": "trained on the whole training set",
}
NOT_MEASURED = f"{NOT_HERE}: what the paper prints; this profile does not measure it"
LATEX_PANEL = 6  # columns that fit on a page of A4 in \scriptsize


@dataclass(frozen=True)
class Fragment:
    """A piece of HTML that notebooks show as such."""

    text: str

    def _repr_html_(self) -> str:
        return self.text


@cache
def templates() -> Environment:
    """The templates of this package; values are escaped, and a missing one is an error."""
    environment = Environment(
        loader=PackageLoader("dreamlib.companion.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"points": points, "duration": duration, "size": size, "data_set": data_set}
    return environment


@dataclass(frozen=True)
class Notes:
    """Footnotes of a table: their texts in order, and the marks of every cell and of every data set."""

    texts: tuple[str, ...]
    of_cell: dict[tuple[int, Column], str]
    of_dataset: dict[str, str]
    of_column: dict[Column, str]

    def marked(self) -> list[tuple[str, str]]:
        """(mark, text) of every footnote."""
        return [(mark(position), text) for position, text in enumerate(self.texts)]


def mark(position: int) -> str:
    """a, b, ... z, aa, ab, ..."""
    letters = string.ascii_lowercase
    return letters[position] if position < 26 else letters[position // 26 - 1] + letters[position % 26]


def notes(table: Accuracies) -> Notes:
    """Collect what has to be said of single numbers: other sources, other budgets, the papers' remarks."""
    texts: list[str] = []

    def marks(wanted: list[str]) -> str:
        texts.extend(text for text in wanted if text not in texts)
        return ",".join(mark(texts.index(text)) for text in wanted)

    of_cell: dict[tuple[int, Column], str] = {}
    of_dataset: dict[str, str] = {}
    of_column: dict[Column, str] = {}
    asked = any(row.reported_as for row in table.rows)
    for dataset in dict.fromkeys(dataset for dataset, _ in table.columns):
        # A profile may show data sets that no paper used; said once in the heading instead of in every cell.
        reported = any(cell.number for (_, column), cell in table.cells.items() if column[0] == dataset)
        mine = [column for column in table.columns if column[0] == dataset]
        elsewhere = [column for column in mine if not_here(table, column)]
        absent = asked and not reported
        of_dataset[dataset] = marks(
            [table.wording.absent] if absent else [NOT_MEASURED] if elsewhere == mine else []
        )
        # Where the profile measures some columns of a data set and not others, each of the others says so.
        of_column |= {column: marks([NOT_MEASURED]) for column in elsewhere if elsewhere != mine}
    for place, cell in table.cells.items():
        number, wanted = cell.number, []
        if number is not None:
            if (number.paper, number.item) != (table.paper, table.item):
                wanted.append(f"reported by {where(number.paper, number.item)}")
            if number.budget in BUDGETS and number.budget != table.wording.budget:
                wanted.append(BUDGETS[number.budget])
            if number.note and "budget is INPC" not in number.note:
                wanted.append(number.note)
        of_cell[place] = marks(wanted)
    return Notes(tuple(texts), of_cell, of_dataset, of_column)


def not_here(table: Accuracies, column: Column) -> bool:
    """Whether a column shows what the paper prints and this profile does not measure."""
    statuses = {table.cells[index, column].status for index in range(len(table.rows))}
    return NOT_HERE in statuses and not statuses & {MEASURED, MISSING}


def legend(table: Accuracies) -> list[str]:
    """The sentences every rendering carries."""
    cells = [cell for cell in table.cells.values() if cell.status == MEASURED]
    sentences = [table.caption] if table.caption else []
    sentences.append(f"Top-1 test accuracy in percent by {table.wording.by}.")
    if cells:
        sentences.append("Measured: mean ± standard deviation over n trained networks.")
        counts = {(cell.n, cell.sets) for cell in cells}
        if len(counts) == 1:
            n, sets = counts.pop()
            sentences.append(f"n = {n} of {sets} {table.wording.made}{'s' * (sets != 1)} in every cell.")
    if any(row.reported_as for row in table.rows):
        sentences.append(
            f"Reported: as printed in {where(table.paper, table.item)}, never measured here. "
            "Difference: measured minus reported, in points."
        )
    if table.base is not None:
        asked = any(row.reported_as for row in table.rows)
        sentences.append(
            f"{_against(table)[:1].upper()}{_against(table)[1:]}: points above that row, as measured"
            + (" and (in brackets) as reported." if asked else ".")
        )
    return [*sentences, *table.remarks, profile_words(table.profile)]


def _against(table: Accuracies) -> str:
    """What the line of differences to the base row is called."""
    return "" if table.base is None else f"to {table.rows[table.base].label}"


def change_words(table: Accuracies, index: int, column: Column) -> tuple[str, str]:
    """``("+1.3", "+3.9")``: how far a row is above the base row, as measured and as reported; "" where not known."""
    measured, reported = table.change(index, column)
    return "" if measured is None else points(measured), "" if reported is None else points(reported)


def changes(table: Accuracies, index: int) -> bool:
    """Whether a row has a line of differences to the base row."""
    return any(any(change_words(table, index, column)) for column in table.columns)


def profile_words(profile: str) -> str:
    """What the name of a profile means for a reader who compares with the paper."""
    if not profile:
        return "Nothing has been measured yet."
    if profile == "paper":
        return "Profile paper: the published protocol."
    return (
        f"Profile {profile}: a scaled-down protocol, so a difference from the paper shows what scaling down "
        "costs and is no verdict on the method."
    )


def missing_words(table: Accuracies) -> str:
    """How many cells are missing, or "" if none is."""
    count = table.missing
    return f"{count} cell{'s are' if count != 1 else ' is'} missing." if count else ""


def varies(table: Accuracies) -> bool:
    """Whether cells differ in how many networks or sets they stand on, so that each must say."""
    return len({(cell.n, cell.sets) for cell in table.cells.values() if cell.status == MEASURED}) > 1


def measured_words(cell: Cell, with_n: bool) -> str:
    """``"61.2 ± 0.8"``, with ``" (n=5)"`` where cells differ; "missing" or "not implemented"."""
    if cell.mean is None:
        return NOTHING if cell.status == NOT_HERE else cell.status
    return percent(cell.mean, cell.std) + (f" (n={cell.n})" if with_n else "")


# ----------------------------------------------------------------------------------------------------
# Markdown


def markdown(table: Accuracies) -> str:
    """The table as GitHub Markdown; see :meth:`Accuracies.markdown`."""
    said, with_n = notes(table), varies(table)
    heads = [
        f"{_md(data_set(column[0]))}{_sup(said.of_dataset[column[0]])} · {column[1]}"
        + _sup(said.of_column.get(column, ""))
        + (f" ({NOT_HERE})" if not_here(table, column) else "")
        for column in table.columns
    ]
    lines = [
        "| Method | | " + " | ".join(heads) + " |",
        "|---|---|" + "---:|" * len(heads),
    ]
    group = ""
    for index, row in enumerate(table.rows):
        if row.group and row.group != group:
            lines.append(f"| **{_md(row.group)}** | |" + " |" * len(heads))
        group = row.group
        label = _md(row.label)
        if row.method is None:
            label += f" ({row.absent})"
        else:
            best = [table.best(column) == index for column in table.columns]
            texts = [measured_words(table.cells[index, column], with_n) for column in table.columns]
            shown = [f"**{text}**" if wins else text for text, wins in zip(texts, best, strict=True)]
            lines.append(f"| {label} | measured | " + " | ".join(shown) + " |")
            label = ""
        if row.reported_as is not None or row.method is None:
            shown = [
                _md_reported(table.cells[index, column], said.of_cell[index, column])
                for column in table.columns
            ]
            lines.append(f"| {label} | *reported* | " + " | ".join(shown) + " |")
        if changes(table, index):
            pairs = [change_words(table, index, column) for column in table.columns]
            shown = [
                " ".join(filter(None, (ours, theirs and f"*({theirs})*"))) or NOTHING
                for ours, theirs in pairs
            ]
            lines.append(f"|  | {_md(_against(table))} | " + " | ".join(shown) + " |")
    lines += [
        "",
        " ".join(_md(sentence) for sentence in legend(table)) + " **Bold**: best measured of its column.",
    ]
    lines += [f"\n{_sup(letter)} {_md(text)}" for letter, text in said.marked()]
    if table.missing:
        lines.append(f"\n{missing_words(table)}" + (f" To fill: `{table.command}`" if table.command else ""))
    return "\n".join(lines) + "\n"


def _md(text: str) -> str:
    return re.sub(r"([\\`*_|<>\[\]])", r"\\\1", " ".join(text.split()))


def _sup(letters: str) -> str:
    return f"<sup>{letters}</sup>" if letters else ""


def _md_reported(cell: Cell, letters: str) -> str:
    if cell.number is None:
        return NOTHING
    text = f"*{percent(cell.number.value, cell.number.std)}*{_sup(letters)}"
    return text if cell.difference is None else f"{text} ({points(cell.difference)})"


# -------------------------------------------------------------------------------------------------------
# LaTeX

_LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "–": "--",
    "—": "---",
    "−": "$-$",
    "±": r"$\pm$",
    "×": r"$\times$",
    "·": r"$\cdot$",
    "…": r"\dots{}",
    "≥": r"$\geq$",
    "≤": r"$\leq$",
    "→": r"$\to$",
    "∞": r"$\infty$",
}
_GREEK = dict(
    re.findall(
        r"(\S) (\w+)",
        "α alpha β beta γ gamma δ delta ε varepsilon ζ zeta η eta θ theta ι iota κ kappa λ lambda μ mu ν nu "
        "ξ xi π pi ρ rho σ sigma τ tau υ upsilon φ varphi χ chi ψ psi ω omega Γ Gamma Δ Delta Θ Theta Λ Lambda "
        "Ξ Xi Π Pi Σ Sigma Φ Phi Ψ Psi Ω Omega",
    )
)


def tex(text: str) -> str:
    """`text` with all that LaTeX would read as a command escaped; Greek and common signs become commands.

    Accented Latin letters stay as they are, which LaTeX has understood since 2018.
    """
    return "".join(_LATEX.get(sign) or (f"$\\{_GREEK[sign]}$" if sign in _GREEK else sign) for sign in text)


def latex(table: Accuracies) -> str:
    """The table as one LaTeX float per page-wide piece; see :meth:`Accuracies.latex`."""
    said, with_n = notes(table), varies(table)
    under = ["\\textbf{Bold}: best measured of its column."]
    under += [f"\\textsuperscript{{{letter}}}~{tex(text)}." for letter, text in said.marked()]
    for absent in dict.fromkeys(row.absent for row in table.rows if row.method is None):
        why = "not implemented here" if absent == NOT_IMPLEMENTED else absent
        under.append(f"\\textsuperscript{{*}}~{tex(why)}, so only the reported number is shown.")
    if table.missing:
        fill = f" To fill: \\texttt{{{tex(table.command)}}}" if table.command else ""
        under.append(tex(missing_words(table)) + fill)
    lines = ["% needs \\usepackage{booktabs}"]
    for panel, columns in enumerate(_panels(table)):
        lines += ["\\begin{table}[htbp]", "\\centering", "\\scriptsize", "\\setlength{\\tabcolsep}{2pt}"]
        if panel:
            lines.append("\\textit{(continued)}\\par\\smallskip")
        else:
            lines.append("\\caption{" + " ".join(tex(sentence) for sentence in legend(table)) + "}")
        lines += _latex_panel(table, columns, said, with_n)
        lines += ["\\par\\medskip", "\\begin{minipage}{\\linewidth}\\scriptsize", *under, "\\end{minipage}"]
        lines.append("\\end{table}")
    return "\n".join([*lines, ""])


def _panels(table: Accuracies) -> list[list[Column]]:
    """Columns in pieces that fit on a page, never parting the columns of one data set."""
    panels: list[list[Column]] = [[]]
    for dataset in dict.fromkeys(dataset for dataset, _ in table.columns):
        block = [column for column in table.columns if column[0] == dataset]
        if panels[-1] and len(panels[-1]) + len(block) > LATEX_PANEL:
            panels.append([])
        panels[-1] += block
    return panels


def _latex_panel(table: Accuracies, columns: list[Column], said: Notes, with_n: bool) -> list[str]:
    heads, rules, left = [], [], 3
    for dataset in dict.fromkeys(dataset for dataset, _ in columns):
        width = sum(one == dataset for one, _ in columns)
        heads.append(
            f"\\multicolumn{{{width}}}{{c}}{{{tex(data_set(dataset))}{_tex_sup(said.of_dataset[dataset])}}}"
        )
        rules.append(f"\\cmidrule(lr){{{left}-{left + width - 1}}}")
        left += width
    # The box keeps a piece that is a little wider than the text in the middle of the page.
    lines = [
        f"\\makebox[\\linewidth][c]{{\\begin{{tabular}}{{@{{}}ll{'r' * len(columns)}@{{}}}}",
        "\\toprule",
    ]
    lines += [" & & " + " & ".join(heads) + r" \\", "".join(rules)]
    budgets = [tex(str(column[1])) + _tex_sup(said.of_column.get(column, "")) for column in columns]
    lines += ["Method & & " + " & ".join(budgets) + r" \\", "\\midrule"]
    group = ""
    for index, row in enumerate(table.rows):
        cells = [table.cells[index, column] for column in columns]
        if row.group and row.group != group:
            lines.append(
                f"\\multicolumn{{{len(columns) + 2}}}{{@{{}}l}}{{\\textit{{{tex(row.group)}}}}} \\\\"
            )
        group = row.group
        label = tex(row.label) + (r"\textsuperscript{*}" if row.method is None else "")
        texts: dict[str, list[str]] = {}
        if row.method is not None:
            texts["measured"] = [
                f"\\textbf{{{text}}}" if table.best(column) == index else text
                for column, cell in zip(columns, cells, strict=True)
                for text in [_small_spread(tex(measured_words(cell, with_n)))]
            ]
        if row.reported_as is not None or row.method is None:
            marks = [said.of_cell[index, column] for column in columns]
            texts["\\textit{reported}"] = list(map(_tex_reported, cells, marks))
        if any(cell.difference is not None for cell in cells):
            texts["difference"] = [
                "--" if (d := cell.difference) is None else tex(points(d)) for cell in cells
            ]
        pairs = [change_words(table, index, column) for column in columns]
        if any(map(any, pairs)):
            texts[tex(_against(table))] = [
                " ".join(filter(None, (tex(ours), theirs and f"\\textit{{({tex(theirs)})}}"))) or "--"
                for ours, theirs in pairs
            ]
        for kind, shown in texts.items():
            lines.append(f"{label} & {kind} & " + " & ".join(shown) + r" \\")
            label = ""
    return [*lines, "\\bottomrule", "\\end{tabular}}"]


def _tex_sup(letters: str) -> str:
    return f"\\textsuperscript{{{letters}}}" if letters else ""


def _small_spread(text: str) -> str:
    """Six columns fit on a page when what follows the mean is tiny."""
    return re.sub(r" (\$\\pm\$ [\d.]+)", r"{\\tiny\\,\1}", text)


def _tex_reported(cell: Cell, letters: str) -> str:
    if cell.number is None:
        return "--"
    return f"\\textit{{{_small_spread(tex(percent(cell.number.value, cell.number.std)))}}}{_tex_sup(letters)}"


# --------------------------------------------------------------------------------------------------------
# HTML


def html(table: Accuracies) -> str:
    """The table as an HTML fragment; see :meth:`Accuracies.html`."""
    datasets = list(dict.fromkeys(dataset for dataset, _ in table.columns))
    elsewhere = {column for column in table.columns if not_here(table, column)}
    return (
        templates()
        .get_template("accuracy.html.j2")
        .render(
            table=table,
            said=notes(table),
            legend=legend(table),
            missing=missing_words(table),
            with_n=varies(table),
            spans=[(dataset, sum(one == dataset for one, _ in table.columns)) for dataset in datasets],
            firsts={
                column
                for number, column in enumerate(table.columns)
                if not number or table.columns[number - 1][0] != column[0]
            },
            best={column: table.best(column) for column in table.columns},
            elsewhere=elsewhere,
            absent={
                dataset
                for dataset in datasets
                if all(column in elsewhere for column in table.columns if column[0] == dataset)
            },
            not_here=NOT_HERE,
            statuses={"measured": MEASURED, "missing": MISSING, "here": NOT_HERE},
            against=_against(table),
            changes=changes,
            change=change_words,
            asked=any(row.reported_as for row in table.rows),
            direction=direction,
            percent=percent,
            nothing=NOTHING,
        )
    )


def direction(difference: float) -> str:
    """Class name of a difference: above, below, or level when it rounds to 0.0."""
    return "level" if abs(difference) < 0.05 else "above" if difference > 0 else "below"


def plain_html(frame: pd.DataFrame, caption: str, decimals: int, same: dict[str, str] | None = None) -> str:
    """Any DataFrame as an HTML fragment in the look of :func:`html`; `same` is listed below it."""
    names = [str(name) for name in frame.columns]
    numeric = {str(name): bool(pd.api.types.is_numeric_dtype(frame[name])) for name in frame.columns}
    lines = [
        [
            data_set(value) if name == "dataset" else _plain(value, decimals)
            for name, value in zip(names, line, strict=True)
        ]
        for line in frame.itertuples(index=False, name=None)
    ]
    template = templates().get_template("plain.html.j2")
    return template.render(
        caption=caption, names=names, numeric=numeric, lines=lines, same=list((same or {}).items())
    )


def differences_html(by_method: Mapping[str, Sequence[str]]) -> str:
    """ "Differs from paper and released code in", method by method; what all share is said once. Empty for none."""
    if not by_method:
        return ""
    lists = list(by_method.values())
    shared = [words for words in lists[0] if len(lists) > 1 and all(words in others for others in lists)]
    own = {label: [w for w in words if w not in shared] for label, words in by_method.items()}
    template = templates().get_template("differences.html.j2")
    return template.render(shared=shared, own={label: words for label, words in own.items() if words})


def _plain(value: object, decimals: int) -> str:
    if value is None or value is pd.NA or isinstance(value, float):
        return number(value, decimals)
    return str(value)
