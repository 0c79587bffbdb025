"""What every network offers: logits, features, chunks, gradients of both orders, and plain layers."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from dreamlib.core.errors import BadValue
from dreamlib.networks import Network, NetworkSpec, build, embed, names, parameter_count

torch.set_num_threads(1)
SHAPES = [(3, 32, 32), (1, 28, 28)]


def small(name: str, shape: tuple[int, int, int] = (3, 32, 32), **fields: Any) -> Network:
    return build(NetworkSpec(name, **{"width": 8, **fields}), shape, 5)


def images(count: int, shape: tuple[int, int, int] = (3, 32, 32)) -> Tensor:
    return torch.randn(count, *shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", names())
def test_the_classifier_reads_the_features(name: str, shape: tuple[int, int, int]) -> None:
    network, x = small(name, shape), images(3, shape)
    features = network.features(x)
    assert features.shape == (3, network.feature_size)
    assert features.dtype == torch.float32
    logits = network(x)
    assert logits.shape == (3, 5)
    torch.testing.assert_close(network.classifier(features), logits)
    assert features.std(0).max() > 0


@pytest.mark.parametrize("norm", ["instance", "batch", "layer", "group", "none"])
@pytest.mark.parametrize("name", ["convnet", "resnet10", "resnet10ap", "resnet50", "vgg11"])
def test_norms_have_first_and_second_gradients(name: str, norm: str) -> None:
    _check_gradients(small(name, norm=norm))


@pytest.mark.parametrize("activation", ["leakyrelu", "sigmoid", "swish"])
@pytest.mark.parametrize("name", ["convnet", "resnet10", "alexnet"])
def test_activations_have_first_and_second_gradients(name: str, activation: str) -> None:
    _check_gradients(small(name, activation=activation))


@pytest.mark.parametrize("pooling", ["max", "none"])
def test_poolings_have_first_and_second_gradients(pooling: str) -> None:
    _check_gradients(small("convnet", (1, 8, 8), pooling=pooling), (1, 8, 8))


@pytest.mark.parametrize("name", ["alexnet", "densenet121"])
def test_the_rest_has_first_and_second_gradients(name: str) -> None:
    _check_gradients(small(name))


def _check_gradients(network: Network, shape: tuple[int, int, int] = (3, 32, 32)) -> None:
    """Every weight learns, and what it learns depends on the images: gradient matching needs both."""
    x = images(4, shape).requires_grad_()
    loss = F.cross_entropy(network(x), torch.tensor([0, 1, 2, 3]))
    weights = [weight for weight in network.parameters() if weight.ndim > 1]
    gradients = torch.autograd.grad(loss, weights, create_graph=True)
    assert all(gradient.isfinite().all() and gradient.abs().max() > 0 for gradient in gradients)
    (second,) = torch.autograd.grad(torch.stack([g.square().sum() for g in gradients]).sum(), x)
    assert second.isfinite().all()
    assert second.abs().max() > 0


class Seen(TorchFunctionMode):
    """Notes the weights that reach conv2d and linear."""

    def __init__(self) -> None:
        super().__init__()
        self.weights: list[Tensor] = []

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        if func in (torch.conv2d, F.linear):
            self.weights.append(args[1])
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("name", names())
def test_all_weights_go_through_plain_layers_once(name: str) -> None:
    network = small(name)
    layers = [layer for layer in network.modules() if isinstance(layer, (nn.Conv2d, nn.Linear))]
    assert {type(layer) for layer in layers} == {nn.Conv2d, nn.Linear}
    assert all(layer.groups == 1 for layer in layers if isinstance(layer, nn.Conv2d))
    with Seen() as seen:
        network(images(2))
    assert sorted(map(id, seen.weights)) == sorted(id(layer.weight) for layer in layers)
    assert {id(w) for w in seen.weights} == {id(w) for w in network.parameters() if w.ndim > 1}


@pytest.mark.parametrize("name", names())
def test_nothing_works_in_place(name: str) -> None:
    network = small(name)
    assert not any(getattr(layer, "inplace", False) for layer in network.modules())
    x = images(2)
    network(x)
    assert torch.equal(x, images(2))


@pytest.mark.parametrize("norm", ["instance", "batch"])
@pytest.mark.parametrize("chunk", [1, 3, 7, 100])
def test_embed_in_chunks(norm: str, chunk: int) -> None:
    network = small("convnet", norm=norm)
    network.body[0].eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    modes = [layer.training for layer in network.modules()]
    x = images(7)
    result = embed(network, x, chunk)
    assert not result.requires_grad
    torch.testing.assert_close(result, embed(network, x))
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert modes == [layer.training for layer in network.modules()]
    if norm == "instance":
        torch.testing.assert_close(result, network.features(x).detach())


def test_embed_nothing() -> None:
    network = small("convnet")
    assert embed(network, images(0)).shape == (0, network.feature_size)


def test_embed_leaves_the_modes_after_an_error() -> None:
    network = small("convnet")
    with pytest.raises(RuntimeError):
        embed(network, images(2, (1, 32, 32)))
    assert all(layer.training for layer in network.modules())
    with pytest.raises(BadValue, match="chunk is 0"):
        embed(network, images(2), 0)


@pytest.mark.parametrize("shape", [(3, 32), (0, 32, 32), (3, 32, -1)])
def test_shapes_that_are_none(shape: tuple[int, ...]) -> None:
    with pytest.raises(BadValue, match="image shape"):
        build(NetworkSpec(), shape, 10)


@pytest.mark.parametrize("classes", [0, -1])
def test_no_classes(classes: int) -> None:
    with pytest.raises(BadValue, match=f"{classes} classes"):
        build(NetworkSpec(), (3, 32, 32), classes)


def test_state_survives_saving() -> None:
    network, other = small("resnet10", norm="batch"), small("resnet10", norm="batch")
    network(images(4))
    other.load_state_dict(network.state_dict())
    torch.testing.assert_close(other.eval()(images(2)), network.eval()(images(2)))


def test_running_statistics_are_not_learned() -> None:
    assert parameter_count(nn.BatchNorm2d(4)) == 8


def test_another_dtype() -> None:
    network = small("resnet10ap").double()
    assert network(images(2).double()).dtype == torch.float64
