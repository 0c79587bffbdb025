"""The engine: one mathematics in every mode, for any matcher, shape and derivative."""

from __future__ import annotations

import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import reference
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import generator
from torch import Tensor
from torch._functorch.compile_utils import fx_graph_cse
from torch.fx.experimental.proxy_tensor import make_fx

from dreamlib.companion.cells import make_cell
from dreamlib.compute import engine as engines
from dreamlib.compute import operations
from dreamlib.compute.engine import MODES, Engine
from dreamlib.compute.formats import Formats
from dreamlib.core.errors import UnknownName
from dreamlib.criteria import Matching
from dreamlib.data import ClassData, load
from dreamlib.distillation.evaluate import EvaluationRun
from dreamlib.distillation.loop import Distillation, distill
from dreamlib.distillation.recipe import Recipe
from dreamlib.matchers import Feature, Gradient, measure_under
from dreamlib.networks import NetworkSpec, build, initialise
from dreamlib.networks.training import SGD, Stack, Training

pytestmark = pytest.mark.compiles

CPU = torch.device("cpu")
SMALL = NetworkSpec(width=8, depth=2)
SHALLOW = replace(SMALL, depth=1)  # compiled in half the time


@pytest.fixture(scope="module")
def digits() -> ClassData:
    return ClassData(load("digits"))


@pytest.fixture(scope="module")
def three() -> ClassData:
    """Digits 0 to 2: a trace of fewer classes is compiled sooner."""
    whole = load("digits")
    train, test = whole.train_labels < 3, whole.test_labels < 3
    return ClassData(
        replace(
            whole,
            train_images=whole.train_images[train],
            train_labels=whole.train_labels[train],
            test_images=whole.test_images[test],
            test_labels=whole.test_labels[test],
            classes=whole.classes[:3],
        )
    )


def recipe(matcher: Feature | Gradient, mode: str) -> Recipe:
    how = Matching(matcher=matcher, real_batch=8)
    return Recipe(criterion=how, network=SHALLOW, iterations=2, image_lr=0.1, mode=mode)


def close(found: Tensor, expected: Tensor, relative: float) -> None:
    assert float((found - expected).norm()) <= relative * float(expected.norm())


def test_an_unknown_mode_names_the_modes() -> None:
    with pytest.raises(UnknownName, match="plain, compiled, fast"):
        Engine("turbo", CPU)
    with pytest.raises(UnknownName, match="mode"):
        replace(recipe(Feature(), "plain"), mode="fats").check()


def test_a_function_that_differentiates_twice_is_compiled_once() -> None:
    calls = []

    def pull(x: Tensor, aim: list[Tensor]) -> dict[str, Tensor]:
        calls.append(1)
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            (slope,) = torch.autograd.grad(x.pow(3).sum(), x, create_graph=True)
            (second,) = torch.autograd.grad((slope - aim[0]).square().sum(), x)
        return {"second": second}

    x, aim = torch.arange(1.0, 5.0), torch.ones(4)
    expected = 2 * (3 * x**2 - 1) * 6 * x
    run = Engine("compiled", CPU)
    for _ in range(3):
        torch.testing.assert_close(run.run("a test", pull, x, [aim])["second"], expected)
    assert len(calls) == 1  # traced, not called again


@pytest.mark.nightly
@pytest.mark.parametrize("matcher", [Feature(), Gradient("mse", "convolutions")])
def test_compiled_distillation_is_the_plain_one(matcher: Feature | Gradient, three: ClassData) -> None:
    plain, compiled = (distill(three, recipe(matcher, mode), 2) for mode in ("plain", "compiled"))
    close(compiled.stored["images"], plain.stored["images"], 1e-5)
    assert compiled.losses[-1][1] == pytest.approx(plain.losses[-1][1], rel=1e-4)


