# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # DiM, Table 1: comparison of DiI and DiM
#
# **The claim.** The paper sums up its idea in three lines, without a number:
#
# | | distil into images (DiI) | distil into a model (DiM) |
# |---|---|---|
# | information container | images | models |
# | cross-architecture performance | unstable | stable |
# | redeployment at another IPC or INPC | every time | once for all |

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

from dreamlib.companion.report import tables, words
from dreamlib.companion.report.statistics import SHARED
from dreamlib.companion.report.verdicts import Evidence, all_of, compare
from dreamlib.companion.session import Session

session = Session.of_notebook("dim/table1", globals())

# The modules next to this notebook.
import architectures
import budgets

session.about()

# %%
session.run()

# %% [markdown]
# ## The paper's table, with numbers
# *Accuracy by network* lists what was measured at the largest budget; *spread* is from the worst to the best network,
# but for networks that no row has taught anything (all means below twice the chance): they say nothing of the rows.
# *Second budget* is the time of distillation that the largest budget takes after the smaller ones are served: seconds
# of the device below, and none where others used it too.

# %%
ROWS = [
    tables.Row("dim+C3" if name == "dim" else name, session.label(name), None)
    for name in session.study.methods
]
networks = list(dict.fromkeys(record["evaluation"]["network"]["name"] for record in session.records))
own = [record for record in session.records if record["evaluation"]["network"]["name"] == "convnet"]
served = budgets.redeployment(own)
frames = {
    (name, ipc): architectures.by_network(
        session.records, ROWS, networks, session.reported, dataset=name, ipc=ipc, paper="dim", item="table1"
    )
    for name in session.study.datasets
    for ipc in session.study.ipcs
}
lines, spreads, learning = [], {}, {}
for name in session.study.datasets:
    largest = max(session.study.ipcs)
    frame = frames[name, largest]
    idle = architectures.at_chance(frame, session.dataset(name).num_classes)
    if idle:
        left_out = ", ".join(words.NETWORKS[network] for network in idle)
        session.say(f"*{words.data_set(name)}: {left_out} learns nothing under this profile.*")
    learning[name] = [network for network in networks if network not in idle]
    for row in ROWS:
        mine = [r for r in own if (r["dataset"], r["method"]) == (name, row.method)]
        if not mine:
            session.say(f"*{row.label} on {words.data_set(name)} is missing: `{session.study.command()}`*")
            continue
        bytes_of = {record["ipc"]: record["bytes_stored"] for record in sorted(mine, key=lambda r: r["ipc"])}
        known = frame[(frame.method == row.method) & (frame.status == "measured")]
        spreads[name, row.method] = architectures.spreads(
            session.records, row.method, name, largest, learning[name]
        )
        wide = [one for (one,) in spreads[name, row.method].values()]
        spent = served[(served.dataset == name) & (served.method == row.method)]
        cost = spent.seconds.where(spent.machine != SHARED).groupby(spent.ipc).mean()
        lines.append(
            {
                "data set": name,
                "method": row.label,
                "container": "a generator" if mine[0]["images_stored"] == 0 else "images",
                "bytes stored": "; ".join(
                    f"{words.size(count)} at {budgets.kind(mine[0])} {ipc}" for ipc, count in bytes_of.items()
                ),
                f"accuracy by network at {largest} images per class (%)": "; ".join(
                    f"{words.NETWORKS[line['network']]} {words.percent(line['mean'], line['std'])} (n={line['n']})"
                    for line in known.to_dict("records")
                ),
                "spread (points)": sum(wide) / len(wide) if wide else None,
                "sets": len(wide),
                "seconds of the first budget": cost.iloc[0],
                "seconds of a second budget": cost.iloc[-1] if len(cost) > 1 else None,
            }
        )
table = pd.DataFrame(lines)
session.save_frame(table, digits=1)

# %% [markdown]
# ## Every network at every budget

# %%
session.say(budgets.steps_told(session.records, lambda record: record["label"]))
for (name, ipc), frame in frames.items():
    session.say(f"**{words.data_set(name)}, {ipc} images per class (DiM: INPC, the others: IPC)**")
    session.show(architectures.grid(frame))

