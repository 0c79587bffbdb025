"""The items of DM's supplement: continual learning, architecture search, and which networks to embed with."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from ...core.errors import BadValue
from ...data import class_count
from ...distillation.evaluate import Generated
from ...networks import NetworkSpec
from ...networks.training import SGD
from ...recipes import Rule, methods, rule
from ...teachers.pool import Pool, band_name
from ..cells import Cell, judged_again, make_cell, union
from ..profiles import profiles
from ..search import search
from .base import Plan, final, variant

_THREE = rule("DM released code (CL_DM.py): three networks per class order", {"networks": 3})


def _trained_on(cell: Cell) -> str:
    """What the matching networks of a cell learn from."""
    return str(getattr(cell.recipe.teacher, "trained_on", "nothing"))


def continual(profile: str, method: str, dataset: str, ipc: int, seed: int) -> list[Cell]:
    """Class-incremental learning as GDumb does it, judged after every step (DM supplement 1.2 and released code).

    The classes arrive in steps. Those of a step are distilled alone, into ``ipc`` images each, and join the memory;
    networks are then trained from scratch on the memory, with DSA's augmentation, and tested on all classes seen. A
    seed is a class order. ``"mnist@10steps"`` asks for 10 steps; ``"mnist"`` takes 5, and 5 and 10 from a hundred
    classes on.
    """
    name, steps_asked = _sequences(dataset)
    if ipc < 1:
        raise BadValue(
            f"a memory of {ipc} images per class is smaller than its classes; expected at least 1", "IPC=20"
        )
    cells = []
    for steps in steps_asked:
        sequence = f"{name}@{steps}steps-order{seed}"
        parts = [
            _continual(profile, method, f"{sequence}-step{step}", ipc, seed) for step in range(1, steps + 1)
        ]
        # DC's networks and a coreset's learn to tell classes apart; of one class there is nothing to tell.
        learns = _trained_on(parts[0]) != "nothing" or parts[0].recipe.initial.epochs
        if learns and class_count(parts[-1].dataset) == 1:
            raise BadValue(
                f"{method} learns from telling classes apart, but some of {steps} steps of {name} have only one",
                f"DATASETS={name}@5steps, or METHODS=random,dm",
            )
        for step in range(1, steps + 1):
            whole = _continual(profile, method, f"{sequence}-upto{step}", ipc, seed)
            cells.append(union(whole, parts[:step]))
    return cells


def _continual(profile: str, method: str, dataset: str, ipc: int, seed: int) -> Cell:
    """A cell of the study; all memories are judged alike, whatever the protocol of their method's paper."""
    here = profiles[profile].item("dm/continual")
    return make_cell(
        profile,
        method,
        dataset,
        ipc,
        seed,
        recipe_rules=here.recipe_rules,
        evaluation_rules=(_THREE, *here.evaluation_rules),
        judged_as=methods[method].common or "dsa",
    )


def _sequences(dataset: str) -> tuple[str, tuple[int, ...]]:
    """The data set that arrives, and in how many steps: one class sequence, or several."""
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


def widths(profile: str, method: str, dataset: str, ipc: int, seed: int) -> list[Cell]:
    """A method with networks as wide as DM's; DM also along the way, and with networks as wide as KIP's.

    DM's have 128 channels, KIP's 1,024 (DM supplement 2.3). Smaller profiles have narrower ones.
    """
    own = make_cell(profile, method, dataset, ipc, seed)
    usual = own.recipe.network.width
    narrow, wide = profiles[profile].choice("widths", (usual, 8 * usual))

    def at(width: int, step: int) -> Cell:
        # The published width is the method itself, whose cell other tables have too.
        if width == usual == own.evaluation.network.width:
            return make_cell(profile, method, dataset, ipc, seed, step=step)
        change = (rule("DM supplement 2.3: the widths of DM and KIP", {"network.width": width}),)
        cell = make_cell(
            profile, method, dataset, ipc, seed, step=step, recipe_rules=change, evaluation_rules=change
        )
        return variant(cell, f"width{width}", f"width {width}")

    if (again := judged_again(own)) is not None:
        # A kernel learns at no width, but networks of either can learn from its images.
        return [_judged_at(again, width) for width in (narrow, wide)]
    steps = own.recipe.kept
    if method != "dm":
        return [at(narrow, steps[-1])]
    return [*(at(narrow, step) for step in steps[::-1]), at(wide, steps[-1])]


def _judged_at(cell: Cell, width: int) -> Cell:
    judge = replace(cell.evaluation.network, width=width)
    if judge == cell.evaluation.network:
        return cell
    made = replace(cell, evaluation=replace(cell.evaluation, network=judge))
    return replace(variant(made, f"width{width}", f"width {width}"), base=cell.base)


# DM, supplement, Figure F2: the validation accuracies of the networks, in percent.
Bands = tuple[tuple[float, float], ...]
BANDS: Bands = tuple((float(low), float(low + 10)) for low in range(10, 80, 10))


