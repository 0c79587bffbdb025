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
from dreamlib.companion.report.verdicts import decide
from dreamlib.companion.session import Session

session = Session.of_notebook("dream/figure_gradnorm", globals())

from gradients import gradient_study, histogram_pair  # next to this notebook

session.about()

# %%
NETWORKS, BATCHES, WARM_UP = 10, 10, 20
SAMPLERS = ("random", "representative", "weighted")
SHOWN = {"random": "random", "representative": "representative", "weighted": "representative, by share"}


def batches_of(name, recipe, seed):
    """A row for each way to choose and to count, at one network; the images' norms are for the picture of the first."""
    study = gradient_study(
        session.dataset(name),
        recipe,
        label=label,
        batches=BATCHES,
        warm_up=WARM_UP,
        seed=seed,
        device=session.torch_device,
    )
    shown = {} if seed == 0 else {"norms": []}
    return [{"seed": seed, **row, **shown} for row in study.rows()]


lines, compared = [], {}
for name in session.study.datasets:
    recipe = session.cell("dream", name, 10).recipe
    every = [
        session.measured(
            "batches",
            lambda name=name, recipe=recipe, seed=seed: batches_of(name, recipe, seed),
            name,
            seed=seed,
            label=label,
            batches=BATCHES,
            warm_up=WARM_UP,
            network=recipe.network,
            space=recipe.container.space,
            sampler=recipe.matching.sampler,
            real_batch=recipe.matching.real_batch,
            per_class=recipe.per_class,
        )
        for seed in range(NETWORKS)
    ]
    found = pd.concat(every, ignore_index=True)
    found["distance"] = found.distances.map(np.mean)
    compared[name] = {sampler: found[found.sampler == sampler].reset_index() for sampler in SAMPLERS}
    pair = [compared[name][sampler] for sampler in SAMPLERS[:2]]
    one_class, batch = pair[0]["class"][0], pair[0].batch[0]
    axes = histogram_pair(
        *(own.norms[0] for own in pair),
        labels=SAMPLERS[:2],
        title=f"{words.data_set(name)}, class {one_class}: {BATCHES} batches of {batch}, one network",
        xlabel="norm of the gradient",
    )
    session.save_figure(
        axes.figure,
        name,
        f"{words.data_set(name)}, class {one_class}: how the gradient norms of the images are spread, in random and in "
        f"representative batches; means {np.mean(pair[0].norms[0]):.3g} and {np.mean(pair[1].norms[0]):.3g}",
    )
    lines += [
        {
            "data set": name,
            "class": own["class"][0],
            "batch": own.batch[0],
            "sampler": SHOWN[sampler],
            "distance to the class's mean gradient": own.distance.mean(),
            "std": deviation(own.distance),
            "of all batches together": own.bias.mean(),
            "spread of the norms": own.spread.mean(),
            "n": len(own),
            "norm of the class's mean gradient": own.mean_norm.mean(),
        }
        for sampler, own in compared[name].items()
    ]
distances = pd.DataFrame(lines)
session.save_frame(distances, digits=4)

# %% [markdown]
# ## What is measured
#
# Ten networks, each trained for a little on real images as in IDC's schedule. For one class (plane, on CIFAR-10): the
# norm of the cross-entropy gradient over all weights, for every image of ten random batches and of ten
# representative ones; and what a batch is for: how far its mean gradient is from the mean gradient of the whole class,
#
# $$\left\lVert \frac{1}{B} \sum_{i \in \mathrm{batch}} g_i - \frac{1}{N} \sum_{i=1}^{N} g_i \right\rVert$$
#
# Every number is a mean over a network's batches; n counts networks. *Of all batches together* is the distance that
# remains when the ten batches are taken as one: what averaging over steps does not remove. Chance alone leaves the
# distance of one batch over the square root of ten. The figure shows the first network. *Representative, by share* are
# the same images, each counted by its cluster's share of the class, where DREAM counts all alike.

# %% [markdown]
# ## What stands behind each number

# %%
session.settings()

# %% [markdown]
# ## How the verdicts come about
# A network with its batches is one repeat. Both samplers are compared network by network. All are of one class.

# %%
claims, also = [], []
for name, by_sampler in compared.items():
    random, representative, weighted = (by_sampler[sampler] for sampler in SAMPLERS)
    where = f"{words.data_set(name)}, class {random['class'][0]}"
    nearer = decide(1 - representative.distance / random.distance, made="network")
    claims.append(
        (
            "a representative batch stands nearer to the class's mean gradient than a random one",
            nearer.verdict,
            f"{where}: mean distance {representative.distance.mean():.3g} against {random.distance.mean():.3g}; "
            f"the share that is saved {nearer.words(3, '')}",
        )
    )
    narrower = decide(1 - representative.spread / random.spread, made="network")
    claims.append(
        (
            "the gradient norms of representative batches spread less than those of random ones",
            narrower.verdict,
            f"{where}: standard deviation {representative.spread.mean():.3g} against {random.spread.mean():.3g}; "
            f"the share that is saved {narrower.words(3, '')}",
        )
    )
    straighter = decide(1 - representative.bias / random.bias, made="network")
    also.append(
        (
            "ten representative batches together stand nearer to it than ten random ones",
            straighter.verdict,
            f"{where}: {representative.bias.mean():.3g} against {random.bias.mean():.3g}; the share that is "
            f"saved {straighter.words(3, '')}",
        )
    )
    for claim, one, base in (
        ("counted by their shares, the images of a batch stand nearer to it", "distance", representative),
        ("counted by their shares, ten batches together stand nearer to it", "bias", representative),
        (
            "counted by their shares, ten batches together stand no farther from it than ten random ones (by a tenth)",
            "bias",
            random,
        ),
    ):
        gain = decide(1 - weighted[one] / base[one], made="network")
        verdict = gain.inside(-0.1, float("inf")) if base is random else gain.verdict
        also.append(
            (
                claim,
                verdict,
                f"{where}: {weighted[one].mean():.3g} against {base[one].mean():.3g}; the share that is saved "
                f"{gain.words(3, '')}",
            )
        )
session.verdict(claims, also, made="network")

# %%
# NBVAL_CHECK_OUTPUT
random, representative, weighted = (next(iter(compared.values()))[sampler] for sampler in SAMPLERS)
print(
    session.check(
        others={}
        if label  # what is expected is of class 0
        else {  # measured, expected, and how far they may lie apart
            "distance from the mean gradient, representative over random": (
                representative.distance.mean() / random.distance.mean(),
                0.93,
                0.15,
            ),
            "all batches together, representative over random": (
                representative.bias.mean() / random.bias.mean(),
                1.2,
                0.4,
            ),
            "spread of the norms, representative over random": (
                representative.spread.mean() / random.spread.mean(),
                1.05,
                0.2,
            ),
        },
    )
)
for by_sampler in compared.values():
    assert all(np.isfinite(own[["distance", "bias"]]).all(axis=None) for own in by_sampler.values())
print("every distance is finite")
