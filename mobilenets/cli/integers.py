"""What the memory of an int8 model is: its integers, and the arena of its C."""

from typing import Any

from ..arch.ops import OUTPUTS
from ..compiler import arena_bytes
from ..compiler.targets import INT8_TARGETS
from ..quant.scheme import QuantModel

__all__ = ["memory"]


def memory(model: QuantModel) -> dict[str, Any]:
    """Bytes of weights (with scales and biases), and of the arena of one thread by target; none of a body's maps."""
    targets = INT8_TARGETS if model.network.output in OUTPUTS else ()
    return {
        "weights_bytes": model.nbytes,
        "arena_bytes": {target: arena_bytes(model, target) for target in targets},
    }
