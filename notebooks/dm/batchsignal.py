"""What batch norm leaves of the classes when a batch holds one class alone, and of the gradient that images get."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from lastlayer import image_gradient
from torch import Tensor

from dreamlib.companion.probes import Texture, texture
from dreamlib.core.streams import Streams
from dreamlib.data import ClassData
from dreamlib.matchers import Feature
from dreamlib.networks import Network, NetworkSpec, build, initialise


@dataclass(frozen=True)
class ClassSignal:
    """What the mean features of classes say about them, under networks of one architecture; see :func:`class_signal`.

    Attributes
    ----------
    network : NetworkSpec
    joint, per_class : ndarray
        (K,) for each network: the mean distance between the mean features of two classes, over that between two
        batches of one class. About 1 where matching a class's mean feature says nothing about the class.
    """

    network: NetworkSpec
    joint: np.ndarray
    per_class: np.ndarray


@torch.no_grad()
def class_signal(
    spec: NetworkSpec, data: ClassData, *, batch: int = 32, networks: int = 10, seed: int = 0
) -> ClassSignal:
    """Compare mean features with all classes in one batch and with one class at a time, at untrained networks.

    The networks are in training mode, so a batch norm takes its statistics from what it is given.

    Parameters
    ----------
    spec : NetworkSpec
        The architecture.
    data : ClassData
        The real images.
    batch : int
        Images of each class.
    networks : int
        K.
    seed : int
        Of networks and draws.
    """
    streams = Streams(seed, data.device)
    network = build(spec, data.shape, data.num_classes, device=data.device).train()
    found: dict[str, list[float]] = {"joint": [], "per class": []}
    for _ in range(networks):
        initialise(network, streams["network"])
        pair = [data.take(data.draw(min(batch, data.smallest), streams["images"])) for _ in range(2)]
        for kind, values in found.items():
            first, second = (_class_means(network, images, together=kind == "joint") for images in pair)
            gaps = torch.cdist(first, second)
            classes = len(gaps)
            own = gaps.diagonal().mean()
            values.append(float((gaps.sum() - gaps.trace()) / (classes * (classes - 1)) / own))
    return ClassSignal(spec, np.array(found["joint"]), np.array(found["per class"]))


def gradient_texture(
    spec: NetworkSpec, data: ClassData, *, batch: int = 32, each: int = 10, networks: int = 10, seed: int = 0
) -> list[Texture]:
    """How smooth the gradient is that reaches synthetic images, at untrained networks: feature matching, real images.

    Parameters
    ----------
    spec : NetworkSpec
        The architecture; its batch norms see all classes together.
    data : ClassData
        The real images; ``each`` of every class play the synthetic set.
    batch, each : int
        Real and synthetic images of each class.
    networks : int
        K: one entry of the answer for each.
    seed : int
        Of networks and draws.
    """
    streams = Streams(seed, data.device)
    network = build(spec, data.shape, data.num_classes, device=data.device).train().requires_grad_(False)
    labels = torch.arange(data.num_classes, device=data.device)
    out = []
    for _ in range(networks):
        initialise(network, streams["network"])
        real, synthetic = (
            data.take(data.draw(min(count, data.smallest), streams["images"])) for count in (batch, each)
        )
        out.append(texture(image_gradient(Feature(), network, real, synthetic, labels).flatten(0, 1)))
    return out


def signals(spec: NetworkSpec, data: ClassData, *, batch: int, networks: int) -> list[dict[str, float]]:
    """One row for each network: :func:`class_signal`, and the finest part of :func:`gradient_texture`."""
    signal = class_signal(spec, data, batch=batch, networks=networks)
    smooth = gradient_texture(spec, data, batch=batch, networks=networks)
    return [
        {"joint": float(joint), "per_class": float(apart), "checkerboard": float(found.checkerboard)}
        for joint, apart, found in zip(signal.joint, signal.per_class, smooth, strict=True)
    ]


def _class_means(network: Network, images: Tensor, *, together: bool) -> Tensor:
    """Mean features (C, D) of images (C, B, c, h, w), all classes in one batch or each in its own."""
    if together:
        return network.features(images.flatten(0, 1)).view(*images.shape[:2], -1).mean(1)
    return torch.stack([network.features(part).mean(0) for part in images])
