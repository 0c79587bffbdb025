# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # DiM, Figure 3a: sensitivity to λ
#
# **The claim.** $\lambda$ weighs the matching loss against the generator's own: $\mathcal{L} = \mathcal{L}_g + \lambda
# \mathcal{L}_m$. 0.01 is best under ConvNet-3 (C-3) and ResNet-10. A larger one, such as 1, weakens
# $\mathcal{L}_g$ and with it what the images show; too small a one leaves the GAN as it is (CIFAR-10, INPC = 50).

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

session = Session.of_notebook("dim/figure3a", globals())

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
named, table = variants(session, dim.weights, "0.01")

# %%
plot(session, table, "weight", "weight of matching, λ (logarithmic)", list(named), logarithmic=True)

# %% [markdown]
# ## Differences
# To $\lambda$ = 0.01, with the 95 % interval over generators.

# %%
tables.styled(ablation.told(table.changes()))

# %% [markdown]
# ## What is compared
#
# All rows go on from one GAN, at epoch 120 of 200. The figure prints no accuracies. 0.01 and 1 are the paper's values,
# named in its text; the others are ours. R-18 is ours too: the figure has two networks.

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
best = f"{session.reported_number('fig3a', 'cifar10', 'DiM', 'best_lambda', paper='dim'):g}"
claims = [(f"λ = {best} is best", *table.best_is(best))]
session.verdict(claims + worse_at_the_ends(table, named, best, "λ"))

# %%
# NBVAL_CHECK_OUTPUT
print(
    session.check(
        {  # mean accuracies of quick in percent, and how far another CPU may miss them
            "dim, INPC 10, ConvNet-2, instance norm": (44, 15),
            "dim, INPC 10, ResNet-10, batch norm": (26, 11),
            "dim+weight1, INPC 10, ConvNet-2, instance norm": (43, 15),
            "dim+weight1, INPC 10, ResNet-10, batch norm": (27, 12),
        },
        reported=("dim/fig3a",),
    )
)
