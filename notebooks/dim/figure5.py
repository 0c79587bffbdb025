# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # DiM, Figure 5: synthetic images during training
#
# **What the paper shows.** Images of a generator during training: "the image quality gradually increase with the
# training".

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
import torch

from dreamlib.companion.plans import dim
from dreamlib.companion.probes import texture, variety
from dreamlib.companion.report import figures, words
from dreamlib.companion.report.verdicts import decide
from dreamlib.companion.session import Session, pixels
from dreamlib.distillation.sets import DistilledSet

session = Session.of_notebook("dim/figure5", globals())
session.about()

# %%
session.run()

# %% [markdown]
# ## The images
# Every row is a class. The first panels are the GAN alone; matching goes on from its state at the epoch in the table
# below. States along the way are not part of a repository: where they are not here, the page says how to get them.

# %%
SHOWN = 10  # images of a class
images = {}
for name in session.study.datasets:
    cell = session.cell("dim", name, session.study.ipcs[0])
    found = session.generated(cell, SHOWN)
    if not found:
        session.say(
            f"*{words.data_set(name)}: the states along the way are not here. "
            f"`{session.study.command()} RESULTS=another-folder` trains again and keeps them.*"
        )
        continue
    images[name] = found
    first, classes = cell.recipe.criterion.matched_from, session.dataset(name).classes[:10]
    panels = {
        f"epoch {epoch}, "
        + ("GAN alone" if epoch < first else "before matching" if epoch == first else "matching"): (
            pixels(part[:10].flatten(0, 1)).reshape(len(classes), SHOWN, *part.shape[3:], part.shape[2])
        )
        for epoch, part in found.items()
    }
    title = f"{words.data_set(name)}, the same noise at every epoch, profile {profile}"
    figure = figures.image_panels(panels, row_labels=classes, across=4, title=title)
    session.save_figure(figure, name)

# %% [markdown]
# ## One image of each class, followed
# The first image of every row above, epoch by epoch from left to right.

# %%
for name, found in images.items():
    classes = session.dataset(name).classes[:10]
    followed = torch.stack([part[:10, 0] for part in found.values()], 1)  # classes by epochs
    title = f"{words.data_set(name)}: epochs {', '.join(map(str, found))}"
    axes, _ = figures.image_grid(
        pixels(followed.flatten(0, 1)), len(found), title=title, row_labels=classes, enlarge=0.8
    )
    session.save_figure(axes.figure, f"{name}-followed")

# %% [markdown]
# ## In numbers
# *Variety* is the mean distance between images of a class in units of that among real ones (1: as varied as the
# data); *fine* is the share of the spectral power above 1/4 of a cycle per pixel, *contrast* the spread of an image's
# values. The table at the top of the page has them epoch by epoch, and real images last.

# %%


def looks_of(part, name):
    """Variety, fineness and contrast of generated images (classes, each, c, h, w)."""
    dataset = session.dataset(name)
    labels = torch.arange(len(part)).repeat_interleave(part.shape[1])
    held = DistilledSet(part.flatten(0, 1), labels, part, dataset.classes, dataset.normalisation, {})
    looks = texture(part.flatten(0, 1))
    return {"variety": variety(held, session.classes(name)), "fine": looks.fine, "contrast": looks.contrast}


lines = []
for name, found in images.items():
    real = session.classes(name)
    for epoch, part in found.items():
        published = round(epoch * dim.EPOCHS / session.cell("dim", name, 10).recipe.criterion.epochs)
        lines.append(
            {"data set": name, "epoch": epoch, "of the paper's": str(published), **looks_of(part, name)}
        )
    index = real.draw(min(50, real.smallest), session.stream("real images"))
    looks = texture(real.unit(index).flatten(0, 1))
    lines.append(
        {
            "data set": name,
            "epoch": "real images",
            "of the paper's": "",
            "variety": 1.0,
            "fine": looks.fine,
            "contrast": looks.contrast,
        }
    )
table = pd.DataFrame(lines, columns=["data set", "epoch", "of the paper's", "variety", "fine", "contrast"])
session.save_frame(table, digits=3)

# %% [markdown]
# ## What is shown
#
# The generator of DiM at the epochs whose states are kept, first as a GAN alone and then with matching. All images are
# drawn from the same noise, so that an image at one place can be followed from epoch to epoch. Ten images of each class
# are what one epoch of training at INPC 10 draws; every epoch draws others.

# %% [markdown]
# ## What stands behind each number
# Accuracies of this generator are in Figure 6 and Tables 2 and 8.

# %%
session.settings()

# %% [markdown]
# ## How the verdicts come about

# %%
claims = [
    ("image quality increases gradually with training", None, "a judgement of the eye: the images are below")
]
also = []
for name in session.study.datasets:
    part = table[table["data set"] == name]
    if part.empty:
        also.append(
            (
                "images come nearer to real ones in fineness and contrast",
                None,
                f"{words.data_set(name)}: not here",
            )
        )
        continue
    real = part.iloc[-1]
    ends = {}  # the first trained state and the last one of every generator, by seed
    for seed in range(session.study.seeds):
        states = session.generated(session.cell("dim", name, session.study.ipcs[0], seed), SHOWN)
        trained = sorted(epoch for epoch in states if epoch)  # untrained: one grey for everything
        if len(trained) > 1:
            ends[seed] = [looks_of(states[epoch], name) for epoch in (trained[0], trained[-1])]
    for what in ("fine", "contrast", "variety"):
        nearer = decide(
            (abs(first[what] - real[what]) - abs(last[what] - real[what]) for first, last in ends.values()),
            made="generator",
        )
        also.append(
            (
                f"images come nearer to real ones in {what} from the first state to the last (our measure)",
                *nearer.told(
                    f"{words.data_set(name)}, real images {real[what]:.3f}, nearer by", digits=3, unit=""
                ),
            )
        )
session.verdict(claims, also)

# %%
# NBVAL_CHECK_OUTPUT
last = table[table.epoch != "real images"].tail(1).mean(numeric_only=True)
print(
    session.check(
        {  # mean accuracies of quick in percent, and how far another CPU may miss them
            "dim, INPC 10": (44, 15),
        },
        {  # measured, expected, and how far they may lie apart
            "variety": (last.get("variety"), 1.13, 0.3),
            "fine": (last.get("fine"), 0.16, 0.06),
            "contrast": (last.get("contrast"), 0.36, 0.04),
        },
    )
)
for found in images.values():
    assert all(bool(((part >= 0) & (part <= 1)).all()) for part in found.values())
print("generated images are unit images")
