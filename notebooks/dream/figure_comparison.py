# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # DREAM, README figure (b): comparison of the datasets distilled by DC and by DC with DREAM
#
# **The claim.** With DREAM's sampler, DC's images of the same classes are clearer. The paper shows plane, car, dog
# and cat of CIFAR-100 (those names are CIFAR-10's).

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
import torch

from dreamlib.companion.report import figures
from dreamlib.companion.session import Session, pixels

session = Session.of_notebook("dream/figure_comparison", globals())

from nearness import reach  # next to this notebook

session.about()

# %%
session.run()

# %%
pairs_shown = 0
for name in session.study.datasets:
    for ipc in session.study.ipcs:
        sets = [session.distilled(method, name, ipc) for method in session.study.methods]
        if any(found is None for found in sets):
            session.say(f"*{session.place(name, ipc)}: a set is not here; `{session.study.command()}`*")
            continue
        classes = sets[0].classes
        wanted = [one for one in ("airplane", "automobile", "dog", "cat") if one in classes] or list(
            classes[:4]
        )
        columns = min(10, sets[0].stored.shape[1])
        rows, labels = [], []
        for one in wanted:
            for method, found in zip(session.study.methods, sets, strict=True):
                rows.append(found.stored[classes.index(one), :columns])
                labels.append(f"{one}, {session.label(method)}")
        axes, _ = figures.image_grid(
            pixels(torch.cat(rows)), columns, title=session.place(name, ipc), row_labels=labels
        )
        session.save_figure(axes.figure, f"{name}-ipc{ipc}")
        pairs_shown += 1

# %% [markdown]
# ## What is shown
#
# The first images of four classes, DC in the upper row of each pair and DC+DREAM in the lower one, from the same
# initial noise and the same networks.

# %% [markdown]
# ## How the verdicts come about

# %%
session.verdict(
    [("images are clearer with DREAM", None, "a judgement of the eye; the accuracies are in Table 1")]
)

# %%
# NBVAL_CHECK_OUTPUT
# What is shown, next to its label.
sets = {name: session.distilled(name, "digits", 10) for name in ("dc", "dc+dream")}
far = {
    name: reach(one.normalisation.apply(one.stored), session.classes("digits"))
    for name, one in sets.items()
    if one
}
print(
    session.check(
        {  # mean accuracies of quick in percent, and how far another CPU may miss them
            "dc, IPC 10": (72, 5),
            "dc+dream, IPC 10": (71, 5),
        },
        {  # measured, expected, and how far they may lie apart
            "real images to the nearest stored one of their class, dc": (far.get("dc"), 1.06, 0.1),
            "real images to the nearest stored one of their class, dc+dream": (
                far.get("dc+dream"),
                1.05,
                0.1,
            ),
        },
    )
)
assert pairs_shown or session.study.missing()
