"""Generators: the plain loop's numbers, and stopped where it makes no sense."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import pytest
import reference
import torch
from runs import bits, finish, same
from tiny import NETWORK, generative
from torch import Tensor, nn

from dreamlib.compute.engine import Engine, Programs
from dreamlib.containers import SGD, Generator, Optimiser, Pixels, Update
from dreamlib.core.errors import BadValue, Diverged
from dreamlib.core.files import below
from dreamlib.criteria import Adversarial, Batch
from dreamlib.criteria import generative as module
from dreamlib.data import ClassData, Dataset, statistics
from dreamlib.distillation.loop import BESIDE, Distillation
from dreamlib.distillation.recipe import Recipe, change
from dreamlib.matchers import Feature, Gradient, Logits, Matcher
from dreamlib.networks import NetworkSpec

pytestmark = pytest.mark.trains

GAN, DIM = generative("gan"), generative("dim")
RESNET = NetworkSpec("resnet10", width=4, norm="batch", form="idc")
Tensors = dict[str, Tensor]


@pytest.fixture(autouse=True)
def unwatched(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a dozen steps of a generator this small nothing has come of the noise yet."""
    monkeypatch.setattr(module, "COLLAPSED", 0.0)


def begun(data: ClassData, recipe: Recipe, seed: int = 0, start: Tensors | None = None) -> Distillation:
    return Distillation(data, recipe, ipc=1, seed=seed, start=start)


def trained(data: ClassData, recipe: Recipe, seed: int = 0, start: Tensors | None = None) -> Distillation:
    return finish(begun(data, recipe, seed, start))


@pytest.fixture(scope="module")
def gan(few: ClassData) -> Distillation:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "COLLAPSED", 0.0)
        return trained(few, GAN)


@pytest.fixture
def start(gan: Distillation) -> Tensors:
    return gan.snapshots[2]


def own(snapshot: Tensors) -> Tensors:
    """The generator's share of it."""
    return {name: value for name, value in snapshot.items() if not name.startswith(BESIDE)}


def partner(snapshot: Tensors) -> Tensors:
    return below(snapshot, f"{BESIDE}partner.")


def copies(tensors: Mapping[str, Tensor]) -> Tensors:
    return {name: value.clone() for name, value in tensors.items()}


def networks(run: Distillation) -> dict[str, nn.Module]:
    """The generator and its partner, new ones: which of their tensors are weights, and what they make of inputs."""
    recipe, shape, classes = run.recipe, run.data.shape, run.data.num_classes
    found = {"generator": recipe.container.module(shape, classes)}
    beside = recipe.criterion.objective.partner(
        shape, classes, recipe.container.noise, recipe.container.width
    )
    return found if beside is None else {**found, "partner": beside}


def tensors(run: Distillation) -> dict[str, Tensors]:
    return {"generator": run.stored, "partner": run.criterion.partner}


def close(found: Tensors, expected: nn.Module, before: Tensors) -> None:
    """Weights agree, measured by how far the farthest of them moved; and so do running statistics."""
    moved = {name: value.detach() for name, value in expected.named_parameters()}
    far = max(float((other - before[name]).abs().max()) for name, other in moved.items())
    assert far > 1e-3
    for name, other in moved.items():
        torch.testing.assert_close(found[name], other, rtol=0, atol=1e-4 * far)
    agree(found, expected)


def agree(found: Tensors, expected: nn.Module, rtol: float = 1e-4, atol: float = 1e-5) -> None:
    """Batch norms have seen the same."""
    for name, other in expected.named_buffers():
        torch.testing.assert_close(found[name], other, rtol=rtol, atol=atol)


