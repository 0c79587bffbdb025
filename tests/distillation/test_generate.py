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

from dreamlib.compute import engine
from dreamlib.compute.engine import Engine
from dreamlib.containers import Generator, Pixels
from dreamlib.core.errors import BadValue, Diverged
from dreamlib.data import ClassData, Dataset, statistics
from dreamlib.distillation import generate
from dreamlib.distillation.generate import GeneratorTraining
from dreamlib.distillation.recipe import Generation, Recipe, change
from dreamlib.matchers import Feature, Gradient, Logits, Matcher
from dreamlib.networks import NetworkSpec

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
    """Weights agree, measured by how far the farthest of them moved; and so do running statistics."""
    far = max(float((other - before[name]).abs().max()) for name, other in weights(expected).items())
    assert far > 1e-3
    for name, one in weights(found).items():
        torch.testing.assert_close(one, weights(expected)[name], rtol=0, atol=1e-4 * far)
    agree(found, expected)


def agree(found: nn.Module, expected: nn.Module, rtol: float = 1e-4, atol: float = 1e-5) -> None:
    """Batch norms have seen the same."""
    theirs = dict(expected.named_buffers())
    for name, one in found.named_buffers():
        torch.testing.assert_close(one, theirs[name], rtol=rtol, atol=atol)


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
    recipe = generative("gan", container__width=8, container__label=label, container__lr=0.02)
    run = GeneratorTraining(few, recipe, seed=5)
    start = run.snapshots[0]
    net, judge, losses, _ = reference.generate(few, recipe, 5, start, 3)
    for _ in range(3):
        run.advance()
    assert run.losses == [(step + 1, pytest.approx(loss, rel=1e-4)) for step, loss in enumerate(losses)]
    assert run.partner is not None
    close(run.generator, net, below(start, "generator."))
    close(run.partner, judge, below(start, "partner."))


MATCHERS = [
    Logits(),
    Logits("log-softmax"),
    Feature(),
    Feature("l1"),
    Gradient("mse"),
    Gradient("l1", "convolutions"),
]
RESNET = NetworkSpec("resnet10", width=4, norm="batch", form="idc")


@pytest.mark.usefixtures("plainly")
@pytest.mark.parametrize("matcher", MATCHERS)
@pytest.mark.parametrize(
    ("network", "augment"),
    [
        (NETWORK, "none"),
        (replace(NETWORK, norm="batch"), "none"),
        (NETWORK, "color_crop_cutout"),
        (RESNET, "color_crop_cutout"),
    ],
)
def test_steps_of_dim_are_those_of_the_plain_loop(
    few: ClassData, start: Tensors, matcher: Matcher, network: NetworkSpec, augment: str
) -> None:
    how: dict[str, Any] = {
        "teacher__models": (network,),
        "criterion__weight": 1.0,
        "criterion__matched_rate": 20.0,
        "teacher__lr": 1e-3,
    }
    recipe = generative("dim", matcher=matcher, augment__strategy=augment, **how)
    run = GeneratorTraining(few, recipe, 5, start)
    net, judge, losses, under = reference.generate(few, recipe, 5, start, 2)
    for _ in range(2):
        run.advance()
    assert run.losses == [(step + 9, pytest.approx(loss, rel=1e-4)) for step, loss in enumerate(losses)]
    assert run.partner is not None
    close(run.generator, net, below(start, "generator."))
    close(run.partner, judge, below(start, "partner."))
    assert run.network is not None
    assert under is not None
    agree(run.network, under)


def below(state: Tensors, prefix: str) -> Tensors:
    return {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}


def test_both_networks_move_by_adam(few: ClassData, start: Tensors) -> None:
    for run, rate in (
        (GeneratorTraining(few, generative("gan", container__lr=3e-4), 0), 3e-4),
        (GeneratorTraining(few, generative("dim", criterion__matched_rate=0.05), 0, start), 5e-5),
    ):
        run.advance()
        assert run.partner is not None
        for move, module in zip(run.moves, (run.generator, run.partner), strict=True):
            (group,) = move.param_groups
            assert (type(move), group["betas"]) == (torch.optim.Adam, (0.0, 0.9))
            assert group["lr"] == pytest.approx(rate)
            assert len(move.state) == len(list(module.parameters()))


def test_matching_with_no_weight_is_the_gan(few: ClassData, gan: GeneratorTraining) -> None:
    """From its very start, with the first stage's numbers. It is the control of a matcher, so no network is asked."""
    how = {"matched_from": 0, "matched_epochs": 3, "matched_batch": 40, "weight": 0.0}
    recipe = generative("dim", **{f"generation__{name}": value for name, value in how.items()})
    assert recipe.first == GAN.canonical
    run = trained(few, recipe, start=gan.snapshots[0])
    assert same(run.stored, gan.stored)
    assert run.losses == gan.losses
    assert run.network is None
    weighed = trained(few, change(recipe, "criterion.weight", 0.1), start=gan.snapshots[0])
    assert not same(weighed.stored, gan.stored)


