"""Training in C against torch's modules in float64: outputs, every gradient, running statistics."""

import copy
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
from hypothesis import assume, currently_in_test_context, given, settings
from hypothesis import strategies as st
from native import runnable
from torch import Tensor, nn

from mobilenets.arch import Network, expand
from mobilenets.arch.network import Block
from mobilenets.arch.zoo import named
from mobilenets.compiler import TARGETS, has_compiler
from mobilenets.compiler.program import Target
from mobilenets.training.fused import BF16, Fused, fuse, takes
from mobilenets.training.module import MobileNet, initialise

pytestmark = pytest.mark.skipif(not has_compiler(), reason="no C compiler here")
SMALL = Network(alpha=0.25, height=40, width=36, classes=4, blocks=(Block(1, 64), Block(2, 128)))


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """As training runs."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@st.composite
def networks(draw: st.DrawFn) -> Network:
    """Few layers, so that rounding seldom moves a value across the kink of a ReLU; odd sizes, channels, paddings.

    No layer of one input channel: batch norm takes its weight out again, and the gradient is noise about 0.
    """
    kernel = st.sampled_from([3, 5])
    blocks = draw(st.lists(st.builds(Block, st.sampled_from([1, 2]), st.integers(32, 200), kernel), max_size=2))
    if not blocks or draw(st.booleans()):  # a stage of inverted residual blocks, whose sums follow one another
        expansion, channels = draw(st.integers(32, 200)), draw(st.integers(32, 200))
        wide, gate = st.sampled_from([64, 96]), st.sampled_from([0, 30])
        stage = [st.builds(Block, st.sampled_from([1, 2]), st.just(channels), kernel, st.just(expansion), gate=gate)]
        stage += [st.builds(Block, st.just(1), st.just(channels), kernel, wide, st.just(True), gate)] * 2
        blocks += [draw(block) for block in stage[: draw(st.integers(1, 3))]]
    return Network(
        alpha=draw(st.floats(0.1, 0.5)),
        height=draw(st.integers(32, 45)),
        width=draw(st.integers(32, 45)),
        channels=draw(st.sampled_from([1, 3])),
        classes=3,
        blocks=tuple(blocks),
        head=96 if blocks[-1].residual else draw(st.sampled_from([0, 96])),
        activation=draw(st.sampled_from(["relu", "relu6", "hard_swish"])),
        padding=draw(st.sampled_from(["symmetric", "same", "keras"])),
        epsilon=draw(st.sampled_from([1e-5, 1e-3])),
        rounding=draw(st.sampled_from(["floor", "multiple_of_8"])),
    )


def made(network: Network, seed: int = 0) -> MobileNet:
    """Batch norms far from the identity, some of their scales negative; gates whose factors differ."""
    module = MobileNet(expand(network))
    initialise(module, seed)
    generator = torch.Generator().manual_seed(seed)
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.normal_(layer.weight, 1.0, 0.7, generator=generator)
            nn.init.normal_(layer.bias, 0.0, 0.5, generator=generator)
        elif isinstance(layer, nn.Conv2d) and layer.bias is not None:
            nn.init.normal_(layer.weight, 0.0, 2 * layer.in_channels**-0.5, generator=generator)
            nn.init.normal_(layer.bias, 0.0, 1.0, generator=generator)
    return module.to(memory_format=torch.channels_last).train()


def images(network: Network, count: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(count, network.channels, network.height, network.width, generator=generator) + 0.5
    return x.contiguous(memory_format=torch.channels_last)


def learned(module: MobileNet, call: Any, x: Tensor) -> dict[str, Tensor]:
    """Logits, gradients and running statistics after one step, by their names."""
    logits = call(x)
    slope = torch.linspace(-1, 1, logits.numel(), dtype=logits.dtype).view_as(logits)
    (logits * slope + logits.square() / 2).sum().backward()
    found = {"logits": logits.detach()}
    found |= {f"{name}.grad": p.grad for name, p in module.named_parameters() if p.grad is not None}
    return found | {name: buffer.clone() for name, buffer in module.named_buffers()}


def error(found: Tensor, exact: Tensor) -> float:
    """Relative; a gradient that a batch norm behind it makes 0 is noise of some 1e-7."""
    exact = exact.double()
    return float((found.double() - exact).norm() / exact.norm().clamp_min(1e-3))


def assert_as_exact_as_torch(module: MobileNet, x: Tensor, bf16: bool, target: Target, floor: float) -> None:
    """No tensor further from float64 than a few times what torch's own fp32 or autocast is, or than `floor`."""
    exact, peer = copy.deepcopy(module).double(), copy.deepcopy(module)
    beside_kink = far_from_kinks(exact)
    expected = learned(exact, exact, x.double())
    if currently_in_test_context():
        assume(bf16 or not any(beside_kink))

    def torchs(x: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            return peer(x).float()  # type: ignore[no-any-return]

    theirs, ours = learned(peer, torchs, x), learned(module, Fused(module, bf16, runnable(target)), x)
    assert ours.keys() == expected.keys()
    for name, value in expected.items():
        bound = max(floor, 10 * error(theirs[name], value))
        assert error(ours[name], value) <= bound, f"{name}: {error(ours[name], value):.1e} > {bound:.1e}"


def far_from_kinks(module: MobileNet) -> list[bool]:
    """Filled as it runs: whether some value lies where rounding decides on which side of an activation's kink it
    falls.
    """
    found: list[bool] = []
    for layer in module.modules():
        if isinstance(layer, nn.ReLU | nn.ReLU6 | nn.Hardswish):
            kinks = (-3.0, 3.0) if isinstance(layer, nn.Hardswish) else (0.0, 6.0)

            def near(layer: nn.Module, x: tuple[Tensor], kinks: tuple[float, float] = kinks) -> None:
                found.append(any(float((x[0] - kink).abs().min().detach()) < 1e-5 for kink in kinks))

            layer.register_forward_pre_hook(near)
    return found


@settings(max_examples=25)
@given(networks(), st.integers(1, 3), st.sampled_from(list(TARGETS)), st.integers(0, 99))
def test_one_step_is_torchs(network: Network, count: int, target: str, seed: int) -> None:
    assert_as_exact_as_torch(made(network, seed), images(network, count, seed), False, TARGETS[target], 5e-3)


INVERTED = (Block(2, 24, 5, 72, gate=24), Block(1, 24, 3, 72, True, 24))
STEPS = {
    "sums of sums": (Block(1, 64, expansion=96), *[Block(1, 64, 3, 72, True)] * 3, Block(2, 96, expansion=96)),
    "a sum of the stem's output": (Block(1, 32, 3, 32, True), Block(2, 48, expansion=96)),
    "gates": (Block(1, 64, gate=30), Block(2, 72, 5, 96, gate=40), Block(1, 72, 3, 96, True, 24)),
    "start": (Block(1, 32, 5, 96, True, start=3), Block(2, 48, 0, 64, start=5)),
}


@pytest.mark.parametrize("target", ["avx2", "portable"])
@pytest.mark.parametrize("activation", ["relu6", "hard_swish"])
@pytest.mark.parametrize("name", STEPS)
def test_one_step_of_inverted_blocks(name: str, activation: Any, target: str) -> None:
    network = SMALL.replace(blocks=STEPS[name], activation=activation, alpha=0.5, head=80)
    assert takes(expand(network))
    assert_as_exact_as_torch(made(network, 3), images(network, 3, 3), False, TARGETS[target], 5e-3)


@pytest.mark.parametrize("target", BF16)
@pytest.mark.parametrize("activation", ["relu", "relu6", "hard_swish"])
def test_bf16_loses_no_more_than_autocast(target: str, activation: str) -> None:
    inverted = {"blocks": INVERTED, "head": 96} if activation == "hard_swish" else {}
    network = SMALL.replace(activation=activation, **inverted)
    assert_as_exact_as_torch(made(network), images(network, 8), True, BF16[target], 1e-2)


@pytest.mark.parametrize("name", ["0.25-48", "v2-0.35-48", "v3-small-0.5-48"])
def test_a_whole_network_step_after_step(name: str) -> None:
    """All layers: gradients far from torch's would not lead to the same losses."""
    network = named(name).replace(classes=3)
    losses = []
    for attach in (False, True):
        module, x = made(network), images(network, 12)
        if attach:
            fuse(module, bf16=False)
            assert module.fused is not None
        optimiser = torch.optim.SGD(module.parameters(), lr=0.02 if name == "0.25-48" else 0.005)
        for _ in range(4):
            loss = nn.functional.cross_entropy(module(x), torch.arange(12) % 3)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            losses.append(loss.item())
    assert losses[0] == pytest.approx(losses[4], rel=1e-4) and losses[:4] == pytest.approx(losses[4:], rel=0.1)


def test_batches_of_any_size_follow_one_another_and_repeat() -> None:
    module = made(SMALL)
    engine = Fused(module, bf16=True)
    first = learned(module, engine, images(SMALL, 3))["logits"]
    for count in (7, 1, 3):
        last = learned(module, engine, images(SMALL, count))["logits"]
    assert torch.equal(first, last)


def test_networks_side_by_side_are_those_one_after_the_other() -> None:
    def run(seed: int) -> Tensor:
        module = made(SMALL, seed)
        engine = Fused(module, bf16=False)
        return torch.stack([learned(module, engine, images(SMALL, 4, seed))["logits"] for _ in range(3)])

    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(run, range(8)))
    assert all(torch.equal(a, run(seed)) for seed, a in enumerate(together))


