"""Weight gradients of every class in one pass.

Gradient matching compares, for each class, the gradient of the loss on that class's images (DC Eq. 9). The simple way
is one forward and backward pass per class. Here all classes go through the network together. Activations and output
gradients are those of one large batch. Only the last product, which sums over images, is kept separate by class.

Legend: G groups (classes), B images of a group.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.grad import conv2d_weight
from torch.nn.modules.utils import _pair
from torch.overrides import TorchFunctionMode

from ..core.errors import BadValue


class _GroupwiseConv2d(torch.autograd.Function):
    """conv2d(x, w) whose weight gradient comes out once per group.

    ``copies`` (G, o, i, kh, kw) stands for w seen by each group: its values are never read, its gradient is the
    group's. Both products of the backward pass are differentiable operations themselves, which is what gives the
    second derivative that gradient matching needs.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        w: Tensor,
        copies: Tensor,
        bias: Tensor | None,
        stride: Any,
        padding: Any,
        dilation: Any,
    ) -> Tensor:
        # ``copies`` is not saved: only its shape matters, so G copies of the weights take no memory here.
        ctx.save_for_backward(x, w)
        ctx.groups, ctx.conv = copies.shape[0], {"stride": stride, "padding": padding, "dilation": dilation}
        return F.conv2d(x, w, bias, stride, padding, dilation)

    @staticmethod
    def backward(ctx: Any, *output_gradients: Tensor) -> tuple[Tensor | None, ...]:
        # go is dL/d(output), (G*B, o, h', w'). The gradient by the images is that of an ordinary convolution.
        (go,) = output_gradients
        x, w = ctx.saved_tensors
        gx = _input_gradient(x, w, go, ctx.conv) if ctx.needs_input_grad[0] else None
        if _can_unfold(x, w, ctx.conv):
            return gx, None, _unfolded_weight_gradient(x, w, go, ctx.groups, ctx.conv), None, None, None, None
        # One product per group: dL/dw of group g sums over the images of g alone.
        each = x.shape[0] // ctx.groups
        pairs = zip(x.split(each), go.split(each), strict=True)
        gw = torch.stack([conv2d_weight(a, w.shape, b, **ctx.conv) for a, b in pairs])
        return gx, None, gw, None, None, None, None


def _input_gradient(x: Tensor, w: Tensor, go: Tensor, conv: dict[str, Any]) -> Tensor:
    """As ``torch.nn.grad.conv2d_input``, which allocates a placeholder for ``x`` that a trace would keep."""
    # [input, weight, bias]: only the gradient by the input is computed.
    how = [_pair(conv[name]) for name in ("stride", "padding", "dilation")]
    wanted = [True, False, False]
    found: tuple[Tensor, ...] = torch.ops.aten.convolution_backward(
        go, x, w, None, *how, False, [0, 0], 1, wanted
    )
    return found[0]


# Synthetic sets have few images of many classes. One product per class would be many short kernels on a GPU. There the
# patches under a convolution are unfolded into a matrix, and one batched product serves all groups. A matrix of patches
# takes kh*kw times the memory of the images, hence a bound, in numbers (2**25 in float32 are 128 MiB).
UNFOLDED_ON = ("cuda",)
MOST_UNFOLDED = 2**25


def _can_unfold(x: Tensor, w: Tensor, conv: dict[str, Any]) -> bool:
    dense = all(step == 1 for name in ("stride", "dilation") for step in _pair(conv[name]))
    return x.device.type in UNFOLDED_ON and dense and x.numel() * w.shape[2] * w.shape[3] <= MOST_UNFOLDED


def _unfolded_weight_gradient(x: Tensor, w: Tensor, go: Tensor, groups: int, conv: dict[str, Any]) -> Tensor:
    """Weight gradients (G, o, i, kh, kw) from inputs (G*B, i, h, w) and output gradients (G*B, o, h', w')."""
    patches: Tensor = _Unfold.apply(x, tuple(w.shape[2:]), tuple(_pair(conv["padding"])))
    # (G, B*h'*w', o) and (G, B*h'*w', kh*kw*i): the sum over images and places is the inner dimension of the product.
    outputs = go.permute(0, 2, 3, 1).reshape(groups, -1, w.shape[0])
    product = torch.bmm(outputs.transpose(1, 2), patches.reshape(groups, outputs.shape[1], -1))
    # (G, o, kh*kw*i) back to the order of a weight.
    return product.view(groups, w.shape[0], *w.shape[2:], w.shape[1]).permute(0, 1, 4, 2, 3)


