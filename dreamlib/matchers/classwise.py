"""Weight gradients of every class in one pass.

Gradient matching compares, for each class, the gradient of the loss on that class's images. The plain way is one
forward and backward pass per class. Here all classes go through the network together: activations and output
gradients are those of one large batch, and only the last product, which sums over images, is kept apart by class.

Legend: G groups (classes), B images of a group.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.grad import conv2d_input, conv2d_weight
from torch.overrides import TorchFunctionMode

from ..errors import BadValue


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
        ctx.save_for_backward(x, w)
        ctx.groups, ctx.conv = copies.shape[0], {"stride": stride, "padding": padding, "dilation": dilation}
        return F.conv2d(x, w, bias, stride, padding, dilation)

    @staticmethod
    def backward(ctx: Any, *output_gradients: Tensor) -> tuple[Tensor | None, ...]:
        (go,) = output_gradients
        x, w = ctx.saved_tensors
        gx = conv2d_input(x.shape, w, go, **ctx.conv) if ctx.needs_input_grad[0] else None
        each = x.shape[0] // ctx.groups
        pairs = zip(x.split(each), go.split(each), strict=True)
        gw = torch.stack([conv2d_weight(a, w.shape, b, **ctx.conv) for a, b in pairs])
        return gx, None, gw, None, None, None, None


class GroupwiseWeights(TorchFunctionMode):
    """Inside this context, networks called on (G*B, ...) inputs keep the gradients of ``weights`` apart by group.

    Parameters
    ----------
    weights : sequence of Tensor
        Weights of convolutions (4 dimensions) and linear layers (2 dimensions), as the network holds them.
    groups : int
        G; the batch the network sees must be G groups of equal size, one after the other.

    Attributes
    ----------
    copies : list of Tensor
        (G, *weight.shape) for each weight: what to differentiate the loss by.
    """

    def __init__(self, weights: Sequence[Tensor], groups: int) -> None:
        super().__init__()
        self.groups = groups
        self.copies = [w.detach().expand(groups, *w.shape).requires_grad_() for w in weights]
        self._copy_of = {id(w): copy for w, copy in zip(weights, self.copies, strict=True)}

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
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
                f"a convolution with {groups} groups; gradient matching knows ordinary ones (groups=1)",
                "match features instead, or another network",
            )
        bias = None if bias is None else bias.detach()
        result: Tensor = _GroupwiseConv2d.apply(x, w.detach(), copy, bias, stride, padding, dilation)
        return result

    def _linear(self, copy: Tensor, x: Tensor, w: Tensor, bias: Tensor | None = None) -> Tensor:
        out = torch.bmm(x.reshape(self.groups, -1, x.shape[-1]), copy.transpose(1, 2))
        out = out if bias is None else out + bias.detach()
        return out.reshape(*x.shape[:-1], w.shape[0])
