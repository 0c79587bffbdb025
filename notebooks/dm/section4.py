# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # DM, supplement 4: connection to gradient matching
#
# **The claim.** For any network with a linear last layer, the gradient of that layer is a weighted feature, so
# matching mean gradients is matching weighted mean features. If random networks predict every class with the same
# probability, the weights are constants, and last-layer gradient matching *is* mean feature matching times a constant.

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
import pandas as pd

from dreamlib.companion.report import figures, tables, words
from dreamlib.companion.report.statistics import deviation
from dreamlib.companion.report.verdicts import decide
from dreamlib.companion.session import Session
from dreamlib.core.registry import as_data
from dreamlib.networks import NetworkSpec

session = Session.of_notebook("dm/section4", globals())

# The modules next to this notebook.
import lastlayer
from boxes import boxes

session.about()

# %% [markdown]
# ## The equations, to the last digit
# Largest difference between each equation and automatic differentiation, relative to the largest value, for twenty
# real images of one class and an untrained network; float64 resolves 2.2e-16. For Eq. 5 the last layer is set to zero,
# which makes the probabilities equal. *Both losses* goes one step further than the paper: with equal probabilities, the
# gradient of last-layer matching with respect to the synthetic images, against $\sum_j c_j^2 = (C-1)/C$ times that of
# feature matching.

# %%
KINDS = (
    ("convnet", "instance"),
    ("convnet", "batch"),
    ("resnet18", "instance"),
    ("resnet18", "batch"),
    ("resnet18ap", "batch"),
    ("vgg11", "instance"),
    ("alexnet", "none"),
    ("densenet121", "batch"),
)
classes, recipes, fitting, lines = {}, {}, {}, []
for name in session.study.datasets:
    recipe = recipes[name] = session.cell("dm", name, 10).recipe
    part = classes[name] = session.classes(name, recipe.per_class)
    specs = [NetworkSpec(kind, recipe.network.depth, recipe.network.width, norm) for kind, norm in KINDS]
    fitting[name], refused = lastlayer.fitting(specs, part.shape, part.num_classes)
    if refused:
        left_out = "; ".join(f"{words.network(as_data(spec))} ({why})" for spec, why in refused.items())
        session.say(
            f"{words.data_set(name)}: left out, since images of {part.shape[1]} pixels are too small: {left_out}."
        )
    for spec in fitting[name]:
        found = session.measured(
            "equations",
            lambda spec=spec, part=part: [
                lastlayer.check_equations(
                    lastlayer.untrained(spec, part), lastlayer.some_images(part, 20)[3], label=3
                )
            ],
            name,
            network=spec,
            per_class=recipe.per_class,
            images=20,
            label=3,
        )
        found.insert(0, "data set", name)
        found.insert(1, "network", words.network(as_data(spec)))
        lines.append(found)
checked = pd.concat(lines, ignore_index=True)
tables.styled(checked.map(lambda value: f"{value:.1e}" if isinstance(value, float) else value))

# %% [markdown]
# ## How equal the probabilities of random networks are
# Twenty untrained networks of each architecture look at 25 real images of each class. *Wrong weight* is the largest
# relative error of a weight of Eq. 5, $\max_j |p_{i,j} - 1/C| \cdot C$: zero where the assumption holds. *From image
# to image* is the part of it that differs between images: an error that all images share is still a constant in Eq. 4,
# only another one. Every number is the mean over a network's images; n counts networks.

# %%
lines, random = [], {}
for name in session.study.datasets:
    part = classes[name]
    for spec in fitting[name]:
        label = words.network(as_data(spec))
        found = random[name, label] = session.measured(
            "uniformity",
            lambda spec=spec, part=part: lastlayer.uniformity(
                spec, lastlayer.some_images(part, 25).flatten(0, 1), part.num_classes, networks=20
            ).rows(),
            name,
            network=spec,
            per_class=recipes[name].per_class,
            images=25,
            networks=20,
        )
        lines.append(
            {
                "data set": name,
                "network": label,
                "largest probability": found.largest.mean(),
                "std": deviation(found.largest),
                "if equal": 1 / part.num_classes,
                "entropy / log C": found.entropy.mean(),
                "distance from equal": found.distance.mean(),
                "wrong weight": found.weight_gap.mean(),
                "from image to image": found.image_gap.mean(),
                "n": len(found),
            }
        )
    axes = boxes(
        {label: found.largest for (where, label), found in random.items() if where == name},
        xlabel="largest probability of an image, mean of a network",
        reference=1 / part.num_classes,
        reference_label="1/C, equal probabilities",
        title=f"{words.data_set(name)}: predictions of untrained networks",
    )
    session.save_figure(axes.figure, f"{name}-probabilities")
