"""The tables and figures of DiM's paper.

A generator is one thing and what it is judged by another: functions named after what they vary give generators by the
name of their row, and :func:`under` judges a cell by several networks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

from ...criteria import Generative
from ...networks import NetworkSpec
from ...recipes import POOLS, models, rule
from ...recipes.generators import MODELS, released
from ..cells import Cell, make_cell
from .base import Cells, Plan, final, variant

Rows = dict[str, Cell]

# What the ablations of small profiles leave out of the paper's choices. The published value is always among them; cpu
# has a smaller and a larger one too. Epochs are the paper's, by its 200: N = 120 is 0.6 of a training.
EPOCHS = 200  # of a generator, in DiM's paper
STARTS: Mapping[str, tuple[int, ...]] = {
    "quick": (80, 120),
    "cpu": (50, 100, 120, 150),
    "paper": (20, 50, 80, 100, 120, 150),
}
NOISES: Mapping[str, tuple[int, ...]] = {
    "quick": (32, 100),
    "cpu": (32, 100, 200),
    "paper": (32, 64, 100, 128, 200),
}
WEIGHTS: Mapping[str, tuple[float, ...]] = {
    "quick": (1e-2, 1.0),
    "cpu": (1e-3, 1e-2, 1.0),
    "paper": (1e-4, 1e-3, 1e-2, 1e-1, 1.0),
}
BATCHES: Mapping[str, tuple[int, ...]] = {
    "quick": (32, 64),
    "cpu": (16, 64, 384),
    "paper": (16, 32, 64, 128, 256, 384),
}
MIXES: Mapping[str, tuple[str, ...]] = {"quick": ("C3", "C3+R10", "C3+R10+R18"), "paper": POOLS}
ALONG = (130, 150, 170, 190)  # Figures 6 and 7
BUDGETS: Mapping[str, tuple[int, ...]] = {
    "quick": (1, 10, 20),
    "cpu": (1, 10, 50),
    "paper": (1, 10, 20, 50, 100, 200),
}


def of(choices: Mapping[str, Any], profile: str) -> Any:
    """The choice of a profile; one that has none takes the published one."""
    return choices.get(profile, choices["paper"])


def epoch(cell: Cell, published: int) -> int:
    """What an epoch of the paper's 200 is in a cell's own training."""
    return round(published * cast(Generative, cell.recipe.criterion).epochs / EPOCHS)


def judges(profile: str) -> dict[str, NetworkSpec]:
    """The networks of DiM's tables, as a profile has them, by the paper's short names: C3, R10, R18."""
    return dict(of(MODELS, profile))


def under(cell: Cell, networks: Mapping[str, NetworkSpec]) -> Rows:
    """A cell judged by each of several networks, by their names. C3 is the network of the cell's own evaluation."""
    own = cell.evaluation
    return {
        name: cell if name == "C3" else replace(cell, evaluation=replace(own, network=network))
        for name, network in networks.items()
    }


def changed(base: Cell, name: str, label: str, source: str, change: dict[str, Any]) -> Cell:
    """A DiM cell with some settings changed, as a row of its own; where nothing changes, the cell itself."""
    made = make_cell(
        base.profile, base.method, base.dataset, base.ipc, base.seed, recipe_rules=(rule(source, change),)
    )
    same = made.recipe == base.recipe
    return base if same else variant(made, name, label)


def matchings(profile: str, dataset: str, ipc: int, seed: int = 0) -> Rows:
    """Table 4: what is matched, by the paper's names."""
    rows = {"none": "gan", "feature": "dim-feature", "gradient": "dim-gradient", "logits": "dim"}
    return {name: make_cell(profile, method, dataset, ipc, seed) for name, method in rows.items()}


