"""Training of generators: the plain loop's numbers, at every step resumable, and stopped where it makes no sense."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest
import reference
import torch
from safetensors.torch import load, save
from tiny import NETWORK, generative
from torch import Tensor, nn

from dreamlib import engine, generate
from dreamlib.containers import Generator, Pixels
from dreamlib.data import ClassData, Dataset, statistics
from dreamlib.engine import Engine
from dreamlib.errors import BadValue, Diverged
from dreamlib.generate import GeneratorTraining
from dreamlib.matchers import Feature, Gradient, Logits, Matcher
from dreamlib.networks import NetworkSpec
from dreamlib.recipe import Generation, Recipe, change

GAN, DIM = generative("gan"), generative("dim")
Tensors = dict[str, Tensor]


@pytest.fixture(autouse=True)
def unwatched(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a dozen steps of a generator this small nothing has come of the noise yet."""
    monkeypatch.setattr(generate, "COLLAPSED", 0.0)


def trained(
    data: ClassData, recipe: Recipe, seed: int = 0, start: Tensors | None = None
) -> GeneratorTraining:
    run = GeneratorTraining(data, recipe, seed, start)
    while not run.done:
        run.advance()
    return run


@pytest.fixture(scope="module")
def gan(few: ClassData) -> GeneratorTraining:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(generate, "COLLAPSED", 0.0)
        return trained(few, GAN)


@pytest.fixture
def start(gan: GeneratorTraining) -> Tensors:
    return gan.snapshots[2]


def kept(state: Tensors) -> Tensors:
    """All of a state but the times."""
    return {name: value for name, value in state.items() if not name.startswith("seconds.")}


def same(one: Tensors, other: Tensors) -> bool:
    return one.keys() == other.keys() and all(value.equal(other[name]) for name, value in one.items())


def close(found: nn.Module, expected: nn.Module, before: Tensors) -> None:
    """Weights agree, measured by how far the farthest of them moved."""
    far = max(float((other - before[name]).abs().max()) for name, other in weights(expected).items())
    assert far > 1e-3
    for name, one in weights(found).items():
        torch.testing.assert_close(one, weights(expected)[name], rtol=0, atol=1e-4 * far)


def weights(module: nn.Module) -> Tensors:
    return {name: value.detach() for name, value in module.named_parameters()}


# What a step does