uniform = pd.DataFrame(lines)
tables.styled(uniform, decimals=3)

# %% [markdown]
# ## What that does to the synthetic images
# A matching loss moves the synthetic images along its gradient. Here are the gradients of four losses and that of
# feature matching (DM): their cosine, 1 where both move the images in the same direction, and the ratio of their
# norms, which Eq. 5 predicts to be $(C-1)/C$ for the first.
#
# - *last layer*: squared distance of the mean last-layer gradients.
# - *last layer, weights held*: the same with $p_{i,j}$ treated as constants. The text after Eq. 4 reads so; the real
#   loss also changes with the images through $p_{i,j}$.
# - *last layer, DC's metric*: one minus the cosine of the rows, which is what gradient matching (DC, DSA) uses. It
#   compares directions only, and its size is its own.
# - *all layers, DC's metric*: what DC and DSA match.
#
# The networks are untrained at first and then trained on real images. The synthetic set is real images, as at the start
# of DM.

# %%
STEPS, NETWORKS = (0, 1, 5, 10, 20, 50, 100, 200), 10

trained, lines = {}, []
for name in session.study.datasets:
    part, recipe, ipc = classes[name], recipes[name], session.study.ipcs[0]
    trained[name] = session.measured(
        "training",
        lambda part=part, recipe=recipe, ipc=ipc: lastlayer.rows(
            lastlayer.agreement(
                part, recipe, lastlayer.some_images(part, ipc), steps=STEPS, networks=NETWORKS
            )
        ),
        name,
        network=recipe.network,
        real_batch=recipe.matching.real_batch,
        per_class=recipe.per_class,
        images=ipc,
        steps=STEPS,
        networks=NETWORKS,
        losses=list(lastlayer.LOSSES),
    )
    lines.append(lastlayer.averaged(trained[name], name, "training steps"))
    axes = figures.lines(
        lastlayer.cosines(trained[name]),
        xlabel="training steps of the network",
        ylabel="cosine with DM's image gradient",
        logarithmic=True,
        title=f"{words.data_set(name)}: {words.network(as_data(recipe.network))}, profile {profile}",
    )
    axes.set_ylim(None, 1.03)
    session.save_figure(axes.figure, f"{name}-training")
along_training = pd.concat(lines, ignore_index=True)
session.save_frame(along_training, digits=3, top=False)
# Of one data set the name stands in the title of the figure.
told = along_training.rename(columns=lambda column: column.replace("cosine: ", "cos: "))
several = told["data set"].nunique() > 1
session.show(told if several else told.drop(columns="data set"), digits=3, top=True)

# %% [markdown]
# ## Along distillation
# The same at untrained networks, while DM changes the set: early on the mean features lie far apart, later only what
# DM cannot remove is left of their difference.

# %%
session.run()

# %%


def look(name, recipe, course, step):
    """Untrained networks at the set as it was after ``step`` steps; no row where that state is not here."""
    if step not in course:
        return []
    found = lastlayer.agreement(classes[name], recipe, course[step], networks=5)
    return [{**row, "step": step} for row in lastlayer.rows(found)]


distilled, lines = {}, []
for name in session.study.datasets:
    cell, recipe = session.cell("dm", name, session.study.ipcs[0]), recipes[name]
    course = session.course(cell)
    looks = [
        session.measured(
            "distillation",
            lambda name=name, course=course, recipe=recipe, step=step: look(name, recipe, course, step),
            name,
            set=cell.set_key,
            step=step,
            network=recipe.network,
            real_batch=recipe.matching.real_batch,
            networks=5,
            losses=list(lastlayer.LOSSES),
        )
        for step in sorted({0, *cell.recipe.kept})
    ]
    if not any(map(len, looks)):
        session.say(
            f"*{words.data_set(name)}: the states along the way are not here. Remove "
            f"`{session.study.store.set_path(cell).name}` from the sets and type `{session.study.command()}`.*"
        )
        continue
    distilled[name] = pd.concat(looks, ignore_index=True)
    lines.append(lastlayer.averaged(distilled[name], name, "DM's steps"))
    axes = figures.lines(
        lastlayer.cosines(distilled[name]),
        xlabel="distillation steps of DM",
        ylabel="cosine with DM's image gradient",
        title=f"{words.data_set(name)}: untrained networks, profile {profile}",
    )
    axes.set_ylim(None, 1.03)
    session.save_figure(axes.figure, f"{name}-distillation")
