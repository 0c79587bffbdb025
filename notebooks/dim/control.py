# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # DiM, control: matching, or a lower rate
#
# **The claim.** DiM's second stage makes a better generator than its GAN (Tables 2, 4 and 8), and the paper credits the
# matching of logits. In the released code that stage also lowers Adam's rate to a twentieth. A generator that goes on
# at a lower rate averages out its own noise, and may gain without any matcher.

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

session = Session.of_notebook("dim/control", globals())

# The modules next to this notebook.
import ablation

session.about()

# %%
session.run()

# %% [markdown]
# ## The four arms
# Four generators that go on from one and the same GAN: with the weight of matching at 0 or as published, and at the
# rate of the first stage or at a twentieth of it. The paper has no such table. What matching is worth is read between
# two arms of one rate; what the rate is worth, between two arms of one weight. *DiM* is the published arm.

# %%
rows = [tables.Row(name, session.label(name), None) for name in session.study.methods]
table = ablation.of_session(session, rows, ("C-3", "R-10"))
session.save(table)

# %% [markdown]
# ## How the verdicts come about
# Each is the difference of two arms that differ in one thing, over generators that go on from the same GANs.

# %%
PAIRS = (
    ("matching, at a twentieth of the rate", "dim", "dim-unmatched"),
    ("matching, at the first stage's rate", "dim-fast", "dim-fast-unmatched"),
    ("the lower rate, without matching", "dim-unmatched", "dim-fast-unmatched"),
    ("the lower rate, with matching", "dim", "dim-fast"),
)
chosen = [pair for pair in PAIRS if {pair[1], pair[2]} <= set(session.study.methods)]
claims = [
    (
        f"{what}: {session.label(arm)} is better than {session.label(base)} under every network",
        *table.above(session.label(arm), session.label(base)),
    )
    for what, arm, base in chosen
]
session.verdict([], claims)  # questions of ours, no claims of the paper

# %% [markdown]
# ## What stands behind each number
# Seconds of an arm include its GAN stage, which was computed once.

# %%
session.settings()

# %%
# NBVAL_CHECK_OUTPUT
print(
    session.check(
        {  # mean accuracies of quick in percent, and how far another CPU may miss them
            "dim, INPC 10, ConvNet-2, instance norm": (44, 15),
            "dim-unmatched, INPC 10, ConvNet-2, instance norm": (44, 15),
        }
    )
)
