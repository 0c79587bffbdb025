"""Profile paper: the published protocol."""

from __future__ import annotations

from ...recipes.rules import rule
from .base import Item, Profile

CIFAR10 = ("cifar10",)
FOUR = ("cifar10", "mnist", "fashionmnist", "svhn")
ABLATIONS = ("table4", "table5", "table6", "table10", "figure3a", "figure3b", "figure5", "figure6", "figure7")

paper = Profile(
    name="paper",
    summary=(
        "the published protocol: ConvNet-3 of width 128, and every published setting but two: three synthetic sets "
        "of each method, or as many as a page says (published: up to five), and fast mode, with shorter numbers where "
        "the machine has them and clustering that rests early (notebook engine/speed: what that does); a GPU's work, "
        "of which two cores do the smaller cells"
    ),
    datasets=("cifar10", "mnist", "fashionmnist", "svhn", "cifar100"),
    ipcs=(10, 1, 50),
    seeds=3,
    recipe_rules=(rule("profile paper", {"mode": "fast"}),),
    evaluation_rules=(rule("profile paper", {"mode": "fast"}),),
    items={
        # "with INPC = 50 if not otherwise stated"
        **{f"dim/{name}": Item(CIFAR10, (50,)) for name in ABLATIONS},
        **{f"dim/table{number}": Item(FOUR, (50, 10, 1)) for number in (2, 3)},
        **{f"dim/{name}": Item(CIFAR10) for name in ("table7", "table9", "figure4")},
        "dim/table1": Item(CIFAR10, (1, 10)),
        "dim/control": Item(CIFAR10),
        "dim/table8": Item(CIFAR10, (50, 10, 1)),
        "dim/figure1c": Item(CIFAR10, (50, 10, 1)),
        "dim/figure1d": Item(CIFAR10, (50, 10, 1)),
        "dim/figure3c": Item(CIFAR10, (1, 10, 20, 50, 100, 200)),
        "dm/tableT1": Item(ipcs=(50, 10, 1)),
        "dm/continual": Item(seeds=5),
        "dm/figureF1": Item(ipcs=(50,)),
    },
    choices={"widths": (128, 1024)},
    published=True,
)
