"""Specs: plain data, checked when made, equal exactly when the networks are."""

from dataclasses import asdict

import pytest

from dreamlib.core.errors import BadValue, UnknownName
from dreamlib.networks import NetworkSpec, names
from dreamlib.networks.network import BODIES


def test_every_name_has_a_body() -> None:
    assert names() == tuple(BODIES)


@pytest.mark.parametrize("name", names())
def test_plain_values_make_the_same_spec_again(name: str) -> None:
    spec = NetworkSpec(name)
    assert NetworkSpec(**asdict(spec)) == spec
    assert hash(NetworkSpec(**asdict(spec))) == hash(spec)


@pytest.mark.parametrize(
    ("written", "plain"),
    [
        ("ResNet-18", "resnet18"),
        ("ResNet10_AP", "resnet10ap"),
        ("ResNetAP-10", "resnet10ap"),
        ("resnetap18", "resnet18ap"),
        ("VGG-11", "vgg11"),
        ("vgg", "vgg11"),
        ("DenseNet", "densenet121"),
        ("ConvNet", "convnet"),
    ],
)
def test_aliases(written: str, plain: str) -> None:
    assert NetworkSpec(written).name == plain
    assert NetworkSpec(written) == NetworkSpec(plain)


def test_what_the_name_settles_does_not_tell_specs_apart() -> None:
    assert NetworkSpec("resnet18", depth=7, pooling="max") == NetworkSpec("resnet18")
    assert NetworkSpec("vgg11", depth=2, pooling="avg") == NetworkSpec("vgg11", pooling="max")
    assert NetworkSpec("alexnet", norm="batch") == NetworkSpec("alexnet")
    assert NetworkSpec("densenet121", norm="group").norm == "batch"
    assert NetworkSpec("resnet18").depth == 18
    assert NetworkSpec("resnet18", norm="batch") != NetworkSpec("resnet18")
    assert NetworkSpec("convnet", depth=2) != NetworkSpec("convnet")
    assert NetworkSpec("resnet18", form="idc") != NetworkSpec("resnet18")
    assert NetworkSpec("convnet", form="idc") == NetworkSpec("convnet")
    assert NetworkSpec("densenet121", form="idc") == NetworkSpec("densenet121")


@pytest.mark.parametrize(
    ("field", "value", "hint"),
    [
        ("name", "resnet19", "resnet1"),
        ("norm", "instanc", "instance"),
        ("pooling", "average", ""),
        ("activation", "rely", "relu"),
        ("form", "ihc", "idc"),
    ],
)
def test_unknown_names(field: str, value: str, hint: str) -> None:
    with pytest.raises(UnknownName, match=value) as caught:
        NetworkSpec(**{field: value})
    assert hint in caught.value.hint
    assert "valid:" in caught.value.message


@pytest.mark.parametrize("field", ["depth", "width"])
@pytest.mark.parametrize("value", [0, -1, 2.5, True, "3"])
def test_sizes_are_whole_numbers_of_at_least_1(field: str, value: object) -> None:
    with pytest.raises(BadValue, match=f"{field}.*{value}"):
        NetworkSpec(**{field: value})
