"""Keras: `.h5` with the whole model or with weights alone, and `.keras`. Configs are read as data; no layer is
built.
"""

import io
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import PurePosixPath
from typing import Any

from ...arrays import Floats
from ...errors import MobilenetsError, ModelFileError
from ...model import PREFIX
from ..layers import Content, FileLayer, Norm, UnreadError, convolution
from .exported import stated
from .hdf5 import MAX_TEXT, Hdf5
from .keras_chain import Chain, Shape, Take
from .keras_config import Step, parse, unroll

__all__ = ["read_h5", "read_keras"]

MAKER = "keras.applications"
PIXELS = (127.5, 127.5)  # what its preprocess_input does for MobileNet, outside the model
PUBLISHED = {"pixels": PIXELS, "activation": "relu6", "padding": "keras", "epsilon": 1e-3}
EXPANSION = 4  # times its own size, and a mebibyte, is what an archive may unpack to: weights hardly compress
ADVICE = "save the whole model (model.save), which says how its layers are joined"
# the first layers of its networks: V1, V2, V3
_FIRST = (["conv1", "conv_dw_1"], ["Conv1", "expanded_conv_depthwise"], ["conv", "expanded_conv_depthwise"])
_HOLDING = ("BatchNormalization", "Conv2D", "Dense", "DepthwiseConv2D")
_COUNTED = {"Normalization": ("count",)}  # of the values that it was adapted to: nothing that it computes with
_NORM = ("gamma", "beta", "moving_mean", "moving_variance")


def read_h5(content: bytes) -> Content:
    """Return the layers of a whole model, or of weights under the names of keras.applications.

    Raises `ModelFileError` for a file that is damaged, is not a chain of layers, or would need code to be run.
    """
    with _damage():
        file = Hdf5(content)
        config = file.text(file.root, "model_config")
        if config is None:
            return _weights_alone(file)
        keys = [f"{PREFIX}{key}" for key in ("network", "preprocess", "labels")]
        ours = {key: text for key in keys if (text := file.text(file.root, key)) is not None}
        steps = list(unroll(parse(config)))
        return _whole("Keras HDF5", steps, _by_name(file), stated(ours, PREFIX))


def read_keras(content: bytes) -> Content:
    """Return the layers of a Keras 3 archive, which is read in memory; nothing is extracted."""
    with _damage(), zipfile.ZipFile(io.BytesIO(content)) as archive:
        _check_members(archive)
        config = _member(archive, "config.json", MAX_TEXT).decode("utf-8")
        file = Hdf5(_member(archive, "model.weights.h5", EXPANSION * len(content) + (1 << 20)))
        steps = list(unroll(parse(config)))
        return _whole("Keras archive", steps, _by_number(file, steps), {})


@contextmanager
def _damage() -> Iterator[None]:
    """Convert what libraries raise on a damaged file to one line."""
    try:
        yield
    except MobilenetsError:
        raise
    except KeyError as exc:
        raise ModelFileError(f"damaged: it lacks {exc}") from exc
    except (
        *(OSError, EOFError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError),
        *(RuntimeError, struct.error, zipfile.BadZipFile, zlib.error),  # RecursionError, NotImplementedError: Runtime
    ) as exc:
        raise ModelFileError(f"damaged: {' '.join(str(exc).split())[:200] or type(exc).__name__}") from exc


def _whole(format: str, steps: Sequence[Step], take: Take, ours: Mapping[str, Any]) -> Content:
    chain = Chain(take)
    for step in steps:
        try:
            chain.add(step)
        except ModelFileError as exc:
            raise UnreadError(str(exc), partial(_content, format, chain, ours)) from exc
    return _content(format, chain, ours)


def _content(format: str, chain: Chain, ours: Mapping[str, Any]) -> Content:
    settings = {"size": chain.size, "pixels": chain.pixels, "ends": chain.ends, **ours}
    content = Content(format, chain.layers, **settings)
    if [layer.name for layer in content.layers[:2]] not in _FIRST:
        return content
    spelled_out = any(isinstance(layer.padding, tuple) for layer in content.layers)
    conventions = {"pixels": PIXELS, "padding": "keras" if spelled_out else "same"}
    return replace(content, maker=MAKER, conventions=conventions)


