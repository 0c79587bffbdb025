"""What a notebook holds: one study under its parameters, run, and the ways to show it."""

from __future__ import annotations

import ast
import base64
import inspect
import os
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pandas as pd
import torch
from IPython.core.getipython import get_ipython
from IPython.display import HTML, Markdown, display
from matplotlib.pyplot import close

from ..compute import backend
from ..containers import Drawing, Images
from ..core.errors import BadValue, unknown
from ..core.places import path_of, project_root
from ..core.plugins import load as load_plugins
from ..core.registry import as_data
from ..core.startup import started
from ..core.streams import Streams
from ..data import ClassData, Dataset, data_folder, load
from ..distillation.learners import Ridge
from ..distillation.loop import BESIDE
from ..distillation.sets import DistilledSet, load_set
from ..recipes import methods as all_methods
from ..recipes import protocol
from .cells import COMMON, Cell, make_cell
from .lists import names_of, numbers_of
from .measurements import Measurement, Row
from .plans import plan
from .profiles import profiles
from .report import distances, expected, facts, figures, layouts, settings, style, tables, verdicts, words
from .report.agreement import FEWEST, agreement
from .report.reported import load_reported
from .report.statistics import Record, comparison, costs, paired_difference, untimed
from .store import Store
from .studies import Study, study
from .worker import provenance

Claim = tuple[str, bool | None, str]
FIGURE = "dreamlib"  # the metadata of an output that is a figure: its file, seen from the page, and its words


