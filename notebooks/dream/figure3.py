# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # DREAM, Figure 3: example visualizations of the distilled images
#
# **What the paper shows.** Example images distilled by DREAM from MNIST, FashionMNIST, SVHN, CIFAR-10, CIFAR-100 and
# TinyImageNet, without a number.

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
from dreamlib.companion.report import figures, words
from dreamlib.companion.session import Session, pixels

session = Session.of_notebook("dream/figure3", globals())

from nearness import reach  # next to this notebook

session.about()

# %%
session.run()

# %%
shown_sets = 0
for name in session.study.datasets:
    for ipc in session.study.ipcs:
        for method in session.study.methods:
            found = session.distilled(method, name, ipc)
            if found is None:
                where = f"{session.label(method)}, {session.place(name, ipc)}"
                session.say(f"*{where}: the set is not here; `{session.study.command()}`*")
                continue
            columns = min(10, found.stored.shape[1])
            classes = min(10, len(found.classes))
            grid = pixels(found.stored[:classes, :columns].flatten(0, 1))
            title = f"{session.label(method)}, {session.place(name, ipc)}"
            axes, _ = figures.image_grid(grid, columns, title=title, row_labels=found.classes[:classes])
            session.save_figure(axes.figure, f"{name}-{method}-ipc{ipc}")
            shown_sets += 1

# %% [markdown]
# ## What is shown
#
# The sets of the profile's data sets, as they are stored: under multi-formation (factor 2) one stored image is a mosaic
# of four training images.

# %% [markdown]
# ## How they were made

# %%
session.settings()

# %% [markdown]
# ## How the verdicts come about

# %%
session.verdict(
    [
        (
            "DREAM distils every data set of the figure",
            None,
            "a judgement of the eye" + (f": {words.plural(shown_sets, 'set')} above" if shown_sets else ""),
        )
    ]
)

# %%
# NBVAL_CHECK_OUTPUT
course = session.course(session.cell("dream", "digits", 10))
print(
    session.check(
        {  # mean accuracies of quick in percent, and how far another CPU may miss them
            "dream, IPC 10": (95, 2),
        },
        {  # measured, expected, and how far they may lie apart
            "real images to the nearest of the set, at its start": (
                reach(course[0], session.classes("digits")) if course else None,
                0.57,
                0.02,
            ),
            "at its end": (
                reach(course[max(course)], session.classes("digits")) if course else None,
                0.59,
                0.03,
            ),
        },
    )
)
assert shown_sets or session.study.missing()