if lines:
    session.show(pd.concat(lines, ignore_index=True), digits=3)

# %% [markdown]
# ## The sets themselves
# If both losses are one, they should give one set. *DM, last-layer gradients* is DM with its matcher exchanged for the
# squared distance of the last layer's gradients, and nothing else: the same start, networks, augmentation and learning
# rate. *Cosine of the changes* compares what distillation did to the images of each class, from the common start to the
# end.

# %%
table = session.accuracy_table([session.row(name, "DM and its variant") for name in session.study.methods])
table

# %%
lines = []
for name in session.study.datasets:
    ipc = session.study.ipcs[0]
    pair = [session.cell(method, name, ipc) for method in ("dm", "dm-lastlayer")]

    def change(pair=pair):
        courses = [session.course(cell) for cell in pair]
        return [{"cosine": lastlayer.same_change(*courses)}] if all(courses) else []

    found = session.measured("change", change, name, sets=[cell.set_key for cell in pair])
    if len(found):
        lines.append({"data set": name, "IPC": ipc, "cosine of the changes": found.cosine[0]})
changes = pd.DataFrame(lines, columns=["data set", "IPC", "cosine of the changes"])
tables.styled(changes, decimals=3)

# %% [markdown]
# ## What the section passes over
# - **The bias.** Real last layers have one. Eq. 2 and 3 still hold with $p_{i,j}$ of the biased logits, as the table
#   above shows (its networks have biases); the bias's own gradient $p_{i,j} - [j=y]$ carries no feature and is not
#   matched by DC either.
# - **The metric.** "Multiplied by a constant" needs a squared distance, with the constant $\sum_j c_j^2 = (C-1)/C$. DC
#   and DSA use one minus the cosine of each row; with equal probabilities that is $C$ times one minus the cosine of the
#   mean features: the direction of the mean feature, never its length.
# - **The layers.** DC and DSA match every layer; the argument is about the last one.
# - **The assumption.** Equal probabilities for *all* images need equal rows $w_j$, and then there is nothing to learn
#   through them. At finite weights $p_{i,j}$ itself depends on the images.

# %% [markdown]
# ## What is measured
#
# **The equations.** An image $x_i$ of class $y$ has the feature $e_i$; the last layer $W = [w_0, \dots, w_{C-1}]$
# turns it into probabilities $p_{i,j}$, and its loss is $J_i = -\log p_{i,y}$ (Eq. 1). Then
#
# $$g_{i,j} = \frac{\partial J_i}{\partial w_j} = (p_{i,j} - [j = y])\, e_i \quad (2, 3) \qquad
# \frac{1}{N} \sum_i g_{i,j} = \frac{1}{N} \sum_i (p_{i,j} - [j = y])\, e_i \quad (4)$$
#
# and where all $p_{i,j} = 1/C$
#
# $$\frac{1}{N} \sum_i g_{i,j} = c_j \cdot \frac{1}{N} \sum_i e_i, \qquad
# c_y = \frac{1-C}{C}, \quad c_{j \neq y} = \frac{1}{C} \quad (5)$$
#
# **What is measured.** The equations against automatic differentiation, in double precision, on real images. Then how
# far real networks are from equal probabilities, and what that does to what both losses are for: their gradients with
# respect to the synthetic images.

# %% [markdown]
# ## What stands behind each number

# %%
session.settings()

# %% [markdown]
# ## How the verdicts come about
# A repeat is an untrained network. All of them see the same real images, and are trained on the same ones: an interval
# says how far the first weights matter.

# %%
EXACT = 1e-12
claims, also = [], []
for column, claim in (
    ("(3)", "the last-layer gradient of each sample is its feature, weighted by probabilities (Eq. 3)"),
    ("(4)", "the mean gradient is the weighted mean feature (Eq. 4)"),
    ("(5)", "with equal probabilities it is the mean feature times (1-C)/C or 1/C (Eq. 5)"),
):
    worst = checked[column].max()
    claims.append(
        (claim, bool(worst < EXACT), f"{len(checked)} networks: relative difference at most {worst:.1e}")
    )
