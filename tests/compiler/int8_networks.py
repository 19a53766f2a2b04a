"""int8 networks of random integers, and every byte of them that leaves a step of the C, compared with the oracle."""

import ctypes
from collections.abc import Iterable, Iterator

import numpy as np
from native import runnable
from running import Array, aligned, running

from mobilenets.arch.graph import expand, weight_shapes
from mobilenets.arch.network import Network
from mobilenets.arch.ops import CONVOLUTIONS
from mobilenets.compiler.lower import Lowered, lower
from mobilenets.compiler.plan import plan
from mobilenets.compiler.program import DTYPES
from mobilenets.compiler.targets import ALL_INT8_TARGETS
from mobilenets.image import Pixels, Preprocess
from mobilenets.quant import reference
from mobilenets.quant.scheme import HIGH, LOW, IntegerLayer, QuantModel, QuantParams


def random_integers(network: Network, seed: int = 0, harsh: float = 1.0, weight_zero: int = 0) -> QuantModel:
    """Sums spread over what a byte holds, times `harsh`; zero points also at both ends.

    `harsh` 0: weights at the ends of their range, and scales that are powers of two, so that many sums lie just between
    two whole numbers.
    """
    rng = np.random.default_rng(seed)
    graph = expand(network)
    layers, activations = {}, {"image": QuantParams(0.02, int(rng.choice([LOW, HIGH, 0])))}
    for array, shape in weight_shapes(graph).items():
        name, _, kind = array.rpartition(".")
        if kind != "weight" or len(shape) == 1:
            continue
        weight = rng.integers(LOW, HIGH + 1, shape) if harsh else rng.choice([-HIGH, HIGH], shape)
        scale = (harsh or 1.0) * rng.uniform(0.3, 1.5, shape[0]) / (100 * np.prod(shape[1:]) ** 0.5)
        if not harsh:
            scale = np.exp2(np.round(np.log2(scale)))
        bias = rng.integers(-8000, 8000, shape[0]).astype(np.int32)
        layers[name] = IntegerLayer(weight.astype(np.int8), scale.astype(np.float32), bias, weight_zero)
        zero = int(rng.choice([HIGH, 0] if name == "fc" else [LOW, *rng.integers(LOW, 0, 2)]))  # above 0, ReLU ends all
        activations[name] = QuantParams(float(rng.uniform(0.01, 0.05)) if harsh else 2.0**-5, zero)
    last = [op.name for op in graph.ops if op.kind in CONVOLUTIONS][-1]
    if network.output != "features":
        activations["pool"] = activations[last] if seed % 2 else QuantParams(0.03, int(rng.integers(LOW, HIGH + 1)))
    pixels = Preprocess(network.height, network.width, network.channels)
    return QuantModel(network, activations, layers, pixels, tuple(map(str, range(network.classes))))


def images_for(model: QuantModel, count: int = 2) -> Pixels:
    """Of random pixels, but the last, whose pixels are all 0 or 255."""
    p = model.preprocess
    rng = np.random.default_rng(3)
    images = rng.integers(0, 256, (count, p.height, p.width, p.channels), np.uint8)
    images[-1] = rng.choice([0, 255], images[-1].shape)
    return images


def compare(
    model: QuantModel, target: str, images: Pixels, parts: int = 1, oracle: QuantModel | None = None
) -> tuple[int, int]:
    """(bytes compared, bytes that differ), of all that the steps hand on; `oracle` computes what they should be."""
    lowered = lower(model, runnable(ALL_INT8_TARGETS[target]), "network", "int8")
    arena = plan(lowered.program.steps)
    run = running(model, ALL_INT8_TARGETS[target])
    found = []
    for image in images:
        memory = aligned(np.full(arena.size(parts), 0xFF, np.uint8))
        output = np.empty((2, model.network.classes), np.float32)
        arrays = [ctypes.c_void_p(a.ctypes.data) for a in (run.weights, image, output, memory)]

        def memories(memory: Array = memory, arrays: list[ctypes.c_void_p] = arrays) -> Iterator[Array]:
            for number in range(len(lowered.program.steps)):
                for part in range(parts):
                    run.code.mobilenets_network_step(number, part, parts, *arrays)
                yield memory

        found.append(count(oracle or model, lowered, image, memories(), output))
    return sum(compared for compared, _ in found), sum(differing for _, differing in found)


def count(
    model: QuantModel, lowered: Lowered, image: Pixels, memories: Iterable[Array], output: Array
) -> tuple[int, int]:
    """As `compare`, of one image; `memories`: the arena after each step; `output`: logits and probabilities."""
    exact = dict(reference.steps(model, image[None]))
    arena = plan(lowered.program.steps)
    compared = differing = 0
    for step, memory in zip(lowered.program.steps, memories, strict=True):
        b = step.output
        if b.size:
            wanted = exact[step.name.split(" + ")[-1]][0].astype(np.int16) - LOW
            found = memory[arena.offsets[b.name] :][: b.size].view(DTYPES[b.element])
            found = found.astype(np.int16) - LOW if b.element == "int8_t" else found  # int8_t is q itself
            pixels = b.height * b.width * b.channels
            found = found[:pixels].reshape(b.height, b.width, b.channels) if pixels else found
            compared += wanted.size
            differing += int((found[..., : wanted.shape[-1]] != wanted).sum())
    real = model.activations["fc"].real(exact["fc"])
    differing += int((output[0].view(np.uint32) != real[0].view(np.uint32)).sum())
    assert np.allclose(output[1], reference.outputs(model, exact["fc"])[0], rtol=1e-5, atol=1e-9)
    return compared, differing
