"""A model of the time that an int8 network takes on a microcontroller, layer by layer.

Instructions are counted, not guessed: `benchmarks/device_latency.py` runs networks in an emulator that counts them, and
fits what a mult-add, an output and each call of a kernel take. Cycles are instructions times a number that is known of
each device only roughly; its source stands beside it (`device.py`).
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from math import prod
from typing import NamedTuple

from ..arch.network import Network
from ..compiler.formats.format import padded
from ..compiler.micro import Core
from ..compiler.micro.families import FAMILIES, Dsp, Family
from ..compiler.micro.lower import Step
from ..costs import LayerTime
from .device import Device
from .steps import shape_plan, shape_steps

__all__ = ["FITTED", "Instructions", "Work", "layer_times", "least_instructions", "work"]

TILE = 4  # pixels that the product computes together


@dataclass(frozen=True, slots=True)
class Instructions:
    """Instructions of the kernels on one core, fitted by least squares to each step of the networks there."""

    gathered: float  # per number of the windows of a full convolution
    depthwise: float  # per output of a depthwise convolution of stride 1
    strided: float  # of another stride
    taps: float  # per mult-add of one that is computed in plain C
    filters: float  # per filter and band of rows
    pool: float  # per input of the pool
    tiles: float  # per mult-add of the product, where several pixels are computed together in assembly
    single: float  # and where they are not: plain C, narrow images, the classifier
    last: float  # of a pixel that is left over beside the tiles
    widened: float  # per weight and band of rows
    runs: float  # per pair of outputs and run of pixels that lie side by side
    outputs: float  # per output of the product
    sums: float  # per output to which an earlier image is added
    gated: float  # per number that a gate multiplies
    stored: float  # per output of a depthwise convolution that a gate reads
    steps: float  # per step

    @property
    def least(self) -> float:
        """Return the least of one mult-add of a product."""
        return min(value for value in (self.tiles, self.single) if value)


FITTED: Mapping[str, Instructions] = {
    "cortex-m4": Instructions(
        gathered=2.58,
        depthwise=16.7,
        strided=25.9,
        taps=21.3,
        filters=113,
        pool=8.78,
        tiles=0.715,
        single=3.9,
        last=1.82,
        widened=1.06,
        runs=88.8,
        outputs=9.19,
        sums=34.3,
        gated=47.3,
        stored=0,
        steps=4.77e03,
    ),
    "cortex-m55": Instructions(
        gathered=2.63,
        depthwise=10.4,
        strided=15.1,
        taps=17.5,
        filters=121,
        pool=8.83,
        tiles=0.134,
        single=5.47,
        last=0,
        widened=0,
        runs=103,
        outputs=5.51,
        sums=36.6,
        gated=48.6,
        stored=40.1,
        steps=3.93e03,
    ),
    "riscv32": Instructions(
        gathered=10.9,
        depthwise=0,
        strided=0,
        taps=18.9,
        filters=0,
        pool=13.5,
        tiles=0,
        single=3.7,
        last=0,
        widened=3.16,
        runs=266,
        outputs=60.3,
        sums=54,
        gated=80.6,
        stored=33.4,
        steps=4.11e03,
    ),
    "esp32-s3": Instructions(
        gathered=12.3,
        depthwise=0,
        strided=0,
        taps=14.4,
        filters=0,
        pool=10.2,
        tiles=0,
        single=3.75,
        last=0,
        widened=3.13,
        runs=226,
        outputs=22,
        sums=57.6,
        gated=39.9,
        stored=59.4,
        steps=4.71e03,
    ),
}


class Work(NamedTuple):
    """How often each of the fields of `Instructions` counts for a layer."""

    layer: str
    type: str
    counts: Mapping[str, float]


def work(network: Network, core: Core) -> Iterator[tuple[Work, ...]]:
    """Yield the layers of each step of the C of `network` for a core."""
    steps, placed = shape_steps(network), shape_plan(network, core).steps
    bands = [-(-step.shape_out[0] // place.band) for step, place in zip(steps, placed, strict=True)]
    for number, step in enumerate(steps):
        whole = max(bands[number : number + 2]) == 1  # then all of its rows lie side by side
        if step.product is None:
            (before,) = _gathering(step, bands[number], core)
            yield (before._replace(counts={**before.counts, "stored": prod(step.shape_out), "steps": 1}),)
            continue
        if core.kernels == "helium":
            product = _helium_product(step, bands[number])
        else:
            product = _product(step, bands[number], whole, FAMILIES[core.kernels])
        if step.gather == "window" and number + 1 < len(steps):
            product["gathered"] = prod(step.shape_out[:2]) * step.depth
        kind = "conv" if step.gather == "window" and step.window.kernel > 1 else "pointwise"
        kind = kind if number + 1 < len(steps) else "classifier"
        layers = (*_gathering(step, bands[number], core), Work(step.last.name, kind, {**product, "steps": 1}))
        added = (Work(step.sum.name, "add", {"sums": prod(step.shape_out)}),) if step.sum else ()
        yield (*layers, *added)


def least_instructions(network: Network, device: Device) -> float:
    """Return a lower bound of the instructions, which needs no plan of the arena: the products alone."""
    steps = shape_steps(network)
    return FITTED[device.fitted].least * sum(prod(step.shape_out) * step.depth for step in steps if step.product)


def layer_times(network: Network, device: Device) -> tuple[LayerTime, ...]:
    """Return the estimated instructions and cycles of each layer of `network` in int8 on `device`."""
    each = asdict(FITTED[device.fitted])
    found = []
    for layer in (layer for step in work(network, device.core) for layer in step):
        instructions = sum(count * each[name] for name, count in layer.counts.items())
        found.append(LayerTime(layer.layer, layer.type, round(instructions), round(instructions * device.cycles)))
    return tuple(found)


def _gathering(step: Step, bands: int, core: Core) -> tuple[Work, ...]:
    """Return the depthwise convolution, the pool or the gate before the product."""
    if step.first is None:
        return ()
    if step.gather == "pool":
        return (Work(step.first.name, "pool", {"pool": prod(step.shape_in)}),)
    if step.gather == "gated":
        return (Work(step.first.name, "multiply", {"gated": prod(step.shape_in)}),)
    stride, (*_, channels), (rows, columns, _) = step.window.stride, step.shape_in, step.shape_out
    gather = FAMILIES[core.kernels].gather(step)
    if gather == "depthwise":
        return (Work(step.first.name, "depthwise", {"taps": rows * columns * channels * step.window.kernel**2}),)
    kind, filters = "depthwise" if stride == 1 else "strided", bands * channels
    outputs = padded(rows, 2 if stride == 1 else 1) * padded(columns, 2) * channels
    if gather == "channels":  # four of them, and three or four pixels, together
        wide = 3 if columns % 4 and columns % 3 == 0 else 4
        outputs, filters = rows * padded(columns, wide) * padded(channels, 4), bands * padded(channels, 4) // 4
    return (Work(step.first.name, "depthwise", {kind: outputs, "filters": filters}),)


def _product(step: Step, bands: int, whole: bool, family: Family) -> dict[str, float]:
    """Return the counts of a product that computes four pixels of a row, or of all rows, and two outputs together."""
    rows, columns, outputs = step.shape_out
    pixels, depth, both = rows * columns, padded(step.depth, 2), padded(outputs, 2)
    run = pixels if whole else columns
    last = run % TILE == 1 and run > TILE and isinstance(family, Dsp)  # a pixel that is left over is computed alone
    computed = pixels // run * (run - 1 if last else padded(run, TILE)) if run >= TILE else pixels
    fast = run >= TILE and family.tiles(step, TILE) != "tiles_any"
    return {
        "tiles" if fast else "single": computed * both * depth,
        "last": pixels // run * last * both * depth,
        "widened": bands * both * depth if run >= TILE else 0,
        "runs": pixels / run * both / 2,
        "outputs": (computed + pixels // run * last) * both,
    }


def _helium_product(step: Step, bands: int) -> dict[str, float]:
    """Return the counts of a product that computes two pixels and two outputs together, 16 codes at a time."""
    pixels, both = prod(step.shape_out[:2]), padded(step.shape_out[2], 2)
    odd = pixels // bands % 2 == 1
    computed = pixels + bands * odd
    calls = bands * both / 2 * (2 if odd and pixels > 1 else 1)
    kind = "single" if FAMILIES["helium"].tiles(step, 1) == "0" else "tiles"
    return {kind: computed * both * padded(step.depth, 16), "runs": calls, "outputs": computed * both}
