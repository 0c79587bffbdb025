"""The command line: run, status, show, export, and the notebooks behind ``make``."""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from . import plugins
from .errors import BadValue, DreamlibError

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


def span(seconds: float) -> str:
    """A duration for people: "14 min", "2.5 h"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def names_of(text: str) -> tuple[str, ...]:
    """The parts of a comma-separated list."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def numbers_of(text: str) -> tuple[int, ...]:
    """The numbers of a comma-separated list."""
    try:
        return tuple(int(part) for part in names_of(text))
    except ValueError as error:
        raise BadValue(f"IPC {text!r}; expected whole numbers separated by commas", "IPC=1,10") from error


def parser() -> argparse.ArgumentParser:
    """The whole grammar."""
    top = argparse.ArgumentParser(prog="dreamlib", description="Dataset distillation that can be reproduced.")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    choice = argparse.ArgumentParser(add_help=False)
    choice.add_argument("--profile", default="quick", help="quick, cpu or paper (default: quick)")
    choice.add_argument("--datasets", default="", help="comma-separated; default: the profile's")
    choice.add_argument("--ipc", default="", help="images per class, comma-separated; default: the profile's")
    choice.add_argument("--methods", default="", help="comma-separated; default: the item's")
    choice.add_argument("--seeds", type=int, default=0, help="synthetic sets per cell; default: the profile's")
    choice.add_argument("--results", default=None, help="results folder (default: reports/results)")
    choice.add_argument("--plugins", default="", help="Python files with your own parts, comma-separated")

    effort = argparse.ArgumentParser(add_help=False)
    effort.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps (default: auto)")
    effort.add_argument("--workers", type=int, default=0, help="processes; default: one per CPU core, one on a GPU")
    effort.add_argument("--data", default=None, help="data folder (default: DREAMLIB_DATA, else data)")

    run = commands.add_parser("run", parents=[choice, effort], help="compute what an item still lacks")
    run.add_argument("item", help="for example dream/table1; 'all' for every item")
    run.add_argument("--for", dest="seconds", default=None, help="stop cleanly inside this time: 90s, 9m, 2h")
    run.add_argument("--quiet", action="store_true", help="no progress bar")

    status = commands.add_parser("status", parents=[choice], help="what is done, missing, failed, and the time left")
    status.add_argument("item", nargs="?", default="all")

    show = commands.add_parser("show", parents=[choice], help="print the results of an item")
    show.add_argument("item", nargs="?", default="dream/table1")

    export = commands.add_parser("export", parents=[choice], help="write a distilled set for use elsewhere")
    export.add_argument("set", nargs="?", default="", help="a .safetensors set; default: chosen by --methods, --datasets, --ipc")
    export.add_argument("--to", required=True, help="file (safetensors, parquet) or folder (images)")
    export.add_argument("--format", default="safetensors", help="safetensors, images or parquet")
    export.add_argument("--seed", type=int, default=0)

    notebook = commands.add_parser("notebook", parents=[choice, effort], help="execute a notebook and render it (make)")
    notebook.add_argument("item", help="for example dream/table1")
    notebook.add_argument("--reports", default="reports", help="where rendered notebooks go")
    notebook.add_argument("-p", dest="extra", action="append", default=[], metavar="NAME=VALUE", help="any other parameter")

    index = commands.add_parser("index", help="rewrite reports/index.html")
    index.add_argument("--reports", default="reports")

    commands.add_parser("list", help="items, methods, data sets and profiles")
    return top


def _studies(args: argparse.Namespace) -> list[Any]:
    from .experiments import PLANS, Store, study

    plugins.load(names_of(args.plugins))
    store = Store(args.results)
    items = [name for name, plan in PLANS.items() if plan.methods] if args.item == "all" else [args.item]
    return [
        study(
            item,
            profile=args.profile,
            datasets=names_of(args.datasets),
            ipcs=numbers_of(args.ipc),
            methods=names_of(args.methods),
            seeds=args.seeds,
            store=store,
        )
        for item in items
    ]


def _run(args: argparse.Namespace) -> int:
    from .experiments import expected_seconds, run_cells
    from .recipes import profiles

    studies = _studies(args)
    cells = list({cell.key: cell for entry in studies for cell in entry.cells}.values())
    store = studies[0].store
    seconds = None if args.seconds is None else duration(args.seconds)
    left = expected_seconds(cells, store)
    missing = sum(store.record(cell) is None for cell in cells)
    about = "" if not left else f", about {span(left)} of computing"
    print(f"{args.item}, profile {args.profile}: {len(cells)} cells, {missing} to compute{about}", flush=True)
    summary = run_cells(
        cells,
        store,
        threads=profiles[args.profile].threads,
        workers=args.workers,
        device=args.device,
        seconds=seconds,
        progress=not args.quiet,
        plugin_files=names_of(args.plugins),
        data_root=args.data,
    )
    print(f"computed {summary.computed}, found {summary.found}, still missing {summary.missing}, failed {len(summary.failed)}")
    for name, error in summary.failed.items():
        print(f"failed: {name}\n  {error}", file=sys.stderr)
    if summary.missing:
        print("run the same command again to go on")
    return 1 if summary.failed else 0


