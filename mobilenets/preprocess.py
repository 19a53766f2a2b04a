"""The preprocessing of images as a value: size, crop, filter and normalisation. `image.py` applies it."""

from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

import numpy as np

from .errors import NetworkError

__all__ = ["Fit", "Preprocess", "Resize"]

Resize = Literal["bilinear", "bicubic", "lanczos", "box", "nearest"]
Fit = Literal["crop", "stretch", "letterbox"]


@dataclass(frozen=True, slots=True)
class Preprocess:
    """The preprocessing from any image to the network's input; stored in every model file and exported graph.

    With `fit` "crop", the centred box of the network's aspect ratio, reduced by the factor `crop`, is resized to height
    x width by Pillow's `resize` filter (antialiased except for "nearest"). With "stretch" the whole image is resized
    regardless of its aspect ratio, with "letterbox" it keeps its aspect ratio and is centred on black. Pixels are then
    normalised to (pixel - mean) / std. Raises `NetworkError` for invalid values.
    """

    height: int
    width: int
    channels: int = 3
    crop: float = 0.875  # the usual value in evaluations on ImageNet
    resize: Resize = "bilinear"
    mean: float | tuple[float, ...] = 127.5  # the range [-1, 1], as in Keras, TF-slim and timm
    std: float | tuple[float, ...] = 127.5  # one number, or one per channel
    fit: Fit = "crop"  # "stretch" and "letterbox" use the whole image

    def __post_init__(self) -> None:
        if self.resize not in get_args(Resize):
            raise NetworkError(f"resize (={self.resize!r}) must be one of {', '.join(get_args(Resize))}")
        if self.fit not in get_args(Fit):
            raise NetworkError(f"fit (={self.fit!r}) must be one of {', '.join(get_args(Fit))}")
        if not (isinstance(self.crop, int | float) and 0 < self.crop <= 1):
            raise NetworkError(f"crop (={self.crop!r}) must be above 0 and at most 1")
        for name in ("mean", "std"):
            object.__setattr__(self, name, _per_channel(name, getattr(self, name), self.channels))
        if min(np.atleast_1d(self.std)) <= 0:
            raise NetworkError(f"std (={self.std!r}) must be above 0")

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON-compatible values."""
        return asdict(self)


def _per_channel(name: str, value: object, channels: int) -> float | tuple[float, ...]:
    """Return one finite number, or one for each of `channels`; raise `NetworkError`."""
    numbers = value if isinstance(value, list | tuple) else (value,)
    if not all(isinstance(n, int | float) and not isinstance(n, bool) and np.isfinite(n) for n in numbers):
        raise NetworkError(f"{name} (={value!r}) must be one number, or one per channel")
    if not isinstance(value, list | tuple):
        return float(numbers[0])
    if len(numbers) != channels:
        raise NetworkError(f"{name} (={value!r}) must be one number, or one for each of {channels} channels")
    return tuple(map(float, numbers)) if len(set(numbers)) > 1 else float(numbers[0])
