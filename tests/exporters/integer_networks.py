"""int8 networks to export, of random weights: every layer is alive, so that a wrong number anywhere shows."""

from dataclasses import replace

import numpy as np
from conftest import make_random_model
from hypothesis import strategies as st
from test_onnx import NETWORKS, interpret, some_images

from mobilenets.arch.network import SHALLOW_BODY, Block, Network
from mobilenets.arch.ops import CONVOLUTIONS
from mobilenets.image import normalise
from mobilenets.quant.conversion import to_integers
from mobilenets.quant.scheme import IntegerLayer, QuantModel

SEPARABLE = {name: network for name, network in NETWORKS.items() if name != "one channel everywhere"}
FORMS = {
    **SEPARABLE,
    "two classes": Network(0.33, 33, 65, 1, 2, padding="same"),
    "1001 classes": Network(0.25, 65, 33, 3, 1001, padding="same", activation="relu6", blocks=SHALLOW_BODY),
    "Keras' padding, odd": Network(0.5, 47, 33, 3, 4, padding="keras", blocks=(Block(1, 64), Block(2, 96))),
}


SHAPES = st.builds(
    Network,
    alpha=st.sampled_from([0.25, 0.33, 0.5]),
    height=st.integers(32, 60),
    width=st.integers(32, 60),
    channels=st.sampled_from([1, 3]),
    classes=st.integers(2, 40),
    blocks=st.lists(st.builds(Block, st.sampled_from([1, 2]), st.integers(8, 90)), min_size=1, max_size=4).map(tuple),
    activation=st.sampled_from(["relu", "relu6"]),
    padding=st.sampled_from(["symmetric", "same", "keras"]),
)


def quantised(network: Network, seed: int = 0) -> QuantModel:
    """Ranges: those of a few random images. All but the last are stretched: no zero point is at its usual place."""
    model = make_random_model(network, seed)
    x = normalise(some_images(network, 3), model.preprocess).astype(np.float64)
    outputs = interpret(model.graph, model.weights, x)
    named = {op.name: f"{op.name}_act" if op.kind in CONVOLUTIONS else op.name for op in model.graph.ops}
    last = [op.name for op in model.graph.ops if op.kind in CONVOLUTIONS][-1]
    ranges = {
        name: (float(outputs[seen].min()) - 0.02 * outputs[seen].std() * (name != last), float(outputs[seen].max()))
        for name, seen in named.items()
    }
    return to_integers(model, ranges)


def with_zero_points(model: QuantModel, zero_point: int = 7) -> QuantModel:
    """The same network as files with uint8 weights have it: one scale a layer, and a zero point."""

    def moved(layer: IntegerLayer) -> IntegerLayer:
        step = np.full_like(layer.scale, layer.scale.max())
        weight = layer.weight * (layer.scale / step).reshape(-1, *[1] * (layer.weight.ndim - 1))
        bias = np.rint(layer.bias * (layer.scale / step)).astype(np.int32)
        integers = np.clip(np.rint(weight) + zero_point, -128, 127).astype(np.int8)
        return IntegerLayer(integers, step, bias, zero_point)

    return replace(model, layers={name: moved(layer) for name, layer in model.layers.items()})


def extremes(model: QuantModel, n: int = 4) -> np.ndarray:
    """Noise, black, white, and noise of only these two."""
    noise = some_images(model.network, n)
    flat = np.stack([np.zeros_like(noise[0]), np.full_like(noise[0], 255), np.where(noise[0] > 127, 255, 0)])
    return np.concatenate([noise, flat.astype(np.uint8)])