@pytest.fixture
def plainly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gradient descent: Adam makes as much of a gradient of 1e-9, all that a bias before a batch norm has, as of 1."""

    def descend(parameters: Any, lr: float, betas: tuple[float, float]) -> torch.optim.SGD:
        assert betas == (0.0, 0.9)
        return torch.optim.SGD(parameters, lr=lr)

    monkeypatch.setattr(torch.optim, "Adam", descend)


@pytest.mark.usefixtures("plainly")
@pytest.mark.parametrize("label", ["inside", "beside"])
def test_steps_of_the_gan_are_those_of_the_plain_loop(few: ClassData, label: str) -> None:
    recipe = generative("gan", container__width=8, container__label=label, generation__lr=0.02)
    run = GeneratorTraining(few, recipe, seed=5)
    start = run.snapshots[0]
    net, judge, losses = reference.generate(few, recipe, 5, start, 3)
    for _ in range(3):
        run.advance()
    assert run.losses == [(step + 1, pytest.approx(loss, rel=1e-4)) for step, loss in enumerate(losses)]
    assert run.partner is not None
    close(run.generator, net, below(start, "generator."))
    close(run.partner, judge, below(start, "partner."))


@pytest.mark.usefixtures("plainly")
@pytest.mark.parametrize("matcher", [Logits(), Logits("log-softmax"), Feature(), Gradient("mse")])
@pytest.mark.parametrize(
    ("norm", "augment"), [("instance", "none"), ("batch", "none"), ("instance", "color_crop")]
)
def test_steps_of_dim_are_those_of_the_plain_loop(
    few: ClassData, start: Tensors, matcher: Matcher, norm: str, augment: str
) -> None:
    how: dict[str, Any] = {
        "generation__models": (replace(NETWORK, norm=norm),),
        "generation__weight": 1.0,
        "generation__matched_lr": 0.02,
    }
    recipe = generative("dim", matcher=matcher, augment__strategy=augment, **how)
    run = GeneratorTraining(few, recipe, 5, start)
    net, judge, losses = reference.generate(few, recipe, 5, start, 2)
    for _ in range(2):
        run.advance()
    assert run.losses == [(step + 9, pytest.approx(loss, rel=1e-4)) for step, loss in enumerate(losses)]
    assert run.partner is not None
    close(run.generator, net, below(start, "generator."))
    close(run.partner, judge, below(start, "partner."))


def below(state: Tensors, prefix: str) -> Tensors:
    return {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}


def test_both_networks_move_by_adam(few: ClassData, start: Tensors) -> None:
    for run, rate in (
        (GeneratorTraining(few, generative("gan", generation__lr=3e-4), 0), 3e-4),
        (GeneratorTraining(few, generative("dim", generation__matched_lr=7e-5), 0, start), 7e-5),
    ):
        run.advance()
        assert run.partner is not None
        for move, module in zip(run.moves, (run.generator, run.partner), strict=True):
            (group,) = move.param_groups
            assert (type(move), group["lr"], group["betas"]) == (torch.optim.Adam, rate, (0.0, 0.9))
            assert len(move.state) == len(list(module.parameters()))


def test_matching_with_no_weight_is_the_gan(few: ClassData, gan: GeneratorTraining) -> None:
    """From its very start, with the first stage's numbers: networks of the pool are drawn and trained, in vain."""
    how = {"matched_from": 0, "matched_epochs": 3, "matched_batch": 40, "weight": 0.0}
    recipe = generative("dim", **{f"generation__{name}": value for name, value in how.items()})
    assert recipe.first == GAN.canonical
    run = trained(few, recipe, start=gan.snapshots[0])
    assert same(run.stored, gan.stored)
    assert run.losses == gan.losses
    weighed = trained(few, change(recipe, "generation.weight", 0.1), start=gan.snapshots[0])
    assert not same(weighed.stored, gan.stored)


def test_real_and_generated_images_are_compared_under_one_augmentation(
    few: ClassData, start: Tensors
) -> None:
    plain, augmented = (generative("dim", augment__strategy=name) for name in ("none", "crop_flip"))
    assert plain.first == augmented.first
    assert plain.canonical != augmented.canonical
    assert not same(trained(few, plain, start=start).stored, trained(few, augmented, start=start).stored)


def test_the_weight_is_that_of_the_matcher(few: ClassData, start: Tensors) -> None:
    losses = []
    for weight in (0.0, 1.0, 3.0):
        run = GeneratorTraining(few, generative("dim", generation__weight=weight), 0, start)
        run.advance()
        losses.append(run.losses[0][1])
    assert losses[1] > losses[0]
    assert losses[2] - losses[0] == pytest.approx(3 * (losses[1] - losses[0]), rel=1e-3)


# What a run keeps


def test_states_are_kept_after_the_epochs_of_the_recipe(few: ClassData, gan: GeneratorTraining) -> None:
    assert (gan.steps, gan.per_epoch, gan.epoch) == (9, 3, 3)
    assert list(gan.snapshots) == [0, 1, 2, 3]
    assert {name.split(".")[0] for name in gan.snapshots[1]} == {"generator", "partner", "adam"}
    assert same(below(gan.snapshots[3], "generator."), gan.stored)
    run = trained(few, DIM, start=gan.snapshots[2])
    assert (run.steps, run.per_epoch, run.first, run.epoch) == (8, 4, 2, 4)
    assert list(run.snapshots) == [2, 4]
    assert {name.split(".")[0] for name in run.snapshots[2]} == {"generator"}
    assert same(run.snapshots[2], {k: v for k, v in gan.snapshots[2].items() if k.startswith("generator.")})
    assert not same(run.stored, gan.stored)
    assert run.seconds["network"] > 0
    assert gan.seconds.keys() == {"generator"}
    counts = {"generator": sum(value.numel() for value in weights(gan.generator).values())}
    assert gan.partner is not None
    counts["partner"] = sum(value.numel() for value in weights(gan.partner).values())
    assert gan.notes == {"parameters": counts, "steps": 9}


