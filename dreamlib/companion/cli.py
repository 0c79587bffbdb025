"""The command line: run, status, show, export, and the notebooks behind ``make``."""

from __future__ import annotations

import argparse
import io
import json
import logging
import os
import re
import sys
import time
import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from threading import Thread
from typing import Any

from ..core import plugins
from ..core.errors import BadValue, DreamlibError, StoreError
from ..core.places import path_of, project_root
from .interrupts import Interrupts
from .lists import names_of, numbers_of, whole

MAKE = "make {target} PROFILE={profile}"  # what fills a page that is not there
FILES = ("data", "plugins", "reports", "results", "set", "to")  # what names a file or a folder
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def duration(text: str) -> float:
    """Seconds of "90", "90s", "9m", "1h30m".

    Raises
    ------
    BadValue
        For anything else.
    """
    text = text.strip().lower()
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return float(text)
    if not re.fullmatch(r"(\d+(\.\d+)?[smhd])+", text):
        raise BadValue(f"duration {text!r}; expected a number with s, m, h or d", "--for 9m")
    return sum(float(number) * UNITS[unit] for number, unit in re.findall(r"(\d+(?:\.\d+)?)([smhd])", text))


def parser() -> argparse.ArgumentParser:
    """The whole grammar."""
    top = argparse.ArgumentParser(prog="dreamlib", description="Dataset distillation that can be reproduced.")
    top.add_argument("--version", action=_Version, help="print the version and stop")
    top.add_argument("-v", "--verbose", action="store_true", help="say what is done, on standard error")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    choice = _choice("quick", "default: quick")

    effort = argparse.ArgumentParser(add_help=False)
    effort.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps (default: auto)")
    effort.add_argument(
        "--workers",
        type=whole,
        default=0,
        help="processes; default: one per CPU core, one on a GPU; -1: compute nothing",
    )

    run = commands.add_parser("run", parents=[choice, effort], help="compute what an item still lacks")
    run.add_argument("item", help="for example dream/table1; 'all' for every item")
    run.add_argument(
        "--memory-gb", type=float, default=None, help="bound for the tensors of matching (default: none)"
    )
    run.add_argument(
        "--deterministic",
        action="store_true",
        help="the same bits every time on a GPU too; may be slower there",
    )
    run.add_argument(
        "--for",
        dest="seconds",
        default=None,
        help="stop cleanly inside this time, the start included: 90s, 9m, 2h",
    )
    run.add_argument(
        "--no-forecast",
        action="store_true",
        help="do not begin with a few steps of each kind of cell, to say how long they will take",
    )
    run.add_argument("--quiet", action="store_true", help="no progress")

    status = commands.add_parser(
        "status", parents=[choice], help="what is done, missing, failed, and the time left"
    )
    status.add_argument("item", nargs="?", default="all")

    show = commands.add_parser("show", parents=[choice], help="print the results of an item")
    show.add_argument("item", nargs="?", default="dream/table1")

    named = _choice("", "default: quick; of a name, the first of paper, cpu, quick that has it", one=True)
    export = commands.add_parser("export", parents=[named], help="write a distilled set for use elsewhere")
    export.add_argument(
        "set",
        nargs="?",
        default="",
        help="a name (digits/dream/ipc10) or a .safetensors set; default: chosen by --methods, --datasets, --ipc",
    )
    export.add_argument(
        "--to", required=True, help="file (safetensors, parquet) or folder (images, ddranking)"
    )
    export.add_argument(
        "--format", default="", help="safetensors, images, parquet or ddranking (default: what --to ends in)"
    )
    export.add_argument(
        "--overwrite", action="store_true", help="replace a file that is not an earlier export"
    )

    card = commands.add_parser(
        "card", help="print what a distilled set is, how it was made and what it is worth"
    )
    card.add_argument(
        "set", nargs="?", default="", help="a name (digits/dream/ipc10) or a file; none lists the names"
    )
    card.add_argument(
        "--profile", default="", help="of a name (default: paper, cpu, quick, the first that has it)"
    )
    card.add_argument("--results", default=None, help="results folder (default: reports/results)")
    card.add_argument("--data", default=None, help="data folder (default: DREAMLIB_DATA, else data)")
    card.add_argument("--plugins", default="", help="Python files with your own parts, comma-separated")

    notebook = commands.add_parser(
        "notebook", parents=[choice, effort], help="execute a notebook and render it (make)"
    )
    notebook.add_argument("item", help="for example dream/table1")
    notebook.add_argument("--reports", default="reports", help="where rendered notebooks go")
    notebook.add_argument(
        "--inline", action="store_true", help="put the figures into the page: one file, to send to someone"
    )
    notebook.add_argument(
        "-p", dest="extra", action="append", default=[], metavar="NAME=VALUE", help="any other parameter"
    )

    paper = commands.add_parser("paper", help="bind the pages of a paper into a PDF (make paper)")
    paper.add_argument("paper", help="dream, dm or dim")
    paper.add_argument("--profile", default="quick", help="quick, cpu or paper (default: quick)")
    paper.add_argument("--reports", default="reports", help="where rendered notebooks are")

    index = commands.add_parser("index", help="rewrite reports/index.html")
    index.add_argument("--reports", default="reports")

    claims = commands.add_parser(
        "claims", help="rewrite reports/claims.md: every claim of the papers, and what would decide it"
    )
    claims.add_argument("--reports", default="reports")
    claims.add_argument("--data", default=None, help="data folder (default: DREAMLIB_DATA, else data)")

    picture = commands.add_parser(
        "picture", help="bring the README's picture and table in line with the records"
    )
    picture.add_argument("--results", default="", help="results folder (default: reports/results)")

    commands.add_parser("list", help="items, methods, data sets and profiles")

    completion = commands.add_parser(
        "completion", help="print what makes a shell complete commands and options"
    )
    completion.add_argument("shell", choices=("bash", "zsh", "tcsh"))
    for command in commands.choices.values():  # the same before and behind the command
        command.add_argument(
            "-v", "--verbose", action="store_true", default=argparse.SUPPRESS, help="say more"
        )
    return top


