"""Rankings of architectures: how well a cheap training tells which would be best after an expensive one.

Stands on the records of cells that share everything but the evaluation network, and whose evaluation was also tested
on another data set (``accuracies_on``): ``accuracies`` are those on held-out training images, by which one chooses.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.pyplot import subplots
from scipy.stats import rankdata

from dreamlib.companion.report.statistics import clock, deviation
from dreamlib.companion.report.style import GREY, colour
from dreamlib.companion.report.verdicts import Evidence, decide
from dreamlib.companion.report.words import duration, number, percent
from dreamlib.core.errors import BadValue

Record = Mapping[str, Any]
COLUMNS = (
    "method",
    "label",
    "architecture",
    "validation",
    "validation_std",
    "test",
    "test_std",
    "n",
    "distill_seconds",
    "train_seconds",
    "images_stored",
)


def architecture(network: Mapping[str, Any]) -> str:
    """A ConvNet of a record's ``evaluation`` in one word: ``"w128-d3-instance-relu-avg"``."""
    return "w{width}-d{depth}-{norm}-{activation}-{pooling}".format(**network)


def search_frame(records: Sequence[Record], ipc: int) -> pd.DataFrame:
    """One line per method and architecture.

    Parameters
    ----------
    records : sequence of dict
        Of one data set and profile.
    ipc : int
        Keep the proxies of so many images per class, the trainings that were stopped as early, and those on the whole
        training set.

    Returns
    -------
    DataFrame
        ``method``, ``label``, ``architecture``; ``validation`` and ``test`` (mean accuracy in percent on held-out
        training images and on the test set) with ``_std`` (ddof 1; NaN for one network) and ``n`` networks;
        ``distill_seconds`` (of the set, so the same in all its lines), ``train_seconds`` (all networks together, tests
        included), both NaN where others used the machine too; ``images_stored``.

    Raises
    ------
    BadValue
        If an architecture has two records under one method: several seeds, data sets or settings.
    """
    lines = []
    for record in records:
        how = record["evaluation"]
        if (record["ipc"] or how.get("stop_ipc") or ipc) != ipc:
            continue
        held_out = np.asarray(record["accuracies"], dtype=float)
        (tested,) = (np.asarray(values, dtype=float) for values in record["accuracies_on"].values())
        lines.append(
            {
                "method": record["method"],
                "label": record["label"],
                "architecture": architecture(how["network"]),
                "validation": held_out.mean(),
                "validation_std": deviation(held_out),
                "test": tested.mean(),
                "test_std": deviation(tested),
                "n": len(tested),
                "distill_seconds": clock(record, "distill"),
                "train_seconds": clock(record, "evaluate"),
                "images_stored": int(record["images_stored"]),
            }
        )
    frame = pd.DataFrame(lines, columns=list(COLUMNS)).astype(
        {"distill_seconds": float, "train_seconds": float}
    )
    twice = frame[frame.duplicated(["method", "architecture"])]
    if len(twice):
        one = twice.iloc[0]
        raise BadValue(
            f"{one.method} has two records of {one.architecture}; expected one of each architecture",
            "keep the records of one data set, seed and profile",
        )
    return frame


def _spread(mean: float, std: float) -> str:
    return percent(mean, std)


