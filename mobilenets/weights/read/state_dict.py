"""Named tensors of PyTorch as a chain of layers: shapes determine the kind of each, whatever its name.

A 4-d weight is a convolution, depthwise where it has one input and as many outputs as there were channels before it;
four 1-d arrays are the batch norm of the convolution before them; a 2-d weight is the classifier. The first convolution
is a full one, although that of a grey network has the shape of a depthwise one.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from ...arrays import Floats
from ...errors import ModelFileError
from ...image import Preprocess, Resize
from ..layers import DETECTOR, Content, FileLayer, Norm, convolution

__all__ = ["MAX_NAME", "check_count", "content_of", "floats", "in_order"]

Tensors = Mapping[str, Floats]
Modules = dict[str, dict[str, Floats]]  # "blocks.0.0.bn1" -> its arrays: "weight", "bias", ...

MAX_TENSORS = 20_000  # of the largest MobileNet there are 1,540
MAX_NAME = 200  # characters; what is longer is not shown
_NORM = {"weight", "bias", "running_mean", "running_var"}
_WRAPPER = re.compile(r"((module|_orig_mod|model)\.)*")  # of DataParallel, torch.compile, training frameworks
# parts of names that detectors have: torchvision's, pytorch-ssd's, TensorFlow's
_BOXES = re.compile(
    r"(^|\.)(regression_headers?|classification_headers?|regression_head|anchors?|anchor_generator|priors|rpn|roi_heads"
    r"|bbox_\w+|box_\w+|boxpredictor\w*|loc|loc_\w+|multibox\w*)(\.|$)",
    re.IGNORECASE,
)
_SYMMETRIC: dict[str, Any] = {"padding": "symmetric", "epsilon": 1e-5}
_SIGNED: dict[str, Any] = {"activation": "relu6", "pixels": (127.5, 127.5)}
_SQUEEZE = ".se.conv_reduce.weight"
_NONE: Floats = np.zeros((), np.float32)

_IMAGENET: dict[str, Any] = {"pixels": ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375)), "size": (224, 224)}
_TENSORFLOW: dict[str, Any] = {"padding": "same", "epsilon": 1e-3, "pixels": (127.5, 127.5)}

# names that only this maker gives -> the maker and its conventions; the first whose names are all there holds.
# timm's networks from TensorFlow have the names of its own: only those without gates are told apart
_MAKERS: dict[tuple[str, ...], tuple[str, dict[str, Any]]] = {
    ("conv_stem.weight", "norm_head.weight"): ("timm", {**_SYMMETRIC, **_IMAGENET}),  # V4
    ("conv_head.bias", f"blocks.3.0{_SQUEEZE}"): ("timm", {**_SYMMETRIC, **_IMAGENET}),  # V3
    ("conv_head.bias", f"blocks.4.0{_SQUEEZE}"): ("timm", {**_SYMMETRIC, **_IMAGENET}),
    ("conv_head.bias", "blocks.1.0.conv_pwl.weight"): ("timm", {**_TENSORFLOW, "size": (224, 224)}),
    ("conv_stem.weight", "blocks.1.0.conv_pwl.weight"): ("timm", {**_SYMMETRIC, **_IMAGENET}),  # V2
    ("blocks.0.0.conv_dw.weight",): ("timm", {**_SYMMETRIC, **_SIGNED, "size": (224, 224)}),
    ("features.1.conv.0.0.weight",): ("torchvision", {**_SYMMETRIC, **_IMAGENET}),  # V2
    ("features.1.block.0.0.weight",): ("torchvision", {**_SYMMETRIC, **_IMAGENET, "epsilon": 1e-3}),  # V3
    ("mobilenet_v1.conv_stem.convolution.weight",): (
        "transformers",
        {"padding": "same", "epsilon": 1e-3, **_SIGNED},
    ),
}
# timm's names within a block in the order in which they run; without conv_pwl a block is V1's
_ORDER = "dw_start conv_exp pw_exp conv_pw conv_dw dw_mid se conv_pwl pw_proj".split()
_V1_ORDER = "conv_dw se conv_pw".split()


def content_of(format: str, tensors: Tensors, stated: Mapping[str, Any] | None = None) -> Content:
    """Return the chain of `tensors` in their order; `stated` is the metadata of a file that this package exported."""
    tensors = _unwrapped(tensors)
    if boxes := next((name for name in tensors if _BOXES.search(name)), None):
        raise ModelFileError(f"{boxes[:MAX_NAME]}: {DETECTOR}")
    makers = (found for names, found in _MAKERS.items() if all(name in tensors for name in names))
    maker, conventions = next(makers, ("PyTorch", _SYMMETRIC))
    settings = dict(stated or {})
    # the exporter writes scales that hold with this epsilon, whatever the network's own
    layers = _layers(_modules(tensors), conventions["epsilon"] if "network" in settings else None)
    if maker == "timm":
        settings.setdefault("preprocess", Preprocess(224, 224, resize=_resize(conventions)))
    return Content(f"{format} ({maker})", layers, maker=maker, conventions=conventions, **settings)


def check_count(count: int) -> None:
    """Raise `ModelFileError` for more tensors than any network has, before each is read."""
    if count > MAX_TENSORS:
        raise ModelFileError(f"{count} tensors: no MobileNet has more than {MAX_TENSORS}")


def floats(name: str, numbers: np.ndarray, dtype: str) -> Floats:
    """Return float32 of numbers of a floating NumPy `dtype`, or of "bf16": the upper half of float32, given as
    uint16.
    """
    if dtype == "bf16":
        return (numbers.astype("<u4") << 16).view(np.float32)
    if np.dtype(dtype).kind != "f":
        raise ModelFileError(f"{name[:MAX_NAME]}: {np.dtype(dtype)}, must be floating point")
    with np.errstate(over="ignore"):  # overflow to infinity is refused with its name
        return numbers.astype(np.float32, copy=False)


def in_order(tensors: Tensors) -> Tensors:
    """Return the tensors of a file that sorts its names in the order in which they run.

    Numbers are compared as numbers; the stem is first and the classifier last; each other module is followed by the
    first remaining batch norm of the same parent.
    """
    modules = _modules(tensors)
    names = sorted(modules, key=lambda name: [_place(part, modules) for part in _parts(name)])
    norms: dict[str, list[str]] = {}  # parent -> its batch norms, the last first
    for name in reversed(names):
        if set(modules[name]) == _NORM:
            norms.setdefault(_parent(name), []).append(name)
    order: list[str] = []
    others = [name for name in names if set(modules[name]) != _NORM]
    for name in sorted(others, key=lambda name: _rank(name, modules[name])):
        order.append(name)
        if norms.get(_parent(name)):
            order.append(norms[_parent(name)].pop())
    order += [name for left in norms.values() for name in left]
    return {f"{name}.{part}": array for name in order for part, array in modules[name].items()}


def _unwrapped(tensors: Tensors) -> Tensors:
    """Return the tensors without the wrapper prefixes that all names share."""
    wrapper = min((match[0] for name in tensors if (match := _WRAPPER.match(name))), key=len, default="")
    if not all(name.startswith(wrapper) for name in tensors):
        return tensors
    return {name.removeprefix(wrapper): array for name, array in tensors.items()}


def _parts(name: str) -> list[str]:
    """Return the names of the modules around a module, and its own, from the outermost on."""
    dots = [at for at, letter in enumerate(name) if letter == "."]
    return [name[:at] for at in (*dots, len(name))]


def _place(name: str, modules: Modules) -> tuple[int, str]:
    """Return what to sort a module by among those of the same parent."""
    parent, _, own = name.rpartition(".")
    order = _ORDER if f"{parent}.conv_pwl" in modules or own not in _V1_ORDER else _V1_ORDER
    if parent.endswith(".se"):
        order = ["conv_reduce", "conv_expand"]
    number = re.sub("[0-9]+", lambda digits: digits[0].zfill(9), own)
    return (order.index(own) if own in order else len(order)), number


def _resize(conventions: Mapping[str, Any]) -> Resize:
    """Return timm's interpolation: bilinear for networks from TensorFlow, except those of V1."""
    return "bilinear" if conventions["padding"] == "same" else "bicubic"


