# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # DiM, Table 7: performance on unseen architectures
#
# **The claim.** A generator distilled with ConvNet-3 alone trains other networks well too: 69.2 % with ResNet-18,
# 66.8 with VGG-11 and 67.3 with AlexNet on CIFAR-10 at INPC 10, where distilled images lose 4 to 30 points on the
# networks they were not distilled with. DiM is "the first work where ResNet-18 performs better than ConvNet-3".

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
import pandas as pd

from dreamlib.companion.plans import dim
from dreamlib.companion.report import figures, tables, words
from dreamlib.companion.report.reported import find
from dreamlib.companion.report.reported import rows as numbers_of
from dreamlib.companion.report.verdicts import all_of, compare
from dreamlib.companion.session import Session
from dreamlib.networks import misfit

session = Session.of_notebook("dim/table7", globals())

# The modules next to this notebook.
import architectures
import budgets

session.about()

# %%
session.run()

# %% [markdown]
# ## Measured and reported
# A network that is too deep for the images of a data set is *not possible*, not missing: VGG-11 halves its images
# five times. The paper has CIFAR-10 alone: where this profile measures another data set, the paper's numbers stand in a
# table of their own.

# %%
NETWORKS = ("convnet", "resnet18", "vgg11", "alexnet")
rows = [
    tables.Row("dim+C3" if name == "dim" else name, label, reported_as)
    for name, label, reported_as in (("dim", "DiM, pool ConvNet (INPC)", "DiM"), ("dsa", "DSA (IPC)", "DSA"))
    if name in session.study.methods
]
for name in session.study.methods:
    if name not in ("dim", "dsa"):
        row = session.rows(name)[-1]  # networks other than a method's own are asked under the common protocol
        printed = session.row(name).reported_as if name in ("frepo", "mtt") else None
        rows.append(tables.Row(row.method, f"{row.label} (IPC)" if printed else row.label, printed))
rows.append(tables.Row(None, f"{words.PAPERS_OWN['KIP']} (IPC)", "KIP"))
specs = {spec.name: spec for spec in (dim.MODELS["C3"], *dim.UNSEEN.values())}
frames, kept = {}, []
for name in session.study.datasets:
    dataset = session.dataset(name)
    impossible = {n: why for n in NETWORKS if (why := misfit(specs[n], dataset.shape, dataset.num_classes))}
    measured = {record["evaluation"]["network"]["name"] for record in session.records}
    for ipc in session.study.ipcs:
        frame = architectures.by_network(
            session.records,
            rows,
            NETWORKS,
            session.reported,
            dataset=name,
            ipc=ipc,
            paper="dim",
            item="table7",
            impossible=set(impossible) - measured,
        )
        frames[name, ipc] = frame
        shown = architectures.grid(frame)
        kept.append(shown.assign(**{"data set": words.data_set(name), "images per class": ipc}))
        session.say(f"**{words.data_set(name)}, {ipc} images per class (DiM: INPC, the others: IPC)**")
        session.show(shown)
    for network, why in impossible.items():
        if network not in measured:
            session.say(f"*{words.NETWORKS[network]} on {words.data_set(name)} is not possible: {why}.*")
if session.study.missing():
    session.say(f"*What is missing is filled by `{session.study.command()}`.*")
if ("cifar10", 10) not in frames:
    printed = architectures.by_network(
        (),
        rows,
        NETWORKS,
        session.reported,
        dataset="cifar10",
        ipc=10,
        paper="dim",
        item="table7",
        here=False,
    )
    shown = architectures.grid(printed)
    kept.append(shown.assign(**{"data set": "CIFAR-10", "images per class": 10}))
    session.say("**CIFAR-10, 10 images per class: as reported; this profile does not measure it**")
    session.show(shown)

# %% [markdown]
# All of it in one table stands at the top of this page.

# %%
whole = pd.concat(kept, ignore_index=True)
session.save_frame(whole[["data set", "images per class", *shown.columns]].fillna(words.NOTHING), digits=1)

# %%
for (name, ipc), frame in frames.items():
    for label, part in frame[frame.method != ""].groupby("label", sort=False):
        shown = part[part.status != architectures.IMPOSSIBLE]
        axes = figures.bars(
            [words.NETWORKS[network] for network in shown.network],
            shown["mean"].tolist(),
            shown["std"].tolist(),
            shown.reported.tolist() if shown.reported.notna().any() else None,
            methods=shown.method.str.split("+").str[0].tolist(),
            title=f"{label}: {words.data_set(name)}, profile {profile}",
        )
        method = part.method.iloc[0].split("+")[0]
        session.save_figure(axes.figure, f"{name}-{method}-ipc{ipc}")