class _Unfold(torch.autograd.Function):
    """The patches of padded maps that a kernel (kh, kw) meets: (N, c, h, w) to (N, h', w', kh, kw, c) (im2col)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, kernel: tuple[int, int], padding: tuple[int, int]) -> Tensor:
        ctx.geometry = kernel, padding
        (kh, kw), (pad_h, pad_w) = kernel, padding
        padded = F.pad(x.permute(0, 2, 3, 1), (0, 0, pad_w, pad_w, pad_h, pad_h))
        return padded.unfold(1, kh, 1).unfold(2, kw, 1).permute(0, 1, 2, 4, 5, 3).contiguous()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        return _Fold.apply(gradients[0], *ctx.geometry), None, None


class _Fold(torch.autograd.Function):
    """The derivative of :class:`_Unfold` (col2im). It is linear, so its own derivative is :class:`_Unfold`."""

    @staticmethod
    def forward(ctx: Any, patches: Tensor, kernel: tuple[int, int], padding: tuple[int, int]) -> Tensor:
        ctx.geometry = kernel, padding
        (kh, kw), (pad_h, pad_w) = kernel, padding
        # One shifted map for each place of the kernel, added in a fixed order. PyTorch's own fold adds in any order on
        # a GPU, which would change the last bits from run to run.
        shifted = (
            F.pad(patches[:, :, :, i, j], (0, 0, j, kw - 1 - j, i, kh - 1 - i))
            for i in range(kh)
            for j in range(kw)
        )
        total = reduce(torch.add, shifted)
        inside = total[:, pad_h : total.shape[1] - pad_h, pad_w : total.shape[2] - pad_w]
        return inside.permute(0, 3, 1, 2)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        return _Unfold.apply(gradients[0], *ctx.geometry), None, None


class GroupwiseWeights(TorchFunctionMode):
    """Inside this context, networks called on (G*B, ...) inputs give the gradients of ``weights`` group by group.

    Parameters
    ----------
    weights : sequence of Tensor
        Weights of convolutions (4 dimensions) and linear layers (2 dimensions), as the network holds them.
    groups : int
        G; the batch the network sees must be G groups of equal size, one after the other.

    Attributes
    ----------
    copies : list of Tensor
        ``(G, *weight.shape)`` for each weight: what to differentiate the loss by.
    """

    def __init__(self, weights: Sequence[Tensor], groups: int) -> None:
        super().__init__()
        self.groups = groups
        # expand: G views of one weight, without G times its memory. Detached: they are leaves of their own graph.
        self.copies = [w.detach().expand(groups, *w.shape).requires_grad_() for w in weights]
        # By identity, not by value: the calls below show which weight a layer uses only as the tensor itself.
        self._copy_of = {id(w): copy for w, copy in zip(weights, self.copies, strict=True)}

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        # PyTorch passes the weight as the second argument of both functions.
        copy = self._copy_of.get(id(args[1])) if len(args) > 1 else None
        if copy is not None and func is torch.conv2d:
            return self._conv2d(copy, *args, **kwargs)
        if copy is not None and func is F.linear:
            return self._linear(copy, *args, **kwargs)
        return func(*args, **kwargs)

    def _conv2d(
        self,
        copy: Tensor,
        x: Tensor,
        w: Tensor,
        bias: Tensor | None = None,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
    ) -> Tensor:
        if groups != 1:
            raise BadValue(
                f"a convolution with {groups} groups; gradient matching takes ordinary ones only (groups=1)",
                "match features instead, or another network",
            )
        # Biases are constants here: published methods match only weights with more than one dimension (DC, released
        # code).
        bias = None if bias is None else bias.detach()
        result: Tensor = _GroupwiseConv2d.apply(x, w.detach(), copy, bias, stride, padding, dilation)
        return result

    def _linear(self, copy: Tensor, x: Tensor, w: Tensor, bias: Tensor | None = None) -> Tensor:
        # A batched product with G copies: autograd then returns one gradient per copy.
        out = torch.bmm(x.reshape(self.groups, -1, x.shape[-1]), copy.transpose(1, 2))
        out = out if bias is None else out + bias.detach()
        return out.reshape(*x.shape[:-1], w.shape[0])