def test_matching_goes_on_from_both_networks(few: ClassData, start: Tensors) -> None:
    run = GeneratorTraining(few, DIM, 0, start)
    assert run.partner is not None
    assert same(run.generator.state_dict(), below(start, "generator."))
    assert same(run.partner.state_dict(), below(start, "partner."))
    before = {name: value.clone() for name, value in start.items()}
    run.advance()
    assert same(start, before), "what a course holds is not written to"


@pytest.mark.parametrize("carries", [False, True])
def test_matching_goes_on_with_what_adam_remembers_if_it_is_to(few: ClassData, carries: bool) -> None:
    """With a weight of 0 and the numbers of the first stage, the second one continues it or starts Adam afresh."""
    how = {"carries_adam": carries, "lr": 1e-3}
    alone = trained(few, generative("gan", **{f"generation__{name}": value for name, value in how.items()}))
    kept = {name for name in alone.snapshots[2] if name.startswith("adam.")}
    assert bool(kept) == carries
    more = {"matched_batch": 40, "matched_epochs": 1, "weight": 0.0, "matched_lr": 1e-3}
    recipe = generative("dim", **{f"generation__{name}": value for name, value in (how | more).items()})
    run = GeneratorTraining(few, recipe, 0, alone.snapshots[2])
    for ours, theirs in zip(run.moves, alone.moves, strict=True):
        assert bool(ours.state_dict()["state"]) == carries
        assert ours.param_groups[0]["lr"] == theirs.param_groups[0]["lr"] == 1e-3
    if carries:
        first = run.moves[0].state_dict()["state"][0]
        assert first["exp_avg"].equal(alone.snapshots[2]["adam.generator.0.exp_avg"])
        assert float(first["step"]) == 6  # two epochs of three steps
        before = alone.snapshots[2]["adam.generator.0.exp_avg"].clone()
        run.advance()
        assert alone.snapshots[2]["adam.generator.0.exp_avg"].equal(before), "a course is not written to"
        without = {name: value for name, value in alone.snapshots[2].items() if name not in kept}
        with pytest.raises(BadValue, match=r"the start does not hold it\n.*carries_adam=False"):
            GeneratorTraining(few, recipe, 0, without)


def test_every_image_is_seen_once_in_an_epoch(few: ClassData) -> None:
    run, seen = GeneratorTraining(few, GAN, 0), []
    draw = run._draw

    def noted(index: Tensor) -> Any:
        seen.append(index)
        return draw(index)

    run._draw = noted  # type: ignore[method-assign]  # to look at what a step is given
    while not run.done:
        run.advance()
    epochs = torch.cat(seen).view(3, -1)
    assert all(epoch.sort().values.tolist() == list(range(120)) for epoch in epochs)
    assert not epochs[0].equal(epochs[1])


def test_every_epoch_has_a_network_of_the_pool(few: ClassData, start: Tensors) -> None:
    recipe = generative("dim", generation__matched_epochs=8, generation__matched_batch=60)
    run, drawn = GeneratorTraining(few, recipe, 0, start), []
    while not run.done:
        run.advance()
        if run.iteration % run.per_epoch == 1:
            drawn.append(run.model)
            network = run.network
        else:
            assert run.network is network
    assert len(drawn) == 8
    assert set(drawn) == {0, 1}


