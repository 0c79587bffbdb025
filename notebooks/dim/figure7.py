# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # DiM, Figure 7: images of gradient and feature matching
#
# **What the paper shows.** Images of generators that match gradients or features instead of logits, at 130, 150, 170
# and 190 epochs, without a judgement in words. Its Table 4 has their accuracies at the end.

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
import pandas as pd

from dreamlib.companion.plans import dim
from dreamlib.companion.report import statistics, words
from dreamlib.companion.report.verdicts import all_of, compare
from dreamlib.companion.session import Session

session = Session.of_notebook("dim/figure7", globals())

from training import along, curves_along, images_along  # next to this notebook

session.about()

# %%
session.run()

# %%
SHOWN = 10  # images of a class
NAMES = {"convnet": "C-3", "resnet10": "R-10"}

# %% [markdown]
# ## The images
# Every row is a class. Small profiles have fewer epochs in all; an epoch of the paper's 200 is then the same share of
# them.

# %%
images_along(session, dim.ALONG, dim.epoch, SHOWN)

# %% [markdown]
# ## How far apart they are
# Root mean square difference of pixels between the two generators' images of the same noise, in units of the spread
# of pixels (0: the same images).

# %%
lines = []
for name in session.study.datasets:
    pair = [
        session.generated(session.cell(method, name, session.study.ipcs[0]), SHOWN)
        for method in session.study.methods[:2]
    ]
    if len(pair) < 2 or not all(pair):
        continue
    for epoch in sorted(set(pair[0]) & set(pair[1])):
        one, other = pair[0][epoch], pair[1][epoch]
        difference = (one - other).square().mean().sqrt() / one.std()
        lines.append({"data set": name, "epoch": epoch, "difference": float(difference)})
apart = pd.DataFrame(lines, columns=["data set", "epoch", "difference"])
session.show(apart, digits=3)

# %% [markdown]
# ## Accuracies
# Networks trained on INPC images of each class per epoch, drawn by the generator as it was at that epoch.

# %%
frame = along(session.records)
lines = []
for line in frame.to_dict("records"):
    cell = session.cell(line["method"], line["dataset"], line["ipc"])
    published = next((p for p in dim.ALONG if dim.epoch(cell, p) == line["step"]), None)
    lines.append(
        {
            "data set": line["dataset"],
            "INPC": line["ipc"],
            "method": line["label"],
            "network": NAMES.get(line["network"], line["network"]),
            "epoch of the paper": published,
            "epoch here": line["step"],
            "accuracy (%)": line["mean"],
            "std": line["std"],
            "n": line["n"],
        }
    )
table = pd.DataFrame(lines)
session.save_frame(table, digits=1)

# %%
curves_along(session, frame, NAMES)

# %% [markdown]
# ## Reported
# Table 4 of the paper: CIFAR-10, INPC 50, the end of training.

# %%
PRINTED = {"convnet3": "C-3", "resnet10": "R-10"}
printed = session.reported[(session.reported.paper == "dim") & (session.reported.item == "table4")]
printed = printed[
    printed.network.isin(PRINTED) & printed.method.isin(("DiM matching=feature", "DiM matching=gradient"))
]
session.show(
    pd.DataFrame(
        {
            "what is matched": printed.method.str.partition("=")[2],
            "network": printed.network.map(PRINTED),
            "accuracy, reported (%)": printed.value,
        }
    ),
    digits=1,
)

# %% [markdown]
# ## What is shown
#
# The same generators at the same epochs, drawn from the same noise, and what the paper leaves out: the accuracies of
# networks trained on what they draw at each epoch. The reported ones of Table 4 are of CIFAR-10 and stand in a table of
# their own. Everything that is matched starts from the same generator; budgets are INPC.

# %% [markdown]
# ## What stands behind each number
# *Iterations* are the epochs at which a generator was judged.

# %%
session.settings([record | {"iterations": record["iteration"]} for record in session.records])

# %% [markdown]
# ## How the verdicts come about
# The paper claims nothing of this figure. Table 4's order of the two strategies is decided on the page of Table 4; here
# it is looked at along training, generator by generator.

# %%


def lead(name, ipc, step, network):
    """Feature matching above gradient matching at an epoch."""
    own = [record for record in session.records if record["evaluation"]["network"]["name"] == network]
    sides = [statistics.by_seed(own, method, name, ipc, step) for method in ("dim-feature", "dim-gradient")]
    return compare(*sides, made="generator")


also = [("what the images look like", None, "a matter of the eye; the paper says nothing of it")]
for (name, network), part in frame.groupby(["dataset", "network"], sort=False):
    where = f"{words.data_set(name)}, {NAMES.get(network, network)}"
    found = {
        f"{where}, epoch {step}": lead(name, ipc, step, network)
        for ipc, step in dict.fromkeys(zip(part.ipc, part.step, strict=True))
    }
    found = {place: one for place, one in found.items() if one.difference is not None}
    also.append(("feature matching is better than gradient matching at every epoch shown", *all_of(found)))
session.verdict([], also)

# %%
# NBVAL_CHECK_OUTPUT
print(
    session.check(
        {  # mean accuracies of quick in percent, and how far another CPU may miss them
            "dim-gradient, INPC 10, step 13, ConvNet-2, instance norm": (61, 20),
            "dim-gradient, INPC 10, step 19, ConvNet-2, instance norm": (62, 20),
            "dim-feature, INPC 10, step 13, ConvNet-2, instance norm": (61, 20),
            "dim-feature, INPC 10, step 19, ConvNet-2, instance norm": (63, 20),
        },
        reported=("dim/table4",),
    )
)
print(f"{len(table)} accuracies along the way")
