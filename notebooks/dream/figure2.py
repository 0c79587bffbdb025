# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # DREAM, Figure 2: image quality and sample diversity
#
# **The claim.** With DREAM the distilled images show more obvious characteristics of their class, and more variety.

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

from dreamlib.companion.probes import variety
from dreamlib.companion.report import figures
from dreamlib.companion.report.verdicts import all_of
from dreamlib.companion.session import Session, pixels

session = Session.of_notebook("dream/figure2", globals())
session.about()

# %%
session.run()

# %%
lines, real_of = [], {}
for name in session.study.datasets:
    real = real_of[name] = session.classes(name)
    for ipc in session.study.ipcs:
        for method in session.study.methods:
            found = session.distilled(method, name, ipc)
            if found is None:
                where = f"{session.label(method)}, {session.place(name, ipc)}"
                session.say(f"*{where}: the set is not here; `{session.study.command()}`*")
                continue
            classes, shown = min(6, len(found.classes)), min(6, found.stored.shape[1])
            grid = pixels(found.stored[:classes, :shown].flatten(0, 1))
            title = f"{session.label(method)}, {session.place(name, ipc)}"
            axes, _ = figures.image_grid(grid, shown, title=title, row_labels=found.classes[:classes])
            session.save_figure(axes.figure, f"{name}-{method}-ipc{ipc}")
            lines.append(
                {
                    "data set": name,
                    "IPC": ipc,
                    "method": session.label(method),
                    "variety": variety(found, real),
                    "pixels outside [0, 1]": found.clipped,
                }
            )

# %% [markdown]
# ## Variety
# The table at the top of the page has it for the first set of every method.

# %%
varieties = pd.DataFrame(lines, columns=["data set", "IPC", "method", "variety", "pixels outside [0, 1]"])
session.save_frame(varieties, digits=3)

# %% [markdown]
# ## What is shown
#
# Six images of six classes, as they are stored, and a number for variety: the mean distance between the images of a
# class, in units of that distance among real images of the class (1 means as varied as the data). Values outside [0,
# 1], which DC, DSA and DM produce, cannot be shown; their share is printed.

# %% [markdown]
# ## How the verdicts come about

# %%


def gain(name, ipc, base, plugged, seed):
    """How much more varied one set of a method is than one of another, of the same seed."""
    pair = [session.distilled(method, name, ipc, seed) for method in (plugged, base)]
    return None if None in pair else variety(pair[0], real_of[name]) - variety(pair[1], real_of[name])


claims = []
for base, plugged in (("dc", "dc+dream"), ("idc", "dream")):
    found = {
        session.place(name, ipc): session.over_sets(gain, name, ipc, base, plugged)
        for name in session.study.datasets
        for ipc in session.study.ipcs
        if ipc > 1 and {base, plugged} <= set(session.study.methods)
    }
    if found:
        claim = f"{session.label(plugged)} gives more variety than {session.label(base)}"
        claims.append((claim, *all_of(found, digits=3, unit="of the real images' variety")))
claims.append(
    (
        "images show more obvious characteristics of their class",
        None,
        "a judgement of the eye: the images are below",
    )
)
session.verdict(claims)

# %%
# NBVAL_CHECK_OUTPUT
varied = varieties.set_index("method").variety
print(
    session.check(
        {  # mean accuracies of quick in percent, and how far another CPU may miss them
            "dc, IPC 10": (72, 5),
            "dc+dream, IPC 10": (71, 5),
            "idc, IPC 10": (93, 2),
            "dream, IPC 10": (95, 2),
        },
        {  # measured, expected, and how far they may lie apart
            "variety, DC": (varied.get("DC"), 1.34, 0.1),
            "variety, DC+DREAM": (varied.get("DC+DREAM"), 1.34, 0.1),
            "variety, IDC": (varied.get("IDC"), 1.01, 0.1),
            "variety, DREAM": (varied.get("DREAM"), 1.02, 0.1),
        },
    )
)