def test_a_seed_decides_and_nothing_around_it(few: ClassData, gan: GeneratorTraining) -> None:
    before = torch.get_rng_state()
    torch.manual_seed(99)
    run = GeneratorTraining(few, GAN, 0)
    while not run.done:
        run.advance()
        run.preview()  # looking changes nothing
    assert same(run.stored, gan.stored)
    assert not same(trained(few, GAN, seed=1).stored, gan.stored)
    torch.set_rng_state(before)


def test_a_preview_is_of_every_class_and_always_from_the_same_noise(gan: GeneratorTraining) -> None:
    images = gan.preview()
    assert images.shape == (10, generate.PREVIEW, 1, 8, 8)
    assert 0 <= float(images.min()) <= float(images.max()) <= 1
    assert images.equal(gan.preview())


# Stopping and going on


@pytest.mark.parametrize("norm", ["", "instance", "batch"])
def test_a_run_goes_on_bit_for_bit_from_every_step(few: ClassData, start: Tensors, norm: str) -> None:
    spec = replace(NETWORK, width=4, depth=1, norm=norm or "none")
    recipe = GAN if not norm else change(DIM, "generation.models", (spec, replace(spec, depth=2)))

    def fresh() -> GeneratorTraining:
        return GeneratorTraining(few, recipe, 3, start if norm else None)

    whole, states = fresh(), []
    while not whole.done:
        states.append(save({name: value.contiguous() for name, value in whole.state().items()}))
        whole.advance()
    assert len(states) == whole.steps == (8 if norm else 9)
    for step, saved in list(enumerate(states))[
        ::-3
    ]:  # the last, and down from there: within epochs and between
        again = fresh()
        again.restore(load(saved))
        assert again.step == step
        assert again.state().keys() == load(saved).keys()
        assert all(value.equal(load(saved)[name]) for name, value in again.state().items())
        while not again.done:
            again.advance()
        assert same(kept(again.state()), kept(whole.state()))
        assert again.losses == whole.losses
        assert again.snapshots.keys() == whole.snapshots.keys()


def test_a_state_of_another_recipe_does_not_fit(few: ClassData) -> None:
    run = GeneratorTraining(few, GAN, 0)
    run.advance()
    with pytest.raises((KeyError, RuntimeError)):
        GeneratorTraining(few, generative("gan", container__width=6), 0).restore(run.state())