def _fitted(arrays: Mapping[str, Any], file: Hdf5, name: str, shapes: Mapping[str, Shape]) -> dict[str, Floats]:
    """Return the arrays of one layer, exactly those requested, each of the requested shape."""
    found = {}
    if more := arrays.keys() - shapes.keys():
        raise ModelFileError(f"{name}: the file has an array {min(more)} of it, its config has not")
    for role, shape in shapes.items():
        if role not in arrays:
            raise ModelFileError(f"{name}: the file lacks its {role}")
        has = getattr(arrays[role], "shape", None)
        if has is None or len(has) != len(shape) or any(n not in (None, m) for n, m in zip(shape, has, strict=True)):
            wanted = ", ".join("any" if n is None else repr(n) for n in shape)
            raise ModelFileError(f"{name}: its {role} has shape {has}, its config says ({wanted})")
        found[role] = file.read(arrays[role], f"{name}: {role}")
    return found


def _by_name(file: Hdf5) -> Take:
    """Return a reader for Keras 2's layout: model_weights has a group per layer with NAME/kernel:0 and so on."""
    weights = file.child(file.root, "model_weights")
    known: dict[str, dict[str, Any]] = {}

    def take(step: Step, shapes: Mapping[str, Shape]) -> dict[str, Floats]:
        top = step.path[0]
        if top not in known:
            group = file.child(weights, top)
            known[top] = {} if group is None else file.arrays(group)
        roles = _roles(known[top], step.name if len(step.path) > 1 else None)
        return _fitted(_uncounted(roles, step), file, step.name, shapes)

    return take


def _uncounted(arrays: dict[str, Any], step: Step) -> dict[str, Any]:
    return {role: array for role, array in arrays.items() if role not in _COUNTED.get(step.kind, ())}


def _roles(arrays: Mapping[str, Any], owner: str | None) -> dict[str, Any]:
    """Return role -> array of those in a group `owner`; of all where it is None."""
    found: dict[str, Any] = {}
    for path, array in arrays.items():
        above, _, name = path.rpartition("/")
        if owner is None or f"/{above}".endswith(f"/{owner}"):
            role = name.removesuffix(":0").removeprefix("depthwise_")
            if role in found:
                raise ModelFileError(f"{owner or above}: the file has its {role} twice")
            found[role] = array
    return found


def _by_number(file: Hdf5, steps: Sequence[Step]) -> Take:
    """Return a reader for Keras 3's layout: layers/GROUP/vars/0, 1, ..., where GROUP is a layer's class and count, or
    name.
    """
    holding = [step for step in steps if step.kind in _HOLDING]
    counted = all(_variables(file, step.counted) for step in holding)
    named = not counted and all(_variables(file, step.path) for step in holding)

    def take(step: Step, shapes: Mapping[str, Shape]) -> dict[str, Floats]:
        group = _variables(file, step.path if named else step.counted)
        names = {str(number): role for number, role in enumerate([*shapes, *_COUNTED.get(step.kind, ())])}
        arrays = {} if group is None else file.arrays(group)
        roles = {names.get(name, name): array for name, array in arrays.items()}
        return _fitted(_uncounted(roles, step), file, step.name, shapes)

    return take


def _variables(file: Hdf5, path: Sequence[str | tuple[str, int]]) -> Any:
    """Return the group of a layer's numbered arrays; None where there is none."""
    group: Any = file.root
    for part in path:
        layers, each = _numbered_layers(file, group)
        if isinstance(part, tuple):
            name, number = part
            part = f"{name}_{number * each}" if number else name
        group = file.child(layers, part)
    return file.child(group, "vars")


def _numbered_layers(file: Hdf5, group: Any) -> tuple[Any, int]:
    """Return the group with a group per layer, and the step of their numbers: Keras 2.12 and 2.13 counted each layer
    twice.
    """
    layers = file.child(group, "layers")
    return (file.child(group, "_layer_checkpoint_dependencies"), 2) if layers is None else (layers, 1)


