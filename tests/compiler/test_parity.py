"""Compiled networks against torch in float64: random weights, random batch-norm statistics, random images."""

import multiprocessing
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from conftest import make_random_model
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from running import Running, float64_logits, images_of, needs_compiler, relative_rms, running

import mobilenets.machine
from mobilenets.arch.network import SHALLOW_BODY, Block, Network
from mobilenets.compiler import TARGETS, compile_model
from mobilenets.errors import CompileError
from mobilenets.exporters.onnx import to_onnx
from mobilenets.image import Preprocess
from mobilenets.runtime import Session, open_session
from mobilenets.runtime.compiled import CompiledSession

pytestmark = needs_compiler

BOUND = 1e-5  # relative RMS of the logits

SMALL = (Block(1, 24), Block(2, 40), Block(1, 40))
INVERTED = (
    Block(1, 16, expansion=16, residual=True),
    Block(2, 24, expansion=96),
    Block(1, 24, expansion=144, residual=True),
    Block(2, 32, expansion=144, kernel=5),
)
GATED = (
    Block(2, 24, expansion=72, gate=16, activation="relu"),
    Block(1, 24, expansion=88, kernel=5, residual=True, activation="relu"),
    Block(2, 40, expansion=96, kernel=5, gate=24),
    Block(1, 40, expansion=240, kernel=5, gate=64, residual=True),
    Block(1, 48, gate=8),
)
# 20 layers: hard swish, kernels of 5x5, a gate and residuals, of channels that fp32 and bf16 pad to different numbers
RESIDUAL = Network(
    *(1.0, 32, 40),
    stem=12,
    blocks=(
        Block(1, 12, expansion=12, residual=True, activation="relu"),
        Block(2, 20, kernel=5, expansion=36),
        Block(1, 20, kernel=5, expansion=44, gate=12, residual=True),
    ),
    head=24,
    classes=7,
    activation="hard_swish",
    padding="same",
)
PAPER = [Network(alpha, size, size) for alpha in (1.0, 0.75, 0.5, 0.25) for size in (224, 192, 160, 128)]
ODD = {
    "alpha .1": Network(0.1, 40, 40),
    "alpha .33": Network(0.33, 64, 48),
    "alpha 1.3": Network(1.3, 33, 65, blocks=SMALL),
    "33x65": Network(0.25, 33, 65, padding="same"),
    "grey": Network(0.25, 48, 48, channels=1, classes=2, padding="keras"),
    "1001 classes": Network(0.25, 32, 32, classes=1001, padding="same", activation="relu6"),
    "one class": Network(0.25, 32, 32, classes=1, blocks=SMALL, output="sigmoid"),
    "keras, odd": Network(0.2, 45, 35, padding="keras", activation="relu6", blocks=SMALL),
    "shallow": Network(0.25, 64, 64, blocks=SHALLOW_BODY, rounding="multiple_of_8"),
    "head": Network(0.25, 64, 64, head=1024, blocks=SHALLOW_BODY),
    "full": Network(0.1, 64, 48, convolution="full", padding="same"),
    "full, head, grey": Network(0.2, 33, 40, channels=1, convolution="full", blocks=SMALL, head=50, padding="keras"),
    "stem of 5": Network(1.0, 40, 56, stem=5, blocks=(Block(2, 3), Block(1, 17), Block(2, 130)), classes=7),
    "wide": Network(1.0, 32, 200, blocks=(Block(1, 16), Block(2, 200)), classes=3),
    "inverted residuals": Network(1.0, 40, 56, stem=16, blocks=INVERTED, classes=7, activation="relu6"),
    "gates": Network(1.0, 64, 48, stem=16, blocks=GATED, classes=7, activation="hard_swish"),
    "gates, same": Network(0.75, 33, 65, stem=16, blocks=GATED, classes=7, activation="hard_swish", padding="same"),
    "one pixel": Network(0.25, 32, 32, blocks=(*SHALLOW_BODY, Block(2, 64), Block(1, 64)), padding="same"),
}


def check(network: Network, target: str, drawn: bool = False) -> float:
    """The relative RMS; parts of a step in any number and any order give the same bits."""
    model = make_random_model(network, seed=1)
    run, images = running(model, TARGETS[target]), images_of(model)
    whole = np.stack([run(image) for image in images])
    assert np.isfinite(whole).all()
    for parts, backwards in ((2, True), (3, False), (7, True)):
        assert (run(images[0], parts, backwards) == whole[0]).all()
    exact = float64_logits(model, images)
    assert drawn or np.ptp(exact, 0).max() > 1e-3  # they tell images apart, as a network of few channels may not
    shifted = np.exp(exact - exact.max(1, keepdims=True))
    assert np.allclose(whole[:, 1], shifted / shifted.sum(1, keepdims=True), rtol=1e-3, atol=1e-7)
    rms = relative_rms(whole[:, 0], exact)
    assert rms <= BOUND
    return rms


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("network", PAPER, ids=lambda network: network.name)
def test_the_papers_networks(network: Network, target: str) -> None:
    check(network, target)


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("network", ODD.values(), ids=ODD)
def test_odd_networks(network: Network, target: str) -> None:
    check(network, target)


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("33x65", "avx512"),
        ("grey", "portable"),
        ("full, head, grey", "avx2"),
        ("stem of 5", "portable"),
        ("inverted residuals", "portable"),
        ("gates, same", "avx2"),
    ],
)
def test_some_odd_networks(name: str, target: str) -> None:
    check(ODD[name], target)


