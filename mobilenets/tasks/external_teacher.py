"""Run third-party networks as teachers: an ONNX graph, or a torch module in a file.

A torch file contains code: open it only from a trusted source.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import MobilenetsError, ModelFileError, UsageError
from ..image import Pixels, Preprocess, normalise
from ..machine import cores, need_torch

if TYPE_CHECKING:
    from torch import nn

__all__ = ["ExternalTeacher", "open_external", "save_module"]

Array = np.ndarray[Any, np.dtype[Any]]
Floats = np.ndarray[Any, np.dtype[np.float32]]
TORCH = (".pt2", ".pt", ".pth", ".ts")
KEPT = "preprocess.json"  # entry in a .pt2 file written by `save_module`


@dataclass(frozen=True, slots=True)
class ExternalTeacher:
    """A third-party network with its preprocessing. `call` maps (N, H, W, C), normalised, to its first output."""

    preprocess: Preprocess
    call: Callable[[Array], Floats]
    takes_bytes: bool = False

    def run(self, pixels: Pixels) -> Floats:
        """Return the outputs (N, D) float32 for images (N, H, W, C) uint8."""
        outputs = self.call(pixels if self.takes_bytes else normalise(pixels, self.preprocess))
        return outputs.reshape(len(pixels), -1)


def open_external(
    path: Path, size: int | None, mean: tuple[float, ...], std: tuple[float, ...]
) -> ExternalTeacher | None:
    """Open the third-party network in `path`, or return None for a file of this package.

    `size`, `mean` and `std` specify what the file does not state. Raises `UsageError` if a setting is missing, and
    `ModelFileError` for a file that cannot be run.
    """
    kind = path.suffix.lower() if path.is_file() else ""
    try:
        if kind == ".onnx":
            return _onnx(path, size, mean, std)
        if kind in TORCH:
            need_torch()
            return _torch(path, size, mean, std)
    except MobilenetsError:
        raise
    except Exception as exc:  # neither ONNX Runtime nor torch has an error tree
        raise ModelFileError(f"teacher {path}: cannot be opened: {next(iter(str(exc).splitlines()), exc)}") from exc
    return None


def _onnx(path: Path, size: int | None, mean: tuple[float, ...], std: tuple[float, ...]) -> ExternalTeacher | None:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level = 3
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    if session.get_modelmeta().custom_metadata_map.get("format") == "mobilenets.onnx":
        return None
    image = session.get_inputs()[0]
    shape = image.shape
    if len(session.get_inputs()) != 1 or len(shape) != 4:
        raise ModelFileError(f"teacher {path}: its input must be (N, C, H, W) or (N, H, W, C), not {shape}")
    first = shape[1] in (1, 3)
    if not first and shape[3] not in (1, 3):
        raise ModelFileError(f"teacher {path}: its input {shape} must have 1 or 3 channels")
    channels, sides = (shape[1], shape[2:]) if first else (shape[3], shape[1:3])
    takes_bytes = image.type == "tensor(uint8)"
    preprocess = _preprocess(path, sides, channels, size, mean, std, takes_bytes)
    one, name = shape[0] == 1, session.get_outputs()[0].name

    def call(x: Array) -> Floats:
        x = np.ascontiguousarray(x.transpose(0, 3, 1, 2)) if first else x
        parts = np.split(x, len(x)) if one else [x]
        return np.concatenate([np.asarray(session.run([name], {image.name: part})[0], np.float32) for part in parts])

    return ExternalTeacher(preprocess, call, takes_bytes)


def _preprocess(
    path: Path,
    sides: Any,
    channels: int,
    size: int | None,
    mean: tuple[float, ...],
    std: tuple[float, ...],
    takes_bytes: bool,
) -> Preprocess:
    """Combine the input size in the file (`sides`: H, W; not a number if dynamic) with the user's settings."""
    fixed = all(isinstance(side, int) for side in sides)
    if fixed and size not in (None, sides[0]):
        raise UsageError(f"teacher_size (={size}) must be that of {path}, {sides[0]}x{sides[1]} pixels")
    if not fixed and size is None:
        raise UsageError(f"teacher {path} does not state its input size: set teacher_size")
    if takes_bytes and mean:
        raise UsageError(f"teacher {path} takes uint8 pixels: do not set teacher_mean and teacher_std")
    if not takes_bytes and not mean:
        raise UsageError(f"teacher {path} does not state its normalisation: set teacher_mean and teacher_std")
    height, width = sides if fixed else (size or 0, size or 0)
    if takes_bytes:
        return Preprocess(height, width, channels)
    return Preprocess(height, width, channels, mean=_one_or_all(mean), std=_one_or_all(std))


def _one_or_all(numbers: tuple[float, ...]) -> float | tuple[float, ...]:
    return numbers[0] if len(numbers) == 1 else numbers


def _torch(path: Path, size: int | None, mean: tuple[float, ...], std: tuple[float, ...]) -> ExternalTeacher:
    import json

    import torch

    kept = {KEPT: ""}
    if path.suffix.lower() == ".pt2":
        module: Any = torch.export.load(path, extra_files=kept).module()
    else:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # TorchScript is deprecated
            module = torch.jit.load(str(path), map_location="cpu").eval()  # type: ignore[no-untyped-call]
    if kept[KEPT]:
        if size or mean:
            raise UsageError(f"teacher {path} states its preprocessing: do not set size, mean or std")
        preprocess = Preprocess(**json.loads(kept[KEPT]))
    else:
        preprocess = _preprocess(path, (None, None), 3, size, mean, std, takes_bytes=False)

    def call(x: Array) -> Floats:
        threads = torch.get_num_threads()
        torch.set_num_threads(cores())
        try:
            with torch.no_grad():
                outputs = module(torch.from_numpy(np.ascontiguousarray(x.transpose(0, 3, 1, 2))))
        finally:
            torch.set_num_threads(threads)
        outputs = outputs[0] if isinstance(outputs, list | tuple) else outputs
        return outputs.float().numpy()  # type: ignore[no-any-return]

    return ExternalTeacher(preprocess, call)


def save_module(module: nn.Module, preprocess: Preprocess, path: str | Path) -> Path:
    """Write a torch module with input (N, C, H, W), normalised, as a `.pt2` file for the setting `teacher` of a task.

    The module's device and training mode do not change. Raises `ModelFileError` if torch cannot export it.
    """
    import json

    import torch

    path, training = Path(path), module.training
    if path.suffix != ".pt2":
        raise UsageError(f"{path}: the name must end in .pt2")
    example = torch.zeros(2, preprocess.channels, preprocess.height, preprocess.width)
    try:
        batch = torch.export.Dim("batch", min=1)
        program = torch.export.export(module.eval(), (example,), dynamic_shapes=({0: batch},))
        torch.export.save(program, path, extra_files={KEPT: json.dumps(preprocess.to_dict())})
    except Exception as exc:  # torch's tracer raises nearly anything
        raise ModelFileError(f"torch cannot export the module: {next(iter(str(exc).splitlines()), exc)}") from exc
    finally:
        module.train(training)
    return path
