"""Layers as readers make them: which kernels are any, and which layers have integers to keep."""

import numpy as np
import pytest
from chains import ones
from conftest import make_random_model
from tflite_files import Form, mobilenet, write

from mobilenets.arch.network import Block, Network
from mobilenets.errors import ModelFileError
from mobilenets.quant.scheme import QuantParams
from mobilenets.weights.imported_int8 import _same_products, has_integers
from mobilenets.weights.layers import convolution
from mobilenets.weights.read.tflite import read_tflite

NETWORK = Network(1.0, 32, 32, classes=3, stem=4, blocks=(Block(1, 6),), activation="relu6")


@pytest.mark.parametrize("shape", [(8, 3, 3, 1), (8, 3, 1, 3), (8, 3, 3, 5), (8, 3), (0, 3, 3, 3), (8, 3, 0, 0)])
def test_a_kernel_that_is_not_square_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ModelFileError, match=r"c: a kernel of shape .*: MobileNet has square ones, 5x5, 3x3"):
        convolution("c", ones(*shape), 1)


@pytest.mark.parametrize(
    ("shape", "groups", "kind"),
    [
        ((8, 3, 3, 3), 1, "conv"),
        ((8, 3, 1, 1), 1, "pointwise"),
        ((8, 1, 3, 3), 8, "depthwise"),
        ((1,) * 4, 1, "pointwise"),
    ],
)
def test_the_kind_is_told_from_the_shape(shape: tuple[int, ...], groups: int, kind: str) -> None:
    assert convolution("c", ones(*shape), groups).kind == kind


def test_an_activation_by_itself_keeps_the_integers_that_it_does_not_rescale() -> None:
    """Integers that are rounded twice follow another rule: they are not kept."""
    file = mobilenet(make_random_model(NETWORK), Form("int8", fused=False))
    content = read_tflite(write(file))
    assert has_integers(content)
    assert [layer.gives for layer in content.layers[:3]] == [QuantParams(float(np.float32(6 / 255)), -128)] * 3
    file.named("dw1/act").scale = [0.5]
    content = read_tflite(write(file))
    assert not has_integers(content)
    assert [layer.gives is None for layer in content.layers[:3]] == [False, True, False]


def test_a_float_file_has_no_integers() -> None:
    assert not has_integers(read_tflite(write(mobilenet(make_random_model(NETWORK)))))


def test_scales_for_another_input_give_the_nearest_products() -> None:
    scale = np.random.default_rng(0).uniform(1e-4, 1, 500).astype(np.float32)
    before, after = QuantParams(0.0235, 0), QuantParams(0.0235 * (1 - 2**-20), 0)
    chosen = _same_products(scale, before, after)
    wanted = np.float32(before.scale) * scale

    def misses(scale: np.ndarray) -> np.ndarray:
        return np.abs(np.float32(after.scale) * scale - wanted)

    assert chosen.dtype == np.float32
    for other in (0.0, 1.0):
        assert (misses(chosen) <= misses(np.nextafter(chosen, np.float32(other)))).all()
