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


def litert(content: bytes, images: np.ndarray, resolver: OpResolverType = OpResolverType.AUTO) -> np.ndarray:
    """What the file gives of each image, one after the other."""
    interpreter, takes, gives = opened(content, resolver)
    answers = []
    for image in images:
        interpreter.set_tensor(takes["index"], image[None])
        interpreter.invoke()
        answers.append(interpreter.get_tensor(gives["index"])[0].copy())
    return np.stack(answers)
