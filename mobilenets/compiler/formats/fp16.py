"""The format fp16: images, weights and sums are IEEE halves, for processors that compute with them.

Its kernels are those of fp32 with another type, `_Float16`. Means over pixels and the logits are floats.
"""

from typing import ClassVar

import numpy as np

from ...arch.ops import OUTPUTS
from ...arrays import Floats
from ...errors import CompileError
from ...model import Model
from ..program import Kind, Target
from ..targets import ALL_FP16_TARGETS
from ..tuning import NONE, Tilings
from .format import Body
from .fp32 import Fp32, consumer_of

__all__ = ["Fp16"]

LARGEST = float(np.finfo(np.float16).max)
OWN = ("image", "vectors", "activate", "pool", "fully_connected")  # kernels that are not those of fp32

FP16 = consumer_of("fp16")


def _kind(op: str) -> Kind:
    return Kind(op) if op in OUTPUTS else Kind(op, "fp16")


class Fp16(Fp32):
    """Halves in vectors of the target."""

    name = "fp16"
    targets = ALL_FP16_TARGETS
    consumer = FP16
    bodies: ClassVar[dict[Kind, Body]] = {
        _kind(kind.op): Body(
            tuple(f"fp16_{kernel}" if kernel in OWN else kernel for kernel in body.kernels), body.lines
        )
        for kind, body in Fp32.bodies.items()
    }
    element = "_Float16"
    number = "_Float16"
    narrowest = 8
    centre = 128  # pixels of 0 to 255 would make large sums, of which halves keep few digits

    def __init__(self, model: Model, target: Target, tilings: Tilings = NONE) -> None:
        super().__init__(model, target, tilings)
        for name, weight in self.weights.items():
            if not (largest := float(np.abs(weight).max())) <= LARGEST:
                raise CompileError(f"{name}: a weight of {largest:g} must be at most {LARGEST:g} for fp16")

    def kind(self, op: str) -> Kind:
        return _kind(op)

    def border_pixel(self, mean: Floats) -> tuple[float, ...]:
        return tuple(mean.astype(np.float16).astype(float).tolist())
