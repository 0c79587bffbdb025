# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # DiM, Figure 3c: scalability to large architectures
#
# **The claim.** One generator, trained once, serves every network and every number of images drawn per class for an
# epoch (INPC). Simple networks are better at a small INPC, complex ones at a large: at INPC = 1 ConvNet-3 (C-3) leads
# ResNet-34 by 12.6 points, ResNet-50 by 15.8 and DenseNet-121 by 9.4. Except there, larger networks do well, and
# accuracy rises with INPC (CIFAR-10).

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
from dataclasses import replace

import pandas as pd

from dreamlib.companion.plans import dim
from dreamlib.companion.report import statistics, tables, words
from dreamlib.companion.report.verdicts import Evidence, all_of, compare
from dreamlib.companion.session import Session

session = Session.of_notebook("dim/figure3c", globals())

# The modules next to this notebook.
import ablation
import budgets

session.about()

# %%
session.run()

# %% [markdown]
# ## Measured
# The paper prints no accuracies here, so there is no reported number to compare with.

# %%
judges = {judge.name: judge.label for judge in ablation.JUDGES.values()}
names = [spec.name for spec in dim.larger(profile).values()]
# A row is a network of judgement.
records = [
    record
    | {
        "method": record["evaluation"]["network"]["name"],
        "label": words.network(record["evaluation"]["network"]),
    }
    for record in session.records
]
told = {record["method"]: record["label"] for record in records}
rows = [
    tables.Row(name, f"{judges[name]} ({told[name]})" if name in told else judges[name], None)
    for name in names
]
table = replace(
    session.accuracy_table(
        rows,
        records,
        paper="dim",
        item="fig3c",
        fallbacks=(),
    ),
    wording=tables.Wording(
        by="INPC, the images per class that the generator draws again for every epoch",
        head="INPC",
        made="generator",
        budget="inpc",
    ),
)
session.save(table)

# %%
frame = table.frame().assign(
    line=lambda t: t.method.map(judges), x=lambda t: t.ipc, tick=lambda t: t.ipc.astype(str)
)
panels = {
    words.data_set(str(name)): part.rename(columns={"measured": "mean"})
    for name, part in frame.groupby("dataset", sort=False)
}
figure = ablation.varied(panels, xlabel="INPC (logarithmic)", logarithmic=True, suptitle=f"Profile {profile}")
session.save_figure(figure, "networks")

# %% [markdown]
# ## Who leads
# ConvNet-3 minus each other network on the same generator, with the 95 % interval over generators, the lead that the
# paper's text names for CIFAR-10, and how many generators would decide it.

# %%
small = names[0]
numbers = session.reported[
    (session.reported.item == "fig3c") & (session.reported.metric == "convnet3_lead_points")
]
printed = {(line.network, int(line.ipc)): line.value for line in numbers.itertuples()}
leads = pd.concat(
    [
        statistics.paired_difference(
            records,
            small,
            other,
            session.study.datasets,
            session.study.ipcs,
            {("cifar10", ipc): lead for (name, ipc), lead in printed.items() if name == other},
        )
        for other in names[1:]
    ],
    ignore_index=True,
)
shown = leads.assign(method=leads.method.map(judges), base=leads.base.map(judges))
absent = {name: lead for (name, _), lead in printed.items() if name not in names}
if absent:
    session.say(
        "Reported leads of networks that this profile does not train: "
        + ", ".join(f"{judges[name]} {lead:.1f} points" for name, lead in absent.items())
        + " (INPC 1, CIFAR-10)."
    )
tables.styled(shown.rename(columns={"ipc": "INPC", "n": "generators", "claimed": "reported"}), decimals=1)

# %% [markdown]
# ## What an INPC costs
# The generator's bytes and seconds are the same for all: nothing is distilled again. Where others used the machine too,
# the line says so and has no seconds.

