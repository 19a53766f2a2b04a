"""Recognition of a MobileNet: from the content of a file to a `Model`, with the source of every setting."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, get_args

import numpy as np

from ..arch.families import BODY, PREFIXES
from ..arch.graph import expand, same_padding, weight_shapes
from ..arch.network import Activation, Network, Padding
from ..arch.ops import Op
from ..arrays import Floats
from ..errors import ModelFileError, NetworkError, UsageError, shown
from ..image import Fit, Preprocess, Resize
from ..model import Model
from ..quant.scheme import QuantModel
from .head import classifier_arrays, label_outputs, two_classes
from .layers import Content, FileLayer, Norm, Number, weight, width
from .skeleton import Skeleton, assemble

__all__ = ["Fact", "Given", "Imported", "recognise"]

TENSORFLOW_EPSILON = 1e-3  # of networks whose batch norm is folded, where none is left to say it
_ASK = {
    "size": "the image size (--img-size)",
    "pixels": "how pixels become its input (--mean 127.5 --std 127.5 for [-1, 1], --mean 0 --std 255 for [0, 1])",
    "activation": "the activation (--activation relu or relu6)",
    "padding": "the padding (--padding symmetric, same or keras)",
    "epsilon": "batch norm's epsilon (--epsilon)",
}


@dataclass(frozen=True, slots=True)
class Given:
    """Settings that the user gives for a file; they take precedence over the file's. None: not given."""

    size: tuple[int, int] | None = None  # height, width
    pixels: tuple[Number, Number] | None = None  # mean, std
    activation: Activation | None = None
    padding: Padding | None = None
    epsilon: float | None = None
    labels: tuple[str, ...] | None = None
    fit: Fit | None = None
    crop: float | None = None
    resize: Resize | None = None


@dataclass(frozen=True, slots=True)
class Fact:
    """One setting of an imported network and where it comes from."""

    name: str
    value: str
    source: str  # "the file", "the widths", "you", "the convention of timm"


@dataclass(frozen=True, slots=True)
class Imported:
    """An imported network, and the facts about it."""

    model: Model
    facts: tuple[Fact, ...]
    integers: QuantModel | None = None  # the file's own, where they were requested
    left: tuple[str, ...] = ()  # layers after the body that were not imported, where a body was requested

    def tell(self, note: Callable[[str], None]) -> None:
        """Report the layers that were not imported, if any."""
        if self.left:
            note(f"pretrained: the body is used, its head is not: {', '.join(map(shown, self.left))}")


@dataclass(slots=True)
class _Settings:
    """Looks up settings from the user, the file and the conventions in turn; records sources and missing settings."""

    content: Content
    given: Given
    body_only: bool = False
    facts: list[Fact] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)

    def resolve(self, name: str, found: Any = None, source: str = "the file") -> Any:
        """Return a setting from the user, the file or the conventions, in that order; record its source, or that it is
        missing.
        """
        implied = self.content.conventions.get(name)
        by = ((getattr(self.given, name), "you"), (found, source), (implied, f"convention of {self.content.maker}"))
        for value, origin in by:
            if value is not None:
                self.note(name, _shown(name, value), origin)
                return value
        self.missing.append(_ASK[name])
        return None

    def note(self, name: str, value: str, source: str = "the file") -> None:
        """Record one fact."""
        self.facts.append(Fact(name, shown(value), source))


def _shown(name: str, value: Any) -> str:
    if name == "size":
        return f"{value[0]}x{value[1]}"
    return f"(pixel - {value[0]}) / {value[1]}" if name == "pixels" else str(value)


def recognise(content: Content, given: Given | None = None, body_only: bool = False) -> Imported:
    """Return the model that `content` holds; with `body_only` its body where no single classifier follows.

    Raises `ModelFileError` naming the layer where it stops being a MobileNet, `UsageError` listing all settings that
    neither the file nor `given` states, and `NetworkError` for values of `given`.
    """
    settings = _Settings(content, given or Given(), body_only)
    try:
        return _recognised(settings)
    except NetworkError as exc:
        if settings.given != Given():
            raise
        raise ModelFileError(str(exc)) from exc