@dataclass(frozen=True)
class Watched(Adversarial):
    """Notes what the losses are asked with: ("generator" or "partner", images, judgement, batch)."""

    seen: Any = ()

    def partner_loss(self, generator: Any, partner: Any, batch: Batch) -> Tensor:
        self._note("partner", generator, partner, batch)
        return super().partner_loss(generator, partner, batch)

    def generator_loss(self, generator: Any, partner: Any, batch: Batch) -> tuple[Tensor, Tensor]:
        self._note("generator", generator, partner, batch)
        return super().generator_loss(generator, partner, batch)

    @torch.no_grad()
    def _note(self, whose: str, generator: Any, partner: Any, batch: Batch) -> None:
        self.seen.append((whose, generator(batch.noise, batch.labels), partner(batch.real)[0], batch))


def watched(data: ClassData, **changes: Any) -> tuple[Distillation, list[Any]]:
    run, seen = begun(data, generative("gan", **changes)), []
    object.__setattr__(run.criterion, "how", replace(run.criterion.how, objective=Watched(seen=seen)))
    return run, seen


# What a step does


@pytest.fixture
def call_directly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gradient descent: Adam makes as much of a gradient of 1e-9, all that a bias before a batch norm has, as of 1."""

    def descend(parameters: Any, lr: float, betas: tuple[float, float]) -> torch.optim.SGD:
        assert betas == (0.0, 0.9)
        return torch.optim.SGD(parameters, lr=lr)

    def descending(container: Generator, images: Update) -> Mapping[str, Update]:
        return {"": SGD(container.lr)}

    monkeypatch.setattr(torch.optim, "Adam", descend)
    monkeypatch.setattr(Generator, "updates", descending)


@pytest.mark.usefixtures("call_directly")
@pytest.mark.parametrize("label", ["inside", "beside"])
def test_steps_of_the_gan_are_those_of_the_plain_loop(few: ClassData, label: str) -> None:
    recipe = generative("gan", container__width=8, container__label=label, container__lr=0.02)
    run = begun(few, recipe, seed=5)
    start = run.snapshots[0]
    net, judge, losses, _ = reference.generate(few, recipe, 5, start, 3)
    for _ in range(3):
        run.advance()
    assert run.losses == [(step + 1, pytest.approx(loss, rel=1e-4)) for step, loss in enumerate(losses)]
    close(run.stored, net, own(start))
    close(run.criterion.partner, judge, partner(start))


BATCH_NORM = replace(NETWORK, norm="batch")


@pytest.mark.usefixtures("call_directly")
@pytest.mark.parametrize(
    ("matcher", "network", "augment"),
    [
        (Logits(), NETWORK, "none"),
        (Logits(), RESNET, "color_crop_cutout"),
        (Logits("log-softmax"), BATCH_NORM, "none"),
        (Feature(), NETWORK, "color_crop_cutout"),
        (Feature("l1"), RESNET, "color_crop_cutout"),
        (Gradient("mse"), BATCH_NORM, "none"),
        (Gradient("mse"), RESNET, "color_crop_cutout"),
        (Gradient("l1", "convolutions"), NETWORK, "color_crop_cutout"),
    ],
)
def test_steps_of_dim_are_those_of_the_plain_loop(
    few: ClassData, start: Tensors, matcher: Matcher, network: NetworkSpec, augment: str
) -> None:
    how: dict[str, Any] = {
        "teacher__models": (network,),
        "criterion__weight": 1.0,
        "criterion__matched_rate": 20.0,
        "criterion__carries_adam": False,
        "teacher__lr": 1e-3,
    }
    recipe = generative("dim", matcher=matcher, augment__strategy=augment, **how)
    run = begun(few, recipe, 5, start)
    net, judge, losses, under = reference.generate(few, recipe, 5, start, 2)
    for _ in range(2):
        run.advance()
    assert run.losses == [(step + 9, pytest.approx(loss, rel=1e-4)) for step, loss in enumerate(losses)]
    close(run.stored, net, own(start))
    close(run.criterion.partner, judge, partner(start))
    assert run.network is not None
    assert under is not None
    agree(run.network.state_dict(), under)


def test_both_networks_move_by_adam(few: ClassData, start: Tensors) -> None:
    """A first step of Adam is the learning rate, whatever the gradient; no weight is left out."""
    second = generative("dim", criterion__matched_rate=0.05, criterion__carries_adam=False)
    for run, rate in (
        (begun(few, generative("gan", container__lr=3e-4)), 3e-4),
        (begun(few, second, 0, start), 5e-5),
    ):
        assert dict(run.updates) == {"": run.recipe.container.updates(SGD())[""]}
        assert run.updates[""].betas == (0.0, 0.9)
        before = {name: copies(values) for name, values in tensors(run).items()}
        run.advance()
        for name, net in networks(run).items():
            learned = [key for key, _ in net.named_parameters()]
            far = [float((tensors(run)[name][key] - before[name][key]).abs().max()) for key in learned]
            assert max(far) == pytest.approx(rate, rel=1e-2)
            remembered = run.optimiser if name == "generator" else run.criterion.optimiser
            assert {key.partition(":")[0] for key in remembered.state()} == set(learned)


def test_matching_with_no_weight_is_the_gan(few: ClassData, gan: Distillation) -> None:
    """From its very start, with the first stage's numbers. It is the control of a matcher, so no network is asked."""
    how = {"matched_from": 0, "matched_epochs": 3, "matched_batch": 40, "weight": 0.0}
    recipe = generative("dim", **how)
    assert recipe.first == GAN
    run = trained(few, recipe, start=gan.snapshots[0])
    assert same(run.stored, gan.stored)
    assert run.losses == gan.losses
    assert run.network is None
    weighed = trained(few, change(recipe, "weight", 0.1), start=gan.snapshots[0])
    assert not same(weighed.stored, gan.stored)


