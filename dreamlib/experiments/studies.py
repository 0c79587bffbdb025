"""Studies: which cells stand behind each table and figure. Data; the story is in the notebook of the same name."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from .. import plugins
from ..data import class_count
from ..distill import snapshot_steps
from ..engine import MODES
from ..errors import BadValue, unknown
from ..networks import NetworkSpec
from ..pools import Pool, band_name
from ..recipes import Rule, profiles, rule
from ..training import SGD
from .cells import Cell, make_cell, union
from .run import Summary, run_cells
from .search import search
from .store import Store

Cells = Callable[[str, str, str, int, int], Sequence[Cell]]


def final(profile: str, method: str, dataset: str, ipc: int, seed: int) -> list[Cell]:
    """The set at its end, judged by its method's own protocol."""
    return [make_cell(profile, method, dataset, ipc, seed)]


def course(profile: str, method: str, dataset: str, ipc: int, seed: int) -> list[Cell]:
    """The set along the way, from its start to its end."""
    steps = snapshot_steps(make_cell(profile, method, dataset, ipc, seed).recipe.steps)
    return [make_cell(profile, method, dataset, ipc, seed, step=step) for step in steps]


def every_mode(profile: str, method: str, dataset: str, ipc: int, seed: int) -> list[Cell]:
    """The same cell in every mode of the engine. Compiling takes longer than all of ``quick``: there, DM only."""
    if profile == "quick" and method != "dm":
        return []
    made = []
    for mode in MODES:
        changed = (rule("mode of the engine", {"mode": mode}),)
        made.append(
            make_cell(profile, method, dataset, ipc, seed, recipe_rules=changed, evaluation_rules=changed)
        )
    return made


# Continual learning trains on every memory anew, some hundred of them: what a profile saves there, beside what it saves
# everywhere. Batches smaller than the published 256 make up for fewer epochs, at half the price.
_CONTINUAL_RECIPE = {
    "quick": (
        rule("profile quick, continual learning", {"iterations": 150}, method="dm"),
        rule("profile quick, continual learning", {"iterations": 3}, method="dsa"),
    ),
    "cpu": (rule("profile cpu, continual learning", {"iterations": 8}, method="dsa"),),
}
_CONTINUAL_EVALUATION = {
    "quick": (rule("profile quick, continual learning", {"training.epochs": 20, "training.batch": 32}),),
    "cpu": (rule("profile cpu, continual learning", {"training.epochs": 40, "training.batch": 32}),),
}
_THREE = rule("DM released code (CL_DM.py): three networks per class order", {"networks": 3})


def continual(profile: str, method: str, dataset: str, ipc: int, seed: int) -> list[Cell]:
    """Class-incremental learning as GDumb does it, judged after every step (DM supplement 1.2 and released code).

    The classes arrive in steps. Those of a step are distilled alone, into ``ipc`` images each, and join the memory;
    networks are then trained from scratch on the memory, with DSA's augmentation, and tested on all classes seen. A
    seed is a class order. ``"mnist@10steps"`` asks for 10 steps; ``"mnist"`` takes 5, and 5 and 10 from a hundred
    classes on.
    """
    name, steps_asked = _stream(dataset)
    if ipc < 1:
        raise BadValue(
            f"a memory of {ipc} images per class is smaller than its classes; expected at least 1", "IPC=20"
        )
    cells = []
    for steps in steps_asked:
        stream = f"{name}@{steps}steps-order{seed}"
        parts = [
            _continual(profile, method, f"{stream}-step{step}", ipc, seed) for step in range(1, steps + 1)
        ]
        learns = parts[0].recipe.schedule.trained_on != "nothing" or parts[0].recipe.initial.epochs
        if learns and class_count(parts[-1].dataset) == 1:
            raise BadValue(
                f"{method} learns from telling classes apart, but some of {steps} steps of {name} have only one",
                f"DATASETS={name}@5steps, or METHODS=random,dm",
            )
        for step in range(1, steps + 1):
            whole = _continual(profile, method, f"{stream}-upto{step}", ipc, seed)
            cells.append(union(whole, parts[:step]))
    return cells


def _continual(profile: str, method: str, dataset: str, ipc: int, seed: int) -> Cell:
    """A cell of the study; all memories are judged alike, whatever the protocol of their method's paper."""
    return make_cell(
        profile,
        method,
        dataset,
        ipc,
        seed,
        recipe_rules=_CONTINUAL_RECIPE.get(profile, ()),
        evaluation_rules=(_THREE, *_CONTINUAL_EVALUATION.get(profile, ())),
        judged_as="dsa",
    )


