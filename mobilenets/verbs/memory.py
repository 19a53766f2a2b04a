"""The memory that an int8 model takes: its integers, and the arena of its C."""

from typing import Any

from ..arch.ops import OUTPUTS
from ..compiler import arena_bytes
from ..compiler.targets import INT8_TARGETS
from ..quant.scheme import QuantModel

__all__ = ["int8_memory"]


def int8_memory(model: QuantModel) -> dict[str, Any]:
    """Return the bytes of weights (with scales and biases), and of the arena of one thread for each target.

    A body that ends in feature maps has no arena: it is not compiled.
    """
    targets = INT8_TARGETS if model.network.output in OUTPUTS else ()
    return {
        "weights_bytes": model.nbytes,
        "arena_bytes": {target: arena_bytes(model, target) for target in targets},
    }
