"""int8 layers without weights in ONNX, by operators that compute the same integers in every runtime.

QDQ forms of Add, Mul and HardSwish would be computed in float32, with other rounding than `quant.elementwise`.
"""

from collections.abc import Sequence

import numpy as np
from onnx import TensorProto

from ..arch.layers import Layer
from ..arch.ops import OPS
from ..quant.elementwise import add_terms, product_factor, table_of
from ..quant.scheme import LOW, QuantModel, QuantParams, limits
from .writer import Writer

__all__ = ["elementwise"]


def elementwise(
    write: Writer,
    model: QuantModel,
    layer: Layer,
    inputs: Sequence[str],
    sources: tuple[QuantParams, ...],
    target: QuantParams,
) -> str:
    """Write a sum, a product or an activation with a table of uint8 `inputs`; return its uint8 output."""
    name = layer.name
    if OPS[layer.op.kind].role == "activation":
        table = write.constant(f"{name}_table", table_of(model, layer))
        index = write.node("Cast", [inputs[0]], f"{name}_index", to=TensorProto.INT32)
        return write.node("Gather", [table, index], f"{name}_quantized")
    pair = sources[0], sources[1]
    if layer.op.kind == "add":
        return _clipped(write, layer, _sum(write, name, inputs, pair, target), target, np.float64)
    return _clipped(write, layer, _product(write, name, inputs, pair, target), target, np.float32)


def _sum(
    write: Writer, name: str, inputs: Sequence[str], sources: tuple[QuantParams, QuantParams], target: QuantParams
) -> str:
    """Return floor((m0 a + m1 b + bias) / 2^shift) in float64, in which all steps are exact."""
    factors, bias, shift = add_terms(sources, target)
    bias += LOW * sum(factors)  # the inputs are 128 above the integers
    terms = []
    for number, (x, factor) in enumerate(zip(inputs, factors, strict=True)):
        real = write.node("Cast", [x], f"{name}_{number}_real", to=TensorProto.DOUBLE)
        scale = write.constant(f"{name}_{number}_factor", np.array(factor / 2.0**shift))
        terms.append(write.node("Mul", [real, scale], f"{name}_{number}_term"))
    terms.append(write.constant(f"{name}_bias", np.array(bias / 2.0**shift)))
    part = write.node("Add", terms[:2], f"{name}_part")
    return write.node("Floor", [write.node("Add", [part, terms[2]], f"{name}_sum")], f"{name}_floor")


def _product(
    write: Writer, name: str, inputs: Sequence[str], sources: tuple[QuantParams, QuantParams], target: QuantParams
) -> str:
    """Return the product of the inputs less their zero points times a float32 factor, halves rounded to even."""
    terms = []
    for number, (x, source) in enumerate(zip(inputs, sources, strict=True)):
        real = write.node("Cast", [x], f"{name}_{number}_real", to=TensorProto.FLOAT)
        zero = write.constant(f"{name}_{number}_zero", np.array(source.zero_point - LOW, np.float32))
        terms.append(write.node("Sub", [real, zero], f"{name}_{number}_term"))
    product = write.node("Mul", terms, f"{name}_product")
    factor = write.constant(f"{name}_factor", np.asarray(product_factor(sources, target)))
    return write.node("Round", [write.node("Mul", [product, factor], f"{name}_scaled")], f"{name}_rounded")


def _clipped(write: Writer, layer: Layer, x: str, target: QuantParams, dtype: type[np.floating]) -> str:
    """Return steps from the zero point as uint8, clipped to the limits of the activation."""
    name, (low, high) = layer.name, limits(target, layer.activation)
    numbers = {"zero": target.zero_point - LOW, "low": low - LOW, "high": high - LOW}
    zero, *ends = (write.constant(f"{name}_{end}", np.array(value, dtype)) for end, value in numbers.items())
    moved = write.node("Add", [x, zero], f"{name}_moved")
    return write.node(
        "Cast", [write.node("Clip", [moved, *ends], f"{name}_clip")], f"{name}_quantized", to=TensorProto.UINT8
    )
