"""Quantisation-aware training: the last epochs train under the int8 specification of `quant/scheme.py`.

The network is first trained in floats, until its learning rate has decayed. The ranges of the activations of the best
float network are then measured and stay fixed, its batch norms are folded with their current statistics, and every
forward pass computes what the int8 network computes (`fake_quantize.py`).
"""

import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..arch.fold import without_batch_norm
from ..arch.ops import Consumer
from ..errors import ModelFileError, TrainingError
from ..files import write_atomic
from ..image import Pixels, Preprocess
from ..model import Model
from ..quant.calibrate import ranges_by
from ..quant.conversion import to_integers
from ..quant.correct import correct_biases
from ..quant.observe import channel_ranges, histograms, mean_sums, whole
from ..quant.post_training import FEWEST, Choices, quantize
from ..quant.scheme import INTEGERS, IntegerLayer, QuantModel, QuantParams
from ..runtime.activations import open_activations
from ..schema import parsed, read
from .fake_quantize import Activations, int8_logits, layer_integers, steps
from .module import MobileNet

__all__ = ["IMAGES", "RATE", "attach", "calibrated", "more_epochs", "read_activations", "to_model", "write_activations"]

QAT = Consumer(
    "quantisation-aware training",
    handles="input conv depthwise pointwise relu relu6 hard_swish hard_sigmoid add multiply "
    "global_average_pool fully_connected softmax sigmoid l2_normalise".split(),
    refuses=["batch_norm"],  # it is folded before
    activations=INTEGERS.activations,
)
SHARE = 0.2  # of the float epochs: epochs of quantisation-aware training
IMAGES = 512  # on which ranges are measured
CORRECTED = 64  # of these, at least so many for bias correction
RATE = 0.01  # of the peak learning rate, its start: with fixed batch norms more soon overfits


def more_epochs(epochs: int) -> int:
    """Return the number of epochs of quantisation-aware training after `epochs` float epochs."""
    return max(1, round(epochs * SHARE))


def calibrated(model: Model, images: Pixels) -> tuple[dict[str, QuantParams], Model]:
    """Return the quantisation parameters of each array, from the activations of `model` on `images` (N, H, W, C) uint8;
    and `model` with corrected biases.

    Rounding shifts means; the corrected biases compensate for that.
    """
    QAT.check(without_batch_norm(model.graph).ops)
    run = open_activations(model)
    integers = _measured(model, images)
    seen = images[:: max(1, len(images) // CORRECTED)]  # evenly: images may come in the order of their classes
    corrected = correct_biases(integers, mean_sums(model, run, seen), seen)
    weights, sources = dict(model.weights), integers.sources()
    for name, layer in corrected.layers.items():
        shift = (layer.bias - integers.layers[name].bias) * (np.float64(sources[name][0].scale) * layer.scale)
        bias = f"{name}.bias" if f"{name}.bias" in weights else f"{name}_bn.bias"
        weights[bias] = (weights[bias] + shift).astype(np.float32)
    return dict(integers.activations), replace(model, weights=weights)


def _measured(model: Model, images: Pixels) -> QuantModel:
    """Return `model` in int8, with ranges by the rule that agrees best with it on a quarter of the images, or by the
    least squared error where they are too few for that.
    """
    if len(images) >= FEWEST:
        return quantize(model, images, open_activations, Choices(equalised=False, corrected=False)).model
    run = open_activations(model)
    return to_integers(model, ranges_by("mse", histograms(run, images, whole(channel_ranges(run, images)))))


def write_activations(path: Path, activations: Activations) -> None:
    """Write quantisation parameters as JSON, atomically."""
    write_atomic(path, json.dumps({name: [a.scale, a.zero_point] for name, a in activations.items()}) + "\n")


def read_activations(path: Path) -> dict[str, QuantParams]:
    """Return what `write_activations` wrote.

    Raises `TrainingError` where the file is missing or holds something else.
    """
    try:
        kept = read(dict[str, tuple[float, int]], parsed(path.read_text("utf-8"), "activations"), "activations")
        return {name: QuantParams(scale, zero) for name, (scale, zero) in kept.items()}
    except (OSError, ValueError, ModelFileError) as exc:
        raise TrainingError(f"{path}: cannot be resumed without it: {exc}") from exc


def attach(module: nn.Module, activations: Activations, preprocess: Preprocess) -> None:
    """Make `module` compute in integers from now on, in training and in evaluation; its parameters stay unchanged."""
    assert isinstance(module, MobileNet)
    module.forward = partial(int8_logits, module, activations, preprocess)  # type: ignore[method-assign]


def to_model(module: nn.Module, activations: Activations, model: Model) -> QuantModel:
    """Return the int8 network that `module` computes, with all other fields of `model`."""
    assert isinstance(module, MobileNet)
    layers = {}
    with torch.no_grad():
        for layer, sources, _ in steps(module.graph, activations):
            if hasattr(getattr(module, layer.name), "weight"):
                weight, bias, scale = (t.cpu() for t in layer_integers(module, layer, sources[0], model.preprocess))
                layers[layer.name] = IntegerLayer(
                    _array(weight, np.int8), _array(scale, np.float32), _array(bias, np.int32)
                )
    return QuantModel(
        model.network,
        dict(activations),
        layers,
        model.preprocess,
        model.labels,
        model.task,
        model.head_config,
        model.metrics,
        model.data,
    )


def _array(values: Tensor, dtype: Any) -> np.ndarray[Any, Any]:
    return np.ascontiguousarray(values.numpy().astype(dtype))
