"""The works that are timed: each as the reference does it and as the library does it, on the same inputs."""

from __future__ import annotations

import io
import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor

from dreamlib.compute.engine import MODES, Engine
from dreamlib.containers import Drawing, Generator, Trajectories
from dreamlib.coresets import RealImages
from dreamlib.criteria import Trajectory
from dreamlib.data import ClassData, Dataset, load, statistics
from dreamlib.distillation.evaluate import EvaluationRun, Generated
from dreamlib.distillation.loop import Distillation
from dreamlib.distillation.recipe import Recipe, change
from dreamlib.networks import NetworkSpec, build, embed, initialise
from dreamlib.networks.training import Stack, Training
from dreamlib.recipes import methods, protocol
from dreamlib.samplers import Random
from dreamlib.samplers.clustering import kmeans
from dreamlib.teachers import Networks
from dreamlib.teachers.base import BESIDE, FINGERPRINT
from dreamlib.teachers.experts import segment

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
import reference

CLASSES, SHAPE = 10, (3, 32, 32)  # CIFAR-10's
GENERATED_FROM = 300  # images of each class: more than the 1,024 that a network sees before a step of DiM
Call = Callable[[], object]

# Times as fast as the reference loops: what is aimed at.
FEATURE = {"bfloat16": 4.0, "float32": 1.8, "cuda": 8.0}
GRADIENT = {"bfloat16": 3.2, "float32": 1.5, "cuda": 8.0}
JUDGING = {"bfloat16": 3.0, "float32": 1.5, "cuda": 5.0}


@dataclass(frozen=True)
class Work:
    """One line of the table.

    Attributes
    ----------
    name, title : str
        What is typed, and what is shown.
    reference : callable
        Does the work once, reference_loop.
    ours : dict of str to callable
        Does it once, by mode.
    targets : dict of str to float
        The ratio aimed at: on a GPU ("cuda"), on a CPU by the number format that pays there ("bfloat16", "float32").
    operations : callable, optional
        A version whose floating-point operations and convolution traffic are those that cannot be avoided.
    averages : bool
        Whether fast mode may be rough (:class:`~dreamlib.compute.formats.Formats`).
    notes : callable
        Facts to print beside the ratio, known after the runs (the inertia of a clustering).
    """

    name: str
    title: str
    reference: Call
    ours: dict[str, Call]
    targets: dict[str, float]
    operations: Call | None = None
    averages: bool = False
    notes: Callable[[], dict[str, float]] = field(default=dict)


