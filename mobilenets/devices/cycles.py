"""A model of the time that an int8 network takes on a microcontroller, layer by layer.

Instructions are counted, not guessed: `benchmarks/device_latency.py` runs networks in an emulator that counts them, and
fits what a mult-add, an output and each call of a kernel take. Cycles are instructions times a number that is known of
each device only roughly; its source stands beside it (`device.py`).
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import NamedTuple

from ..arch.network import Network
from ..compiler.micro.lower import Step
from ..compiler.micro.plan import PIXELS
from ..costs import LayerTime
from .device import Device
from .steps import steps_of

__all__ = ["FITTED", "Instructions", "Work", "layer_times", "work"]

TILE = 4  # pixels that the product computes together


@dataclass(frozen=True, slots=True)
class Instructions:
    """Instructions of the kernels on one core, fitted by least squares to each step of the networks there."""

    gathered: float  # per number of the windows of a full convolution
    depthwise: float  # per output of a depthwise convolution of stride 1
    strided: float  # of another stride
    filters: float  # per filter and band of rows
    rows: float  # per byte of the rows that a filter reads
    pool: float  # per input of the pool
    tiles: float  # per mult-add of the product, where four pixels are computed together
    single: float  # and where they are not: narrow images, and the classifier
    widened: float  # per weight and band of rows
    runs: float  # per pair of outputs and run of pixels that lie side by side
    outputs: float  # per output of the product
    steps: float  # per step


FITTED: Mapping[str, Instructions] = {
    "cortex-m4": Instructions(2.51, 20.7, 30.6, 81.5, 0, 7.98, 0.738, 5.89, 0.86, 84.2, 9.57, 6.45e03),
    "cortex-m55": Instructions(25.3, 228, 147, 0, 30.6, 9.84, 4.43, 5.31, 4.02, 0, 37.6, 1.56e03),
    "riscv32": Instructions(23.4, 376, 131, 0, 89.6, 26.9, 4.6, 5.26, 3.4, 0, 297, 2.83e03),
    "esp32-s3": Instructions(22, 192, 132, 0, 22.7, 9.88, 4.7, 5.09, 3.86, 0, 34.3, 804),
}


class Work(NamedTuple):
    """How often each of the fields of `Instructions` counts for a layer."""

    layer: str
    type: str
    counts: Mapping[str, float]


def work(network: Network) -> Iterator[tuple[Work, ...]]:
    """Yield the layers of each step of the C of `network`."""
    steps = steps_of(network)
    for step, following in zip(steps, [*steps[1:], None], strict=True):
        yield (*_gathering(step), _product(step, following))


def layer_times(network: Network, device: Device) -> tuple[LayerTime, ...]:
    """Return the estimated instructions and cycles of each layer of `network` in int8 on `device`."""
    each = asdict(FITTED[device.fitted])
    found = []
    for layer in (layer for step in work(network) for layer in step):
        instructions = sum(count * each[name] for name, count in layer.counts.items())
        found.append(LayerTime(layer.layer, layer.type, round(instructions), round(instructions * device.cycles)))
    return tuple(found)


def _gathering(step: Step) -> tuple[Work, ...]:
    """Return the depthwise convolution or the pool before the product."""
    height, width, channels = step.shape_in
    if step.first is None:
        return ()
    if step.gather == "pool":
        return (Work(step.first.name, "pool", {"pool": height * width * channels}),)
    rows, columns, _ = step.shape_out
    bands = _bands(step)
    read = (rows - bands) * step.window.stride + bands * step.window.kernel
    kind = "depthwise" if step.window.stride == 1 else "strided"
    outputs = _rounded(rows, 2 if step.window.stride == 1 else 1) * _rounded(columns, 2) * channels
    counts = {kind: outputs, "filters": bands * channels, "rows": read * width * channels}
    return (Work(step.first.name, "depthwise", counts),)


def _product(step: Step, following: Step | None) -> Work:
    rows, columns, outputs = step.shape_out
    pixels, bands, pairs = rows * columns, _bands(step), _rounded(step.depth, 2)
    whole = all(one is None or one.shape_out[0] * one.shape_out[1] <= PIXELS for one in (step, following))
    run = pixels if whole else columns
    computed = pixels // run * _rounded(run, TILE) if run >= TILE else pixels
    both = _rounded(outputs, 2)
    counts: dict[str, float] = {
        "tiles" if run >= TILE else "single": computed * both * pairs,
        "widened": bands * both * pairs,
        "runs": pixels / run * both / 2,
        "outputs": computed * both,
        "steps": 1,
    }
    if step.gather == "window" and pixels > 1:
        counts["gathered"] = pixels * step.depth
    kind = {"window": "conv", "depthwise": "pointwise", "pool": "classifier"}[step.gather]
    return Work(step.product.name, kind, counts)


def _bands(step: Step) -> int:
    """Return the bands of rows that a step is computed in, where the arena has room: at most `PIXELS` at a time."""
    rows, columns, _ = step.shape_out
    most = max(1, PIXELS // columns)
    return rows // next(band for band in range(min(rows, most), 0, -1) if rows % band == 0)


def _rounded(value: int, to: int) -> int:
    return -(-value // to) * to
