"""Keras itself, on torch: the peer of what reads and writes its files."""

import os

os.environ.setdefault("KERAS_BACKEND", "torch")  # before Keras is imported, which then cannot be changed

from pathlib import Path

import h5py
import keras
import numpy as np

from mobilenets.exporters.onnx import to_onnx
from mobilenets.image import prepare
from mobilenets.model import Model
from mobilenets.runtime import Session


def randomise(model: keras.Model, seed: int = 0) -> keras.Model:
    """Every weight and every batch-norm statistic drawn; activations neither die nor explode."""
    rng = np.random.default_rng(seed)
    for variable in model.weights:
        shape, role = tuple(variable.shape), variable.path.rpartition("/")[2]
        if role == "kernel":
            depthwise = shape[3:] == (1,)
            drawn = rng.normal(0, (2 / np.prod(shape[:2] if depthwise else shape[:-1])) ** 0.5, shape)
        elif role in ("gamma", "moving_variance"):
            drawn = rng.uniform(0.5, 1.5, shape)
        else:
            drawn = rng.normal(0, 0.2, shape)
        if role != "seed_generator_state":
            variable.assign(drawn)
    return model


def keras_logits(model: keras.Model, pixels: np.ndarray, mean: float = 0.0, std: float = 1.0) -> np.ndarray:
    """What Keras computes of uint8 (N, H, W, C) before the softmax, which its last layer is, or its activation."""
    last = model.layers[-1]
    activation, last.activation = last.activation, keras.activations.linear
    x = (pixels.astype(np.float32) - np.float32(mean)) / np.float32(std)
    try:
        return keras.ops.convert_to_numpy(model(x, training=False))
    finally:
        last.activation = activation


def our_logits(model: Model, pixels: np.ndarray) -> np.ndarray:
    return Session.from_onnx(to_onnx(model)).logits(pixels)


def assert_same(ours: np.ndarray, theirs: np.ndarray) -> None:
    """Within 1e-4 of the largest logit."""
    assert ours.shape == theirs.shape and np.ptp(theirs) > 0
    assert np.abs(ours - theirs).max() <= 1e-4 * np.abs(theirs).max()


def noise(height: int, width: int, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(7).integers(0, 256, (2, height, width, channels), np.uint8)


def photographs(folder: Path, model: Model, count: int = 4) -> np.ndarray:
    """The first of a folder, as our network takes them."""
    paths = sorted(folder.glob("*.jpg"))[:count]
    return np.stack([prepare(path, model.preprocess) for path in paths])


def weights_alone(whole: Path, path: Path) -> Path:
    """A whole model's weights as Keras 2's save_weights writes them: its group model_weights is the file."""
    with h5py.File(whole) as source, h5py.File(path, "w") as target:
        group = source["model_weights"]
        target.attrs.update(group.attrs)
        for name in group:
            group.copy(name, target)
    return path
