"""The integers of a uint8 or int8 TensorFlow Lite file as stored; uint8 becomes int8, both less 128."""

from typing import Any

import numpy as np

from ...quant.scheme import IntegerLayer, QuantParams
from .tflite_file import INT8, UINT8, File, Operator

__all__ = ["integer_layer", "quant_params"]

INT32 = 2


def quant_params(file: File, index: int) -> QuantParams | None:
    """Return the quantisation parameters of an activation tensor; None where it is not int8 or uint8 with one scale."""
    kind, quantisation = file.tensor(index).Type(), file.tensor(index).Quantization()
    if kind not in (UINT8, INT8) or quantisation is None or quantisation.ScaleLength() != 1:
        return None
    scale, zero = file.scales(index, (1,))
    return QuantParams(float(scale.item()), int(zero.item()) - (128 if kind == UINT8 else 0))


def integer_layer(file: File, operator: Operator, order: tuple[int, ...]) -> IntegerLayer | None:
    """Return kernel, with its axes in `order`, and bias; None where they are no integers of this package's scheme."""
    index = operator.others[0]
    kind = file.tensor(index).Type()
    if kind not in (UINT8, INT8):
        return None
    values = file.constant(index)
    scale, zero = file.scales(index, values.shape)
    if np.unique(zero).size > 1:
        return None
    values = values.transpose(order)
    stored: np.ndarray[Any, Any] = (values ^ 128).view(np.int8) if kind == UINT8 else values
    bias = _bias(file, operator, len(stored))
    if bias is None:
        return None
    scales = np.broadcast_to(scale.ravel().astype(np.float32), len(stored))
    zero_point = int(zero.flat[0]) - (128 if kind == UINT8 else 0)
    return IntegerLayer(np.ascontiguousarray(stored), scales.copy(), bias, zero_point)


def _bias(file: File, operator: Operator, channels: int) -> np.ndarray[Any, np.dtype[np.int32]] | None:
    if len(operator.others) < 2 or operator.others[1] < 0:
        return np.zeros(channels, np.int32)
    index = operator.others[1]
    return file.constant(index).astype(np.int32) if file.tensor(index).Type() == INT32 else None