def _stream(dataset: str) -> tuple[str, tuple[int, ...]]:
    """The data set that arrives, and in how many steps: one number, or several streams of it."""
    stem, _, tail = dataset.rpartition("@")
    asked = re.fullmatch(r"(\d+)steps", tail) if stem else None
    name = stem if asked else dataset
    count = class_count(name)
    steps = (int(asked[1]),) if asked else (5, 10) if (count or 0) >= 100 else (5,)
    if not 1 <= steps[0] <= (count or steps[0]):
        raise BadValue(
            f"{name} has {count} classes; they cannot arrive in {steps[0]} steps, expected 1 to {count}",
            f"DATASETS={name}@5steps",
        )
    return name, steps


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
        cell = make_cell(
            profile, method, dataset, ipc, seed, step=step, recipe_rules=change, evaluation_rules=change
        )
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
    ipcs : tuple of int, or dict of profile to tuple of int
        Budgets of the item; empty, or a profile that is not there, takes the profile's.
    datasets : tuple of str
        Data sets of the item, most valuable first, where the profile has them; empty takes the profile's.
    seeds : int, or dict of profile to int
        Synthetic sets per cell; 0, or a profile that is not there, takes the profile's.
    """

    item: str
    title: str
    methods: tuple[str, ...]
    cells: Cells = final
    sets: bool = False
    ipcs: tuple[int, ...] | Mapping[str, tuple[int, ...]] = ()
    datasets: tuple[str, ...] = ()
    seeds: int | Mapping[str, int] = 0

    def seeds_of(self, profile: str) -> int:
        """Synthetic sets per cell under a profile."""
        own = self.seeds if isinstance(self.seeds, int) else self.seeds.get(profile, 0)
        return own or profiles[profile].seeds


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
            "engine/speed",
            "How fast, and at what price in accuracy",
            ("dm", "dsa", "dream"),
            cells=every_mode,
            ipcs=(10,),
            datasets=("cifar10",),
            seeds=5,
        ),
        Plan(
            "dm/continual",
            "Class-incremental learning from a memory of 20 images per class",
            ("random", "random+dream", "herding", "herding+dream", "dsa", "dsa+dream", "dm", "dm+dream"),
            cells=continual,
            ipcs=(20,),
            datasets=("digits", "cifar100", "cifar10"),
            seeds={"quick": 2, "cpu": 5, "paper": 5},
        ),
        Plan(
            "dm/figureF1",
            "Architecture search on proxy sets",
            ("whole", "random", "dsa", "dm", "dm+dream", "dream", "early-stopping"),
            cells=search,
            ipcs={"quick": (10,), "cpu": (50,), "paper": (50,)},
            datasets=("cifar10",),
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


def _ipcs(chosen: Plan, profile: str) -> tuple[int, ...]:
    own = chosen.ipcs if isinstance(chosen.ipcs, tuple) else chosen.ipcs.get(profile, ())
    return own or profiles[profile].ipcs


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

    def failures(self) -> dict[str, str]:
        """Names of the cells whose last try failed, and why."""
        return {cell.name: why for cell in self.missing() if (why := self.store.failure(cell)) is not None}

    def command(self) -> str:
        """What to type to fill what is missing: the study as it is, its plug-ins and its results folder included."""
        paper, _, name = self.item.partition("/")
        target = name if paper == "dream" else f"{paper}-{name}"
        chosen = plan(self.item)
        words = ["make", target, f"PROFILE={self.profile}"]
        if self.datasets != _datasets(chosen, self.profile):
            words.append(f"DATASETS={','.join(self.datasets)}")
        if self.ipcs != _ipcs(chosen, self.profile):
            words.append(f"IPC={','.join(map(str, self.ipcs))}")
        if self.methods != chosen.methods:
            words.append(f"METHODS={','.join(self.methods)}")
        if self.seeds != chosen.seeds_of(self.profile):
            words.append(f"SEEDS={self.seeds}")
        if files := plugins.files():
            words.append(f"PLUGINS={','.join(files)}")
        if self.store.root != Store().root and self.store.root.parts[-2:] != ("reports", "results"):
            words.append(f"RESULTS={self.store.root}")
        return shlex.join(words)


def _datasets(chosen: Plan, profile: str) -> tuple[str, ...]:
    offered = profiles[profile].datasets
    return tuple(name for name in chosen.datasets if name in offered) or offered


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
    budgets = tuple(dict.fromkeys(ipcs)) or _ipcs(chosen, profile)
    rows = tuple(dict.fromkeys(methods)) or chosen.methods
    if seeds < 0:
        raise BadValue(f"seeds is {seeds}; expected 1 or more (0: the profile's {scale.seeds})", "SEEDS=3")
    count = seeds or chosen.seeds_of(profile)
    cells: list[Cell] = []
    # Most valuable first: one seed of everything before the second of anything, then budget by budget.
    for seed in range(count):
        for ipc in budgets:
            for name in data:
                for row in rows:
                    made = chosen.cells(profile, row, name, ipc, seed)
                    cells += [replace(one, with_set=chosen.sets and not one.recipe.whole) for one in made]
    cells = list(
        {one.name: one for one in cells}.values()
    )  # the whole training set is the same at every budget
    folder = store if isinstance(store, Store) else Store(store)
    return Study(item, chosen.title, profile, data, budgets, rows, count, tuple(cells), folder)


def items() -> Mapping[str, str]:
    """Every item and its title."""
    return {name: entry.title for name, entry in PLANS.items()}
