"""LiteRT, the runtime of TensorFlow Lite files."""

from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType

BUILT_IN = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES  # without XNNPACK, which is the default


def opened(content: bytes, resolver: OpResolverType = OpResolverType.AUTO) -> tuple[Any, dict, dict]:
    """An interpreter, and what it says of its input and its output."""
    interpreter = Interpreter(model_content=content, num_threads=1, experimental_op_resolver_type=resolver)
    interpreter.allocate_tensors()
    (takes,), (gives,) = interpreter.get_input_details(), interpreter.get_output_details()
    return interpreter, takes, gives


def differing_means(pixels: int, zero_point: int = -128) -> int:
    """How many of all the sums of a pool XNNPACK rounds otherwise than the specification; exact halves all of them.

    It multiplies the sum of the integers as they are with 1 / pixels and adds the zero point, less what became of the
    input's; the specification multiplies the sum of what is above the zero point.
    """
    each, zero = np.float32(1) / np.float32(pixels), np.float32(zero_point)
    sums = np.arange(-128 * pixels, 127 * pixels + 1)
    ours = np.rint((sums - zero_point * pixels).astype(np.float32) * each) + zero
    theirs = np.rint(sums.astype(np.float32) * each + (zero - np.float32(zero_point * pixels) * each))
    return int((ours != theirs).sum())


def litert(content: bytes, images: np.ndarray, resolver: OpResolverType = OpResolverType.AUTO) -> np.ndarray:
    """What the file gives of each image, one after the other."""
    interpreter, takes, gives = opened(content, resolver)
    answers = []
    for image in images:
        interpreter.set_tensor(takes["index"], image[None])
        interpreter.invoke()
        answers.append(interpreter.get_tensor(gives["index"])[0].copy())
    return np.stack(answers)
