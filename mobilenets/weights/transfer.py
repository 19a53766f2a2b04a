"""Weights of a trained network for another one: other classes, another resolution, another alpha.

A resolution changes no array. A narrower network keeps the most important channels; layers whose outputs are added or
multiplied keep the same ones. A wider network keeps all, and the input weights of new channels are zero: at first it
computes what the narrow one computed. This does not hold where rounding gives a block of one of them a residual sum
that the other does not have; `Transfer.note` names such sums.
"""

from dataclasses import dataclass, replace

import numpy as np

from ..arch.fold import fold_batch_norm
from ..arch.graph import Graph, expand
from ..arch.layers import layers
from ..arch.network import Network
from ..arch.ops import CONVOLUTIONS, Consumer, Op
from ..arrays import Floats
from ..errors import UsageError
from ..model import Model

__all__ = ["Transfer", "transfer"]

TRANSFER = Consumer(
    "fine-tuning at another width",
    handles="input conv depthwise pointwise batch_norm relu relu6 hard_swish hard_sigmoid add multiply "
    "global_average_pool fully_connected softmax sigmoid l2_normalise".split(),
)
_NORM = {"weight": 1.0, "bias": 0.0, "running_mean": 0.0, "running_var": 1.0}  # of a new channel
_Channels = dict[str, np.ndarray]  # of each op's output: the trained channels in it, -1 for each new one


@dataclass(frozen=True, slots=True)
class Transfer:
    """The result of a transfer. `kept` of `of` channels, summed over layers, are the trained ones; `new` are added."""

    model: Model  # its classifier, if any, is new
    kept: int
    of: int
    new: int
    sums: tuple[str, ...] = ()  # residual sums that only one of the two networks has

    @property
    def note(self) -> str:
        """Return a line that reports the kept and new channels, and the sums."""
        kept = f"all {self.of}" if self.kept == self.of else f"{self.kept} of {self.of}"
        ones = "" if self.kept == self.of else ", the most important ones"
        new = f", {self.new} new" if self.new else ""
        sums = f"; other residual sums: {', '.join(self.sums)}" if self.sums else ""
        return f"fine-tuning {self.model.name}: {kept} channels kept{ones}{new}{sums}"


def transfer(trained: Model, wanted: Network, labels: tuple[str, ...]) -> Transfer:
    """Return `trained` with the alpha and resolution of `wanted`, for other classes; other fields stay as trained.

    Raises `UsageError` where `wanted` has other input channels, another depth or other convolutions.
    """
    network = _fitted(trained.network, wanted).replace(classes=len(labels))
    graph = expand(network)
    TRANSFER.check(graph.ops)
    _check_convolutions(trained.graph, graph)
    had, has = ({op.name for op in g.ops if op.kind == "add"} for g in (trained.graph, graph))
    groups = _groups(graph, had & has)
    chosen = _choose(trained, graph, groups)
    weights: dict[str, Floats] = {}
    for op in graph.ops:
        if op.kind in CONVOLUTIONS:
            inputs, outputs = (chosen[groups[name]] for name in (graph.ops[op.inputs[0]].name, op.name))
            weights |= _convolution(trained, op, inputs, outputs)
    weights |= _classifier(graph)
    preprocess = replace(trained.preprocess, height=network.height, width=network.width)
    model = Model(network, weights, preprocess, labels, data=trained.data)
    trained_channels = sum(trained.graph.op(name).shape_out[2] for name in chosen if _has(trained, name))
    counted = np.concatenate([channels for name, channels in chosen.items() if name != graph.ops[0].name])
    kept, new = int((counted >= 0).sum()), int((counted < 0).sum())
    return Transfer(model, kept, trained_channels, new, tuple(sorted(had ^ has)))


def _fitted(trained: Network, wanted: Network) -> Network:
    """Return alpha, rounding, resolution and output of `wanted` with all other fields of `trained`."""
    for name in ("channels", "convolution"):
        ours, theirs = getattr(wanted, name), getattr(trained, name)
        if ours != theirs:
            raise UsageError(f"{name} (={ours!r}): the trained network has {theirs!r}")
    if len(trained.blocks) != len(wanted.blocks):
        raise UsageError(f"the trained network has {len(trained.blocks)} blocks, the wanted one {len(wanted.blocks)}")
    changed = ("alpha", "rounding", "height", "width", "output")
    return trained.replace(**{name: getattr(wanted, name) for name in changed})


def _check_convolutions(before: Graph, after: Graph) -> None:
    """Raise `UsageError` where `after` has other convolutions than `before`.

    The hidden layer of a classifier may be absent from one of them, which then is a body.
    """
    had, has = ([op.name for op in g.ops if op.kind in CONVOLUTIONS and op.name != "hidden"] for g in (before, after))
    if had != has:
        alpha = f"alpha (={after.network.alpha:g})"
        raise UsageError(f"{alpha}: the blocks have other convolutions than the trained network's")


