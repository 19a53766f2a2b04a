"""Latency in the runtime that serves: what is measured is the network asked for."""

import numpy as np
import pytest

from mobilenets.arch import Network, named
from mobilenets.compiler import has_compiler
from mobilenets.costs.latency import MIN_RUNS
from mobilenets.designs import Budget, Prior, Space, search
from mobilenets.errors import LatencyError, UsageError
from mobilenets.exporters.onnx import to_onnx
from mobilenets.runtime import Runtime, Session
from mobilenets.runtime.measure import measure_networks, measure_sessions, untrained

pytestmark = pytest.mark.any_processor

needs_compiler = pytest.mark.skipif(not has_compiler(), reason="no C compiler")


@pytest.mark.parametrize(
    "runtime, shown",
    [("onnx", "ONNX Runtime"), pytest.param("compiled", "mobilenets, ", marks=[needs_compiler, pytest.mark.slow])],
)
def test_networks_far_apart_are_told_apart(runtime: Runtime, shown: str) -> None:
    small, large = measure_networks([named("0.25-32"), named("0.5-128")], seconds=0.1, runtime=runtime)
    assert small.median < large.median and small.distinct_from(large)
    assert min(small.runs, large.runs) >= MIN_RUNS
    assert small.threads == 1 and small.runtime.startswith(shown)


def test_trained_sessions_are_measured_the_same_way() -> None:
    session = Session.from_onnx(to_onnx(untrained(named("0.25-32"))), threads=1)
    (latency,) = measure_sessions([session], seconds=0.01)
    assert 0 < latency.low <= latency.median <= latency.high


@pytest.mark.parametrize("name", ["0.1-32", "1-32", "shallow-0.25-64x32", "conv-0.25-32"])
def test_untrained_activations_are_ordinary_numbers(name: str) -> None:
    """Subnormal or infinite activations would change the time: the logits must be of the size that training gives."""
    network = named(name).replace(classes=10)
    session = Session.from_onnx(to_onnx(untrained(network)), threads=1)
    noise = np.random.default_rng(1).integers(0, 256, (1, network.height, network.width, 3), np.uint8)
    assert 1e-6 < float(np.abs(session.logits(noise)).max()) < 1e3


@pytest.mark.skipif(not has_compiler(), reason="no C compiler")
def test_int8_is_measured_in_int8() -> None:
    (latency,) = measure_networks([named("0.25-32")], 0.01, precision="int8")
    assert latency.median > 0 and latency.runtime.endswith("in int8")
    with pytest.raises(UsageError, match="int8 is measured in compiled C"):
        measure_networks([named("0.25-32")], 0.01, runtime="onnx", precision="int8")
    with pytest.raises(UsageError, match="must be one of fp32, int8"):
        measure_networks([named("0.25-32")], 0.01, precision="bf16")


def test_grey_input() -> None:
    assert measure_networks([Network(alpha=0.1, height=32, width=32, channels=1)], 0.01)[0].median > 0


@pytest.mark.slow
def test_a_search_by_the_clock() -> None:
    try:
        design = search(Budget(max_latency=0.5), Space(), Prior.published(), measure_networks)
    except LatencyError as error:
        pytest.skip(f"this machine is too busy to tell: {error}")
    assert design.choice.latency is not None and design.choice.latency.high <= 0.5
