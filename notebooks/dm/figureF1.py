# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # DM, Figure F1: performance rank correlation between proxy-set and whole-dataset training
#
# **The claim.** To find the best of 720 ConvNets, one need not train them all on the whole training set: train them on
# 50 synthetic images per class. The ranking of the best architectures under DM's set agrees better with their ranking
# after whole-set training than under random images, DSA's set, or early stopping on the whole set.

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
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import display

from dreamlib.companion.report import tables, words
from dreamlib.companion.report.verdicts import compare
from dreamlib.companion.report.words import data_set, duration
from dreamlib.companion.session import Session
from dreamlib.recipes import architecture

session = Session.of_notebook("dm/figureF1", globals())

import ranking  # next to this notebook

session.about()

# %% [markdown]
# ## The architectures

# %%
search = session.profile.search
searched, top = search.architectures(), search.selected()
part = "all of them" if len(searched) == len(search.space) else f"a seeded random subset of {len(searched)}"
session.say(
    f"The space under this profile has {len(search.space)} ConvNets: width {search.space.width}, depth "
    f"{search.space.depth}, norm {search.space.norm}, activation {search.space.activation}, pooling "
    f"{search.space.pooling}. Trained here: **{part}**, {search.networks} times each, in steps of {search.batch} "
    f'images: {search.epochs} epochs on a proxy, {search.whole_epochs} on the whole training set. "The best" are the '
    f"first {top} of {len(searched)} on held-out images (the paper: the top 5 % of 720, which are 36).\n\n"
    + ", ".join(f"`{architecture(spec)}`" for spec in searched)
)

# %%
session.run()

# %% [markdown]
# ## Proxy against whole training set
#
# One point per architecture, for the first set of each proxy. To the right: better after training on the proxy; up:
# better after training on the whole training set. First, as in the paper, those that are best on held-out images after
# training on the proxy, then all of them. A proxy that ranks well has its points on a rising line; where they stand
# above each other, it cannot tell them apart. ρ is Spearman's rank correlation.

