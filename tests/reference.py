"""Plain reference versions: one class, one network, one step at a time, in loops that can be followed by eye.

Written from the papers' equations. The library computes the same for all classes and networks at once; the tests
compare the two, and the benchmarks time one against the other.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from dreamlib.augment import cutmix
from dreamlib.containers import Generator
from dreamlib.core.streams import Streams
from dreamlib.criteria import Batch, Generative
from dreamlib.data import ClassData, Normalisation
from dreamlib.distillation.recipe import Recipe
from dreamlib.matchers import Gradient, Logits, Matcher
from dreamlib.networks import Network, build, initialise
from dreamlib.networks.training import Schedule
from dreamlib.teachers import ModelsPool, Networks

# Clustering


def kmeans(
    points: Tensor, start: Tensor, rounds: int = 100, tolerance: float = 1e-4
) -> tuple[Tensor, list[int]]:
    """Lloyd's algorithm on one class: (N, D) points and (k, D) start to (k, D) centres and N assignments.

    It ends when the centres have moved by at most ``tolerance``, squared and summed: an absolute number.
    """
    centres = [centre.clone() for centre in start]

    def assign() -> tuple[list[int], list[float]]:
        nearest, distances = [], []
        for point in points:
            squared = [float((point - centre).square().sum()) for centre in centres]
            nearest.append(min(range(len(centres)), key=squared.__getitem__))
            distances.append(min(squared))
        return nearest, distances

    for _ in range(rounds):
        nearest, distances = assign()
        farthest = iter(sorted(range(len(points)), key=lambda n: -distances[n]))
        moved = []
        for cluster in range(len(centres)):
            members = [point for point, label in zip(points, nearest, strict=True) if label == cluster]
            moved.append(torch.stack(members).mean(0) if members else points[next(farthest)])
        shift = sum(float((new - old).square().sum()) for new, old in zip(moved, centres, strict=True))
        centres = moved
        if shift <= tolerance:
            break
    return torch.stack(centres), assign()[0]


def nearest(points: Tensor, centres: Tensor, each: int = 1) -> list[int]:
    """The ``each`` points (N, D) nearest to every centre (k, D), whatever cluster they belong to."""
    chosen: list[int] = []
    for centre in centres:
        gaps = [float((point - centre).square().sum()) for point in points]
        chosen += sorted(range(len(points)), key=gaps.__getitem__)[:each]
    return chosen


# Matching


def class_gradient(
    network: nn.Module, images: Tensor, label: int, layers: str = "weights", create_graph: bool = False
) -> list[Tensor]:
    """Gradient of the mean cross-entropy of one class's images (B, c, h, w), weight by weight (DC Eq. 9)."""
    kinds = {
        "weights": (nn.Conv2d, nn.Linear),
        "convolutions": (nn.Conv2d,),
        "classifier": (nn.Linear,),
    }[layers]
    weights = [module.weight.requires_grad_() for module in network.modules() if isinstance(module, kinds)]
    loss = F.cross_entropy(network(images), torch.full((len(images),), label, device=images.device))
    return list(torch.autograd.grad(loss, weights, create_graph=create_graph))


def distance(metric: str, real: Sequence[Tensor], synthetic: Sequence[Tensor]) -> Tensor:
    """Distance between two lists of measurements of one class, output row by output row (DC Eq. 10)."""
    total = torch.zeros((), device=real[0].device)
    for a, b in zip(real, synthetic, strict=True):
        if metric == "mse":
            total = total + ((a - b) ** 2).sum()
        elif metric == "l1":
            total = total + abs(a - b).sum()
        else:
            rows, others = a.flatten(1), b.flatten(1)
            cosine = (rows * others).sum(1) / (rows.norm(dim=1) * others.norm(dim=1) + 1e-6)
            total = total + (1 - cosine).sum()
    return total