# What DiM's released code does where the paper is silent


def test_the_generator_moves_first_and_the_discriminator_against_what_it_has_become(few: ClassData) -> None:
    for first, modules in ((True, ["generator", "partner"]), (False, ["partner", "generator"])):
        run = GeneratorTraining(few, generative("gan", criterion__generator_first=first), 0)
        moved, shown, move, judge = [], [], run._move, run._partner_gradients

        def noted(adam: Any, module: nn.Module, *rest: Any, move: Any = move, moved: Any = moved) -> None:
            moved.append(module)
            move(adam, module, *rest)

        def judged(given: Tensors, *rest: Any, judge: Any = judge, shown: Any = shown) -> Any:
            shown.append({name: value.clone() for name, value in given.items()})
            return judge(given, *rest)

        run._move, run._partner_gradients = noted, judged  # type: ignore[method-assign]  # to look at the order
        run.advance()
        assert moved == [getattr(run, name) for name in modules]
        after = weights(run.generator)
        assert same({name: shown[0][name] for name in after}, after) == first
        assert same(shown[0], below(run.snapshots[0], "generator.")) == (not first)


def test_the_discriminators_images_have_noise_and_labels_of_their_own(few: ClassData) -> None:
    run = GeneratorTraining(few, generative("gan", criterion__batch=120), 0)
    for _ in range(2):
        batch = run._draw(torch.arange(120))
        assert batch.labels.equal(few.at(torch.arange(120))[1])
        assert not batch.other_noise.equal(batch.noise)
        counts = torch.bincount(batch.other_labels, minlength=10)
        assert len(set(counts.tolist())) > 1, "drawn, and not the real images' twelve of every class"
        assert int(batch.other_labels.min()) >= 0
        assert int(batch.other_labels.max()) < 10
    shared = GeneratorTraining(few, generative("gan", criterion__independent_draws=False), 0)
    batch = shared._draw(torch.arange(40))
    assert batch.other_noise is batch.noise
    assert batch.other_labels is batch.labels


def test_batch_norms_of_the_generator_see_the_images_of_both_steps(few: ClassData) -> None:
    run = GeneratorTraining(few, GAN, 0)
    run.advance()
    run.advance()
    seen = {int(n) for name, n in run.generator.state_dict().items() if name.endswith("num_batches_tracked")}
    assert seen == {4}


@pytest.mark.parametrize("mode", ["train", "eval"])
def test_a_network_of_the_pool_stays_in_training_mode(few: ClassData, start: Tensors, mode: str) -> None:
    """Three batches of its own a step, and the real and the generated ones; or only its own."""
    how = {"teacher__models": (RESNET,), "teacher__mode": mode}
    run = GeneratorTraining(few, generative("dim", **how), 0, start)
    losses = []
    for _ in range(2):
        run.advance()
        losses.append(run.losses[-1][1])
    assert run.network is not None
    assert run.network.training == (mode == "train")
    state = run.network.state_dict()
    seen = {int(n) for name, n in state.items() if name.endswith("num_batches_tracked")}
    assert seen == {2 * (3 + 2) if mode == "train" else 2 * 3}


@pytest.mark.parametrize("space", ["signed", "unit"])
def test_what_a_network_of_the_pool_sees(few: ClassData, start: Tensors, space: str) -> None:
    """Images in [-1, 1] are normalised as if they were in [0, 1]: (2u - 1 - mean) / std; in its own training, too."""
    how = {"teacher__space": space, "criterion__weight": 1.0, "augment__strategy": "none"}
    recipe = generative("dim", **how, schedule__augment__strategy="none")
    run, seen = GeneratorTraining(few, recipe, 0, start), []
    unit = few.normalisation.undo(few.at(torch.arange(few.total))[0])
    mean, std = few.normalisation.columns(unit)
    expected = ((2 * unit - 1 if space == "signed" else unit) - mean) / std
    build = run._build_model

    def noted() -> Any:
        network = build()
        network.body[0].register_forward_pre_hook(lambda module, given: seen.append(given[0].detach()))
        return network

    run._build_model = noted  # type: ignore[method-assign]  # to look at what a network is given
    run.advance()
    sizes = [len(images) for images in seen]
    assert sizes == [8, 8, 8, 30, 30]  # its own batches, whole ones; the real images; the generated ones
    for images in seen[:4]:
        gaps = (images[:, None] - expected[None]).abs().flatten(2).amax(2)
        assert float(gaps.amin(1).max()) < 1e-5
        assert len(set(gaps.argmin(1).tolist())) == len(images)
    own = torch.cat(seen[:3])
    assert len({tuple(one.flatten().tolist()) for one in own}) == 24, "one pass over the data"
    low, high = (-1.0, 1.0) if space == "signed" else (0.0, 1.0)
    generated = seen[4] * std + mean
    assert low - 1e-5 <= float(generated.min()) < (low + high) / 2
    assert float(generated.max()) <= high + 1e-5


