"""Weights of a trained network for another one: other classes, another resolution, another alpha.

A resolution changes no array. A narrower network keeps the most important channels. A wider one keeps all, and the
input weights of new channels are zero: at first it computes what the narrow one computed.
"""

from dataclasses import dataclass, replace

import numpy as np

from ..arch.fold import fold_batch_norm
from ..arch.graph import expand
from ..arch.network import Network
from ..arch.ops import CONVOLUTIONS, Consumer, Op
from ..errors import UsageError
from ..model import Model
from .layers import Array

__all__ = ["Transfer", "transfer"]

TRANSFER = Consumer(
    "fine-tuning at another width",
    handles="input conv depthwise pointwise batch_norm relu relu6 hard_swish global_average_pool fully_connected "
    "softmax sigmoid l2_normalise".split(),
    refuses="add multiply hard_sigmoid".split(),  # whose inputs would have to keep the same channels
)
_NORM = ("weight", "bias", "running_mean", "running_var")


@dataclass(frozen=True, slots=True)
class Transfer:
    """The result of a transfer. `kept` of `of` channels, summed over layers, are the trained ones; `new` are added."""

    model: Model  # its classifier, if any, is new
    kept: int
    of: int
    new: int

    @property
    def note(self) -> str:
        """Return a line that reports the kept and new channels."""
        if self.kept == self.of and not self.new:
            return f"fine-tuning {self.model.name}: all {self.of} channels kept"
        if self.kept == self.of:
            return f"fine-tuning {self.model.name}: all {self.of} channels kept, {self.new} new"
        new = f", {self.new} new" if self.new else ""
        return f"fine-tuning {self.model.name}: {self.kept} of {self.of} channels kept, the most important ones{new}"


def transfer(trained: Model, wanted: Network, labels: tuple[str, ...]) -> Transfer:
    """Return `trained` with the alpha and resolution of `wanted`, for other classes; other fields stay as trained.

    Raises `UsageError` where `wanted` has other input channels, another depth or other convolutions, `NetworkError` for
    ops whose channels cannot be chosen.
    """
    network = _fitted(trained.network, wanted).replace(classes=len(labels))
    TRANSFER.check(trained.graph.ops)
    before = [op for op in trained.graph.ops if op.kind in CONVOLUTIONS]
    after = [op for op in expand(network).ops if op.kind in CONVOLUTIONS]
    if [op.name for op in before] != [op.name for op in after]:
        raise UsageError(f"alpha (={network.alpha:g}): the blocks have other convolutions than the trained network's")
    importance = _importance(trained)
    weights: dict[str, Array] = {}
    inputs = np.arange(network.channels)
    kept = of = new = 0
    for old, op in zip(before, after, strict=True):
        outputs = inputs if op.kind == "depthwise" else _chosen(importance[old.name], op.shape_out[2])
        weights |= _convolution(trained, old, op, inputs, outputs)
        if op.kind != "depthwise":
            kept, of = kept + int((outputs >= 0).sum()), of + old.shape_out[2]
            new += int((outputs < 0).sum())
        inputs = outputs
    weights |= _classifier(network, len(inputs))
    preprocess = replace(trained.preprocess, height=network.height, width=network.width)
    return Transfer(Model(network, weights, preprocess, labels, data=trained.data), kept, of, new)


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


def _classifier(network: Network, channels: int) -> dict[str, Array]:
    """Return zeros, so that no class is likelier than another; for embeddings, which need a direction, random
    projections.
    """
    if network.output == "features":
        return {}
    weight = np.zeros((network.classes, channels), np.float32)
    if network.output == "l2_normalise":
        weight[:] = np.random.default_rng(0).normal(0, channels**-0.5, weight.shape)
    return {"fc.weight": weight, "fc.bias": np.zeros(network.classes, np.float32)}


def _importance(model: Model) -> dict[str, Array]:
    """Return, per output channel, the size of its batch norm's scale; of a folded network that of its folded filter."""
    if not model.data.get("imported", {}).get("folded"):
        names = [op.name for op in model.graph.ops if op.kind in CONVOLUTIONS]
        return {name: np.abs(model.weights[f"{name}_bn.weight"]) for name in names}
    graph, folded = fold_batch_norm(model.graph, model.weights)
    kernels = {op.name: folded[f"{op.name}.weight"] for op in graph.ops if op.kind in CONVOLUTIONS}
    return {name: np.sqrt((kernel**2).sum((1, 2, 3))) for name, kernel in kernels.items()}


def _chosen(importance: Array, count: int) -> np.ndarray:
    """Return `count` channels of the old layer, the most important in their old order; -1 for each new one."""
    best = np.sort(np.argsort(-importance, kind="stable")[:count])
    return np.concatenate([best, np.full(count - len(best), -1)])


def _convolution(model: Model, old: Op, op: Op, inputs: np.ndarray, outputs: np.ndarray) -> dict[str, Array]:
    """Return the arrays of one convolution and its batch norm for the chosen channels."""
    kernel = model.weights[f"{old.name}.weight"]
    fan_in = kernel[0].size
    generator = np.random.default_rng(len(outputs))
    made = generator.normal(0, (2 / fan_in) ** 0.5, (len(outputs), *kernel.shape[1:])).astype(np.float32)
    rows = np.where((outputs >= 0)[:, None, None, None], kernel[outputs], made)
    if op.kind != "depthwise":  # a new input is not heard yet
        rows = np.where((inputs >= 0)[None, :, None, None], rows[:, inputs], np.float32(0))
    arrays = {f"{op.name}.weight": np.ascontiguousarray(rows, np.float32)}
    for name, fresh in zip(_NORM, (1.0, 0.0, 0.0, 1.0), strict=True):
        trained = model.weights[f"{old.name}_bn.{name}"]
        arrays[f"{op.name}_bn.{name}"] = np.where(outputs >= 0, trained[outputs], np.float32(fresh)).astype(np.float32)
    return arrays
