"""Conversion of the layers of a Keras model to those of `Content`: a convolution with its padding, norm and
activation.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ...arrays import Floats
from ...errors import ModelFileError
from ..layers import FileLayer, Norm, Number, Pads, convolution
from .flow import IMAGE, Flow, Value
from .keras_config import Config, Step
from .keras_numbers import OPERATIONS, bare, numbers_of

__all__ = ["Chain", "Take"]

Shape = tuple[int | None, ...]  # None: any
Take = Callable[[Step, Mapping[str, Shape]], dict[str, Floats]]  # a layer's arrays, by role, of the shapes asked for

_AT_INFERENCE_NOTHING = (
    "Dropout GaussianDropout GaussianNoise RandomBrightness RandomContrast RandomFlip RandomRotation RandomTranslation "
    "RandomZoom SpatialDropout2D"
).split()

_SMALLEST_DEVIATION = 1e-7  # Keras' epsilon, below which a Normalization divides by nothing smaller


@dataclass(slots=True)
class _Output:
    """The output of a step: its value, the size of its feature maps, and the zeros that a ZeroPadding2D adds."""

    value: Value = IMAGE
    area: tuple[int, int] | None = None  # None: unknown
    pads: Pads | None = None


class Chain:
    """Reads the steps of a model one after the other into `layers`, `size` and `pixels` of its `Content`."""

    def __init__(self, take: Take) -> None:
        self.take = take
        self.flow = Flow()
        self.outputs: dict[str, _Output] = {}  # key of a step -> its output
        self.now = _Output()  # what the step takes, then what it gives
        self.size: tuple[int, int] | None = None  # height, width of the image
        self.scale: Any = None  # with `offset`: the network's input is pixel * scale + offset
        self.offset: Any = 0.0
        self.ends: str | None = None  # "softmax" or "sigmoid", once it has come

    @property
    def pixels(self) -> tuple[Number, Number] | None:
        """Return (mean, std) by which the model itself normalises pixels; None where it does not."""
        if self.scale is None:
            return None
        scale, offset = np.broadcast_arrays(np.asarray(self.scale, np.float64), np.asarray(self.offset, np.float64))
        if scale.ndim > 1 or not (np.isfinite(scale).all() and np.isfinite(offset).all() and (scale > 0).all()):
            raise ModelFileError(
                f"it multiplies pixels by {self.scale} and adds {self.offset}: no rescaling of an image"
            )
        mean, std = ((np.round(x, 9) + 0.0).tolist() for x in (-offset / scale, 1 / scale))
        return (mean, std) if scale.ndim == 0 else (tuple(mean), tuple(std))

    @property
    def layers(self) -> tuple[FileLayer, ...]:
        """Return the layers so far."""
        return self.flow.finished(output.value for output in self.outputs.values())

    @property
    def _classified(self) -> bool:
        return self.flow.pooled(self.now.value) and self.flow.layers[self.now.value.at].weight is not None

    def add(self, step: Step) -> None:
        """Append a layer; raises `ModelFileError` for one that MobileNet does not have there."""
        if step.kind in _AT_INFERENCE_NOTHING:
            self.outputs[step.key] = self.outputs[step.takes[0]] if step.takes else self.now
            return
        if step.kind == "Lambda":
            raise ModelFileError(f"{step.name} is a Lambda layer: it holds code, which is never run")
        handler = _HANDLERS.get(_operation(step))
        if handler is None:
            raise ModelFileError(
                f"{step.name} is a {_operation(step)}: MobileNet has none; it is not a MobileNet from there on"
            )
        inputs = [self.outputs[key] for key in step.takes]
        self.now = replace(inputs[0]) if inputs else _Output(area=self.now.area)
        if self.now.pads and step.kind not in ("Conv2D", "DepthwiseConv2D", "InputLayer"):
            raise ModelFileError(f"{step.name}: a {step.kind} after zero padding, which only a convolution may take")
        if self.ends and step.kind not in ("Reshape", "Flatten"):
            raise ModelFileError(f"{step.name}: a {step.kind} after the {self.ends}")
        if not self.flow.layers and self.size is None:
            self._measure(step)
        handler(self, step)
        self.outputs[step.key] = self.now

    def _measure(self, step: Step) -> None:
        shape: Any = step.config.get("batch_shape") or step.config.get("batch_input_shape") or ()
        if len(shape) == 4 and all(type(side) is int for side in shape[1:3]):
            self.size = self.now.area = (shape[1], shape[2])

    def _input(self, step: Step) -> None:
        """Ignore an input: its size has been read."""

    def _rescale(self, step: Step) -> None:
        """Apply a Rescaling, a Normalization, or arithmetic with a number as in keras.applications'
        preprocess_input.
        """
        if self.now.value != IMAGE and step.kind == "Rescaling":  # of a hard sigmoid that Keras 2 and 3 share
            self._transform(
                step, numbers_of(step.config["scale"], step.name), numbers_of(step.config["offset"], step.name)
            )
            return
        if self.now.value != IMAGE:
            raise ModelFileError(f"{step.name}: a {step.kind} after the first convolution")
        if step.kind == "Normalization":
            scale, offset = self._normalization(step)
        elif step.kind == "Rescaling":
            scale, offset = numbers_of(step.config["scale"], step.name), numbers_of(step.config["offset"], step.name)
        else:
            number = numbers_of(step.operands[0] if len(step.operands) == 1 else None, step.name)
            scale, offset = OPERATIONS[_operation(step)](number)
        before = 1.0 if self.scale is None else self.scale
        with np.errstate(all="ignore"):  # `pixels` refuses what is not finite
            self.scale, self.offset = before * scale, self.offset * scale + offset

    def _normalization(self, step: Step) -> tuple[Any, Any]:
        """Return (scale, offset) of a Normalization: its mean and variance are in the config, or were adapted to
        images.
        """
        config = step.config
        if config.get("invert") or config.get("axis") not in (None, -1, 3, [-1], [3]):
            raise ModelFileError(f"{step.name}: a Normalization that is inverted, or of axis {config.get('axis')}")
        mean, variance = config.get("mean"), config.get("variance")
        if mean is None or variance is None:
            each: Shape = () if config.get("axis") is None else (None,)
            arrays = self.take(step, {"mean": each, "variance": each})
            mean, variance = arrays["mean"], arrays["variance"]
        mean, variance = (numbers_of(np.squeeze(bare(value)), step.name) for value in (mean, variance))
        with np.errstate(invalid="ignore"):
            scale = 1 / np.maximum(np.sqrt(variance), _SMALLEST_DEVIATION)
        return scale, -mean * scale

    def _pad(self, step: Step) -> None:
        (top, bottom), (left, right) = step.config["padding"]
        _last_axis(step)
        if self.flow.pooled(self.now.value):
            raise ModelFileError(f"{step.name}: a ZeroPadding2D after the pool")
        self.now.pads = (top, left, bottom, right)

    def _convolution(self, step: Step) -> None:
        config, depthwise = step.config, step.kind == "DepthwiseConv2D"
        _last_axis(step)
        if list(config.get("dilation_rate", (1, 1))) != [1, 1] or config.get("groups", 1) != 1:
            raise ModelFileError(f"{step.name}: a dilation or groups, which no MobileNet has")
        stride = _square(config["strides"], step.name, "strides")
        size = _square(config["kernel_size"], step.name, "kernel")
        out = config["depth_multiplier" if depthwise else "filters"]
        arrays = self.take(step, {"kernel": (size, size, None, out), **_bias(config)})
        kernel = arrays["kernel"].transpose((2, 3, 0, 1) if depthwise else (3, 2, 0, 1))  # (in, times | out, in, k, k)
        if depthwise:
            kernel = kernel.reshape(-1, 1, size, size)
        layer = convolution(
            step.name,
            kernel,
            groups=len(kernel) // out if depthwise else 1,
            bias=_fitting(arrays.get("bias"), len(kernel), step.name),
            stride=stride,
            padding=self._padding(step, size, stride),
        )
        self._append(replace(layer, kind="depthwise") if depthwise and out == 1 else layer)
        self._activate(step, config.get("activation"))

    def _append(self, layer: FileLayer, *others: Value) -> None:
        self.now.value = self.flow.add(layer, self.now.value, *others)

    def _padding(self, step: Step, kernel: int, stride: int) -> Any:
        """Return the padding of a convolution; update the size of the feature maps."""
        pads, self.now.pads = self.now.pads, None
        rule = step.config["padding"]
        if rule not in ("same", "valid") or (pads and rule == "same" and kernel > 1):
            raise ModelFileError(f"{step.name}: padding {rule}{' after zero padding' if pads else ''}")
        if self.now.area:
            top, left, bottom, right = pads or (0, 0, 0, 0)
            height, width = self.now.area[0] + top + bottom, self.now.area[1] + left + right
            less = 1 if rule == "same" else kernel
            self.now.area = (height - less) // stride + 1, (width - less) // stride + 1
        return pads or rule

    def _norm(self, step: Step) -> None:
        value = self.now.value
        last = self.flow.layers[value.at] if value.at >= 0 else None
        if last is None or last.weight is None or last.norm or not value.plain or value.at in self.flow.settled:
            raise ModelFileError(f"{step.name}: a batch norm that does not directly follow a convolution")
        config, each = step.config, (len(last.weight),)
        if config["axis"] not in (-1, 3, [-1], [3]):
            raise ModelFileError(f"{step.name}: normalises axis {config['axis']}, not the channels")
        epsilon = config["epsilon"]
        if not isinstance(epsilon, int | float) or not 0 < epsilon <= 1:
            raise ModelFileError(f"{step.name}: epsilon (={epsilon!r}) must be above 0 and at most 1")
        roles = ["gamma"] * bool(config["scale"]) + ["beta"] * bool(config["center"])
        arrays = self.take(step, dict.fromkeys([*roles, "moving_mean", "moving_variance"], each))
        gamma, beta = arrays.get("gamma", np.ones(each, np.float32)), arrays.get("beta", np.zeros(each, np.float32))
        norm = Norm(gamma, beta, arrays["moving_mean"], arrays["moving_variance"], float(epsilon))
        if (norm.var < 0).any():
            raise ModelFileError(f"{step.name}: negative variances")
        self.flow.change(value, norm=norm)

    def _relu(self, step: Step) -> None:
        limit, slope, threshold = (bare(step.config.get(key)) for key in ("max_value", "negative_slope", "threshold"))
        if slope or threshold or limit not in (None, 6):
            raise ModelFileError(f"{step.name}: a ReLU with a slope, a threshold or a limit other than 6")
        self._activate(step, "relu" if limit is None else "relu6")

    def _activation(self, step: Step) -> None:
        self._activate(step, step.config["activation"])

    def _activate(self, step: Step, activation: Any) -> None:
        if activation in (None, "linear"):
            return
        if activation == "softmax" or (activation == "sigmoid" and self._classified):
            self.ends = activation
            return
        named = _ACTIVATIONS.get(activation) if isinstance(activation, str) else None
        if named is None or (named == "hard_sigmoid" and not step.keras3):  # Keras 2 had another one
            kind = activation.get("class_name") if isinstance(activation, dict) else activation
            raise ModelFileError(
                f"{step.name}: activation {kind}: MobileNet has ReLU, ReLU6 or hard swish, and a softmax at the end"
            )
        value = self.flow.activated(self.now.value, named)
        if value is None:
            raise ModelFileError(f"{step.name}: an activation that does not follow a convolution")
        self.now.value = value

    def _arithmetic(self, step: Step) -> None:
        """Read a sum or a product of two layers, or of one and a number; before the first layer a rescaling."""
        kind = _operation(step)
        if len(step.takes) == 2 and kind in ("Add", "Multiply"):
            other = self.outputs[step.takes[1]].value
            if kind == "Add":
                self._append(FileLayer("add", step.name), other)
            else:
                self.now.value = self.flow.product(self.now.value, other, step.name)
                areas = [area for key in step.takes if (area := self.outputs[key].area) not in (None, (1, 1))]
                self.now.area = areas[0] if areas else self.now.area
        elif self.now.value == IMAGE:
            self._rescale(step)
        elif len(step.takes) != 1 or len(step.operands) != 1:
            raise ModelFileError(f"{step.name} is a {kind}: MobileNet has none; it is not a MobileNet from there on")
        else:
            self._transform(step, *OPERATIONS[kind](numbers_of(step.operands[0], step.name)))

    def _transform(self, step: Step, scale: Any, offset: Any) -> None:
        """Multiply the value by one number and add another, as part of an activation."""
        if np.ndim(scale) or np.ndim(offset):
            raise ModelFileError(
                f"{step.name}: a {_operation(step)} of one number per channel, which no activation has"
            )
        self.now.value = self.now.value.times(float(scale)).plus(float(offset))

    def _softmax(self, step: Step) -> None:
        self.ends = "softmax"

    def _pool(self, step: Step) -> None:
        _last_axis(step)
        if step.kind == "AveragePooling2D":
            window, config = step.config["pool_size"], step.config
            if self.now.area is None or list(window) != list(self.now.area) or config["padding"] != "valid":
                whole = f"{self.now.area[0]}x{self.now.area[1]}" if self.now.area else "of unknown size"
                raise ModelFileError(f"{step.name}: pools windows of {window}, not the whole feature map ({whole})")
        self.now.area = (1, 1)
        self._append(FileLayer("pool", step.name))

    def _flatten(self, step: Step) -> None:
        if self.now.area != (1, 1):
            raise ModelFileError(f"{step.name}: a {step.kind} before the pool")

    def _dense(self, step: Step) -> None:
        self._flatten(step)
        arrays = self.take(step, {"kernel": (None, step.config["units"]), **_bias(step.config)})
        matrix = np.ascontiguousarray(arrays["kernel"].T)
        bias = _fitting(arrays.get("bias"), len(matrix), step.name)
        self._append(FileLayer("fully_connected", step.name, matrix, bias))
        self._activate(step, step.config.get("activation"))


def _bias(config: Config) -> dict[str, Shape]:
    return {"bias": (None,)} if config["use_bias"] else {}


def _fitting(bias: Floats | None, outputs: int, name: str) -> Floats | None:
    if bias is not None and len(bias) != outputs:
        raise ModelFileError(f"{name}: a bias of shape {bias.shape} for {outputs} outputs")
    return bias


def _operation(step: Step) -> str:
    """Return the class of a layer, or the TensorFlow function that it calls."""
    return step.config["function"] if step.kind == "TFOpLambda" else step.kind


def _last_axis(step: Step) -> None:
    if step.config.get("data_format", "channels_last") not in (None, "channels_last"):
        raise ModelFileError(f"{step.name}: data_format {step.config['data_format']}: only channels_last is read")


def _square(value: Any, name: str, what: str) -> int:
    """Return n of (n, n)."""
    if len(value) != 2 or value[0] != value[1] or type(value[0]) is not int or value[0] < 1:
        raise ModelFileError(f"{name}: {what} {value}: MobileNet has square ones")
    return int(value[0])


# Keras' names of activations; Keras 3 saves a hard swish as hard_silu
_ACTIVATIONS = {name: name for name in ("relu", "relu6", "hard_sigmoid", "hard_swish")} | {"hard_silu": "hard_swish"}

_HANDLERS: dict[str, Callable[[Chain, Step], None]] = {
    "Activation": Chain._activation,
    "AveragePooling2D": Chain._pool,
    "BatchNormalization": Chain._norm,
    "Conv2D": Chain._convolution,
    "Dense": Chain._dense,
    "DepthwiseConv2D": Chain._convolution,
    "Flatten": Chain._flatten,
    "GlobalAveragePooling2D": Chain._pool,
    "Normalization": Chain._rescale,
    "InputLayer": Chain._input,
    "ReLU": Chain._relu,
    "Rescaling": Chain._rescale,
    "Reshape": Chain._flatten,
    "Softmax": Chain._softmax,
    "ZeroPadding2D": Chain._pad,
    **dict.fromkeys(OPERATIONS, Chain._arithmetic),
}
