# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # DM, supplement 1.1: ResNet with batch normalization
#
# **The claim.** DM and DSA can also learn with networks that have batch norm. For ResNets the convolutions of stride 2
# are replaced by ones of stride 1 with average pooling behind them in the network that learns the set: that "enables
# smooth error back-propagation to the input images".

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
import numpy as np
import pandas as pd

from dreamlib.companion.plans.dm import norm_networks
from dreamlib.companion.report import figures, tables, words
from dreamlib.companion.report.statistics import deviation
from dreamlib.companion.report.verdicts import decide, paired
from dreamlib.companion.session import Session
from dreamlib.core.registry import as_data

session = Session.of_notebook("dm/batchnorm", globals())

# The modules next to this notebook.
from batchsignal import signals
from crosstable import crossed, grid

session.about()

# %%
session.run()

# %% [markdown]
# ## Learned with, tested with
# Last-epoch accuracy in percent, mean ± standard deviation over the trained networks. Rows: method and network that
# learned the set; columns: network that was trained on it.


# %%
def learned(record):
    """The method and the network that learned a set."""
    spec = record["recipe"]["network"]
    apart = ", class by class" if record["recipe"]["criterion"].get("statistics") == "per class" else ""
    return f"{record['label'].split(',')[0]}, {words.network(spec)}{apart}"


def tested(record):
    """The network that was trained on it."""
    return words.network(record["evaluation"]["network"])


frames = []
for name in session.study.datasets:
    for ipc in session.study.ipcs:
        here = [record for record in session.records if (record["dataset"], record["ipc"]) == (name, ipc)]
        frame = crossed(here, learned, tested)
        frames.append(frame.assign(dataset=name, ipc=ipc))
        session.say(
            f"**{words.data_set(name)}, {ipc} images per class**, n = {', '.join(map(str, sorted(set(frame.n))))}"
        )
        session.show(grid(frame, "learned with \\ tested with"))
crossings = pd.concat(frames, ignore_index=True)
crossings = crossings[["dataset", "ipc", *crossings.columns.drop(["dataset", "ipc"])]]
session.save_frame(crossings, digits=2)
for (name, ipc), part in crossings.groupby(["dataset", "ipc"], sort=False):
    over = part.groupby("row", sort=False)["mean"].mean()
    axes = figures.bars(
        [row.replace(", ", "\n") for row in over.index],
        over.tolist(),
        methods=[row.split(",")[0].lower() for row in over.index],
        title=f"{words.data_set(name)}, IPC {ipc}: mean over the networks of the test, profile {profile}",
    )
    session.save_figure(axes.figure, f"{name}-ipc{ipc}")

# %% [markdown]
# Every network learns with the image learning rate of ConvNet, which is the published one; the images of some networks
# move much further for it. *Spread* is the standard deviation of a set's pixels over that of real images. A network
# with batch norm predicts with the statistics of the set that it was trained on, so a set far from real images can
# fail it altogether.

# %%
spreads = []
for cell in {cell.set_name: cell for cell in session.study.cells if cell.seed == 0}.values():
    found = session.set_of(cell)
    if found is None:
        continue
    part = session.classes(cell.dataset)
    index = part.draw(min(50, part.smallest), session.stream("real images"))
    apart = ", class by class" if cell.recipe.matching.statistics == "per class" else ""
    spreads.append(
        {
            "data set": cell.dataset,
            "IPC": cell.ipc,
            "learned with": f"{cell.label.split(',')[0]}, {words.network(as_data(cell.recipe.network))}{apart}",
            "spread": float(found.images.std() / part.unit(index).std()),
            "outside [0, 1] (%)": 100 * found.clipped,
        }
    )
spreads = pd.DataFrame(spreads, columns=["data set", "IPC", "learned with", "spread", "outside [0, 1] (%)"])
if len(spreads):
    session.show(spreads)
else:
    session.say("*No set is in this results folder to measure it on.*")

# %% [markdown]
# ## What batch norm leaves of a class
# DM compares mean features of classes. How much do they say about the class? *Signal* is the mean distance between the
# mean features of two classes over that between two batches of one class, at ten untrained networks: 1 means that the
# mean feature of a class is the same as that of any other. Instance norm normalises every image by itself, so that it
# does not matter how the images come.

# %%
networks, rough, lines = {}, {}, []
for name in session.study.datasets:
    recipe = session.cell("dm", name, session.study.ipcs[0]).recipe
    networks[name] = norm_networks(profile, recipe.network)
    for short, spec in networks[name].items():
        found = session.measured(
            "signal",
            lambda name=name, recipe=recipe, spec=spec: signals(
                spec, session.classes(name, recipe.per_class), batch=recipe.matching.real_batch, networks=10
            ),
            name,
            network=spec,
            real_batch=recipe.matching.real_batch,
            per_class=recipe.per_class,
            networks=10,
        )
        rough[name, short] = found.checkerboard
        lines.append(
            {
                "data set": name,
                "short": short,
                "network": words.network(as_data(spec)),
                "signal, classes together": found.joint.mean(),
                "std": deviation(found.joint),
                "signal, class by class": found.per_class.mean(),
                "std ": deviation(found.per_class),
                "finest part of the image gradient": found.checkerboard.mean(),
                "std  ": deviation(found.checkerboard),
                "n": len(found),
            }
        )
