"""A TensorFlow Lite file under construction: tensors and operators, identified by their numbers.

The tables below are the parts of TensorFlow's schema.fbs that MobileNets need.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .flatbuffer import Table, to_bytes

__all__ = ["File", "Real"]

Array = np.ndarray[Any, np.dtype[Any]]

_SCHEMA = {
    "Model": "version:Uint32 operator_codes subgraphs description buffers metadata_buffer metadata signature_defs",
    "OperatorCode": "deprecated_builtin_code:Int8 custom_code version:Int32 builtin_code:Int32",
    "SubGraph": "tensors inputs outputs operators name",
    "Tensor": "shape type:Int8 buffer:Uint32 name quantization",
    "QuantizationParameters": "min max scale zero_point details_type:Uint8 details quantized_dimension:Int32",
    "Operator": "opcode_index:Uint32 inputs outputs builtin_options_type:Uint8 builtin_options",
    "Buffer": "data",
    "Metadata": "name buffer:Uint32",
    "SignatureDef": "inputs outputs signature_key",
    "TensorMap": "name tensor_index:Uint32",
    "Conv2DOptions": "padding:Int8 stride_w:Int32 stride_h:Int32 activation:Int8",
    "DepthwiseConv2DOptions": "padding:Int8 stride_w:Int32 stride_h:Int32 multiplier:Int32 activation:Int8",
    "ReducerOptions": "keep_dims:Bool",
    "ReshapeOptions": "new_shape",
    "SoftmaxOptions": "beta:Float32",
    "PadOptions": "",
    "MulOptions": "",
    "AddOptions": "activation:Int8",
    "HardSwishOptions": "",
    "SubOptions": "",
    "QuantizeOptions": "",
    "DequantizeOptions": "",
}
_TYPES = {"float32": 0, "float16": 1, "int32": 2, "uint8": 3, "int8": 9}
# operator -> its number, its options' table and that table's number in the union
_OPERATORS = {
    "ADD": (0, "AddOptions", 11),
    "CONV_2D": (3, "Conv2DOptions", 1),
    "DEPTHWISE_CONV_2D": (4, "DepthwiseConv2DOptions", 2),
    "DEQUANTIZE": (6, "DequantizeOptions", 38),
    "MUL": (18, "MulOptions", 21),
    "RESHAPE": (22, "ReshapeOptions", 17),
    "SOFTMAX": (25, "SoftmaxOptions", 9),
    "PAD": (34, "PadOptions", 22),
    "MEAN": (40, "ReducerOptions", 27),
    "SUB": (41, "SubOptions", 28),
    "QUANTIZE": (114, "QuantizeOptions", 89),
    "HARD_SWISH": (117, "HardSwishOptions", 91),
}


@dataclass(frozen=True, slots=True)
class Real:
    """The real numbers of a tensor: scale * (q - zero point), with one scale, or one per index of `axis`."""

    scale: Array | np.float32
    zero_point: int = 0
    axis: int = 0

    def table(self) -> Table:
        """Append a table of the schema."""
        scale = np.atleast_1d(np.asarray(self.scale, np.float32))
        zero = np.full(len(scale), self.zero_point, np.int64)
        return Table("QuantizationParameters", {"scale": scale, "zero_point": zero, "quantized_dimension": self.axis})


@dataclass(slots=True)
class File:
    """The one subgraph of a file."""

    tensors: list[Table] = field(default_factory=list)
    operators: list[Table] = field(default_factory=list)
    buffers: list[Table] = field(default_factory=lambda: [Table("Buffer", {})])  # first: of computed tensors
    codes: list[tuple[str, int]] = field(default_factory=list)  # (operator, version)

    def tensor(self, name: str, shape: tuple[int, ...], dtype: str = "float32", real: Real | None = None) -> int:
        """Append a tensor and return its index."""
        return self._tensor(name, shape, dtype, real, 0)

    def constant(self, name: str, values: Array, real: Real | None = None) -> int:
        """Append a constant tensor and return its index."""
        return self._tensor(name, values.shape, values.dtype.name, real, self._buffer(values))

    def _tensor(self, name: str, shape: tuple[int, ...], dtype: str, real: Real | None, buffer: int) -> int:
        fields: dict[str, Any] = {"name": name, "shape": np.array(shape, np.int32), "type": _TYPES[dtype]}
        fields |= {"quantization": real.table()} if real else {}
        self.tensors.append(Table("Tensor", fields | {"buffer": buffer}))
        return len(self.tensors) - 1

    def _buffer(self, values: Array) -> int:
        content = np.ascontiguousarray(values).reshape(-1).view(np.uint8)
        self.buffers.append(Table("Buffer", {"data": content}))
        return len(self.buffers) - 1

    def run(self, kind: str, inputs: list[int], output: int, version: int = 1, **options: Any) -> int:
        """Append an operator of the version that introduced its number formats; return `output`."""
        code = (kind, version)
        if code not in self.codes:
            self.codes.append(code)
        _, table, number = _OPERATORS[kind]
        self.operators.append(
            Table(
                "Operator",
                {
                    "opcode_index": self.codes.index(code),
                    "inputs": np.array(inputs, np.int32),
                    "outputs": np.array([output], np.int32),
                    "builtin_options_type": number,
                    "builtin_options": Table(table, options),
                },
            )
        )
        return output

    def content(self, takes: int, gives: int, metadata: Mapping[str, bytes]) -> bytes:
        """Return the bytes of the file.

        `takes` and `gives` are the tensors of the whole graph; `metadata` maps names to contents.
        """
        ends = {"inputs": takes, "outputs": gives}
        signature = {end: [self._named(tensor)] for end, tensor in ends.items()}
        graph = {end: np.array([tensor], np.int32) for end, tensor in ends.items()}
        entries = [
            Table("Metadata", {"name": name, "buffer": self._buffer(np.frombuffer(content, np.uint8))})
            for name, content in metadata.items()
        ]
        model = {
            "version": 3,
            "operator_codes": [self._code(*code) for code in self.codes],
            "subgraphs": [Table("SubGraph", {**graph, "tensors": self.tensors, "operators": self.operators})],
            "description": "mobilenets",
            "buffers": self.buffers,
            "metadata": entries,
            "signature_defs": [Table("SignatureDef", {**signature, "signature_key": "serving_default"})],
        }
        return to_bytes(_SCHEMA, Table("Model", model), b"TFL3")

    def _named(self, tensor: int) -> Table:
        return Table("TensorMap", {"name": self.tensors[tensor].fields["name"], "tensor_index": tensor})

    def _code(self, kind: str, version: int) -> Table:
        number, _, _ = _OPERATORS[kind]
        return Table("OperatorCode", {"deprecated_builtin_code": number, "builtin_code": number, "version": version})
