"""Kernel ridge regression: the fixtures of an independent library, closed forms, finite differences and errors."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from test_kernels import noise, wave
from tiny import generator
from torch import Tensor

from dreamlib.core.errors import BadValue, Diverged, Singular
from dreamlib.criteria.kernels import Convolutional, Features, FullyConnected
from dreamlib.criteria.ridge import (
    centred,
    frepo_loss,
    kip_loss,
    platt_loss,
    predict,
    row_losses,
    solve,
    solved_labels,
)


def numbers(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=generator(seed), dtype=torch.float64)


def fixture(kind: str) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Kernel of targets and support, of the support, and the labels of both: support classes 0, 1, 2, targets 0, 1."""
    kernel, x, y = Convolutional(kind, 1), wave(0, 2), wave(0.5, 3)
    labels = torch.eye(3, dtype=torch.float64) - 1 / 3
    return kernel(x, y), kernel(y, y), labels, labels[:2]


def test_predictions_and_losses_have_the_digits_of_an_independent_library() -> None:
    cross, kernel, labels, targets = fixture("ntk")
    found = predict(cross, kernel, labels)
    expected = [[0.979915508, -0.853013918, -0.126901590], [0.133555903, 0.304040832, -0.437596735]]
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64), rtol=0, atol=1e-9)
    assert float(kip_loss(found, targets)) == pytest.approx(0.06426339370705, abs=1e-12)
    assert float(frepo_loss(found, targets)) == pytest.approx(0.19279018112115, abs=1e-12)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("ntk", (0.62026892294566, 0.31066039451082)), ("nngp", (0.56612084410038, 0.25095126997464))],
)
def test_the_platt_loss_too(kind: str, expected: tuple[float, float]) -> None:
    cross, kernel, labels, targets = fixture(kind)
    found = predict(cross, kernel, labels)
    for log_scale, loss in zip((0.0, 1.0), expected, strict=True):
        value = platt_loss(found, torch.tensor([0, 1]), torch.tensor(log_scale, dtype=torch.float64))
        assert float(value) == pytest.approx(loss, abs=5e-11)
    if kind == "nngp":
        assert float(kip_loss(found, targets)) == pytest.approx(0.11001604947749, abs=1e-12)


def test_features_whose_products_are_a_kernel_predict_what_it_does() -> None:
    """FRePo's regression on features: the rows of a Cholesky factor multiply to the kernel."""
    x, y = wave(0, 2), wave(0.5, 3)
    both = torch.cat([x, y])
    features = torch.linalg.cholesky(Convolutional("ntk", 1)(both, both))
    cross, kernel, labels, _ = fixture("ntk")
    found = predict(Features()(features[:2], features[2:]), Features()(features[2:], features[2:]), labels)
    torch.testing.assert_close(found, predict(cross, kernel, labels), rtol=1e-9, atol=1e-9)


def test_the_scale_of_a_kernel_changes_nothing() -> None:
    cross, kernel, labels, _ = fixture("ntk")
    for scale in (1e-6, 1e6):
        found = predict(scale * cross, scale * kernel, labels, 1e-3)
        torch.testing.assert_close(found, predict(cross, kernel, labels, 1e-3), rtol=1e-9, atol=0)


def test_regularisation_is_added_in_units_of_the_mean_diagonal() -> None:
    _, kernel, labels, _ = fixture("ntk")
    added = 0.01 * float(kernel.trace()) / 3
    expected = torch.linalg.solve(kernel + added * torch.eye(3), labels)
    torch.testing.assert_close(solve(kernel, labels, 0.01), expected)


def test_float32_kernels_are_solved_in_float64() -> None:
    cross, kernel, labels, _ = fixture("ntk")
    assert predict(cross.float(), kernel.float(), labels.float()).dtype == torch.float64
    assert solve(kernel.float(), labels).equal(solve(kernel.float().double(), labels))


def test_gradients_are_finite_differences() -> None:
    """KIP's objective in images and labels, the regularisation's trace included; FRePo's and RFAD's in features."""
    x, targets = noise(5, 4), numbers(5, 3, seed=4)
    kernel = FullyConnected()

    def kip(s: Tensor, labels: Tensor) -> Tensor:
        return kip_loss(predict(kernel(x, s), kernel(s, s), labels, 0.1), targets)

    assert torch.autograd.gradcheck(
        kip, (noise(4, 4, seed=1).requires_grad_(), numbers(4, 3).requires_grad_())
    )

    def rfad(features: Tensor, labels: Tensor, log_scale: Tensor) -> Tensor:
        made = Features(math.sqrt(2), 0.1)
        found = predict(made(numbers(5, 6, seed=2), features), made(features, features), labels, 5e-3)
        return platt_loss(found, torch.tensor([0, 1, 2, 0, 1]), log_scale, torch.tensor([1.0, 2, 3, 4, 5]))

    given = (numbers(4, 6, seed=3), numbers(4, 3), torch.tensor(0.3, dtype=torch.float64))
    assert torch.autograd.gradcheck(rfad, tuple(each.requires_grad_() for each in given))