def starts(profile: str, dataset: str, ipc: int, seed: int = 0) -> Rows:
    """Table 5: the epoch from which on logits are matched, in the paper's epochs; all end after the same number."""
    base = make_cell(profile, "dim", dataset, ipc, seed)
    rows = {}
    for start in of(STARTS, profile):
        first = epoch(base, start)
        change = {
            "criterion.matched_from": first,
            "criterion.matched_epochs": cast(Generative, base.recipe.criterion).epochs - first,
        }
        rows[str(start)] = changed(base, f"from{start}", f"from epoch {start}", "DiM Table 5", change)
    return rows


def pools(profile: str, dataset: str, ipc: int, seed: int = 0) -> Rows:
    """Table 6: the seven models pools; three of them under ``quick``."""
    base = make_cell(profile, "dim", dataset, ipc, seed)
    return {
        name: changed(base, name, f"pool {name}", "DiM Table 6", {"teacher.models": models(profile, name)})
        for name in of(MIXES, profile)
    }


def noises(profile: str, dataset: str, ipc: int, seed: int = 0) -> Rows:
    """Table 10: the dimension K of the noise."""
    base = make_cell(profile, "dim", dataset, ipc, seed)
    return {
        str(size): changed(base, f"noise{size}", f"K = {size}", "DiM Table 10", {"container.noise": size})
        for size in of(NOISES, profile)
    }


def weights(profile: str, dataset: str, ipc: int, seed: int = 0) -> Rows:
    """Figure 3a: lambda, the weight of logits matching. The figure's text names 0.01 and 1; the others are ours."""
    base = make_cell(profile, "dim", dataset, ipc, seed)
    return {
        f"{weight:g}": changed(
            base, f"weight{weight:g}", f"lambda = {weight:g}", "DiM Figure 3a", {"criterion.weight": weight}
        )
        for weight in of(WEIGHTS, profile)
    }


def batches(profile: str, dataset: str, ipc: int, seed: int = 0) -> Rows:
    """Figure 3b: B, the real images of a matching step. The text names 16, 64 and 384; the others are ours."""
    base = make_cell(profile, "dim", dataset, ipc, seed)
    return {
        str(batch): changed(
            base, f"batch{batch}", f"B = {batch}", "DiM Figure 3b", {"criterion.matched_batch": batch}
        )
        for batch in of(BATCHES, profile)
    }


def along(profile: str, method: str, dataset: str, ipc: int, seed: int = 0) -> Rows:
    """Figures 6 and 7: a generator after 130, 150, 170 and 190 of the paper's epochs."""
    last = make_cell(profile, method, dataset, ipc, seed)
    steps = {str(published): epoch(last, published) for published in ALONG}
    return {
        name: make_cell(profile, method, dataset, ipc, seed, step=step)
        for name, step in steps.items()
        if step in last.recipe.kept
    }


def equal_forwards(profile: str, dataset: str, ipc: int, seed: int = 0) -> Rows:
    """Table 3: IDC at ``ipc`` stored images, and DiM with as many images in an epoch as IDC decodes from them."""
    stored = make_cell(profile, "idc", dataset, ipc, seed)
    decoded = sum(factor**2 for factor in getattr(stored.recipe.container, "factors", (1,)))
    return {"IDC": stored, "DiM": make_cell(profile, "dim", dataset, ipc * decoded, seed)}


def unseen(profile: str) -> dict[str, NetworkSpec]:
    """Table 7: the networks of judgement; VGG-11 needs images of 28 pixels or more.

    "We follow the setting of MTT": its networks are those of DC's released code, whose ResNet-18 is not the one of
    DiM's. It has instance norm, where 8 pixels leave nothing to tell, and 64 to 512 channels.
    """
    width, norm = {"quick": (8, "group"), "cpu": (16, "instance")}.get(profile, (128, "instance"))
    networks = {
        "C3": judges(profile)["C3"],
        "R18": NetworkSpec("resnet18", width=width, norm=norm),
        "VGG11": NetworkSpec("vgg11", width=width),
        "AlexNet": NetworkSpec("alexnet", width=width),
    }
    if profile == "quick":
        del networks["VGG11"]
    return networks


