# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # DM, Figure F2: which networks to embed with
#
# **The claim.** Sets learned with networks of different validation accuracy look different: poor networks leave blurred
# images with checkerboard patterns, good ones colourful images with twisty patterns. Yet they generalise alike: the
# images differ in background patterns and agree in semantics.
#
# **What is measured.** DM at 10 images per class, with its network schedule exchanged: instead of a fresh random
# network, each step draws one from a pool of networks that were trained on real images until their accuracy on
# held-out training images lay in a band. *All networks mixed* draws a band first, untrained networks being one of them,
# and then a network of it. Nothing else differs: start, real images, augmentation, learning rate and evaluation are
# those of DM. The supplement names the bands; how the networks were trained it does not say, so that is our choice:
# SGD with learning rate .01, momentum .9 and batches of 64.

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

from dreamlib.lastlayer import same_change
from dreamlib.probes import texture
from dreamlib.report import figures, words
from dreamlib.session import Session, pixels

session = Session(
    "dm/figureF2",
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
lines = []
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
                    "std": values.std(ddof=1),
                    "n": len(values),
                    "change": float((course[max(course)] - course[0]).square().mean().sqrt())
                    if course
                    else None,
                    "cosine of changes": same_change(course, untrained) if course and untrained else None,
                    "fine": looks.fine,
                    "checkerboard": looks.checkerboard,
                    "contrast": looks.contrast,
                    "colour": looks.colour,
                    "seconds of the pool": record["seconds"].get("pool") if record else None,
                }
            )
            # Three of each class: more make the page slow to read.
            panels[f"{band}\n{words.percent(values.mean())} %"] = pixels(found.stored[:10, :3])
        title = f"{words.data_set(name)}, IPC {ipc}: sets by validation accuracy of the networks, profile {profile}"
        figure = figures.image_panels(
            panels, row_labels=there[0][1].classes[:10], across=len(panels), title=title
        )
        session.save_figure(figure, f"{name}-ipc{ipc}", kinds=("png",))

# %% [markdown]
# ## Accuracy and looks, in numbers
# *In the pool* counts network states over all bands of a row; untrained networks are drawn anew at every step and count
# as none. *Change* is how far distillation has moved a pixel from the common start (root mean square, in normalised
# units); *cosine of changes* compares its direction, class by class, with that of untrained networks: 1 where both did
# the same. *Fine* and *checkerboard* are shares of the spectral power above 1/4 and above 3/8 of a cycle per pixel
# (blurred images have little of either), *contrast* is the spread of an image's values, *colour* that between a pixel's
# channels. Real images of the same classes stand below.

# %%
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
    axes.set_xlabel("networks to embed with, by validation accuracy")
    session.save_figure(axes.figure, f"{name}-ipc{ipc:.0f}-accuracy")

# %% [markdown]
# ## What stands behind each number

# %%
session.settings()

# %% [markdown]
# ## What holds here

# %%
ALIKE, CLEARLY = 3.0, 1.1  # points; a ratio
claims = []
for (name, ipc), part in table[table.networks != "(real images)"].groupby(["data set", "IPC"], sort=False):
    by = part.set_index("networks")
    accuracy = by["accuracy of the set (%)"].dropna()
    where = f"{words.data_set(name)}, IPC {ipc:.0f}"
    if len(accuracy) > 1:
        claims.append(
            (
                f"sets learned with different networks generalise alike (within {ALIKE:.0f} points)",
                bool(accuracy.max() - accuracy.min() <= ALIKE),
                f"{where}: {accuracy.min():.1f} ({accuracy.idxmin()}) to {accuracy.max():.1f} ({accuracy.idxmax()})",
            )
        )
    if {"untrained", "all mixed"} <= set(accuracy.index):
        claims.append(
            (
                "all networks mixed are no worse than untrained ones (not claimed in the supplement)",
                bool(accuracy["all mixed"] >= accuracy["untrained"]),
                f"{where}: {accuracy['all mixed']:.1f} against {accuracy['untrained']:.1f}",
            )
        )
    trained = [label for label in by.index if label.endswith("%")]
    if not trained or "untrained" not in by.index:
        continue
    poor, good, best = by.loc["untrained"], by.loc[trained[-1]], trained[-1]
    claims.append(
        (
            "images learned with different networks look quite different (changes with a cosine below a half)",
            bool(good["cosine of changes"] < 0.5) if pd.notna(good["cosine of changes"]) else None,
            f"{where}: cosine {good['cosine of changes']:.2f} between the changes made with untrained networks and "
            f"with those of {best}; a pixel has moved by {poor.change:.2f} and {good.change:.2f}",
        )
    )
    for claim, column, holds in (
        (
            "poor networks leave checkerboard patterns",
            "checkerboard",
            poor.checkerboard > CLEARLY * good.checkerboard,
        ),
        ("images of poor networks look blurred", "fine", CLEARLY * poor.fine < good.fine),
        ("good networks leave colourful images", "colour", CLEARLY * poor.colour < good.colour),
    ):
        coloured = pd.notna(poor[column])
        claims.append(
            (
                f"{claim} (the measure differs by a tenth)",
                bool(holds) if coloured else None,
                f"{where}: {column} {poor[column]:.3f} with untrained networks, {good[column]:.3f} with those of {best}"
                if coloured
                else f"{where}: images of one channel",
            )
        )
session.verdict(claims)

# %%
# NBVAL_CHECK_OUTPUT
print(session.check_complete())
inside = [
    low <= accuracy < high
    for record in session.records
    for band, part in record.get("notes", {}).get("pool", {"bands": {}})["bands"].items()
    for low, high in [map(float, band.split("-"))]
    for accuracy in part["accuracies"]
]
assert inside
assert all(inside)
print("every network of a pool lies in its band")
