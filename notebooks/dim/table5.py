# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # DiM, Table 5: the epochs of logits matching
#
# **The claim.** N is the epoch of the GAN from which on logits are matched too. Accuracy rises from N = 20 to N = 120,
# which is best (72.6 % under ConvNet-3, C-3, and 74.1 % under ResNet-10, R-10; CIFAR-10, INPC = 50), and stays there:
# too early disturbs the GAN, too late gains little.

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
from dreamlib.companion.plans import dim
from dreamlib.companion.report import tables
from dreamlib.companion.report.verdicts import all_of
from dreamlib.companion.session import Session

session = Session.of_notebook("dim/table5", globals())

# The modules next to this notebook.
import ablation
from variation import own_spread, plot, variants

session.about()

# %%
session.run()

# %% [markdown]
# ## How to read the table
# N in the paper's epochs. A classifier is trained on images that the generator draws again for every epoch. Where this
# profile does not measure the paper's own place, its numbers have columns of their own: compare the
# pattern, not the level.

# %%
published = dim.STARTS
called = "DiM matching_from_epoch={}"
named, table = variants(session, dim.starts, "120", published=published, called=called, average=False)

# %%
epochs = {name: (dim.epoch(cell, int(name)), cell.recipe.steps) for name, cell in named.items()}
session.say(
    "Here: "
    + "; ".join(f"N = {name} is epoch {first} of {last}" for name, (first, last) in epochs.items())
    + "."
)
plot(session, table, "start", "N, the epoch of 200 from which on logits are matched", published)

# %% [markdown]
# ## Differences
# To N = 120, with the 95 % interval over generators, what the paper prints, and how many generators would
# decide that.

# %%
tables.styled(ablation.told(table.changes()))

# %% [markdown]
# ## What is compared
#
# All rows start from one GAN, as it was after N of 200 epochs, and end after the same number of epochs in all. That is
# our choice, the paper does not say: a small N matches for longer, and a difference between two rows is one of both,
# when matching starts and how long it lasts. R-18 is judged here too; the paper prints no number for it.

# %% [markdown]
# ## What stands behind each number
# *images/class* counts what the generator draws of each class for an epoch; it stores none (*bytes stored* is its
# weights). Seconds include the GAN, which the rows share and which was computed once.

# %%
session.settings()

# %% [markdown]
# ## How the verdicts come about
# "Best" and "better" are decided under every network, or not at all. The unit is the generator: judging one once more
# says nothing of its row. Rows that differ by less than one generator moves along its training are told apart by many
# generators only. How far it moves:

# %%
own_spread(session, table)

# %%
early = min(named, key=int)
late = table.evidence("150", "120")
claims = [
    ("N = 120 is best", *table.best_is("120")),
    (f"starting later is better up to 120: N = 120 above N = {early}", *table.above("120", early)),
    (
        "after 120 the accuracy converges (N = 150 within a point of N = 120)",
        *all_of(late, judge=lambda one: one.within(1)),
    ),
]
session.verdict(claims)

# %%
# NBVAL_CHECK_OUTPUT
print(
    session.check(
        {  # mean accuracies of quick in percent, and how far another CPU may miss them
            "dim+from80, INPC 10, ConvNet-2, instance norm": (26, 11),
            "dim, INPC 10, ConvNet-2, instance norm": (44, 15),
            "dim, INPC 10, ResNet-10, batch norm": (26, 11),
        },
        reported=("dim/table5",),
    )
)