def _choice(profile: str, said: str, one: bool = False) -> argparse.ArgumentParser:
    """The options that choose cells, or ``one``; ``profile`` is the default, and ``said`` says so."""
    choice = argparse.ArgumentParser(add_help=False)
    choice.add_argument("--profile", default=profile, help=f"quick, cpu or paper ({said})")
    choice.add_argument("--datasets", default="", help="comma-separated; default: the profile's")
    choice.add_argument("--ipc", default="", help="images per class, comma-separated; default: the profile's")
    choice.add_argument("--methods", default="", help="comma-separated; default: the item's")
    if one:
        choice.add_argument(
            "--seed", type=whole, default=None, help="which set (default: 0), or which images of a generator"
        )
    else:
        choice.add_argument(
            "--seeds", type=whole, default=0, help="synthetic sets of each method; default: the profile's"
        )
    choice.add_argument("--results", default=None, help="results folder (default: reports/results)")
    choice.add_argument("--data", default=None, help="data folder (default: DREAMLIB_DATA, else data)")
    choice.add_argument("--plugins", default="", help="Python files with your own parts, comma-separated")
    return choice


class _Version(argparse.Action):
    """Looked up when it is asked for: that takes longer than all the rest of the grammar."""

    def __init__(self, option_strings: Sequence[str], dest: str, help: str | None = None) -> None:
        super().__init__(option_strings, dest, nargs=0, default=argparse.SUPPRESS, help=help)

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from ..core.version import version

        print(f"dreamlib {version()}")
        parser.exit()


def _studies(args: argparse.Namespace) -> list[Any]:
    """What is asked for; plug-ins first, which may have what it names."""
    from .plans import PLANS
    from .store import Store
    from .studies import study

    plugins.load(names_of(args.plugins))
    chosen = {
        "profile": args.profile,
        "datasets": names_of(args.datasets),
        "ipcs": numbers_of(args.ipc),
        "methods": names_of(args.methods),
        "seeds": args.seeds,
        "store": Store(args.results, data=args.data),
    }
    # Items without methods have no cells: their notebooks measure what they show.
    every = [name for name, plan in PLANS.items() if plan.methods]
    return [study(item, **chosen) for item in (every if args.item.lower() == "all" else [args.item])]