def spearman(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Spearman's rank correlation of every row, (..., n) and (..., n) to (...). Ties share their mean rank.

    NaN where one of the two is constant: nothing is ranked there.
    """
    a, b = (ranks - ranks.mean(-1, keepdims=True) for ranks in (rankdata(x, axis=-1), rankdata(y, axis=-1)))
    return _ratio((a * b).sum(-1), np.sqrt((a**2).sum(-1) * (b**2).sum(-1)))


def kendall(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Kendall's tau-b of every row, (..., n) and (..., n) to (...): tau corrected for ties (Kendall 1945).

    NaN where one of the two is constant.
    """
    first, second = np.triu_indices(x.shape[-1], 1)
    rows_x, rows_y = x.reshape(-1, x.shape[-1]), y.reshape(-1, y.shape[-1])
    out = np.empty(len(rows_x))
    for row, (one, other) in enumerate(
        zip(rows_x, rows_y, strict=True)
    ):  # all pairs of one row are memory enough
        a, b = np.sign(one[first] - one[second]), np.sign(other[first] - other[second])
        out[row] = _ratio(a @ b, np.sqrt((a @ a) * (b @ b)))
    return out.reshape(x.shape[:-1])


def _ratio(upper: np.ndarray, lower: np.ndarray) -> np.ndarray:
    return np.divide(upper, lower, out=np.full(np.shape(lower), np.nan), where=np.asarray(lower) > 0)


class Ranking:
    """One proxy's ranking compared with that of training on the whole data set.

    Only architectures that have been trained both ways take part.

    Parameters
    ----------
    frame : DataFrame
        From :func:`search_frame`.
    method : str
        The proxy.
    reference : str
        What it stands for.

    Attributes
    ----------
    method, label : str
    architectures : list of str
    validation, proxy, whole, whole_std : ndarray
        (n,) Percent: on held-out images and on the test set after training on the proxy; on the test set after training
        on the whole data set, with its standard deviation.
    """

    def __init__(self, frame: pd.DataFrame, method: str, reference: str = "whole") -> None:
        mine, theirs = (frame[frame.method == name].set_index("architecture") for name in (method, reference))
        self.method, self.lines = method, mine
        self.label = str(mine.label.iloc[0]) if len(mine) else method
        self.architectures = [name for name in mine.index if name in theirs.index]
        mine, theirs = mine.loc[self.architectures], theirs.loc[self.architectures]
        self.validation, self.proxy = mine.validation.to_numpy(), mine.test.to_numpy()
        self.whole, self.whole_std = theirs.test.to_numpy(), theirs.test_std.to_numpy()

    def __len__(self) -> int:
        return len(self.architectures)

    def top(self, count: int) -> np.ndarray:
        """Positions of the ``count`` best on held-out images, best first; of equals, the first of the space."""
        return np.argsort(-self.validation, kind="stable")[:count]

    def correlation(self, count: int | None = None) -> dict[str, float]:
        """Rank correlation of test accuracies under the proxy and under the whole data set.

        Parameters
        ----------
        count : int, optional
            Only of the best so many on held-out images (the papers' top 5 %); None is all.

        Returns
        -------
        dict
            ``n``; ``spearman`` and ``kendall`` (tau-b), NaN below two architectures or when nothing is ranked.
        """
        size = len(self) if count is None else min(count, len(self))
        chosen = self.top(size)
        out: dict[str, float] = {"n": size}
        for name, measure in (("spearman", spearman), ("kendall", kendall)):
            out[name] = float(measure(self.proxy[chosen], self.whole[chosen])) if size > 1 else float("nan")
        return out

    def place(self, position: int) -> int:
        """1 for the architecture that is best after training on the whole data set; of equals, all the better one's."""
        return 1 + int((self.whole > self.whole[position]).sum())


def difference(
    ours: Mapping[int, Ranking], theirs: Mapping[int, Ranking], count: int | None = None
) -> Evidence:
    """Spearman's correlation of one proxy minus that of another, decided over their sets, paired by seed.

    Every set chooses its own best. A set under which nothing is ranked has no correlation and takes no part.

    Parameters
    ----------
    ours, theirs : dict of int to Ranking
        The rankings by the sets of either proxy, by seed.
    count : int, optional
        Only of the best so many on held-out images.

    Raises
    ------
    BadValue
        Two sets of one seed were not measured on the same architectures.
    """
    gaps = []
    for seed in sorted(ours.keys() & theirs.keys()):
        one, other = ours[seed], theirs[seed]
        if one.architectures != other.architectures:
            raise BadValue(
                f"{one.label} and {other.label} were measured on different architectures "
                f"({len(one)} and {len(other)})",
                "fill what is missing first",
            )
        gaps.append(one.correlation(count)["spearman"] - other.correlation(count)["spearman"])
    return decide(gap for gap in gaps if np.isfinite(gap))


def summary(ranking: Ranking, count: int) -> dict[str, object]:
    """What a search on one proxy finds and costs, as one line of a table of numbers.

    Parameters
    ----------
    ranking : Ranking
        Of one proxy; without an architecture, everything but its name is missing.
    count : int
        How many of the best have their ranking judged.
    """
    line: dict[str, object] = {"proxy": ranking.label, "architectures": len(ranking)}
    if not len(ranking):
        return line
    first = int(ranking.top(1)[0])
    line |= {
        "found": ranking.architectures[first],
        "held-out accuracy": float(ranking.validation[first]),
        "test accuracy": float(ranking.whole[first]),
        "std": float(ranking.whole_std[first]),
        "n": int(ranking.lines.n.iloc[0]),
        "place": ranking.place(first),
    }
    for words, size in ((f"best {min(count, len(ranking))}", count), ("all", None)):
        measured = ranking.correlation(size)
        line |= {f"{name}, {words}": measured[name] for name in ("spearman", "kendall")}
    return line | {
        "distilling (s)": float(ranking.lines.distill_seconds.iloc[0]),
        "training (s)": float(ranking.lines.train_seconds.sum(skipna=False)),
        "images stored": int(ranking.lines.images_stored.iloc[0]),
    }


def told(summaries: pd.DataFrame) -> pd.DataFrame:
    """A frame of :func:`summary` lines for people: one column for a number with its spread."""
    out = []
    for line in summaries.to_dict("records"):
        words: dict[str, object] = {
            name: line[name] for name in ("data set", "IPC", "proxy", "set") if name in line
        }
        if not isinstance(line.get("found"), str):
            out.append(words | {"found": "missing"})
            continue
        words["found"] = line["found"]
        words["test accuracy (%)"] = f"{_spread(line['test accuracy'], line['std'])} ({line['place']:.0f}.)"
        for name in [name for name in map(str, line) if name.startswith(("spearman, ", "kendall, "))]:
            words[name.capitalize()] = number(line[name], 2)
        words |= {
            "distilling": duration(line["distilling (s)"]),
            "training": duration(line["training (s)"]),
            "images stored": f"{line['images stored']:,.0f}",
        }
        out.append(words)
    return pd.DataFrame(out)


def by_architecture(frame: pd.DataFrame) -> pd.DataFrame:
    """Test accuracy, mean ± standard deviation, of every architecture (down) after training on each proxy (across)."""
    words = [_spread(mean, std) for mean, std in zip(frame.test, frame.test_std, strict=True)]
    wide = frame.assign(words=words).pivot(index="architecture", columns="label", values="words")
    wide = wide.loc[list(dict.fromkeys(frame.architecture)), list(dict.fromkeys(frame.label))]
    return wide.fillna("–").reset_index().rename_axis(columns=None)


def merged(records: Sequence[Record]) -> list[dict[str, Any]]:
    """The records for a table of settings: networks counted instead of listed, and epochs as the steps they came to."""
    count = len({architecture(record["evaluation"]["network"]) for record in records})
    out = []
    for record in records:
        how = record["evaluation"]
        training = {**how["learner"], "epochs": f"{record['steps_trained']:,} steps"}
        network = f"{count} architectures, listed above"
        out.append({**record, "evaluation": {**how, "learner": training, "network": network}})
    return out


def scatter(
    x: Sequence[float] | np.ndarray,
    y: Sequence[float] | np.ndarray,
    chosen: Sequence[bool] | np.ndarray,
    *,
    method: str,
    xlabel: str = "",
    ylabel: str = "",
    title: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """One point per candidate: a cheap score against the expensive one, those that the search would keep filled.

    Parameters
    ----------
    x, y : sequence of float
        The two scores.
    chosen : sequence of bool
        Which candidates stand out.
    method : str
        Decides the colour.

    Raises
    ------
    BadValue
        Sequences of different lengths.
    """
    across, up, kept = np.asarray(x, dtype=float), np.asarray(y, dtype=float), np.asarray(chosen, dtype=bool)
    if not across.shape == up.shape == kept.shape:
        raise BadValue(
            f"{len(across)} and {len(up)} scores, {len(kept)} choices", "one of each per candidate"
        )
    if ax is None:
        _, ax = subplots(figsize=(3.6, 3.4))
    points: dict[str, Any] = {"s": 26, "linewidths": 0.9, "zorder": 3}
    ax.scatter(across[~kept], up[~kept], facecolors="none", edgecolors=GREY, label="the others", **points)
    ax.scatter(
        across[kept], up[kept], color=colour(method), label=f"best {kept.sum()} on held-out images", **points
    )
    ax.grid(True, axis="both")
    ax.set_xlabel(xlabel)
    ax.set_ylabel(ylabel)
    if title:
        ax.set_title(title)
    return ax
