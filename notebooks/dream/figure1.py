# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # DREAM, Figure 1: accuracy curves
#
# **The claim.** With DREAM's sampler, DC needs one fifth of its iterations to reach its final accuracy, DSA one
# tenth, and distribution matching (in IDC's frame) less than one tenth; going on brings further gains. All on
# CIFAR-10 at 10 images per class.

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

from dreamlib.companion.report import figures, statistics, words
from dreamlib.companion.report.verdicts import Evidence, all_of, compare
from dreamlib.companion.session import Session

session = Session.of_notebook("dream/figure1", globals())

# The modules next to this notebook.
from iterations import leads, times_fewer

session.about()

# %%
session.run()

# %% [markdown]
# ## The curves
# As in the paper's figure: the dotted line is the final accuracy of the method without DREAM, and a mark says at which
# step the curve with DREAM first reaches it.

# %%
# A base, and what DREAM changes in it: the sampler, and in IDC's frame the images to start from too.
ARMS = {
    "dc": ("dc+dream",),
    "dsa": ("dsa+dream",),
    "dm": ("dm+dream",),
    "idc-dm": ("idc-dm+dream", "idc-dm+centres", "dream-dm"),
    "idc": ("idc+dream", "idc+centres", "dream", "dream+weighted", "dream+every1"),
}
LETTERS = {"dc": "(a) ", "dsa": "(b) ", "idc-dm": "(c) "}  # the panels of the paper's figure
chosen = set(session.study.methods)
arms = [(base, arm) for base, others in ARMS.items() for arm in others if {base, arm} <= chosen]
panels = [(base, arm) for base, arm in arms if base in LETTERS and arm == f"{base}+dream"]
curves = session.curves()
for name in session.study.datasets:
    for ipc in session.study.ipcs:
        part = curves[(curves.dataset == name) & (curves.ipc == ipc)]
        for base in dict.fromkeys(base for base, _ in arms):
            shown = part[part.method.isin((base, *ARMS[base]))]
            final = part[part.method == base].sort_values("iteration")["mean"]
            if final.empty:
                continue
            axes, _ = figures.accuracy_curves(
                shown,
                target=final.iloc[-1],
                target_label=f"{session.label(base)}, final",
                title=f"{LETTERS.get(base, '')}{session.label(base)}: {session.place(name, ipc)}",
            )
            session.save_figure(axes.figure, f"{name}-ipc{ipc}-{base}")

# %% [markdown]
# ## How many times fewer iterations
# The table at the top of the page says by how many times fewer iterations a method reaches what its base has at its
# end: per set, then the geometric mean with its 95 % interval over sets. The paper's number is the inverse of the
# fraction that its figure names. A set that never reaches it counts as 1.

# %%
# The panels of the paper's figure, and what it calls the method in each.
printed = {
    "dc+dream": ("fig1a", "DC+DREAM"),
    "dsa+dream": ("fig1b", "DSA+DREAM"),
    "idc-dm+dream": ("fig1c", "IDC-DM+DREAM"),
}


def reported_fraction(method: str, dataset: str) -> float | None:
    """The fraction of the iterations that the paper's figure names for a method; None for one it does not show."""
    if method not in printed:
        return None
    panel, label = printed[method]
    return session.reported_number(panel, dataset, label, "fraction_of_iterations_to_match_original")


lines = []
for (name, ipc), part in curves.groupby(["dataset", "ipc"], sort=False):
    for base, arm in arms:
        without = part[part.method == base].sort_values("iteration")
        with_ = part[part.method == arm].sort_values("iteration")
        if without.empty or with_.empty:
            continue
        fraction = reported_fraction(arm, name)
        lines.append(
            {
                "data set": name,
                "IPC": ipc,
                "base": session.label(base),
                "method": session.label(arm),
                "start": with_["mean"].iloc[0] if with_.iteration.iloc[0] == 0 else None,
                "final, base": without["mean"].iloc[-1],
                "final": with_["mean"].iloc[-1],
                "n": int(with_["n"].iloc[-1]),
                "steps": int(with_.iteration.iloc[-1]),
                "times fewer": times_fewer(session.records, arm, base, name, ipc).words(),
                "reported": "" if fraction is None else words.number(1 / fraction, 0),
            }
        )