def _groups(graph: Graph, sums: set[str]) -> dict[str, str]:
    """Return op -> the first op that has the same channels; those that one of `sums` adds have the same ones."""
    first: list[int] = []  # of each op: the position of the first op with its channels
    for position, op in enumerate(graph.ops):
        new = op.kind in ("input", "conv", "pointwise", "fully_connected")
        tied = op.inputs[:1] if op.kind == "add" and op.name not in sums else op.inputs
        same = [] if new else [first[i] for i in tied]
        least = min(same, default=position)
        first = [least if i in same else i for i in first]
        first.append(least)
    return {op.name: graph.ops[i].name for op, i in zip(graph.ops, first, strict=True)}


def _choose(trained: Model, graph: Graph, groups: dict[str, str]) -> _Channels:
    """Return the trained channels of each group: all, or those of the largest sum of squared importance."""
    importance: dict[str, np.ndarray] = {}
    for name, own in _importance(trained).items():
        if name in groups:
            importance[groups[name]] = importance.get(groups[name], 0) + own.astype(np.float64) ** 2
    chosen: _Channels = {graph.ops[0].name: np.arange(graph.network.channels)}
    for op in graph.ops:
        if op.kind in ("conv", "pointwise") and groups[op.name] == op.name:
            chosen[op.name] = _best(importance.get(op.name, np.zeros(0)), op.shape_out[2])
    return chosen


def _has(model: Model, name: str) -> bool:
    return f"{name}.weight" in model.weights


def _classifier(graph: Graph) -> dict[str, Floats]:
    """Return zeros, so that no class is likelier than another; for embeddings, which need a direction, random
    projections.
    """
    network = graph.network
    if network.output == "features":
        return {}
    weight = np.zeros((network.classes, graph.op("fc").shape_in[2]), np.float32)
    if network.output == "l2_normalise":
        weight[:] = np.random.default_rng(0).normal(0, weight.shape[1] ** -0.5, weight.shape)
    return {"fc.weight": weight, "fc.bias": np.zeros(network.classes, np.float32)}


def _importance(model: Model) -> dict[str, Floats]:
    """Return, per output channel, the size of the batch norm's scale; where there is none, or where it was folded,
    that of the filter. A gate's factors have none: they are kept with what they multiply.
    """
    graph = model.graph
    gates = {graph.ops[i].name for op in graph.ops if op.kind == "multiply" for i in op.inputs[1:]}
    kernels = model.weights
    folded = model.data.get("imported", {}).get("folded")
    if folded:
        graph, kernels = fold_batch_norm(graph, kernels)
    return {
        layer.name: np.abs(model.weights[f"{layer.norm.name}.weight"])
        if layer.norm
        else np.sqrt((kernels[f"{layer.name}.weight"] ** 2).sum((1, 2, 3)))
        for layer in layers(graph)
        if layer.op.kind in CONVOLUTIONS and layer.op.kind != "depthwise" and layer.output.name not in gates
    }


def _best(importance: np.ndarray, count: int) -> np.ndarray:
    """Return `count` channels of the old layer, the most important in their old order; -1 for each new one."""
    best = np.sort(np.argsort(-importance, kind="stable")[:count])
    return np.concatenate([best, np.full(count - len(best), -1)])


def _convolution(model: Model, op: Op, inputs: np.ndarray, outputs: np.ndarray) -> dict[str, Floats]:
    """Return the arrays of one convolution, and of its batch norm or bias, for the chosen channels."""
    shape = (len(outputs), 1 if op.kind == "depthwise" else len(inputs), op.kernel, op.kernel)
    kernel = model.weights.get(f"{op.name}.weight", np.zeros(shape, np.float32))
    made = np.random.default_rng(len(outputs)).normal(0, (2 / kernel[0].size) ** 0.5, (len(outputs), *kernel.shape[1:]))
    rows = np.where((outputs >= 0)[:, None, None, None], kernel[outputs], made.astype(np.float32))
    if op.kind != "depthwise" and _has(model, op.name):  # a new input is not heard yet
        rows = np.where((inputs >= 0)[None, :, None, None], rows[:, inputs], np.float32(0))
    arrays = {f"{op.name}.weight": np.ascontiguousarray(rows, np.float32)}
    fresh = {f"{op.name}.bias": 0.0} if op.bias else {f"{op.name}_bn.{name}": value for name, value in _NORM.items()}
    for name, value in fresh.items():
        trained = model.weights.get(name, np.zeros(len(outputs), np.float32))
        arrays[name] = np.where(outputs >= 0, trained[outputs], np.float32(value)).astype(np.float32)
    return arrays