def images_of(per_class: int, seed: int = 0, classes: int = CLASSES, side: int = SHAPE[1]) -> Dataset:
    """A data set in the form of CIFAR-10's: smooth random images, since speed does not ask what they show."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(classes * per_class, SHAPE[0], side // 4, side // 4, generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, scale_factor=4, mode="bilinear")
    pixels = (smooth * 255).round().to(torch.uint8)
    labels = torch.arange(classes).repeat_interleave(per_class)
    names = tuple(map(str, range(classes)))
    test = pixels[::per_class], labels[::per_class]
    return Dataset("cifar10-shaped", pixels, labels, *test, names, statistics("cifar10"))


def published(method: str, ipc: int) -> Recipe:
    """The published recipe on CIFAR-10, matching images drawn at random (clustering is a work of its own)."""
    recipe, _ = methods[method].resolve("cifar10", ipc)
    return replace(change(recipe, "sampler", Random()), initial=RealImages(), iterations=10**6)


def endless(recipe: Recipe) -> Recipe:
    """With one network that learns, if it does, after every step: none is the last."""
    teacher = cast(Networks, recipe.teacher)
    return (
        recipe if teacher.trained_on == "nothing" else replace(recipe, teacher=replace(teacher, steps=10**6))
    )


def step(
    name: str, title: str, method: str, ipc: int, targets: dict[str, float], device: torch.device
) -> Work:
    """One matching step, the training of the matching network after it included."""
    recipe = published(method, ipc)
    recipe = endless(recipe)
    data = ClassData(images_of(max(300, recipe.matching.real_batch)), device)
    start = Distillation(data, replace(recipe, iterations=0), ipc, 0)
    start.advance()
    images = start.stored["images"]
    choice = data.draw(recipe.matching.real_batch, torch.Generator(device).manual_seed(0))

    def reference_loop() -> object:
        return reference.distil(data, recipe, 0, images, [choice])

    def run(mode: str) -> Call:
        state: dict[str, Distillation] = {}

        def once() -> object:
            if "run" not in state:
                state["run"] = Distillation(data, replace(recipe, mode=mode), ipc, 0)
                state["run"].advance()
            state["run"].advance()
            return state["run"].stored

        return once

    averages = bool(getattr(recipe.matching.matcher, "averages", ()))
    return Work(
        name, title, reference_loop, {mode: run(mode) for mode in MODES}, targets, reference_loop, averages
    )


def clustering(targets: dict[str, float], device: torch.device, each: int = 5000, k: int = 128) -> Work:
    """k-means of the features of every class under a random network, as DREAM does it every ten steps."""
    from sklearn.cluster import KMeans

    data = ClassData(images_of(each, 1), device)
    network = build(NetworkSpec(), SHAPE, CLASSES, device).requires_grad_(False)
    initialise(network, torch.Generator(device).manual_seed(0))
    index, _ = data.padded_index()
    rows = [data.unit(row.unsqueeze(0), row.new_tensor([c]))[0] for c, row in enumerate(index)]
    points = torch.stack([embed(network, row, 250) for row in rows])
    found: dict[str, float] = {}
    rounds: dict[str, float] = {}

    def scikit(start: str) -> Call:
        def once() -> object:
            # scikit-learn clusters on the CPU whatever the device; bringing the points there is part of the work.
            on_host = points.cpu().numpy()
            # Its tolerance is relative to the variance of the features; here all stop at the same movement.
            fits = [
                KMeans(k, init=start, n_init=1, max_iter=100, tol=1e-4 / p.var(0).mean(), random_state=0).fit(
                    p
                )
                for p in on_host
            ]
            found[start] = sum(fit.inertia_ for fit in fits)
            return fits

        return once

    def run(fast: bool) -> Call:
        def once() -> object:
            out = kmeans(points, k, torch.Generator(device).manual_seed(0), fast=fast)
            found["fast" if fast else "plain"] = float(out.inertia.sum())
            rounds["fast" if fast else "plain"] = out.rounds
            return out

        return once

    def notes() -> dict[str, float]:
        return {f"inertia {name} / scikit-learn": value / found["random"] for name, value in found.items()}

    ours = {"plain": run(False), "fast": run(True), "scikit-learn k-means++": scikit("k-means++")}
    title = f"clustering of {CLASSES} classes, {each} images each, {k} clusters"
    return Work("clustering", title, scikit("random"), ours, targets, notes=notes)


def evaluation(name: str, each: int, targets: dict[str, float], device: torch.device, steps: int = 4) -> Work:
    """A few training steps of five networks on ``each`` images per class, by the protocol of DSA and DM."""
    settings = protocol("dsa", {"dataset": "cifar10", "ipc": each})[0].learner
    networks, count = 5, CLASSES * each
    images = torch.randn(count, *SHAPE, generator=torch.Generator(device).manual_seed(0), device=device)
    labels = torch.arange(CLASSES, device=device).repeat_interleave(each)

    def fetch(index: Tensor) -> tuple[Tensor, Tensor]:
        return images[index], labels[index]

    def stack() -> Stack:
        return Stack(NetworkSpec(), SHAPE, CLASSES, networks, torch.Generator(device).manual_seed(0))

    # Made once, like ours: they go on learning from call to call, which costs the same.
    theirs = [build(NetworkSpec(), SHAPE, CLASSES, device) for _ in range(networks)]

    def reference_loop() -> object:
        generator = torch.Generator(device).manual_seed(0)
        for network in theirs:
            batches = []
            for number in range(steps):
                if number % -(-count // settings.batch) == 0:
                    order = torch.rand(count, generator=generator, device=device).argsort()
                    parts = order.split(settings.batch)
                part = parts[number % len(parts)]
                augment = settings.augment.draw(1, generator, per_image=len(part))
                batches.append((augment(images[part][None])[0], labels[part], number))
            reference.train(network, batches, lr=settings.lr, momentum=settings.momentum, weight_decay=5e-4)
        return network

    def run(mode: str) -> Call:
        generator = torch.Generator(device).manual_seed(0)
        state = Training(stack(), fetch, count, settings, generator, engine=Engine(mode, device))

        def once() -> object:
            state.step = 0
            for _ in range(steps):
                state.advance()
            return state

        return once

    title = f"evaluation: {steps} training steps of {networks} networks on {count} images"
    # Training asks for mean gradients only.
    return Work(
        name,
        title,
        reference_loop,
        {mode: run(mode) for mode in MODES},
        targets,
        reference_loop,
        averages=True,
    )


def generator_step(name: str, title: str, method: str, device: torch.device) -> Work:
    """One step of a GAN or of DiM (under ConvNet-3), the training of the network that is matched under included."""
    recipe, _ = methods[method].resolve("cifar10", 10)
    # Timed from the very start, where Adam has nothing to carry on with.
    recipe = change(recipe, "carries_adam", False)
    if recipe.first is not None:
        recipe = change(recipe, "teacher.models", (NetworkSpec(),))
    data = ClassData(images_of(GENERATED_FROM), device)
    start = Distillation(data, recipe.first or recipe, 0, 0).snapshots[0]

    def run(mode: str) -> Call:
        state: dict[str, Distillation] = {}

        def once() -> object:
            if "run" not in state:
                state["run"] = Distillation(data, replace(recipe, mode=mode), 0, 0, start=start)
            state["run"].advance()
            return state["run"].stored

        return once

    def reference_loop() -> object:
        return reference.generate(data, recipe, 0, start, 1)

    return Work(name, title, reference_loop, {mode: run(mode) for mode in MODES}, {}, reference_loop)


def regression(name: str, title: str, method: str, device: torch.device) -> Work:
    """One step of a ridge regression on the set, the training of the network that gives features included."""
    recipe = replace(methods[method].resolve("cifar10", 10)[0], initial=RealImages())
    batch = recipe.criterion.real_batch
    data = ClassData(images_of(max(300, batch)), device)
    real = data.take(data.draw(batch, torch.Generator(device).manual_seed(0)))
    start = Distillation(data, recipe, 10, 0)
    start.advance()
    # Made once, like ours, and moved by an optimiser of PyTorch: LAMB costs what Adam does.
    theirs = [start.stored[kind].flatten(0, 1).clone().requires_grad_() for kind in ("images", "labels")]
    moves = torch.optim.Adam(theirs, lr=1e-3)
    network = build(recipe.network, SHAPE, CLASSES, device)
    learning = torch.optim.Adam(network.parameters(), lr=3e-4)

    def reference_loop() -> object:
        images, labels = theirs
        moves.zero_grad()
        if method == "kip":
            reference.regression_loss(real, images, labels).backward()
        else:
            # FRePo's kernel is that of the images and of their mirror images.
            both = torch.cat([images, images.flip(-1)]), torch.cat([labels, labels])
            reference.feature_loss(network, real, *both).backward()
        moves.step()
        if method == "frepo":
            network.train()
            learning.zero_grad()
            error = network(images.detach()) - labels.detach()
            (error.square().sum(1).mean() / 2).backward()
            learning.step()
        return theirs

    def once() -> object:
        start.advance()
        return start.stored

    return Work(name, title, reference_loop, {"plain": once}, {})


def unrolling(device: torch.device) -> Work:
    """One step of DD on steps of one image of every class: forth and back through their training."""
    recipe = methods["dd"].resolve("cifar10", 1)[0]
    data = ClassData(images_of(GENERATED_FROM), device)

    def begun(mode: str) -> Distillation:
        run = Distillation(data, replace(recipe, mode=mode), 1, 0)
        while not run.stored:
            run.advance()
        return run

    network = build(recipe.network, SHAPE, CLASSES, device)
    stored = begun("plain").stored
    real, classes = data.draw_flat(recipe.criterion.real_batch, torch.Generator(device).manual_seed(0))

    def reference_loop() -> object:
        initialise(network, torch.Generator(device).manual_seed(0))
        return reference.unrolled(network, stored["images"], stored["raw_rates"], real, classes)

    def run(mode: str) -> Call:
        state: dict[str, Distillation] = {}

        def once() -> object:
            state.setdefault("run", begun(mode)).advance()
            return state["run"].stored

        return once

    title = f"DD step: {recipe.container.epochs} steps of training unrolled, {recipe.criterion.real_batch} real images"
    return Work("dd-1", title, reference_loop, {mode: run(mode) for mode in MODES}, {}, reference_loop)


def following(device: torch.device, steps: int = 10) -> Work:
    """One step of MTT at one image of every class, with a student of fewer steps than the published 50."""
    recipe = change(methods["mtt"].resolve("cifar10", 1)[0], "student_steps", steps)
    recipe = change(replace(recipe, whitening=""), "teacher.experts.count", 2)
    data = ClassData(images_of(GENERATED_FROM), device)
    # Speed does not ask where an expert has gone.
    container = cast(Trajectories, cast(Recipe, recipe.first).container)
    stream = torch.Generator(device).manual_seed(0)
    gone = container.start(None, 1, SHAPE, CLASSES, stream)
    for value in gone.values():
        value[:, 1:] = value[:, :1] + 0.01 * torch.randn(value[:, 1:].shape, generator=stream, device=device)
    gone[BESIDE + FINGERPRINT] = data.fingerprint()

    def begun(mode: str) -> Distillation:
        run = Distillation(data, replace(recipe, mode=mode), 1, 0, start=gone)
        while not run.stored:
            run.advance()
        return run

    network = build(recipe.network, SHAPE, CLASSES, device)
    stored, every = begun("plain").stored, torch.arange(CLASSES, device=device)
    experts = segment(
        {name: gone[name] for name, _ in network.named_parameters()}, expert=0, epoch=0, ahead=2
    )

    def reference_loop() -> object:
        augment = cast(Trajectory, recipe.criterion).augment
        lessons = [(every, augment.draw(1, stream, per_image=CLASSES)) for _ in range(steps)]
        return reference.followed(network, experts, stored["images"], stored["rate"], lessons)

    def run(mode: str) -> Call:
        state: dict[str, Distillation] = {}

        def once() -> object:
            if "run" not in state:
                state["run"] = begun(mode)
            state["run"].advance()
            return state["run"].stored

        return once

    title = f"MTT step, IPC 1, a student of {steps} steps"
    return Work("mtt-1", title, reference_loop, {mode: run(mode) for mode in MODES}, {}, reference_loop)


def deployment(device: torch.device) -> Work:
    """One training step of five networks on freshly drawn images, by the protocol of DiM."""
    row = methods["gan"].resolve("cifar10", 10)[0]
    container = cast(Generator, row.container)
    judged = protocol("dim", {"dataset": "cifar10", "ipc": 50})[0]
    how, dataset = replace(judged, generated=Generated(per_class=50)), images_of(GENERATED_FROM)
    settings = how.learner
    generator = initialise(
        container.module(SHAPE, CLASSES).to(device), torch.Generator(device).manual_seed(0)
    ).requires_grad_(False)

    def reference_loop() -> object:
        stream = torch.Generator(device).manual_seed(0)
        for _ in range(how.networks):
            network = build(how.network, SHAPE, CLASSES, device)
            labels = torch.randint(CLASSES, (settings.batch,), generator=stream, device=device)
            noise = torch.randn(settings.batch, container.noise, generator=stream, device=device)
            images = reference.draw(generator, noise, labels, dataset.normalisation)
            augment = settings.augment.draw(1, stream, per_image=len(images))
            batch = augment(images[None])[0], labels, 0
            reference.train(network, [batch], lr=settings.lr, momentum=settings.momentum, weight_decay=5e-4)
        return network

    def run(mode: str) -> Call:
        drawing = Drawing(generator, container.noise, dataset.normalisation, fast=mode == "fast")
        training = EvaluationRun(drawing, dataset, replace(how, mode=mode)).training

        def once() -> object:
            training.step = 0  # never at the smaller last batch of an epoch
            training.advance()
            return training

        return once

    title = f"one training step of {how.networks} networks on {settings.batch} freshly drawn images each"
    return Work("deploy", title, reference_loop, {mode: run(mode) for mode in MODES}, {}, reference_loop)


def loading(targets: dict[str, float], per_class: int = 2000) -> Work:
    """Reading a parquet data set: decoding its images, and finding them decoded."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    from PIL import Image

    root = Path(tempfile.mkdtemp(prefix="dreamlib-bench-"))
    (root / "cifar10").mkdir()  # under this name: the statistics of others are measured at every load
    source = images_of(per_class)
    for part, images, labels in (
        ("train", source.train_images, source.train_labels),
        ("test", source.test_images, source.test_labels),
    ):
        blobs = []
        for image in images.numpy():
            buffer = io.BytesIO()
            Image.fromarray(np.ascontiguousarray(image.transpose(1, 2, 0))).save(buffer, "PNG")
            blobs.append({"bytes": buffer.getvalue()})
        table = pa.table({"img": blobs, "label": pa.array(labels.tolist(), pa.int64())})
        pq.write_table(table, root / "cifar10" / f"{part}.parquet")

    def read(cache: Path) -> object:
        before = os.environ.get("DREAMLIB_CACHE")
        os.environ["DREAMLIB_CACHE"] = str(cache)
        try:
            return load("cifar10", root)
        finally:
            os.environ.pop("DREAMLIB_CACHE")
            if before is not None:
                os.environ["DREAMLIB_CACHE"] = before

    def first() -> object:
        with tempfile.TemporaryDirectory() as empty:
            return read(Path(empty))

    title = f"loading {CLASSES * per_class} PNG images from parquet, the second time"
    return Work("loading", title, first, {"cached": lambda: read(root / "cache")}, targets)


