"""Differentiable Siamese augmentation: one random transform, drawn once, for real and synthetic images."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..core.errors import BadValue, unknown
from . import operations

# Two released codes use the same operations differently; see ``family`` below.
FAMILIES = ("dsa", "idc")

# What one image may need, in the order of the columns of Transform.numbers.
NUMBERS = (
    "brightness",
    "saturation",
    "contrast",
    "crop_y",
    "crop_x",
    "cutout_y",
    "cutout_x",
    "flip",
    "scale_y",
    "scale_x",
    "rotate",
)


@dataclass(frozen=True)
class Siamese:
    """The operations of an augmentation and their strengths; :meth:`draw` makes a transform from it.

    The defaults are those of DSA (Zhao and Bilen, ICML 2021, released code); DC, DM, MTT, IDC and DREAM share
    them.

    Parameters
    ----------
    strategy : str
        Operations joined by "_", out of :func:`names`. "none" or "" changes nothing.
    family : str
        "dsa": one of the listed operations is drawn per group and call (released code of DC, DSA, DM, MTT).
        "idc": flip and colour if listed, then one drawn of the listed crop, scale and rotate, then cutout if
        listed (released code of IDC and DREAM).
    brightness : float
        Width of the interval, centred at 0, of what is added to the pixels. At least 0.
    saturation : float
        Largest factor of a pixel's distance from its grey value. At least 0.
    contrast : float
        Least factor of a pixel's distance from the image's mean; the largest is 1 more. At least 0.
    crop_pad : float
        Largest move, as a fraction of each side, in [0, 1].
    cutout : float
        Side of the box, as a fraction of each side, in [0, 1].
    scale : float
        Largest scale factor, and the inverse of the least. At least 1.
    rotate : float
        Largest angle in degrees, in [0, 180].
    flip : float
        Probability of mirroring, in [0, 1].

    Raises
    ------
    UnknownName
        For an operation or a family that does not exist.
    BadValue
        For an operation listed twice or a number outside its range.
    """

    strategy: str = "color_crop_cutout_flip_scale_rotate"
    family: str = "dsa"
    brightness: float = 1.0
    saturation: float = 2.0
    contrast: float = 0.5
    crop_pad: float = 0.125
    cutout: float = 0.5
    scale: float = 1.2
    rotate: float = 15.0
    flip: float = 0.5

    def __post_init__(self) -> None:
        _listed(self.strategy)
        if self.family not in FAMILIES:
            raise unknown("augmentation family", self.family, FAMILIES)
        for name, (least, most) in _RANGES.items():
            value = getattr(self, name)
            if not (least <= value <= most and math.isfinite(value)):
                expected = (
                    f"in [{least:g}, {most:g}]" if most < math.inf else f"finite and at least {least:g}"
                )
                raise BadValue(
                    f"augmentation {name} is {value!r}, expected a number {expected}",
                    f"Siamese({name}={getattr(Siamese, name)})",
                )

    @property
    def stages(self) -> tuple[tuple[str, ...], ...]:
        """The operations in their order; in a stage with several, each group draws one."""
        listed = _listed(self.strategy)
        if self.family == "dsa":
            return (listed,) if listed else ()
        # IDC: flip and colour always, then one of these, then cutout always.
        drawn = tuple(name for name in listed if name in ("crop", "scale", "rotate"))
        stages = ("flip",), ("color",), drawn, ("cutout",)
        return tuple(stage for stage in stages if stage and set(stage) <= set(listed))

    def draw(self, groups: int, generator: torch.Generator, *, per_image: int | None = None) -> Transform:
        """Draw all randomness of one call.

        Which operation a group gets is drawn on the host, so that each kind runs once, over the groups that
        drew it: reading it from an accelerator would wait for everything that is queued there.

        Parameters
        ----------
        groups : int
            Number G of groups (classes, or networks in evaluation), at least 1.
        generator : torch.Generator
            Source of randomness; how far it is advanced never depends on what it draws.
        per_image : int, optional
            None: all images of a group share one set of numbers, as in matching. B: each of the B images of a
            group has its own, as in training on augmented images. The operation is one per group either way.

        Returns
        -------
        Transform
            To be called on images (G, B, c, h, w).

        Raises
        ------
        BadValue
            If ``groups`` or ``per_image`` is below 1.
        """
        for name, count in (("groups", groups), ("per_image", 1 if per_image is None else per_image)):
            if count < 1:
                raise BadValue(f"{name} is {count}, expected at least 1", f"draw(..., {name}=1)")
        device, stages = generator.device, self.stages
        # On the host: which operation a group gets decides which code runs (see above).
        drawn = torch.rand(len(stages), groups, generator=_on_host(generator))
        kinds = tuple(
            tuple(stage[int(pick * len(stage))] for pick in row)
            for stage, row in zip(stages, drawn.tolist(), strict=True)
        )
        # All eleven numbers whatever was drawn, so that a stream always advances by the same amount.
        numbers = torch.rand(groups, per_image or 1, len(NUMBERS), generator=generator, device=device)
        return Transform(self, kinds, numbers, per_image)

    def apply(self, images: Tensor, numbers: Tensor, choice: Tensor) -> Tensor:
        """The transform as a function of tensors alone, those of :meth:`Transform.tensors`.

        Every group goes through every operation and keeps the one it drew: more work, but the same at every call,
        whatever is drawn, so that it can be compiled and recorded.

        Parameters
        ----------
        images : Tensor
            (G, B, c, h, w), as :class:`Transform` takes them.
        numbers : Tensor
            float32 (G, P, 11) on the device of ``images``; P is 1 or B.
        choice : Tensor
            int64 (G, S) there: which operation of each of the S ``stages`` a group drew.
        """
        for place, stage in enumerate(self.stages):
            # (G, 1, 1, 1, 1): which operation each group keeps.
            drawn, before = choice[:, place].view(-1, 1, 1, 1, 1), images
            images = _OPERATIONS[stage[0]](before, numbers, self)
            for number, name in enumerate(stage[1:], 1):
                images = torch.where(drawn == number, _OPERATIONS[name](before, numbers, self), images)
        return images


@dataclass(frozen=True, eq=False)
class Transform:
    """A drawn augmentation: calling it is a pure function, differentiable in the images to any order.

    Made by :meth:`Siamese.draw`. It holds fractions and not pixels, so the same transform fits batches of any
    size (unless drawn per image) and images of any height and width.

    Parameters
    ----------
    recipe : Siamese
        What it was drawn from.
    kinds : tuple of tuple of str
        Per stage of ``recipe.stages``, the operation each of the G groups drew.
    numbers : Tensor
        float32 (G, P, 11), uniform in [0, 1); P is 1 or ``per_image``.
    per_image : int or None
        As given to :meth:`Siamese.draw`.
    """

    recipe: Siamese
    kinds: tuple[tuple[str, ...], ...]
    numbers: Tensor
    per_image: int | None = None

    def __call__(self, images: Tensor) -> Tensor:
        """Augment a batch.

        Parameters
        ----------
        images : Tensor
            Floating point (G, B, c, h, w), normalised: the zeros that crop, cutout, scale and rotate bring in
            are zeros of this space (the mean colour), as in the released codes. Any device; the numbers
            follow.

        Returns
        -------
        Tensor
            Of the shape, dtype and device of ``images``; ``images`` itself if there is nothing to do.

        Raises
        ------
        BadValue
            If the images are not floating point, not 5-dimensional, not of G groups, or, with ``per_image``,
            not that many in a group.
        """
        self._check(images)
        numbers = self.numbers.to(images.device)
        for kinds in self.kinds:
            images = self._stage(images, numbers, kinds)
        return images

    def tensors(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """Numbers and choice for :meth:`Siamese.apply`, on ``device``; the rows of both are the groups."""
        stages = self.recipe.stages
        rows = [stage.index(kind) for stage, kinds in zip(stages, self.kinds, strict=True) for kind in kinds]
        choice = _sent(rows, device).view(len(stages), len(self.numbers)).t()
        return self.numbers.to(device), choice

    def select(self, groups: Tensor | slice) -> Transform:
        """The same transform for some of the groups: ``t.select(s)(images[s])`` equals ``t(images)[s]``.

        Parameters
        ----------
        groups : Tensor or slice
            int64 positions or a bool mask over the G groups, or a slice. A tensor on an accelerator costs one
            synchronisation.

        Raises
        ------
        BadValue
            If a position lies outside the G groups, or nothing is selected.
        """
        count = len(self.numbers)
        # On the host, where a position out of range is an error and not a device-side assertion.
        index = groups.cpu() if isinstance(groups, Tensor) else groups
        try:
            positions = torch.arange(count)[index].reshape(-1)
        except IndexError as error:
            raise BadValue(f"select({index}) reaches outside the {count} groups of this transform") from error
        chosen = positions.tolist()
        if not chosen:
            raise BadValue(f"select({index}) takes none of the {count} groups of this transform")
        kinds = tuple(tuple(stage[group] for group in chosen) for stage in self.kinds)
        return replace(self, kinds=kinds, numbers=self.numbers[_sent(chosen, self.numbers.device)])

    def _stage(self, images: Tensor, numbers: Tensor, kinds: tuple[str, ...]) -> Tensor:
        # Each operation runs once, over the groups that drew it; afterwards the groups return to their order.
        members: dict[str, list[int]] = {}
        for group, kind in enumerate(kinds):
            members.setdefault(kind, []).append(group)
        # The usual case with one network or one operation per stage: no copies.
        if len(members) == 1:
            return _OPERATIONS[kinds[0]](images, numbers, self.recipe)
        pieces = []
        for kind, groups in members.items():
            index = _sent(groups, images.device)
            piece = images.index_select(0, index), numbers.index_select(0, index)
            pieces.append(_OPERATIONS[kind](*piece, self.recipe))
        order = [group for groups in members.values() for group in groups]
        back = _sent(sorted(range(len(order)), key=order.__getitem__), images.device)
        return torch.cat(pieces).index_select(0, back)

    def _check(self, images: Tensor) -> None:
        if not images.is_floating_point():
            raise BadValue(
                f"augmentation got {images.dtype} images, expected normalised floats",
                "normalise the images first: (images / 255 - mean) / std",
            )
        if images.dim() != 5:
            raise BadValue(
                f"augmentation got images of shape {tuple(images.shape)}, expected (groups, batch, c, h, w)",
                "images[None] for a single group",
            )
        groups, batch = images.shape[:2]
        if groups != len(self.numbers):
            raise BadValue(
                f"a transform drawn for {len(self.numbers)} groups got images of {groups}",
                "transform.select(groups)(images) for some of the groups",
            )
        if self.per_image is not None and batch != self.per_image:
            raise BadValue(
                f"a transform drawn for {self.per_image} images in a group got {batch}",
                f"draw(..., per_image={batch}), or per_image=None to share one transform in a group",
            )


def names() -> tuple[str, ...]:
    """The operations a strategy may list."""
    return tuple(_OPERATIONS)


def _listed(strategy: str) -> tuple[str, ...]:
    listed = () if strategy in ("", "none") else tuple(strategy.split("_"))
    for name in listed:
        if name not in _OPERATIONS:
            raise unknown("augmentation", name, _OPERATIONS, extra=", joined by '_', or 'none' alone")
    if len(set(listed)) < len(listed):
        raise BadValue(
            f"augmentation strategy {strategy!r} lists an operation twice",
            "_".join(dict.fromkeys(listed)),
        )
    return listed


def _on_host(generator: torch.Generator) -> torch.Generator:
    """A generator whose numbers are at hand: a CPU's itself; for an accelerator's, one that follows from its state."""
    if generator.device.type == "cpu":
        return generator
    state = generator.get_state().numpy().tobytes()  # kept on the host, whatever the device
    seed = int.from_bytes(hashlib.sha256(state).digest()[:8], "little") % (1 << 63)
    return torch.Generator().manual_seed(seed)


def _sent(positions: list[int], device: torch.device) -> Tensor:
    """Positions on the device, without waiting for it."""
    return torch.tensor(positions, dtype=torch.int64).to(device, non_blocking=True)


def _column(numbers: Tensor, name: str) -> Tensor:
    return numbers[..., NUMBERS.index(name)]


def _color(images: Tensor, numbers: Tensor, recipe: Siamese) -> Tensor:
    # "color" is all three, in the order of the released code.
    images = operations.brightness(images, _column(numbers, "brightness"), recipe.brightness)
    images = operations.saturation(images, _column(numbers, "saturation"), recipe.saturation)
    return operations.contrast(images, _column(numbers, "contrast"), recipe.contrast)


def _crop(images: Tensor, numbers: Tensor, recipe: Siamese) -> Tensor:
    return operations.crop(images, _column(numbers, "crop_y"), _column(numbers, "crop_x"), recipe.crop_pad)


def _cutout(images: Tensor, numbers: Tensor, recipe: Siamese) -> Tensor:
    return operations.cutout(
        images, _column(numbers, "cutout_y"), _column(numbers, "cutout_x"), recipe.cutout
    )


def _flip(images: Tensor, numbers: Tensor, recipe: Siamese) -> Tensor:
    return operations.flip(images, _column(numbers, "flip"), recipe.flip)


def _scale(images: Tensor, numbers: Tensor, recipe: Siamese) -> Tensor:
    return operations.scale(images, _column(numbers, "scale_y"), _column(numbers, "scale_x"), recipe.scale)


def _rotate(images: Tensor, numbers: Tensor, recipe: Siamese) -> Tensor:
    return operations.rotate(images, _column(numbers, "rotate"), recipe.rotate)


_OPERATIONS: dict[str, Callable[[Tensor, Tensor, Siamese], Tensor]] = {
    "color": _color,
    "crop": _crop,
    "cutout": _cutout,
    "flip": _flip,
    "scale": _scale,
    "rotate": _rotate,
}

_RANGES = {
    "brightness": (0.0, math.inf),
    "saturation": (0.0, math.inf),
    "contrast": (0.0, math.inf),
    "crop_pad": (0.0, 1.0),
    "cutout": (0.0, 1.0),
    "scale": (1.0, math.inf),
    "rotate": (0.0, 180.0),
    "flip": (0.0, 1.0),
}