# What DiM's released code does where the paper is silent


@pytest.mark.parametrize("first", [False, True])
def test_the_generator_moves_first_and_the_discriminator_against_what_it_has_become(
    few: ClassData, first: bool
) -> None:
    run, seen = watched(few, criterion__generator_first=first)
    made, judged = [], []
    before = {name: copies(values) for name, values in tensors(run).items()}
    run.advance()
    batch = seen[0][3]
    for state in (before, tensors(run)):  # as they were, and as they have become
        for name, net in networks(run).items():
            net.load_state_dict(state[name])
            with torch.no_grad():
                if name == "generator":
                    made.append(net.train()(batch.noise, batch.labels))
                else:
                    judged.append(net.train()(batch.real)[0])
    assert [whose for whose, *_ in seen] == (["generator", "partner"] if first else ["partner", "generator"])
    images, judgements = ({whose: (one, other)[at] for whose, one, other, _ in seen} for at in (0, 1))
    assert not torch.allclose(made[0], made[1], rtol=0, atol=1e-5)
    torch.testing.assert_close(images["generator"], made[0])
    torch.testing.assert_close(images["partner"], made[1] if first else made[0])
    assert not torch.allclose(judged[0], judged[1], rtol=0, atol=1e-5)
    torch.testing.assert_close(judgements["partner"], judged[0])
    torch.testing.assert_close(judgements["generator"], judged[0] if first else judged[1])


def test_the_discriminators_images_have_noise_and_labels_of_their_own(few: ClassData) -> None:
    run, seen = watched(few, criterion__batch=120)
    for _ in range(2):
        run.advance()
    for *_, batch in seen:
        assert torch.bincount(batch.labels).tolist() == [12] * 10
        assert not batch.other_noise.equal(batch.noise)
        counts = torch.bincount(batch.other_labels, minlength=10)
        assert len(set(counts.tolist())) > 1, "drawn, and not the real images' twelve of every class"
        assert int(batch.other_labels.min()) >= 0
        assert int(batch.other_labels.max()) < 10
    shared, seen = watched(few, criterion__independent_draws=False)
    shared.advance()
    for *_, batch in seen:
        assert batch.other_noise.equal(batch.noise)
        assert batch.other_labels.equal(batch.labels)