@pytest.mark.usefixtures("plainly")
@pytest.mark.parametrize("stage", ["first", "matched"])
def test_a_traced_step_is_the_plain_one(
    few: ClassData, start: Tensors, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    """What the compiler is given, the gradient penalty's second derivatives included, run as it is."""
    monkeypatch.setattr(engine, "_COMPILED", compiled := {})
    monkeypatch.setattr(torch, "compile", lambda traced, **how: traced)
    recipe = generative("gan", generation__lr=0.02)
    if stage == "matched":  # under an augmentation, whose numbers are another every step
        how = {"matched_lr": 0.02, "weight": 1.0, "models": (replace(NETWORK, width=4),)}
        recipe = generative(
            "dim", augment__strategy="color", **{f"generation__{name}": value for name, value in how.items()}
        )
    begin = start if stage == "matched" else None

    def fresh(recipe: Recipe, seed: int = 0) -> GeneratorTraining:
        run = GeneratorTraining(few, recipe, seed, begin)
        run.step_engine = Engine(recipe.mode, "cpu")  # as on a GPU
        return run

    runs = [fresh(replace(recipe, mode=mode)) for mode in ("plain", "compiled")]
    before = runs[0].snapshots[runs[0].first]
    for run in runs:
        run.advance()
        run.advance()
    assert len(compiled) == (
        4 if stage == "matched" else 2
    )  # with the network's learning: batches of 8, 8 and 4
    assert runs[1].losses == [(step, pytest.approx(loss, rel=1e-4)) for step, loss in runs[0].losses]
    close(runs[1].generator, runs[0].generator, below(before, "generator."))
    for module, other in ((runs[1].generator, runs[0].generator), (runs[1].partner, runs[0].partner)):
        assert module is not None
        assert other is not None
        for name, value in other.state_dict().items():
            torch.testing.assert_close(module.state_dict()[name], value, rtol=1e-3, atol=1e-5)
    # Another weight, rate, or pool beside it: the discriminator's share is compiled already.
    again = fresh(replace(change(recipe, "generation.weight", 0.5), mode="compiled"), 1)
    again.advance()
    assert len(compiled) == (5 if stage == "matched" else 2)


def test_on_a_cpu_a_step_is_not_compiled(few: ClassData, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "_COMPILED", compiled := {})
    GeneratorTraining(few, replace(GAN, mode="compiled"), 0).advance()
    assert not compiled


@pytest.mark.parametrize("name", ["gan", "dim", "dim-feature", "dim-gradient", "vae", "biggan"])
def test_a_fast_step_is_near_the_plain_one_and_repeats_itself_to_the_bit(
    few: ClassData, start: Tensors, name: str
) -> None:
    matched = name.startswith("dim")
    recipe = generative(name, **({} if matched else {"container__noise": 24, "container__width": 8}))

    def once(mode: str) -> tuple[GeneratorTraining, list[Tensor]]:
        run = GeneratorTraining(few, replace(recipe, mode=mode), 0, start if matched else None)
        run.engine = run.step_engine  # the network's own learning is compiled, and tested with the engine
        pulls, move = [], run._move

        def noted(adam: Any, module: nn.Module, gradients: Tensors, statistics: Tensors) -> None:
            pulls.append(torch.cat([value.flatten() for value in gradients.values()]))
            move(adam, module, gradients, statistics)

        run._move = noted  # type: ignore[method-assign]  # to look at what Adam is given
        run.advance()
        return run, pulls

    (plain, exact), (fast, short), (again, _) = once("plain"), once("fast"), once("fast")
    assert not same(fast.stored, plain.stored)
    assert same(fast.stored, again.stored)
    assert fast.losses[0][1] == pytest.approx(plain.losses[0][1], rel=0.05, abs=0.02)
    assert len(short) == len(exact) == (2 if plain.partner is not None else 1)
    for found, expected in zip(short, exact, strict=True):
        assert found.dtype == torch.float32
        # At the start a generator's images are alike, and batch norm makes much of what rounding changes in them.
        assert float(torch.cosine_similarity(found, expected, dim=0)) > 0.7


# Stopped where it makes no sense


@pytest.mark.parametrize("name", ["gan", "dim"])
def test_a_rate_that_is_too_large_is_told(few: ClassData, start: Tensors, name: str) -> None:
    recipe = generative(name, generation__lr=1e30, generation__matched_lr=1e30)
    with pytest.raises(Diverged, match=r"(loss became nan|not finite)[^\n]*\n.*lower lr \(now 1e\+30\)"):
        trained(few, recipe, start=start if name == "dim" else None)


def test_what_is_not_finite_is_neither_saved_nor_kept(few: ClassData) -> None:
    run = GeneratorTraining(few, GAN, 0)
    run.advance()
    run.state()
    with torch.no_grad():
        next(layer for layer in run.generator.modules() if isinstance(layer, nn.BatchNorm2d)).running_var[
            0
        ] = torch.inf
    with pytest.raises(Diverged, match="weights of the generator are not finite after step 1 of 9"):
        run.state()
    last = GeneratorTraining(few, GAN, 0)
    while last.step < last.steps - 1:
        last.advance()
    assert last.partner is not None
    moved = last._move

    def poisoned(adam: Any, module: nn.Module, *rest: Any) -> None:
        moved(adam, module, *rest)
        if module is last.generator:
            with torch.no_grad():
                next(module.parameters())[0] = torch.nan

    last._move = poisoned  # type: ignore[method-assign]  # a fault put in on purpose
    with pytest.raises(Diverged, match="weights of the generator are not finite after step 9 of 9"):
        last.advance()
    assert 3 not in last.snapshots


def test_a_generator_that_ignores_its_noise_is_stopped(
    few: ClassData, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generate, "COLLAPSED", 0.02)
    run = GeneratorTraining(few, generative("gan", generation__lr=0.0), 0)
    nn.init.zeros_(next(run.generator.parameters()))  # of its first layer, where the noise enters
    run.advance()
    run.advance()
    with pytest.raises(
        Diverged, match=r"collapsed by epoch 1 of 3: its images of class '0' differ by 0.00%.*\n.*seed"
    ):
        run.advance()


def test_spread_is_the_mean_deviation_of_a_pixel() -> None:
    images = torch.tensor([[0.0, 1.0], [0.25, 0.25]]).view(2, 2, 1, 1, 1).expand(2, 2, 1, 3, 3)
    assert GeneratorTraining._spread(images).tolist() == [0.5, 0.0]


def test_one_image_of_a_class_is_enough(digits: Dataset) -> None:
    one = ClassData(digits, per_class=1)
    run = trained(one, generative("gan", generation__batch=10))
    assert run.preview().shape == (10, 8, 1, 8, 8)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"generation__matched_batch": 121}, "a batch of 121 exceeds the 120 images of digits"),
        ({"generation__models": (NetworkSpec(depth=5, width=4),)}, "8"),
        ({"container__noise": 10}, "no room for the labels of 10 classes"),
        ({"generation": None}, "Generator, and nothing trains it"),
        ({"container": Pixels()}, "Pixels is no generator"),
        ({"generation__matched_from": 3, "generation__epochs": 2, "generation__kept": ()}, "trained for 2"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_computed(
    few: ClassData, start: Tensors, changes: dict[str, Any], says: str
) -> None:
    with pytest.raises(BadValue, match=says):
        GeneratorTraining(few, generative("dim", **changes), 0, start)


def test_images_of_a_size_that_cannot_be_drawn_are_refused() -> None:
    pixels = torch.zeros(20, 3, 24, 24, dtype=torch.uint8)
    labels = torch.arange(20) % 10
    dataset = Dataset("odd", pixels, labels, pixels, labels, tuple("0123456789"), statistics("cifar10"))
    with pytest.raises(BadValue, match="24x24; expected square ones of 8, 16, 28"):
        GeneratorTraining(ClassData(dataset), generative("gan", generation__batch=10), 0)


def test_matching_without_a_start_is_an_error(few: ClassData, start: Tensors) -> None:
    with pytest.raises(BadValue, match="trained for 2 epochs, and none is given"):
        GeneratorTraining(few, DIM, 0)
    lonely = {name: value for name, value in start.items() if name.startswith("generator.")}
    with pytest.raises(BadValue, match=r"another partner \(0 tensors\).*\n.*snapshots\[2\]"):
        GeneratorTraining(few, DIM, 0, lonely)


def test_a_recipe_of_images_is_no_training_of_a_generator(few: ClassData) -> None:
    with pytest.raises(BadValue, match="does not say how its generator is trained"):
        GeneratorTraining(few, Recipe(), 0)
    assert Recipe(container=Generator(), generation=Generation()).generation is not None


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
    run = GeneratorTraining(few, generative("gan", generation__objective=Reconstruction()), 0)
    assert run.partner is not None
    before = {name: value.clone() for name, value in run.partner.state_dict().items()}
    for _ in range(3):
        run.advance()
    after = run.partner.state_dict()
    assert int(after["2.num_batches_tracked"]) == 3
    assert not after["2.running_mean"].equal(before["2.running_mean"])
    assert not after["1.weight"].equal(before["1.weight"])
