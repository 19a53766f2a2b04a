"""Depthwise weights in the order in which the int8 kernels read them."""

import numpy as np
import pytest

from mobilenets.compiler.formats.int8_packing import pack_taps
from mobilenets.quant.scheme import IntegerLayer

pytestmark = pytest.mark.any_processor


@pytest.mark.parametrize(("group", "dtype"), [(4, np.int8), (2, np.int16)])
def test_taps(group: int, dtype: type) -> None:
    """Each weight stands where it is read, and zeros at channels and rows that do not count."""
    weight = np.random.default_rng(0).integers(-127, 128, (6, 1, 3, 3)).astype(np.int8)
    layer = IntegerLayer(weight, np.ones(6, np.float32), np.zeros(6, np.int32))
    packed = pack_taps(layer, 8, 4, 2, group)
    assert packed.dtype == dtype and packed.shape == (2, 2, 3, 4 // group, 4, group)
    for channel, both, column, row in np.ndindex(8, 2, 3, 4):
        place = channel // 4, both, column, row // group, channel % 4, row % group
        counts = channel < 6 and 0 <= row - both < 3
        assert packed[place] == (weight[channel, 0, row - both, column] if counts else 0)