class Session:
    """The parameters of a notebook, checked, and the study they choose.

    A notebook computes in one order and tells in another: verdicts need all numbers, and are what a reader wants first.
    So :meth:`about` keeps two places below the claim, which :meth:`verdict` and the first table that is kept fill when
    their time comes.

    Every notebook has the same parameters, so that one command line fits all. Lists are comma-separated text (that is
    what papermill and make can pass); an empty one takes the choice of the item and the profile.

    Parameters
    ----------
    item, profile, datasets, ipcs, methods, seeds
        As of :func:`~dreamlib.companion.studies.study`.
    workers, device
        As of :func:`~dreamlib.companion.run.run_cells`.
    results, data, reports : str
        Folders; empty takes the default.
    plugins : str
        Python files with your own parts.
    """

    def __init__(
        self,
        item: str,
        *,
        profile: str = "quick",
        datasets: str = "",
        ipcs: str = "",
        methods: str = "",
        seeds: int = 0,
        workers: int = 0,
        device: str = "auto",
        results: str = "",
        data: str = "",
        plugins: str = "",
        reports: str = "reports",
    ) -> None:
        _check_injected()
        self.plugin_files = names_of(plugins)
        load_plugins(self.plugin_files)
        root = project_root()
        # Jupyter starts a kernel in the notebook's folder; all paths are the project's.
        self.data_root = str(root / path_of(data) if data else data_folder().absolute())
        self.study: Study = study(
            item,
            profile=profile,
            datasets=names_of(datasets),
            ipcs=numbers_of(ipcs),
            methods=names_of(methods),
            seeds=seeds,
            store=Store(root / path_of(results) if results else Store().root.absolute(), data=self.data_root),
        )
        self.profile = profiles[self.study.profile]
        self.workers, self.device = workers, device
        paper, _, self.name = self.study.item.partition("/")
        self.folder = root / path_of(reports) / self.profile.name / paper
        self.module_folder = root / "notebooks" / paper
        self.reported = load_reported()
        self._measured: dict[Path, dict[str, Any]] = {}  # what this page measures by itself, by its file
        self._places: dict[str, Any] = {}  # at the top of the page, by what will stand there

    @classmethod
    def of_notebook(cls, item: str, variables: Mapping[str, Any]) -> Session:
        """The session of a notebook, whose variables hold every parameter by its name; it sets up the kernel.

        From here on the kernel plots in the style of the pages, computes with as many threads as a worker of the
        profile, so that what the notebook measures itself has the same numbers, and can import the modules that lie
        next to the notebook.

        Raises
        ------
        BadValue
            A parameter is not among the variables.
        """
        names = [name for name in inspect.signature(cls).parameters if name != "item"]
        if lacking := [name for name in names if name not in variables]:
            raise BadValue(
                f"notebook {item} sets no {', '.join(lacking)}; expected every parameter",
                "run the code cell tagged parameters first",
            )
        session = cls(item, **{name: variables[name] for name in names})
        style.use()
        torch.set_num_threads(session.profile.threads)
        # Jupyter finds modules next to a notebook by itself; papermill starts a kernel in any folder.
        if str(session.module_folder) not in sys.path:
            sys.path.insert(0, str(session.module_folder))
        started()
        return session

    def run(self) -> None:
        """Compute what is missing and say what was done; a failed cell is shown and the page still made."""
        summary = self.study.run(
            workers=self.workers,
            device=self.device,
            progress=False,
        )
        for name, error in summary.failed.items():
            warnings.warn(f"{name} failed: {error}", stacklevel=2)
        if missing := len(self.study.missing()):
            count, measured = len(self.study.cells), len(self.study.records())
            told = f"{measured} of {words.plural(count, 'cell')} are measured."
            # Records travel with a repository, and sets do not.
            if without := measured + missing - count:
                told += (
                    f" The sets of {without} are not in this results folder, so their images are not shown."
                )
            self.say(told)

    def say(self, text: str) -> None:
        """Show Markdown; a sentence with "nan" or "-0.0" in it is an error."""
        display(Markdown(words.sound(text)))

    def about(self) -> None:
        """Keep the top of the page for verdicts and table, and fold away below them which profile the page shows."""
        for place, what in (("verdicts", "The verdicts"), ("table", "The table")):
            waiting = Markdown(f"*{what} will stand here once the cells below have run.*")
            self._places[place] = display(waiting, display_id=f"dreamlib-{place}")
        display(HTML(layouts.folded(f"Profile {self.profile.name}: what it reduces", self._profile())))

    def _profile(self) -> str:
        """Which profile this page shows, in words."""
        told = f"{self.profile.summary}. On this page: {', '.join(map(words.data_set, self.study.datasets))}"
        if not self.study.cells:
            return f"{told}."
        budget, made = ("INPC", "generator") if self._drawn else ("IPC", "synthetic set")
        most = "up to " if self.study.seeds > 1 and self.study.missing() else ""
        return (
            f"{told}; {budget} {', '.join(map(str, self.study.ipcs))}; {most}{words.plural(self.study.seeds, made)} of "
            "each method. All accuracies are last-epoch top-1 on the whole test set, which is read once per network, "
            "after training."
        )

    def _at_the_top(self, place: str, shown: Any, **about: Any) -> None:
        """Show something in its place at the top of the page; here, where the place is taken or was not kept."""
        kept = self._places.pop(place, None)
        if kept is None:
            display(shown, **about)
        else:
            kept.update(shown, **about)

    def show(self, frame: pd.DataFrame, digits: int = 2, caption: str = "", *, top: bool = False) -> None:
        """Show a table in the look of the page, from inside a loop; methods are called what tables call them.

        ``top=True`` makes it the one that stands below the verdicts.
        """
        shown = HTML(tables.styled(self._named(frame), caption, decimals=digits).text)
        if top:
            self._at_the_top("table", shown)
        else:
            display(shown)

    def fold(self, summary: str, frame: pd.DataFrame, digits: int = 2) -> None:
        """Show a long table folded away."""
        display(HTML(layouts.folded(summary, tables.styled(self._named(frame), decimals=digits))))

    def _named(self, frame: pd.DataFrame) -> pd.DataFrame:
        """A frame whose methods have their labels in place of their names."""
        columns = [name for name in ("method", "base") if name in frame.columns]
        labels = {
            value: self.label(value)
            for name in columns
            for value in frame[name].dropna().unique()
            if str(value).removesuffix(COMMON) in all_methods
        }
        return frame.assign(**{name: frame[name].replace(labels) for name in columns})

    def verdict(
        self,
        claims: Sequence[Claim],
        also: Sequence[Claim] = (),
        *,
        heading: str = "The paper's claim",
        made: str = "",
    ) -> None:
        """What holds and what does not, at the top of the page: each claim, whether it holds, and the evidence.

        Parameters
        ----------
        claims : sequence of (str, bool or None, str)
            What the paper claims, and nothing else.
        also : sequence of (str, bool or None, str)
            What the paper does not claim: a table of its own, shown here, decided by the same rule.
        heading : str
            Above the claims, where they are not a paper's.
        made : str
            What an independent set is called; empty is "generator" where all are, else "set".

        Raises
        ------
        BadValue
            A sentence says "nan", "inf", "-0.0" or "0.0 times".
        """
        rule = verdicts.rule(made or ("generator" if self._drawn else "set"))
        other = "Seen here (no claim of the paper)"
        absent = (
            "all that it claims",
            None,
            "the methods that its claims are about are not among these cells",
        )
        first, second = (claims, also) if claims or not also else (also, ())
        behind = [*self.records, *self.measurements]
        cost = facts.cost(behind)
        told = self._told(other if first is also else heading, first or [absent], rule, _spent(cost, behind))
        card = facts.told(
            claims=facts.lines(claims),
            also=facts.lines(also),
            datasets=list(self.study.datasets),
            cost=cost,
            command=self.study.command(),
        )
        self._at_the_top("verdicts", HTML(told), metadata=card)
        if second:
            display(HTML(self._told(f"Also {other[0].lower()}{other[1:]}", second, "")))

    def _told(self, heading: str, claims: Sequence[Claim], rule: str, spent: str = "") -> str:
        told = [(words.sound(claim), holds, words.sound(evidence)) for claim, holds, evidence in claims]
        return layouts.verdicts(heading, self.profile.name, told, rule, spent)

    @property
    def _drawn(self) -> bool:
        """Whether every cell of the study is judged by images that a generator draws."""
        return bool(self.study.cells) and all(cell.budget == "inpc" for cell in self.study.cells)

    # Measured

    def measured(
        self, about: str, measure: Callable[[], Sequence[Row]], dataset: str, **of: Any
    ) -> pd.DataFrame:
        """What the notebook measures by itself: read, if it has been measured before, else measured now and kept.

        It is measured whatever ``workers`` is: no worker has to be asked, and no page can do without.

        Parameters
        ----------
        about : str
            What is measured, in a word that a file's name can have.
        measure : callable
            Measures: rows that all have the same names, of numbers, text, None or lists of them. No row where it cannot
            be measured here, which is not kept.
        dataset : str
            Of which data set. Images of one's own that changed are measured again.
        of
            Everything else that decides the numbers: settings, networks, the key of a cell whose set is measured.

        Returns
        -------
        DataFrame
            The rows. Who measured them is in ``.attrs["device"]``. Empty, without columns, where there is no row.

        Raises
        ------
        BadValue
            A row holds what JSON cannot: a number that is not finite, or one of NumPy's.
        """
        wanted = Measurement(self.study.item, self.profile.name, about, dataset, as_data(of))
        store = self.study.store
        if (found := store.measurement(wanted)) is None:
            store.check_writable()  # before, not after an hour
            backend.tune_allocator()  # as where cells are computed
            watch = backend.Stopwatch(self.torch_device, "measure")
            with watch.phase("measure"):
                rows = [dict(row) for row in measure()]
            if not rows:
                return pd.DataFrame()
            found = store.write_measurement(
                wanted,
                {
                    "rows": rows,
                    "seconds": {**watch.seconds, "core": watch.core_seconds},
                    "data_fingerprint": self.dataset(dataset).fingerprint,
                    **provenance(self.torch_device),
                },
            )
        self._measured[store.measurement_path(wanted)] = found
        frame = pd.DataFrame(found["rows"])
        frame.attrs["device"] = found["device"]
        return frame

    @property
    def measurements(self) -> list[dict[str, Any]]:
        """What :meth:`measured` has given so far, as it is kept."""
        return list(self._measured.values())

    @property
    def records(self) -> list[dict[str, Any]]:
        """The records of the study that are there."""
        return self.study.records()

    def row(self, method: str, group: str = "") -> tables.Row:
        """The table row of a method."""
        entry = all_methods[method]
        own = "variants" if entry.base else "other methods"
        if entry.recipe.drawn:
            own = "generators"
        elif not entry.recipe.iterations:
            own = "coresets"
        # A regression with the kernel that made the set trains no network.
        apart = isinstance(protocol(entry.protocol, {})[0].learner, Ridge)
        return tables.Row(method, entry.label, entry.reported_as or None, group or own, apart=apart)

    def rows(self, method: str, group: str = "") -> list[tables.Row]:
        """The rows of a method: its own and, where it is judged under the common protocol too, a second one.

        The papers' numbers are in the row of its own evaluation.
        """
        entry, own = all_methods[method], self.row(method, group)
        # A method that the DC family's protocol judges has one row: its own evaluation is the common one.
        if not entry.common:
            return [own]
        label = f"{own.label}, common protocol"
        return [own, replace(own, method=f"{method}{COMMON}", label=label, reported_as=None, apart=False)]

    def listed(self, name: str, group: str = "") -> list[tables.Row]:
        """The rows of an entry of a paper's list: :meth:`rows`, or the one line that only has the paper's number.

        ``name`` is a method's, or what a paper calls one that is not implemented here. A method that was left out by
        ``METHODS`` has no row.
        """
        if name in self.study.methods:
            return self.rows(name, group)
        if name not in all_methods:
            return [tables.Row(None, words.PAPERS_OWN.get(name, name), name, group)]
        entry = all_methods[name]
        if (
            self.study.methods != plan(self.study.item).methods_of(self.study.profile)
            or not entry.reported_as
        ):
            return []
        return [tables.Row(None, entry.label, entry.reported_as, group, absent=f"on request, METHODS={name}")]

    def accuracy_table(
        self, rows: Sequence[tables.Row], records: Sequence[Record] | None = None, **choices: Any
    ) -> tables.AccuracyTable:
        """Measured and reported numbers for the study's data sets and budgets, from its records or those given.

        ``choices`` are those of :func:`.tables.accuracy_table`: whose numbers to show, and the caption.
        """
        about = {
            "command": self.study.command(),
            "reading": self.profile.reading,
            "links": self.links,
            **choices,
        }
        found = self.records if records is None else records
        return tables.accuracy_table(
            found, rows, self.study.datasets, self.study.ipcs, self.reported, **about
        )

    def agreement(self, table: tables.AccuracyTable) -> None:
        """Whether a table orders its methods as the paper does, column by column; see :mod:`.report.agreement`."""
        found = agreement(table)
        if found.empty:
            self.say(f"No column here has measured and reported numbers of {FEWEST} methods.")
        else:
            names = {"place": "column", "tau": "Kendall's tau", "sets": "sets, at least"}
            shown = HTML(layouts.styled(found.rename(columns=names)).text)
            display(shown, metadata=facts.told(agreement=facts.plain(found)))

    def distances(self, table: tables.AccuracyTable) -> None:
        """Which numbers of a table lie far from the paper's, and what was found about each; :mod:`.report.distances`.

        Under a profile that scales down, a distance is owed to that before anything else, and nothing is looked for.
        """
        if not self.profile.published:
            self.say(f"{self.profile.reading} So no distance is looked into here.")
            return
        found, count = distances.distant(table, distances.load_causes()), distances.judged(table)
        near = count - len(found)
        self.say(
            f"{near} of the {words.plural(count, 'measured number')} with a printed standard deviation "
            f"{'lies' if near == 1 else 'lie'} within {distances.SPREADS} of it."
            + (" The others, the farthest first:" if len(found) else "")
            if count
            else "No number is measured here that the paper prints with a standard deviation."
        )
        if len(found):
            self.show(found, digits=1)

    @property
    def links(self) -> dict[str, str]:
        """The address of every cell's record, seen from the page, by the cell's key."""
        return self._links({cell.key: self.study.store.record_path(cell) for cell in self.study.cells})

    def _links(self, files: Mapping[str, Path]) -> dict[str, str]:
        """The addresses of files, seen from the page."""
        seen_from = self.folder.resolve()
        found = {}
        for key, file in files.items():
            try:
                path = os.path.relpath(file.resolve(), seen_from)
            except ValueError:  # another drive, on Windows
                continue
            found[key] = quote(path.replace(os.sep, "/"))
        return found

    def settings(self, records: Sequence[Record] | None = None) -> Any:
        """The settings that belong to the numbers, and every record: protocol, epochs, normalisation, seeds, device.

        Of all records of the study, or of those given.
        """
        files = {found["key"]: path for path, found in self._measured.items()}
        own = settings.measured(self.measurements, self._links(files))
        return settings.shown(self.records if records is None else records, links=self.links, more=own)

    def costs(self) -> None:
        """Show what a set of each method costs (:func:`.statistics.costs`), and name the records that do not say it."""
        display(HTML(settings.costs(self._named(costs(self.records))).text))
        places: dict[str, list[str]] = {}
        for record in untimed(self.records):
            where = f"{words.data_set(record['dataset'])} {record['ipc']}"
            if where not in (found := places.setdefault(str(record["label"]), [])):
                found.append(where)
        if places:
            left = "; ".join(f"{label} ({', '.join(found)})" for label, found in places.items())
            self.say(f"Left out, since no processor time is recorded for them: {left}.")

    def pairs(self, claimed: Mapping[tuple[str, str, int], float] | None = None) -> pd.DataFrame:
        """Difference of every method to its base by data set and IPC, as :func:`paired_difference` makes it.

        ``claimed`` holds the paper's own difference by method, data set and IPC. A control is no variant, see
        :meth:`controls`.
        """
        frames = [
            paired_difference(
                self.records,
                name,
                base,
                self.study.datasets,
                self.study.ipcs,
                {(data, ipc): gap for (method, data, ipc), gap in (claimed or {}).items() if method == name},
            )
            for name in self.study.methods
            if (base := all_methods[name].base) in self.study.methods and name != all_methods[base].control
        ]
        return pd.concat(frames or [paired_difference([], "", "", [], [])], ignore_index=True)

    def compare(
        self,
        method: str,
        base: str,
        dataset: str,
        ipc: int,
        claimed: float | None = None,
        *,
        source: str = "",
    ) -> verdicts.Evidence:
        """Whether a method is better than another at one place, decided over the study's sets."""
        made = "generator" if self._drawn else "set"
        return comparison(self.records, method, base, dataset, ipc, claimed, source=source, made=made)

    def controls(self) -> list[Claim]:
        """Whether what a method learns is better than its control, real images that are judged in the same way.

        A variant that is judged in another way than its control has none.
        """

        def judged(name: str) -> tuple[str, str]:
            return all_methods[name].protocol, all_methods[name].recipe.whitening

        claims = []
        for name in self.study.methods:
            control = all_methods[name].control
            if control in self.study.methods and control != name and judged(control) == judged(name):
                found = {
                    self.place(data, ipc): self.compare(name, control, data, ipc)
                    for data in self.study.datasets
                    for ipc in self.study.ipcs
                }
                claim = f"{self.label(name)} is better than its control: {self.label(control)}"
                claims.append((claim, *verdicts.all_of(found)))
        return claims

    def over_sets(self, measure: Callable[..., float | None], *about: Any) -> verdicts.Evidence:
        """Decide a number that is measured on every set of a study, such as a property of its images.

        ``measure(*about, seed)`` gives the number of one set, or None where that set is not here.
        """
        found = [measure(*about, seed) for seed in range(self.study.seeds)]
        return verdicts.decide(value for value in found if value is not None)

    def place(self, dataset: str, ipc: int) -> str:
        """A data set and a budget in words: "CIFAR-10, IPC 10"."""
        return f"{words.data_set(dataset)}, {'INPC' if self._drawn else 'IPC'} {ipc}"

    def curves(self) -> pd.DataFrame:
        """Accuracy by matching step: one line per method, data set, IPC and step, over all sets and networks."""
        places: dict[tuple[str, int], list[dict[str, Any]]] = {}
        for record in self.records:
            places.setdefault((record["dataset"], record["ipc"]), []).append(record)
        frames = [
            figures.curve_frame(found).assign(dataset=dataset, ipc=ipc)
            for (dataset, ipc), found in places.items()
        ]
        return pd.concat(frames or [figures.curve_frame([]).assign(dataset="", ipc=0)], ignore_index=True)

    def reported_number(
        self, item: str, dataset: str, method: str, metric: str, *, paper: str = "dream", network: str = ""
    ) -> float | None:
        """A number of a paper that is no accuracy, or None; ``network`` where an item prints it for several."""
        frame = self.reported
        found = frame[
            (frame.paper == paper)
            & (frame.item == item)
            & (frame.dataset == dataset)
            & (frame.method == method)
            & (frame.metric == metric)
            & ((frame.network == network) | (not network))
        ]
        return None if found.empty else float(found.value.iloc[0])

    def check_complete(self, failures: int = 0) -> str:
        """Fail when a cell is missing or an accuracy leaves its range: what can be checked without numbers."""
        missing = self.study.missing()
        if len(missing) > failures and self.workers != -1:  # nothing was to be computed
            raise AssertionError(f"{len(missing)} cells are missing; fill them with: {self.study.command()}")
        records = self.records
        for record in records:
            if not all(0 <= accuracy <= 100 for accuracy in record["accuracies"]):
                raise AssertionError(f"{record['method']}: {record['accuracies']} are no percentages")
        return f"{len(records)} of {len(self.study.cells)} cells measured"

    def check(
        self,
        means: Mapping[str, tuple[float, float]] | None = None,
        others: Mapping[str, tuple[float | None, float, float]] | None = None,
        *,
        reported: Sequence[str] = (),
        failures: int = 0,
    ) -> str:
        """What a notebook's last code cell prints, and nbval compares: numbers of ``quick``, in bands of expectation.

        Under another profile, or with other parameters than a notebook's own, nothing is expected: the text says so.

        Parameters
        ----------
        means : dict of str to (float, float)
            Expected mean accuracy in percent, and how far it may be missed, by name; see :func:`.expected.names`.
        others : dict of str to (float or None, float, float)
            Any other number: measured (None where it is not), expected, and how far they may lie apart.
        reported : sequence of str
            Items whose reported numbers the page stands on: ``"dream/table1"``, as in ``reported.csv``.
        failures : int
            Cells that may fail for a reason of their own, such as a network of a search that learns nothing.

        Raises
        ------
        AssertionError
            A cell is missing, or an accuracy is no percentage.
        UnknownName, BadValue
            An expectation names no number, or several.
        """
        lines = [self.check_complete(failures)] if self.study.cells else []
        partial = self.workers == -1 and bool(self.study.missing())  # what is not there has no mean
        if self._as_committed and not partial:
            found = expected.means(self.records, means or {})
            lines += [expected.within(name, found[name], *about) for name, about in (means or {}).items()]
            lines += [expected.within(name, *about) for name, about in (others or {}).items()]
        else:
            lines.append("expectations are of profile quick with its own parameters: nothing to compare here")
        lines += [expected.reported_line(self.reported, item) for item in reported]
        return "\n".join(lines) or "nothing is expected here"

    @property
    def _as_committed(self) -> bool:
        """Whether the study is the one that a notebook runs without any parameter."""
        own = study(self.study.item, store=self.study.store)
        return self.study == own and not self.plugin_files

    # Shown and kept

    def save(self, table: tables.AccuracyTable) -> None:
        """Keep a table as CSV, Markdown and LaTeX next to the page, and show it at its top."""
        table.save(self.folder, self.name)
        self._at_the_top("table", HTML(table.html()))

    def save_frame(self, frame: pd.DataFrame, digits: int, *, top: bool = True) -> None:
        """Keep any other table likewise, with ``digits`` decimals; what is not there is a dash.

        ``top=False`` shows nothing: where another table says the same more shortly, or stands at the top.
        """
        layouts.save_frame(frame, self.folder, self.name, digits)
        if top:
            self._at_the_top("table", HTML(layouts.styled(self._named(frame), decimals=digits).text))

    def save_figure(self, figure: Any, name: str, alt: str = "") -> None:
        """Keep a figure under ``figures/``, drawings as SVG and images as PNG, and show it.

        ``alt`` says in words what it shows; without it :func:`.figures.described` does. In a kernel the figure is shown
        itself; the notebook that is kept next to its page refers to the file instead (:func:`.notebook.tidy`).
        """
        stem = f"{self.name}-{name}".replace(":", "_").replace("/", "_").replace(" ", "-")
        told = alt or figures.described(figure)
        path = figures.save(figure, self.folder / "figures", stem)
        raw = path.read_bytes()
        kind, data = ("image/svg+xml", raw.decode()) if path.suffix == ".svg" else ("image/png", _base64(raw))
        about = {FIGURE: {"figure": f"figures/{quote(path.name)}", "alt": told}}
        display({kind: data, "text/plain": told}, metadata=about, raw=True)
        close(figure)

    # Data and sets

    def dataset(self, name: str) -> Dataset:
        """The data set ``name``, from the session's data folder."""
        return load(name, self.data_root)

    @property
    def torch_device(self) -> torch.device:
        """Where the notebook's own measurements run."""
        return backend.resolve_device(self.device)

    def stream(self, purpose: str) -> torch.Generator:
        """A seeded random stream for the notebook's own draws, the same in every run."""
        return Streams(0, self.torch_device)[purpose]

    def classes(self, name: str, per_class: int | None = None) -> ClassData:
        """Its training images by class."""
        return ClassData(self.dataset(name), self.torch_device, per_class=per_class)

    def distilled(self, method: str, dataset: str, ipc: int, seed: int = 0) -> DistilledSet | None:
        """The distilled set of a cell, or None when its file is not there."""
        return self.set_of(self.cell(method, dataset, ipc, seed))

    def set_of(self, cell: Cell) -> DistilledSet | None:
        """The distilled set of any cell of the study, or None when its file is not there."""
        # Through the store first, which passes over a damaged file with a warning.
        store = self.study.store
        return None if store.read_set(cell) is None else load_set(store.set_path(cell))

    def course(self, cell: Cell) -> dict[int, torch.Tensor]:
        """A set along its distillation: normalised training images (C, M, c, h, w) by matching step.

        On the session's device. Empty when the states along the way are not here: they are not part of a repository.
        """
        found = self.study.store.read_course(cell) or {}
        dataset = self.dataset(cell.dataset)
        normalisation = cell.recipe.normalisation(dataset)
        about = dataset.shape, dataset.num_classes, normalisation, self.torch_device
        images = {}
        for step, stored in sorted(found.items()):
            made = cell.recipe.container.training_set(stored, *about)
            assert isinstance(made, Images)
            images[step] = made.images.unflatten(0, (dataset.num_classes, -1))
        return images

    def generated(self, cell: Cell, per_class: int = 10) -> dict[int, torch.Tensor]:
        """Images of a generator along its training: unit images (C, per_class, c, h, w) on the CPU, by epoch.

        All are drawn from the same noise, so the images at one place can be followed from epoch to epoch, and from one
        generator to another of the same noise. A generator that goes on from another one shows that one's states
        before its own. Empty when the states along the way are not here: they are not part of a repository.
        """
        dataset = self.dataset(cell.dataset)
        labels = (
            torch.arange(dataset.num_classes, device=self.torch_device).unsqueeze(1).expand(-1, per_class)
        )
        first = next(iter(cell.needs), None)
        states = dict(self.study.store.read_course(cell) or {})
        if first is not None:
            before = self.study.store.read_course(first) or {}
            # Up to where this one went on: what the other did later is another generator.
            states |= {epoch: state for epoch, state in before.items() if epoch < first.step}
        found = {}
        for epoch in sorted(states):
            kept = {name: value for name, value in states[epoch].items() if not name.startswith(BESIDE)}
            about = dataset.shape, dataset.num_classes, dataset.normalisation, self.torch_device
            draws = cell.recipe.container.training_set(kept, *about)
            assert isinstance(draws, Drawing)
            found[epoch] = draws.unit(labels, Streams(0, self.torch_device)["preview"]).cpu()
        return found

    def cell(self, method: str, dataset: str, ipc: int, seed: int = 0) -> Cell:
        """The final cell of a method under the session's profile."""
        return make_cell(self.profile.name, method, dataset, ipc, seed)

    def label(self, method: str) -> str:
        """A method's name for people."""
        own = all_methods[method.removesuffix(COMMON)].label
        return f"{own}, common protocol" if method.endswith(COMMON) else own


