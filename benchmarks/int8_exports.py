"""Exported int8 networks in other runtimes against the specification: bytes of logits that differ, and by how much.

python benchmarks/int8_exports.py PHOTOS [NETWORK ...]      a table in Markdown (docs/export.md)

PHOTOS: a folder of images. NETWORK: what any verb takes (a trained file, a published network's name); by default
random weights at 0.25-96, 0.25-128, 0.5-160 and of odd shapes. Each is quantised by the smallest and largest
activation on the first 16 images, and then run on the others and on noise, black and white.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from mobilenets.arch.network import Network
from mobilenets.exporters.onnx_int8 import to_onnx_int8
from mobilenets.exporters.tflite_int8 import pixels_to_logits_int8, to_tflite_int8
from mobilenets.image import EXTENSIONS, prepare
from mobilenets.model import Model
from mobilenets.opening import open_model
from mobilenets.quant import reference
from mobilenets.quant.conversion import to_integers
from mobilenets.quant.scheme import LOW, QuantModel
from mobilenets.runtime import Session
from mobilenets.runtime.activations import open_activations
from mobilenets.runtime.measure import untrained

CALIBRATED_ON = 16
NOISE = 16
NETWORKS = (
    Network(0.25, 96, 96, classes=2),
    Network(0.25, 128, 128),
    Network(0.5, 160, 160),
    Network(0.33, 33, 65, 1, 2, padding="same", activation="relu6"),
    Network(0.33, 65, 33, 3, 1001, padding="keras", activation="relu6"),
)
WITHOUT = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("networks", nargs="*")
    parser.add_argument("--images", type=int, default=100, help="photos that are run")
    args = parser.parse_args()
    paths = sorted(path for path in args.photos.rglob("*") if path.suffix.lower() in EXTENSIONS)
    paths = paths[:: max(1, len(paths) // (args.images + CALIBRATED_ON))][: args.images + CALIBRATED_ON]
    print("| network | bytes | LiteRT, XNNPACK | LiteRT without | ONNX Runtime | LiteRT's probabilities (uint8) |")
    print("| --- | --- | --- | --- | --- | --- |")
    for model in [opened(name) for name in args.networks] or [untrained(network) for network in NETWORKS]:
        print(row(model, np.stack([prepare(path, model.preprocess) for path in paths])), flush=True)


def opened(name: str) -> Model:
    model = open_model(name, floats=True).model
    if not isinstance(model, Model):
        raise SystemExit(f"{name} is int8 already")
    return model


def row(trained: Model, photos: np.ndarray[Any, Any]) -> str:
    seen = open_activations(trained)(photos[:CALIBRATED_ON])
    model = to_integers(trained, {name: (float(x.min()), float(x.max())) for name, x in seen.items()})
    noise = np.random.default_rng(0).integers(0, 256, (NOISE, *photos.shape[1:]), np.uint8)
    flat = [np.full_like(photos[:1], value) for value in (0, 255)]
    images = np.concatenate([photos[CALIBRATED_ON:], noise, *flat])
    logits = reference.run(model, images)
    probabilities = np.clip(np.rint(reference.outputs(model, logits) * 256), 0, 255)
    file = pixels_to_logits_int8(model)
    others = [
        (litert(file, images), logits),
        (litert(file, images, WITHOUT), logits),
        (onnx_runtime(model, images), logits),
        (litert(to_tflite_int8(model), images), probabilities),
    ]
    return " | ".join([f"| {trained.name}", f"{logits.size:,}", *(said(*pair) for pair in others)]) + " |"


def said(found: np.ndarray[Any, Any], wanted: np.ndarray[Any, Any]) -> str:
    steps = np.abs(found.astype(int) - wanted.astype(int))
    return f"{np.count_nonzero(steps):,}, at most {steps.max()}" if steps.any() else "0"


def litert(
    file: bytes, images: np.ndarray[Any, Any], resolver: OpResolverType = OpResolverType.AUTO
) -> np.ndarray[Any, Any]:
    interpreter = Interpreter(model_content=file, num_threads=1, experimental_op_resolver_type=resolver)
    interpreter.allocate_tensors()
    (takes,), (gives,) = interpreter.get_input_details(), interpreter.get_output_details()
    answers = []
    for image in images:
        interpreter.set_tensor(takes["index"], image[None])
        interpreter.invoke()
        answers.append(interpreter.get_tensor(gives["index"])[0].copy())
    return np.stack(answers)


def onnx_runtime(model: QuantModel, images: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The logits' integers."""
    session, affine = Session.from_onnx(to_onnx_int8(model), 1), model.activations["fc"]
    logits = np.concatenate([session.logits(images[i : i + 8]) for i in range(0, len(images), 8)])
    integers: np.ndarray[Any, Any] = np.rint(logits.astype(np.float64) / affine.scale) + affine.zero_point
    assert integers.min() >= LOW
    return integers


if __name__ == "__main__":
    main()
