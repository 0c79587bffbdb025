"""Evaluation: train networks from scratch on a synthetic set (or the real one), and test each once, at the end."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from ..compute.backend import Stopwatch
from ..compute.engine import Engine, Programs
from ..containers import Images, Source
from ..core.errors import BadValue, DataError
from ..core.files import below
from ..core.streams import Streams
from ..data import ClassData, Dataset, Normalisation
from ..data.whitening import Whitening
from ..networks import NetworkSpec, forward_operations
from ..networks.training import SGD, Learner, Outputs, TrainingData
from .sets import DistilledSet

Trained = Images | Tensor | ClassData | Source  # what networks are trained on


@dataclass(frozen=True)
class Generated:
    """How many images a generator draws, where one is evaluated instead of stored images.

    Attributes
    ----------
    per_class : int
        INPC: images of each class in an epoch (DiM, section 1).
    fresh : bool
        New images in every epoch. False: drawn once, and then used like stored ones.
    whole_batches : bool
        Fill up the last batch of an epoch, and add a batch where all are full (DiM, released code:
        C * INPC // batch + 1 batches).
    """

    per_class: int = 10
    fresh: bool = True
    whole_batches: bool = False

    def size(self, classes: int, batch: int) -> int:
        """Images of an epoch."""
        images = classes * self.per_class
        return (images // batch + 1) * batch if self.whole_batches else images

    def check(self) -> None:
        """Raise :class:`BadValue` for fewer than one image per class."""
        if self.per_class < 1:
            raise BadValue(
                f"INPC is {self.per_class}; expected at least 1 image per class and epoch", "IPC=1,10"
            )


@dataclass(frozen=True)
class Evaluation:
    """How a synthetic set is evaluated.

    Attributes
    ----------
    protocol : str
        Name of the protocol the numbers come from ("dc", "dsa", "idc").
    learner : Learner
        How networks learn from the synthetic set, or what stands for them.
    network : NetworkSpec
        Their architecture.
    networks : int
        How many are trained, each from its own initial weights, with its own order and augmentation.
    mode : str
        How they run: ``"plain"``, ``"compiled"`` or ``"fast"``; see :mod:`dreamlib.compute.engine`.
    also_on : str
        A data set whose test images are read too, once and at the end, such as ``"cifar10"`` when the set at hand is
        ``"cifar10@holdout"`` and its own test images are for validation. Empty: none.
    stop_ipc : int
        Stop as early as a training of the same epochs and batch on a set of so many images per class would; the
        learning rate goes through its whole schedule in these steps. 0: train all epochs.
    steps : int
        Train for so many steps whatever the number of images, so that budgets are compared at equal training; the
        learning rate goes through its whole schedule in them. 0: train all epochs.
    panel : int
        Seed of the judging networks: of their weights, their orders, augmentations and drawn images. All sets that are
        compared are judged by one panel, so that differences can be taken network by network.
    generated : Generated, optional
        How many images are drawn, where a generator is judged; None: the images are given.
    """

    protocol: str = "dsa"
    learner: Learner = field(default_factory=SGD)
    network: NetworkSpec = field(default_factory=NetworkSpec)
    networks: int = 5
    mode: str = "plain"
    also_on: str = ""
    stop_ipc: int = 0
    steps: int = 0
    panel: int = 0
    generated: Generated | None = None

    def stop(self, classes: int) -> int | None:
        """Steps after which to stop, for so many classes; None for all epochs."""
        if self.steps:
            return self.steps
        if not self.stop_ipc:
            return None
        learner = self.learner
        if not isinstance(learner, SGD):
            raise BadValue(
                f"stop_ipc counts epochs of SGD, and the learner is {type(learner).__name__}", "stop_ipc=0"
            )
        # Steps of an epoch, rounded up: the last batch may be smaller.
        return learner.passes * -(-classes * self.stop_ipc // learner.batch)


def check_judge(dataset: Dataset) -> None:
    """Raise DataError for a data set of one class, on which every network is right."""
    # A class sequence may begin with a single class.
    if dataset.num_classes < 2 and "steps-order" not in dataset.name:
        raise DataError(
            f"{dataset.name}: 1 class ({dataset.classes[0]!r}), so that every answer is right; expected at least 2",
            "a folder for each class, below train/",
        )


def _check_normalisation(known: Normalisation | None, dataset: Dataset) -> None:
    """Raise BadValue where images and test images are whitened differently: networks would be right by chance alone."""
    own = dataset.normalisation
    if known is not None and known != own and isinstance(own, Whitening) | isinstance(known, Whitening):
        raise BadValue(
            f"the synthetic images have {known.name!r}, and the test images of {dataset.name!r} would have "
            f"{own.name!r}: they have to be normalised alike",
            "evaluate(load_set(...), ...), or dataset.normalised_as(set.normalisation)",
        )


class EvaluationRun:
    """Trains all networks of an evaluation together; last-epoch top-1 on the whole test set is the result.

    The test images are read once, after the last step: no choice made here can depend on them.

    Parameters
    ----------
    images : Images, Tensor, ClassData or Source
        Normalised synthetic images with what a network is to answer to each, or (C, M, c, h, w) by class; or the real
        ones, to train on those; or what draws images, as many as ``evaluation.generated`` says.
    dataset : Dataset
        Gives the test set and its normalisation.
    evaluation : Evaluation
        The protocol.
    also : Dataset, optional
        ``evaluation.also_on``.
    programs : Programs, optional
        What other runs have compiled.

    Attributes
    ----------
    accuracies, also_accuracies : list of float
        Percent, one per network, on the test images of ``dataset`` and of ``also``; empty before the end.
    """

    def __init__(
        self,
        images: Trained,
        dataset: Dataset,
        evaluation: Evaluation,
        also: Dataset | None = None,
        programs: Programs | None = None,
    ) -> None:
        check_judge(dataset)
        if evaluation.steps and evaluation.stop_ipc:
            raise BadValue(
                f"evaluation for {evaluation.steps} steps and for those of {evaluation.stop_ipc} images per class; "
                "expected one of the two",
                "stop_ipc=0",
            )
        # A regression has no epochs.
        epochs = getattr(evaluation.learner, "epochs", 1)
        if evaluation.networks < 1 or epochs < 1:
            raise BadValue(
                f"evaluation with {evaluation.networks} networks and {epochs} epochs; expected at least one of each",
                "",
            )
        # Which test images are read is part of the key, so it must not depend on what happens to be given.
        if evaluation.also_on != ("" if also is None else also.name):
            given = "none" if also is None else f"{also.name!r}"
            raise BadValue(f"evaluation also tests on {evaluation.also_on!r}, and was given {given}", "")
        self.device = images.images.device if isinstance(images, Images) else images.device
        self.dataset, self.also, self.evaluation = dataset, also, evaluation
        # Seeded by the panel, not by the set: all sets are evaluated by the same networks, in the same order.
        self.streams = Streams(evaluation.panel, self.device)
        training_data = self._training_data(images)
        stop, classes = evaluation.stop(dataset.num_classes), dataset.num_classes
        seen = evaluation.learner.shown(training_data.size, stop)
        one = forward_operations(evaluation.network, dataset.shape, classes)
        # One forward and two backward passes for every image shown, as in distillation.
        work = 3 * one * seen * evaluation.networks
        self.engine = Engine(evaluation.mode, self.device, operations=work, programs=programs)
        outputs = Outputs(dataset.shape, classes, evaluation.networks, self.streams["evaluation"])
        self.training = evaluation.learner.begin(
            training_data, evaluation.network, outputs, self.engine, stop
        )
        self.accuracies: list[float] = []
        self.also_accuracies: list[float] = []
        self.stopwatch = Stopwatch(self.device, "evaluate")

    def _training_data(self, images: Trained) -> TrainingData:
        """The training data of the networks."""
        how, classes = self.evaluation.generated, self.dataset.num_classes
        if isinstance(images, ClassData):
            return TrainingData(images.at, images.total)
        if isinstance(images, Tensor):
            shape = (classes, *self.dataset.shape)
            if images.dim() != 5 or (images.shape[0], *images.shape[2:]) != shape:
                raise BadValue(
                    f"the synthetic images are {tuple(images.shape)}; expected ({classes}, M, "
                    f"{', '.join(map(str, shape[1:]))}): for each class of {self.dataset.name} its M images",
                    "evaluate(load_set(...), ...), or images.unflatten(0, (classes, M)) if they stand class by class",
                )
            images = _by_class(images)
        if isinstance(images, Images):
            _check_answers(images.targets, self.evaluation.learner)
            _check_normalisation(images.normalisation, self.dataset)
            return _in_memory(images)
        if how is None:
            raise BadValue(
                "a generator is to be judged, and the evaluation does not say by how many images", ""
            )
        how.check()
        if not how.fresh:
            # Drawn once, they are stored images like any others, and INPC is then an IPC.
            labels = torch.arange(classes, device=self.device).unsqueeze(1).expand(-1, how.per_class)
            return _in_memory(_by_class(images.draw(labels, self.streams["noise"])))

        def fetch(index: Tensor) -> tuple[Tensor, Tensor]:
            # The classes in turn: an epoch of C * INPC images has INPC of each.
            labels = index % classes
            return images.draw(labels, self.streams["noise"]), labels

        batch = getattr(self.evaluation.learner, "batch", classes)
        return TrainingData(fetch, how.size(classes, batch))

    @property
    def steps(self) -> int:
        return self.training.steps + 1

    @property
    def step(self) -> int:
        return self.training.step + bool(self.accuracies)

    @property
    def ahead(self) -> int:
        """Steps to come of the kind of the next one: training steps, or the test."""
        return self.training.steps - self.training.step or int(not self.done)

    @property
    def done(self) -> bool:
        return bool(self.accuracies)

    @property
    def seconds(self) -> float:
        """Spent on training and testing."""
        return self.stopwatch.seconds["evaluate"]

    @property
    def core_seconds(self) -> float:
        """Processor time of it, added up over threads."""
        return self.stopwatch.core_seconds

    def advance(self) -> None:
        """One training step of all networks, or, after the last one, the test."""
        with self.stopwatch.phase("evaluate"):
            if not self.training.done:
                self.training.advance()
            else:
                self.training.check()
                if self.also is not None:
                    self.also_accuracies = self._tested(self.also)
                # Last, since ``done`` is read from it.
                self.accuracies = self._tested(self.dataset)

    def _tested(self, on: Dataset) -> list[float]:
        test, labels = on.test_images, on.test_labels.to(self.device)
        # Test images are normalised exactly as training images were, whatever set they come from.
        normalisation = self.dataset.normalisation  # that of the images the networks were trained on

        def images(part: slice) -> Tensor:
            # Chunk by chunk: as floats, all test images take four times the memory of their bytes.
            return normalisation.apply(test[part].to(self.device).float() / 255)

        return self.training.accuracy(images, labels)

    def state(self) -> dict[str, Tensor]:
        """Everything needed to go on bit for bit."""
        out = {f"stream.{name}": value for name, value in self.streams.state().items()}
        out |= {f"training.{name}": value for name, value in self.training.state().items()}
        times = {"seconds": self.seconds, "core_seconds": self.core_seconds}
        return out | {name: torch.tensor(value, dtype=torch.float64) for name, value in times.items()}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Go on from what :meth:`state` returned, in a fresh object made with the same arguments."""
        self.streams.restore(below(state, "stream."))
        self.training.restore(below(state, "training."), self.streams["evaluation"])
        self.stopwatch.restore({"evaluate": float(state["seconds"])}, float(state["core_seconds"]))


def _by_class(images: Tensor) -> Images:
    """Images (C, M, c, h, w) with the labels of their classes."""
    classes, each = images.shape[:2]
    labels = torch.arange(classes, device=images.device).repeat_interleave(each)
    return Images(images.detach().flatten(0, 1), labels)


def _check_answers(targets: Tensor, learner: Learner) -> None:
    """Raise BadValue for answers below 0 under cross-entropy, which then has no least value and only diverges."""
    if isinstance(learner, SGD) and learner.loss is cross_entropy and bool((targets < 0).any()):
        raise BadValue(
            f"the set's labels are real numbers down to {float(targets.min()):.3g}, and cross-entropy is to be learned "
            "from them; expected probabilities, or a squared error",
            "learner=SquaredError(), or judged_as='dsa-squares'",
        )


def _in_memory(made: Images) -> TrainingData:
    """Images that are there, with their targets."""

    def fetch(index: Tensor) -> tuple[Tensor, Tensor]:
        return made.images[index], made.targets[index]

    return TrainingData(fetch, len(made.targets), made.rates, made.steps)


def evaluate(images: DistilledSet | Trained, dataset: Dataset, evaluation: Evaluation) -> list[float]:
    """Accuracies in percent, one per network, in one call; see :class:`EvaluationRun`.

    ``images`` may also be a distilled set: its own normalisation is then the one of the test images too, and its own
    answers, rates and number of steps are those that networks learn from.
    """
    if isinstance(images, DistilledSet):
        dataset = dataset.normalised_as(images.normalisation)
        how = images.rates, images.steps, images.normalisation
        images = Images(images.normalised, images.labels, *how)
    run = EvaluationRun(images, dataset, evaluation)
    while not run.done:
        run.advance()
    return run.accuracies
