# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # The engine: how fast, and at what price in accuracy
#
# **The claim.** It is this project's own: a table should be a coffee break. The released code matches one class
# after the other, trains one network after the other, and does both operation by operation in float32. This page shows
# how much faster the same mathematics runs here than a simple version of those loops (`tests/reference.py`) timed in
# turn with ours, in one process and under the same memory allocator.

# %% tags=["parameters"]
profile: str = "quick"  # quick, cpu or paper
datasets: str = ""  # comma-separated; empty: the profile's
ipcs: str = ""  # images per class, comma-separated; empty: the item's or the profile's
methods: str = ""  # comma-separated; empty: the item's
seeds: int = 0  # synthetic sets of each method; 0: the profile's
workers: int = 0  # processes; 0: one per core
device: str = "auto"
results: str = ""  # folder of the records; empty: reports/results
data: str = ""  # folder of the data sets; empty: DREAMLIB_DATA, else data
plugins: str = ""  # Python files with your own parts
reports: str = "reports"  # where rendered pages and tables go

# %%
import textwrap

import matplotlib.pyplot as plt
import numpy as np

from dreamlib.companion.report import words
from dreamlib.companion.report.figures import WIDTH
from dreamlib.companion.report.style import GREY, INK, PALETTE
from dreamlib.companion.session import Session
from dreamlib.core.places import project_root

session = Session.of_notebook("engine/speed", globals())

# The modules next to this notebook.
from ratios import (
    by_mode,
    growth,
    load_benchmarks,
    load_costs,
    mode_change,
    ratios,
    side_by_side,
)

session.about()

# %%
session.run()

# %% [markdown]
# ## Times faster than the reference loops
# Each ratio is the median over runs made in turn: reference, plain, compiled, fast, reference, and so on. *Low* and
# *high* are the least and the largest of them. *Floor* is what the unit's own measured rates allow: the operations of
# the convolutions over the rate of a large one in the number format of the mode, or the bytes they must move over the
# rate of a copy, whichever is longer. By Winograd's algorithm fewer operations count.

# %%
benchmarks = load_benchmarks(project_root() / "reports" / "results" / "bench")
for record in benchmarks:
    rate = record["rates"]
    named = {"float32": "in float32", "bfloat16": "in bfloat16"}
    speed = ", ".join(f"{rate[name] / 1e9:.0f} {said}" for name, said in named.items() if name in rate)
    session.say(
        f"**{record['kind']}**: {record['words']}; {speed} (GFLOP/s); {rate['bytes'] / 1e9:.0f} GB/s copied; fast mode "
        f"computes in {record['formats']}; torch {record['versions']['torch']}; allocator tuned for all: "
        f"{record['allocator_tuned']}."
    )
if not any(record["machine"]["device"] == "cuda" for record in benchmarks):
    session.say("**Never run on a GPU.** To measure on one: `make bench DEVICE=cuda`.")
speeds = ratios(benchmarks)
session.show(
    side_by_side(speeds, "fast"), caption="Times as fast as the reference loops, in fast mode.", top=True
)
session.save_frame(speeds, digits=2, top=False)
session.fold("Every version, with seconds and spread", speeds)

# %%
colours = {"plain": PALETTE[0], "compiled": PALETTE[1], "fast": PALETTE[2], "cached": PALETTE[3]}
for kind, part in speeds[speeds.version.isin(colours)].groupby("machine", sort=False):
    works = list(dict.fromkeys(part.work))
    figure, axis = plt.subplots(figsize=(WIDTH, 0.62 * len(works) + 1))
    for row, work in enumerate(works):
        lines = part[part.work == work]
        place = row + (np.arange(len(lines)) - (len(lines) - 1) / 2) * 0.26
        axis.barh(place, lines.ratio, height=0.24, color=[colours[name] for name in lines.version])
        axis.plot([lines["aimed at"].iloc[0]], [row], "|", color=INK, markersize=20)
    for name in dict.fromkeys(part.version):
        axis.barh(0, 0, color=colours[name], label=name)
    axis.plot([], [], "|", color=INK, markersize=12, label="aimed at")
    axis.set_yticks(np.arange(len(works)), [textwrap.fill(work, 26) for work in works])
    axis.invert_yaxis()
    axis.axvline(1, color=GREY, linewidth=0.8)
    axis.set_xscale("log")
    axis.set_xlim(left=0.6)
    ticks = [1, 2, 3, 5, 10, 20, 50, 100]
    axis.set_xticks(ticks, [str(tick) for tick in ticks])
    axis.minorticks_off()
    axis.set_xlabel(f"times as fast as the reference loops\n({kind})")
    axis.legend(loc="lower left", bbox_to_anchor=(-0.4, 1), ncols=4, columnspacing=1)
    session.save_figure(figure, kind)