def _recognised(settings: _Settings) -> Imported:
    content = settings.content
    skeleton = assemble(content.layers, settings.body_only, content.network)
    settings.note("format", content.format)
    network, preprocess = _network(skeleton, settings)
    weights = _body(skeleton, network)
    network, labels, head = _head(skeleton.classifier, network, settings)
    folded = all(layer.norm is None for layer in skeleton.normalised)
    if folded:
        settings.note("batch norm", "folded into the convolutions")
    data = {"imported": {"format": content.format, "folded": folded}}
    model = Model(network, weights | head, preprocess, labels, data=data)
    return Imported(model, tuple(settings.facts), left=skeleton.left or tuple(filter(None, [content.unread])))


def _head(
    layer: FileLayer | None, network: Network, settings: _Settings
) -> tuple[Network, tuple[str, ...], dict[str, Floats]]:
    """Return the network with its classes, their labels, and the classifier's arrays; a body has none of these."""
    if layer is None:
        return network.replace(output="features", classes=1), ("features",), {}
    labels, kept, facts = label_outputs(settings.content, settings.given.labels, layer)
    for fact in facts:
        settings.note(*fact)
    return network.replace(classes=len(labels)), labels, classifier_arrays(two_classes(layer, settings.content), kept)


def _network(skeleton: Skeleton, settings: _Settings) -> tuple[Network, Preprocess]:
    """Return network and preprocessing; raises one `UsageError` that lists all settings that are missing."""
    content, known = settings.content, settings.content.network
    network = skeleton.network
    own = "" if network.blocks in (BODY, *PREFIXES) else ", with widths of its own"
    settings.note("alpha", f"{PREFIXES.get(network.blocks, '')}{network.alpha:g}{own}", "the widths")
    size = settings.resolve("size", content.size)
    table = f"the table of {skeleton.table}" if skeleton.table else "the file"
    activation = settings.resolve("activation", skeleton.activation, table)
    epsilon = _epsilon(skeleton.normalised, settings)
    mean, std = settings.resolve("pixels", content.pixels) or (0.0, 1.0)
    stated = any(layer.padding is not None for layer in skeleton.body.values())
    padding = (
        None if stated and not settings.given.padding else settings.resolve("padding", known.padding if known else None)
    )
    if settings.missing:
        raise UsageError("the file does not say " + "; nor ".join(settings.missing) + ": flags of mobilenets import")
    height, width = size
    network = network.replace(height=height, width=width, activation=activation, epsilon=epsilon)
    if padding is None:
        likely = known.padding if known else content.conventions.get("padding", "same")
        padding = _padding(network, skeleton.body, likely)
        settings.note("padding", padding)
    taken = {"height": height, "width": width, "channels": network.channels, "mean": mean, "std": std}
    return network.replace(padding=padding), replace(_fit(settings, height, width), **taken)


def _fit(settings: _Settings, height: int, width: int) -> Preprocess:
    """Return how images are fitted to the network; assumptions are listed as such in the facts."""
    content, given = settings.content, settings.given
    preprocess = content.preprocess or Preprocess(height, width)
    known = "the file" if content.network else f"convention of {content.maker}"
    for name in ("fit", "crop", "resize"):
        value = getattr(given, name)
        if value is not None:
            preprocess = replace(preprocess, **{name: value})
        default = known if content.preprocess else f"assumed, the file does not say (--{name})"
        if name != "crop" or preprocess.fit == "crop":
            settings.note(name, f"{getattr(preprocess, name)}", "you" if value is not None else default)
    return preprocess


def _epsilon(body: Sequence[FileLayer], settings: _Settings) -> float:
    norms = [layer.norm for layer in body if layer.norm is not None]
    known = settings.content.network
    stated = known.epsilon if known else None
    found = settings.resolve("epsilon", stated or norms[0].epsilon) if norms else stated
    if settings.given.epsilon is not None:
        return settings.given.epsilon
    return found or TENSORFLOW_EPSILON  # a norm whose epsilon is 0 is restated, see `_norm`


