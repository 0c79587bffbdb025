# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # DM, Figure F2: images learned with different network parameter distributions
#
# **The claim.** Sets learned with networks of different validation accuracy look different: poor networks leave blurred
# images with checkerboard patterns, good ones colourful images with twisty patterns. Yet they generalise alike: the
# images differ in background patterns and agree in semantics.

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
import math

import pandas as pd

from dreamlib.companion.probes import texture
from dreamlib.companion.report import figures, words
from dreamlib.companion.report.statistics import clock, deviation
from dreamlib.companion.report.verdicts import all_of, compare
from dreamlib.companion.session import Session, pixels

session = Session.of_notebook("dm/figureF2", globals())

from lastlayer import same_change  # next to this notebook

session.about()

# %%
session.run()

# %% [markdown]
# ## The sets
# Every row is a class. All sets start from the same real images. Which bands exist depends on data set and width:
# networks pass through those of digits within some dozen steps, while narrow ones do not reach the upper ones of
# CIFAR-10 in the epochs a small profile gives. A band that no network reaches is an error that says how far they came.

# %%
NAMES = {"dm": "untrained", "dm+mixed": "all mixed"}
cells = [cell for cell in session.study.cells if cell.seed == 0]
lines, changes = [], {}
for name in session.study.datasets:
    for ipc in session.study.ipcs:
        here = [cell for cell in cells if (cell.dataset, cell.ipc) == (name, ipc)]
        there = [(cell, found) for cell in here if (found := session.set_of(cell)) is not None]
        if len(there) < len(here):
            session.say(
                f"*{words.data_set(name)}: {len(here) - len(there)} sets are not here; `{session.study.command()}`*"
            )
        if not there:
            continue
        panels = {}
        for cell, found in there:
            record = session.study.store.record(cell)
            band = NAMES.get(cell.method, cell.method.rpartition("pool")[2].replace("-", "–") + " %")
            pool = record.get("notes", {}).get("pool", {"bands": {}})["bands"] if record else {}
            looks = texture(found.images)
            course, untrained = session.course(cell), session.course(here[0])
            moved = same_change(course, untrained) if course and untrained else math.nan
            if math.isfinite(moved):
                changes[name, ipc, band] = moved
            values = pd.Series(record["accuracies"] if record else [], dtype=float)
            lines.append(
                {
                    "data set": name,
                    "IPC": ipc,
                    "networks": band,
                    "in the pool": sum(len(part["accuracies"]) for part in pool.values()),
                    "their accuracy (%)": pd.Series(
                        [a for p in pool.values() for a in p["accuracies"]], dtype=float
                    ).mean(),
                    "accuracy of the set (%)": values.mean(),
                    "std": deviation(values),
                    "n": len(values),
                    "change": float((course[max(course)] - course[0]).square().mean().sqrt())
                    if course
                    else None,
                    "cosine of changes": changes.get((name, ipc, band)),
                    "fine": looks.fine,
                    "checkerboard": looks.checkerboard,
                    "contrast": looks.contrast,
                    "colour": looks.colour,
                    "seconds of the pool": clock(record, "pool") if record else None,
                }
            )
            # Three of each class: more make the page slow to read.
            panels[f"{band}\n{words.percent(values.mean())} %"] = pixels(found.stored[:10, :3])
        title = f"{words.data_set(name)}, IPC {ipc}: sets by validation accuracy of the networks, profile {profile}"
        figure = figures.image_panels(
            panels, row_labels=there[0][1].classes[:10], across=len(panels), title=title
        )
        session.save_figure(figure, f"{name}-ipc{ipc}")

# %% [markdown]
# ## Accuracy and looks, in numbers
# The table at the top has the first set of every row; verdicts are decided over all of them.
# *In the pool* counts network states over all bands of a row; untrained networks are new at every step and count
# as none. *Change* is how far distillation has moved a pixel from the common start (root mean square, in normalised
# units); *cosine of changes* compares its direction, class by class, with that of untrained networks: 1 where both did
# the same; both need the states along the way, and are a dash where these are not here. *Fine* and *checkerboard* are
# shares of the spectral power above 1/4 and above 3/8 of a cycle per pixel (blurred images have little of either),
# *contrast* is the spread of an image's values, *colour* that between a pixel's channels. Real images of the same
# classes are its last line.

# %%
seen = {
    (
        cell.dataset,
        cell.ipc,
        NAMES.get(cell.method, cell.method.rpartition("pool")[2].replace("-", "–") + " %"),
        cell.seed,
    ): texture(found.images)
    for cell in session.study.cells
    if (found := session.set_of(cell)) is not None
}
for name in session.study.datasets:
    part = session.classes(name)
    index = part.draw(min(50, part.smallest), session.stream("real images"))
    looks = texture(part.unit(index).flatten(0, 1))
    lines.append(
        {
            "data set": name,
            "networks": "(real images)",
            **dict.fromkeys(("IPC", "in the pool", "n"), ""),
            "fine": looks.fine,
            "checkerboard": looks.checkerboard,
            "contrast": looks.contrast,
            "colour": looks.colour,
        }
    )