@pytest.mark.parametrize("matcher", [Feature(), Gradient()])
def test_channels_lie_side_by_side_in_every_convolution_of_a_trace(matcher: Feature | Gradient) -> None:
    network = initialise(build(SMALL, (3, 8, 8), 2), generator()).requires_grad_(False)
    weights = dict(network.named_parameters())
    images, labels = torch.randn(2, 3, 3, 8, 8, generator=generator(1)), torch.arange(2)
    real = torch.randn(2, 5, 3, 8, 8, generator=generator(2))
    target = measure_under(weights, matcher, network, real, labels, False)

    def pull(images: Tensor) -> Tensor:
        with torch.enable_grad():
            images = images.detach().requires_grad_()
            found = measure_under(weights, matcher, network, images, labels, True)
            return torch.autograd.grad(matcher.distance(target, found), images)[0]

    traced = make_fx(pull, operations.FASTER, tracing_mode="fake", _allow_non_fake_inputs=True)(images)
    convolutions = [node for node in traced.graph.nodes if "convolution" in str(node.target)]
    assert len(convolutions) >= 4
    for node in convolutions:
        for given_ in node.all_input_nodes[: 2 if "backward" in str(node.target) else 1]:
            assert given_.meta["val"].is_contiguous(memory_format=torch.channels_last), node.format_node()
    close(traced(images), pull(images), 1e-4)


def test_maps_are_put_into_form_once_for_all_classes() -> None:
    """And not class by class: what a compiler would then work out anew, up to the network's first layer."""
    network = initialise(build(SMALL, (3, 8, 8), 4), generator()).requires_grad_(False)
    weights = dict(network.named_parameters())

    def forms(classes: int) -> int:
        images, labels = torch.randn(classes, 3, 3, 8, 8, generator=generator(1)), torch.arange(classes)

        def measured(images: Tensor) -> list[Tensor]:
            return measure_under(weights, Gradient(), network, images, labels, False)

        traced = make_fx(measured, operations.FASTER, tracing_mode="fake", _allow_non_fake_inputs=True)(
            images
        )
        return len([n for n in fx_graph_cse(traced.graph).nodes if n.target is torch.ops.aten.clone.default])

    assert forms(2) == forms(4)


@pytest.mark.parametrize("compiles", [True, False])
def test_fast_is_near_and_repeats_itself_to_the_bit(
    three: ClassData, monkeypatch: pytest.MonkeyPatch, compiles: bool
) -> None:
    plain, quick = distill(three, recipe(Feature(), "plain"), 2), recipe(Feature(), "fast")
    assert Distillation(three, quick, 2, 0).engine.eager  # so little work is not worth compiling
    if compiles:
        monkeypatch.setattr(Distillation, "_engine", lambda run, ipc, programs: Engine("fast", CPU))
    fast, again = distill(three, quick, 2), distill(three, quick, 2)
    assert fast.engine.eager != compiles
    moved = plain.stored["images"] - plain.snapshots[0]["images"]
    close(fast.stored["images"] - fast.snapshots[0]["images"], moved, 0.1)
    if compiles or fast.engine.formats.short != "float32":
        assert not torch.equal(fast.stored["images"], plain.stored["images"])
    assert torch.equal(fast.stored["images"], again.stored["images"])


@pytest.mark.parametrize(("device", "enough"), [("cpu", 1e13), ("cuda", 5e14)])
def test_fast_compiles_what_is_long_enough_to_gain_by_it(device: str, enough: float) -> None:
    assert Engine("fast", device, formats=Formats(), operations=0.9 * enough).eager
    assert not Engine("fast", device, formats=Formats(), operations=1.1 * enough).eager
    assert not Engine("fast", device, formats=Formats()).eager  # nobody said how much there is to do
    assert not Engine("compiled", device, operations=1).eager  # it was asked for
    assert Engine("plain", device, operations=math.inf).eager
    assert Engine("fast", device, formats=Formats(), operations=1).words == "bfloat16, not compiled"
    assert Engine("fast", device, formats=Formats()).words == "bfloat16"
    assert Engine("plain", device).words == "float32"


def test_whether_a_run_compiles_follows_from_its_recipe_and_not_from_what_is_left(digits: ClassData) -> None:
    long = replace(recipe(Feature(), "fast"), iterations=10**9)
    run = Distillation(digits, long, 2, 0)
    assert not run.engine.eager
    run.advance()
    state, again = run.state(), Distillation(digits, long, 2, 0)
    again.restore(state)
    assert not again.engine.eager
    how = replace(make_cell("quick", "dm", "digits", 10, 0).evaluation, mode="fast")
    images = torch.zeros(10, 10, 1, 8, 8)
    assert EvaluationRun(images, load("digits"), how).engine.eager
    longer = replace(how, learner=replace(how.learner, epochs=10**9))
    assert not EvaluationRun(images, load("digits"), longer).engine.eager


