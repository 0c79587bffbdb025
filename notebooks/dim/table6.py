# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # DiM, Table 6: diversity of the models pool
#
# **The claim.** For every epoch of matching a network is drawn from the models pool. The more different networks it
# holds, the better: from one network to three the average under ConvNet-3 (C-3), ResNet-10 and ResNet-18
# rises from 73.1 to 73.9 % (CIFAR-10, INPC = 50), and the full pool is best under each of them.

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
from dreamlib.companion.session import Session

session = Session.of_notebook("dim/table6", globals())

# The modules next to this notebook.
import ablation
from variation import own_spread, plot, variants

session.about()

# %%
session.run()

# %% [markdown]
# ## How to read the table
# Rows are pools, columns the networks that are trained on the generator's images, drawn again for every epoch. Where
# this profile does not measure the paper's own place, its numbers have columns of their own: compare the
# pattern, not the level.

# %%
_, table = variants(session, dim.pools, "C3+R10+R18", published=dim.MIXES, called="DiM pool={}")

# %%
plot(session, table, "pool", "models pool", connected=False)

# %% [markdown]
# ## Differences
# To the full pool, with the 95 % interval over generators, what the paper prints, and how many generators would
# decide that.

# %%
tables.styled(ablation.told(table.changes()))

# %% [markdown]
# ## What is compared
#
# Seven pools. All rows go on from one GAN, at epoch 120 of 200. The paper's caption speaks of ResNets with average and
# with max pooling; each stands for one network here, and the two more of the released code are in the method
# `dim-code`, not in this table.

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
claims = [
    ("the full pool is best under every network", *table.best_is("C3+R10+R18")),
    ("the full pool is best on average", *table.best_is("C3+R10+R18", network="Avg.")),
]
claims += [
    (
        f"the full pool is better on average than {name} alone",
        *table.above("C3+R10+R18", name, network="Avg."),
    )
    for name in ("C3", "R10", "R18")
]
session.verdict(claims)

# %%
# NBVAL_CHECK_OUTPUT
print(
    session.check(
        {  # mean accuracies of quick in percent, and how far another CPU may miss them
            "dim+C3, INPC 10, ConvNet-2, instance norm": (44, 15),
            "dim+C3, INPC 10, ResNet-10, batch norm": (25, 10),
            "dim+C3+R10, INPC 10, ConvNet-2, instance norm": (44, 15),
            "dim+C3+R10, INPC 10, ResNet-10, batch norm": (25, 10),
            "dim, INPC 10, ConvNet-2, instance norm": (44, 15),
            "dim, INPC 10, ResNet-10, batch norm": (26, 11),
        },
        reported=("dim/table6",),
    )
)