def test_batch_norms_of_the_generator_see_the_images_of_both_steps(few: ClassData) -> None:
    run = begun(few, GAN)
    run.advance()
    run.advance()
    seen = {int(n) for name, n in run.stored.items() if name.endswith("num_batches_tracked")}
    assert seen == {4}


def test_real_and_generated_images_are_compared_under_one_augmentation(
    few: ClassData, start: Tensors
) -> None:
    plain, augmented = (generative("dim", augment__strategy=name) for name in ("none", "crop_flip"))
    assert plain.first == augmented.first
    assert plain != augmented
    assert not same(trained(few, plain, start=start).stored, trained(few, augmented, start=start).stored)


def test_the_weight_is_that_of_the_matcher(few: ClassData, start: Tensors) -> None:
    losses = []
    for weight in (0.0, 1.0, 3.0):
        run = begun(few, generative("dim", criterion__weight=weight), 0, start)
        run.advance()
        losses.append(run.losses[0][1])
    assert losses[1] > losses[0]
    assert losses[2] - losses[0] == pytest.approx(3 * (losses[1] - losses[0]), rel=1e-3)


# What a run keeps


def test_states_are_kept_after_the_epochs_of_the_recipe(few: ClassData, gan: Distillation) -> None:
    assert (gan.steps, gan.unit, gan.mark) == (9, 3, 3)
    assert list(gan.snapshots) == [0, 1, 2, 3]
    beside = {name.split(".")[0] for name in below(gan.snapshots[1], BESIDE)}
    assert beside == {"partner", "partner_moves", "moves"}
    assert same(own(gan.snapshots[3]), gan.stored)
    run = trained(few, DIM, start=gan.snapshots[2])
    assert (run.steps, run.unit, run.recipe.criterion.first, run.mark) == (8, 4, 2, 4)
    assert list(run.snapshots) == [2, 4]
    assert same(run.snapshots[2], own(gan.snapshots[2])), "and nothing beside it"
    assert not same(run.stored, gan.stored)
    assert run.seconds["network"] > 0
    assert gan.seconds.keys() == {"generator"}
    counts = {name: sum(w.numel() for w in net.parameters()) for name, net in networks(gan).items()}
    assert gan.notes == {"parameters": counts, "steps": 9}


def test_matching_goes_on_from_both_networks(few: ClassData, start: Tensors) -> None:
    run, before = begun(few, DIM, 0, start), copies(start)
    assert same(run.stored, own(start))
    assert same(run.criterion.partner, partner(start))
    run.advance()
    assert same(start, before), "what a course holds is not written to"


@pytest.mark.parametrize("carries", [False, True])
def test_matching_goes_on_with_what_adam_remembers_if_it_is_to(few: ClassData, carries: bool) -> None:
    """With a weight of 0 and the numbers of the first stage, the second one continues it or starts Adam afresh."""
    alone = trained(few, generative("gan", carries_adam=carries))
    kept = alone.snapshots[2]
    held = {which: below(kept, f"{BESIDE}{which}.") for which in ("moves", "partner_moves")}
    assert [bool(memory) for memory in held.values()] == [carries, carries]
    how = {"matched_batch": 40, "matched_epochs": 1, "weight": 0.0, "matched_rate": 1.0}
    recipe = generative("dim", carries_adam=carries, **how)
    run = begun(few, recipe, 0, kept)
    assert same(run.optimiser.state(), held["moves"])
    assert same(run.criterion.optimiser.state(), held["partner_moves"])
    if not carries:
        return
    assert {float(value) for name, value in held["moves"].items() if name.endswith(":step")} == {6.0}
    before = copies(kept)
    run.advance()
    assert same(kept, before), "a course is not written to"
    without = {name: value for name, value in kept.items() if "moves." not in name}
    with pytest.raises(BadValue, match=r"the start does not hold it\n.*carries_adam=False"):
        begun(few, recipe, 0, without)


