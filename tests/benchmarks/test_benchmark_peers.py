"""Every runtime that is installed says what ONNX Runtime says, whatever the network, on the threads it is given."""

from dataclasses import replace

import numpy as np
import pytest

from mobilenets import Network
from mobilenets.benchmarks import PEERS
from mobilenets.benchmarks.measure import noise, time_peers
from mobilenets.benchmarks.opening import Missing, Opened, open_peers
from mobilenets.benchmarks.peers import Peer, Setup
from mobilenets.compiler import has_compiler
from mobilenets.exporters.onnx import to_onnx
from mobilenets.machine import cores
from mobilenets.model import Model
from mobilenets.runtime import Session

QUICK = [name for name in PEERS if name != "torch.compile"]
FOREIGN = [name for name in QUICK if name != "mobilenets"]  # ours is tested in tests/compiler and tests/runtime
SMALL = Network(0.25, 32, 32, classes=10)
NETWORKS = {
    "plain": SMALL,
    "tensorflow": Network(0.33, 33, 65, classes=3, padding="same", activation="relu6"),
    "keras": Network(0.1, 40, 33, classes=2, padding="keras", activation="relu6"),
    "grey": Network(0.25, 32, 48, classes=5, channels=1),
    "full": Network(0.25, 32, 32, classes=4, convolution="full"),
    "head": Network(0.25, 32, 32, classes=4, head=64),
}
# torch.jit's deprecation, and what OpenVINO's and ncnn's own files warn of
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def opened(name: str, setup: Setup) -> Opened:
    (peer,) = open_peers(setup, noise(setup.model, 1), {name: PEERS[name]})
    if isinstance(peer, Missing):
        if "not installed" in peer.reason or (name == "mobilenets" and not has_compiler()):
            pytest.skip(f"{name}: {peer.reason}")
        pytest.fail(f"{name}: {peer.reason}")
    return peer


def difference(peer: Peer, model: Model) -> float:
    """From ONNX Runtime's logits on a batch of three, relative to the largest."""
    images = noise(model, 3)
    expected = Session.from_onnx(to_onnx(model), 1).logits(images)
    logits = peer.run(images)
    assert logits.shape == expected.shape and logits.dtype == np.float32
    assert np.allclose(logits, np.concatenate([peer.run(images[i : i + 1]) for i in range(3)]), rtol=1e-3, atol=1e-4)
    return float(np.abs(logits - expected).max() / np.abs(expected).max())


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("name", FOREIGN)
def test_every_runtime_has_the_same_network(name: str, network: str, random_model) -> None:
    model = random_model(NETWORKS[network])
    assert difference(opened(name, Setup(model)).peer, model) < 2e-5


@pytest.mark.parametrize(
    "mean, std", [((123.7, 116.3, 103.5), (58.4, 57.1, 57.4)), (0.0, 255.0), (127.5, (100, 120, 140))]
)
@pytest.mark.parametrize("name", FOREIGN)
def test_every_runtime_normalises_alike(name: str, mean, std, random_model) -> None:
    model = random_model(SMALL)
    model = replace(model, preprocess=replace(model.preprocess, mean=mean, std=std))
    assert difference(opened(name, Setup(model)).peer, model) < 2e-5


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_torch_compile(precision: str, random_model) -> None:
    model = random_model(SMALL)
    assert difference(opened("torch.compile", Setup(model, precision)).peer, model) < (2e-5, 0.1)[precision == "bf16"]


@pytest.mark.parametrize("name", [name for name in QUICK if "bf16" in PEERS[name].precisions])
def test_bf16_is_near_and_is_not_fp32(name: str, random_model) -> None:
    model = random_model(SMALL)
    (peer,) = open_peers(Setup(model, "bf16"), noise(model, 1), {name: PEERS[name]})
    if isinstance(peer, Missing):
        pytest.skip(peer.reason)
    assert 1e-4 < difference(peer.peer, model) < 0.1


@pytest.mark.parametrize("name", QUICK)
def test_one_thread_is_one_thread(name: str, random_model) -> None:
    peer = opened(name, Setup(random_model(SMALL), threads=1))
    (timed,) = time_peers([peer], noise(peer.peer.setup.model, 1), seconds=0.2)
    assert timed.cores_used < 1.2


@pytest.mark.skipif(cores() < 2, reason="one core")
@pytest.mark.parametrize("name", QUICK)
def test_two_threads_say_the_same(name: str, random_model) -> None:
    model = random_model(SMALL)
    assert difference(opened(name, Setup(model, threads=2)).peer, model) < 2e-5


@pytest.mark.parametrize("name", PEERS)
def test_each_says_what_it_needs_and_how_it_takes_threads(name: str) -> None:
    kind = PEERS[name]
    assert kind.threads_by and "fp32" in kind.precisions
    assert bool(kind.package) == bool(kind.modules)


def test_a_precision_that_a_runtime_lacks_is_not_asked_of_it(random_model) -> None:
    model = random_model(SMALL)
    assert not list(open_peers(Setup(model, "bf16"), noise(model, 1), {"ONNX Runtime": PEERS["ONNX Runtime"]}))
