# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # DREAM, Table 1: accuracy of many methods
#
# **The claim.** DREAM matches *representative* real images, found by clustering, instead of random ones. Its
# supplement compares it with twelve methods on four data sets at 1, 10 and 50 images per class (IPC) and finds it
# best in most columns, most clearly when IPC is small.
#
# **What is compared.** Every method here is one recipe of four exchangeable parts: a sampler, a matcher, a container
# and a network schedule. For a network $\theta$ and class $c$, with real images $\mathcal{T}_c$ chosen by the
# sampler and synthetic images $\mathcal{S}_c$ decoded from the container,
#
# $$\mathcal{S}^{*} = \mathrm{arg\,min}_{\mathcal{S}} \sum_{c} D(m_{\theta}(\mathcal{T}_c), m_{\theta}(\mathcal{S}_c))$$
#
# where $m_\theta$ is what the matcher measures: the gradient of the loss (DC, DSA, IDC, DREAM) or the mean feature
# (DM). DREAM changes only how $\mathcal{T}_c$ is chosen.

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
from dreamlib.report import figures, tables
from dreamlib.session import Session

session = Session(
    "dream/table1",
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

# %% [markdown]
# ## Measured beside reported
# One call computes the cells that are missing and finds the others. Methods that this companion does not implement
# yet appear with the paper's number only, marked as reported.

# %%
session.run()

# %%
PAPER = ("DD", "LD", "dc", "dsa", "dm", "CAFE", "MTT", "idc", "KIP", "RFAD", "HaBa", "FRePo", "dream")
chosen = session.study.methods
rows = [
    session.row(name, "Table 1 of the paper")
    if name.islower()
    else tables.Row(None, name, name, "Table 1 of the paper")
    for name in PAPER
    if name in chosen or not name.islower()
]
rows += [session.row(name) for name in chosen if name not in PAPER]
table = session.accuracy_table(rows)
session.save(table)
table

# %% [markdown]
# ## The same as a picture
# Bars are means over all trained networks, whiskers one standard deviation; a mark is the paper's number, where there
# is one.

# %%
frame = table.frame()
for (name, budget), part in frame[frame.method != ""].groupby(["dataset", "ipc"], sort=False):
    axes = figures.bars(
        part.label.tolist(),
        part.measured.tolist(),
        part["std"].tolist(),
        part.reported.tolist() if part.reported.notna().any() else None,
        methods=part.method.tolist(),
        title=f"{name}, {budget} image(s) per class, profile {profile}",
    )
    axes.tick_params(axis="x", rotation=35)
    session.save_figure(axes.figure, f"{name}-ipc{budget}")

# %% [markdown]
# ## What stands behind each number
# A difference of a point is worth nothing without these. Values that differ between the cells of a method are listed
# together.

# %%
session.settings()

# %% [markdown]
# ## DREAM as a plug
# The same method, seeds and networks, with random sampling replaced by representative sampling: the mean difference
# in points, and a 95 % bootstrap interval. Rows X+DREAM change the sampler and nothing else; DREAM itself is IDC with
# representative sampling, cluster centres to start from and, under `paper`, twice the real batch.
# Where a gain is missing, `figure_gradnorm` shows a possible reason: a
# representative batch is nearer to the class's mean
# gradient than a random one, but such batches share a bias.

# %%
pairs = session.pairs()
tables.styled(pairs)

# %% [markdown]
# ## What holds here

# %%
measured = frame[frame.status == "measured"]
columns = measured.groupby(["dataset", "ipc"])
best = {column: part.loc[part.measured.idxmax(), "label"] for column, part in columns}
wins = sum(label == "DREAM" for label in best.values())
claims = [
    (
        "DREAM is best in most columns",
        wins > len(best) / 2 if "dream" in chosen and len(chosen) > 1 else None,
        f"best of the measured methods in {wins} of {len(best)} columns: "
        + ", ".join(f"{data} IPC {ipc}: {label}" for (data, ipc), label in best.items()),
    )
]
for method, part in pairs.groupby("method", sort=False):
    base = part.base.iloc[0]
    better, clear = int((part.difference > 0).sum()), int((part.low > 0).sum())
    claims.append(
        (
            f"{session.label(method)} beats {session.label(base)} at equal iterations",
            better == len(part),
            f"higher mean in {better} of {len(part)} columns, with the whole interval above zero in {clear}; "
            f"differences {part.difference.min():+.1f} to {part.difference.max():+.1f} points",
        )
    )
session.verdict(claims)

# %%
# NBVAL_CHECK_OUTPUT
print(session.check_complete())