def test_every_image_is_seen_once_in_an_epoch(few: ClassData) -> None:
    run, seen = watched(few)
    finish(run)
    real = torch.cat([batch.real for whose, _, _, batch in seen if whose == "generator"])
    every = few.normalisation.leave(few.at(torch.arange(120))[0], "signed")
    epochs = torch.cdist(real.flatten(1), every.flatten(1)).argmin(1).view(3, -1)
    assert all(epoch.sort().values.tolist() == list(range(120)) for epoch in epochs)
    assert not epochs[0].equal(epochs[1])


def test_a_seed_decides_and_nothing_around_it(few: ClassData, gan: Distillation) -> None:
    before = torch.get_rng_state()
    torch.manual_seed(99)
    run = begun(few, GAN)
    while not run.done:
        run.advance()
        run.preview()  # looking changes nothing
    assert same(run.stored, gan.stored)
    assert not same(trained(few, GAN, seed=1).stored, gan.stored)
    torch.set_rng_state(before)


def test_the_number_of_images_is_without_effect(few: ClassData, gan: Distillation) -> None:
    """None of them is stored: as many are drawn as are wanted."""
    assert same(bits(finish(Distillation(few, GAN, ipc=50, seed=0))), bits(gan))


def test_a_preview_is_of_every_class_and_always_from_the_same_noise(gan: Distillation) -> None:
    images = gan.preview()
    assert images is not None
    assert images.shape == (10, module.PREVIEW, 1, 8, 8)
    assert 0 <= float(images.min()) <= float(images.max()) <= 1
    assert images.equal(gan.preview())


def test_a_state_of_another_recipe_does_not_fit(few: ClassData) -> None:
    run = begun(few, GAN)
    run.advance()
    with pytest.raises(ValueError, match="holds another container"):
        begun(few, generative("gan", container__width=6)).restore(run.state())


