# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # The engine, rates: image learning rates on held-out training images
#
# **The claim.** A small profile makes half to a hundredth of the published steps. At the published rate its images
# would hardly leave their start, so their rate is raised. By how much is a choice of our own, and it decides what a
# method can show. It is made here, for every method in the same way, without a look at a test image, and the profile
# takes the best, or one that lies within a point of it. Best of what was tried, that is: some lie at its edge, and are
# named below.

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

from dreamlib.companion.session import Session

session = Session.of_notebook("engine/rates", globals())

from edges import edge  # next to this notebook

session.about()

# %%
session.run()

# %% [markdown]
# ## How to read the table
# Accuracy on held-out images by rate: means over the networks of one set each. *Taken* marks the rate that the profile
# has.

# %%
lines = []
for cell in session.study.cells:
    method, _, _ = cell.method.rpartition("+lr")
    record = session.study.store.record(cell)
    dataset = cell.dataset.partition("@")[0]
    lines.append(
        {
            "data set": dataset,
            "IPC": cell.ipc,
            "method": session.label(method),
            "image rate": cell.recipe.image_lr,
            "steps": cell.recipe.steps,
            "accuracy": float(pd.Series(record["accuracies"]).mean()) if record else float("nan"),
            "taken": cell.recipe.image_lr == session.cell(method, dataset, cell.ipc).recipe.image_lr,
        }
    )
COLUMNS = ["data set", "IPC", "method", "image rate", "steps", "accuracy", "taken"]
tried = pd.DataFrame(lines, columns=COLUMNS)
if not lines:
    session.say("*This profile searches no rate of these methods.*")
session.save_frame(tried.assign(taken=tried.taken.map({True: "taken", False: "no"})), digits=1)

# %% [markdown]
# ## How it is searched
# A tenth of the training images is held out. Runs of a fifth of the profile's steps (a third for DM) are made
# at rates five times apart, from the same start, and judged on the held-out images. Other methods have the rate of the
# method that they are a variant of, on other grey images that of MNIST. IDC's own rule scales its rate at 10 images per
# class to other budgets.
#
# Not from this search are the rates of MMD in profile `cpu`, which an earlier `cpu` chose on held-out images in 300
# steps, and those of LD, DD, FRePo and generators, which are ours without a record of a search.

# %% [markdown]
# ## How the verdicts come about
# One set decides nothing between two rates that lie close, and need not: either would do. So a rate is good enough when
# no other one that was tried is better by a point. That says nothing of rates that were not tried, and where the rate
# taken is the largest or the smallest of them, a better one may lie beyond.

# %%
ENOUGH = 1.0  # points
seen, places = [], {}
for (dataset, ipc, label), part in tried.groupby(["data set", "IPC", "method"], sort=False):
    own = part[part.taken].accuracy
    whole = part.accuracy.notna().all() and len(own)
    measured = part[part.accuracy.notna()]
    told = ", ".join(f"{line['image rate']:g}: {line.accuracy:.1f}" for _, line in measured.iterrows())
    if whole and len(part) > 1:
        lies = edge(
            dict(zip(part["image rate"], part.accuracy, strict=True)), part[part.taken]["image rate"].iloc[0]
        )
        places[f"{label} on {session.place(dataset, ipc)}"] = lies
        told += f" ({lies.words})" if lies.words else ""
    seen.append(
        (
            f"{label} on {session.place(dataset, ipc)}: no rate tried is better by a point",
            bool(part.accuracy.max() < own.iloc[0] + ENOUGH) if whole else None,
            told or "not measured here",
        )
    )
at_the_edge = [lies for lies in places.values() if lies.beyond]
rising = [f"{name} ({lies.beyond})" for name, lies in places.items() if lies.rising]
told = f"{len(at_the_edge)} of {len(places)} lie at the edge of what was tried"
if rising:
    told += f", {len(rising)} of them with accuracy still rising towards it"
seen.append(
    (
        "every rate taken lies between two others that were tried",
        bool(not at_the_edge) if places else None,
        told if places else "not measured here",
    )
)
if places:
    session.say(
        f"**Rates taken: {told}.**"
        + (f" There a rate beyond may be better still: {', '.join(rising)}." if rising else "")
    )
session.verdict([], seen)

# %%
# NBVAL_CHECK_OUTPUT
print(
    session.check(
        {  # mean accuracies of quick in percent, and how far another CPU may miss them
            "dm+lr1, IPC 10, digits@holdout": (83, 4),
        }
    )
)