def _padding(network: Network, body: Mapping[str, FileLayer], likely: Padding) -> Padding:
    """Return the rule that gives the padding of every layer, the `likely` one if several do.

    Raises `ModelFileError` naming the layer that follows no rule.
    """
    first: tuple[int, FileLayer, Op] | None = None
    rules: tuple[Padding, ...] = get_args(Padding)
    for rule in sorted(rules, key=lambda rule: rule != likely):
        wrong = _wrong_pads(network.replace(padding=rule), body)
        if wrong is None:
            return rule
        first = wrong if first is None or wrong[0] > first[0] else first
    assert first is not None
    number, layer, op = first
    raise ModelFileError(
        f"layer {number}, {layer.name}: padding {layer.padding} (top, left, bottom, right) on {op.shape_in[:2]} "
        "follows no rule of a MobileNet"
    )


def _wrong_pads(network: Network, body: Mapping[str, FileLayer]) -> tuple[int, FileLayer, Op] | None:
    """Return the first layer with another padding than the network's: (its number, itself, the network's op)."""
    graph = expand(network)
    for number, (name, layer) in enumerate(body.items(), 1):
        op = graph.op(name)
        if layer.padding is not None and _pads(layer, op) != op.padding:
            return number, layer, op
    return None


def _pads(layer: FileLayer, op: Op) -> tuple[int, int, int, int]:
    """Return the file's padding in pixels."""
    if layer.padding == "valid":
        return 0, 0, 0, 0
    if layer.padding == "same":
        (top, bottom), (left, right) = (same_padding(size, op.kernel, op.stride) for size in op.shape_in[:2])
        return top, left, bottom, right
    assert isinstance(layer.padding, tuple)
    return layer.padding


def _body(skeleton: Skeleton, network: Network) -> dict[str, Floats]:
    """Return the arrays of every convolution and its batch norm or bias under this package's names."""
    weights: dict[str, Floats] = {}
    shapes = weight_shapes(expand(network))
    for name, layer in skeleton.layers.items():
        if layer.weight is None or name == "fc":
            continue
        weights[f"{name}.weight"] = weight(layer).reshape(shapes[f"{name}.weight"])
        if f"{name}.bias" in shapes:
            weights[f"{name}.bias"] = _bias(layer)
            continue
        norm = _norm(layer, network.epsilon)
        for array, values in zip(("weight", "bias", "running_mean", "running_var"), norm, strict=True):
            weights[f"{name}_bn.{array}"] = np.ascontiguousarray(values, np.float32)
    return weights


def _bias(layer: FileLayer) -> Floats:
    """Return the bias of a layer that has no batch norm in the network."""
    bias = np.zeros(width(layer), np.float32) if layer.bias is None else layer.bias
    if layer.norm is not None or bias.shape != (width(layer),):
        raise ModelFileError(f"{layer.name}: {bias.shape} values for {width(layer)} channels, or a batch norm")
    return bias


def _norm(layer: FileLayer, epsilon: float) -> tuple[Floats, Floats, Floats, Floats]:
    """Return (gamma, beta, mean, var) under the network's epsilon; without a batch norm one that only adds the bias."""
    channels = len(weight(layer))
    bias = np.zeros(channels, np.float32) if layer.bias is None else layer.bias
    arrays = [layer.norm.gamma, layer.norm.beta, layer.norm.mean, layer.norm.var] if layer.norm else []
    for array in (bias, *arrays):
        if array.shape != (channels,):
            raise ModelFileError(f"{layer.name}: {array.shape} values for {channels} channels")
    if layer.norm is None:
        one, zero = np.ones(channels, np.float32), np.zeros(channels, np.float32)
        return one, bias, zero, one - np.float32(epsilon)
    norm: Norm = layer.norm
    if (norm.var < 0).any():
        raise ModelFileError(f"{layer.name}: its batch norm has negative variances")
    gamma = norm.gamma
    if norm.epsilon is not None and norm.epsilon != epsilon:
        with np.errstate(divide="ignore", invalid="ignore"):  # values that are not finite are refused later
            gamma = gamma * np.sqrt((norm.var.astype(np.float64) + epsilon) / (norm.var + norm.epsilon))
    return gamma.astype(np.float32), norm.beta, norm.mean - bias, norm.var
