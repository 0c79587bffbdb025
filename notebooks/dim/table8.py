# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # DiM, Table 8: performance comparison to GANs
#
# **The claim.** DiM is better than the GAN alone at 1, 10 and 50 images per class drawn for every epoch (INPC), under
# ConvNet-3 (C-3) and ResNet-10, by up to 5 points (so the text; the table's own differences reach 6.0): a GAN
# makes images that look real, DiM images that help a classifier.

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
from dreamlib.companion.report import tables
from dreamlib.companion.session import Session

session = Session.of_notebook("dim/table8", globals())

# The modules next to this notebook.
import ablation
import budgets

session.about()

# %%
session.run()

# %% [markdown]
# ## How to read the table
# Where this profile does not measure the paper's own place, its numbers have columns of their own: compare
# the pattern, not the level.

# %%
rows = [tables.Row(name, session.label(name), session.label(name)) for name in session.study.methods]
table = ablation.of_session(
    session, rows, ("C-3", "R-10"), base="GAN" if "gan" in session.study.methods else ""
)
session.save(table)

# %%
session.say(budgets.steps_told(session.records, lambda record: record["label"]))
figure = ablation.varied(table.curves(), xlabel="generator", connected=False, suptitle=f"Profile {profile}")
session.save_figure(figure, "gan")

# %% [markdown]
# ## Differences
# Of DiM to its GAN, with the 95 % interval over generators, what the paper prints at the same INPC, and how many
# generators would decide that.

# %%
both = {"gan", "dim"} <= set(session.study.methods)
tables.styled(ablation.told(table.changes())) if both else None

# %% [markdown]
# ## What is compared
#
# One GAN of 200 epochs, and DiM, which is the same GAN up to epoch 120 and matches logits in the other 80. Each is
# trained once and answers for every INPC. Both rows of a column train their classifiers for equally many steps. Two
# columns of another INPC do not where the steps below differ, so nothing is read along a row.

# %% [markdown]
# ## What stands behind each number
# *images/class* counts what the generator draws of each class for an epoch; it stores none (*bytes stored* is its
# weights). Seconds of DiM include its GAN stage, which was computed once.

# %%
session.settings()

# %% [markdown]
# ## How the verdicts come about
# "Best" and "better" are decided under every network, or not at all. The unit is the generator: judging one once more
# says nothing of its row.

# %%
claims = [
    ("DiM is better than its GAN in all cases", *(table.above("DiM") if both else (None, "not both chosen")))
]
for network in ("C-3", "R-10"):
    holds, evidence = table.above("DiM", network=network) if both else (None, "not both chosen")
    claims.append((f"DiM is better than its GAN under {network}", holds, evidence))
session.verdict(claims)

# %%
# NBVAL_CHECK_OUTPUT
print(
    session.check(
        {  # mean accuracies of quick in percent, and how far another CPU may miss them
            "gan, INPC 1, ConvNet-2, instance norm": (54, 12),
            "gan, INPC 1, ResNet-10, batch norm": (28, 15),
            "gan, INPC 10, ConvNet-2, instance norm": (69, 12),
            "gan, INPC 10, ResNet-10, batch norm": (53, 12),
            "dim, INPC 1, ConvNet-2, instance norm": (26, 11),
            "dim, INPC 10, ConvNet-2, instance norm": (44, 15),
            "dim, INPC 10, ResNet-10, batch norm": (26, 11),
        },
        reported=("dim/table8",),
    )
)