def single(profile: str, dataset: str, ipc: int, seed: int = 0) -> Cell:
    """DiM whose models pool is the ConvNet alone, as in Table 7."""
    return pools(profile, dataset, ipc, seed)["C3"]


def timed(profile: str) -> dict[str, NetworkSpec]:
    """Table 9: the networks that are trained on what is drawn, by the paper's short names; narrow in small profiles.

    As the released code builds them: its ResNet-34 and ResNet-50 are of basic blocks alone, its DenseNet grows by 12.
    """
    width, growth = {"quick": (8, 8), "cpu": (16, 16)}.get(profile, (64, 48))
    return judges(profile) | {
        "R34": released("resnet34", width),
        "R50": released("resnet50", width),
        "D121": NetworkSpec("densenet121", width=growth),
    }


def larger(profile: str) -> dict[str, NetworkSpec]:
    """Figure 3c: networks from small to large."""
    return timed(profile) if profile == "paper" else judges(profile)


def _rows(rows: Any) -> Cells:
    """The cells of an ablation of DiM: every row, judged by the three networks of the paper's tables.

    Another method that is asked for is a row of its own.
    """

    def cells(profile: str, method: str, dataset: str, ipc: int, seed: int) -> list[Cell]:
        if method == "dim":
            named = rows(profile, dataset, ipc, seed)
        else:
            named = {method: make_cell(profile, method, dataset, ipc, seed)}
        return [one for row in named.values() for one in under(row, judges(profile)).values()]

    return cells


def _judged(profile: str, method: str, dataset: str, ipc: int, seed: int) -> list[Cell]:
    """Table 8: a method judged by ConvNet-3 and ResNet-10."""
    return list(under(make_cell(profile, method, dataset, ipc, seed), _two(profile)).values())


def _two(profile: str) -> dict[str, NetworkSpec]:
    return {name: judges(profile)[name] for name in ("C3", "R10")}


def _along(profile: str, method: str, dataset: str, ipc: int, seed: int) -> list[Cell]:
    """Figures 6 and 7: along the way, judged by ConvNet-3 and ResNet-10; a set of images only at its end."""
    end = make_cell(profile, method, dataset, ipc, seed)
    rows = along(profile, method, dataset, ipc, seed) if end.recipe.drawn else {"end": end}
    return [one for row in rows.values() for one in under(row, _two(profile)).values()]


def _forwards(profile: str, method: str, dataset: str, ipc: int, seed: int) -> list[Cell]:
    """Table 3: a method that is neither of the two is a row of its own."""
    named = {"idc": "IDC", "dim": "DiM"}
    if method not in named:
        return [make_cell(profile, method, dataset, ipc, seed)]
    return [equal_forwards(profile, dataset, ipc, seed)[named[method]]]


def _unseen(profile: str, method: str, dataset: str, ipc: int, seed: int) -> list[Cell]:
    make = (
        single(profile, dataset, ipc, seed)
        if method == "dim"
        else make_cell(profile, method, dataset, ipc, seed)
    )
    return list(under(make, unseen(profile)).values())


def _larger(profile: str, method: str, dataset: str, ipc: int, seed: int) -> list[Cell]:
    """Figure 3c: one generator, judged by every network at every budget."""
    return list(under(make_cell(profile, method, dataset, ipc, seed), larger(profile)).values())


# The paper's ablations are on CIFAR-10; two cores get a GAN of MNIST trained.
SETS = {"quick": ("digits",), "cpu": ("mnist",), "paper": ("cifar10",)}
FOUR = {"quick": ("digits",), "cpu": ("mnist",), "paper": ("cifar10", "mnist", "fashionmnist", "svhn")}
ONE = {"quick": (10,), "cpu": (10,), "paper": (50,)}  # "with INPC = 50 if not otherwise stated"
THREE = {"quick": (1, 10), "cpu": (1, 10), "paper": (50, 10, 1)}
GENERATED = {"quick": (1, 10), "cpu": (1, 10, 50), "paper": (50, 10, 1)}  # one generator answers for all
CORESETS = ("random", "herding", "k-center", "forgetting")