# %%
costs = pd.DataFrame(
    [
        {
            "dataset": record["dataset"],
            "INPC": record["ipc"],
            "network": judges[record["method"]],
            "images of an epoch": record["images_decoded"],
            "steps": record["steps_trained"],
            "generator (bytes)": record["bytes_stored"],
            "distillation (s), once": statistics.clock(record, "distill"),
            "evaluation (s)": statistics.clock(record, "evaluate"),
            "machine": statistics.machine(record),
            "networks": len(record["accuracies"]),
        }
        for record in records
    ]
)
tables.styled(costs, decimals=1)

# %%
session.say(budgets.steps_told(records, lambda record: judges[record["method"]]))

# %% [markdown]
# ## What is compared
#
# Networks trained on the images of one generator. The figure prints no accuracies; the three leads are from its text.
# At one INPC all networks train for equally many steps, so they can be compared. From one INPC to another the number of
# steps may change with the number of images: then a rise is one of both, and decides nothing. Both are listed below.
# Where a small INPC also means few steps, a large network that lags there may only lack steps.

# %% [markdown]
# ## What stands behind each number
# *images/class* counts what the generator draws of each class for an epoch; it stores none (*bytes stored* is its
# weights).

# %%
session.settings()

# %% [markdown]
# ## How the verdicts come about

# %%
first, last = min(session.study.ipcs), max(session.study.ipcs)


def of(network: str, name: str, ipc: int) -> list[dict]:
    """The records of a network of judgement at one place."""
    return [r for r in records if (r["method"], r["dataset"], r["ipc"]) == (network, name, ipc)]


def ahead(one: str, others: list[str], ipc: int) -> tuple[bool | None, str]:
    """Whether a network is better than these at an INPC, generator by generator."""
    found = {
        f"{words.data_set(name)}, INPC {ipc}, {judges[one]} to {judges[other]}": statistics.comparison(
            records, one, other, name, ipc, printed.get((other, ipc)), source="on CIFAR-10", made="generator"
        ).barred(budgets.unequal(of(one, name, ipc), of(other, name, ipc)))
        for name in session.study.datasets
        for other in others
    }
    return all_of(found)


def rise(network: str, name: str) -> Evidence:
    """How much better a network is at the largest INPC than at the smallest, generator by generator."""
    ends = [statistics.by_seed(records, network, name, ipc) for ipc in (last, first)]
    steps = budgets.unequal(of(network, name, last), of(network, name, first))
    return compare(*ends, made="generator").barred(steps)


rises = {
    f"{words.data_set(name)}, {judges[network]}, INPC {first} to {last}": rise(network, name)
    for name in session.study.datasets
    for network in names
    if last > first
}
shas = {(record["dataset"], record["seed"], record["set_sha256"]) for record in records}
trained = {(record["dataset"], record["seed"]) for record in records}
claims = [
    ("at the smallest INPC ConvNet-3 is better than larger networks", *ahead(small, names[1:], first)),
    ("at the largest INPC the largest network is better than ConvNet-3", *ahead(names[-1], [small], last)),
    ("accuracy is higher at the largest INPC than at the smallest, under every network", *all_of(rises)),
    (
        "one generator serves all of them, without training it again",
        len(shas) == len(trained) if records else None,
        f"{len(records)} cells, {words.plural(len(shas), 'generator')} by checksum, for "
        f"{words.plural(len(trained), 'pair')} of data set and seed",
    ),
]
session.verdict(claims)

# %%
# NBVAL_CHECK_OUTPUT
print(
    session.check(
        {  # mean accuracies of quick in percent, and how far another CPU may miss them
            "dim, INPC 1, ConvNet-2, instance norm": (26, 11),
            "dim, INPC 10, ConvNet-2, instance norm": (44, 15),
            "dim, INPC 20, ConvNet-2, instance norm": (45, 20),
            "dim, INPC 20, ResNet-18, batch norm": (25, 10),
        },
        reported=("dim/fig3c",),
    )
)
