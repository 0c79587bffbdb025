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
from ..cells import Cell, judged_again, make_cell
from ..profiles import profiles
from .base import Cells, Plan, once, variant

Rows = dict[str, Cell]

EPOCHS = 200  # of a generator, in DiM's paper

# What the paper's ablations try; a profile may have fewer, the published value always among them. Epochs are the
# paper's, by its 200: N = 120 is 0.6 of a training.
STARTS = (20, 50, 80, 100, 120, 150)
NOISES = (32, 64, 100, 128, 200)
WEIGHTS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
BATCHES = (16, 32, 64, 128, 256, 384)
MIXES = POOLS
ALONG = (130, 150, 170, 190)  # Figures 6 and 7
# Table 7. "We follow the setting of MTT": its networks are those of DC's released code, whose ResNet-18 is not the one
# of DiM's. It has instance norm, and 64 to 512 channels.
UNSEEN = {
    "R18": NetworkSpec("resnet18", width=128, norm="instance"),
    "VGG11": NetworkSpec("vgg11", width=128),
    "AlexNet": NetworkSpec("alexnet", width=128),
}
# Table 9. As the released code builds them: its ResNet-34 and ResNet-50 are of basic blocks alone, its DenseNet grows
# by 12.
TIMED = {
    "R34": released("resnet34"),
    "R50": released("resnet50"),
    "D121": NetworkSpec("densenet121", width=48),
}


def epoch(cell: Cell, published: int) -> int:
    """What an epoch of the paper's 200 is in a cell's own training."""
    return round(published * cast(Generative, cell.recipe.criterion).epochs / EPOCHS)


def judges(profile: str) -> dict[str, NetworkSpec]:
    """The networks of DiM's tables, as a profile has them, by the paper's short names: C3, R10, R18."""
    return dict(profiles[profile].choice("judges", MODELS))


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
    # A variant that changes nothing (the published value) is the base itself: one record, one row.
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
    for start in profiles[profile].choice("starts", STARTS):
        first = epoch(base, start)
        change = {
            "criterion.matched_from": first,
            "criterion.matched_epochs": cast(Generative, base.recipe.criterion).epochs - first,
        }
        rows[str(start)] = changed(base, f"from{start}", f"from epoch {start}", "DiM Table 5", change)
    return rows


def pools(profile: str, dataset: str, ipc: int, seed: int = 0) -> Rows:
    """Table 6: the models pools; the paper has seven."""
    base = make_cell(profile, "dim", dataset, ipc, seed)
    return {
        name: changed(
            base, name, f"pool {name}", "DiM Table 6", {"teacher.models": models(name, judges(profile))}
        )
        for name in profiles[profile].choice("mixes", MIXES)
    }


def noises(profile: str, dataset: str, ipc: int, seed: int = 0) -> Rows:
    """Table 10: the dimension K of the noise."""
    base = make_cell(profile, "dim", dataset, ipc, seed)
    return {
        str(size): changed(base, f"noise{size}", f"K = {size}", "DiM Table 10", {"container.noise": size})
        for size in profiles[profile].choice("noises", NOISES)
    }


def weights(profile: str, dataset: str, ipc: int, seed: int = 0) -> Rows:
    """Figure 3a: lambda, the weight of logits matching. The figure's text names 0.01 and 1; the others are ours."""
    base = make_cell(profile, "dim", dataset, ipc, seed)
    return {
        f"{weight:g}": changed(
            base, f"weight{weight:g}", f"lambda = {weight:g}", "DiM Figure 3a", {"criterion.weight": weight}
        )
        for weight in profiles[profile].choice("weights", WEIGHTS)
    }