# %% [markdown]
# ## How stable
# Differences in points to the network that was distilled with, the first column of the tables above. A network
# that no row has taught anything (all means below twice the chance) says nothing of the rows: its measured numbers are
# left out here.

# %%
learned, steady = {}, {}
for (name, ipc), frame in frames.items():
    idle = architectures.at_chance(frame, session.dataset(name).num_classes)
    learned[name, ipc] = frame[(frame.status == "measured") & ~frame.network.isin(idle)]
    steady[name, ipc] = architectures.stability(frame, without=idle)
    left_out = ", ".join(words.NETWORKS[network] for network in idle)
    session.say(
        f"**{words.data_set(name)}, {ipc} images per class**"
        + (f"; {left_out} learns nothing under this profile, and is left out" if idle else "")
    )
    session.show(steady[name, ipc], digits=1)

# %% [markdown]
# ## What the two budgets cost

# %%
tables.styled(budgets.costs(session.records, lambda record: record["label"]))

# %%
session.say(budgets.steps_told(session.records, lambda record: record["label"]))

# %% [markdown]
# ## What is measured
#
# DiM whose models pool is the ConvNet alone, and DSA, both distilled with one architecture and judged by several. So
# are KIP, FRePo and MTT, under the common protocol: DSA's schedule and augmentation, and the labels of KIP and FRePo,
# which are real numbers, by squared error. The budget of stored images is IPC, they come again in every epoch; DiM's is
# INPC, new images in every epoch.
#
# **A doubt about the paper's first column.** The caption says that the distillation architecture is ConvNet-3. Yet
# DiM's 66.2 ± 0.5 with ConvNet-3 is the very number of Table 2, where the pool has all three networks; by Table 6 a
# pool of ConvNet-3 alone is 0.6 points worse (at INPC 50). Here the pool is what the caption says.

# %% [markdown]
# ## What stands behind each number

# %%
session.settings()

# %% [markdown]
# ## How the verdicts come about
# DiM and DSA are compared only where their networks trained for equally many steps. Two networks on DiM's images are:
# they took the same steps on the same generator.

# %%
DIM, DSA = "dim+C3", "dsa"
numbers = numbers_of(session.reported)


def printed_gap(network):
    """How far the paper has a network above ConvNet-3 on DiM's images."""
    ours, base = (
        find(numbers, "dim", "table7", "cifar10", 10, "DiM", network=one) for one in (network, "convnet3")
    )
    return ours.value - base.value


claims = []
for (name, ipc), frame in learned.items():
    where = f"{words.data_set(name)}, {ipc} images per class"
    there = list(dict.fromkeys(frame.network))
    sides = [
        [r for r in session.records if (r["method"], r["dataset"], r["ipc"]) == (method, name, ipc)]
        for method in (DIM, DSA)
    ]
    steps = budgets.unequal(*sides)

    def accuracies(method, network, at=(name, ipc)):
        return architectures.by_seed(session.records, method, *at, network)

    lead = {
        f"{where}, {words.NETWORKS[network]}": compare(
            accuracies(DIM, network), accuracies(DSA, network)
        ).barred(steps)
        for network in there
    }
    claims.append(("DiM (INPC) is better than DSA (IPC) under every network", *all_of(lead)))
    for network in ("resnet18", "vgg11", "alexnet"):
        claim = f"trained on DiM's images, {words.NETWORKS[network]} is better than the ConvNet"
        if not {network, "convnet"} <= set(there):
            claims.append(
                (claim, None, f"{where}: {words.NETWORKS[network]} is not possible or learns nothing here")
            )
            continue
        gap = compare(
            accuracies(DIM, network),
            accuracies(DIM, "convnet"),
            printed_gap(network),
            source="on CIFAR-10",
            made="generator",
        )
        claims.append((claim, *gap.told(where)))
    spread = {
        method: architectures.spreads(session.records, method, name, ipc, there) for method in (DIM, DSA)
    }
    wider = compare(spread[DSA], spread[DIM]).barred(steps)
    claims.append(
        (
            "DiM's accuracy depends less on the network than DSA's",
            *wider.told(f"{where}, from worst to best network, DSA's points minus DiM's"),
        )
    )
session.verdict(claims, made="set or generator")

# %%
# NBVAL_CHECK_OUTPUT
print(
    session.check(
        {  # mean accuracies of quick in percent, and how far another CPU may miss them
            "dim+C3, INPC 10, ConvNet-2, instance norm": (44, 20),
            "dsa, IPC 10, ConvNet-2, instance norm": (84, 1),
            "dsa, IPC 10, ResNet-18, group norm": (81, 4),
            "dsa, IPC 10, AlexNet": (10, 2),
        },
        reported=("dim/table7",),
    )
)
if not session.study.missing():
    for frame in frames.values():
        assert (frame.status[frame.method != ""] != "missing").all()
    print("no place of the table is missing")
