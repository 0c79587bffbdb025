# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # DM supplement, Figure F1: searching an architecture on a proxy set
#
# **The claim.** To find the best of 720 ConvNets, one need not train them all on the whole training set: train them on
# 50 synthetic images per class. The ranking of the best architectures under DM's set agrees better with their ranking
# after whole-set training than under random images, DSA's set, or early stopping on the whole set.
#
# **What is measured.** A tenth of the training images is held out, the rest is the training set (section 1.3). Every
# architecture is trained several times on each proxy, on the whole training set, and on the whole training set for as
# many steps as a proxy takes ("early stopping"). An architecture is chosen by its accuracy on the held-out images; what
# the figure shows is its accuracy on the test images, after training on the proxy and on the whole training set. DREAM
# enters twice: as the sampler of DM, and as the whole method.

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
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import display

from dreamlib.recipes import architecture
from dreamlib.report import figures, ranking, tables
from dreamlib.report.words import data_set, duration, percent
from dreamlib.session import Session

session = Session(
    "dm/figureF1",
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
# One point per architecture. To the right: better after training on the proxy; up: better after training on the whole
# training set. First, as in the paper, those that are best on held-out images after training on the proxy, then all of
# them. A proxy that ranks well has its points on a rising line; where they stand above each other, it cannot tell them
# apart. ρ is Spearman's rank correlation.

# %%
places = [(name, ipc) for name in session.study.datasets for ipc in session.study.ipcs]
frames, rankings = {}, {}
for name, ipc in places:
    records = [record for record in session.records if record["dataset"] == f"{name}@holdout"]
    frames[name, ipc] = ranking.search_frame(records, ipc)
    for method in session.study.methods:
        rankings[name, ipc, method] = ranking.Ranking(frames[name, ipc], method)
    shown = [rankings[name, ipc, method] for method in session.study.methods if method != "whole"]
    shown = [one for one in shown if len(one)]
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
            title = f"{one.label}: ρ = {one.correlation(count, draws=0)['spearman']:.2f}".replace("-", "−")
            kept = np.isin(points, first)
            figures.ranking(one.proxy[points], one.whole[points], kept, method=one.method, title=title, ax=ax)
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
# correlations are between the two test accuracies, with 95 % bootstrap intervals over architectures: of the best, as in
# the paper, and of all (the whole data set agrees with itself). *Training* is all trainings of all architectures
# together, tests included; *distilling* is making the set, once.

# %%
lines = [
    {"data set": data_set(name), "IPC": ipc, **ranking.summary(rankings[name, ipc, method], top)}
    for name, ipc in places
    for method in session.study.methods
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
# ## What stands behind each number

# %%
tables.settings(ranking.merged(session.records))

# %% [markdown]
# ## What holds here

# %%
RIVALS = (
    ("dm", "random", "DM's set ranks the best architectures more reliably than random images do"),
    ("dm", "dsa", "DM's set ranks the best architectures more reliably than DSA's set does"),
    ("dm", "early-stopping", "DM's set ranks the best architectures more reliably than early stopping does"),
    ("dm+dream", "dm", "DREAM's sampler makes DM's set a more reliable proxy (not claimed; asked here)"),
)
claims = []
for name, ipc in places:
    for one, other, claim in RIVALS:
        pair = [rankings.get((name, ipc, method)) for method in (one, other)]
        if None in pair or not len(pair[0]) or pair[0].architectures != pair[1].architectures:
            claims.append((claim, None, f"{data_set(name)}: not all of it is measured"))
            continue
        words = []
        for which, count in ((f"the best {top}", top), ("all", None)):
            gap = ranking.difference(*pair, count)
            both = " against ".join(f"{each.correlation(count)['spearman']:.2f}" for each in pair)
            words.append(f"{which}: ρ {both}, difference {ranking.correlation_words(*gap)}")
            if count:
                holds = ranking.decided(*gap[1:])
        claims.append((claim, holds, f"{data_set(name)}, {ipc} images per class, {'; '.join(words)}"))
    whole, dm = rankings.get((name, ipc, "whole")), rankings.get((name, ipc, "dm"))
    if whole and dm:
        goal, got = (ranking.summary(each, top) for each in (whole, dm))
        claims.append(
            (
                "DM's set finds an architecture as good as the whole training set does (within a standard deviation)",
                bool(got["test accuracy"] >= goal["test accuracy"] - goal["std"]),
                f"{data_set(name)}: {got['found']} with {percent(got['test accuracy'], got['std'])}, the "
                f"{got['place']}. of {got['architectures']}; the search on the whole training set finds "
                f"{goal['found']} with {percent(goal['test accuracy'], goal['std'])}",
            )
        )
        spent, saved = got["training (s)"] + got["distilling (s)"], goal["training (s)"]
        claims.append(
            (
                "a search on DM's set takes less time, distilling included",
                bool(spent < saved),
                f"{data_set(name)}: {duration(spent)} against {duration(saved)}, and {got['images stored']:,} images "
                f"instead of {goal['images stored']:,}",
            )
        )
session.verdict(claims)

# %%
# NBVAL_CHECK_OUTPUT
assert len(session.records) + len(failures) == len(session.study.cells), session.study.command()
print(f"{len(session.records)} of {len(session.study.cells)} cells measured, {len(failures)} failed")
