"""A model of the time that an int8 network takes on a microcontroller, layer by layer.

Instructions are counted, not guessed: `benchmarks/device_latency.py` runs networks in an emulator that counts them, and
fits what one mult-add and one output of each type of layer take. Cycles are instructions times a number that is known
of each device only roughly; its source stands beside it (`device.py`).
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from ..arch.fold import without_batch_norm
from ..arch.graph import expand
from ..arch.network import Network
from ..arch.ops import OPS, Op
from ..costs import LayerTime
from ..quant.scheme import integer_layers
from .device import Device

__all__ = ["FITTED", "Instructions", "layer_times", "terms"]


@dataclass(frozen=True, slots=True)
class Instructions:
    """Instructions of the kernels of one family, fitted by least squares to the steps of the networks there."""

    conv: float  # per mult-add of a full convolution
    gathered: float  # per number that is gathered for its windows
    depthwise: float  # per mult-add of a depthwise convolution of stride 1, with its outputs
    strided: float  # of another stride
    pointwise: float  # per mult-add of a pointwise convolution
    dense: float  # of the classifier
    output: float  # per output of a convolution or the classifier: requantised and stored
    pool: float  # per input of the pool
    layer: float  # per layer


FITTED: Mapping[str, Instructions] = {
    "cortex-m4": Instructions(
        conv=4.68,
        gathered=29,
        depthwise=29.4,
        strided=29.5,
        pointwise=4.96,
        dense=5.4,
        output=62.5,
        pool=8.52,
        layer=1810,
    ),
    "riscv32": Instructions(
        conv=4.93,
        gathered=26.2,
        depthwise=54.2,
        strided=54.2,
        pointwise=5.19,
        dense=6.58,
        output=322,
        pool=21.8,
        layer=5310,
    ),
    "esp32-s3": Instructions(
        conv=5.44,
        gathered=26.4,
        depthwise=24.6,
        strided=24.7,
        pointwise=5.7,
        dense=6.07,
        output=55.6,
        pool=8.02,
        layer=1360,
    ),
}


def terms(op: Op) -> dict[str, float]:
    """Return how often each of the fields of `Instructions` counts for a layer."""
    mult_adds = float(OPS[op.kind].counts(op)[0])
    height, width, outputs = op.shape_out
    written = float(height * width * outputs)
    if op.kind == "conv":
        gathered = float(height * width * op.kernel**2 * op.shape_in[2])
        return {"conv": mult_adds, "gathered": gathered, "output": written, "layer": 1.0}
    if op.kind == "depthwise":
        return {"depthwise" if op.stride == 1 else "strided": mult_adds, "layer": 1.0}
    if op.kind == "global_average_pool":
        return {"pool": float(op.shape_in[0] * op.shape_in[1] * op.shape_in[2]), "layer": 1.0}
    if op.kind in ("pointwise", "fully_connected"):
        name = "pointwise" if op.kind == "pointwise" else "dense"
        return {name: mult_adds, "output": written, "layer": 1.0}
    return {"output": written}  # a table of 256 numbers, read for each output


def layer_times(network: Network, device: Device) -> tuple[LayerTime, ...]:
    """Return the estimated instructions and cycles of each layer of `network` in int8 on `device`."""
    each = asdict(FITTED[device.fitted])
    found = []
    for layer in integer_layers(without_batch_norm(expand(network))):
        op = layer.op
        instructions = sum(count * each[name] for name, count in terms(op).items())
        cycles = instructions * device.cycles
        found.append(LayerTime(layer.name, op.kind.replace("_", " "), round(instructions), round(cycles)))
    return tuple(found)
