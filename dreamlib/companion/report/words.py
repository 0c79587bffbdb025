"""How reports say things: names of data sets, percentages, differences, durations, sizes.

None of them ever says "nan": what is not known is a dash in a table, and left out of a sentence (:func:`sound`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, cast

from ...core.errors import BadValue

MEASURED = "measured"
MISSING = "missing"
NOT_IMPLEMENTED = "not implemented"
NOT_HERE = "not on this page"
NOTHING = "–"
ROUNDING = 1e-9  # what is below is zero, up to the last bits of a sum

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

# What the papers' tables have under the name of a method that runs here in another form.
PAPERS_OWN = {"KIP": "KIP, convolutional kernel"}

_SEQUENCE = re.compile(r"(\d+)steps-order(\d+)-(step|upto)(\d+)")


def data_set(name: str) -> str:
    """What a table calls a data set: ``"cifar10"`` is ``"CIFAR-10"``; unknown names stay as they are.

    A part says what it is a part of: ``"mnist@5steps-order2-step3"`` is "MNIST, classes of step 3 of 5 (order 2)".
    """
    whole, _, part = name.rpartition("@")
    if whole and part == "holdout":
        return f"{data_set(whole)}, tested on held-out training images"
    if whole and (found := _SEQUENCE.fullmatch(part)):
        steps, order, kind, step = found.groups()
        which = f"step {step}" if kind == "step" or step == "1" else f"steps 1 to {step}"
        return f"{data_set(whole)}, classes of {which} of {steps} (order {order})"
    return DATASETS.get(name, name)


def class_sequence(name: str) -> str:
    """What a table calls a class sequence, whatever its order and step: "MNIST in 5 steps"."""
    whole, _, part = name.rpartition("@")
    found = _SEQUENCE.fullmatch(part) if whole else None
    return f"{data_set(whole)} in {found[1]} steps" if found else data_set(name)


NETWORKS = {
    "convnet": "ConvNet",
    "frepo": "FRePo's ConvNet",
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


def device(described: object) -> object:
    """A device without "(s)": ``"AMD EPYC, 1 thread(s)"``, as older records have it, is ``"AMD EPYC, 1 thread"``."""
    if not isinstance(described, str):
        return described
    return re.sub(r"(\d+) thread\(s\)", lambda found: plural(int(found[1]), "thread"), described)


def plainly(keys: str) -> str:
    """Words instead of names in the code: ``"evaluation.real_batch 64"`` is "evaluation: real batch 64"."""
    path = re.compile(r"(?<![\w/.])(?:[a-z]+\.)+(?=[a-z_]{2,} )")  # "evaluation.learner." of what follows
    told = path.sub(lambda found: found[0].replace(".", ": "), keys)
    return re.sub(r"(?<=[a-z])_(?=[a-z])", " ", told)


def make_target(paper: str, item: str) -> str:
    """What to type after ``make`` for an item: DREAM's stand alone, the others carry their paper's name."""
    return item if paper == "dream" else f"{paper}-{item}"


def number(value: object, digits: int = 1) -> str:
    """A number with so many decimals: what is not there (None, NaN) or not finite is a dash, never "nan".

    A minus is a true one, zero has no sign, and a number that would round to zero is shown by its first digit:
    ``"12.3"``, ``"−0.4"``, ``"0.0"``, ``"0.004"``, ``"–"``.
    """
    if value is None:
        return NOTHING
    try:
        known = float(cast(Any, value))
    except (TypeError, ValueError):  # pandas' NA
        return NOTHING
    if not math.isfinite(known):
        return NOTHING
    if abs(known) < ROUNDING:
        known = 0.0
    text = f"{known:.{digits}f}" if known == 0 or round(known, digits) else f"{known:.1g}"
    return text.replace("-", "−")


def percent(mean: float | None, std: float | None = None) -> str:
    """``"61.2 ± 0.8"``, or ``"61.2"`` without a standard deviation; a dash without a mean."""
    if mean is None or not math.isfinite(mean):
        return NOTHING
    return f"{mean:.1f}" if std is None or not math.isfinite(std) else f"{mean:.1f} ± {std:.1f}"


def points(difference: float | None, digits: int = 1) -> str:
    """A signed difference with a true minus: ``"+0.6"``, ``"−1.2"``, ``"0.0"``; a dash where there is none."""
    if difference is None or not math.isfinite(difference):
        return NOTHING
    rounded = round(difference, digits) + 0.0  # turns -0.0 into 0.0
    return f"{rounded:+.{digits}f}".replace("-", "−") if rounded else f"{rounded:.{digits}f}"


def times(ratio: float | None) -> str:
    """How many times as much: ``"3.4 times"``, ``"0.04 times"``; a dash where it is not known."""
    if ratio is None or not math.isfinite(ratio):
        return NOTHING
    return f"{ratio:.1f} times" if ratio >= 0.95 else f"{ratio:.2g} times"


def plural(count: int, thing: str) -> str:
    """``"1 set"``, ``"5 sets"``."""
    return f"{count:,} {thing}{'s' * (count != 1)}"


_UNSOUND = re.compile(
    r"(?<![\w.])(?:nan|inf|infinity)(?![\w.])|(?<![\w.])[-−]0(?:\.0+)?(?![\w.])|(?<![\d.])0\.0+ times"
)


def sound(text: str) -> str:
    """`text`, if it says no "nan", "inf", "-0.0" or "0.0 times": a sentence with a number that is not there.

    Raises
    ------
    BadValue
        It does. What is not known is left out of a sentence, with a word instead.
    """
    if found := _UNSOUND.search(text):
        around = text[max(0, found.start() - 40) : found.end() + 20]
        raise BadValue(f"{found.group()!r} in a sentence: {around!r}", "say in words what is not known")
    return text


def duration(seconds: float | None) -> str:
    """``"8.4 s"``, ``"3 min 20 s"``, ``"2 h 05 min"``; a dash where it is not known."""
    if seconds is None or not math.isfinite(seconds):
        return NOTHING
    if not seconds:
        return "0 s"
    if seconds < 59.95:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def size(count: float | None) -> str:
    """Bytes in powers of 1024: ``"312 B"``, ``"1.2 MiB"``; a dash where it is not known."""
    if count is None or not math.isfinite(count):
        return NOTHING
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1023.95 or unit == "GiB":
            break
        count /= 1024
    return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