def works(device: torch.device) -> dict[str, Callable[[], Work]]:
    """Every work by name, made when it is asked for."""
    return {
        "dm-10": lambda: step("dm-10", "DM step, IPC 10", "dm", 10, FEATURE, device),
        "dm-50": lambda: step("dm-50", "DM step, IPC 50", "dm", 50, FEATURE, device),
        "dsa-1": lambda: step("dsa-1", "gradient-matching step (DSA), IPC 1", "dsa", 1, GRADIENT, device),
        "dsa-10": lambda: step("dsa-10", "gradient-matching step (DSA), IPC 10", "dsa", 10, GRADIENT, device),
        "dream-10": lambda: step(
            "dream-10", "IDC/DREAM inner loop, factor 2, IPC 10", "dream", 10, GRADIENT, device
        ),
        "dd-1": lambda: unrolling(device),
        "clustering": lambda: clustering({"bfloat16": 3.3, "float32": 1.5, "cuda": 50}, device),
        "evaluation-10": lambda: evaluation("evaluation-10", 10, JUDGING, device),
        "evaluation-50": lambda: evaluation("evaluation-50", 50, JUDGING, device),
        "gan": lambda: generator_step("gan", "GAN step with gradient penalty, batch 64", "gan", device),
        "dim": lambda: generator_step("dim", "DiM step with its 16 batches of real images", "dim", device),
        "mtt-1": lambda: following(device),
        "kip": lambda: regression("kip", "KIP step, fully connected kernel, IPC 10", "kip", device),
        "frepo": lambda: regression(
            "frepo", "FRePo step, the training of its network included, IPC 10", "frepo", device
        ),
        "deploy": lambda: deployment(device),
        "loading": lambda: loading({"bfloat16": 20, "float32": 20}),
    }