probed = pd.DataFrame(lines)
tables.styled(probed.drop(columns="short"), decimals=3)

# %% [markdown]
# *Finest part of the image gradient*: the share of its spectral power above 3/8 of a cycle per pixel (DM's loss, all
# classes together). White noise in large images has 7/16 = 0.44; a smooth gradient has little.

# %% [markdown]
# ## What is compared
#
# Sets learned with four networks, each tested with all four: ConvNet with instance norm, ConvNetBN with batch norm, a
# ResNet and its modified form (ResNetAP), both with batch norm: ResNet-18 under `paper`, a narrow ResNet-10 under the
# small profiles.
#
# **Where the statistics come from.** A batch norm makes the result for one image depend on the others of its batch. DM
# (released code) sends the real images of all classes through the network together, and the synthetic ones together,
# and splits them by class afterwards: *joint*. DC and DSA (released code) first show the network some real images of
# every class and keep those statistics for both sides: *frozen*; here they are the statistics of these images, where
# the released code moves the running ones a tenth of the way. *Class by class* is what a loop over classes does if
# nothing is done about it: every class is then normalised by its own mean and variance.
#
# In the test, networks train with the statistics of their batches and predict with the running ones, as usual.

# %% [markdown]
# ## What stands behind each number

# %%
session.settings()

# %% [markdown]
# ## How the verdicts come about

# %%


def taught(name, ipc, row, column):
    """The accuracies of the sets of a row under a network of the test, by seed."""
    own = [record for record in session.records if (learned(record), tested(record)) == (row, column)]
    return {r["seed"]: r["accuracies"] for r in own if (r["dataset"], r["ipc"]) == (name, ipc)}


def over(name, ipc, one, other, columns):
    """A row against another, averaged over networks of the test, set by set."""
    gaps = [paired(taught(name, ipc, one, column), taught(name, ipc, other, column)) for column in columns]
    seeds = set.intersection(*map(set, gaps)) if gaps else set()
    return decide(sum(gap[seed][0] for gap in gaps) / len(gaps) for seed in sorted(seeds))


claims, also = [], []
for name in session.study.datasets:
    gap = decide(rough[name, "ResNet"] - rough[name, "ResNetAP"], made="untrained network")
    claims.append(
        (
            "average pooling in place of strides makes the gradient at the images smoother",
            *gap.told(f"{words.data_set(name)}, finest part with strides minus with average pooling", 3, ""),
        )
    )
for name, ipc in ((name, ipc) for name in session.study.datasets for ipc in session.study.ipcs):
    shown = {short: words.network(as_data(spec)) for short, spec in networks[name].items()}
    columns, where = list(shown.values()), session.place(name, ipc)
    for method in session.study.methods:
        label = session.label(method)
        row = {short: f"{label}, {net}" for short, net in shown.items()}
        gap = over(name, ipc, row["ConvNetBN"], row["ConvNet"], [shown["ConvNetBN"]])
        claims.append(
            (
                f"{label} can learn with batch norm (its set is no worse there than one of instance norm)",
                *gap.told(f"{where}, tested with {shown['ConvNetBN']}"),
            )
        )
        gap = over(name, ipc, row["ResNetAP"], row["ResNet"], columns)
        also.append(
            (
                f"{label}: the modified ResNet learns better sets",
                *gap.told(f"{where}, mean over the tests"),
            )
        )
        gap = over(name, ipc, row["ConvNetBN"], f"{row['ConvNetBN']}, class by class", columns)
        also.append(
            (
                f"{label}: the statistics belong to all classes, not to one at a time",
                *gap.told(f"{where}, mean over the tests, by handling the classes together"),
            )
        )
session.verdict(claims, also)

# %%
# NBVAL_CHECK_OUTPUT
kept = probed.set_index(["data set", "short"])["signal, classes together"]
print(
    session.check(
        {  # mean accuracies of quick in percent, and how far another CPU may miss them
            "dm+convnet, IPC 10, ConvNet-2, instance norm": (78, 5),
            "dm+convnet, IPC 10, ResNet-10, batch norm": (80, 4),
            "dm+convnetbn, IPC 10, ConvNet-2, batch norm": (81, 4),
            "dsa+convnet, IPC 10, ConvNet-2, instance norm": (78, 5),
            "dsa+convnetbn, IPC 10, ConvNet-2, batch norm": (82, 5),
        },
        {  # measured, expected, and how far they may lie apart
            "signal, ConvNet": (kept.get(("digits", "ConvNet")), 11, 3),
            "signal, ConvNetBN": (kept.get(("digits", "ConvNetBN")), 10, 3),
            "signal, ResNet": (kept.get(("digits", "ResNet")), 5, 1.5),
            "signal, ResNetAP": (kept.get(("digits", "ResNetAP")), 6.7, 2),
        },
    )
)
signal = probed.set_index(["data set", "short"])
for name in session.study.datasets:
    alone = signal.loc[name, "ConvNet"]
    assert np.isclose(alone["signal, classes together"], alone["signal, class by class"], rtol=1e-3)
    assert (probed["finest part of the image gradient"] < 1).all()
print("instance norm does not care how images come")
