# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # DiM, Table 2: beside coresets, distilled images and its own GAN
#
# **The claim.** A data set distilled into a generator trains networks better than coresets, better than sets of
# distilled images, and better than the generator that was trained as a GAN alone: 66.2 ± 0.5 % on CIFAR-10 at ten
# images per class, where the best set of images has 65.5 ± 0.4 and the GAN 62.7 ± 0.9.
#
# **Two budgets in one table.** The rows of stored images count IPC, the images per class that are kept and shown
# again in every epoch. The rows of generators count INPC, the images per class that are drawn for an epoch, new ones
# in every epoch. At its published size the generator's weights take 14.2 MB in float32, ten CIFAR-10 images of each
# class 1.2 MB. The paper puts both under the same number because an epoch then has the same number of images. What a
# row stores, and how many different images a network has seen in the end, is not the same at all: the second table
# says it.

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
from dreamlib.report.reported import rows as numbers_of
from dreamlib.report.verdicts import beats
from dreamlib.session import Session

session = Session(
    "dim/table2",
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
# ## Measured beside reported
# Columns are IPC in the first two groups and INPC in the third.

# %%
STORED, DRAWN = "stored images, columns are IPC", "generators, columns are INPC"
GROUPS = {
    f"Coresets: {STORED}": ("random", "herding", "k-center", "forgetting"),
    f"Distilled images: {STORED}": (
        *("DD", "LD", "dc", "dsa", "dm", "CAFE", "CAFE+DSA", "KIP", "MTT", "FRePo"),
    ),
    f"Generative models: {DRAWN}": ("gan", "dim"),
}
chosen = session.study.methods
rows = [
    session.row(name, group) if name.islower() else tables.Row(None, name, name, group)
    for group, names in GROUPS.items()
    for name in names
    if name in chosen or not name.islower()
]
known = {row.method for row in rows}
rows += [session.row(name, "Further methods") for name in chosen if name not in known]
table = tables.accuracy_table(
    session.records,
    rows,
    session.study.datasets,
    session.study.ipcs,
    session.reported,
    paper="dim",
    item="table2",
    fallbacks=(),
    command=session.study.command(),
    caption="The same number is IPC for stored images and INPC for generators.",
)
session.save(table)
table

# %%
whole = [
    f"{words.data_set(number.dataset)} {words.percent(number.value, number.std)}"
    for number in numbers_of(session.reported)
    if (number.paper, number.item, number.budget) == ("dim", "table2", "whole")
]
session.say(
    f"The table's last row, the whole training set, as reported: {', '.join(whole)} %. It is no cell of this page; "
    "`METHODS=...,whole` measures it."
)

# %% [markdown]
# ## What the two budgets cost
# For one trained network. *Distinct images* are counted before augmentation: stored images come again in every epoch,
# drawn ones never do. Bytes are those of the tensors that are kept. At the same number a generator stores the same at
# every budget; its images of an epoch are as many as those of plain pixels.

# %%
kinds = {row.method: row.group.split(":")[0] for row in rows}
costs = budgets.costs(session.records, lambda record: kinds.get(record["method"], "Further methods"))
tables.styled(costs)

# %% [markdown]
# ## What stands behind each number

# %%
session.settings()

# %% [markdown]
# ## DiM and its GAN, pair by pair
# The mean difference in points between the networks trained on DiM's images and on those of the GAN it goes on from,
# and a 95 % bootstrap interval. Both are generators, so the budget is INPC on either side.

# %%
pairs = session.pairs()
tables.styled(pairs)

# %% [markdown]
# ## What holds here

# %%
frame = table.frame()
measured = frame[frame.status == "measured"]
claims = []
for (name, budget), part in measured.groupby(["dataset", "ipc"], sort=False):
    row = {line.method: line for line in part.itertuples()}
    stored = [line for method, line in row.items() if method not in ("gan", "dim")]
    if "dim" not in row or not stored:
        continue
    best = max(stored, key=lambda line: line.measured)
    claims.append(
        (
            "DiM at INPC is better than every set of stored images of this table at the same number as IPC",
            beats(row["dim"], best),
            f"{words.data_set(name)}, {budget}: {row['dim'].measured:.1f} against {best.measured:.1f} ({best.label}); "
            "another number of images seen and of bytes stored, see above",
        )
    )
for _, pair in pairs[pairs.method == "dim"].iterrows():
    where = f"{words.data_set(pair.dataset)}, INPC {pair.ipc}"
    claims.append(
        (
            "DiM is better than its GAN (holds or not where the interval has one sign)",
            {"higher": True, "lower": False}.get(pair.verdict),
            f"{where}: {pair.difference:+.1f} points, interval {pair.low:+.1f} to {pair.high:+.1f}"
            if pair.n
            else f"{where}: not measured",
        )
    )
for name in session.study.datasets:
    by = measured[measured.dataset == name].pivot(index="method", columns="ipc", values="measured")
    if "dim" in by.index and by.shape[1] > 1 and len(by) > 2:
        lead = by.loc["dim"] - by.drop(index=["dim", "gan"], errors="ignore").max()
        small, large = min(lead.index), max(lead.index)
        claims.append(
            (
                "the lead of the generator's mean is largest at one image per class",
                bool(lead[small] > max(0, lead[large])),
                f"{words.data_set(name)}: {lead[small]:+.1f} points at {small}, {lead[large]:+.1f} at {large}",
            )
        )
session.verdict(claims)

# %%
# NBVAL_CHECK_OUTPUT
print(session.check_complete())
drawn = [record for record in session.records if record.get("budget") == "inpc"]
assert all(budgets.distinct_images(record) == budgets.forward_passes(record) for record in drawn)
print("every image that a generator gives is seen once")