crossings = pd.DataFrame(lines)
session.save_frame(crossings, digits=1)

# %% [markdown]
# ## How far above its base a method lies along the way
# After the same number of steps, in points: the difference of two sets of one seed, then its mean over sets with the
# 95 % interval. An early lead that melts says that a method is faster; one that stays says that its images are better.

# %%
lines = []
for name, ipc in dict.fromkeys(zip(curves.dataset, curves.ipc, strict=True)):
    for base, arm in arms:
        for step, lead in leads(session.records, arm, base, name, ipc).items():
            line = {"data set": name, "IPC": ipc, "base": session.label(base), "method": session.label(arm)}
            lines.append({**line, "step": step, "points": lead.size(unit=""), "sets": lead.sets})
if lines:
    session.show(pd.DataFrame(lines))

# %% [markdown]
# ## What is measured
#
# The synthetic set is kept at seven moments of one distillation, and each is evaluated from scratch like a final one.
# A curve X+DREAM differs from its base in the sampler alone. In IDC's frame DREAM also starts from other images,
# those nearest to cluster centres: *from cluster centres* has the second choice without the first, *DREAM* has both.
# Two further arms ask why: *weighted by cluster* lets an image count by its cluster's share of the class, and
# *clustering at every step* never matches an image twice in a row. What decides is the accuracy at the moment that
# the paper names, set by set.

# %% [markdown]
# ## What stands behind each number

# %%
session.settings()

# %% [markdown]
# ## How the verdicts come about
# At the paper's fraction of the steps, or the first kept moment after it, a set of X+DREAM is compared with the final
# set of X at the same seed. Both are judged by the same networks.

# %%


def against_final(place: tuple[str, int], base: str, plugged: str, fraction: float) -> tuple[Evidence, int]:
    """X+DREAM at the first moment after a fraction of the steps, against X at its end; and that step."""
    # Of the moments that are kept, whether they are measured or not: a later one is no answer.
    kept = session.cell(plugged, *place).recipe.kept
    at = min(step for step in kept if step >= fraction * kept[-1])
    ours = statistics.by_seed(session.records, plugged, *place, at)
    return compare(ours, statistics.by_seed(session.records, base, *place)), at


places = [(name, ipc) for name in session.study.datasets for ipc in session.study.ipcs]
claims = []
for base, plugged in panels:
    fraction = reported_fraction(plugged, "cifar10")
    early, late = {}, {}
    for place in places:
        found, at = against_final(place, base, plugged, fraction)
        early[f"{session.place(*place)}, step {at}"] = found
        late[session.place(*place)], _ = against_final(place, base, plugged, 1.0)
    claims += [
        (
            f"{session.label(plugged)} is above the final {session.label(base)} after {fraction:.0%} of the steps",
            *all_of(early),
        ),
        (
            f"going on brings further gains: {session.label(plugged)} ends above {session.label(base)}",
            *all_of(late),
        ),
    ]
also = []
for base, arm in arms:
    if (base, arm) not in panels:
        late = {session.place(*place): against_final(place, base, arm, 1.0)[0] for place in places}
        also.append((f"{session.label(arm)} ends above {session.label(base)}", *all_of(late)))
session.verdict(claims, also)

# %%
# NBVAL_CHECK_OUTPUT
print(
    session.check(
        {  # mean accuracies of quick in percent, and how far another CPU may miss them
            "dc, IPC 10, step 40": (55, 5),
            "dc, IPC 10": (72, 4),
            "dc+dream, IPC 10": (71, 5),
            "dsa, IPC 10, step 0": (83, 3),
            "dsa, IPC 10": (84.5, 1.5),
            "dsa+dream, IPC 10": (84.5, 1.5),
            "idc-dm, IPC 10, step 0": (82, 2),
            "idc-dm, IPC 10": (86, 2),
            "idc-dm+dream, IPC 10": (86, 2),
        },
        reported=(
            "dream/fig1a",
            "dream/fig1b",
            "dream/fig1c",
        ),
    )
)