def _run(args: argparse.Namespace) -> int:
    from ..compute import backend
    from .forecast import BUDGET, expected_seconds, span
    from .profiles import profiles
    from .run import check_choices, run_cells

    seconds = None if args.seconds is None else duration(args.seconds)
    check_choices(args.workers, seconds, args.memory_gb)
    backend.resolve_device(args.device)
    studies = _studies(args)
    # By name, not by key: a method under a second name is the same computation, but a row and a record of its own.
    # Those whose set is wanted too come last, since the last of a name is the one that stays.
    listed = sorted((cell for entry in studies for cell in entry.cells), key=lambda cell: cell.with_set)
    cells = list({cell.name: cell for cell in listed}.values())
    store = studies[0].store
    if not cells:
        print(f"{args.item} has no cells; its notebook measures what it shows: {studies[0].command()}")
        return 0
    left = expected_seconds(cells, store)
    missing = sum(not store.finished(cell) for cell in cells)
    about = "" if not left else f", about {span(left)} of computing"
    print(
        f"{args.item}, profile {studies[0].profile}: {len(cells)} cells, {missing} to compute{about}",
        flush=True,
    )
    # To begin everything compiles everything. In a short time nothing else would be done.
    short = seconds is not None and seconds < 20 * BUDGET
    if seconds:  # what we have done so far, importing PyTorch included, is part of the time given
        seconds = max(seconds - (time.monotonic() - args.begun), 0.001)
    summary = run_cells(
        cells,
        store,
        threads=profiles[studies[0].profile].threads,
        workers=args.workers,
        device=args.device,
        seconds=seconds,
        progress=not args.quiet,
        memory_gb=args.memory_gb,
        deterministic=args.deterministic,
        forecast=not (args.quiet or args.no_forecast or short),
    )
    print(
        f"computed {summary.computed}, found {summary.found}, still missing {summary.missing}, "
        f"failed {len(summary.failed)}"
    )
    for name, error in summary.failed.items():
        print(f"failed: {name}\n  {error}", file=sys.stderr)
    if summary.missing and seconds and not summary.steps:
        print(
            f"no step was made: there was no time for one in {args.seconds}, the start and compiling included"
        )
        print("  try: a longer --for")
    elif summary.missing and args.workers != -1:
        print("run the same command again to go on")
    return 1 if summary.failed else 0


def _status(args: argparse.Namespace) -> int:
    from .forecast import expected_seconds, span

    for entry in _studies(args):
        store, missing, failed, begun = entry.store, entry.missing(), entry.failures(), []
        for cell in missing:
            for one, phase in (*((one, "distill") for one in cell.sets), (cell, "evaluate")):
                found = store.progress(one, phase)
                if found is not None:
                    name = one.set_name if phase == "distill" else one.name
                    begun.append(f"{name}: {phase} at step {found['step']} of {found['steps']}")
        left = expected_seconds(entry.cells, store)
        wanted = "unknown until a first cell has been timed" if left is None else span(left)
        print(
            f"{entry.item}, profile {entry.profile}: {len(entry.cells) - len(missing)} of {len(entry.cells)} cells "
            f"done, {len(missing) - len(failed)} missing, {len(failed)} failed; computing time left: {wanted}"
        )
        for line in sorted(set(begun)):
            print(f"  begun   {line}")
        for name, why in failed.items():
            print(f"  failed  {name}\n          {why}")
        if missing:
            print(f"  fill it with: {entry.command()}")
    return 0


def _show(args: argparse.Namespace) -> int:
    import statistics

    from ..data.splits import alike

    for entry in _studies(args):
        about = "last-epoch top-1 accuracy, mean ± standard deviation (networks)"
        print(f"{entry.item}, profile {entry.profile}: {about}")
        # Class orders count as sets, so they are taken together like seeds.
        grouped: dict[tuple[str, str, int, int, str], list[float]] = {}
        records = entry.records()
        for record, apart in zip(records, _apart(records), strict=True):
            at = (alike(record["dataset"]), record["label"], record["ipc"], record["iteration"], apart)
            grouped.setdefault(at, []).extend(record["accuracies"])
        wide = max((len(label) for _, label, *_ in grouped), default=0)
        if not entry.cells:
            print(f"  it has no cells; its notebook measures what it shows: {entry.command()}")
        for (dataset, label, ipc, step, apart), values in grouped.items():
            spread = statistics.stdev(values) if len(values) > 1 else float("nan")
            mean = statistics.mean(values)
            row = f"{dataset:14} IPC {ipc:<3} {label:{wide}} step {step:<6}"
            print(f"  {row} {mean:5.1f} ± {spread:.1f}  ({len(values)})  {apart}".rstrip())
        if entry.missing():
            print(f"  {len(entry.missing())} cells missing; fill them with: {entry.command()}")
        folder = entry.store.root / entry.profile / "sets"
        if folder.is_dir():
            print(f"  distilled sets: {folder}")
    return 0