def matching_loss(recipe: Recipe, network: Network, real: Tensor, synthetic: Tensor, label: int) -> Tensor:
    """The loss of one class: DC Eq. 9 for gradient matching, one summand of DM Eq. 5 for feature matching."""
    matcher = recipe.matching.matcher
    if isinstance(matcher, Gradient):
        target = class_gradient(network, real, label, matcher.layers)
        measured = class_gradient(network, synthetic, label, matcher.layers, create_graph=True)
        return distance(matcher.metric, target, measured)
    with torch.no_grad():
        target = [network.features(real).mean(0)]
    return distance("mse", target, [network.features(synthetic).mean(0)])


# Ridge regression


def tangent(x: Tensor, y: Tensor) -> Tensor:
    """The NTK (t, n) of images (t, D) and (n, D): one hidden layer, weights of variance 2 and biases of 0.01."""

    def first(products: Tensor) -> Tensor:
        return 2 * products / x.shape[1] + 0.01

    both = first(x @ y.T)
    size = (first(x.square().sum(1))[:, None] * first(y.square().sum(1))).sqrt()
    cosine = (both / size).clamp(-1 + 1e-15, 1 - 1e-15)  # the angle has no derivative at 0
    angle = torch.arccos(cosine)
    covariance = 2 * size * (angle.sin() + (math.pi - angle) * cosine) / (2 * math.pi) + 0.01
    return covariance + 2 * both * (math.pi - angle) / (2 * math.pi)


def ridge(kernel: Tensor, labels: Tensor) -> Tensor:
    """Coefficients of the n images with this kernel (n, n), with 1e-6 of its mean diagonal added to it."""
    n = len(kernel)
    return torch.linalg.solve(kernel + 1e-6 * kernel.trace() / n * torch.eye(n).to(kernel), labels)


def regression_loss(real: Tensor, images: Tensor, labels: Tensor) -> Tensor:
    """KIP's loss, one class after the other: real images (C, B, c, h, w), stored ones (n, c, h, w) and labels."""
    flat, classes = images.flatten(1).double(), len(real)
    found = ridge(tangent(flat, flat), labels.double())
    wanted, errors = (torch.eye(classes) - 1 / classes).to(flat), []
    for label, part in enumerate(real):
        errors.append((tangent(part.flatten(1).double(), flat) @ found - wanted[label]).square().mean() / 2)
    return torch.stack(errors).mean()


def feature_loss(network: Network, real: Tensor, images: Tensor, labels: Tensor) -> Tensor:
    """FRePo's loss, one class after the other: real images (C, B, c, h, w), stored ones (n, c, h, w) and labels."""
    network.eval()
    classes = len(real)
    known = torch.cat([network.features(part) for part in images.chunk(classes)]).double()
    found = ridge(known @ known.T, labels.double())
    wanted, errors = (torch.eye(classes) - 1 / classes).to(known), []
    for label, part in enumerate(real):
        with torch.no_grad():
            features = network.features(part).double()
        errors.append((features @ known.T @ found - wanted[label]).square().sum(1).mean() / 2)
    first, second = labels.topk(2, dim=1).values.unbind(1)
    return torch.stack(errors).mean() - (first - second).clamp(max=1 / classes).mean()


# Multi-formation


def tiles(images: Tensor, factor: int) -> Tensor:
    """The factor x factor tiles of each image (n, c, h, w), enlarged to its size (IDC, section 4), image by image."""
    _, _, height, width = images.shape
    h, w = height // factor, width // factor
    cut = [
        images[:, :, row * h : (row + 1) * h, column * w : (column + 1) * w]
        for row in range(factor)
        for column in range(factor)
    ]
    out = torch.stack(cut, 1).flatten(0, 1)
    if factor == 1:
        return out
    return F.interpolate(out, size=(height, width), mode="bilinear", align_corners=False)


