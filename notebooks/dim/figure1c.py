# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # DiM, Figure 1c: accuracy by budget
#
# **The claim.** Sets of distilled images do poorly when they are small; a generator does well at any budget, and its
# lead is largest at one image per class.
#
# **What is drawn.** ConvNets trained on sets of DC, DSA, DM and IDC with IPC stored images per class, and on DiM with
# INPC images per class and epoch. The axis has one number for both, as in the paper, and they are not the same
# budget: stored images come again in every epoch, drawn ones are new in every epoch, and the generator stores the
# same at every point. The paper's figure is not in numbers; what is marked as reported is its Table 2, and DREAM's
# Table 1 for IDC, which DiM's tables have only at INPC*.

# %% tags=["parameters"]
profile: str = "quick"  # quick, cpu or paper
datasets: str = ""  # comma-separated; empty: the profile's
ipcs: str = ""  # images per class, comma-separated; empty: the item's or the profile's
methods: str = ""  # comma-separated; empty: the item's
seeds: int = 0  # synthetic sets per cell; 0: the profile's
workers: int = 0  # processes; 0: one per core
device: str = "auto"
results: str = ""  # folder of the records; empty: reports/results
data: str = ""  # folder of the data sets; empty: DREAMLIB_DATA, else data
plugins: str = ""  # Python files with your own parts
reports: str = "reports"  # where rendered pages and tables go

# %%
from dreamlib.report import budgets, tables, words
from dreamlib.report.reported import find
from dreamlib.report.reported import rows as numbers_of
from dreamlib.report.verdicts import beats, every
from dreamlib.session import Session

session = Session(
    "dim/figure1c",
    profile=profile,
    datasets=datasets,
    ipcs=ipcs,
    methods=methods,
    seeds=seeds,
    workers=workers,
    device=device,
    results=results,
    data=data,
    plugins=plugins,
    reports=reports,
)
session.about()

# %%
session.run()

# %% [markdown]
# ## Accuracy by budget
# Solid: measured under this profile, with one standard deviation over n networks. Dotted diamonds: reported.

# %%
numbers = numbers_of(session.reported)
SAID = (1, 10, 50)


def reported(dataset):
    places = {
        name: ("dream", "table1") if name == "idc" else ("dim", "table2") for name in session.study.methods
    }
    found = {
        name: {ipc: find(numbers, *place, dataset, ipc, session.row(name).reported_as or "") for ipc in SAID}
        for name, place in places.items()
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
    labels = {
        name: f"{session.label(name)} by {'INPC' if name == 'dim' else 'IPC'}"
        for name in session.study.methods
    }
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
# For one trained network.

# %%
tables.styled(budgets.costs(session.records, lambda record: record["label"]))

# %% [markdown]
# ## What stands behind each number

# %%
session.settings()

# %% [markdown]
# ## What holds here

# %%
claims = []
for name in session.study.datasets:
    there = frame[frame.dataset == name]
    by = there.pivot(index="method", columns="ipc", values="mean")
    row = {(line.method, line.ipc): line for line in there.rename(columns={"mean": "measured"}).itertuples()}
    where = words.data_set(name)
    if "dim" not in by.index or len(by) < 2 or by.shape[1] < 2:
        claims.append(("a generator does well at any budget", None, f"{where}: not measured"))
        continue
    best = by.drop(index="dim").max()
    lead = (by.loc["dim"] - best).dropna()
    small, large = min(lead.index), max(lead.index)
    told = ", ".join(f"{points:+.1f} points at {ipc}" for ipc, points in lead.items())
    claims += [
        (
            "DiM (INPC) is better than all sets of images (IPC) at every number",
            every(beats(row["dim", ipc], other) for (method, ipc), other in row.items() if method != "dim"),
            f"{where}: {told}, to the best of the others",
        ),
        (
            "its mean's lead is largest at the smallest budget",
            bool(lead[small] > max(0, lead[large])),
            f"{where}: {told}",
        ),
        (
            "in the mean, sets of images lose more than a generator from the largest to the smallest budget",
            bool(
                by.loc["dim", large] - by.loc["dim", small]
                < (by.drop(index="dim")[large] - by.drop(index="dim")[small]).min()
            ),
            f"{where}: DiM {by.loc['dim', large] - by.loc['dim', small]:.1f} points, the others "
            + ", ".join(
                f"{session.label(method)} {line[large] - line[small]:.1f}"
                for method, line in by.drop(index="dim").iterrows()
            ),
        ),
    ]
said = reported("cifar10")
if "dim" in said and len(said) > 1:
    gaps = {
        (session.label(name), ipc): said["dim"][ipc] - value
        for name, values in said.items()
        for ipc, value in values.items()
        if name != "dim"
    }
    behind = ", ".join(f"{gap:+.1f} to {name} at {ipc}" for (name, ipc), gap in gaps.items() if gap <= 0)
    claims.append(
        (
            "DiM (INPC) is better than all sets of images (IPC) at every number (from reported numbers alone)",
            not behind,
            f"CIFAR-10, {len(gaps)} comparisons: "
            + (f"not {behind}" if behind else f"at least {min(gaps.values()):+.1f}"),
        )
    )
session.verdict(claims)

# %%
# NBVAL_CHECK_OUTPUT
print(session.check_complete())
assert set(frame.budget[frame.method == "dim"]) == {"INPC"}
assert set(frame.budget[frame.method != "dim"]) == {"IPC"}
print("generators by INPC, images by IPC")