def _apart(records: Sequence[Mapping[str, Any]]) -> list[str]:
    """What tells records of one method apart: the network that judges, each of its settings, the engine's mode."""
    from .report.words import network, plainly

    judges = [record["evaluation"]["network"] for record in records]
    modes = [record["recipe"]["mode"] for record in records]
    names = [network(judge) for judge in judges]
    # What a name says already is not said again.
    fields = [
        field for judge in judges[:1] for field in judge if field not in ("part", "name", "norm", "depth")
    ]
    varied = [field for field in fields if len({str(judge.get(field)) for judge in judges}) > 1]
    return [
        ", ".join(
            ([name] if len(set(names)) > 1 else [])
            + [plainly(f"{field} {judge.get(field)}") for field in varied]
            + ([mode] if len(set(modes)) > 1 else [])
        )
        for name, judge, mode in zip(names, judges, modes, strict=True)
    ]


def _export(args: argparse.Namespace) -> int:
    from ..distillation.exports import form_of
    from .cells import make_cell
    from .library import Name, export, load_set
    from .store import Store

    plugins.load(names_of(args.plugins))
    form = form_of(args.to, args.format)  # refused before images are drawn
    path, seed = path_of(args.set), args.seed or 0
    if not args.set:
        rows, datasets, ipcs = names_of(args.methods), names_of(args.datasets), numbers_of(args.ipc)
        for flag, count in (("--methods", len(rows)), ("--datasets", len(datasets)), ("--ipc", len(ipcs))):
            if count != 1:
                raise BadValue(
                    f"{flag} names {count} values; expected exactly one to export",
                    "dreamlib export --methods dm --datasets digits --ipc 10 --to set.safetensors",
                )
        cell = make_cell(args.profile or "quick", rows[0], datasets[0], ipcs[0], seed)
        store = Store(args.results, data=args.data)
        path = store.set_path(cell)
        distilled = _drawn(path, ipcs[0], seed) if cell.recipe.drawn else load_set(path)
        if not store.fits(cell, distilled.about, path):
            raise StoreError(
                f"{path} is no distilled set of {cell.dataset} as it is now", "dreamlib run again"
            )
    else:
        expected = args.datasets or ""
        where = {"profile": args.profile, "results": args.results, "data": args.data}
        chosen = {"--methods": args.methods, "--ipc": args.ipc, "--seed": args.seed is not None}
        try:
            distilled = load_set(args.set, expected, **where)
            if unused := [flag for flag, given in chosen.items() if given]:
                name = Name.of(args.set)
                raise BadValue(
                    f"{', '.join(unused)} would choose a set, and {args.set!r} is one",
                    f"its name alone, such as {replace(name, seed=args.seed or 1)}"
                    if name
                    else "the file alone",
                )
        except StoreError as error:
            drawn = numbers_of(args.ipc)
            # A generator holds no number of images: that has to be asked for.
            if "holds a generator" in error.message and len(drawn) != 1:
                raise StoreError(error.message, "--ipc 10, the images of each class to draw") from error
            if len(drawn) != 1:
                raise
            distilled = _drawn(path, drawn[0], seed, expected)
    written = export(distilled, args.to, form, overwrite=args.overwrite, results=args.results)
    print(f"{len(distilled.labels)} images of {len(distilled.classes)} classes -> {written}")
    if form in ("images", "parquet") and distilled.clipped:
        share = f"{distilled.clipped:.1%} of the pixels lay outside [0, 1] and were clamped"
        print(f"note: {share}; safetensors keeps them")
    return 0