def test_a_pool_that_learns_in_batches_larger_than_the_data_is_refused(
    few: ClassData, start: Tensors
) -> None:
    with pytest.raises(BadValue, match=r"batches of 121, and digits has 120 images\n.*teacher.batch=120"):
        GeneratorTraining(few, generative("dim", teacher__batch=121), 0, start)


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
        run = GeneratorTraining(few, generative("dim", criterion__weight=weight), 0, start)
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
    more = {"matched_batch": 40, "matched_epochs": 1, "weight": 0.0, "matched_rate": 1.0}
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
    recipe = generative("dim", criterion__matched_epochs=8, criterion__matched_batch=60)
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


@pytest.mark.parametrize("norm", ["", "instance", "batch", "resnet"])
def test_a_run_goes_on_bit_for_bit_from_every_step(few: ClassData, start: Tensors, norm: str) -> None:
    if norm == "resnet":
        pool = RESNET, replace(RESNET, name="resnet10ap")
    else:
        spec = replace(NETWORK, width=4, depth=1, norm=norm or "none")
        pool = spec, replace(spec, depth=2)
    recipe = GAN if not norm else change(DIM, "teacher.models", pool)

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
@pytest.mark.parametrize("stage", ["first", "instance", "batch"])
def test_a_traced_step_is_the_plain_one(
    few: ClassData, start: Tensors, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    """What the compiler is given, the gradient penalty's second derivatives included, run as it is."""
    monkeypatch.setattr(engine, "_COMPILED", compiled := {})
    monkeypatch.setattr(torch, "compile", lambda traced, **how: traced)
    recipe = generative("gan", container__lr=0.02)
    if stage != "first":  # under an augmentation, whose numbers are another every step
        model = replace(NETWORK, width=4, norm=stage)
        how = {"matched_rate": 20.0, "weight": 1.0, "models": (model,)}
        recipe = generative(
            "dim", augment__strategy="color", **{f"generation__{name}": value for name, value in how.items()}
        )
    begin = start if stage != "first" else None

    # At this seed, rounding moves no response over a kink of the discriminator's activations.
    def fresh(recipe: Recipe, seed: int = 1) -> GeneratorTraining:
        run = GeneratorTraining(few, recipe, seed, begin)
        run.step_engine = Engine(recipe.mode, "cpu")  # as on a GPU
        return run

    runs = [fresh(replace(recipe, mode=mode)) for mode in ("plain", "compiled")]
    before = runs[0].snapshots[runs[0].first]
    for run in runs:
        run.advance()
        run.advance()
    assert len(compiled) == (2 if stage == "first" else 3)  # with the network's learning: whole batches
    assert runs[1].losses == [(step, pytest.approx(loss, rel=1e-4)) for step, loss in runs[0].losses]
    close(runs[1].generator, runs[0].generator, below(before, "generator."))
    pairs: list[tuple[nn.Module | None, nn.Module | None]] = [
        (runs[1].generator, runs[0].generator),
        (runs[1].partner, runs[0].partner),
    ]
    if stage == "batch":
        assert runs[0].network is not None
        assert runs[1].network is not None
        agree(runs[1].network, runs[0].network, rtol=1e-2, atol=1e-3)
    for module, other in pairs:
        assert module is not None
        assert other is not None
        for name, value in other.state_dict().items():
            torch.testing.assert_close(module.state_dict()[name], value, rtol=1e-3, atol=1e-5)
    # Another weight, rate, or pool beside it: the discriminator's share is compiled already.
    again = fresh(replace(change(recipe, "criterion.weight", 0.5), mode="compiled"), 2)
    again.advance()
    assert len(compiled) == (2 if stage == "first" else 4)


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
    recipe = generative(name, container__lr=1e30)
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
    run = GeneratorTraining(few, generative("gan", container__lr=0.0), 0)
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
    run = trained(one, generative("gan", criterion__batch=10))
    assert run.preview().shape == (10, 8, 1, 8, 8)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"criterion__matched_batch": 121}, "a batch of 121 exceeds the 120 images of digits"),
        ({"teacher__models": (NetworkSpec(depth=5, width=4),)}, "8"),
        ({"container__noise": 10}, "no room for the labels of 10 classes"),
        ({"generation": None}, "Generator, and nothing trains it"),
        ({"container": Pixels()}, "Pixels is no generator"),
        ({"criterion__matched_from": 3, "criterion__epochs": 2, "criterion__also_kept": ()}, "trained for 2"),
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
        GeneratorTraining(ClassData(dataset), generative("gan", criterion__batch=10), 0)


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
    run = GeneratorTraining(few, generative("gan", criterion__objective=Reconstruction()), 0)
    assert run.partner is not None
    before = {name: value.clone() for name, value in run.partner.state_dict().items()}
    for _ in range(3):
        run.advance()
    after = run.partner.state_dict()
    assert int(after["2.num_batches_tracked"]) == 3
    assert not after["2.running_mean"].equal(before["2.running_mean"])
    assert not after["1.weight"].equal(before["1.weight"])
