# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # DREAM, README figure (a): gradient norm distribution
#
# **The claim.** The gradient norms of a class spread widely. A random batch inherits that spread, with images near
# the decision boundary dominating the mean; a representative one covers the class evenly.

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
label: int = 0  # which class
reports: str = "reports"  # where rendered pages and tables go

# %%
import numpy as np
import pandas as pd

from dreamlib.companion.report import words
from dreamlib.companion.report.statistics import deviation
from dreamlib.companion.session import Session

session = Session.of_notebook("dream/figure_gradnorm", globals())

from gradients import gradient_study, histogram_pair  # next to this notebook

session.about()

# %%
lines, compared = [], {}
for name in session.study.datasets:
    recipe = session.cell("dream", name, 10).recipe
    study = gradient_study(session.dataset(name), recipe, label=label, device=session.torch_device)
    compared[name] = study
    axes = histogram_pair(
        study.norms_random,
        study.norms_representative,
        labels=("random", "representative"),
        title=f"{words.data_set(name)}, class {study.class_name}: {len(study.errors_random)} batches of {study.batch}",
        xlabel="norm of the gradient",
    )
    session.save_figure(axes.figure, name)
    for sampler, errors, bias in (
        ("random", study.errors_random, study.bias_random),
        ("representative", study.errors_representative, study.bias_representative),
    ):
        lines.append(
            {
                "data set": name,
                "class": study.class_name,
                "batch": study.batch,
                "sampler": sampler,
                "distance to the class's mean gradient": float(np.mean(errors)),
                "std": deviation(errors),
                "of all batches together": bias,
                "n": len(errors),
                "norm of the class's mean gradient": study.mean_norm,
            }
        )
distances = pd.DataFrame(lines)
session.save_frame(distances, digits=4)

# %% [markdown]
# ## What is measured
#
# One network, trained for a little on real images as in IDC's schedule. For one class (plane, on CIFAR-10): the norm of
# the cross-entropy gradient over all weights, for every image, for random batches and for a representative batch; and
# what the batch is for: how far the batch's mean gradient is from the mean gradient of the whole class,
#
# $$\left\lVert \frac{1}{B} \sum_{i \in \mathrm{batch}} g_i - \frac{1}{N} \sum_{i=1}^{N} g_i \right\rVert$$

# %% [markdown]
# ## How the verdicts come about
# Batches of one network and one class are no independent evidence about networks or classes, so the numbers are shown
# and nothing is decided from them.

# %%
claims = []
for name, study in compared.items():
    where = words.data_set(name)
    near, far = (errors.mean() for errors in (study.errors_representative, study.errors_random))
    claims.append(
        (
            "a representative batch stands nearer to the class's mean gradient than a random one",
            None,
            f"{where}: mean distance {near:.3g} against {far:.3g} ({len(study.errors_random)} batches each), one class "
            "and one network",
        )
    )
    spread, other = (deviation(norms) for norms in (study.norms_representative, study.norms_random))
    claims.append(
        (
            "the gradient norms of representative batches spread less than those of random ones",
            None,
            f"{where}: standard deviation {spread:.3g} against {other:.3g}, one class and one network",
        )
    )
session.verdict(claims)

# %%
# NBVAL_CHECK_OUTPUT
first = next(iter(compared.values()))
print(
    session.check(
        others={}
        if label  # what is expected is of class 0
        else {  # measured, expected, and how far they may lie apart
            "distance from the mean gradient, representative over random": (
                first.errors_representative.mean() / first.errors_random.mean(),
                0.93,
                0.15,
            ),
            "all batches together, representative over random": (
                first.bias_representative / first.bias_random,
                1.8,
                0.6,
            ),
            "spread of the norms, representative over random": (
                first.norms_representative.std() / first.norms_random.std(),
                1.05,
                0.2,
            ),
        },
    )
)
assert all(np.isfinite(study.norms_all).all() for study in compared.values())
print("every gradient norm is finite")