for name, part in uniform.groupby("data set", sort=False):
    low, high = part.loc[part["wrong weight"].idxmin()], part.loc[part["wrong weight"].idxmax()]
    own = part.iloc[0]
    wrong = decide(random[name, own.network].weight_gap, made="untrained network")
    claims.append(
        (
            "random networks predict all classes alike (the assumption; held to a tenth of each weight)",
            wrong.within(0.1),
            f"{words.data_set(name)}: the largest error of a weight of {own['network']} is {own['wrong weight']:.2f} "
            f"[{wrong.low:.2f}, {wrong.high:.2f}] of 1/C {wrong.ground()}; from {low['wrong weight']:.0%} "
            f"({low['network']}) to {high['wrong weight']:.0%} ({high['network']}). From image to image it changes by "
            f"{own['from image to image']:.0%}",
        )
    )
for name, found in trained.items():
    total, where = classes[name].num_classes, words.data_set(name)
    fresh, last = (found[found.step == step].reset_index() for step in (STEPS[0], STEPS[-1]))
    cosine, ratio = fresh["cosine: last layer"], fresh["ratio: last layer"]
    near = decide(cosine, against=0.99, made="untrained network")
    end = None
    if name in distilled:
        final = distilled[name].step == session.cell("dm", name, session.study.ipcs[0]).step
        end = distilled[name]["cosine: last layer"][final].mean() if final.any() else None
    claims.append(
        (
            "with random networks, last-layer gradient matching moves the images as feature matching does "
            "(held to a cosine of 0.99)",
            near.verdict,
            f"{where}: cosine {cosine.mean():.4f} at DM's start"
            + (f", {end:.4f} at its end" if end is not None else "")
            + f"; at the start above 0.99 by {near.words(4, '')}",
        )
    )
    off = decide(ratio * total / (total - 1), against=1.0, made="untrained network")
    claims.append(
        (
            "... multiplied by a constant, (C-1)/C (held to a twentieth)",
            off.within(0.05),
            f"{where}: ratio of the norms {ratio.mean():.3f}; (C-1)/C = {(total - 1) / total:.3f}; relative error "
            f"{off.size(3, '')} {off.ground()}",
        )
    )
    lost = decide(cosine - last["cosine: last layer"], made="network")
    also.append(
        (
            "the link is one of random networks",
            lost.verdict,
            f"{where}: cosine {last['cosine: last layer'].mean():.2f} after {STEPS[-1]} training steps, at "
            f"{last['accuracy'].mean():.0f} % accuracy; lost {lost.words(2, '')}",
        )
    )
    everything = fresh["cosine: all layers, DC's metric"]
    follows = decide(everything, against=0.9, made="untrained network")
    also.append(
        (
            "what DC and DSA match (all layers, cosine) follows the features too (cosine above 0.9)",
            follows.verdict,
            f"{where}: cosine {everything.mean():.2f}; above 0.9 by {follows.words(2, '')}",
        )
    )
for name in session.study.datasets:
    if "dm-lastlayer" not in session.study.methods:
        continue
    same = changes[changes["data set"] == name]["cosine of the changes"]
    found = session.compare("dm-lastlayer", "dm", name, session.study.ipcs[0])
    also.append(
        (
            "so both learn sets of the same use (to within a point)",
            found.within(1),
            f"{words.data_set(name)}: {found.words()}"
            + (f"; cosine of the changes {same.iloc[0]:.2f}" if len(same) else ""),
        )
    )
session.verdict(claims, also, made="network")

# %%
# NBVAL_CHECK_OUTPUT
first = next(iter(trained.values()))
fresh, last = (first[first.step == step].mean() for step in (STEPS[0], STEPS[-1]))
print(
    session.check(
        {  # mean accuracies of quick in percent, and how far another CPU may miss them
            "dm, IPC 10": (85, 1.5),
            "dm-lastlayer, IPC 10": (85, 2),
        },
        {  # measured, expected, and how far they may lie apart
            "cosine with DM's image gradient, untrained": (fresh["cosine: last layer"], 1, 0.05),
            "cosine with DM's image gradient, trained": (last["cosine: last layer"], 0.25, 0.15),
            "ratio of the norms, untrained": (fresh["ratio: last layer"], 0.91, 0.05),
            "cosine of the changes": (changes["cosine of the changes"].mean(), 1, 0.05),
        },
    )
)
assert (checked.drop(columns=["data set", "network"]) < EXACT).all(axis=None)
print("every equation holds to 12 digits")