def test_statistics_can_be_averaged_evenly() -> None:
    """momentum None, as the end of training asks for."""
    module = made(SMALL)
    for norm in module.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.momentum = None
    exact = copy.deepcopy(module).double()
    engine = Fused(module, bf16=False)
    with torch.no_grad():
        for seed in range(3):
            engine(images(SMALL, 4, seed))
            exact(images(SMALL, 4, seed).double())
    for (name, ours), theirs in zip(module.named_buffers(), exact.buffers(), strict=True):
        assert error(ours, theirs.double()) < 1e-5, name


def test_large_means_do_not_swallow_the_variance() -> None:
    module = made(SMALL)
    exact = copy.deepcopy(module).double()
    x = images(SMALL, 4) * 0.1 + 10
    ours, expected = learned(module, Fused(module, bf16=False), x), learned(exact, exact, x.double())
    assert error(ours["conv0_bn.running_var"] - 0.9, expected["conv0_bn.running_var"] - 0.9) < 1e-4


def test_a_stale_pass_is_refused() -> None:
    module = made(SMALL)
    engine = Fused(module, bf16=False)
    stale = engine(images(SMALL, 2)).sum()
    engine(images(SMALL, 2))
    with pytest.raises(RuntimeError, match="not the last"):
        stale.backward()


