"""How reports say things: names of data sets, percentages, differences, durations, sizes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

MEASURED, MISSING, NOT_IMPLEMENTED = "measured", "missing", "not implemented"
NOT_HERE = "not in this profile"
NOTHING = "–"

DATASETS = {
    "mnist": "MNIST",
    "fashionmnist": "FashionMNIST",
    "svhn": "SVHN",
    "cifar10": "CIFAR-10",
    "cifar100": "CIFAR-100",
    "digits": "Digits",
    "tinyimagenet": "TinyImageNet",
    "imagenet10": "ImageNet-10",
    "imagenet100": "ImageNet-100",
}


_STREAM = re.compile(r"(\d+)steps-order(\d+)-(step|upto)(\d+)")


def data_set(name: str) -> str:
    """What a table calls a data set: ``"cifar10"`` is ``"CIFAR-10"``; unknown names stay as they are.

    A part says what it is a part of: ``"mnist@5steps-order2-step3"`` is "MNIST, classes of step 3 of 5 (order 2)".
    """
    whole, _, part = name.rpartition("@")
    if whole and part == "holdout":
        return f"{data_set(whole)}, tested on held-out training images"
    if whole and (found := _STREAM.fullmatch(part)):
        steps, order, kind, step = found.groups()
        which = f"step {step}" if kind == "step" or step == "1" else f"steps 1 to {step}"
        return f"{data_set(whole)}, classes of {which} of {steps} (order {order})"
    return DATASETS.get(name, name)


def stream(name: str) -> str:
    """What a table calls a class-incremental stream, whatever its order and step: "MNIST in 5 steps"."""
    whole, _, part = name.rpartition("@")
    found = _STREAM.fullmatch(part) if whole else None
    return f"{data_set(whole)} in {found[1]} steps" if found else data_set(name)


NETWORKS = {
    "convnet": "ConvNet",
    "resnet10": "ResNet-10",
    "resnet18": "ResNet-18",
    "resnet34": "ResNet-34",
    "resnet50": "ResNet-50",
    "resnet10ap": "ResNetAP-10",
    "resnet18ap": "ResNetAP-18",
    "vgg11": "VGG-11",
    "alexnet": "AlexNet",
    "densenet121": "DenseNet-121",
}


def network(described: Mapping[str, Any]) -> str:
    """What a table calls a network, from its description in a record: ``"ConvNet-3, instance norm"``."""
    name = str(described["name"])
    shown = NETWORKS.get(name, name) + (f"-{described['depth']}" if name == "convnet" else "")
    return shown if described["norm"] == "none" else f"{shown}, {described['norm']} norm"


def percent(mean: float, std: float | None = None, digits: int = 1) -> str:
    """``"61.2 ± 0.8"``, or ``"61.2"`` without a standard deviation."""
    return f"{mean:.{digits}f}" if std is None else f"{mean:.{digits}f} ± {std:.{digits}f}"


def points(difference: float, digits: int = 1) -> str:
    """A signed difference with a true minus: ``"+0.6"``, ``"−1.2"``, ``"0.0"``."""
    rounded = round(difference, digits) + 0.0  # turns -0.0 into 0.0
    return f"{rounded:+.{digits}f}".replace("-", "−") if rounded else f"{rounded:.{digits}f}"


def duration(seconds: float) -> str:
    """``"8.4 s"``, ``"3 min 20 s"``, ``"2 h 05 min"``."""
    if seconds < 59.95:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def size(count: float) -> str:
    """Bytes in powers of 1024: ``"312 B"``, ``"1.2 MiB"``."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1023.95 or unit == "GiB":
            break
        count /= 1024
    return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
