"""What a network is, as data."""

from __future__ import annotations

from dataclasses import dataclass

from ..core.errors import BadValue, unknown

NORMS = ("instance", "batch", "layer", "group", "none")
POOLINGS = ("avg", "max", "none")
ACTIVATIONS = ("relu", "leakyrelu", "sigmoid", "swish")
FORMS = ("he", "idc", "xavier")

# Every network, with the fields that its name settles. A ConvNet and FRePo's leave all of them open.
FIXED: dict[str, dict[str, int | str]] = {
    "convnet": {},
    "frepo": {},
    "resnet10": {"depth": 10, "pooling": "none"},
    "resnet18": {"depth": 18, "pooling": "none"},
    "resnet34": {"depth": 34, "pooling": "none"},
    "resnet50": {"depth": 50, "pooling": "none"},
    "resnet10ap": {"depth": 10, "pooling": "avg"},
    "resnet18ap": {"depth": 18, "pooling": "avg"},
    "vgg11": {"depth": 11, "pooling": "max"},
    "alexnet": {"depth": 6, "pooling": "max", "norm": "none"},
    "densenet121": {"depth": 121, "pooling": "avg", "norm": "batch"},
    "lenet": {"depth": 5, "width": 128, "pooling": "max", "norm": "none"},
    "alexcifarnet": {"depth": 5, "width": 128, "pooling": "max", "norm": "none"},
}
# The papers write ResNetAP-10 as often as ResNet10-AP.
ALIASES = {"resnetap10": "resnet10ap", "resnetap18": "resnet18ap", "vgg": "vgg11", "densenet": "densenet121"}


def names() -> tuple[str, ...]:
    """The names a :class:`NetworkSpec` takes."""
    return tuple(FIXED)


@dataclass(frozen=True)
class NetworkSpec:
    """A network architecture: hashable, and equal exactly when the networks are.

    Parameters
    ----------
    name : str
        One of :func:`names`. Case, hyphens and underscores do not matter; ``ResNetAP-10``, ``ResNetAP-18``,
        ``vgg`` and ``densenet`` are understood too. The spec always holds the name as it is listed.
    depth : int
        Blocks of a ConvNet, FRePo's among them: 3 for images of 28 and 32 pixels, 4 for 64 (TinyImageNet).
    width : int
        Channels of a ConvNet's blocks, of the first of FRePo's. LeNet and AlexCifarNet have one width. For the others,
        128 stands for the published width and any other value scales all channels in proportion: 64 is a ResNet that
        starts with 32 channels, 48 a DenseNet that grows by 12 (both are what IDC's released code evaluates on CIFAR).
    norm : str
        ``instance`` (the DC family's default), ``batch``, ``layer``, ``group`` (four groups) or ``none``.
    pooling : str
        After each block of a ConvNet: ``avg``, ``max`` or ``none``.
    activation : str
        ``relu``, ``leakyrelu`` (slope .01), ``sigmoid`` or ``swish``.
    form : str
        ``xavier``: every weight starts from Glorot's normal distribution, biases from zero (DD, released code).
        ``he``: blocks of a ResNet as in He et al. (CVPR 2016), weights from PyTorch's default distribution. ``idc``: as
        the released code of IDC and DiM builds ResNets for CIFAR. Each of the four stages has (depth - 2) // 6 basic
        blocks, also at depth 34 (5) and 50 (8), and convolutions start from He's normal distribution. The code has
        batch norm and 32 to 256 channels: ``NetworkSpec("resnet18", width=64, norm="batch", form="idc")``.

    Raises
    ------
    UnknownName
        For an unknown name, norm, pooling, activation or form.
    BadValue
        For a depth or width below 1.

    Notes
    -----
    What a name settles is overwritten with the truth, so that equal networks have equal specs: depth and
    pooling of all but the ConvNets, ``norm="none"`` for AlexNet, LeNet and AlexCifarNet, ``norm="batch"`` for
    DenseNet, and ``form="he"`` in place of ``"idc"`` for all but the ResNets.
    """

    name: str = "convnet"
    depth: int = 3
    width: int = 128
    norm: str = "instance"
    pooling: str = "avg"
    activation: str = "relu"
    form: str = "he"

    def __post_init__(self) -> None:
        spelt = str(self.name).lower().replace("-", "").replace("_", "")
        spelt = ALIASES.get(spelt, spelt)
        if spelt not in FIXED:
            raise unknown("network", self.name, names())
        choices = {"norm": NORMS, "pooling": POOLINGS, "activation": ACTIVATIONS, "form": FORMS}
        for field, valid in choices.items():
            if getattr(self, field) not in valid:
                raise unknown(field, getattr(self, field), valid)
        for field in ("depth", "width"):
            value = getattr(self, field)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise BadValue(f"{field} of {spelt} is {value!r}; expected a whole number of at least 1")
        settled: dict[str, int | str] = {"name": spelt, **FIXED[spelt]}
        if self.form == "idc" and not spelt.startswith("resnet"):
            settled["form"] = "he"
        for field, value in settled.items():
            # Frozen, but equal networks must be equal specs: what a name settles is written over what was said.
            object.__setattr__(self, field, value)