def batches(profile: str, dataset: str, ipc: int, seed: int = 0) -> Rows:
    """Figure 3b: B, the real images of a matching step. The text names 16, 64 and 384; the others are ours."""
    base = make_cell(profile, "dim", dataset, ipc, seed)
    return {
        str(batch): changed(
            base, f"batch{batch}", f"B = {batch}", "DiM Figure 3b", {"criterion.matched_batch": batch}
        )
        for batch in profiles[profile].choice("batches", BATCHES)
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
    # What IDC makes of a stored image: factor squared, or the sum over its scales.
    decoded = sum(factor**2 for factor in getattr(stored.recipe.container, "factors", (1,)))
    return {"IDC": stored, "DiM": make_cell(profile, "dim", dataset, ipc * decoded, seed)}


def unseen(profile: str) -> dict[str, NetworkSpec]:
    """Table 7: the networks of judgement."""
    return {"C3": judges(profile)["C3"], **profiles[profile].choice("unseen", UNSEEN)}


def single(profile: str, dataset: str, ipc: int, seed: int = 0) -> Cell:
    """DiM whose models pool is the ConvNet alone, as in Table 7."""
    return pools(profile, dataset, ipc, seed)["C3"]


def timed(profile: str) -> dict[str, NetworkSpec]:
    """Table 9: the networks that are trained on what is drawn, by the paper's short names."""
    return judges(profile) | profiles[profile].choice("timed", TIMED)


def larger(profile: str) -> dict[str, NetworkSpec]:
    """Figure 3c: networks from small to large."""
    networks = timed(profile)
    return {name: networks[name] for name in profiles[profile].choice("larger", tuple(networks))}


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


def _arms(profile: str, method: str, dataset: str, ipc: int, seed: int) -> list[Cell]:
    """The control of DiM's second stage: an arm, judged by ConvNet-3 and ResNet-10."""
    own = profiles[profile].item("dim/control").recipe_rules
    made = make_cell(profile, method, dataset, ipc, seed, recipe_rules=own)
    return list(under(made, _two(profile)).values())


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
    """Table 7: a set whose own protocol is another is judged under the common one."""
    if method == "dim":
        return list(under(single(profile, dataset, ipc, seed), unseen(profile)).values())
    made = make_cell(profile, method, dataset, ipc, seed)
    return list(under(judged_again(made) or made, unseen(profile)).values())


def _larger(profile: str, method: str, dataset: str, ipc: int, seed: int) -> list[Cell]:
    """Figure 3c: one generator, judged by every network at every budget."""
    return list(under(make_cell(profile, method, dataset, ipc, seed), larger(profile)).values())


CORESETS = ("random", "herding", "k-center", "forgetting")
# Weight 0 and the published one, at the first stage's rate and at a twentieth of it, which is the released code's.
ARMS = ("dim-fast-unmatched", "dim-fast", "dim-unmatched", "dim")
BY_BUDGET = ("dc", "dsa", "dm", "idc", "kip", "mtt", "frepo", "dim")

PLANS = (
    Plan("dim/table1", "Comparison of DiI and DiM", ("dm", "dsa", "dim"), cells=_unseen, seeds=1),
    Plan(
        "dim/table2",
        "Performance comparison to state-of-the-art methods",
        (*CORESETS, "dd", "ld", "dc", "dsa", "dm", "kip", "mtt", "frepo", "gan", "dim"),
    ),
    Plan("dim/table3", "Comparison of HaBa, IDC and DiM", ("idc", "dim"), cells=_forwards),
    Plan(
        "dim/table4",
        "Feature matching, gradient matching and logits matching",
        ("dim",),
        cells=_rows(matchings),
        seeds=1,
    ),
    Plan("dim/table5", "The epochs of logits matching", ("dim",), cells=_rows(starts), seeds=1),
    Plan("dim/table6", "Diversity of the models pool", ("dim",), cells=_rows(pools), seeds=1),
    Plan(
        "dim/table7",
        "Performance on unseen architectures",
        ("dim", "dsa", "frepo", "mtt", "kip"),
        cells=_unseen,
        ipcs=(10,),
        seeds=1,
    ),
    Plan("dim/table8", "Performance comparison to GANs", ("gan", "dim"), cells=_judged, seeds=1),
    Plan("dim/control", "Matching, or a lower rate", ARMS, cells=_arms, ipcs=(50,), seeds=5),
    Plan("dim/table9", "Effort of the generator", ()),
    Plan("dim/table10", "Dimension K of the noise", ("dim",), cells=_rows(noises), seeds=1),
    Plan("dim/figure1c", "Performance under different image numbers", BY_BUDGET, seeds=1),
    Plan("dim/figure1d", "Redeployment GPU hours", BY_BUDGET, cells=once, seeds=1),
    Plan("dim/figure3a", "Sensitivity to λ", ("dim",), cells=_rows(weights), seeds=1),
    Plan("dim/figure3b", "Batch sizes", ("dim",), cells=_rows(batches), seeds=1),
    Plan("dim/figure3c", "Scalability to large architectures", ("dim",), cells=_larger, seeds=1),
    Plan("dim/figure4", "Architecture of the generator", ()),
    Plan("dim/figure5", "Synthetic images during training", ("dim",), sets=True, seeds=1),
    Plan("dim/figure6", "Synthetic images of GANs and DiM", ("gan", "dim"), cells=_along, sets=True, seeds=1),
    Plan(
        "dim/figure7",
        "Images generated by gradient and feature matching",
        ("dim-gradient", "dim-feature"),
        cells=_along,
        sets=True,
        seeds=1,
    ),
)