# %%
places = [(name, ipc) for name in session.study.datasets for ipc in session.study.ipcs]
frames, rankings = {}, {}
for name, ipc in places:
    records = [record for record in session.records if record["dataset"] == f"{name}@holdout"]
    for method in session.study.methods:
        rankings[name, ipc, method] = {}
    for seed in range(session.study.seeds):
        frame = ranking.search_frame([record for record in records if record["seed"] == seed], ipc)
        frames.setdefault((name, ipc), frame)
        for method in session.study.methods:
            if len(one := ranking.Ranking(frame, method)):
                rankings[name, ipc, method][seed] = one
    shown = [one for m in session.study.methods if m != "whole" for one in rankings[name, ipc, m].values()]
    shown = list({one.method: one for one in reversed(shown)}.values())[::-1]
    if not shown:
        session.say(
            f"*{data_set(name)}, IPC {ipc}: nothing to show yet; fill it with `{session.study.command()}`*"
        )
        continue
    rows = -(-len(shown) // 3)
    for which, count in (("best", top), ("all", None)):
        figure, axes = plt.subplots(rows, 3, figsize=(10.5, 3.2 * rows), squeeze=False, sharey=True)
        for ax, one in zip(axes.flat, shown, strict=False):
            first = one.top(top)
            points = first if count else np.arange(len(one))
            title = f"{one.label}: ρ = {words.number(one.correlation(count)['spearman'], 2)}"
            kept = np.isin(points, first)
            ranking.scatter(one.proxy[points], one.whole[points], kept, method=one.method, title=title, ax=ax)
        for ax in axes.flat[len(shown) :]:
            ax.set_visible(False)
        figure.supxlabel("test accuracy after training on the proxy (%)", fontsize=10.5)
        figure.supylabel("after training on the whole training set (%)", fontsize=10.5)
        best = f"the {min(top, len(searched))} best on held-out images"
        what = best if count else f"all architectures (filled: {best})"
        figure.suptitle(f"{data_set(name)}, {ipc} images per class, profile {profile}: {what}", fontsize=11.5)
        session.save_figure(figure, f"{name}-ipc{ipc}-{which}")

# %% [markdown]
# ## What each search finds, and what it costs
#
# *Found*: the architecture that is best on held-out images after training on the proxy, with its test accuracy after
# training on the whole training set: mean ± standard deviation over trainings, and its place among all. Rank
# correlations are between the two test accuracies, of the best, as in the paper, and of all (the whole data set agrees
# with itself), one line for every set. *Training* is all trainings of all architectures together, tests included;
# *distilling* is making the set, once. Both by the clock; a dash where others used the machine too.

# %%
lines = [
    {"data set": data_set(name), "IPC": ipc, "set": seed, **ranking.summary(one, top)}
    for name, ipc in places
    for method in session.study.methods
    for seed, one in rankings[name, ipc, method].items()
]
found = pd.DataFrame(lines)
session.save_frame(found, digits=3)
tables.styled(ranking.told(found))

# %% [markdown]
# ## Every architecture
#
# Test accuracy in percent after training on each proxy and on the whole training set. With ten classes, ten percent is
# chance: networks with sigmoids or without a norm can stay there, and that is a result. A training that diverged has no
# number.

# %%
for name, ipc in places:
    display(
        tables.styled(ranking.by_architecture(frames[name, ipc]), f"{data_set(name)}, {ipc} images per class")
    )
failures = session.study.failures()
for cell, why in failures.items():
    session.say(f"**Failed:** `{cell}`: {why}")

# %% [markdown]
# ## What is measured
#
# A tenth of the training images is held out, the rest is the training set (section 1.3). Every architecture is trained
# several times on each proxy, on the whole training set, and on the whole training set for as many steps as a proxy
# takes ("early stopping"). An architecture is chosen by its accuracy on the held-out images; what the figure shows is
# its accuracy on the test images, after training on the proxy and on the whole training set. DREAM enters twice: as the
# sampler of DM, and as the whole method.

# %% [markdown]
# ## What stands behind each number

# %%
session.settings(ranking.merged(session.records))

# %% [markdown]
# ## How the verdicts come about
# The difference of two rank correlations is taken set by set; how it would change with other architectures of the space
# is not asked.

# %%
RIVALS = (
    ("dm", "random", "DM's set ranks the best architectures more reliably than random images do"),
    ("dm", "dsa", "DM's set ranks the best architectures more reliably than DSA's set does"),
    ("dm", "early-stopping", "DM's set ranks the best architectures more reliably than early stopping does"),
    ("dm+dream", "dm", "DREAM's sampler makes DM's set a more reliable proxy"),
)
claims, also = [], []
for name, ipc in places:
    where = f"{data_set(name)}, {ipc} images per class"
    for one, other, claim in RIVALS:
        pair = [rankings.get((name, ipc, method), {}) for method in (one, other)]
        best, every = (ranking.difference(*pair, count) for count in (top, None))
        (claims if one == "dm" else also).append(
            (
                claim,
                best.verdict,
                f"{where}, of the best {top}: {best.words(2, 'in ρ')}; of all: {every.words(2, 'in ρ')}",
            )
        )
    whole, dm = (rankings.get((name, ipc, method), {}) for method in ("whole", "dm"))
    both = [(dm[seed], whole[seed]) for seed in sorted(dm.keys() & whole.keys())]
    chosen = [{seed: (one.whole[one.top(1)[0]],) for seed, one in side.items()} for side in (dm, whole)]
    lost = compare(*chosen)
    claims.append(
        (
            "DM's set finds an architecture as good as the whole training set does (to within a point)",
            lost.within(1),
            f"{where}, what is found on DM's set minus what is found on the whole: {lost.words()}",
        )
    )
    faster = "a search on DM's set takes less time, distilling included"
    if not both:
        claims.append((faster, None, f"{where}: not measured here"))
    else:
        got, goal = (ranking.summary(each, top) for each in both[0])
        spent, saved = got["training (s)"] + got["distilling (s)"], goal["training (s)"]
        idle = not np.isnan(spent + saved)  # seconds of two runs on a shared machine tell nothing
        took = (
            f"and {duration(spent)} against {duration(saved)} by the clock of this machine"
            if idle
            else "on a shared machine; these cells again on an idle one would decide it"
        )
        claims.append(
            (
                faster,
                bool(spent < saved) if idle else None,
                f"{data_set(name)}: {got['images stored']:,} images instead of {goal['images stored']:,}, {took}",
            )
        )
session.verdict(claims, also)

# %%
# NBVAL_CHECK_OUTPUT
over = {
    name: np.mean([r["accuracies"] for r in session.records if r["method"] == name])
    for name in session.study.methods
}
print(
    session.check(
        others={  # measured, expected, and how far they may lie apart
            "whole, over all architectures": (over.get("whole"), 64, 5),
            "random, over all architectures": (over.get("random"), 48, 5),
            "dsa, over all architectures": (over.get("dsa"), 50, 5),
            "dm, over all architectures": (over.get("dm"), 49, 5),
            "dream, over all architectures": (over.get("dream"), 49, 5),
            "early-stopping, over all architectures": (over.get("early-stopping"), 45, 5),
        },
        failures=len(failures),
    )
)
