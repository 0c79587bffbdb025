"""A container that holds no images: a data set as the weights of a generator (DiM)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..compute.formats import formats_of
from ..core.errors import BadValue, unknown
from ..data import Normalisation
from ..networks import BigGANGenerator, GeneratorNetwork, initialise
from .base import Shape, Tensors, register
from .updates import Adam, Update

# Images that go through a generator together. At the published width (196 maps of 32x32) one layer's maps of 512 images
# are 0.4 GB.
AT_ONCE = 512


@register("generator")
@dataclass(frozen=True)
class Generator:
    """A conditional generator: noise and a label become an image (DiM, section 3.3, Eq. 4).

    It stores weights and the running statistics of batch norms, however many images are drawn from it later. Drawing
    uses the running statistics, so an image depends on its noise and label alone.

    Parameters
    ----------
    noise : int
        K, numbers drawn for an image.
    width : int
        Channels of its maps.
    label : str
        ``"inside"`` the noise, in place of its first numbers (released code), or ``"beside"`` it (Eq. 4).
    architecture : str
        One of :data:`ARCHITECTURES`.
    lr, betas
        Adam's, for its weights and for those of its partner, such as a discriminator.
    """

    noise: int = 100
    width: int = 196
    label: str = "inside"
    architecture: str = "dim"
    lr: float = 1e-4
    betas: tuple[float, float] = (0.0, 0.9)

    @property
    def space(self) -> str:
        """``"unit"``: what is drawn lies in [0, 1] before it is normalised."""
        return "unit"

    def check(self, shape: Shape, num_classes: int, ipc: int = 0) -> None:
        """Raise what :meth:`module` would, without making one; for any ``ipc``: none of its images is stored."""
        if not isinstance(self.lr, int | float) or not self.lr >= 0:
            raise BadValue(f"generator: lr is {self.lr!r}; expected a number of at least 0", "lr=1e-4")
        if len(self.betas) != 2 or not all(0 <= beta < 1 for beta in self.betas):
            raise BadValue(
                f"generator: betas are {self.betas}; expected two numbers in [0, 1)", "betas=(0.0, 0.9)"
            )
        # On the meta device nothing is allocated: building the module is enough to check its sizes.
        with torch.device("meta"):
            self.module(shape, num_classes)

    def slots(self, ipc: int) -> int:
        """None: it starts from random weights."""
        return 0

    def start(
        self, images: Tensor | None, ipc: int, shape: Shape, num_classes: int, stream: torch.Generator
    ) -> Tensors:
        """New weights and running statistics."""
        # Drawn by our own initialiser, from an explicit stream: the same seed gives the same generator.
        module = initialise(self.module(shape, num_classes).to(stream.device), stream)
        return {name: value.detach() for name, value in module.state_dict().items()}

    def updates(self, images: Update) -> Mapping[str, Update]:
        # One Adam for all weights. Running statistics have no gradient, so it never moves them.
        return {"": Adam(self.lr, self.betas)}

    def shared(self, name: str) -> bool:
        """All of it is: one network draws every class."""
        return True

    def project(self, stored: Tensors) -> None:
        """Weights may be anything."""

    def training_set(
        self,
        stored: Mapping[str, Tensor],
        shape: Shape,
        num_classes: int,
        normalisation: Normalisation,
        device: torch.device | str = "cpu",
        fast: bool = False,
    ) -> Drawing:
        """What draws images from it."""
        return drawing(self, stored, shape, num_classes, normalisation, device, fast)

    def module(self, shape: Shape, num_classes: int) -> nn.Module:
        """The network, from (noise (N, K), labels int64 (N,)) to images (N, c, h, w) in [-1, 1]; its weights are new.

        Parameters
        ----------
        shape : tuple of int
            (c, h, w) of the images.
        num_classes : int
            C.

        Raises
        ------
        UnknownName
            For another architecture or place of the label.
        BadValue
            For sizes below 1, images that its doublings do not reach, and a K that has no room for the labels.
        """
        if self.architecture not in ARCHITECTURES:
            raise unknown("generator", self.architecture, ARCHITECTURES)
        return ARCHITECTURES[self.architecture](shape, num_classes, self.noise, self.width, self.label)


ARCHITECTURES: dict[str, type[nn.Module]] = {"dim": GeneratorNetwork, "biggan": BigGANGenerator}


class Drawing:
    """Draws images from a trained generator.

    Parameters
    ----------
    generator : nn.Module
        On the device to draw on; it is put into evaluation mode.
    noise : int
        K.
    normalisation : Normalisation
        Of the networks that will see the images.
    fast : bool
        Draw with convolutions in bfloat16 where the machine has it: 1.7 times as fast at the published width on one CPU
        core. Unit images of a trained generator differ by a thousandth on average, single pixels by up to some
        hundredths.
    """

    def __init__(
        self, generator: nn.Module, noise: int, normalisation: Normalisation, fast: bool = False
    ) -> None:
        # eval(): batch norms use running statistics, so an image does not depend on the batch it is drawn in.
        self.generator, self.noise, self.normalisation = generator.eval(), noise, normalisation
        self.device = next(generator.parameters()).device
        self.short = formats_of(self.device).dtype if fast else torch.float32

    @torch.no_grad()
    def unit(self, labels: Tensor, stream: torch.Generator) -> Tensor:
        """Unit images ``(*labels.shape, c, h, w)`` of ``labels`` int64 (...), from the next numbers of ``stream``."""
        flat = labels.flatten()
        # All noise in one call: how the images are split below does not change the numbers.
        noise = torch.randn(len(flat), self.noise, generator=stream, device=self.device)
        # In parts, to bound memory; batch norms in evaluation mode make that the same as at once.
        parts = zip(noise.split(AT_ONCE), flat.split(AT_ONCE), strict=True)
        rounded = self.short != torch.float32
        with torch.autocast(self.device.type, torch.bfloat16, enabled=rounded):
            images = torch.cat([self.generator(z, y) for z, y in parts]).float()
        # The generator ends in tanh: [-1, 1] becomes [0, 1].
        return images.add_(1).div_(2).view(*labels.shape, *images.shape[1:])

    def draw(self, labels: Tensor, stream: torch.Generator) -> Tensor:
        """As :meth:`unit`, normalised as networks see them."""
        return self.normalisation.apply(self.unit(labels, stream))


def drawing(
    container: Generator,
    stored: Mapping[str, Tensor],
    shape: Shape,
    num_classes: int,
    normalisation: Normalisation,
    device: torch.device | str = "cpu",
    fast: bool = False,
) -> Drawing:
    """A :class:`Drawing` from the tensors of a container, on ``device``.

    Parameters
    ----------
    container : Generator
        Which generator it is.
    stored : dict of str to Tensor
        Its weights and running statistics by name.
    shape, num_classes
        Of the data set it was trained on.
    normalisation : Normalisation
        Of the networks that will see the images.
    device : torch.device or str
        Where the images are to be.
    fast : bool
        As of :class:`Drawing`.

    Raises
    ------
    RuntimeError
        If ``stored`` is not what such a container holds.
    """
    with torch.device("meta"):
        module = container.module(shape, num_classes)
    # assign: the module takes these tensors over, so nothing is initialised first and copied afterwards.
    module.load_state_dict({name: value.to(device) for name, value in stored.items()}, assign=True)
    return Drawing(module.requires_grad_(False), container.noise, normalisation, fast)