def mosaics(images: Tensor, factor: int) -> Tensor:
    """Images (ipc * factor**2, c, h, w) of one class, shrunk, as ipc mosaics (IDC, released code).

    Tile k of all mosaics, counted row by row, takes the images from k * ipc on. Shrinking takes the nearest pixel.
    """
    _, channels, height, width = images.shape
    ipc, h, w = len(images) // factor**2, height // factor, width // factor
    out = torch.empty(ipc, channels, height, width)
    for tile in range(factor**2):
        row, column = divmod(tile, factor)
        for number in range(ipc):
            # Pixel (y, x) of a small copy is pixel (y * factor, x * factor) of the image.
            small = images[tile * ipc + number][:, : h * factor : factor, : w * factor : factor]
            out[number, :, row * h : (row + 1) * h, column * w : (column + 1) * w] = small
    return out


# Coresets


def herding(points: Tensor, count: int) -> list[int]:
    """iCaRL, algorithm 4, on one class (N, D)."""
    mean = points.mean(0)
    chosen: list[int] = []
    for _ in range(count):
        gaps = {}
        for n in range(len(points)):
            if n not in chosen:
                gaps[n] = float((mean - points[[*chosen, n]].mean(0)).norm())
        chosen.append(min(gaps, key=gaps.__getitem__))
    return chosen


def k_center(points: Tensor, count: int) -> list[int]:
    """Greedy k-center on one class (N, D), from the point nearest to the mean."""
    mean = points.mean(0)
    chosen = [min(range(len(points)), key=lambda n: float((points[n] - mean).norm()))]
    while len(chosen) < count:
        gap = {
            n: min(float((points[n] - points[c]).norm()) for c in chosen)
            for n in range(len(points))
            if n not in chosen
        }
        chosen.append(max(gap, key=gap.__getitem__))
    return chosen


def forgetting(visits: Sequence[bool]) -> float:
    """How often one image was forgotten, given whether it was right at each visit (Toneva et al. 2019)."""
    if not any(visits):
        return math.inf
    return sum(before and not after for before, after in pairwise(visits))


# Training


def train(
    network: nn.Module,
    batches: Iterable[tuple[Tensor, Tensor, int]],
    *,
    lr: float,
    momentum: float,
    weight_decay: float,
    milestones: Sequence[int] = (),
    decay_by: float = 1.0,
    restarts: bool = False,
) -> nn.Module:
    """Plain training of one network on (images, labels, epoch) batches by :class:`torch.optim.SGD`.

    From the epochs ``milestones`` on, counted from 0, the rate is lower. With ``restarts`` a new optimiser begins
    there, whose momentum is zero (DC, DSA and DM, released code).
    """

    def begin(rate: float) -> torch.optim.SGD:
        return torch.optim.SGD(network.parameters(), lr=rate, momentum=momentum, weight_decay=weight_decay)

    optimiser, before = begin(lr), 0
    for images, labels, epoch in batches:
        passed = len([m for m in milestones if epoch >= m])
        if restarts and passed > before:
            optimiser = begin(lr * decay_by**passed)
        before = passed
        for group in optimiser.param_groups:
            group["lr"] = lr * decay_by**passed
        optimiser.zero_grad()
        F.cross_entropy(network(images), labels).backward()
        optimiser.step()
    return network


def accuracy(network: nn.Module, images: Tensor, labels: Tensor) -> float:
    """Top-1 in percent, one image at a time."""
    network.eval()
    with torch.no_grad():
        right = sum(
            int(network(image[None]).argmax()) == int(label)
            for image, label in zip(images, labels, strict=True)
        )
    return 100.0 * right / len(labels)


# Distillation


