"""Layers whose weights are divided by their largest singular value (Miyato et al. 2018)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

ALIGNED = 10  # rounds of the power iteration on fresh weights


class Spectral(nn.Module):
    """What the layers below share: a weight that is used over its spectral norm.

    The norm is that of the weight as a matrix (outputs, everything else), found by power iteration (Miyato et al.,
    Algorithm 1): ``u`` is the current left singular vector, and every call in training mode takes it one round further.
    Like the statistics of a batch norm it is a buffer that is saved, and stays as it is in evaluation mode.
    """

    weight: Tensor
    u: Tensor

    def watch(self) -> None:
        """Add the buffer; to be called once there is a weight."""
        # Any unit vector; ``align`` draws a random one as soon as there are weights to align it with.
        self.register_buffer("u", self.weight.new_ones(len(self.weight)) / len(self.weight) ** 0.5)

    @torch.no_grad()
    def align(self, generator: torch.Generator) -> None:
        """Draw a new ``u`` and align it with the weight by :data:`ALIGNED` rounds."""
        self.u.normal_(generator=generator)
        for _ in range(ALIGNED):
            self._turn()

    def normed(self) -> Tensor:
        """The weight over its spectral norm; differentiable in the weight, ``u`` being a constant."""
        if self.training:
            self._turn()
        # The norm of uW is what u, W and its right singular vector give, and has the same derivative.
        # A copy of u, since the next call turns u in place while this call's graph may still need it.
        return self.weight / (self.u.clone() @ self.weight.flatten(1)).norm()

    @torch.no_grad()
    def _turn(self) -> None:
        # One round of the power iteration: v = W'u / |W'u|, then u = Wv / |Wv|.
        matrix = self.weight.flatten(1)
        self.u.copy_(F.normalize(matrix @ F.normalize(self.u @ matrix, dim=0), dim=0))


class SpectralConv2d(Spectral, nn.Conv2d):
    """A convolution that keeps the size of its maps (odd ``kernel``), under spectral norm."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 3) -> None:
        nn.Conv2d.__init__(self, inputs, outputs, kernel, padding=kernel // 2)
        self.watch()

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.normed(), self.bias, padding=self.padding)


class SpectralLinear(Spectral, nn.Linear):
    """A linear layer under spectral norm."""

    def __init__(self, inputs: int, outputs: int, bias: bool = True) -> None:
        nn.Linear.__init__(self, inputs, outputs, bias)
        self.watch()

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.normed(), self.bias)