def _weights_alone(file: Hdf5) -> Content:
    """Return weights under the names of keras.applications, whose conventions supply all that such a file
    leaves out.
    """
    holders = _named_groups(file)
    norms = _published_v1(holders) if "conv1" in holders else _published_v2(holders)
    norms = {name: norm for name, norm in norms.items() if name in holders}
    unknown = set(holders) - {*norms, *norms.values(), "conv_preds", "predictions"}
    if not norms or unknown:
        other = f"{min(unknown)} is not" if unknown else "none are"
        raise ModelFileError(f"holds weights alone, and {other} named as in keras.applications: {ADVICE}")

    def take(name: str, shapes: Mapping[str, Shape]) -> dict[str, Floats]:
        return _fitted(_roles(holders.get(name, {}), None), file, name, shapes)

    layers = [_published_layer(name, norm, take) for name, norm in norms.items()]
    if "conv_preds" in holders:
        arrays = take("conv_preds", {"kernel": (1, 1, None, None), "bias": (None,)})
        kernel = arrays["kernel"].transpose(3, 2, 0, 1)
        layers += [
            FileLayer("pool", "global_average_pooling2d"),
            convolution("conv_preds", kernel, 1, bias=arrays["bias"]),
        ]
    if "predictions" in holders:
        arrays = take("predictions", {"kernel": (None, None), "bias": (None,)})
        layers.append(FileLayer("fully_connected", "predictions", arrays["kernel"].T, arrays["bias"]))
    padding = "keras" if "conv1" in holders else "same"  # which V2's own rule comes to
    conventions = {**PUBLISHED, "padding": padding}
    return Content("Keras HDF5 weights", tuple(layers), maker=MAKER, conventions=conventions)


def _named_groups(file: Hdf5) -> dict[str, dict[str, Any]]:
    """Return layer -> its arrays: Keras 2 names groups so, Keras 3 stores the name with the numbered arrays."""
    layers, _ = _numbered_layers(file, file.root)
    found: dict[str, dict[str, Any]] = {}
    for name, group in file.groups(file.root if layers is None else layers):
        if layers is None:
            found[name] = file.arrays(group)
        elif arrays := file.arrays(file.child(group, "vars")):
            name = file.text(file.child(group, "vars"), "name") or name
            roles = _NORM if len(arrays) == len(_NORM) else ("kernel", "bias")
            found[name] = {role: arrays[key] for key, role in zip(sorted(arrays), roles, strict=False)}
    return {name: arrays for name, arrays in found.items() if arrays}


def _published_v1(holders: Mapping[str, Any]) -> dict[str, str]:
    """Return the convolutions of V1 in execution order, with the batch norm of each."""
    pairs = [(f"conv_dw_{number}", f"conv_pw_{number}") for number in range(1, len(holders))]
    return {name: f"{name}_bn" for name in ("conv1", *(name for pair in pairs for name in pair))}


def _published_v2(holders: Mapping[str, Any]) -> dict[str, str]:
    """Return the convolutions of V2 in execution order, with the batch norm of each."""
    blocks = ["expanded_conv", *(f"block_{number}" for number in range(1, len(holders)))]
    names = [f"{block}_{part}" for block in blocks for part in ("expand", "depthwise", "project")]
    return {"Conv1": "bn_Conv1", **{name: f"{name}_BN" for name in names}, "Conv_1": "Conv_1_bn"}


def _published_layer(name: str, norm: str, take: Callable[[str, Mapping[str, Shape]], dict[str, Floats]]) -> FileLayer:
    depthwise = "conv_dw" in name or name.endswith("_depthwise")
    size = 3 if depthwise or name in ("conv1", "Conv1") else 1
    kernel = take(name, {"kernel": (size, size, None, 1 if depthwise else None)})["kernel"]
    kernel = kernel.transpose((2, 3, 0, 1) if depthwise else (3, 2, 0, 1))
    arrays = take(norm, dict.fromkeys(_NORM, (len(kernel),)))
    return convolution(
        name,
        kernel,
        groups=len(kernel) if depthwise else 1,
        norm=Norm(arrays["gamma"], arrays["beta"], arrays["moving_mean"], arrays["moving_variance"], None),
    )


def _check_members(archive: zipfile.ZipFile) -> None:
    """Raise `ModelFileError` for an archive that would write outside its folder; nothing is extracted."""
    for name in archive.namelist():
        if name.startswith(("/", "\\")) or ".." in PurePosixPath(name.replace("\\", "/")).parts:
            raise ModelFileError(f"{name[:80]!r}: a path out of the archive")


def _member(archive: zipfile.ZipFile, name: str, limit: int) -> bytes:
    found = [info for info in archive.infolist() if info.filename == name]
    if len(found) != 1:
        raise ModelFileError(f"{len(found)} members {name}: a .keras archive has one")
    info = found[0]
    if info.flag_bits & 1 or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ModelFileError(f"{name}: encrypted or packed in an unusual way: Keras stores it plainly")
    if info.file_size > limit:
        raise ModelFileError(f"{name}: unpacks to {info.file_size} bytes, at most {limit} are read")
    with archive.open(info) as member:
        return member.read(info.file_size)  # a number: all that is read, whatever the stream goes on to hold
