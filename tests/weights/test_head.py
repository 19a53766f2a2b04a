"""The classifier's arrays, as a file has them."""

import numpy as np
import pytest

from mobilenets.errors import ModelFileError
from mobilenets.weights.head import classifier_arrays
from mobilenets.weights.layers import FileLayer


@pytest.mark.parametrize("shape", [(4,), (6,), (5, 1), ()])
def test_a_bias_of_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    layer = FileLayer("fully_connected", "logits", np.ones((5, 8), np.float32), np.ones(shape, np.float32))
    with pytest.raises(ModelFileError, match=r"logits: a bias of shape .* for 5 outputs"):
        classifier_arrays(layer, slice(None))


def test_a_classifier_without_bias_has_zeros_and_outputs_may_be_left() -> None:
    weight = np.arange(40, dtype=np.float32).reshape(5, 8)
    arrays = classifier_arrays(FileLayer("fully_connected", "logits", weight), slice(1, None))
    assert np.array_equal(arrays["fc.weight"], weight[1:]) and np.array_equal(
        arrays["fc.bias"], np.zeros(4, np.float32)
    )
