"""The engine for microcontrollers: C99 of an int8 network, without malloc and without libraries.

QuantModel --steps_of--> steps --bands--> arena --emit--> one .c and one .h
"""

from dataclasses import dataclass

from ...quant.scheme import QuantModel
from ..header import check_name
from . import stream
from .cores import CORES, Core
from .emit import emit
from .families import FAMILIES
from .header import header
from .lower import Step, steps_of
from .plan import Arena

__all__ = ["CORES", "Core", "MicroSources", "micro_sources", "plan_of"]

STACK = 1024  # bytes of stack that a call needs at most; tests measure it


@dataclass(frozen=True, slots=True)
class MicroSources:
    """The files of a network for a microcontroller, and the bytes that the device must have."""

    files: dict[str, str]  # name -> text
    arena: int
    stack: int
    weights: int  # constants in flash, without code


def micro_sources(model: QuantModel, core: Core, name: str = "network") -> MicroSources:
    """Return NAME.c and mobilenets_NAME.h, which compute the bytes of `quant/reference.py`.

    Raises `NetworkError` for an op that the engine does not handle, `CompileError` for a network that ends in its maps
    or is too large, `UsageError` for a name that C does not allow.
    """
    check_name(name)
    steps = steps_of(model)
    arena = plan_of(steps, core)
    c, weights = emit(name, steps, arena, FAMILIES[core.kernels], model)
    sizes = {"ARENA_BYTES": arena.size, "STACK_BYTES": STACK, "WEIGHTS_BYTES": weights}
    h = header(name, model.preprocess, model.labels, model.network.output, sizes)
    return MicroSources({f"{name}.c": c, f"mobilenets_{name}.h": h}, arena.size, STACK, weights)


def plan_of(steps: tuple[Step, ...], core: Core) -> Arena:
    """Return the plan of the arena."""
    return stream.plan_of(steps, FAMILIES[core.kernels])
