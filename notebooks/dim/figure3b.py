# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # DiM, Figure 3b: batch sizes
#
# **The claim.** B is the number of real images in a matching step. 64 is best under ConvNet-3 (C-3), ResNet-10
# and ResNet-18. A larger one makes the optimisation harder, so that accuracy drops significantly; too small a
# one, such as 16, gives little supervision (CIFAR-10, INPC = 50).

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

session = Session.of_notebook("dim/figure3b", globals())

# The modules next to this notebook.
import ablation
from variation import own_spread, plot, variants, worse_at_the_ends

session.about()

# %%
session.run()

# %% [markdown]
# ## Measured
# A classifier is trained on images that the generator draws again for every epoch. The paper gives only the best value,
# so there is no reported number to compare with.

# %%
named, table = variants(session, dim.batches, "64")

# %%
plot(
    session, table, "batch", "real images in a matching step, B (logarithmic)", list(named), logarithmic=True
)

# %% [markdown]
# ## Differences
# To B = 64, with the 95 % interval over generators.

# %%
tables.styled(ablation.told(table.changes()))

# %% [markdown]
# ## What is compared
#
# All rows go on from one GAN, at epoch 120 of 200, and match for the same number of epochs; an epoch goes once through
# the training images, so a larger B also means fewer steps. B is the batch of the whole step, of the GAN's loss too.
# The figure prints no accuracies. 16, 64 and 384 are the paper's values, named in its text; the others are ours.

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
best = f"{session.reported_number('fig3b', 'cifar10', 'DiM', 'best_batch_size', paper='dim'):.0f}"
claims = [(f"B = {best} is best", *table.best_is(best))]
session.verdict(claims + worse_at_the_ends(table, named, best, "B"))

# %%
# NBVAL_CHECK_OUTPUT
print(
    session.check(
        {  # mean accuracies of quick in percent, and how far another CPU may miss them
            "dim+batch32, INPC 10, ConvNet-2, instance norm": (45, 15),
            "dim+batch32, INPC 10, ResNet-10, batch norm": (29, 13),
            "dim, INPC 10, ConvNet-2, instance norm": (44, 15),
            "dim, INPC 10, ResNet-10, batch norm": (26, 11),
        },
        reported=("dim/fig3b",),
    )
)