def pool(profile: str, dataset: str, bands: tuple[tuple[float, float], ...], fresh: bool = False) -> Pool:
    """The pool of a band. How its networks are trained is our choice: the supplement names only the bands."""
    size = profiles[profile].choice("pool", {"networks": 20, "held_out": 100, "epochs": 20})
    training = SGD(epochs=size["epochs"], batch=64, lr=0.01, momentum=0.9, weight_decay=5e-4, decay_at=())
    # Thousands of steps to the highest band on CIFAR; on digits a look at every step.
    every = 5 if dataset.startswith("cifar") else 1
    return Pool(bands, fresh, size["networks"], training, size["held_out"], every)


def bands(profile: str, method: str, dataset: str, ipc: int, seed: int) -> list[Cell]:
    """A method with untrained networks, with those of each band, and with all of these mixed."""
    # How far the networks come in the epochs given; the figure has all bands, on CIFAR-10.
    own: Mapping[str, Bands] = profiles[profile].choice("bands", {})
    reached = own.get(dataset, BANDS)

    def cell(name: str, label: str, chosen: Pool) -> Cell:
        change = (rule("DM supplement, Figure F2; training of the pool: ours", {"teacher.pool": chosen}),)
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
    resnet, own = profiles[profile].choice("resnets", ("resnet18", 0))
    width = own or convnet.width
    return {
        "ConvNet": convnet,
        "ConvNetBN": replace(convnet, norm="batch"),
        "ResNet": NetworkSpec(resnet, width=width, norm="batch"),
        "ResNetAP": NetworkSpec(f"{resnet}ap", width=width, norm="batch"),
    }


def norms(profile: str, method: str, dataset: str, ipc: int, seed: int) -> list[Cell]:
    """Sets learned with each network of :func:`norm_networks` and tested with each, and some class by class."""
    own = make_cell(profile, method, dataset, ipc, seed)
    networks = norm_networks(profile, own.recipe.network)
    # The released code of DC and DSA freezes the statistics, that of DM has those of all classes together.
    usual = "frozen" if _trained_on(own) == "synthetic" else "joint"
    fewer: tuple[Rule, ...] = ()
    if (share := profiles[profile].choice("fewer iterations", 1)) > 1:
        fewer = (rule(f"profile {profile}, in this item", {"iterations": own.recipe.iterations // share}),)
    shorter = profiles[profile].item("dm/batchnorm").evaluation_rules

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


# DM, supplement, Table T1.
def drawn_once(profile: str, method: str, dataset: str, ipc: int, seed: int) -> list[Cell]:
    """A method judged as DM judges all of them; a generator by as many images as others store, drawn once.

    Random images also as DC judged them, without augmentation, which is their own row in every other table: the
    supplement's numbers for them are DC's.
    """
    source = "DM supplement 2.1: networks are trained on as many synthetic images as other methods have"

    def cell(judged_as: str) -> Cell:
        made = make_cell(profile, method, dataset, ipc, seed, judged_as=judged_as)
        if not made.recipe.drawn:
            return made
        once = (rule(source, {"generated": Generated(fresh=False)}),)
        return make_cell(profile, method, dataset, ipc, seed, judged_as=judged_as, evaluation_rules=once)

    if method != "random":
        return [cell("dsa")]
    return [variant(cell("dsa"), "dsa", "judged as DSA and DM do"), cell("dc")]


PLANS = (
    Plan(
        "dm/tableT1",
        "Comparison to generative models and MMD baseline",
        ("random", "gmmn", "vae", "biggan", "mmd", "mmd-polynomial", "mmd-rbf", "mmd-laplacian", "dm"),
        cells=drawn_once,
        sets=True,
        datasets=("digits", "cifar10"),
    ),
    Plan(
        "dm/continual",
        "Continual learning",
        ("random", "random+dream", "herding", "herding+dream", "dsa", "dsa+dream", "dm", "dm+dream"),
        cells=continual,
        ipcs=(20,),
        datasets=("digits", "cifar100", "cifar10"),
    ),
    Plan(
        "dm/figureF1",
        "Performance rank correlation between proxy-set and whole-dataset training",
        ("whole", "random", "dsa", "dm", "dm+dream", "dream", "early-stopping"),
        cells=search,
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
        "Images learned with different network parameter distributions",
        ("dm",),
        cells=bands,
        sets=True,
        ipcs=(10,),
        datasets=("digits", "mnist", "fashionmnist", "cifar10"),
        seeds=1,
    ),
    Plan(
        "dm/batchnorm",
        "ResNet with batch normalization",
        ("dm", "dsa"),
        cells=norms,
        ipcs=(10,),
        datasets=("digits", "cifar10"),
        seeds=1,
    ),
    Plan(
        "dm/comparisons",
        "Comparison to GTN and KIP methods",
        ("dm", "kip", "dsa", "dc"),
        cells=widths,
        seeds=1,
    ),
)
