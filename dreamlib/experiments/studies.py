"""Studies: which cells stand behind each table and figure. Data; the story is in the notebook of the same name."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from .. import plugins
from ..distill import snapshot_steps
from ..errors import BadValue, unknown
from ..networks import NetworkSpec
from ..pools import Pool, band_name
from ..recipes import Rule, profiles, rule
from ..training import SGD
from .cells import Cell, make_cell
from .run import Summary, run_cells
from .store import Store

Cells = Callable[[str, str, str, int, int], Sequence[Cell]]


def final(profile: str, method: str, dataset: str, ipc: int, seed: int) -> list[Cell]:
    """The set at its end, judged by its method's own protocol."""
    return [make_cell(profile, method, dataset, ipc, seed)]


def course(profile: str, method: str, dataset: str, ipc: int, seed: int) -> list[Cell]:
    """The set along the way, from its start to its end."""
    steps = snapshot_steps(make_cell(profile, method, dataset, ipc, seed).recipe.steps)
    return [make_cell(profile, method, dataset, ipc, seed, step=step) for step in steps]


def variant(cell: Cell, name: str, label: str) -> Cell:
    """A cell as a row of its own: its method's name and label say what the item has changed in it."""
    return replace(cell, method=f"{cell.method}+{name}", label=f"{cell.label}, {label}", base=cell.method)


# DM, supplement 2.3: DM's networks have 128 channels, KIP's 1,024. Smaller profiles keep the ratio.
WIDTHS = {"quick": (8, 64), "cpu": (16, 128), "paper": (128, 1024)}


def widths(profile: str, method: str, dataset: str, ipc: int, seed: int) -> list[Cell]:
    """A method with networks as wide as DM's; DM also along the way, and with networks as wide as KIP's."""
    own = make_cell(profile, method, dataset, ipc, seed)
    usual = own.recipe.network.width
    narrow, wide = WIDTHS.get(profile, (usual, 8 * usual))

    def at(width: int, step: int) -> Cell:
        if width == usual == own.evaluation.network.width:
            return make_cell(profile, method, dataset, ipc, seed, step=step)
        change = (rule("DM supplement 2.3: the widths of DM and KIP", {"network.width": width}),)
        rules = {"recipe_rules": change, "evaluation_rules": change}
        cell = make_cell(profile, method, dataset, ipc, seed, step=step, **rules)
        return variant(cell, f"width{width}", f"width {width}")

    steps = snapshot_steps(own.recipe.steps)
    if method != "dm":
        return [at(narrow, steps[-1])]
    return [*(at(narrow, step) for step in steps[::-1]), at(wide, steps[-1])]


# DM, supplement, Figure F2: the validation accuracies of the networks, in percent.
BANDS = tuple((float(low), float(low + 10)) for low in range(10, 80, 10))
# How far networks of a profile come in the epochs given; the figure has all bands, on CIFAR-10 under ``paper``.
REACHED: dict[tuple[str, str], tuple[tuple[float, float], ...]] = {
    ("quick", "digits"): BANDS[::2],
    ("cpu", "cifar10"): BANDS[:4],
}


def pool(profile: str, dataset: str, bands: tuple[tuple[float, float], ...], fresh: bool = False) -> Pool:
    """The pool of a band. How its networks are trained is our choice: the supplement names only the bands."""
    training = SGD(epochs=20, batch=64, lr=0.01, momentum=0.9, weight_decay=5e-4, decay_at=())
    slow = dataset.startswith(
        "cifar"
    )  # thousands of steps to the highest band; on digits a look at every step
    found = Pool(bands, fresh, networks=20, training=training, held_out=100, every=5 if slow else 1)
    if profile in ("quick", "cpu"):
        found = replace(found, networks=5, held_out=30, training=replace(training, epochs=3))
    return found


def bands(profile: str, method: str, dataset: str, ipc: int, seed: int) -> list[Cell]:
    """A method with untrained networks, with those of each band, and with all of these mixed."""
    reached = REACHED.get((profile, dataset), BANDS)

    def cell(name: str, label: str, chosen: Pool) -> Cell:
        change = (rule("DM supplement, Figure F2; training of the pool: ours", {"schedule.pool": chosen}),)
        return variant(make_cell(profile, method, dataset, ipc, seed, recipe_rules=change), name, label)

    return [
        *final(profile, method, dataset, ipc, seed),
        *(
            cell(
                f"pool{band_name(band)}", f"networks of {band_name(band)} %", pool(profile, dataset, (band,))
            )
            for band in reached
        ),
        cell("mixed", "all networks mixed", pool(profile, dataset, reached, fresh=True)),
    ]