def distil(data: ClassData, recipe: Recipe, seed: int, start: Tensor, choices: Sequence[Tensor]) -> Tensor:
    """DC's Algorithm 1, DM's Algorithm 1, IDC's and DREAM's loop, class by class, for ``len(choices)`` steps.

    Parameters
    ----------
    data, recipe, seed
        As for the library.
    start : Tensor
        (C, ipc, c, h, w) images to start from, in the container's space.
    choices : sequence of Tensor
        (C, B) positions of the real images of each step.

    Returns
    -------
    Tensor
        The stored images after the last step.
    """
    streams, teacher = Streams(seed, data.device), cast(Networks, recipe.teacher)
    unit = recipe.container.space == "unit"
    factor = getattr(recipe.container, "factor", 1)
    ipc, classes = start.shape[1], data.num_classes
    rate = recipe.image_lr
    if recipe.lr_scaling == "ipc and size":
        rate *= ipc / 10 * (data.shape[1] / recipe.base_side) ** 2
    images = start.clone().requires_grad_()
    image_optimiser = torch.optim.SGD([images], lr=rate, momentum=recipe.image_momentum)

    def decoded(label: int) -> Tensor:
        out = tiles(images[label], factor)
        return data.normalisation.apply(out) if unit else out

    network = build(recipe.network, data.shape, classes, data.device)
    for step, choice in enumerate(choices):
        if step % teacher.steps == 0:
            if unit:
                images.data.clamp_(0, 1)
            initialise(network, streams["network"])
            optimiser = torch.optim.SGD(
                network.parameters(),
                lr=teacher.lr,
                momentum=teacher.momentum,
                weight_decay=teacher.weight_decay,
            )
        if recipe.matching.statistics == "frozen":
            freeze(network.train(), data, streams["statistics"])
        transform = recipe.matching.augment.draw(classes, streams["augment"])
        count = ipc * factor**2
        subset = None
        if recipe.matching.synthetic_batch is not None and count > recipe.matching.synthetic_batch:
            keys = torch.rand(classes, count, generator=streams["subset"], device=data.device)
            subset = keys.topk(recipe.matching.synthetic_batch, dim=1).indices
        image_optimiser.zero_grad()
        for label in range(classes):
            one = torch.tensor([label], device=data.device)
            augment = transform.select(slice(label, label + 1))
            synthetic = decoded(label)
            if subset is not None:
                synthetic = synthetic[subset[label]]
            real = augment(data.take(choice[one], one))[0]
            loss = matching_loss(recipe, network, real, augment(synthetic[None])[0], label)
            if recipe.image_steps == "class by class":
                # IDC, released code: a step for every class. It moves all images: this class by its gradient, all
                # others by their momentum.
                images.grad = torch.autograd.grad(loss, images)[0]
                image_optimiser.step()
            else:
                images.grad = _add(images.grad, torch.autograd.grad(loss, images)[0])
        if recipe.image_steps == "together":
            image_optimiser.step()
        if step % teacher.steps == teacher.steps - 1:
            continue
        network.train()
        done = step - step // teacher.steps  # how often networks have learned before
        for batch, labels in _network_batches(data, recipe, streams, decoded, done):
            _learn(network, optimiser, batch, labels, teacher, streams["training"])
    return images.detach()


def followed(
    network: nn.Module,
    experts: tuple[Mapping[str, Tensor], Mapping[str, Tensor]],
    images: Tensor,
    rate: Tensor,
    lessons: Sequence[tuple[Tensor, Callable[[Tensor], Tensor]]],
) -> tuple[Tensor, Tensor, Tensor]:
    """MTT's loss and its gradient by images (C, n, c, h, w) and the rate (): one graph through all steps of a student.

    ``experts`` are an expert's weights where the student starts and where it is to end; a lesson says which images it
    looks at, and how they are augmented.
    """
    start, target = experts
    images, rate = images.clone().requires_grad_(), rate.clone().requires_grad_()
    labels = torch.arange(len(images), device=images.device).repeat_interleave(images.shape[1])
    weights = {name: value.clone().requires_grad_() for name, value in start.items()}
    for index, augment in lessons:
        seen = augment(images.flatten(0, 1)[index][None])[0]
        loss = F.cross_entropy(functional_call(network, weights, (seen,)), labels[index])
        found = torch.autograd.grad(loss, list(weights.values()), create_graph=True)
        moved = zip(weights.items(), found, strict=True)
        weights = {name: value - rate * part for (name, value), part in moved}
    missed = sum(((weights[name] - target[name]) ** 2).sum() for name in target)
    way = sum(((start[name] - target[name]) ** 2).sum() for name in target)
    outer = torch.as_tensor(missed / way)
    return outer.detach(), *torch.autograd.grad(outer, [images, rate])