def _status(args: argparse.Namespace) -> int:
    from .experiments import expected_seconds

    for entry in _studies(args):
        store = entry.store
        missing = entry.missing()
        failed = {cell.name: why for cell in missing if (why := store.failure(cell)) is not None}
        begun = []
        for cell in missing:
            for phase in ("distill", "evaluate"):
                found = store.read_checkpoint(cell, phase)
                if found is not None:
                    begun.append(f"{cell.name}: {phase} at step {found[1]['step']} of {found[1]['steps']}")
        left = expected_seconds(entry.cells, store)
        time = "unknown until a first cell is finished" if left is None else span(left)
        print(
            f"{entry.item}, profile {entry.profile}: {len(entry.cells) - len(missing)} of {len(entry.cells)} cells done, "
            f"{len(missing) - len(failed)} missing, {len(failed)} failed; computing time left: {time}"
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

    for entry in _studies(args):
        print(f"{entry.item}, profile {entry.profile}: last-epoch top-1 accuracy, mean ± standard deviation (networks)")
        grouped: dict[tuple[str, str, int, int], list[float]] = {}
        for record in entry.records():
            at = (record["dataset"], record["label"], record["ipc"], record["iteration"])
            grouped.setdefault(at, []).extend(record["accuracies"])
        for (dataset, label, ipc, step), values in grouped.items():
            spread = statistics.stdev(values) if len(values) > 1 else float("nan")
            mean = statistics.mean(values)
            print(f"  {dataset:14} IPC {ipc:<3} {label:14} step {step:<6} {mean:5.1f} ± {spread:.1f}  ({len(values)})")
        if entry.missing():
            print(f"  {len(entry.missing())} cells missing; fill them with: {entry.command()}")
        folder = entry.store.root / entry.profile / "sets"
        if folder.is_dir():
            print(f"  distilled sets: {folder}")
    return 0


def _export(args: argparse.Namespace) -> int:
    from .distilled import export, load_set
    from .experiments import Store, make_cell

    plugins.load(names_of(args.plugins))
    path = Path(args.set)
    if not args.set:
        rows, datasets, ipcs = names_of(args.methods), names_of(args.datasets), numbers_of(args.ipc)
        for flag, count in (("--methods", len(rows)), ("--datasets", len(datasets)), ("--ipc", len(ipcs))):
            if count != 1:
                raise BadValue(
                    f"{flag} names {count} values; expected exactly one to export",
                    "dreamlib export --methods dm --datasets digits --ipc 10 --to set.safetensors",
                )
        cell = make_cell(args.profile, rows[0], datasets[0], ipcs[0], args.seed)
        path = Store(args.results).set_path(cell)
    distilled = load_set(path)
    written = export(distilled, args.to, args.format)
    print(f"{len(distilled.labels)} images of {len(distilled.classes)} classes -> {written}")
    if args.format != "safetensors" and distilled.clipped:
        print(f"note: {distilled.clipped:.1%} of the pixels lay outside [0, 1] and were clamped; safetensors keeps them")
    return 0


def _notebook(args: argparse.Namespace) -> int:
    from .experiments import study
    from .report import html
    from .report.notebook import run_notebook
    from .report.reported import project_root

    paper, _, name = args.item.partition("/")
    # Checked here, before a kernel is started, and by the very code that will read them.
    plugins.load(names_of(args.plugins))
    study(
        args.item,
        profile=args.profile,
        datasets=names_of(args.datasets),
        ipcs=numbers_of(args.ipc),
        methods=names_of(args.methods),
        seeds=args.seeds,
    )
    root = project_root()
    reports = Path(args.reports)
    parameters: dict[str, Any] = {"profile": args.profile, "seeds": args.seeds, "workers": args.workers}
    parameters |= {"datasets": args.datasets, "ipcs": args.ipc, "methods": args.methods}
    parameters |= {"device": args.device, "plugins": args.plugins, "results": args.results or ""}
    parameters |= {"data": args.data or "", "reports": str(reports.resolve())}
    for pair in args.extra:
        key, separator, value = pair.partition("=")
        if not separator:
            raise BadValue(f"parameter {pair!r}; expected NAME=VALUE", "-p seeds=3")
        try:
            parameters[key] = json.loads(value)
        except ValueError:
            parameters[key] = value
    output = reports / args.profile / paper / f"{name}.ipynb"
    run_notebook(root / "notebooks" / paper / f"{name}.ipynb", output, parameters)
    page = html.render(output)
    index = html.index(reports)
    print(f"\n{args.item} is done:\n  page      {page}\n  notebook  {output}\n  all pages {index}")
    for file in sorted(output.parent.glob(f"{name}.*")):
        if file.suffix in (".csv", ".md", ".tex"):
            print(f"  table     {file}")
    return 0


def _index(args: argparse.Namespace) -> int:
    from .report import html

    print(html.index(Path(args.reports)))
    return 0


def _list(args: argparse.Namespace) -> int:
    from .data import names
    from .experiments import items
    from .recipes import methods, profiles

    print("items")
    for item, title in items().items():
        print(f"  {item:24} {title}")
    print("methods")
    for name, method in methods.items():
        print(f"  {name:24} {method.label}")
    print("data sets\n  " + ", ".join(names()) + ", parquet:PATH, folder:PATH")
    print("profiles")
    for name, profile in profiles.items():
        print(f"  {name:24} {profile.summary}")
    return 0


COMMANDS = {
    "run": _run,
    "status": _status,
    "show": _show,
    "export": _export,
    "notebook": _notebook,
    "index": _index,
    "list": _list,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit status: 0 done, 1 a cell failed, 2 bad input, 130 interrupted."""
    args = parser().parse_args(arguments)
    try:
        return COMMANDS[args.command](args)
    except DreamlibError as error:
        print(f"dreamlib: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\ninterrupted; everything finished is kept, run the same command again to go on", file=sys.stderr)
        return 130
