# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # DiM, Table 10: dimension K of the noise
#
# **The claim.** The generator's noise has K = 100 dimensions. That is best under ConvNet-3 (C-3), ResNet-10 and
# ResNet-18: from K = 32 to 100 their average rises from 71.8 to 73.9 %, and for K = 200 it has dropped to 69.3
# % (CIFAR-10, INPC = 50).

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

session = Session.of_notebook("dim/table10", globals())

# The modules next to this notebook.
import ablation
from variation import own_spread, plot, variants, worse_at_the_ends

session.about()

# %%
session.run()

# %% [markdown]
# ## How to read the table
# A classifier is trained on images that the generator draws again for every epoch. Where this profile does not measure
# the paper's own place, its numbers have columns of their own: compare the pattern, not the level.

# %%
published = dim.NOISES
named, table = variants(session, dim.noises, "100", published=published, called="DiM noise_dim={}")

# %%
plot(session, table, "noise", "K, dimensions of the noise", published)

# %% [markdown]
# ## Differences
# To K = 100, with the 95 % interval over generators, what the paper prints, and how many generators would
# decide that.

# %%
tables.styled(ablation.told(table.changes()))

# %% [markdown]
# ## What is compared
#
# Generators that differ in K. K is part of the GAN, so nothing is shared here: every row has a GAN stage of its own,
# and a difference between two rows is also one between two trainings.

# %% [markdown]
# ## What stands behind each number
# *images/class* counts what the generator draws of each class for an epoch; it stores none (*bytes stored* is its
# weights, of which K decides the first layer's).

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
    ("K = 100 is best under every network", *table.best_is("100")),
    ("K = 100 is best on average", *table.best_is("100", network="Avg.")),
]
session.verdict(claims + worse_at_the_ends(table, named, "100", "K", "Avg."))

# %%
# NBVAL_CHECK_OUTPUT
print(
    session.check(
        {  # mean accuracies of quick in percent, and how far another CPU may miss them
            "dim+noise32, INPC 10, ConvNet-2, instance norm": (44, 15),
            "dim+noise32, INPC 10, ResNet-10, batch norm": (34, 13),
            "dim, INPC 10, ConvNet-2, instance norm": (44, 15),
            "dim, INPC 10, ResNet-10, batch norm": (26, 11),
        },
        reported=("dim/table10",),
    )
)