def _card(args: argparse.Namespace) -> int:
    from ..core.errors import known
    from . import library
    from .profiles import profiles
    from .store import Store

    plugins.load(names_of(args.plugins))
    store = Store(args.results, data=args.data)
    if args.set:
        where = {"profile": args.profile, "results": args.results, "data": args.data}
        print(library.card(library.load_set(args.set, **where), store), end="")
        return 0
    asked = args.profile and known("profile", args.profile, profiles)
    there = [(profile, name) for profile, name in library.available(store) if asked in ("", profile)]
    for profile, name in there:
        print(f"{profile:8} {name}")
    if not there:
        of = f" of profile {asked}" if asked else ""
        print(
            f"no sets in {store.root}{of}; make some with: make figure3{f' PROFILE={asked}' if asked else ''}"
        )
    return 0


def _drawn(path: Path, per_class: int, seed: int, dataset: str = "") -> Any:
    """Images drawn once from the generator in a file."""
    from ..distillation.sets import load_generator

    return load_generator(path, dataset).draw(per_class, seed=seed)


def _notebook(args: argparse.Namespace) -> int:
    from ..compute import backend
    from .profiles import profiles
    from .report import html
    from .report.notebook import check_parameters, run_notebook
    from .run import check_choices

    # Checked here, before a kernel is started, and by the very code that will read them.
    if args.item.lower() == "all":
        raise BadValue("a notebook shows one item, and all of them were named", "make all")
    (chosen,) = _studies(args)
    check_choices(args.workers)
    backend.resolve_device(args.device)
    paper, _, name = chosen.item.partition("/")
    root, reports = project_root(), path_of(args.reports)
    parameters: dict[str, Any] = {
        "profile": chosen.profile,
        "datasets": args.datasets,
        "ipcs": args.ipc,
        "methods": args.methods,
        "seeds": args.seeds,
        "workers": args.workers,
        "device": args.device,
        "plugins": args.plugins,
        "results": _inside(args.results, root),
        "data": _inside(args.data, root),
        "reports": _inside(args.reports, root),
    }
    for pair in args.extra:
        key, separator, value = pair.partition("=")
        if not separator:
            raise BadValue(f"parameter {pair!r}; expected NAME=VALUE", "-p seeds=3")
        try:
            # As JSON where it is some (numbers, true), else as text: papermill passes either.
            parameters[key] = json.loads(value)
        except ValueError:
            parameters[key] = value
    check_parameters(root / "notebooks" / paper / f"{name}.py", parameters)
    if chosen.missing() and args.workers != -1:
        # The notebook would compute its cells by itself; computed here, their progress can be seen and interrupted.
        print(
            f"{chosen.item}, profile {chosen.profile}: computing {len(chosen.missing())} of {len(chosen.cells)} cells"
        )
        chosen.run(workers=args.workers, device=args.device, forecast=True)
    output = reports / chosen.profile / paper / f"{name}.ipynb"
    # While the notebook runs in a process of its own, this one imports what comes after it.
    ahead = Thread(target=_imported, args=("dreamlib.companion.report.index",), daemon=True)
    ahead.start()
    run_notebook(root / "notebooks" / paper / f"{name}.py", output, parameters)
    ahead.join()
    page = html.render(output, profiles[chosen.profile].reading, inline=args.inline)
    index = _rewrite_index(reports)
    print(f"\n{args.item} is done:\n  page      {page}\n  notebook  {output}\n  all pages {index}")
    for file in sorted(output.parent.glob(f"{name}.*")):
        if file.suffix in (".csv", ".md", ".tex"):
            print(f"  table     {file}")
    return 0


def _imported(name: str) -> None:
    with suppress(Exception):  # said where it is asked for again
        import_module(name)


def _inside(folder: str | None, root: Path) -> str:
    """A folder relative to the project where it lies inside: a page names no folder of the machine that made it."""
    if not folder:
        return ""
    absolute = path_of(folder).resolve()
    return absolute.relative_to(root).as_posix() if absolute.is_relative_to(root) else str(absolute)


def _paper(args: argparse.Namespace) -> int:
    from ..core.errors import known
    from .profiles import profiles
    from .report.paper import bind
    from .report.reported import PAPERS

    paper = known("paper", args.paper, PAPERS)
    profile = profiles[known("profile", args.profile, profiles)]
    notebooks = project_root() / "notebooks"
    print(bind(path_of(args.reports), paper, profile.name, notebooks=notebooks, reading=profile.reading))
    return 0


def _index(args: argparse.Namespace) -> int:
    print(_rewrite_index(path_of(args.reports)))
    return 0


