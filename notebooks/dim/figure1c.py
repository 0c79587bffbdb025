# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # DiM, Figure 1c: performance under different image numbers
#
# **The claim.** Sets of distilled images do poorly when they are small; a generator does well at any budget, and its
# lead is largest at one image per class.

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
import math

from dreamlib.companion.report import statistics, tables, words
from dreamlib.companion.report.reported import find
from dreamlib.companion.report.reported import rows as numbers_of
from dreamlib.companion.report.verdicts import Evidence, all_of, compare, paired
from dreamlib.companion.session import Session

session = Session.of_notebook("dim/figure1c", globals())

import budgets  # next to this notebook

session.about()

# %%
session.run()

# %% [markdown]
# ## Accuracy by budget
# Solid: measured under this profile, with one standard deviation over n networks. Dotted diamonds: reported.

# %%
numbers = numbers_of(session.reported)
SAID = (1, 10, 50)


rows = [row for name in session.study.methods for row in session.rows(name)]


def reported(dataset):
    found = {
        row.method: {
            ipc: find(
                numbers,
                *(("dream", "table1") if row.method == "idc" else ("dim", "table2")),
                dataset,
                ipc,
                row.reported_as or "",
            )
            for ipc in SAID
        }
        for row in rows
    }
    return {name: {ipc: n.value for ipc, n in values.items() if n} for name, values in found.items()}


frame = budgets.by_budget(session.records)
for name in session.study.datasets:
    part = frame[frame.dataset == name]
    if part.empty:
        session.say(f"*{words.data_set(name)}: nothing is measured yet; `{session.study.command()}`*")
    if part.empty and not any(reported(name).values()):
        continue
    axes = budgets.budget_lines(part, reported(name), title=f"{words.data_set(name)}, profile {profile}")
    session.save_figure(axes.figure, name)

# %%
if "cifar10" not in session.study.datasets:
    labels = {row.method: f"{row.label} by {'INPC' if row.method == 'dim' else 'IPC'}" for row in rows}
    axes = budgets.budget_lines(
        frame.iloc[:0],
        reported("cifar10"),
        labels=labels,
        title="CIFAR-10, as reported: nothing measured here",
    )
    session.save_figure(axes.figure, "reported")

# %%
table = frame.drop(columns="method").rename(
    columns={"dataset": "data set", "label": "method", "ipc": "images per class", "mean": "accuracy (%)"}
)
table = table[["data set", "method", "budget", "images per class", "accuracy (%)", "std", "n"]]
session.save_frame(table, digits=1)

# %% [markdown]
# ## What the two budgets cost
# For one trained network. Where the steps of two places differ, their accuracies differ by that too.

# %%
tables.styled(budgets.costs(session.records, lambda record: record["label"]))

# %%
session.say(budgets.steps_told(session.records, lambda record: record["label"]))

# %% [markdown]
# ## What is drawn
#
# ConvNets trained on sets of DC, DSA, DM and IDC with IPC stored images per class, and on DiM with INPC images per
# class and epoch. The axis has one number for both, as in the paper, and they are not the same budget: stored images
# come again in every epoch, drawn ones are new in every epoch, and the generator stores the same at every point. The
# paper's figure is not in numbers; what is marked as reported is its Table 2, and DREAM's Table 1 for IDC, which DiM's
# tables have only at INPC*.

# %% [markdown]
# ## What stands behind each number

# %%
session.settings()

# %% [markdown]
# ## How the verdicts come about
# Two places are compared only where their networks trained for equally many steps.

# %%


def at(method: str, name: str, ipc: int) -> dict[int, tuple[float, ...]]:
    """A method's accuracies at one place, by seed."""
    return statistics.by_seed(session.records, method, name, ipc)


def barred(found: Evidence, *places: tuple[str, str, int]) -> Evidence:
    """What was found, without a verdict if networks of two of these places took different numbers of steps."""
    records = [
        [r for r in session.records if (r["method"], r["dataset"], r["ipc"]) == place] for place in places
    ]
    why = next((why for side in records[1:] if (why := budgets.unequal(records[0], side))), "")
    return found.barred(why)


said = reported("cifar10")
others = [name for name in session.study.methods if name != "dim"]
small, large = min(session.study.ipcs), max(session.study.ipcs)
claims = []
for name in session.study.datasets if "dim" in session.study.methods else ():
    better, first = {}, {}
    for method in others:
        label, where = session.label(method), words.data_set(name)
        for ipc in session.study.ipcs:
            gap = said["dim"].get(ipc, math.nan) - said.get(method, {}).get(ipc, math.nan)
            found = compare(at("dim", name, ipc), at(method, name, ipc), gap, source="on CIFAR-10")
            better[f"{where}, {ipc}, to {label}"] = barred(found, ("dim", name, ipc), (method, name, ipc))
        if small < large:
            leads = [paired(at("dim", name, ipc), at(method, name, ipc)) for ipc in (small, large)]
            corners = [(one, name, ipc) for one in ("dim", method) for ipc in (small, large)]
            first[f"{where}, lead to {label} at {small} minus at {large}"] = barred(compare(*leads), *corners)
    claims += [
        ("DiM (INPC) is better than all sets of images (IPC) at every number", *all_of(better)),
        ("its lead is largest at one image per class", *all_of(first)),
    ]
if "dim" in said and len(said) > 1:
    gaps = {
        (session.label(name), ipc): said["dim"][ipc] - value
        for name, values in said.items()
        for ipc, value in values.items()
        if name != "dim" and ipc in said["dim"]
    }
    behind = ", ".join(
        f"{words.points(gap)} to {name} at {ipc}" for (name, ipc), gap in gaps.items() if gap <= 0
    )
    session.say(
        f"As printed for CIFAR-10, DiM stands {words.points(min(gaps.values()))} to {words.points(max(gaps.values()))} "
        f"points above the methods of this figure in {len(gaps)} comparisons"
        + (f", and behind or level in: {behind}." if behind else ".")
    )
session.verdict(claims, made="set or generator")

# %%
# NBVAL_CHECK_OUTPUT
print(
    session.check(
        {  # mean accuracies of quick in percent, and how far another CPU may miss them
            "dc, IPC 1": (78, 2),
            "dsa, IPC 1": (86, 2),
            "dm, IPC 1": (86, 2),
            "idc, IPC 1": (85, 2),
            "dim, INPC 1": (26, 11),
            "dc, IPC 10": (72, 5),
            "dm, IPC 10": (85, 1.5),
            "dim, INPC 10": (44, 15),
        },
        reported=(
            "dim/table2",
            "dream/table1",
        ),
    )
)
assert set(frame.budget[frame.method == "dim"]) <= {"INPC"}
assert set(frame.budget[frame.method != "dim"]) <= {"IPC"}
assert len(frame) or session.study.missing()
print("generators by INPC, images by IPC")
