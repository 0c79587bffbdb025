"""What to run on the day a GPU is at hand: how fast the engine is there, then Table 1 of DREAM under its own protocol.

    python examples/on_a_gpu.py --minutes 15

It stops inside the minutes it is given; what is finished by then is kept in ``--results``, and the same command goes on
where it was. The benchmarks come first, the most telling ones before the others: one begins as long as no more than a
third of the time is gone, and is stopped when half of it is. Then comes CIFAR-10 with 10, 1 and 50 images per class,
DREAM before the methods it is compared with.

The other rows of the table are left out, since no time is left for them: Forgetting, IDC+DREAM, and DD, LD, MTT, KIP
and FRePo with what DREAM makes of them. ``make table1 PROFILE=paper DATASETS=cifar10`` computes all of them.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable, Sequence

import torch

WORKS = ("dm-10", "evaluation-10", "clustering", "dsa-1", "dream-10", "dsa-10", "dm-50", "evaluation-50")
METHODS = (
    "dream",
    "idc",
    "dm",
    "dm+dream",
    "random",
    "dsa",
    "dsa+dream",
    "dc",
    "dc+dream",
    "herding",
    "k-center",
)
LEFT_OUT = (  # rows of the table that no time is left for
    "forgetting",
    "idc+dream",
    "dd",
    "ld",
    "ld+dream",
    "mtt",
    "mtt+dream",
    "kip",
    "kip+dream",
    "frepo",
    "frepo+dream",
)
IPCS = (10, 1, 50)
CLOSING = 20  # seconds for a command to start, and to put down what it has


def run(words: list[str], seconds: float) -> None:
    """Run ``python`` with these words, and stop it after so many seconds."""
    print("python", *words, flush=True)
    try:
        subprocess.run([sys.executable, *words], check=False, timeout=max(seconds, 1.0))
    except subprocess.TimeoutExpired:
        print("  out of time; what it had finished is kept", flush=True)


def main(
    given: Sequence[str] | None = None,
    run: Callable[[list[str], float], None] = run,
    clock: Callable[[], float] = time.monotonic,
) -> int:
    """Run one command after the other until the time is over; ``clock`` gives seconds."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--results", default="reports/results", help="folder of the records")
    parser.add_argument(
        "--bench", default="", help="file of the benchmarks' record; default: by kind of machine"
    )
    args = parser.parse_args(given)
    if args.device.startswith("cuda") and not torch.cuda.is_available():
        sys.exit("no CUDA device here; to try this script out: --device cpu --minutes 2")
    begun = clock()

    def left() -> float:
        return 60 * args.minutes - (clock() - begun)

    for work in WORKS:
        if left() < 60 * args.minutes * 2 / 3:
            break
        to = ["--out", args.bench] if args.bench else []
        words = ["-m", "benchmarks", "--device", args.device, "--works", work, "--repeats", "3", *to]
        run(words, left() - 60 * args.minutes / 2)
    for ipc in IPCS:
        for method in METHODS:
            if left() < 2 * CLOSING:
                return 0
            words = ["-m", "dreamlib", "run", "dream/table1", "--profile", "paper", "--datasets", "cifar10"]
            words += [
                "--ipc",
                str(ipc),
                "--methods",
                method,
                "--seeds",
                "1",
                "--device",
                args.device,
                "--quiet",
            ]
            words += ["--results", args.results, "--for", f"{left() - CLOSING:.0f}s"]
            run(words, left())
    return 0


if __name__ == "__main__":
    sys.exit(main())