# %% [markdown]
# ## What is measured
#
# *Container*: the bytes that are stored at each budget. *Stable*: the accuracies under several networks after
# distillation with one ConvNet, and how far apart they are. *Redeployment*: the seconds that it takes to serve a second
# budget when the first one is served. DM and DSA stand for images, and DiM with a pool of the ConvNet alone for models.
# The budget of images is IPC, stored once and shown in every epoch; that of the generator is INPC, drawn again in every
# epoch. Networks that trained for few steps are far apart whatever they trained on, so spreads are compared only where
# all took equally many.

# %% [markdown]
# ## What stands behind each number

# %%
session.settings()

# %% [markdown]
# ## How the verdicts come about
# *Stable* is no number in the paper; here it holds when the spread of DiM, from the worst to the best network, is
# smaller than that of each method that stores images, over the networks that learn.

# %%


def steadier(name: str, method: str) -> Evidence:
    """How much farther apart networks are with stored images than with DiM, set by set."""
    largest = max(session.study.ipcs)
    sides = [
        [r for r in session.records if (r["method"], r["dataset"], r["ipc"]) == (one, name, largest)]
        for one in ("dim+C3", method)
    ]
    found = compare(spreads.get((name, method), {}), spreads.get((name, "dim+C3"), {}))
    return found.barred(budgets.unequal(*sides))


claims, also = [], []
for name in session.study.datasets:
    where, here = words.data_set(name), served[served.dataset == name]
    others = [row.method for row in ROWS if row.method != "dim+C3"]
    wider = {
        f"{where}, {session.label(method)}'s spread minus DiM's": steadier(name, method) for method in others
    }
    claims.append(
        ("accuracy across architectures is stable with a model and unstable with images", *all_of(wider))
    )
    first = here[here.ipc == here.ipc.min()].groupby("method").seconds.mean()
    again = here[here.ipc > here.ipc.min()].groupby("method").seconds.mean()
    once = "images are distilled every time the budget changes, a model once for all"
    if "dim+C3" not in again or len(again) < 2:
        claims.append((once, None, f"{where}: not measured"))
        continue
    bytes_of = {
        m: max(r["bytes_stored"] for r in own if (r["dataset"], r["method"]) == (name, m))
        for m in first.index
    }
    told = {
        kind: ", ".join(f"{say(value)} ({m.split('+')[0]})" for m, value in values.items())
        for kind, values, say in (
            ("first", first, words.duration),
            ("again", again, words.duration),
            ("bytes", bytes_of, words.size),
        )
    }
    # That nothing is distilled a second time shows on any machine, what it takes on an idle one alone.
    alone = not (here.machine == SHARED).any()
    waited = "the machine was shared, so that its seconds are not shown"
    claims.append(
        (
            once,
            bool(again["dim+C3"] == 0 and (again.drop("dim+C3") > 0).all()),
            f"{where}: a second budget takes {told['again']}, by the clock of this machine"
            if alone
            else f"{where}: by the checksums of what is distilled; {waited}",
        )
    )
    also += [
        (
            "distilling into a model is no dearer than into images",
            bool(first["dim+C3"] <= first.drop("dim+C3").min()) if alone else None,
            f"{where}: the first budget takes {told['first']}, by the clock of this machine"
            if alone
            else f"{where}: {waited}; these cells again on an idle one would decide it",
        ),
        (
            "a model stores no more than images",
            bool(bytes_of["dim+C3"] <= min(count for m, count in bytes_of.items() if m != "dim+C3")),
            f"{where}, at the largest budget: {told['bytes']}",
        ),
    ]
session.verdict(claims, also)

# %%
# NBVAL_CHECK_OUTPUT
print(
    session.check(
        {  # mean accuracies of quick in percent, and how far another CPU may miss them
            "dm, IPC 1, ConvNet-2, instance norm": (86, 2),
            "dm, IPC 10, ConvNet-2, instance norm": (85, 1.5),
            "dsa, IPC 10, ConvNet-2, instance norm": (84, 1),
            "dim+C3, INPC 1, ConvNet-2, instance norm": (26, 11),
            "dim+C3, INPC 10, ConvNet-2, instance norm": (44, 20),
            "dm, IPC 10, ResNet-18, group norm": (77, 6),
        },
    )
)
for name in session.study.datasets:
    again = served[(served.dataset == name) & (served.ipc > served.ipc.min())]
    assert (again[again.method == "dim+C3"].seconds == 0).all()
    assert (again[again.method != "dim+C3"].seconds > 0).all()
print("a second budget costs images a distillation, and a generator none")
