"""``python -m benchmarks``: measures the works, prints the table, keeps a record."""

from __future__ import annotations

import argparse
import json
import os
import sys
import warnings
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from dreamlib.companion.worker import revision, versions
from dreamlib.compute import backend
from dreamlib.compute.engine import MODES
from dreamlib.compute.formats import formats_of
from dreamlib.compute.machine import this_machine
from dreamlib.core.atomic import write_text
from dreamlib.core.errors import BadValue, DreamlibError, unknown

from . import sizes
from .measure import compare, rates
from .works import works


def main(words: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--works", default="", help="comma-separated; default: all")
    parser.add_argument("--modes", default="", help="comma-separated; default: all of each work")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads; 0: one per core")
    parser.add_argument("--repeats", type=int, default=5, help="interleaved runs of everything")
    parser.add_argument(
        "--sizes", action="store_true", help="what a step costs as the problem grows, instead of the works"
    )
    parser.add_argument("--out", default="", help="default: reports/results/bench/KIND.json")
    args = parser.parse_args(words)
    if args.repeats < 1:
        raise BadValue(f"repeats is {args.repeats}; expected 1 or more", "--repeats 5")
    backend.tune_allocator()  # for the reference, too: it alone is worth a factor of two
    torch.set_num_threads(args.threads or len(os.sched_getaffinity(0)))
    device = backend.resolve_device(args.device)
    if args.sizes:
        return _sizes(device, args.out, [name for name in args.works.split(",") if name])
    offered = works(device)
    chosen = [name for name in args.works.split(",") if name] or list(offered)
    for name in chosen:
        if name not in offered:
            raise unknown("work", name, offered)
    modes = [name for name in args.modes.split(",") if name]
    for name in modes:
        if name not in MODES:
            raise unknown("mode", name, MODES)
    # What could not be compiled is not to be timed as if it were.
    warnings.filterwarnings("error", "running (uncompiled|without)")
    rate = rates(device)
    machine, formats = this_machine(device), formats_of(device)
    words = {"float32": "in float32", "bfloat16": "in bfloat16"}
    speeds = ", ".join(f"{rate[name] / 1e9:.0f} {said}" for name, said in words.items() if name in rate)
    print(
        f"{machine.words}\n{speeds} (GFLOP/s); {rate['bytes'] / 1e9:.0f} GB/s copied; "
        f"fast mode computes in {formats.words}",
        flush=True,
    )
    out = Path(args.out or f"reports/results/bench/{machine.kind}.json")
    known: dict[str, Any] = json.loads(out.read_text())["works"] if out.is_file() else {}
    for name in chosen:
        work = offered[name]()
        if modes:
            left_out = set(MODES) - set(modes)
            work = replace(
                work, ours={mode: call for mode, call in work.ours.items() if mode not in left_out}
            )
        found = compare(work, device, args.repeats, rate, lambda text: print(f"  {text}", flush=True))
        found["created"] = datetime.now(UTC).isoformat(timespec="seconds")
        found["revision"] = revision()
        known[name] = found
        _show(found)
        record = {
            "machine": asdict(machine),
            "words": machine.words,
            "formats": formats.words,
            "versions": versions(),
            "allocator_tuned": backend.tune_allocator(),
            "rates": rate,
            "works": {work: known[work] for work in offered if work in known},
        }
        # After every work: what has been measured is not lost with the next one.
        write_text(out, json.dumps(record, indent=1) + "\n")
    print(f"written to {out}")
    return 0


def _sizes(device: torch.device, to: str, chosen: list[str]) -> int:
    """Time every point of every axis of the chosen works, or of all; what is measured is kept after each."""
    for name in chosen:
        if name not in sizes.WORKS:
            raise unknown("work", name, sizes.WORKS)
    machine = this_machine(device)
    out = Path(to or f"reports/results/bench/sizes/{machine.kind}.json")
    works = chosen or list(sizes.WORKS)
    known: list[dict[str, Any]] = json.loads(out.read_text())["points"] if out.is_file() else []
    found = [point for point in known if point["work"] not in works]
    done: dict[tuple[str, sizes.Size], dict[str, Any]] = {}
    for work in works:
        for axis, value, size in sizes.points(work, torch.get_num_threads()):
            # All threads by name or by number is the same problem.
            same = work, replace(size, threads=size.threads or torch.get_num_threads())
            if same not in done:
                done[same] = sizes.measure(work, size, device)
            found.append({"work": work, "axis": axis, "value": value, **done[same]})
            usual = sorted(done[same]["seconds"])[len(done[same]["seconds"]) // 2]
            peak = done[same]["peak_memory_mib"]
            print(f"{work:18} {axis:18} {value:4} {usual:8.3f} s {peak:8.0f} MiB", flush=True)
            record = {
                "machine": asdict(machine),
                "words": machine.words,
                "formats": formats_of(device).words,
                "versions": versions(),
                "created": datetime.now(UTC).isoformat(timespec="seconds"),
                "revision": revision(),
                "points": found,
            }
            write_text(out, json.dumps(record, indent=1) + "\n")
    print(f"written to {out}")
    return 0


def _show(found: dict[str, Any]) -> None:
    print(f"{found['title']}")
    usual = sorted(found["seconds"]["reference"])[len(found["seconds"]["reference"]) // 2]
    print(f"  {'reference':24} {usual:8.3f} s          {found['peak_memory_mib']['reference']:8.0f} MiB")
    for name, ratio in found["ratios"].items():
        times = sorted(found["seconds"][name])
        floor = found.get("floor", {}).get("seconds_fast" if name == "fast" else "seconds_float32")
        share = f"  floor {floor:.3f} s, {100 * floor / times[len(times) // 2]:.0f} %" if floor else ""
        used = found["peak_memory_mib"][name]
        print(f"  {name:24} {times[len(times) // 2]:8.3f} s  {ratio:6.2f}x {used:8.0f} MiB{share}")
    for name, value in found["notes"].items():
        print(f"  {name}: {value:.4f}")
    if found["target"]:
        best = max(found["ratios"].values())
        print(
            f"  aimed at {found['target']:g}x: {'reached' if best >= found['target'] else 'not reached'}",
            flush=True,
        )


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except DreamlibError as error:
        sys.exit(f"error: {error}")
    except UserWarning as warning:
        sys.exit(f"error: {warning}\n  to time what needs no compiler: --modes plain")