# %% [markdown]
# ## What a step costs as the problem grows
# One matching step in fast mode. One thing grows, the rest stays: 10 classes, 10 images per class (1 for gradients), 32
# pixels, width 128, all threads. *Exponent* is the slope of the line through the points on two logarithmic axes: 1 is
# proportional.

# %%
costs = load_costs(project_root() / "reports" / "results" / "bench")
grown = growth(costs)
if not grown.empty:
    session.show(grown)
    for kind, part in costs.groupby("machine", sort=False):
        for name, own in part.groupby("axis", sort=False):
            figure, panels = plt.subplots(2, 1, figsize=(3.6, 4.8), sharex=True)
            for number, (work, line) in enumerate(own.groupby("work", sort=False)):
                look = {"marker": "os"[number % 2], "color": PALETTE[number], "label": work}
                for panel, what in zip(panels, ("seconds", "MiB"), strict=True):
                    panel.plot(line.value, line[what], **look)
            for panel, what in zip(panels, ("seconds a step", "MiB at the peak"), strict=True):
                panel.set_xscale("log")
                panel.set_yscale("log")
                values = sorted(set(own.value))
                panel.set_xticks(values, [f"{value:g}" for value in values])
                panel.minorticks_off()
                panel.set_ylabel(what)
            panels[1].set_xlabel(name)
            panels[0].legend(loc="best")
            session.save_figure(figure, f"cost-{kind}-{name}")

# %% [markdown]
# ## The price in accuracy
# The same cells, seed by seed, in every mode. *Between sets* is the standard deviation from one synthetic set to the
# next; *difference* is the mean over seeds of what the mode changed, from *low* to *high* its 95 % interval. Seconds
# are those of sets whose machine had nothing else to do; a dash where there is none.

# %%
modes = by_mode(session.records)
session.show(modes)

# %% [markdown]
# ## What is measured
#
# - **plain** is eager float32: what the records of `quick` were measured with.
# - **compiled** traces a step, its derivatives included, and lets TorchInductor fuse it; still float32.
# - **fast** is compiled too, with the convolutions in bfloat16 (weights, losses and updates stay float32) and a k-means
#   that compares in bfloat16 and stops when a round gains nothing. A CPU without bfloat16 keeps float32. A CPU makes
#   large 3x3 convolutions with down to a quarter of the products (Winograd), in float32; in bfloat16, where it has it
#   and nothing but means over images is asked: DM's, the real images of gradient matching, training. The steps of a
#   generator are compiled on a GPU only: on a CPU that costs more than it saves, so *compiled* is *plain* there. Nor
#   does fast compile what is too short to gain by it, as the cells of `quick` are: their records say so.
#
# **Where this was measured.** On the kinds of machine that the first table has a column for, and nowhere else: without
# a column that starts with *cuda*, nothing of it has ever run on a GPU. What *fast* uses is asked of the machine and
# confirmed by a short measurement, made once and kept. The ratios are from the last `make bench` on each kind of
# machine, not from this notebook's run; the accuracies are cells like any other.

# %% [markdown]
# ## What stands behind each number

# %%
session.settings()

# %% [markdown]
# ## How the verdicts come about

# %%
claims = []
for (kind, work), part in speeds.groupby(["machine", "work"], sort=False):
    ours = part[part.version.isin(["plain", "compiled", "fast", "cached"])]
    aim, best = ours["aimed at"].iloc[0], ours.loc[ours.ratio.idxmax()]
    if aim == aim and aim is not None:
        evidence = f"{best.version}: {best.ratio:.2f} times ({best.low:.2f} to {best.high:.2f}, n = {best.n})"
        claims.append((f"{kind}: {work}, {aim:g} times", bool(best.ratio >= aim), evidence))
for line in modes[modes["mode"] != "plain"].itertuples():
    name, method, ipc = line[1], line.method, line.IPC
    own = (modes["data set"] == name) & (modes.method == method) & modes.IPC.eq(ipc)
    noise = modes.loc[own & (modes["mode"] == "plain"), "between sets"].max()
    changed = mode_change(session.records, name, method, ipc, line.mode)
    claims.append(
        (
            f"{words.data_set(name)}, {method}, IPC {ipc}: {line.mode} changes accuracy by less than one synthetic set "
            "differs from the next",
            changed.within(noise) if noise == noise else None,
            changed.words(2)
            + (f"; from set to set {noise:.2f} (standard deviation)" if noise == noise else ""),
        )
    )
session.verdict(claims, heading="This project's claim")

# %%
# NBVAL_CHECK_OUTPUT
print(
    session.check(
        {  # mean accuracies of quick in percent, and how far another CPU may miss them
            "dm, IPC 10, plain": (85, 2),
            "dm, IPC 10, compiled": (85, 2),
            "dm, IPC 10, fast": (85, 2),
        },
    )
)
assert set(modes["mode"]) == {"plain", "compiled", "fast"} or session.study.missing()
assert not modes.accuracy.isna().any()
