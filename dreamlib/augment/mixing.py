"""CutMix (Yun et al., ICCV 2019), for several networks at once."""

from __future__ import annotations

import torch
from torch import Tensor

from ..core.errors import BadValue


def cutmix(
    images: Tensor, labels: Tensor, generator: torch.Generator, probability: float
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Paste a box of other images of the batch into every image, for each network with ``probability``.

    All images of one network share the box. Its area is 1 - lambda with lambda ~ Beta(1, 1), which is
    uniform; its centre is uniform and it is clipped at the borders (paper, section 3.1; the box's rounding is
    the released code's, as in the evaluation of IDC and DREAM). Train on
    ``weight * cross_entropy(output, labels_a) + (1 - weight) * cross_entropy(output, labels_b)``.

    Parameters
    ----------
    images : Tensor
        (K, B, c, h, w), B images for each of K networks.
    labels : Tensor
        (K, B), of any dtype; or (K, B, C), targets for each of C classes.
    generator : torch.Generator
        Source of randomness; advanced by the same amount whatever ``probability`` is.
    probability : float
        In [0, 1].

    Returns
    -------
    mixed : Tensor
        (K, B, c, h, w); differentiable in ``images``, and ``images`` itself if ``probability`` is 0.
    labels_a, labels_b : Tensor
        As ``labels``: labels of the image and of what was pasted into it.
    weight : Tensor
        (K,), the exact fraction of its own pixels an image kept; 1 for a network that did not mix, whose
        ``labels_b`` are its ``labels_a``. float32, or float64 if the images are.

    Raises
    ------
    BadValue
        If ``probability`` is outside [0, 1], or the shapes do not fit each other.
    """
    if images.dim() != 5 or labels.shape[:2] != images.shape[:2]:
        raise BadValue(
            f"CutMix got images {tuple(images.shape)} and labels {tuple(labels.shape)}, "
            "expected (networks, batch, c, h, w) and (networks, batch) or (networks, batch, classes)",
            "images[None] and labels[None] for a single network",
        )
    return mix(images, labels, *cutmix_draws(labels, generator), probability)


def cutmix_draws(labels: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """The random numbers of :func:`cutmix` for labels (K, B, ...), on their device: uniform (K, 4) and (K, B)."""
    networks, batch = labels.shape[:2]
    # Drawn on the generator's device and then moved, so that a CPU generator gives the same numbers on every device.
    draws = torch.rand(networks, 4, generator=generator, device=generator.device)
    shuffle = torch.rand(networks, batch, generator=generator, device=generator.device)
    return draws.to(labels.device), shuffle.to(labels.device)


def mix(
    images: Tensor, labels: Tensor, draws: Tensor, shuffle: Tensor, probability: float
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """:func:`cutmix` after :func:`cutmix_draws`: a pure function of tensors."""
    if not 0 <= probability <= 1:
        raise BadValue(
            f"CutMix probability is {probability!r}, expected a number in [0, 1]", "probability=0.5"
        )
    networks, batch, _, height, width = images.shape
    exact = torch.promote_types(images.dtype, torch.float32)
    if probability == 0:
        return images, labels, labels, torch.ones(networks, dtype=exact, device=images.device)
    # lambda ~ Beta(1, 1) is uniform, so 1 - lambda, the area of the box, is too.
    coin, area, centre_y, centre_x = draws.unbind(1)

    mixing = (coin < probability)[:, None]
    itself = torch.arange(batch, device=images.device)
    # argsort of random keys is a permutation of the batch: the images that are pasted. Without mixing each image is its
    # own.
    partner = torch.where(mixing, shuffle.argsort(dim=1), itself)
    # The box is sqrt(1 - lambda) of each side (CutMix, section 3.1).
    rows = _stretch(centre_y, area, height)
    columns = _stretch(centre_x, area, width)
    # (K, h, w) bool, False everywhere for a network that does not mix.
    box = rows[:, :, None] & columns[:, None, :] & mixing[:, :, None]

    network = torch.arange(networks, device=images.device)[:, None]
    mixed = torch.where(box[:, None, None], images[network, partner], images)
    # The exact share of own pixels, not 1 - area: borders clip the box, and labels follow the pixels (released code).
    own = height * width - box.sum(dim=(1, 2))
    weight = own.to(exact) / (height * width)
    return mixed, labels, labels[network, partner], weight


def _stretch(centre: Tensor, area: Tensor, side: int) -> Tensor:
    """Which of ``side`` positions the box covers, (K, side) bool."""
    # Half a side is rounded down on either side of the centre, as in the released codes.
    half = (area.sqrt() * side).long()[:, None] // 2
    middle = (centre * side).long()[:, None]
    position = torch.arange(side, device=centre.device)
    return (position >= middle - half) & (position < middle + half)
