"""What is written of networks that any machine makes alike: C, exports, costs, plans. Several tests compare with it.

`python tests/recorded.py` prints a JSON object, file or figure -> SHA-256; `tests/recorded.json` is what it was.
"""

import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from mobilenets.arch.graph import expand, weight_shapes
from mobilenets.arch.network import Block, Network
from mobilenets.benchmarks.ncnn_file import ncnn_files
from mobilenets.compiler.compile import sources_of
from mobilenets.compiler.targets import BF16_TARGETS, INT8_TARGETS, TARGETS
from mobilenets.costs import cost
from mobilenets.exporters import FORMATS
from mobilenets.exporters import write as export
from mobilenets.image import Preprocess
from mobilenets.model import Model
from mobilenets.quant.conversion import to_integers
from mobilenets.quant.equalise import equalise
from mobilenets.quant.scheme import QuantModel

RECORDED = Path(__file__).with_suffix(".json")
NETWORKS = {
    "0.25-128": Network(0.25, 128, 128, classes=5),
    "relu6-keras": Network(0.5, 64, 48, classes=3, activation="relu6", padding="keras"),
    "same-grey": Network(0.25, 33, 65, channels=1, classes=11, padding="same"),
    "full": Network(0.25, 32, 40, blocks=(Block(1, 32), Block(2, 64)), head=48, classes=2, convolution="full"),
    "odd": Network(1.3, 32, 70, stem=5, blocks=(Block(2, 3), Block(1, 17), Block(2, 130)), classes=21),
    "sigmoid": Network(0.25, 32, 32, blocks=(Block(1, 64), Block(2, 128)), classes=4, output="sigmoid"),
    "embedding": Network(0.5, 32, 32, blocks=(Block(1, 64), Block(2, 128)), classes=24, output="l2_normalise"),
}
TASKS = {"softmax": "classify", "sigmoid": "multilabel", "l2_normalise": "embed"}


def model_of(network: Network) -> Model:
    """Weights of few bits: any machine folds them alike."""
    weights = {}
    for seed, (name, shape) in enumerate(weight_shapes(expand(network)).items()):
        values = ((np.arange(np.prod(shape)) * 7 + 5 * seed) % 31 - 15).astype(np.float32).reshape(shape)
        scale = 2.0 ** -int(2 + np.log2(max(1, np.prod(shape[1:]))) / 2) if len(shape) > 1 else 1 / 16
        weights[name] = (np.abs(values) + 8 if name.endswith("running_var") else values) * np.float32(scale)
    pixels = Preprocess(network.height, network.width, network.channels, mean=128.0, std=64.0)
    labels = tuple(f"class {i}" for i in range(network.classes))
    return Model(network, weights, pixels, labels, task=TASKS[network.output])


def integers_of(model: Model) -> QuantModel:
    """The network in integers, for ranges that are made up."""
    names = [
        op.name for op in expand(model.network).ops if f"{op.name}.weight" in model.weights and "_bn" not in op.name
    ]
    ranges = {name: (0.0, 2.0 + i % 5) for i, name in enumerate(names)}
    return to_integers(model, {**ranges, "fc": (-3.0, 4.0)})


def written(name: str) -> Iterator[tuple[str, bytes]]:
    """Everything that is written of one network, with its name."""
    model = model_of(NETWORKS[name])
    integers = integers_of(model)
    found = cost(model.network)
    layers = [(la.name, la.kind, la.shape_in, la.shape_out, la.mult_adds, la.weights, la.params) for la in found.layers]
    yield f"{name}/cost", repr((found.mult_adds, found.params, found.bytes("int8"), found.peak_ram(), layers)).encode()
    for target in TARGETS.values():
        yield from compiled(f"{name}/fp32/{target.name}", *sources_of(model, target, "network"))
    for target in BF16_TARGETS.values():
        for precision in ("bf16", "bf16x3", "bf16x6"):
            yield from compiled(
                f"{name}/{precision}/{target.name}", *sources_of(model, target, "network", precision=precision)
            )
    for target in INT8_TARGETS.values():
        yield from compiled(f"{name}/int8/{target.name}", *sources_of(integers, target, "network"))
    for format, row in FORMATS.items():
        if row.floats and (format == "onnx" or model.network.output == "softmax") and holds(model.network, format):
            yield f"{name}/{format}", export(model, format)
        if row.integers and (format == "onnx" or model.network.output == "softmax"):
            yield f"{name}/{format}-int8", export(integers, format)
    text, content = ncnn_files(model)
    yield f"{name}/ncnn", text.encode() + content
    ranges = {op.name: spread(op.shape_out[2]) for op in expand(model.network).ops}
    equal, _ = equalise(model, ranges)
    yield f"{name}/equalised", b"".join(array.tobytes() for _, array in sorted(equal.weights.items()))


def spread(channels: int) -> tuple[np.ndarray, np.ndarray]:
    return np.zeros(channels, np.float32), np.float32(1 + np.arange(channels) % 4)


def holds(network: Network, format: str) -> bool:
    """HDF5 and zip files hold times, and versions of what wrote them; timm's networks are separable."""
    return format not in ("keras-h5", "torch") and (format != "timm" or name_of(network) in ("0.25-128",))


def name_of(network: Network) -> str:
    return next(name for name, other in NETWORKS.items() if other == network)


def compiled(name: str, source: object, lowered: object) -> Iterator[tuple[str, bytes]]:
    yield f"{name}.c", source.c.encode()  # type: ignore[attr-defined]
    yield f"{name}.h", source.h.encode()  # type: ignore[attr-defined]
    yield f"{name}.weights", lowered.weights.tobytes()  # type: ignore[attr-defined]


def digests(name: str) -> dict[str, str]:
    return {key: hashlib.sha256(content).hexdigest()[:16] for key, content in written(name)}


if __name__ == "__main__":
    json.dump({key: value for name in NETWORKS for key, value in digests(name).items()}, sys.stdout, indent=0)
    print()
