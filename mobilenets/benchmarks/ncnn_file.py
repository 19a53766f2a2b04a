"""A model as ncnn reads it: layers as text, weights as bytes. Activations are fused, as ncnnoptimize does."""

import numpy as np

from ..arch.fold import fold_batch_norm
from ..arch.layers import layers
from ..arch.ops import CONVOLUTIONS, Consumer, Op
from ..model import Model

__all__ = ["ncnn_files"]

MAGIC = 7767517
FUSED = {None: "9=0", "relu": "9=1", "relu6": "9=3 -23310=2,0.0,6.0"}
NCNN = Consumer(
    "the ncnn file",
    handles="input conv depthwise pointwise relu relu6 global_average_pool fully_connected "
    "softmax sigmoid l2_normalise".split(),  # the last three are left out: it gives the logits
    refuses="hard_swish hard_sigmoid add multiply batch_norm".split(),  # batch norm is folded before
    activations=dict.fromkeys(CONVOLUTIONS, tuple(FUSED)),
)
FP32 = bytes(4)  # before weights: they are stored as float32


def ncnn_files(model: Model) -> tuple[str, bytes]:
    """Return (the .param, the .bin): blob `image` is normalised (C, H, W), `logits` (classes,).

    Raises `NetworkError` for a network that is not written.
    """
    graph, weights = fold_batch_norm(model.graph, model.weights)
    NCNN.check(graph.ops)
    lines, arrays, x = ["Input image 0 1 image"], [], "image"
    for layer in layers(graph):
        op = layer.op
        if op.kind in CONVOLUTIONS:
            settings = _convolution(op, weights[f"{op.name}.weight"].size, layer.activation)
            kind = "ConvolutionDepthWise" if op.kind == "depthwise" else "Convolution"
        elif op.kind == "global_average_pool":
            kind, settings = "Pooling", "0=1 4=1"
        elif op.kind == "fully_connected":
            kind, settings = "InnerProduct", f"0={op.shape_out[2]} 1=1 2={weights[f'{op.name}.weight'].size}"
        else:
            continue
        output = "logits" if op.kind == "fully_connected" else op.name
        lines.append(f"{kind} {op.name} 1 1 {x} {output} {settings}")
        x = output
        if f"{op.name}.weight" in weights:
            arrays += [FP32, _bytes(weights[f"{op.name}.weight"]), _bytes(weights[f"{op.name}.bias"])]
    return "\n".join([str(MAGIC), f"{len(lines)} {len(lines)}", *lines, ""]), b"".join(arrays)


def _convolution(op: Op, weights: int, activation: Op | None) -> str:
    """Return the settings under ncnn's numbers for them."""
    top, left, bottom, right = op.padding
    pads = f"4={left} 14={top} 15={right} 16={bottom}"
    group = f" 7={op.shape_in[2]}" if op.kind == "depthwise" else ""
    fused = FUSED[activation.kind if activation else None]
    return f"0={op.shape_out[2]} 1={op.kernel} 3={op.stride} {pads} 5=1 6={weights}{group} {fused}"


def _bytes(array: np.ndarray) -> bytes:
    return np.ascontiguousarray(array, "<f4").tobytes()