PLANS = (
    Plan(
        "dim/table1",
        "Image containers and model containers",
        ("dm", "dsa", "dim"),
        cells=_unseen,
        ipcs={"quick": (1, 10), "cpu": (1, 10), "paper": (1, 10)},
        datasets=SETS,
        seeds=1,
    ),
    Plan(
        "dim/table2",
        "DiM beside coresets, distilled images and its GAN",
        (*CORESETS, "dc", "dsa", "dm", "gan", "dim"),
        ipcs=THREE,
        datasets=FOUR,
    ),
    Plan(
        "dim/table3",
        "IDC and DiM at equal forward passes",
        ("idc", "dim"),
        cells=_forwards,
        ipcs=THREE,
        datasets=FOUR,
    ),
    Plan(
        "dim/table4",
        "Matching strategies",
        ("dim",),
        cells=_rows(matchings),
        ipcs=ONE,
        datasets=SETS,
        seeds=1,
    ),
    Plan(
        "dim/table5",
        "When matching starts",
        ("dim",),
        cells=_rows(starts),
        ipcs=ONE,
        datasets=SETS,
        seeds=1,
    ),
    Plan(
        "dim/table6",
        "Diversity of the models pool",
        ("dim",),
        cells=_rows(pools),
        ipcs=ONE,
        datasets=SETS,
        seeds=1,
    ),
    Plan(
        "dim/table7",
        "Unseen architectures",
        ("dim", "dsa"),
        cells=_unseen,
        ipcs=(10,),
        datasets=SETS,
        seeds=1,
    ),
    Plan(
        "dim/table8", "DiM and its GAN", ("gan", "dim"), cells=_judged, ipcs=GENERATED, datasets=SETS, seeds=1
    ),
    Plan("dim/table9", "What drawing images costs beside training on them", (), datasets=SETS),
    Plan(
        "dim/table10",
        "Dimension of the noise",
        ("dim",),
        cells=_rows(noises),
        ipcs=ONE,
        datasets=SETS,
        seeds=1,
    ),
    Plan(
        "dim/figure1c",
        "Accuracy by budget",
        ("dc", "dsa", "dm", "idc", "dim"),
        cells=final,
        ipcs=THREE,
        datasets=SETS,
        seeds=1,
    ),
    Plan(
        "dim/figure1d",
        "Cost of redeployment",
        ("dc", "dsa", "dm", "idc", "dim"),
        cells=final,
        ipcs=THREE,
        datasets=SETS,
        seeds=1,
    ),
    Plan(
        "dim/figure3a",
        "The weight of matching",
        ("dim",),
        cells=_rows(weights),
        ipcs=ONE,
        datasets=SETS,
        seeds=1,
    ),
    Plan(
        "dim/figure3b",
        "The batch of matching",
        ("dim",),
        cells=_rows(batches),
        ipcs=ONE,
        datasets=SETS,
        seeds=1,
    ),
    Plan(
        "dim/figure3c",
        "Networks from small to large, by INPC",
        ("dim",),
        cells=_larger,
        ipcs=BUDGETS,
        datasets=SETS,
        seeds=1,
    ),
    Plan("dim/figure4", "The generator", (), datasets=SETS),
    Plan("dim/figure5", "Images along training", ("dim",), sets=True, ipcs=ONE, datasets=SETS, seeds=1),
    Plan(
        "dim/figure6",
        "GAN and DiM along training",
        ("gan", "dim"),
        cells=_along,
        sets=True,
        ipcs=ONE,
        datasets=SETS,
        seeds=1,
    ),
    Plan(
        "dim/figure7",
        "Images of other matching strategies",
        ("dim-gradient", "dim-feature"),
        cells=_along,
        sets=True,
        ipcs=ONE,
        datasets=SETS,
        seeds=1,
    ),
)