def _parent(name: str) -> str:
    return name.rpartition(".")[0]


def _rank(name: str, arrays: Mapping[str, Floats]) -> int:
    """Return 0 for the stem (3x3 of 3 channels, a grey one by its name), 2 for the classifier, else 1."""
    weight = arrays.get("weight", _NONE)
    return 0 if weight.shape[1:] == (3, 3, 3) or "stem" in name else 2 if weight.ndim == 2 else 1


def _modules(tensors: Tensors) -> Modules:
    modules: Modules = {}
    for name, array in tensors.items():
        if len(name) > MAX_NAME:
            raise ModelFileError(f"a name of {len(name)} characters: {name[:20]}...")
        module, _, part = name.rpartition(".")
        modules.setdefault(module, {})[part] = array
    return modules


def _layers(modules: Modules, epsilon: float | None) -> tuple[FileLayer, ...]:
    layers: list[FileLayer] = []
    for name, arrays in modules.items():
        parts, weight = set(arrays), arrays.get("weight", _NONE)
        if parts == _NORM:
            _normalise(layers, name, arrays, epsilon)
        elif parts <= {"weight", "bias"} and weight.ndim == 4:
            depthwise = layers and weight.shape[1] == 1 and len(weight) == _width(layers[-1])
            groups = len(weight) if depthwise else 1
            layers.append(convolution(name, weight, groups, bias=_vector(name, arrays, "bias", len(weight))))
        elif parts <= {"weight", "bias"} and weight.ndim == 2:
            bias = _vector(name, arrays, "bias", len(weight))
            layers.append(FileLayer("fully_connected", name, weight, bias))
        else:
            shapes = ", ".join(f"{part} {array.shape}" for part, array in list(arrays.items())[:6])
            raise ModelFileError(f"{name}: {shapes}: no layer of a MobileNet has these")
    return tuple(layers)


def _normalise(layers: list[FileLayer], name: str, arrays: Mapping[str, Floats], epsilon: float | None) -> None:
    """Give the batch norm to the convolution before it."""
    if not layers or layers[-1].kind == "fully_connected" or layers[-1].norm is not None:
        raise ModelFileError(f"{name}: a batch norm with no convolution before it")
    gamma, beta, mean, var = (
        _vector(name, arrays, part, _width(layers[-1])) for part in ("weight", "bias", "running_mean", "running_var")
    )
    layers[-1] = replace(layers[-1], norm=Norm(gamma, beta, mean, var, epsilon))


def _width(layer: FileLayer) -> int:
    return 0 if layer.weight is None else len(layer.weight)


def _vector(name: str, arrays: Mapping[str, Floats], part: str, channels: int) -> Floats:
    array = arrays.get(part, np.zeros(channels, np.float32))
    if array.shape != (channels,):
        raise ModelFileError(f"{name}.{part}: {array.shape} values for {channels} channels")
    return array
