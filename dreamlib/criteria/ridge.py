"""Kernel ridge regression: a synthetic set is as good as what is predicted from it in closed form (KIP, RFAD, FRePo).

From the kernel K (n, n) of synthetic images with themselves, their labels Y (n, C) and the kernel Kt (t, n) of real
images with them, the predictions (t, C) are ``Kt (K + r I)^-1 Y``. Kernels may be of any number format. All is solved
in float64, whose digits a regularisation of 1e-6 needs.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, one_hot

from ..core.errors import BadValue, Singular

REGULARISATION = 1e-6  # of the kernel's mean diagonal (KIP and FRePo, released code; RFAD's is 5e-3)


def solve(kernel: Tensor, labels: Tensor, regularisation: float = REGULARISATION) -> Tensor:
    """Coefficients (n, C), float64, of the n images that predictions are made from: ``(K + r I)^-1 Y``.

    Parameters
    ----------
    kernel : Tensor
        (n, n), of the images with themselves.
    labels : Tensor
        (n, C) floats, any real numbers.
    regularisation : float
        At least 0: r in units of the mean diagonal of the kernel, so that the scale of images or features changes
        nothing (KIP, RFAD and FRePo, released code).

    Raises
    ------
    BadValue
        If the shapes do not fit each other, or the regularisation is below 0.
    Singular
        If the kernel holds a NaN or an infinity, or is not positive definite once regularised.
    """
    n = len(kernel)
    if kernel.shape != (n, n) or labels.dim() != 2 or len(labels) != n:
        raise BadValue(
            f"kernel {tuple(kernel.shape)} and labels {tuple(labels.shape)} do not fit; expected (n, n) and (n, C)"
        )
    if not 0 <= regularisation < math.inf:
        raise BadValue(
            f"regularisation {regularisation}; expected at least 0", f"regularisation={REGULARISATION}"
        )
    # r is relative to the mean diagonal, so a larger kernel of the same images gives the same predictions.
    kernel = kernel.double()
    added = regularisation * kernel.diagonal().mean()
    whole = kernel + added * torch.eye(n, dtype=kernel.dtype, device=kernel.device)
    # Cholesky: the kernel is symmetric and, with r, positive definite. ``_ex`` reports a failure without a host
    # exception.
    factor, failed = torch.linalg.cholesky_ex(whole)
    if failed:
        raise _singular(kernel.detach(), float(added.detach()), regularisation)
    return torch.cholesky_solve(labels.double(), factor)


def _singular(kernel: Tensor, added: float, regularisation: float) -> Singular:
    bad = int((~kernel.isfinite()).sum())
    if bad:
        return Singular(
            f"{bad} of the {kernel.numel()} entries of a kernel of {len(kernel)} images are NaN or infinite",
            "a smaller learning rate of the images",
        )
    # Only in the error: what the eigenvalues are says what to change.
    smallest = float(torch.linalg.eigvalsh(kernel)[0])
    return Singular(
        f"a kernel of {len(kernel)} images cannot be inverted: its smallest eigenvalue is {smallest:.3g}, "
        f"and the regularisation ({regularisation:g} of the mean diagonal, {added:.3g}) does not lift it above 0; "
        "are two images the same, or was it computed in float32?",
        f"a kernel of images in float64, or regularisation={max(10 * regularisation, REGULARISATION):g}",
    )


def predict(cross: Tensor, kernel: Tensor, labels: Tensor, regularisation: float = REGULARISATION) -> Tensor:
    """Predictions (t, C), float64, for the t images of the kernel ``cross`` (t, n); see :func:`solve` for the rest."""
    if cross.dim() != 2 or cross.shape[1] != len(kernel):
        raise BadValue(
            f"kernels {tuple(cross.shape)} and {tuple(kernel.shape)} do not fit; expected (t, n) and (n, n)"
        )
    # Of the real images only their kernel with the set is needed: no coefficient belongs to them.
    return cross.double() @ solve(kernel, labels, regularisation)


def solved_labels(
    cross: Tensor, kernel: Tensor, targets: Tensor, regularisation: float = REGULARISATION
) -> Tensor:
    """The labels (n, C), float64, that predict ``targets`` (t, C) best: Label Solve (Nguyen et al. 2021).

    ``[Kt (K + r I)^-1]^+ Yt`` with the pseudo-inverse: of all best labels, the smallest.
    """
    # Kt (K + r I)^-1 (t, n): what each label contributes to each prediction.
    reach = solve(kernel, cross.double().T, regularisation).T
    # Q has orthonormal columns, so that the pseudo-inverse of QR is that of R, which is small, times Q's transpose.
    q, r = torch.linalg.qr(reach)
    return torch.linalg.pinv(r) @ (q.T @ targets.double())


def row_losses(losses: Tensor, weights: Tensor | None = None) -> Tensor:
    """The mean of one loss a row (t,), or the weighted mean.

    A real batch that holds one image of every cluster stands for the data if each row counts by the share of its
    cluster; unweighted (DREAM), it stands for the clusters. ``weights`` (t,) are at least 0, in any unit.
    """
    return losses.mean() if weights is None else _shares(weights, len(losses)) @ losses


def _shares(weights: Tensor, rows: int) -> Tensor:
    """Weights (t,) as float64 of sum 1."""
    weights = weights.double()
    total = weights.sum()
    if weights.shape != (rows,) or not bool((weights >= 0).all()) or not 0 < float(total) < math.inf:
        raise BadValue(
            f"weights {tuple(weights.shape)} of {rows} rows, from {float(weights.min()):g} to "
            f"{float(weights.max()):g}; expected ({rows},), none below 0 and one above",
            "weights=sizes, the numbers of images in the clusters",
        )
    return weights / total


def frepo_loss(predictions: Tensor, targets: Tensor, weights: Tensor | None = None) -> Tensor:
    """Half the squared error, summed over classes and averaged over rows (FRePo, released code)."""
    return row_losses((predictions - targets).square().sum(1) / 2, weights)


def kip_loss(predictions: Tensor, targets: Tensor, weights: Tensor | None = None) -> Tensor:
    """Half the squared error, averaged over classes and rows (KIP: Nguyen et al. 2021; released code)."""
    return frepo_loss(predictions, targets, weights) / targets.shape[1]


def platt_loss(
    predictions: Tensor, classes: Tensor, log_scale: Tensor, weights: Tensor | None = None
) -> Tensor:
    """Cross-entropy of ``exp(log_scale) * predictions`` with classes (t,); the scale is learned (RFAD)."""
    return row_losses(cross_entropy(log_scale.exp() * predictions, classes, reduction="none"), weights)


def centred(classes: Tensor, num_classes: int) -> Tensor:
    """Targets (n, C) of classes (n,): one-hot minus 1/C, so that every row adds up to 0 (KIP, RFAD, FRePo)."""
    return one_hot(classes, num_classes).to(torch.get_default_dtype()) - 1 / num_classes


def margin_loss(labels: Tensor) -> Tensor:
    """FRePo's term for learned labels (n, C): minus how far the largest is above the second, at most 1/C, on average.

    It keeps a label from losing its class, and stops to push at a distance of 1/C (released code).

    Raises
    ------
    BadValue
        For labels of fewer than two classes.
    """
    if labels.dim() != 2 or labels.shape[1] < 2:
        raise BadValue(f"labels {tuple(labels.shape)}; expected (n, C) with at least two classes")
    # The margin between the two largest numbers of a label (FRePo, released code).
    first, second = labels.topk(2, dim=1).values.unbind(1)
    # Negative, since it is added to a loss: minimising it makes the margin wider, up to 1 / C.
    return -(first - second).clamp(max=1 / labels.shape[1]).mean()


def with_mirrored(images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Images (n, c, h, w) followed by their mirror images, and their labels (n, ...) twice (FRePo's ``use_flip``).

    A ridge regression on both is one on twice as many images; the gradient reaches an image from either side.
    """
    return torch.cat([images, images.flip(-1)]), torch.cat([labels, labels])
