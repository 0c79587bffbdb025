# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # DiM, Figure 6: synthetic images of GANs and DiM
#
# **The claim.** At 130, 150, 170 and 190 epochs DiM's generator trains better networks than the GAN's: "DiM
# outperforms GAN at all epochs with 4 % to 5.5 %" on ConvNet-3 (C-3) and ResNet-10 (R-10).

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
from dreamlib.companion.report import statistics, words
from dreamlib.companion.report.verdicts import all_of, compare, interval
from dreamlib.companion.session import Session

session = Session.of_notebook("dim/figure6", globals())

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
LABELS = {"gan": "GAN", "dim": "DiM"}
images_along(session, dim.ALONG, dim.epoch, SHOWN)

# %% [markdown]
# ## Accuracies
# Networks trained on INPC images of each class per epoch, drawn by the generator as it was at that epoch. The paper
# prints the range of the differences, not these accuracies. Differences are over generators, with their 95 % interval.

# %%
frame = along(session.records)
lines, leads = [], {}
ENDS = {
    network: [
        session.reported_number(
            "fig6", "cifar10", "DiM", f"lead_to_gan_points_{end}", paper="dim", network=name
        )
        for end in ("low", "high")
    ]
    for network, name in (("convnet", "convnet3"), ("resnet10", "resnet10"))
}
printed = {network: f"{low:g} to {high:g}" for network, (low, high) in ENDS.items()}


def lead(name, ipc, epoch, network):
    """DiM above its GAN at an epoch, generator by generator."""
    own = [record for record in session.records if record["evaluation"]["network"]["name"] == network]
    sides = [statistics.by_seed(own, method, name, ipc, epoch) for method in ("dim", "gan")]
    return compare(*sides, ENDS[network][0], source="at least, on CIFAR-10,", made="generator")


for cell in (session.cell("dim", name, ipc) for name in session.study.datasets for ipc in session.study.ipcs):
    for published in dim.ALONG:
        here = frame[
            (frame.dataset == cell.dataset)
            & (frame.ipc == cell.ipc)
            & (frame.step == dim.epoch(cell, published))
        ].set_index(["method", "network"])
        for network, short in NAMES.items():
            line = {
                "data set": cell.dataset,
                "INPC": cell.ipc,
                "epoch of the paper": published,
                "epoch here": dim.epoch(cell, published),
                "network": short,
            }
            known = {m: here.loc[m, network] for m in ("gan", "dim") if (m, network) in here.index}
            for method, label in LABELS.items():
                line[label] = (
                    words.percent(known[method]["mean"], known[method]["std"])
                    if method in known
                    else "missing"
                )
            line["n"] = min((int(one.n) for one in known.values()), default=0)
            found = lead(cell.dataset, cell.ipc, dim.epoch(cell, published), network)
            leads[cell.dataset, cell.ipc, published, network] = found
            line["DiM - GAN (points)"] = interval(found)
            line["generators"] = found.sets
            # The paper's range is that of CIFAR-10.
            line["reported difference"] = printed[network] if cell.dataset == "cifar10" else words.NOTHING
            lines.append(line)
table = pd.DataFrame(lines)
session.save_frame(table, digits=1)

# %%
curves_along(session, frame, NAMES)

# %% [markdown]
# ## What is shown
#
# Images of both generators at these epochs, and the accuracies of networks trained on what they draw. Both are the same
# generator up to the epoch where matching starts; from there the GAN goes on alone and DiM matches logits too.
# Everything is drawn from the same noise, so the images at one place can be compared. Both budgets are INPC.

# %% [markdown]
# ## What stands behind each number
# *Iterations* are the epochs at which a generator was judged.

# %%
session.settings([record | {"iterations": record["iteration"]} for record in session.records])

# %% [markdown]
# ## How the verdicts come about

# %%
claims = []
for name in session.study.datasets:
    found = {
        f"{words.data_set(name)}, epoch {published} of the paper, {NAMES[network]}": one
        for (where, _, published, network), one in leads.items()
        if where == name and one.difference is not None
    }
    low, high = ENDS["convnet"]
    claims += [
        ("DiM is better than its GAN at all epochs, with C-3 and R-10", *all_of(found)),
        (
            f"by {low:g} to {high:g} points",
            *all_of(found, judge=lambda one, ends=(low, high): one.inside(*ends)),
        ),
    ]
session.verdict(claims)

# %%
# NBVAL_CHECK_OUTPUT
print(
    session.check(
        {  # mean accuracies of quick in percent, and how far another CPU may miss them
            "gan, INPC 10, step 13, ConvNet-2, instance norm": (50, 12),
            "gan, INPC 10, step 19, ConvNet-2, instance norm": (65, 12),
            "dim, INPC 10, step 13, ConvNet-2, instance norm": (38, 20),
            "dim, INPC 10, step 19, ConvNet-2, instance norm": (41, 20),
        },
        reported=("dim/fig6",),
    )
)
print(f"{len(table)} places, {int((table['n'] == 0).sum())} of them empty")