def _claims(args: argparse.Namespace) -> int:
    from .claims import rewrite

    for path in rewrite(project_root(), path_of(args.reports), args.data):
        print(path)
    return 0


def _picture(args: argparse.Namespace) -> int:
    from .overview import rewrite

    for path in rewrite(project_root(), args.results):
        print(path)
    return 0


def _rewrite_index(reports: Path) -> Path:
    """The page of all pages, with every profile's own words, and next to it the words of all pages."""
    from .profiles import profiles
    from .report.glossary import glossary
    from .report.index import index

    glossary(reports, project_root() / "docs" / "glossary.md")
    # The published protocol first.
    readings = {name: profiles[name].reading for name in reversed(list(profiles))}
    kept = [name for name in readings if name != "quick"]  # whose reports git does not ignore
    return index(reports, notebooks=project_root() / "notebooks", command=MAKE, profiles=readings, kept=kept)


def _list(args: argparse.Namespace) -> int:
    from ..data import names
    from ..recipes import methods
    from .profiles import profiles
    from .studies import items

    print("items")
    for item, title in items().items():
        print(f"  {item:24} {title}")
    print("methods")
    for name, method in methods.items():
        print(f"  {name:24} {method.label}")
    print("data sets\n  " + ", ".join(names()) + ", parquet:PATH, folder:PATH")
    print("  and parts of them: NAME@holdout, NAME@5steps-order0-step1, NAME@5steps-order0-upto1")
    print("profiles")
    for name, profile in profiles.items():
        print(f"  {name:24} {profile.summary}")
    return 0


def _completion(args: argparse.Namespace) -> int:
    try:
        import shtab
    except ImportError as error:
        raise DreamlibError("completion needs the package shtab", "python -m pip install shtab") from error
    grammar = parser()
    for command in grammar._subparsers._group_actions[0].choices.values():  # type: ignore[union-attr]  # not public
        for action in command._actions:
            if action.dest in FILES:
                action.complete = shtab.FILE
    print(shtab.complete(grammar, args.shell))
    return 0


COMMANDS = {
    "run": _run,
    "status": _status,
    "show": _show,
    "export": _export,
    "card": _card,
    "notebook": _notebook,
    "paper": _paper,
    "index": _index,
    "claims": _claims,
    "picture": _picture,
    "list": _list,
    "completion": _completion,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit status: 0 done, 1 a cell failed, 2 bad input, 130 interrupted."""
    begun = time.monotonic()
    for output in (sys.stdout, sys.stderr):
        if isinstance(output, io.TextIOWrapper):
            # A path or a name that the terminal cannot show stops nothing.
            output.reconfigure(errors="backslashreplace")
    grammar = parser()
    args = grammar.parse_args(arguments)
    if lost := [name for name, value in vars(args).items() if value == [] and name != "extra"]:
        # Python 3.11 makes an empty list of it.
        grammar.error(f"argument {lost[0]}: expected one value, got '--'")
    args.begun = begun
    if args.verbose:
        logging.basicConfig(format="dreamlib: %(message)s")
        logging.getLogger("dreamlib").setLevel(logging.INFO)
    # For the time of a command only: in a notebook or a test, warnings keep their place in the code.
    plainly, warnings.formatwarning = warnings.formatwarning, _one_line
    try:
        with Interrupts().listening():
            status = COMMANDS[args.command](args)
            sys.stdout.flush()
            return status
    except BrokenPipeError:  # "dreamlib list | head": nobody reads on, at the exit either
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 1
    except DreamlibError as error:
        print(f"dreamlib: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        what = f"cannot use {error.filename}" if error.filename else "the system refuses"
        print(
            f"dreamlib: {what}: {error.strerror or error}\n  try: another place, or mend this one",
            file=sys.stderr,
        )
        return 2
    except MemoryError as error:
        print(
            f"dreamlib: not enough memory {error}\n  try: fewer --workers, a smaller --ipc", file=sys.stderr
        )
        return 2
    except KeyboardInterrupt:
        print("\ninterrupted; what is finished is kept, run the same command again to go on", file=sys.stderr)
        return 130
    finally:
        warnings.formatwarning = plainly


def _one_line(message: object, *_: object, **__: object) -> str:
    """A warning for a reader of a terminal: what it says, and not the line of code that said it."""
    return f"dreamlib: {message}\n"