def test_a_gpu_rounds_no_factors_of_float32_unless_it_is_to_be_fast() -> None:
    """PyTorch lets convolutions round to TF32 by default, three digits less than what plain promises."""

    def now() -> tuple[str, bool]:
        return torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32

    before = now()
    for mode, expected in (
        ("plain", ("highest", False)),
        ("compiled", ("highest", False)),
        ("fast", ("high", True)),
    ):
        with engines._tf32(mode == "fast", torch.device("cuda")):
            assert now() == expected
    with pytest.raises(ValueError, match="stop"), engines._tf32(True, torch.device("cuda")):
        raise ValueError("stop")
    assert now() == before


def test_a_shortened_network_multiplies_in_bfloat16_and_gives_float32() -> None:
    layer = torch.nn.Linear(64, 3)
    x = torch.randn(5, 64, generator=generator(0))
    assert Engine("plain", CPU).autocast(layer) is layer
    layer.requires_grad_(False)
    found = Engine("fast", CPU, formats=Formats("bfloat16")).autocast(lambda x: [layer(x)])(x)[0]
    exact = layer(x)
    assert found.dtype == torch.float32
    assert not torch.equal(found, exact)
    close(found, exact, 0.02)


@settings(max_examples=15, deadline=None, derandomize=True)
@given(
    metric=st.sampled_from(["cosine", "mse", "l1", "feature"]),
    sizes=st.lists(st.integers(5, 12), min_size=1, max_size=4),
    real=st.integers(1, 5),
    ipc=st.integers(1, 3),
    at_once=st.integers(1, 4),
    shape=st.sampled_from([(1, 8, 8), (3, 8, 12), (2, 9, 7)]),
    seed=st.integers(0, 99),
)
def test_plain_is_the_loop_over_classes_of_any_size(
    metric: str, sizes: list[int], real: int, ipc: int, at_once: int, shape: tuple[int, int, int], seed: int
) -> None:
    """Loss and gradient of the synthetic images, 1e-4 relative: unequal classes, any chunks."""
    from dreamlib.data import Dataset, Normalisation

    source = generator(seed)
    count = sum(sizes)
    pixels = torch.randint(0, 256, (count, *shape), generator=source, dtype=torch.uint8)
    labels = torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes))
    names = tuple(map(str, range(len(sizes))))
    norm = Normalisation("halves", (0.5,) * shape[0], (0.25,) * shape[0])
    data = ClassData(Dataset("made", pixels, labels, pixels, labels, names, norm))
    matcher = Feature() if metric == "feature" else Gradient(metric)
    how = Matching(matcher=matcher, real_batch=real)
    plan = Recipe(criterion=how, network=SMALL, iterations=1, image_momentum=0.0)
    run = Distillation(data, plan, ipc, seed)
    run.advance()
    run.teaching.next(0)
    run.criterion.decoded, run.criterion.classwise.at_once = ipc, at_once
    choice = data.draw(real, source)
    transform = how.augment.draw(len(sizes), source)
    weights = dict(run.network.named_parameters())
    loss, gradients = run.criterion.classwise.gradient(weights, (choice,), run.stored, None, transform)

    images = run.stored["images"].clone().requires_grad_()
    total = torch.zeros(())
    for label in range(len(sizes)):
        one = torch.tensor([label])
        total = total + reference.matching_loss(
            plan, run.network, data.take(choice[one], one)[0], images[label], label
        )
    (expected,) = torch.autograd.grad(total, images)
    assert float(loss) == pytest.approx(float(total.detach()), rel=1e-4)
    close(gradients["images"], expected, 1e-4)


