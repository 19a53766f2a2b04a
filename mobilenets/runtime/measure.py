"""Latency of networks on this machine, in the runtime that will serve them."""

from collections.abc import Callable, Sequence

import numpy as np

from ..arch.graph import expand, weight_shapes
from ..arch.network import Network
from ..cost.latency import Latency, time_interleaved
from ..export.onnx import to_onnx
from ..image import Preprocess
from ..model import Model
from .session import RUNTIME, Session

__all__ = ["measure_networks", "measure_sessions"]

SEED = 0


def measure_networks(networks: Sequence[Network], seconds: float = 1.0, threads: int = 1) -> list[Latency]:
    """Median ms of one image through each network, untrained, timed in turn in one run of `seconds` in all.

    Weights do not change the time, as long as no activation is subnormal; see `_untrained`.
    """
    return measure_sessions([Session.from_onnx(to_onnx(_untrained(n)), threads) for n in networks], seconds)


def measure_sessions(sessions: Sequence[Session], seconds: float = 0.5) -> list[Latency]:
    """The same for open sessions of one number of threads: one uint8 image in, probabilities out."""
    return time_interleaved([_call(session) for session in sessions], seconds, sessions[0].threads, RUNTIME)


def _call(session: Session) -> Callable[[], object]:
    p = session.preprocess
    image = np.random.default_rng(SEED).integers(0, 256, (1, p.height, p.width, p.channels), np.uint8)
    return lambda: session.run(image)


def _untrained(network: Network) -> Model:
    """He's initialisation, neutral batch norm: activations stay near 1, since subnormal floats are slow."""
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