def test_what_no_kernel_takes_stays_with_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    full = MobileNet(expand(SMALL.replace(convolution="full")))
    assert not takes(full.graph)
    fuse(full, bf16=False)
    assert full.fused is None
    maps = expand(Network(alpha=0.25, height=32, width=32, output="features"))
    assert not takes(maps)
    monkeypatch.setenv("CC", "no-such-compiler")
    module = made(SMALL)
    from mobilenets.compiler import build
    from mobilenets.training import fused

    build.compiler.cache_clear()
    fused._library.cache_clear()
    try:
        fuse(module, bf16=False)
        assert module.fused is None
    finally:
        monkeypatch.undo()
        build.compiler.cache_clear()


@pytest.mark.parametrize(
    ("block", "handled"),
    [
        (Block(1, 16, expansion=32, start=3, residual=True), True),
        (Block(1, 16, kernel=0, residual=True), False),  # the convolution takes and gives what the sum takes
        (Block(1, 16, expansion=32, gate=8, residual=True), True),
        (Block(1, 16, kernel=0, expansion=32, gate=8), False),  # a gate of what no depthwise convolution gives
        (Block(1, 16, residual=True), False),  # a sum of what has an activation
        (Block(1, 16, fused=True), False),
    ],
)
def test_blocks_that_the_kernels_compute(block: Block, handled: bool) -> None:
    network = Network(height=32, width=32, stem=16, blocks=(Block(1, 16, expansion=24), block), head=32)
    assert takes(expand(network)) == handled
    assert not takes(expand(network.replace(head=0))) or not block.residual  # the pool takes no sum


def test_what_is_not_in_the_processor_s_memory_stays_with_torch() -> None:
    module = made(SMALL).to("meta")
    fuse(module, bf16=False)
    assert module.fused is None


def test_a_copy_and_evaluation_are_torchs_own() -> None:
    module = made(SMALL)
    fuse(module, bf16=False)
    twin = copy.deepcopy(module)
    assert module.fused is not None and twin.fused is None
    assert torch.equal(module.eval()(images(SMALL, 2)), twin.eval()(images(SMALL, 2)))


def test_activations_start_at_a_multiple_of_64_bytes_and_fit() -> None:
    """Of an arena that may begin anywhere."""
    fused = Fused(made(SMALL), bf16=False)
    code, places = fused._code, []

    class Spy:
        def place(self, layers: Any, count: int, images: int, start: int | None) -> int:
            size: int = code.place(layers, count, images, start)
            places.append((start, size))
            return size

    for moved in (0, 1, 7, 63):
        fused._code, fused._images = Spy(), 0  # type: ignore[assignment]
        fused._arena = torch.empty(1 << 24, dtype=torch.uint8)[moved:]
        fused._lay_out(4)
        (_, size), (start, _) = places[-2:]
        begin = fused._arena.data_ptr()
        assert start is not None and start % 64 == 0 and begin <= start and start + size <= begin + len(fused._arena)
        assert start - begin < 64