def test_solved_labels_are_where_the_loss_has_no_slope() -> None:
    """Label Solve: no labels predict the targets better."""
    x, s = noise(40), noise(6, seed=1)
    kernel, targets = FullyConnected(), numbers(40, 3, seed=2)
    cross, own = kernel(x, s), kernel(s, s)
    labels = solved_labels(cross, own, targets, 1e-3).requires_grad_()
    loss = kip_loss(predict(cross, own, labels, 1e-3), targets)
    (slope,) = torch.autograd.grad(loss, labels)
    assert float(slope.abs().max()) < 1e-10
    other = kip_loss(predict(cross, own, labels + 0.01, 1e-3), targets)
    assert float(other.detach()) > float(loss.detach())


def test_solved_labels_are_the_smallest_of_all_best_ones() -> None:
    """With fewer targets than labels, the pseudo-inverse reaches them with the least norm."""
    cross, own, targets = numbers(3, 5), torch.eye(5, dtype=torch.float64), numbers(3, 2, seed=1)
    labels = solved_labels(cross, own, targets, 0.0)
    torch.testing.assert_close(cross @ labels, targets)
    torch.testing.assert_close(labels, torch.linalg.pinv(cross) @ targets)


def test_weights_count_rows_as_often_as_they_say() -> None:
    found, targets = numbers(3, 4), numbers(3, 4, seed=1)
    repeats = torch.tensor([1, 3, 2])
    often = [each.repeat_interleave(repeats, 0) for each in (found, targets)]
    for loss in (kip_loss, frepo_loss):
        for unit in (1.0, 0.01):
            torch.testing.assert_close(loss(found, targets, unit * repeats), loss(*often))
        torch.testing.assert_close(loss(found, targets, torch.ones(3)), loss(found, targets))


def test_losses_are_half_the_squares() -> None:
    found, targets = numbers(3, 4), numbers(3, 4, seed=1)
    squares = sum(float((found[i, j] - targets[i, j]) ** 2) for i in range(3) for j in range(4)) / 2
    assert float(kip_loss(found, targets)) == pytest.approx(squares / 12)
    assert float(frepo_loss(found, targets)) == pytest.approx(squares / 3)


def test_a_singular_kernel_is_named_with_what_to_do() -> None:
    kernel = torch.ones(3, 3)
    with pytest.raises(
        Singular, match=r"kernel of 3 images.*smallest eigenvalue is (.|\n)*float64, or regularisation=1e-06"
    ):
        solve(kernel, torch.eye(3), 0.0)
    indefinite = torch.diag(torch.tensor([1.0, 1.0, -1e-3]))
    message = r"smallest eigenvalue is -0.001, .*\(1e-06 of the mean diagonal, 6.66e-07\)(.|\n)*regularisation=1e-05"
    with pytest.raises(Singular, match=message):
        solve(indefinite, torch.eye(3))
    assert issubclass(Singular, Diverged)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_kernel_that_holds_a_nan_is_named(bad: float) -> None:
    kernel = torch.eye(3)
    kernel[0, 1] = bad
    kernel[1, 0] = bad
    with pytest.raises(Singular, match=r"2 of the 9 entries of a kernel of 3 images are NaN or infinite"):
        predict(torch.ones(2, 3), kernel, torch.eye(3))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: solve(torch.ones(3, 2), torch.ones(3, 2)), r"kernel \(3, 2\) and labels \(3, 2\)"),
        (lambda: solve(torch.eye(3), torch.ones(2, 2)), r"kernel \(3, 3\) and labels \(2, 2\)"),
        (lambda: solve(torch.eye(3), torch.ones(3, 1), -1e-6), "regularisation -1e-06; expected at least 0"),
        (lambda: solve(torch.eye(3), torch.ones(3, 1), math.nan), "regularisation nan"),
        (lambda: predict(torch.ones(2, 4), torch.eye(3), torch.ones(3, 1)), r"\(2, 4\) and \(3, 3\)"),
        (
            lambda: row_losses(torch.ones(3), torch.tensor([1.0, -1, 1])),
            r"from -1 to 1; expected \(3,\), none below 0",
        ),
        (lambda: row_losses(torch.ones(3), torch.zeros(3)), "and one above"),
        (lambda: row_losses(torch.ones(3), torch.ones(2)), r"weights \(2,\) of 3 rows"),
        (lambda: row_losses(torch.ones(3), torch.tensor([1.0, math.nan, 1])), "none below 0"),
    ],
)
def test_what_does_not_fit_is_named(make: Callable[[], object], message: str) -> None:
    with pytest.raises(BadValue, match=message):
        make()


def test_a_singular_kernel_is_named_where_gradients_are_taken_too() -> None:
    images = torch.ones(3, 2, dtype=torch.float64, requires_grad=True)  # three times the same
    with pytest.raises(Singular, match="cannot be inverted"):
        solve(images @ images.T, torch.eye(3, dtype=torch.float64), regularisation=0.0)


def test_labels_may_be_shifted() -> None:
    classes = torch.tensor([0, 1, 2, 0, 1, 2])
    x, s, kernel = noise(30), noise(6, seed=1), FullyConnected()
    cross, own = kernel(x, s), kernel(s, s)
    shifted, plain = (
        predict(cross, own, centred(classes, 3)),
        predict(cross, own, centred(classes, 3) + 1 / 3),
    )
    # 1 / C from every label takes the same from every prediction of a row.
    assert (shifted - plain).std(1).max() < 1e-6
