"""Nodes and constants of an ONNX graph under construction."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

__all__ = ["Writer"]


@dataclass(slots=True)
class Writer:
    """Collects the nodes and constants of a graph."""

    weights: dict[str, np.ndarray] = field(default_factory=dict)
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: list[onnx.TensorProto] = field(default_factory=list)

    def constant(self, name: str, array: np.ndarray) -> str:
        """Register an array as an initializer and return its name."""
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def node(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        """Append a node of one output and return that output's name."""
        self.nodes.append(helper.make_node(kind, inputs, [output], name=output, **attributes))
        return output

    def nodes_of(self, kind: str, inputs: list[str], outputs: list[str], **attributes: Any) -> list[str]:
        """Append a node of several outputs and return their names."""
        self.nodes.append(helper.make_node(kind, inputs, outputs, name=outputs[0], **attributes))
        return outputs
