"""Activations that a TensorFlow Lite file of integers computes by several operators, such as a hard sigmoid by ADD with
a fused RELU6 and MUL. Each operator rounds, so that the result is a table: the integer that each integer becomes.
"""

import numpy as np

from ...arrays import Integers
from ...errors import ModelFileError
from ...quant.elementwise import add, multiply
from ...quant.scheme import HIGH, LOW, QuantParams
from .tflite_file import UINT8, File, Operator
from .tflite_integers import quant_params

__all__ = ["IDENTITY", "constant", "tabulate"]

IDENTITY: Integers = np.arange(LOW, HIGH + 1).astype(np.int8)


def constant(file: File, index: int) -> Integers | None:
    """Return a constant number of uint8 or int8 as int8 (256,); None for another tensor."""
    if file.buffer(index) is None or quant_params(file, index) is None:
        return None
    values = file.constant(index)
    if values.size != 1:
        return None
    return np.full_like(IDENTITY, values.astype(np.int16).item() - (128 if file.tensor(index).Type() == UINT8 else 0))


def tabulate(
    file: File,
    operator: Operator,
    tensors: tuple[int, int],
    codes: tuple[Integers, Integers],
    between: tuple[float, float],
) -> Integers | None:
    """Return (256,): what an ADD or MUL of two `tensors` with `codes` gives, clipped to the real numbers `between`.

    None where LiteRT does not compute it by the rules of `quant.elementwise`.
    """
    target = quant_params(file, operator.gives)
    one, other = (quant_params(file, tensor) for tensor in tensors)
    if one is None or other is None or target is None:
        return None
    low, high = (_code(end, target) for end in between)
    if operator.kind == "ADD":
        try:
            return add(*codes, (one, other), target, low, high)
        except ModelFileError:  # scales that are too far apart
            return None
    clipped: Integers = np.clip(multiply(*codes, (one, other), target), low, high)
    return clipped if operator.kind == "MUL" else None


def _code(real: float, params: QuantParams) -> int:
    """Return the integer of a real number, within int8."""
    steps = np.rint(np.float32(real) / np.float32(params.scale))
    return int(np.clip(steps + params.zero_point, LOW, HIGH))