table = pd.DataFrame(lines).sort_values(
    "data set", kind="stable", key=lambda names: names.map(session.study.datasets.index)
)
session.save_frame(table, digits=3)

# %%
for (name, ipc), part in table[table.networks != "(real images)"].groupby(["data set", "IPC"], sort=False):
    axes = figures.bars(
        part.networks.tolist(),
        part["accuracy of the set (%)"].tolist(),
        part["std"].tolist(),
        title=f"{words.data_set(name)}, IPC {ipc:.0f}, profile {profile}",
    )
    axes.set_ylabel("networks to embed with, by validation accuracy")
    session.save_figure(axes.figure, f"{name}-ipc{ipc:.0f}-accuracy")

# %% [markdown]
# ## What is measured
#
# DM at 10 images per class, with its teacher exchanged: instead of a fresh random network, each step draws one from a
# pool of networks that were trained on real images until their accuracy on held-out training images lay in a band. *All
# networks mixed* draws a band first, untrained networks being one of them, and then a network of it. Nothing else
# differs: start, real images, augmentation, learning rate and evaluation are those of DM. The supplement names the
# bands; how the networks were trained it does not say, so that is our choice: SGD with learning rate .01, momentum .9
# and batches of 64.

# %% [markdown]
# ## What stands behind each number

# %%
session.settings()

# %% [markdown]
# ## How the verdicts come about

# %%
ALIKE = 3.0  # points


def measured_of(name, ipc, band, what):
    """A property of the sets that were learned with a band of networks, by seed."""
    return {
        seed: (getattr(looks, what),)
        for (where, budget, label, seed), looks in seen.items()
        if (where, budget, label) == (name, ipc, band)
        and getattr(looks, what) is not None
        and math.isfinite(getattr(looks, what))
    }


claims, also = [], []
for name in session.study.datasets:
    for ipc in session.study.ipcs:
        where = session.place(name, ipc)
        method_of = {
            NAMES.get(cell.method, cell.method.rpartition("pool")[2].replace("-", "–") + " %"): cell.method
            for cell in session.study.cells
            if (cell.dataset, cell.ipc) == (name, ipc)
        }
        against = {
            f"{where}, {band} to untrained": session.compare(method, "dm", name, ipc)
            for band, method in method_of.items()
            if band != "untrained"
        }
        claims.append(
            (
                f"sets learned with different networks generalise alike (within {ALIKE:.0f} points)",
                *all_of(against, judge=lambda one: one.within(ALIKE)),
            )
        )
        if "all mixed" in method_of:
            mixed = session.compare(method_of["all mixed"], "dm", name, ipc)
            also.append(("all networks mixed are better than untrained ones", *mixed.told(where)))
        trained = [band for band in method_of if band.endswith("%")]
        if not trained:
            continue
        best = trained[-1]
        told = changes.get((name, ipc, best))
        claims.append(
            (
                "images learned with different networks look quite different",
                None,
                f"{where}: "
                + (
                    f"the changes made with untrained networks and with those of {best} have a cosine of {told:.2f}; "
                    "what is quite different is a judgement of the eye"
                    if told is not None
                    else "a judgement of the eye; the states along the way are not here to compare the changes"
                ),
            )
        )
        for claim, what, more in (
            ("poor networks leave checkerboard patterns", "checkerboard", "untrained"),
            ("images of poor networks look blurred (the good ones' have more that is fine)", "fine", best),
            ("good networks leave colourful images", "colour", best),
        ):
            less = best if more == "untrained" else "untrained"
            sides = [measured_of(name, ipc, band, what) for band in (more, less)]
            if not all(sides):
                claims.append((claim, None, f"{where}: no {what} to measure here"))
                continue
            found = compare(*sides)
            claims.append((claim, *found.told(f"{where}, {what} with {more} networks minus {less}", 3, "")))
session.verdict(claims, also)

# %%
# NBVAL_CHECK_OUTPUT
print(
    session.check(
        {  # mean accuracies of quick in percent, and how far another CPU may miss them
            "dm, IPC 10": (85, 1.5),
            "dm+pool10-20, IPC 10": (85, 2),
            "dm+pool70-80, IPC 10": (85, 2),
            "dm+mixed, IPC 10": (85, 2),
        },
    )
)
inside = [
    low <= accuracy < high
    for record in session.records
    for band, part in record.get("notes", {}).get("pool", {"bands": {}})["bands"].items()
    for low, high in [map(float, band.split("-"))]
    for accuracy in part["accuracies"]
]
assert inside or session.study.missing()
assert all(inside)
print("every network of a pool lies in its band")
