"""Costs of a graph: mult-adds, parameters, bytes and memory, per layer, per layer type and in total.

One fused multiply-add is one mult-add. Batch norm, activations and pooling are not counted as mult-adds, as in the
paper. Parameters are weights, two per batch-norm channel (scale, shift) and the classifier's bias.
"""

import json
from dataclasses import asdict, dataclass
from typing import Any

from ..arch.graph import Graph, expand
from ..arch.layers import layers
from ..arch.network import Network
from ..arch.ops import CONVOLUTIONS, OPS
from .memory import peak_elements

__all__ = ["PRECISIONS", "Cost", "LayerCost", "Share", "cost", "cost_of_graph"]

PRECISIONS = {"fp32": 4, "fp16": 2, "int8": 1}  # bytes per element


@dataclass(frozen=True, slots=True)
class LayerCost:
    """One layer: an op with the batch norm and activation that follow it. Shapes are (H, W, C)."""

    name: str
    kind: str
    stride: int
    shape_in: tuple[int, int, int]
    shape_out: tuple[int, int, int]
    mult_adds: int
    weights: int
    params: int  # weights, batch norm's scale and shift, bias
    kernel: int = 1

    @property
    def type(self) -> str:
        """Return the kind, with the kernel size of a convolution: "depthwise 3x3"."""
        name = self.kind.replace("_", " ")
        return f"{name} {self.kernel}x{self.kernel}" if self.kind in CONVOLUTIONS else name

    def intensity(self, precision: str = "fp32") -> float:
        """Return mult-adds per byte read or written, counting input, output and weights once each."""
        h, w, c = self.shape_in
        y, x, n = self.shape_out
        return self.mult_adds / ((h * w * c + y * x * n + self.weights) * PRECISIONS[precision])


@dataclass(frozen=True, slots=True)
class Share:
    """The share of one type of layer in the total (Table 2), as fractions; parameters are weights only."""

    kind: str
    mult_adds: float
    weights: float


@dataclass(frozen=True, slots=True, repr=False)
class Cost:
    """Exact costs of one image through one network."""

    network: Network
    mult_adds: int
    params: int
    weights: int
    output_channels: int  # of all layers with weights: one folded bias each
    peak_elements: int  # activations alive at once, in elements
    layers: tuple[LayerCost, ...]

    def __repr__(self) -> str:
        return f"Cost({self.network.name}, {self.mult_adds:,} mult-adds, {self.params:,} parameters)"

    def bytes(self, precision: str = "fp32") -> int:
        """Return the bytes stored when deployed with folded batch norm.

        These are weights at `precision` plus one 4-byte bias per output channel, and for int8 one 4-byte scale. File
        headers are not counted (some 10 KB in ONNX).
        """
        per_channel = 8 if precision == "int8" else 4
        return self.weights * PRECISIONS[precision] + self.output_channels * per_channel

    def peak_ram(self, precision: str = "fp32") -> int:
        """Return the bytes of activations alive at once, in place where an op allows it; weights are not included."""
        return self.peak_elements * PRECISIONS[precision]

    def intensity(self, precision: str = "fp32") -> float:
        """Return mult-adds per byte moved, over all layers."""
        moved = sum(layer.mult_adds / layer.intensity(precision) for layer in self.layers if layer.mult_adds)
        return self.mult_adds / moved

    def to_dict(self, layers: bool = True) -> dict[str, Any]:
        """Return the costs as JSON, whose keys docs/json.md lists; with `layers` each layer and type of layer too."""
        values: dict[str, Any] = {
            "name": self.network.name,
            "network": json.loads(self.network.to_json()),
            "mult_adds": self.mult_adds,
            "params": self.params,
            "bytes": {precision: self.bytes(precision) for precision in PRECISIONS},
            "peak_ram": {precision: self.peak_ram(precision) for precision in PRECISIONS},
            "intensity": self.intensity(),
        }
        if layers:
            values["shares"] = [asdict(share) for share in self.by_type()]
            values["layers"] = [{**asdict(layer), "intensity": layer.intensity()} for layer in self.layers]
        return values

    def by_type(self) -> tuple[Share, ...]:
        """Return the share of each type of layer in mult-adds and weights (Table 2), largest first."""
        totals: dict[str, list[int]] = {}
        for layer in self.layers:
            if layer.mult_adds:
                total = totals.setdefault(layer.type, [0, 0])
                total[0] += layer.mult_adds
                total[1] += layer.weights
        shares = [Share(kind, m / self.mult_adds, w / self.weights) for kind, (m, w) in totals.items()]
        return tuple(sorted(shares, key=lambda share: -share.mult_adds))


def cost(network: Network) -> Cost:
    """Return the cost of `network`, which is `cost_of_graph(expand(network))`."""
    return cost_of_graph(expand(network))


def cost_of_graph(graph: Graph) -> Cost:
    """Count every op of `graph` once."""
    found: list[LayerCost] = []
    channels = 0
    for layer in layers(graph)[1:]:
        op = layer.op
        counts = [OPS[each.kind].counts(each) for each in layer.ops]
        mult_adds, weights, other = (sum(column) for column in zip(*counts, strict=True))
        channels += op.shape_out[2] if weights else 0
        found.append(
            LayerCost(
                op.name, op.kind, op.stride, op.shape_in, op.shape_out, mult_adds, weights, weights + other, op.kernel
            )
        )
    return Cost(
        network=graph.network,
        mult_adds=sum(layer.mult_adds for layer in found),
        params=sum(layer.params for layer in found),
        weights=sum(layer.weights for layer in found),
        output_channels=channels,
        peak_elements=peak_elements(graph),
        layers=tuple(found),
    )
