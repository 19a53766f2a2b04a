"""Sums, products and hard swish of int8 against exact arithmetic, and every byte against LiteRT."""

from fractions import Fraction

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from hypothesis import given, settings
from hypothesis import strategies as st

from mobilenets.errors import ModelFileError
from mobilenets.exporters.flatbuffer import Table, to_bytes
from mobilenets.exporters.tflite_file import _SCHEMA, File, Real
from mobilenets.quant.elementwise import add, hard_swish_table, multiply
from mobilenets.quant.scheme import QuantParams

ALL = np.arange(-128, 128).astype(np.int8)
A, B = (np.ascontiguousarray(grid).reshape(1, 256, 256, 1) for grid in np.meshgrid(ALL, ALL))
params = st.builds(QuantParams, st.floats(0.005, 0.1), st.integers(-128, 127))


def litert(
    kind: str, sources: tuple[QuantParams, ...], target: QuantParams, arrays: tuple[np.ndarray, ...]
) -> np.ndarray:
    """One operator, run by LiteRT as it comes."""
    file = File()
    inputs = [
        file.tensor(f"in{i}", array.shape, "int8", Real(np.float32(source.scale), source.zero_point))
        for i, (source, array) in enumerate(zip(sources, arrays, strict=True))
    ]
    real = Real(np.float32(target.scale), target.zero_point)
    output = file.run(kind, inputs, file.tensor("out", arrays[0].shape, "int8", real), 2 - (kind == "HARD_SWISH"))
    ends = {"inputs": np.array(inputs, np.int32), "outputs": np.array([output], np.int32)}
    graph = Table("SubGraph", {**ends, "tensors": file.tensors, "operators": file.operators})
    codes = [file._code(*code) for code in file.codes]
    model = {"version": 3, "operator_codes": codes, "subgraphs": [graph], "description": "", "buffers": file.buffers}
    interpreter = Interpreter(model_content=to_bytes(_SCHEMA, Table("Model", model), b"TFL3"), num_threads=1)
    interpreter.allocate_tensors()
    for detail, array in zip(interpreter.get_input_details(), arrays, strict=True):
        interpreter.set_tensor(detail["index"], array)
    interpreter.invoke()
    return interpreter.get_tensor(output)


@settings(max_examples=25)
@given(params, params, params)
def test_sums_are_those_of_litert(a: QuantParams, b: QuantParams, target: QuantParams) -> None:
    expected = litert("ADD", (a, b), target, (A, B))
    np.testing.assert_array_equal(add(A, B, (a, b), target, -128, 127), expected)


@settings(max_examples=25)
@given(params, params, params)
def test_products_are_those_of_litert(x: QuantParams, gate: QuantParams, target: QuantParams) -> None:
    np.testing.assert_array_equal(multiply(A, B, (x, gate), target), litert("MUL", (x, gate), target, (A, B)))


@settings(max_examples=100)
@given(params, params)
def test_hard_swish_is_that_of_litert(source: QuantParams, target: QuantParams) -> None:
    np.testing.assert_array_equal(hard_swish_table(source, target), litert("HARD_SWISH", (source,), target, (ALL,)))


def test_a_gate_has_one_number_a_channel() -> None:
    rng = np.random.default_rng(0)
    x, gate = (rng.integers(-128, 128, shape).astype(np.int8) for shape in ((1, 5, 6, 24), (1, 1, 1, 24)))
    pair, target = (QuantParams(0.05, -10), QuantParams(1 / 256, -128)), QuantParams(0.04, -20)
    np.testing.assert_array_equal(multiply(x, gate, pair, target), litert("MUL", pair, target, (x, gate)))


def test_sums_are_within_half_a_step_of_the_exact_ones() -> None:
    a, b, target = QuantParams(0.03, -128), QuantParams(0.021, 5), QuantParams(0.04, -60)
    found = add(A, B, (a, b), target, -128, 127).ravel()
    for i in range(0, 65536, 997):
        exact = Fraction(a.scale) * (int(A.flat[i]) + 128) + Fraction(b.scale) * (int(B.flat[i]) - 5)
        step = exact / Fraction(target.scale) - 60
        assert abs(min(max(step, -128), 127) - int(found[i])) <= Fraction(501, 1000)


def test_an_activation_ends_a_sum() -> None:
    pair, target = (QuantParams(0.03, 0), QuantParams(0.03, 0)), QuantParams(0.03, -10)
    found = add(A, B, pair, target, -10, 40)
    assert (found.min(), found.max()) == (-10, 40)


@pytest.mark.parametrize("scale", [0.01, 0.047])
def test_hard_swish_is_near_the_exact_one(scale: float) -> None:
    source, target = QuantParams(scale, -3), QuantParams(0.02, -109)
    x = scale * (ALL.astype(np.float64) + 3)
    exact = np.clip(x * np.clip(x + 3, 0, 6) / 6 / 0.02 - 109, -128, 127)
    assert np.abs(hard_swish_table(source, target) - exact).max() <= 0.51


def test_scales_that_are_too_far_apart() -> None:
    with pytest.raises(ModelFileError, match=r"^scales 1e-05 and 0.05 are too far from 0.05$"):
        add(A, B, (QuantParams(1e-5, 0), QuantParams(0.05, 0)), QuantParams(0.05, 0), -128, 127)
    with pytest.raises(ModelFileError, match=r"^hard swish: scale 1e-05 is too small for an input of scale 0.05$"):
        hard_swish_table(QuantParams(0.05, 0), QuantParams(1e-5, 0))
