"""The tables and figures of DREAM's supplement and README."""

from __future__ import annotations

from .base import Plan, course

CORESETS = ("random", "herding", "k-center", "forgetting")
DISTILLED = ("dd", "ld", "dc", "dsa", "dm", "mtt", "idc", "kip", "frepo", "dream")
PLUGGED = (
    "ld+dream",
    "dc+dream",
    "dsa+dream",
    "dm+dream",
    "mtt+dream",
    "idc+dream",
    "kip+dream",
    "frepo+dream",
)
# In IDC's frame DREAM is two things, the images to start from and those that are matched: each has a curve, and both.
CURVES = (
    *("dc", "dc+dream", "dsa", "dsa+dream"),
    *("idc-dm", "idc-dm+centres", "idc-dm+dream", "dream-dm"),
    *("idc", "idc+centres", "idc+dream", "dream", "dream+weighted", "dream+every1"),
)

PLANS = (
    Plan("dream/table1", "Top-1 accuracy of many methods", (*DISTILLED, *CORESETS, *PLUGGED)),
    Plan(
        "dream/table2", "Time cost of the DREAM strategy", ("idc", "dream", "idc+dream"), ipcs=(10,), seeds=1
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
)
