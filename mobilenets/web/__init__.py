"""Models as npm-ready folders for browsers and Node: WebAssembly, weights, an ES module with types, and a page."""

from .build import has_wasm_compiler
from .contents import NAMES, TASKS, web_files
from .node import has_node, node_logits

__all__ = ["NAMES", "TASKS", "has_node", "has_wasm_compiler", "node_logits", "web_files"]
