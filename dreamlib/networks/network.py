"""From spec to module, and from images to features."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor, nn

from ..core.errors import BadValue
from .chains import alexnet, vgg11
from .convnet import convnet, frepo
from .densenet import densenet121
from .layers import Shape
from .lenet import alexcifarnet, lenet
from .resnet import resnet
from .spec import NetworkSpec
from .weights import initialise

BODIES: dict[str, Callable[[NetworkSpec, Shape], tuple[nn.Sequential, int]]] = {
    "convnet": convnet,
    "frepo": frepo,
    "resnet10": resnet,
    "resnet18": resnet,
    "resnet34": resnet,
    "resnet50": resnet,
    "resnet10ap": resnet,
    "resnet18ap": resnet,
    "vgg11": vgg11,
    "alexnet": alexnet,
    "densenet121": densenet121,
    "lenet": lenet,
    "alexcifarnet": alexcifarnet,
}


class Network(nn.Module):
    """A convolutional body and one linear classifier.

    Attributes
    ----------
    body : nn.Sequential
        From images to the last maps, stage by stage.
    feature_size : int
        D, how many numbers ``features`` gives for one image.
    classifier : nn.Linear
        From D features to the logits.
    he_weights : bool
        Convolutions start from He's normal distribution; see :func:`initialise`.
    glorot_weights : bool
        Weights start from Glorot's normal distribution, biases from zero.
    """

    def __init__(
        self,
        body: nn.Sequential,
        feature_size: int,
        num_classes: int,
        he_weights: bool = False,
        glorot_weights: bool = False,
    ) -> None:
        super().__init__()
        self.body = body
        self.feature_size = feature_size
        self.he_weights, self.glorot_weights = he_weights, glorot_weights
        self.classifier = nn.Linear(feature_size, num_classes)

    def features(self, images: Tensor) -> Tensor:
        """Flattened last features (N, D) of normalised images (N, c, h, w): what the classifier sees."""
        maps: Tensor = self.body(images)
        return maps.flatten(1)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, num_classes) of normalised images (N, c, h, w)."""
        logits: Tensor = self.classifier(self.features(images))
        return logits


def build(
    spec: NetworkSpec, shape: tuple[int, int, int], num_classes: int, device: torch.device | str = "cpu"
) -> Network:
    """The network of a spec, in training mode, initialised by a generator seeded with 0.

    Neither building nor initialising draws from PyTorch's global generators.

    Parameters
    ----------
    spec : NetworkSpec
        The architecture.
    shape : tuple of int
        (channels, height, width) of an image.
    num_classes : int
        Logits, at least 1.
    device : torch.device or str
        Where the weights live; ``"meta"`` gives a network without weights, to be looked at or counted.

    Raises
    ------
    BadValue
        For a shape or a number of classes below 1, for images too small for the network, and for a width that
        does not scale its channels to whole numbers.
    """
    if len(shape) != 3 or min(shape) < 1:
        raise BadValue(f"image shape {tuple(shape)}: expected (channels, height, width), each at least 1")
    if num_classes < 1:
        raise BadValue(f"{num_classes} classes: expected at least 1")
    channels, height, width = shape
    # On the meta device PyTorch's own initialisation does nothing: weights are drawn once, and from our seed.
    with torch.device("meta"):
        body, size = BODIES[spec.name](spec, (channels, height, width))
        # IDC's form starts convolutions from He's distribution, DD's form all weights from Glorot's.
        network = Network(body, size, num_classes, spec.form == "idc", spec.form == "xavier")
    device = torch.device(device)
    if device.type != "meta":
        initialise(network.to_empty(device=device), torch.Generator(device).manual_seed(0))
    return network


def misfit(spec: NetworkSpec, shape: tuple[int, int, int], num_classes: int) -> str:
    """Why images of ``shape`` (c, h, w) do not fit a network; ``""`` where they do."""
    try:
        build(spec, shape, num_classes, device="meta")
    except BadValue as error:
        return error.message
    return ""


@torch.no_grad()
def embed(network: nn.Module, images: Tensor, chunk: int = 1024) -> Tensor:
    """Features (N, D) of normalised images (N, c, h, w), ``chunk`` at a time and without gradients.

    Batch norms use their running statistics, so that ``chunk`` changes the memory and not the result. Every
    layer is back in its own mode afterwards.

    Parameters
    ----------
    network : nn.Module
        With a method ``features``, as every network of this package has.
    images : Tensor
        On the network's device; may be empty.
    chunk : int
        At least 1.

    Raises
    ------
    BadValue
        For a chunk below 1.
    """
    if chunk < 1:
        raise BadValue(f"chunk is {chunk}; expected at least 1")
    # Remember which layers train, since only some of them may.
    features = cast(Network, network).features
    training = [layer for layer in network.modules() if layer.training]
    network.eval()
    try:
        return torch.cat([features(part) for part in images.split(chunk)])
    finally:
        for layer in training:
            layer.training = True


def largest_map(network: Network, shape: tuple[int, int, int]) -> int:
    """Bytes of the largest tensor that a layer leaves for one float32 image of ``shape``."""
    sizes: list[int] = []

    def note(module: nn.Module, inputs: object, output: Tensor) -> None:
        # float32 has four bytes.
        sizes.append(output.numel() * 4)

    # Not on the meta device: norms there make PyTorch import its compiler, which takes three seconds in every process.
    # Running one image costs less.
    copied = copy.deepcopy(network).eval()
    for layer in copied.modules():
        layer.register_forward_hook(note)
    with torch.no_grad():
        copied(torch.empty(1, *shape, device=next(network.parameters()).device))
    return max(sizes)


def batch_norms(module: nn.Module) -> list[nn.BatchNorm2d]:
    """The layers whose result for one image depends on the other images of its batch."""
    return [layer for layer in module.modules() if isinstance(layer, nn.BatchNorm2d)]


def parameter_count(module: nn.Module) -> int:
    """How many numbers a module learns. Running statistics are not learned, and do not count."""
    return sum(parameter.numel() for parameter in module.parameters())
