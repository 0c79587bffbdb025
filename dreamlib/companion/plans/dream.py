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
    *("dc", "dc+dream", "dsa", "dsa+dream", "dm", "dm+dream"),
    *("idc-dm", "idc-dm+centres", "idc-dm+dream", "dream-dm"),
    *("idc", "idc+centres", "idc+dream", "dream", "dream+weighted", "dream+every1"),
)

PLANS = (
    Plan(
        "dream/table1",
        "Top-1 accuracy of models trained on distilled images",
        (*DISTILLED, *CORESETS, *PLUGGED),
    ),
    Plan(
        "dream/table2",
        "Time cost of adding the DREAM strategy",
        ("idc", "dream", "idc+dream"),
        ipcs=(10,),
        seeds=1,
    ),
    Plan(
        "dream/figure1",
        "Accuracy curves",
        CURVES,
        cells=course,
        ipcs=(10,),
    ),
    Plan(
        "dream/figure2",
        "Image quality and sample diversity",
        ("dc", "dc+dream", "idc", "dream"),
        sets=True,
        ipcs=(10,),
        seeds=1,
    ),
    Plan(
        "dream/figure3",
        "Example visualizations of the distilled images",
        ("dream",),
        sets=True,
        ipcs=(10,),
        seeds=1,
    ),
    Plan("dream/figure_gradnorm", "Gradient norm distribution", ()),
    Plan(
        "dream/figure_comparison",
        "Comparison of the datasets distilled by DC and by DC with DREAM",
        ("dc", "dc+dream"),
        sets=True,
        ipcs=(10,),
        seeds=1,
    ),
)