# DM, supplement 1.1. Small profiles have a narrow ResNet-10 in place of ResNet-18.
def norm_networks(profile: str, convnet: NetworkSpec) -> dict[str, NetworkSpec]:
    """The networks that batch norm is tried in, by name: the ConvNet itself, with batch norm, and two ResNets."""
    depth = 18 if profile not in ("quick", "cpu") else 10
    width = 16 if profile == "quick" else convnet.width
    return {
        "ConvNet": convnet,
        "ConvNetBN": replace(convnet, norm="batch"),
        "ResNet": NetworkSpec(f"resnet{depth}", width=width, norm="batch"),
        "ResNetAP": NetworkSpec(f"resnet{depth}ap", width=width, norm="batch"),
    }


def norms(profile: str, method: str, dataset: str, ipc: int, seed: int) -> list[Cell]:
    """Sets learned with each network of :func:`norm_networks` and tested with each, and some class by class."""
    own = make_cell(profile, method, dataset, ipc, seed)
    networks = norm_networks(profile, own.recipe.network)
    # The released code of DC and DSA freezes the statistics, that of DM has those of all classes together.
    usual = "frozen" if own.recipe.schedule.trained_on == "synthetic" else "joint"
    fewer: tuple[Rule, ...] = ()
    shorter: tuple[Rule, ...] = ()
    if profile == "quick":  # forty-four evaluations
        fewer = (rule("profile quick, in this item", {"iterations": own.recipe.iterations // 3}),)
        shorter = (rule("profile quick, in this item", {"training.epochs": 50}),)

    def cell(name: str, judge: NetworkSpec, statistics: str, suffix: str = "") -> Cell:
        change = fewer
        if name != "ConvNet":
            where = "DM supplement 1.1; statistics: released code"
            change = (*fewer, rule(where, {"network": networks[name], "statistics": statistics}))
        judging = (*shorter, rule("DM supplement 1.1", {"network": judge}))
        made = make_cell(profile, method, dataset, ipc, seed, recipe_rules=change, evaluation_rules=judging)
        if not change:
            return made
        return variant(made, name.lower() + suffix, name + (" class by class" if suffix else ""))

    # A ResNet ends in global pooling, and there it matters most; matching its gradients class by class takes long.
    apart = ("ConvNetBN", "ResNetAP") if usual == "joint" else ("ConvNetBN",)
    return [
        *(cell(name, judge, usual) for name in networks for judge in networks.values()),
        *(cell(name, judge, "per class", "-apart") for name in apart for judge in networks.values()),
    ]


CORESETS = ("random", "herding", "k-center", "forgetting")
DISTILLED = ("dc", "dsa", "dm", "idc", "dream")
PLUGGED = ("dc+dream", "dsa+dream", "dm+dream", "idc+dream")
CURVES = ("dc", "dc+dream", "dsa", "dsa+dream", "idc-dm", "idc-dm+dream")


@dataclass(frozen=True)
class Plan:
    """The cells of one item.

    Attributes
    ----------
    item, title : str
        ``"dream/table1"`` and what it shows.
    methods : tuple of str
        In the order of the rows.
    cells : callable
        ``cells(profile, method, dataset, ipc, seed)`` gives the cells of one place of the table: :func:`final`,
        :func:`course`, or a function of the item's own.
    sets : bool
        The images themselves are shown, so a record without its set is not enough.
    ipcs : tuple of int
        Budgets of the item; empty takes the profile's.
    datasets : tuple of str
        Data sets of the item, where the profile has them; empty takes the profile's.
    seeds : int
        Synthetic sets per cell; 0 takes the profile's.
    """

    item: str
    title: str
    methods: tuple[str, ...]
    cells: Cells = final
    sets: bool = False
    ipcs: tuple[int, ...] = ()
    datasets: tuple[str, ...] = ()
    seeds: int = 0


PLANS: dict[str, Plan] = {
    plan.item: plan
    for plan in (
        Plan("dream/table1", "Top-1 accuracy of many methods", (*DISTILLED, *CORESETS, *PLUGGED)),
        Plan(
            "dream/table2",
            "Time cost of the DREAM strategy",
            ("idc", "dream", "idc+dream"),
            ipcs=(10,),
            seeds=1,
        ),
        Plan(
            "dream/figure1",
            "Accuracy along distillation, with and without DREAM",
            CURVES,
            cells=course,
            ipcs=(10,),
        ),
        Plan(
            "dream/figure2",
            "Images with and without DREAM",
            ("dc", "dc+dream", "idc", "dream"),
            sets=True,
            ipcs=(10,),
            seeds=1,
        ),
        Plan("dream/figure3", "Distilled sets of every data set", ("dream",), sets=True, ipcs=(10,), seeds=1),
        Plan("dream/figure_gradnorm", "Gradient norms of random and representative images", ()),
        Plan(
            "dream/figure_comparison",
            "DC above, DC+DREAM below",
            ("dc", "dc+dream"),
            sets=True,
            ipcs=(10,),
            seeds=1,
        ),
        Plan(
            "dm/section4",
            "Connection to gradient matching",
            ("dm", "dm-lastlayer"),
            sets=True,
            ipcs=(10,),
            seeds=1,
        ),
        Plan(
            "dm/figureF2",
            "Which networks to embed with",
            ("dm",),
            cells=bands,
            sets=True,
            ipcs=(10,),
            datasets=("digits", "mnist", "fashionmnist", "cifar10"),
            seeds=1,
        ),
        Plan(
            "dm/batchnorm",
            "Batch norm and ResNets",
            ("dm", "dsa"),
            cells=norms,
            ipcs=(10,),
            datasets=("digits", "cifar10"),
            seeds=1,
        ),
        Plan("dm/comparisons", "DM beside KIP and GTN", ("dm", "dsa", "dc"), cells=widths, seeds=1),
    )
}


def plan(item: str) -> Plan:
    """The plan of an item, or an error that lists the items."""
    if item not in PLANS:
        raise unknown("item", item, PLANS)
    return PLANS[item]


@dataclass(frozen=True)
class Study:
    """An item under one choice of profile, data sets, budgets, methods and seeds: its cells, and how to run them.

    Made by :func:`study`, which checks every name.
    """

    item: str
    title: str
    profile: str
    datasets: tuple[str, ...]
    ipcs: tuple[int, ...]
    methods: tuple[str, ...]
    seeds: int
    cells: tuple[Cell, ...]
    store: Store

    def run(self, **how: Any) -> Summary:
        """Compute what is missing; keywords of :func:`~dreamlib.experiments.run.run_cells`."""
        return run_cells(self.cells, self.store, threads=profiles[self.profile].threads, **how)

    def records(self) -> list[dict[str, Any]]:
        """The records that are there, in the order of the cells."""
        return [record for record in map(self.store.record, self.cells) if record is not None]

    def missing(self) -> list[Cell]:
        """The cells that are not finished."""
        return [cell for cell in self.cells if not self.store.finished(cell)]

    def command(self) -> str:
        """What to type to fill what is missing: the study as it is, its plug-ins and its results folder included."""
        paper, _, name = self.item.partition("/")
        target = name if paper == "dream" else f"{paper}-{name}"
        chosen = plan(self.item)
        words = ["make", target, f"PROFILE={self.profile}"]
        scale = profiles[self.profile]
        if self.datasets != _datasets(chosen, self.profile):
            words.append(f"DATASETS={','.join(self.datasets)}")
        if self.ipcs != (chosen.ipcs or scale.ipcs):
            words.append(f"IPC={','.join(map(str, self.ipcs))}")
        if self.methods != chosen.methods:
            words.append(f"METHODS={','.join(self.methods)}")
        if self.seeds != (chosen.seeds or scale.seeds):
            words.append(f"SEEDS={self.seeds}")
        if files := plugins.files():
            words.append(f"PLUGINS={','.join(files)}")
        if self.store.root != Store().root and self.store.root.parts[-2:] != ("reports", "results"):
            words.append(f"RESULTS={self.store.root}")
        return shlex.join(words)


def _datasets(chosen: Plan, profile: str) -> tuple[str, ...]:
    offered = profiles[profile].datasets
    return tuple(name for name in offered if not chosen.datasets or name in chosen.datasets) or offered


def study(
    item: str,
    *,
    profile: str = "quick",
    datasets: Sequence[str] = (),
    ipcs: Sequence[int] = (),
    methods: Sequence[str] = (),
    seeds: int = 0,
    store: Store | str | None = None,
) -> Study:
    """The cells of an item.

    Parameters
    ----------
    item : str
        ``"dream/table1"`` ...
    profile : str
        ``quick``, ``cpu`` or ``paper``.
    datasets, ipcs, methods : sequence
        Restrict or extend what the item and the profile cover; empty takes their choice.
    seeds : int
        Synthetic sets per cell of the table; 0 takes the profile's.
    store : Store or path, optional
        Results folder.

    Raises
    ------
    UnknownName, BadValue
        Naming what is not known or out of range, with the valid names.
    """
    chosen, scale = plan(item), profiles[profile]
    data = tuple(dict.fromkeys(datasets)) or _datasets(chosen, profile)
    budgets = tuple(dict.fromkeys(ipcs)) or chosen.ipcs or scale.ipcs
    rows = tuple(dict.fromkeys(methods)) or chosen.methods
    if seeds < 0:
        raise BadValue(f"seeds is {seeds}; expected 1 or more (0: the profile's {scale.seeds})", "SEEDS=3")
    count = seeds or chosen.seeds or scale.seeds
    cells: list[Cell] = []
    # Most valuable first: one seed of everything before the second of anything, then budget by budget.
    for seed in range(count):
        for ipc in budgets:
            for name in data:
                for row in rows:
                    made = chosen.cells(profile, row, name, ipc, seed)
                    cells += [replace(one, with_set=chosen.sets) for one in made]
    folder = store if isinstance(store, Store) else Store(store)
    return Study(item, chosen.title, profile, data, budgets, rows, count, tuple(cells), folder)


def items() -> Mapping[str, str]:
    """Every item and its title."""
    return {name: entry.title for name, entry in PLANS.items()}