def _spent(cost: Mapping[str, float], records: Sequence[Record]) -> str:
    """What the records behind a page took in all, as its card says it, and on which machines; empty without records."""
    hours = facts.hours(cost)
    machines = dict.fromkeys(str(words.device(record["device"])) for record in records)
    return f"{hours}, on {' and '.join(machines)}" if hours else ""


def _check_injected() -> None:
    """Refuse a parameter that the notebook has not, where plain papermill has set one: it only warns, and runs on."""
    shell, valid = get_ipython(), []
    for source in shell.user_ns.get("In", []) if shell is not None else ():
        if not source.startswith("# Parameters\n"):  # papermill begins its own code cell so
            valid += _assigned(source)
        elif wrong := [name for name in _assigned(source) if name not in valid]:
            raise unknown("notebook parameter", wrong[0], valid)


def _assigned(source: str) -> list[str]:
    """The names that a cell assigns at its top level; read, not run."""
    try:
        body = ast.parse(source).body
    except SyntaxError:  # IPython's own, such as %timeit
        return []
    targets = (
        node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None) for node in body
    )
    return [target.id for target in targets if isinstance(target, ast.Name)]


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode("ascii")


def pixels(images: torch.Tensor) -> Any:
    """(..., c, h, w) tensors as (..., h, w, c) numpy arrays, for plotting."""
    return images.detach().cpu().movedim(-3, -1).numpy()
