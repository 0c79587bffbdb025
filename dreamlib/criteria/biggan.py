"""BigGAN with differentiable augmentation."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..augment import Siamese, Transform
from ..augment.siamese import NUMBERS
from ..core.errors import BadValue
from ..networks import BigGANDiscriminator
from .objective import Batch, Called, register

ALMOST_ONE = 1 - 2**-24  # the largest float32 below 1


@register("biggan")
@dataclass(frozen=True)
class Hinge:
    """BigGAN's hinge loss (Brock et al. 2019), with T, differentiable augmentation (Zhao et al. 2020, Eq. 4 to 6).

    Discriminator D, on real x and generated s = G(z, y)::

        max(0, 1 - D(T(x), y)) + max(0, 1 + D(T(s), y))
        -D(T(s), y)                                            for the generator

    Each image has its own T. D takes one step per step of G; the released code takes four.

    Parameters
    ----------
    augment : Siamese
        T. The default is the released code's on CIFAR-10: a move by up to an eighth, then a box of half a side cut
        out, both always. Each stage must have exactly one operation: a choice between several cannot be part of a pure
        function of tensors.

    Raises
    ------
    BadValue
        For an augmentation that draws its operations.
    """

    augment: Siamese = field(default_factory=lambda: Siamese("crop_cutout", family="idc"))

    def __post_init__(self) -> None:
        if any(len(stage) > 1 for stage in self.augment.stages):
            raise BadValue(
                f"augmentation {self.augment.strategy!r} draws one of several operations; BigGAN applies all of them",
                'Siamese("crop_cutout", family="idc")',
            )

    @property
    def joint(self) -> bool:
        return False

    def partner(self, shape: tuple[int, int, int], num_classes: int, noise: int, width: int) -> nn.Module:
        if noise < 2 * len(NUMBERS):
            raise BadValue(
                f"a noise of K = {noise} numbers; augmentation needs as many numbers of its own, expected at least "
                f"{2 * len(NUMBERS)}",
                f"noise={2 * len(NUMBERS)}",
            )
        return BigGANDiscriminator(shape, num_classes, width)

    def partner_loss(self, generator: Called, partner: Called, batch: Batch) -> Tensor:
        with torch.no_grad():
            generated = generator(batch.other_noise, batch.other_labels)
        # Real images and generated ones take different numbers (part 1 and part 0), so each image has its own T.
        both = torch.cat([self.augmented(batch.real, batch, 1), self.augmented(generated, batch, 0)])
        real, fake = partner(both, torch.cat([batch.labels, batch.other_labels])).chunk(2)
        # The hinge: D gains nothing by pushing real images above 1 or generated ones below -1.
        return F.relu(1 - real).mean() + F.relu(1 + fake).mean()

    def generator_loss(
        self, generator: Called, partner: Called | None, batch: Batch
    ) -> tuple[Tensor, Tensor]:
        assert partner is not None
        generated = generator(batch.noise, batch.labels)
        judged: Tensor = partner(self.augmented(generated, batch, 0), batch.labels)
        return -judged.mean(), generated

    def augmented(self, images: Tensor, batch: Batch, part: int) -> Tensor:
        """T of images (N, c, h, w), its numbers being the ``part``-th of the batch's extra ones."""
        drawn = batch.extra[:, part * len(NUMBERS) : (part + 1) * len(NUMBERS)]
        # The batch has only normal numbers to spare; the normal distribution function makes them uniform in [0, 1).
        numbers = torch.special.ndtr(drawn).clamp(max=ALMOST_ONE)
        return Transform(self.augment, self.augment.stages, numbers.unsqueeze(0), len(images))(
            images.unsqueeze(0)
        )[0]
