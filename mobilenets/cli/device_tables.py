"""Tables of what networks cost on a microcontroller."""

from typing import Any

from rich.table import Table

from ..costs import DeviceCost
from ..designs import Design
from ..text import bytes_text
from .console import new_table

__all__ = ["device_costs", "device_front"]


def device_costs(costs: DeviceCost) -> list[Any]:
    """Return a table of the layers on a microcontroller, and a line with its memory."""
    table = new_table(
        f"int8 on {costs.device} at {costs.clock:g} MHz, estimated",
        "layer",
        "type",
        "instructions",
        "cycles",
        "ms",
        "share",
    )
    total = sum(layer.cycles for layer in costs.layers)
    for layer in costs.layers:
        milliseconds = layer.cycles / costs.clock / 1e3
        numbers = f"{layer.instructions:,}", f"{layer.cycles:,}", f"{milliseconds:.3f}", f"{layer.cycles / total:.1%}"
        table.add_row(layer.name, layer.type, *numbers)
    memory = costs.memory
    return [
        table,
        "",
        f"{costs.device}: {memory.ram:,} bytes of RAM ({memory.arena:,} of arena, {memory.stack:,} of stack), "
        f"{memory.flash:,} of flash ({memory.weights:,} of weights, about {memory.code:,} of code), "
        f"{costs.instructions / 1e6:.2f} M instructions, about {costs.milliseconds:.4g} ms",
    ]


def device_front(design: Design, shown: int) -> Table:
    """Return the table of a Pareto front on a microcontroller, its last `shown` networks."""
    assert design.choice.device is not None
    device = design.choice.device.device
    counted = f"the best {min(shown, len(design.front))} of {len(design.front)}"
    title = f"Pareto front in int8 on {device}, {design.choice.network.classes} classes: {counted}"
    table = new_table(title, "network", "mult-adds", "RAM", "flash", "latency, estimated", "top-1 (prior)")
    for candidate in design.front[-shown:]:
        assert candidate.device is not None
        table.add_row(
            ("> " if candidate.network == design.choice.network else "  ") + candidate.network.name,
            f"{candidate.cost.mult_adds / 1e6:,.2f} M",
            bytes_text(candidate.device.memory.ram),
            bytes_text(candidate.device.memory.flash),
            f"{candidate.device.milliseconds:.4g} ms",
            f"{candidate.top1:.1f}%",
        )
    return table
