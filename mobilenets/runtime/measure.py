"""Latency of networks on this machine, in the runtime that serves them."""

import tempfile
import time
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np

from ..arch.graph import expand, weight_shapes
from ..arch.network import Network
from ..compiler import has_compiler
from ..costs.latency import Latency, time_interleaved
from ..errors import UsageError
from ..exporters.onnx import to_onnx
from ..image import Pixels, Preprocess
from ..model import Model
from ..quant.scheme import QuantModel
from .activations import min_max_integers
from .compiled import CompiledSession
from .opening import Runner, Runtime
from .session import Session

__all__ = ["measure_networks", "measure_sessions", "noise", "untrained"]

SEED = 0
MEASURED = ("fp32", "int8")  # precisions


def measure_networks(
    networks: Sequence[Network],
    seconds: float = 1.0,
    threads: int = 1,
    runtime: Runtime = "auto",
    precision: str = "fp32",
) -> list[Latency]:
    """Return the median ms of one image through each untrained network, timed in turn in one run of `seconds` in all.

    With one thread processor time is measured, so that waiting for other programs does not count. Weights do not change
    the time as long as no activation is subnormal; see `untrained`. `precision` is fp32 or int8.
    """
    if precision not in MEASURED:
        raise UsageError(f"precision (={precision!r}) must be one of {', '.join(MEASURED)}")
    if precision == "int8" and not (has_compiler() and runtime != "onnx"):
        raise UsageError("int8 is measured in compiled C: it needs a C compiler, and runtime auto or compiled")
    sessions = [_open_untrained(network, threads, runtime, precision) for network in networks]
    return measure_sessions(sessions, seconds, time.thread_time if threads == 1 else None)


def measure_sessions(
    sessions: Sequence[Runner], seconds: float = 0.5, clock: Callable[[], float] | None = None
) -> list[Latency]:
    """Return the same for open sessions of one runtime and number of threads: one uint8 image in, probabilities out."""
    calls = [_call(session) for session in sessions]
    return time_interleaved(calls, seconds, sessions[0].threads, sessions[0].runtime, clock=clock)


@lru_cache(maxsize=64)  # a search measures its best networks twice
def _open_untrained(network: Network, threads: int, runtime: Runtime, precision: str) -> Runner:
    if runtime == "onnx" or not has_compiler():
        return Session.from_onnx(to_onnx(untrained(network)), threads)
    model: Model | QuantModel = untrained(network)
    if precision == "int8":
        model = min_max_integers(untrained(network), noise(model.preprocess))
    with tempfile.TemporaryDirectory(prefix="mobilenets-") as folder:  # used once: not in the cache
        return CompiledSession(model, threads, folder=Path(folder))


def _call(session: Runner) -> Callable[[], object]:
    image = noise(session.preprocess)
    return lambda: session.run(image)


def noise(p: Preprocess) -> Pixels:
    """Return one image (1, H, W, C) of random pixels."""
    return np.random.default_rng(SEED).integers(0, 256, (1, p.height, p.width, p.channels), np.uint8)


def untrained(network: Network) -> Model:
    """Return a model with He's initialisation and neutral batch norm: activations stay near 1, since subnormal floats
    are slow.
    """
    rng = np.random.default_rng(SEED)
    weights = {}
    for name, shape in weight_shapes(expand(network)).items():
        if len(shape) > 1:
            fan_in = int(np.prod(shape[1:]))
            weights[name] = rng.standard_normal(shape, np.float32) * np.float32((2 / fan_in) ** 0.5)
        else:
            one = name.endswith(("_bn.weight", "_bn.running_var"))
            weights[name] = np.full(shape, float(one), np.float32)
    return Model(
        network=network,
        weights=weights,
        preprocess=Preprocess(network.height, network.width, network.channels),
        labels=tuple(str(i) for i in range(network.classes)),
    )
