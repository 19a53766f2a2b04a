"""A model as LiteRT takes it, floating point: uint8 pixels in, normalised inside, logits out. Made to be timed."""

from typing import Any

import numpy as np

from ..arch.fold import fold_batch_norm
from ..arch.graph import CONVOLUTIONS, Op, same_padding
from ..image import Preprocess
from ..model import Model

__all__ = ["litert_file"]

Array = np.ndarray[Any, np.dtype[Any]]

SAME, VALID = 0, 1
FUSED = {"relu": 1, "relu6": 3}  # schema's ActivationFunctionType


def litert_file(model: Model) -> bytes:
    """The bytes of a .tflite: activations fused, a PAD only where SAME would pad otherwise. Input (1, H, W, C)."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    write = _Writer(schema)
    graph, weights = fold_batch_norm(model.graph, model.weights)
    x = image = write.image(model.preprocess)
    x = write.normalise(x, model.preprocess)
    for op, after in zip(graph.ops, graph.ops[1:], strict=False):
        if op.kind in CONVOLUTIONS:
            x = write.convolution(x, op, weights, FUSED[after.kind])
        elif op.kind == "global_average_pool":
            axes = write.constant(np.array([1, 2], np.int32))
            x = write.op("MEAN", [x, axes], [1, op.shape_out[2]], schema.ReducerOptionsT())
        elif op.kind == "fully_connected":
            arrays = [write.constant(weights[f"{op.name}.{part}"]) for part in ("weight", "bias")]
            x = write.op("FULLY_CONNECTED", [x, *arrays], [1, op.shape_out[2]], schema.FullyConnectedOptionsT())
    builder = flatbuffers.Builder(1024)
    builder.Finish(write.finished(image, x).Pack(builder), b"TFL3")
    return bytes(builder.Output())


class _Writer:
    """Tensors, buffers and operators as they come; tensors and buffers are known by their numbers."""

    def __init__(self, schema: Any) -> None:
        self.schema = schema
        self.graph = schema.SubGraphT()
        self.graph.tensors, self.graph.operators = [], []
        self.buffers = [schema.BufferT()]  # the first stays empty: of all that is computed
        self.codes: list[int] = []

    def tensor(self, shape: list[int], kind: str = "FLOAT32", buffer: int = 0) -> int:
        tensor = self.schema.TensorT()
        tensor.shape, tensor.type, tensor.buffer = shape, getattr(self.schema.TensorType, kind), buffer
        tensor.name = f"t{len(self.graph.tensors)}"
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def constant(self, array: Array) -> int:
        buffer = self.schema.BufferT()
        buffer.data = np.frombuffer(np.ascontiguousarray(array).tobytes(), np.uint8)
        self.buffers.append(buffer)
        return self.tensor([*array.shape], array.dtype.name.upper(), len(self.buffers) - 1)

    def op(self, kind: str, inputs: list[int], shape: list[int], options: Any = None) -> int:
        """An operator and the tensor that it makes."""
        code = getattr(self.schema.BuiltinOperator, kind)
        if code not in self.codes:
            self.codes.append(code)
        operator = self.schema.OperatorT()
        operator.opcodeIndex = self.codes.index(code)
        operator.inputs, operator.outputs = inputs, [self.tensor(shape)]
        if options is not None:
            operator.builtinOptions = options
            operator.builtinOptionsType = getattr(self.schema.BuiltinOptions, type(options).__name__.removesuffix("T"))
        self.graph.operators.append(operator)
        return int(operator.outputs[0])

    def image(self, preprocess: Preprocess) -> int:
        """Its scale makes pixel / std of a pixel, where all channels share one."""
        image = self.tensor([1, preprocess.height, preprocess.width, preprocess.channels], "UINT8")
        quantisation = self.schema.QuantizationParametersT()
        quantisation.scale, quantisation.zeroPoint = [_scale(preprocess)], [0]
        self.graph.tensors[image].quantization = quantisation
        return image

    def normalise(self, x: int, preprocess: Preprocess) -> int:
        """(pixel - mean) / std."""
        shape, scale = [*self.graph.tensors[x].shape], np.float32(_scale(preprocess))
        std = np.asarray(preprocess.std, np.float32) * scale
        mean = np.asarray(preprocess.mean, np.float32) * scale / std
        x = self.op("DEQUANTIZE", [x], shape)
        if (std != 1).any():
            x = self.op("MUL", [x, self.spread(1 / std, shape)], shape, self.schema.MulOptionsT())
        return self.op("SUB", [x, self.spread(mean, shape)], shape, self.schema.SubOptionsT()) if mean.any() else x

    def spread(self, values: Any, shape: list[int]) -> int:
        """One number, or an image of them: to repeat three is the slowest of what LiteRT can do."""
        return self.constant(np.atleast_1d(values) if np.ndim(values) == 0 else np.broadcast_to(values, shape))

    def convolution(self, x: int, op: Op, weights: dict[str, Array], activation: int) -> int:
        (top, left, bottom, right), (h, w, c) = op.padding, op.shape_in
        pads = (*same_padding(h, op.kernel, op.stride), *same_padding(w, op.kernel, op.stride))
        same = pads == (top, bottom, left, right)
        if not same:
            border = self.constant(np.array([[0, 0], [top, bottom], [left, right], [0, 0]], np.int32))
            x = self.op("PAD", [x, border], [1, h + top + bottom, w + left + right, c], self.schema.PadOptionsT())
        depthwise = op.kind == "depthwise"
        options = self.schema.DepthwiseConv2DOptionsT() if depthwise else self.schema.Conv2DOptionsT()
        options.padding, options.strideH, options.strideW = SAME if same else VALID, op.stride, op.stride
        options.dilationHFactor = options.dilationWFactor = 1
        options.fusedActivationFunction = activation
        if depthwise:
            options.depthMultiplier = 1
        kernel = weights[f"{op.name}.weight"].transpose((1, 2, 3, 0) if depthwise else (0, 2, 3, 1))
        inputs = [x, self.constant(kernel), self.constant(weights[f"{op.name}.bias"])]
        return self.op("DEPTHWISE_CONV_2D" if depthwise else "CONV_2D", inputs, [1, *op.shape_out], options)

    def finished(self, image: int, logits: int) -> Any:
        self.graph.inputs, self.graph.outputs = [image], [logits]
        model = self.schema.ModelT()
        model.version, model.subgraphs, model.buffers = 3, [self.graph], self.buffers
        model.operatorCodes = [self._code(code) for code in self.codes]
        return model

    def _code(self, code: int) -> Any:
        made = self.schema.OperatorCodeT()
        made.builtinCode, made.deprecatedBuiltinCode, made.version = code, min(code, 127), 1
        return made


def _scale(preprocess: Preprocess) -> float:
    """What one step of a pixel is worth before channels are told apart."""
    return float(np.float32(1 / preprocess.std)) if isinstance(preprocess.std, float | int) else 1.0