@pytest.mark.usefixtures("call_directly")
@pytest.mark.parametrize("stage", ["first", "instance", pytest.param("batch", marks=pytest.mark.nightly)])
def test_a_traced_step_is_the_plain_one(
    few: ClassData, start: Tensors, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    """What the compiler is given, the gradient penalty's second derivatives included, run as it is."""
    programs = Programs()
    monkeypatch.setattr("torch._inductor.compile", lambda traced, shapes, options: traced)
    recipe = generative("gan", container__lr=0.02)
    if stage != "first":  # under an augmentation, whose numbers are another every step
        model = replace(NETWORK, width=4, norm=stage)
        how = {"matched_rate": 20.0, "weight": 1.0, "carries_adam": False, "teacher__models": (model,)}
        recipe = generative("dim", augment__strategy="color", **how)
    begin = start if stage != "first" else None

    # At this seed, rounding moves no response over a kink of the discriminator's activations.
    def fresh(recipe: Recipe, seed: int = 1) -> Distillation:
        run = Distillation(few, recipe, 0, seed, start=begin, programs=programs)
        run.criterion.engine = Engine(recipe.mode, "cpu", programs=programs)  # as on a GPU
        return run

    plain, traced = runs = [fresh(replace(recipe, mode=mode)) for mode in ("plain", "compiled")]
    before = own(plain.snapshots[recipe.criterion.first])
    for run in runs:
        run.advance()
        run.advance()
    assert len(programs.compiled) == (
        2 if stage == "first" else 3
    )  # with the network's learning: whole batches
    assert traced.losses == [(step, pytest.approx(loss, rel=1e-4)) for step, loss in plain.losses]
    net = networks(plain)["generator"]
    net.load_state_dict(plain.stored)
    close(traced.stored, net, before)
    for name, values in tensors(plain).items():
        for key, value in values.items():
            torch.testing.assert_close(tensors(traced)[name][key], value, rtol=1e-3, atol=1e-5)
    if stage == "batch":
        assert plain.network is not None
        assert traced.network is not None
        agree(traced.network.state_dict(), plain.network, rtol=1e-2, atol=1e-3)
    # Another weight, rate, or pool beside it: the discriminator's share is compiled already.
    again = fresh(replace(change(recipe, "weight", 0.5), mode="compiled"), 2)
    again.advance()
    assert len(programs.compiled) == (2 if stage == "first" else 4)


def test_on_a_cpu_a_step_is_not_compiled(few: ClassData) -> None:
    run = begun(few, replace(GAN, mode="compiled"))
    run.advance()
    assert not run.engine.programs.compiled


@pytest.mark.parametrize("name", ["gan", "dim", "dim-feature", "dim-gradient", "vae", "biggan"])
def test_a_fast_step_is_near_the_plain_one_and_repeats_itself_to_the_bit(
    few: ClassData, start: Tensors, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    matched = name.startswith("dim")
    recipe = generative(name, **({} if matched else {"container__noise": 24, "container__width": 8}))
    pulls: list[Tensor] = []
    move = Optimiser.step

    def noted(moves: Optimiser, moved: Tensors, gradients: Tensors, lr_factor: float = 1.0) -> None:
        pulls.append(torch.cat([value.flatten() for value in gradients.values()]))
        move(moves, moved, gradients, lr_factor)

    monkeypatch.setattr(Optimiser, "step", noted)

    def once(mode: str) -> tuple[Distillation, list[Tensor]]:
        run = begun(few, replace(recipe, mode=mode), 0, start if matched else None)
        if matched:  # the network's own learning is compiled, and tested with the engine
            run.teaching.scene = replace(run.scene, engine=run.criterion.engine)
        pulls.clear()
        run.advance()
        return run, list(pulls)

    (plain, exact), (fast, short), (again, _) = once("plain"), once("fast"), once("fast")
    # Where nothing shorter pays, a network this narrow is computed as in plain mode.
    assert same(fast.stored, plain.stored) == (fast.engine.formats.short == "float32")
    assert same(fast.stored, again.stored)
    assert fast.losses[0][1] == pytest.approx(plain.losses[0][1], rel=0.05, abs=0.02)
    assert len(short) == len(exact) == (2 if plain.criterion.partner else 1)
    for found, expected in zip(short, exact, strict=True):
        assert found.dtype == torch.float32
        # At the start a generator's images are alike, and batch norm makes much of what rounding changes in them.
        assert float(torch.cosine_similarity(found, expected, dim=0)) > 0.7


# Stopped where it makes no sense


@pytest.mark.parametrize("name", ["gan", "dim"])
def test_a_rate_that_is_too_large_is_told(few: ClassData, start: Tensors, name: str) -> None:
    recipe = generative(name, container__lr=1e30)
    with pytest.raises(Diverged, match=r"(loss became nan|not finite)[^\n]*\n.*lower lr \(now 1e\+30\)"):
        trained(few, recipe, start=start if name == "dim" else None)


@pytest.mark.parametrize("whose", ["generator", "partner"])
def test_what_is_not_finite_is_neither_saved_nor_kept(
    few: ClassData, monkeypatch: pytest.MonkeyPatch, whose: str
) -> None:
    run = begun(few, GAN)
    run.advance()
    run.state()
    name, poisoned = next((n, v) for n, v in tensors(run)[whose].items() if v.is_floating_point())
    poisoned.view(-1)[0] = torch.inf
    with pytest.raises(Diverged, match=rf"{name} is not finite after step 1 of 9"):
        run.state()
    last = begun(few, GAN)
    while last.step < last.steps - 1:
        last.advance()
    after = last.criterion.after

    def poison(*given: Any) -> None:
        after(*given)
        tensors(last)[whose][name].view(-1)[0] = torch.nan

    monkeypatch.setattr(last.criterion, "after", poison)
    with pytest.raises(Diverged, match=rf"{name} is not finite after step 9 of 9"):
        last.advance()
    assert 3 not in last.snapshots


def test_a_generator_that_ignores_its_noise_is_stopped(
    few: ClassData, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "COLLAPSED", 0.02)
    run = begun(few, generative("gan", container__lr=0.0))
    first, _ = next(networks(run)["generator"].named_parameters())  # where the noise enters
    run.stored[first].zero_()
    run.advance()
    run.advance()
    with pytest.raises(
        Diverged, match=r"collapsed by epoch 1 of 3: the spread of its images of class '0' is 0.00%.*\n.*seed"
    ):
        run.advance()


def test_spread_is_the_mean_deviation_of_a_pixel() -> None:
    images = torch.tensor([[0.0, 1.0], [0.25, 0.25]]).view(2, 2, 1, 1, 1).expand(2, 2, 1, 3, 3)
    assert module._spread(images).tolist() == [0.5, 0.0]


def test_one_image_of_a_class_is_enough(digits: Dataset) -> None:
    one = ClassData(digits, per_class=1)
    images = trained(one, generative("gan", criterion__batch=10)).preview()
    assert images is not None
    assert images.shape == (10, 8, 1, 8, 8)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"criterion__matched_batch": 121}, "a batch of 121 exceeds the 120 images of digits"),
        ({"teacher__models": (NetworkSpec(depth=5, width=4),)}, "8"),
        ({"container__noise": 10}, "no room for the labels of 10 classes"),
        ({"container": Pixels()}, "Pixels is no generator"),
        ({"criterion__matched_from": 3, "criterion__epochs": 2, "criterion__also_kept": ()}, "trained for 2"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_computed(
    few: ClassData, start: Tensors, changes: dict[str, Any], says: str
) -> None:
    with pytest.raises(BadValue, match=says):
        begun(few, generative("dim", **changes), 0, start)


def test_images_of_a_size_that_cannot_be_drawn_are_refused() -> None:
    pixels = torch.zeros(20, 3, 24, 24, dtype=torch.uint8)
    labels = torch.arange(20) % 10
    dataset = Dataset("odd", pixels, labels, pixels, labels, tuple("0123456789"), statistics("cifar10"))
    with pytest.raises(BadValue, match="24x24; expected square ones of 8, 16, 28"):
        begun(ClassData(dataset), generative("gan", criterion__batch=10))


def test_matching_without_a_start_is_an_error(few: ClassData, start: Tensors) -> None:
    with pytest.raises(BadValue, match=r"a run of 2 steps, and none is given\n.*recipe.first"):
        begun(few, DIM)
    afresh = change(DIM, "carries_adam", False)
    begun(few, afresh, 0, start)
    with pytest.raises(BadValue, match=r"another partner \(0 tensors\).*\n.*snapshots\[2\]"):
        begun(few, afresh, 0, own(start))
    with pytest.raises(BadValue, match=r"another container \(0 tensors\).*\n.*snapshots\[2\]"):
        begun(few, afresh, 0, {k: v for k, v in start.items() if k.startswith(BESIDE)})
    with pytest.raises(BadValue, match="another container"):
        begun(few, change(afresh, "container.width", 6), 0, start)


@dataclass(frozen=True)
class Reconstruction:
    """An autoencoder whose encoder has a batch norm."""

    joint: bool = True

    def partner(self, shape: Any, num_classes: int, noise: int, width: int) -> nn.Module:
        size = shape[0] * shape[1] * shape[2]
        return nn.Sequential(nn.Flatten(), nn.Linear(size, noise), nn.BatchNorm1d(noise))

    def partner_loss(self, generator: Any, partner: Any, batch: Any) -> None:
        return None

    def generator_loss(self, generator: Any, partner: Any, batch: Any) -> tuple[Tensor, Tensor]:
        made = generator(partner(batch.real), batch.labels)
        return (made - batch.real).square().mean(), made


def test_a_partner_that_learns_with_the_generator_keeps_its_statistics_too(few: ClassData) -> None:
    run = begun(few, generative("gan", criterion__objective=Reconstruction()))
    before = copies(run.criterion.partner)
    for _ in range(3):
        run.advance()
    after = run.criterion.partner
    assert int(after["2.num_batches_tracked"]) == 3
    assert not after["2.running_mean"].equal(before["2.running_mean"])
    assert not after["1.weight"].equal(before["1.weight"])