def test_a_bound_on_memory_changes_chunks_and_no_result(digits: ClassData) -> None:
    plan = recipe(Gradient(), "plain")
    free = distill(digits, plan, 2)
    bound = Distillation(digits, plan, 2, 0, memory_gb=free_gib(digits, plan, 3))
    while not bound.done:
        bound.advance()
    assert 1 <= bound.criterion.classwise.at_once <= 3 < free.criterion.classwise.at_once
    close(bound.stored["images"], free.stored["images"], 1e-6)


def free_gib(digits: ClassData, plan: Recipe, classes: int) -> float:
    """What so many classes at once need."""
    probe = Distillation(digits, plan, 2, 0)
    probe.advance()
    weights = {name: value.detach() for name, value in probe.network.named_parameters()}
    return probe.criterion.classwise.peak(weights, classes, 2, plan.matching.real_batch) / 2**30


def test_a_network_with_running_statistics_is_matched_plainly() -> None:
    net = build(replace(SMALL, norm="batch"), (1, 8, 8), 3)
    assert Engine("fast", CPU).for_network(net).plain
    assert Engine("fast", CPU).for_network(build(SMALL, (1, 8, 8), 3)).mode == "fast"


@pytest.mark.parametrize(
    ("norm", "mode", "off"),
    [pytest.param("batch", "fast", 1e-5, marks=pytest.mark.nightly), ("instance", "fast", 0.2)],
)
def test_several_networks_learn_the_same_in_every_mode(norm: str, mode: str, off: float) -> None:
    images = torch.randn(24, 1, 8, 8, generator=generator())  # batches of one size: each is compiled
    labels = torch.arange(24) % 3

    def trained(mode: str) -> Training:
        source = generator(1)
        stack = Stack(replace(SHALLOW, norm=norm), (1, 8, 8), 3, 2, source)
        run = Training(
            stack,
            lambda i: (images[i], labels[i]),
            24,
            SGD(epochs=3, batch=12),
            source,
            engine=Engine(mode, CPU),
        )
        while not run.done:
            run.advance()
        return run

    plain, other = trained("plain"), trained(mode)
    start = Stack(replace(SHALLOW, norm=norm), (1, 8, 8), 3, 2, generator(1))
    for name, value in other.stack.tensors.items():
        if value.is_floating_point():
            expected = plain.stack.tensors[name]
            scale = max(float((expected - start.tensors[name]).norm()), 1e-3)
            assert float((value - expected).norm()) <= off * scale + 1e-6, name
    found = other.stack.accuracy(lambda part: images[part], labels, engine=Engine(mode, CPU))
    assert found == pytest.approx(plain.stack.accuracy(lambda part: images[part], labels), abs=10)