blocks = st.lists(st.builds(Block, st.sampled_from([1, 1, 2]), st.integers(1, 70)), min_size=1, max_size=3)
networks = st.builds(
    Network,
    alpha=st.sampled_from([0.1, 0.33, 1.0, 1.3]),
    height=st.integers(32, 70),
    width=st.integers(32, 70),
    channels=st.sampled_from([1, 3]),
    classes=st.integers(2, 60),
    stem=st.integers(8, 40),
    blocks=blocks.map(tuple),
    head=st.sampled_from([0, 0, 30]),
    convolution=st.sampled_from(["separable", "separable", "full"]),
    activation=st.sampled_from(["relu", "relu6"]),
    padding=st.sampled_from(["symmetric", "same", "keras"]),
    epsilon=st.sampled_from([1e-5, 1e-3]),
)


@settings(max_examples=4, suppress_health_check=list(HealthCheck))
@given(networks, st.sampled_from(list(TARGETS)))
def test_any_network(network: Network, target: str) -> None:
    check(network, target, drawn=True)


@pytest.mark.slow
@settings(max_examples=150, suppress_health_check=list(HealthCheck))
@given(networks, st.sampled_from(list(TARGETS)))
def test_any_network_many(network: Network, target: str) -> None:
    check(network, target, drawn=True)


@pytest.mark.parametrize("padding", ["symmetric", "same", "keras"])
def test_normalisation_of_each_channel_on_its_own(padding: str) -> None:
    """Which is folded into the first convolution: its padding is then no number that all channels share."""
    network = Network(0.25, 33, 34, blocks=SMALL[:1], padding=padding)
    pixels = Preprocess(33, 34, mean=(123.675, 116.28, 103.53), std=(58.395, 57.12, 57.375))
    model = replace(make_random_model(network), preprocess=pixels)
    run, images = Running(compile_model(model)), images_of(model)
    assert relative_rms(np.stack([run(image)[0] for image in images]), float64_logits(model, images)) <= BOUND


@pytest.mark.parametrize("value", [0, 255])
def test_black_and_white(value: int) -> None:
    model = make_random_model(Network(0.25, 32, 32, classes=10, blocks=SMALL))
    images = np.full((1, 32, 32, 3), value, np.uint8)
    assert relative_rms(Running(compile_model(model))(images[0])[0], float64_logits(model, images)[0]) <= BOUND


@pytest.fixture
def many_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mobilenets.machine, "cores", lambda: 8)


@pytest.fixture(scope="module")
def model():
    return make_random_model(Network(0.25, 64, 48, classes=20, padding="same"))


def test_threads_and_batches_change_no_bit(model, many_cores) -> None:
    images = images_of(model, 7)
    one = CompiledSession(model, threads=1)
    expected = np.concatenate([one.logits(image[None]) for image in images])
    for threads in (1, 2, 3, 8):
        session = CompiledSession(model, threads)
        assert (np.concatenate([session.logits(image[None]) for image in images]) == expected).all()
        for count in (0, 1, 2, 3, 7):
            assert session.logits(images[:count]).shape == (count, 20)
            assert (session.logits(images[:count]) == expected[:count]).all()
        assert (session.run(images[::-2]) == one.run(images)[::-2]).all()


def test_many_callers_of_one_session_at_once(model, many_cores) -> None:
    images = images_of(model, 4)
    for threads in (1, 3):
        session = CompiledSession(model, threads)
        expected = session.logits(images)

        def call(number: int, session=session) -> np.ndarray:
            size = number % 3 + 1
            return session.logits(images[:size]) if number % 2 else session.logits(images[3:])

        with ThreadPoolExecutor(12) as callers:
            for number, found in enumerate(callers.map(call, range(300))):
                assert (found == (expected[: number % 3 + 1] if number % 2 else expected[3:])).all()


def test_a_forked_process_goes_on(model, many_cores) -> None:
    """The threads of the pool do not exist there."""
    images = images_of(model, 1)
    session = CompiledSession(model, 3)
    expected = session.logits(images)
    context = multiprocessing.get_context("fork")
    receive, send = context.Pipe(duplex=False)
    child = context.Process(target=lambda: send.send(session.logits(images)), daemon=True)
    child.start()
    answered = receive.poll(20)
    if answered:
        assert (receive.recv() == expected).all()
    child.kill()
    child.join()
    assert answered, "the child hangs"
    assert (session.logits(images) == expected).all()


@pytest.mark.parametrize("output", ["sigmoid", "l2_normalise"])
def test_the_other_outputs_are_onnx_runtimes(output: str) -> None:
    model = make_random_model(Network(0.25, 32, 48, classes=9, blocks=SMALL, output=output))  # type: ignore[arg-type]
    session, reference = open_session(model), Session.from_onnx(to_onnx(model))
    assert isinstance(session, CompiledSession)
    images = images_of(model)
    assert np.allclose(session.run(images), reference.run(images), atol=1e-5)
    assert relative_rms(session.logits(images), reference.logits(images)) < BOUND


def test_maps_alone_are_not_compiled() -> None:
    model = make_random_model(Network(0.25, 32, 32, blocks=SMALL, output="features"))
    with pytest.raises(CompileError, match="is not compiled: export it to ONNX"):
        compile_model(model)