def unrolled(
    network: nn.Module, images: Tensor, raw: Tensor, real: Tensor, classes: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """DD's loss and its gradient by images (C, S, c, h, w) and raw rates (E, S): one graph through all steps."""
    images, raw = images.clone().requires_grad_(), raw.clone().requires_grad_()
    weights = {name: value.detach().clone().requires_grad_() for name, value in network.named_parameters()}
    for rates in raw:
        for step, rate in enumerate(rates):
            logits = functional_call(network, weights, (images[:, step],))
            loss = F.cross_entropy(logits, torch.arange(len(images), device=images.device))
            found = torch.autograd.grad(loss, list(weights.values()), create_graph=True)
            moved = zip(weights.items(), found, strict=True)
            weights = {name: value - F.softplus(rate) * part for (name, value), part in moved}
    outer = F.cross_entropy(functional_call(network, weights, (real,)), classes)
    return outer.detach(), *torch.autograd.grad(outer, [images, raw])


def _learn(
    network: Network,
    optimiser: torch.optim.Optimizer,
    batch: Tensor,
    labels: Tensor,
    teacher: Schedule,
    generator: torch.Generator,
) -> None:
    """What one batch of real or synthetic images teaches the matching network."""
    augment = teacher.augment.draw(1, generator, per_image=len(batch))
    mixed, first, second, share = cutmix(augment(batch[None]), labels[None], generator, teacher.cutmix)
    logits = network(mixed[0])
    loss = share * F.cross_entropy(logits, first[0]) + (1 - share) * F.cross_entropy(logits, second[0])
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()


def freeze(network: Network, data: ClassData, generator: torch.Generator) -> None:
    """Batch norms with the mean and variance of 16 real images of each class (DC, released code)."""
    layers = [layer for layer in network.modules() if isinstance(layer, nn.BatchNorm2d)]
    images = data.take(data.draw(min(16, data.smallest), generator)).flatten(0, 1)
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None  # a plain average of all batches seen, which is one
    with torch.no_grad():
        network(images)
    for layer in layers:
        layer.momentum = 0.1
        layer.eval()


def _add(total: Tensor | None, part: Tensor) -> Tensor:
    return part if total is None else total + part


def _network_batches(
    data: ClassData, recipe: Recipe, streams: Streams, decoded: Callable[[int], Tensor], done: int
) -> Iterable[tuple[Tensor, Tensor]]:
    """What the matching network is trained on after a step: passes over the synthetic set, or real images.

    Real batches are whole, and as many as hold ``teacher.images``; they run through a permutation of all images, and
    then through the next one. ``done`` counts the times that networks have learned before.
    """
    teacher, generator = cast(Networks, recipe.teacher), streams["training"]
    if teacher.trained_on == "synthetic":
        with torch.no_grad():
            parts = [decoded(label) for label in range(data.num_classes)]
        images = torch.cat(parts)
        labels = torch.tensor([label for label, part in enumerate(parts) for _ in part], device=data.device)
        for _ in range(teacher.epochs):
            order = torch.rand(len(labels), generator=generator, device=data.device).argsort()
            for start in range(0, len(order), teacher.batch):
                part = order[start : start + teacher.batch]
                yield images[part], labels[part]
    elif teacher.trained_on == "real":
        count = math.ceil(teacher.images / teacher.batch)
        for number in range(done * count, (done + 1) * count):
            which, at = divmod(number, data.total // teacher.batch)
            order = torch.randperm(data.total, generator=streams.once(f"training, pass {which}"))
            yield data.at(order[at * teacher.batch : (at + 1) * teacher.batch])


def class_batches(sizes: Sequence[int], batch: int, streams: Streams, count: int) -> list[list[list[int]]]:
    """The first ``count`` real batches of every class, where a class runs through permutations of its images.

    What does not fill a batch at the end of a permutation is left out (IDC, released code).
    """
    out = []
    for number in range(count):
        row = []
        for label, size in enumerate(sizes):
            which, at = divmod(number, size // batch)
            stream = streams.once(f"sampler, pass {which}")
            keys = torch.randint(2**62, (len(sizes), max(sizes)), generator=stream)
            order = keys[label, :size].argsort()
            row.append(order[at * batch : (at + 1) * batch].tolist())
        out.append(row)
    return out


# Generators


def judge_loss(
    generator: nn.Module, discriminator: nn.Module, batch: Batch, penalty: float
) -> tuple[Tensor, Tensor]:
    """The discriminator's loss on real, generated and mixed images, one kind after the other; and the generated.

    Generated images have noise and labels of their own. The generator is in training mode, so that its running
    statistics see them (DiM, released code).
    """
    with torch.no_grad():
        generated = generator(batch.other_noise, batch.other_labels)
    real, classes = discriminator(batch.real)
    loss = F.cross_entropy(classes, batch.labels) - real.mean()
    fake, classes = discriminator(generated)
    loss = loss + F.cross_entropy(classes, batch.other_labels) + fake.mean()
    share = batch.uniform[:, None, None, None]
    mixed = share * batch.real + (1 - share) * generated.requires_grad_()
    (slope,) = torch.autograd.grad(discriminator(mixed)[0].sum(), mixed, create_graph=True)
    return loss + penalty * ((slope.flatten(1).norm(dim=1) - 1) ** 2).mean(), generated


def mismatch(matcher: Matcher, network: Network, real: Tensor, generated: Tensor, labels: Tensor) -> Tensor:
    """DiM Eq. 5 for logits, pair by pair; Table 4's features and gradients, of all images of the batch together.

    The network sees the real images first: in training mode its running statistics depend on the order.
    """
    if isinstance(matcher, Logits):
        total = torch.zeros((), device=real.device)
        with torch.no_grad():
            expected = network(real)
        for a, b in zip(expected, network(generated), strict=True):
            if matcher.scale == "log-softmax":
                a, b = a.log_softmax(0), b.log_softmax(0)
            total = total + (a - b).square().mean()
        return total / len(real)
    if isinstance(matcher, Gradient):
        kinds = (nn.Conv2d,) if matcher.layers == "convolutions" else (nn.Conv2d, nn.Linear)
        weights = [m.weight for m in network.modules() if isinstance(m, kinds)]
        target = torch.autograd.grad(F.cross_entropy(network(real), labels), weights)
        loss = F.cross_entropy(network(generated), labels)
        measured = torch.autograd.grad(loss, weights, create_graph=True)
        return distance(matcher.metric, list(target), list(measured))
    with torch.no_grad():
        target = network.features(real).mean(0)
    return distance(matcher.metric, [target], [network.features(generated).mean(0)])


def generate(
    data: ClassData, recipe: Recipe, seed: int, start: Mapping[str, Tensor], steps: int
) -> tuple[nn.Module, nn.Module, list[float], Network | None]:
    """DiM's Algorithm 1, or its GAN alone, from the state ``start`` for some steps of the first epoch.

    Where the paper is silent, as its released code does it. The generator moves first: its images have the labels of
    the real batch. Then the discriminator moves: the images that it is shown come from the generator as it is by now,
    from noise and labels of their own. The network that is matched under stays in training mode, and sees images in
    [-1, 1] from which the mean of images in [0, 1] is subtracted, and which are divided by their standard deviation: in
    matching and in its own training. It is trained on whole batches of one pass over the real images, which starts anew
    at every step.

    Returns
    -------
    generator, discriminator : Module
    losses : list of float
        The generator's, step by step.
    network : Network or None
        What was matched under.
    """
    how, container = cast(Generative, recipe.criterion), cast(Generator, recipe.container)
    streams = Streams(seed, data.device)
    generator = container.module(data.shape, data.num_classes).to(data.device)
    discriminator = how.objective.partner(data.shape, data.num_classes, container.noise, container.width)
    discriminator.to(data.device)
    beside = "beside.partner."
    generator.load_state_dict({k: value for k, value in start.items() if not k.startswith("beside.")})
    discriminator.load_state_dict(
        {k.removeprefix(beside): v for k, v in start.items() if k.startswith(beside)}
    )
    # A twentieth, say, of the first stage's rate, for both.
    lr = container.lr
    size, rate = (how.matched_batch, lr * how.matched_rate) if how.matched_epochs else (how.batch, lr)
    moves = [
        torch.optim.Adam(module.parameters(), lr=rate, betas=container.betas)
        for module in (generator, discriminator)
    ]
    constants = data.normalisation.mean, data.normalisation.std
    mean, std = (torch.tensor(value, device=data.device)[:, None, None] for value in constants)
    order = torch.rand(data.total, generator=streams["order"], device=data.device).argsort()
    network = None
    if how.matched_epochs:
        teacher = cast(ModelsPool, recipe.teacher)
        number = int(torch.randint(len(teacher.models), (), generator=streams["network"], device=data.device))
        network = build(teacher.models[number], data.shape, data.num_classes, data.device)
        initialise(network, streams["network"])
        optimiser = torch.optim.SGD(
            network.parameters(),
            lr=teacher.lr,
            momentum=teacher.momentum,
            weight_decay=teacher.weight_decay,
        )
    losses = []
    for step in range(steps):
        # Images in [-1, 1], as the discriminator sees them.
        images, labels = data.at(order[step * size : (step + 1) * size])
        images = 2 * data.normalisation.undo(images) - 1
        shape = (size, container.noise)
        noise, extra = (torch.randn(shape, generator=streams["noise"], device=data.device) for _ in range(2))
        uniform = torch.rand(size, generator=streams["noise"], device=data.device)
        other_noise = torch.randn(shape, generator=streams["noise"], device=data.device)
        other_labels = torch.randint(
            data.num_classes, (size,), generator=streams["noise"], device=data.device
        )
        batch = Batch(images, labels, noise, extra, uniform, other_noise, other_labels)
        generated = generator(noise, labels)
        judged, classes = discriminator(generated)
        loss = F.cross_entropy(classes, labels) - judged.mean()
        if network is not None:
            network.train()
            shuffled = torch.randperm(data.total, generator=streams["training"], device=data.device)
            for part in shuffled.split(teacher.batch)[: math.ceil(teacher.images / teacher.batch)]:
                if len(part) == teacher.batch:
                    seen, classes = data.at(part)
                    seen = ((2 * data.normalisation.undo(seen) - 1) - mean) / std
                    _learn(network, optimiser, seen, classes, teacher, streams["training"])
            augment = how.augment.draw(1, streams["augment"])
            real, fake = (augment(((part - mean) / std)[None])[0] for part in (images, generated))
            loss = loss + how.weight * mismatch(how.matcher, network, real, fake, labels)
        moves[0].zero_grad()
        loss.backward()
        moves[0].step()
        losses.append(float(loss.detach()))
        loss, _ = judge_loss(generator, discriminator, batch, how.objective.penalty)
        moves[1].zero_grad()
        loss.backward()
        moves[1].step()
    return generator, discriminator, losses, network


def draw(generator: nn.Module, noise: Tensor, labels: Tensor, normalisation: Normalisation) -> Tensor:
    """Images (N, c, h, w) of a trained generator, normalised, from noise (N, K) and labels (N,)."""
    generator.eval()
    with torch.no_grad():
        return normalisation.apply((generator(noise, labels) + 1) / 2)