def test_without_a_compiler_the_work_goes_on_with_one_line_of_notice(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> object:
        raise RuntimeError("no C++ compiler found\nand a page of hints")

    monkeypatch.setattr("torch._inductor.compile", broken)
    run = Engine("compiled", CPU)
    with pytest.warns(UserWarning, match="uncompiled, which is slower: no C"):
        out = run.run("first", lambda x: x + 1, torch.ones(2))
    assert torch.equal(out, torch.full((2,), 2.0))
    assert torch.equal(run.run("second", lambda x: x * 3, torch.ones(2)), torch.full((2,), 3.0))  # said once


@pytest.mark.nightly
def test_a_machine_without_a_compiler_really_does() -> None:
    """Not a stand-in: a process whose PATH holds none."""
    code = (
        "import torch, warnings\n"
        "from dreamlib.compute.engine import Engine\n"
        "warnings.simplefilter('error')\n"
        "with warnings.catch_warnings(record=True) as told:\n"
        "    warnings.simplefilter('always')\n"
        "    engine = Engine('fast', 'cpu')\n"
        "    out = engine.run('x', lambda x: [x.sin() * 2.5], torch.ones(7))\n"
        "    out = engine.run('y', lambda x: [x.cos() * 2.5], torch.ones(7))\n"
        "print(sum('uncompiled' in str(one.message) for one in told), round(float(out[0][0]), 4))\n"
    )
    where = {"PATH": "/nonexistent", "CXX": "/nonexistent/c++", "TORCHINDUCTOR_FORCE_DISABLE_CACHES": "1"}
    root = Path(engines.__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**where, "PYTHONPATH": str(root), "HOME": "/tmp"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split() == ["1", "1.3508"], done.stderr


def test_a_mode_makes_a_key_of_its_own_and_plain_keeps_the_old_one() -> None:
    from dreamlib.recipes import rule

    def key(mode: str) -> str:
        changed = (rule("test", {"mode": mode}),)
        return make_cell("quick", "dm", "digits", 1, 0, recipe_rules=changed, evaluation_rules=changed).key

    assert len({key(mode) for mode in MODES}) == 3
    assert key("plain") == make_cell("quick", "dm", "digits", 1, 0).key


def test_compiled_embeddings_and_clusters_are_those_of_plain_code(digits: ClassData) -> None:
    from dreamlib.samplers import View

    net = build(SMALL, digits.shape, 10).requires_grad_(False)
    initialise(net, generator(2))
    index, mask = digits.padded_index()
    plain = View(digits, net, 4, generator()).embed(index)
    compiled = View(digits, net, 4, generator(), Engine("compiled", CPU)).embed(index)
    close(compiled, plain, 1e-5)
    fast = View(digits, net, 4, generator(), Engine("fast", CPU)).embed(index)
    close(fast, plain, 0.02)
    assert mask.shape == index.shape


@pytest.mark.parametrize("compiles", [pytest.param(True, marks=pytest.mark.nightly), False])
def test_an_evaluation_in_fast_mode_ends_where_the_plain_one_does(compiles: bool) -> None:
    cell = make_cell("quick", "dm", "digits", 10, 0)
    few = replace(cell.evaluation, networks=2, learner=replace(cell.evaluation.learner, epochs=30))
    data = load("digits")
    images = ClassData(data).take(ClassData(data).draw(10, generator()))

    def judged(mode: str) -> list[float]:
        run = EvaluationRun(images, data, replace(few, mode=mode))
        run.training.engine = Engine(mode, CPU, eager=not compiles)
        while not run.done:
            run.advance()
        return run.accuracies

    assert judged("fast") == pytest.approx(judged("plain"), abs=4)


@pytest.mark.parametrize(("mode", "expected"), [("plain", 100), ("compiled", 10), ("fast", 10)])
def test_a_trace_has_a_bounded_number_of_classes(mode: str, expected: int) -> None:
    assert Engine(mode, "cuda").groups(100, 2**30) == expected
    assert Engine(mode, CPU).groups(100, 1) == expected
    assert Engine(mode, "cuda").groups(7, 2**30) == 7
    assert Engine(mode, CPU).groups(100, 2**30) == 1


TRUSTED = """
import torch
from torch._inductor.cpu_vec_isa import VecISA
from dreamlib.compute.engine import Engine
def trial(self, code):
    raise AssertionError("a process was started to try an instruction")
VecISA.check_build = trial
run = Engine("compiled", "cpu").run
assert run("double", lambda x: (2 * x).exp(), torch.zeros(64, 64)).eq(1).all()
assert VecISA.check_build is trial
"""


@pytest.mark.nightly
@pytest.mark.compiles
@pytest.mark.processes
@pytest.mark.skipif(bool(torch.cpu.get_capabilities().get("amx_tile")), reason="AMX is tried")
def test_the_processor_is_believed_about_its_instructions() -> None:
    """A trial of each takes a process that imports PyTorch: seconds before the first step of every worker."""
    command = [sys.executable, "-W", "error:running uncompiled", "-c", TRUSTED]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]


def test_groups_are_a_divisor_so_that_all_chunks_have_one_size() -> None:
    """Room for 4 of 10 classes: 2 at a time, since the rest of 4 would be compiled again."""
    assert Engine("fast", CPU, formats=Formats("bfloat16")).groups(10, engines.CACHE_BYTES // 4) == 2


def test_other_strides_are_compiled_apart() -> None:
    """Compiled code reads memory as it lay when it was traced."""
    run, x = Engine("compiled", CPU), torch.randn(2, 3, 4, 5, generator=generator())
    for images in (x, x.contiguous(memory_format=torch.channels_last), x.mT.contiguous().mT, x):
        close(run.run("strides", lambda a: a.sum((2, 3)).cumsum(1), images), x.sum((2, 3)).cumsum(1), 1e-5)
