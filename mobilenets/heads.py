"""Define the head of each task: its settings in the model file (key "decoding"), and the shapes of its arrays.

Each kind of head is a dataclass, by which a file is checked when it is loaded. torch is not needed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Protocol

from .arch.graph import expand
from .arch.network import Network
from .errors import ModelFileError, UsageError
from .schema import Between, read, refuse

__all__ = ["TASK", "TASKS", "Head", "Layout", "read_head", "taps"]

TASK = "task."  # prefix of the names of a head's arrays
Shapes = dict[str, tuple[int, ...]]
Share = Annotated[float, Between(0, 1)]
Ratio = Annotated[float, Between(0.01, 100)]

TASKS = ("attributes", "classify", "detect", "embed", "geolocate")

_EXTRA = (512, 256, 256, 128)  # channels of the extra layers at alpha 1, as in ssd_mobilenet_v1
_LEAST_CHANNELS = 16
_VALID_TOKEN = 0x1555555555555555  # allowed positions of the lowest set bit of an S2 cell id


class Head(Protocol):
    """The validated settings of a head."""

    def arrays(self, network: Network) -> Shapes:
        """Return the name and shape of each array; raise `ModelFileError` if the settings do not match the network."""


def read_head(task: str, network: Network, head_config: Mapping[str, Any]) -> Head:
    """Return the head described by the settings in a model file; raise `ModelFileError` with the invalid field."""
    if task not in TASKS:
        refuse("task", task, f"one of {', '.join(TASKS)}")
    if (network.output == "features") != (task == "detect"):
        rule = "features for the task detect" if task == "detect" else f"no features for the task {task}"
        refuse("network.output", network.output, rule)
    kind: type[Head] = {"geolocate": Cells, "detect": Ssd}.get(task, Plain)
    if task == "detect" and head_config.get("detector") == "faster-rcnn":
        kind = FasterRcnn
    head: Head = read(kind, dict(head_config), "decoding")
    return head


@dataclass(frozen=True, slots=True)
class Plain:
    """A head without settings: the labels describe the outputs."""

    def arrays(self, network: Network) -> Shapes:
        return {}


@dataclass(frozen=True, slots=True)
class Cells:
    """The cells of a geolocation network: S2 token, mean latitude and longitude of its photos, and their number."""

    cells: tuple[
        tuple[
            str,
            Annotated[float, Between(-90, 90)],
            Annotated[float, Between(-180, 180)],
            Annotated[int, Between(0, 1 << 53)],
        ],
        ...,
    ]

    def __post_init__(self) -> None:
        for at, (token, *_) in enumerate(self.cells):
            if not _is_cell(token):
                refuse(f"decoding.cells[{at}][0]", token, "the token of an S2 cell")

    def arrays(self, network: Network) -> Shapes:
        if len(self.cells) != network.classes:
            raise ModelFileError(f"decoding.cells has {len(self.cells)} for a network of {network.classes} classes")
        return {}


def _is_cell(token: str) -> bool:
    """Return whether a token is that of an S2 cell: one of six faces, two bits per level and a terminating bit."""
    if not 1 <= len(token) <= 16 or set(token) - set("0123456789abcdef"):
        return False
    number = int(token.ljust(16, "0"), 16)
    return number >> 61 < 6 and bool(number & -number & _VALID_TOKEN)


@dataclass(frozen=True, slots=True)
class Layout:
    """SSD's feature maps on a network: (height, width) and channels of each; `side` is (height, width) of the image."""

    side: tuple[int, int]
    maps: tuple[tuple[int, int], ...]
    channels: tuple[int, ...]

    @classmethod
    def of(cls, network: Network) -> "Layout":
        """Return the layout for a network; raise `UsageError` if its body has too few strides."""
        shapes = {op.name: op.shape_out for op in expand(network).ops}
        found = [shapes[name] for name in taps(network)]
        maps, channels = [shape[:2] for shape in found], [shape[2] for shape in found]
        for extra in _EXTRA:
            if max(maps[-1]) == 1:
                break
            maps.append((-(-maps[-1][0] // 2), -(-maps[-1][1] // 2)))
            channels.append(max(_LEAST_CHANNELS, network.scaled(extra)))
        return cls((network.height, network.width), tuple(maps), tuple(channels))


def taps(network: Network) -> tuple[str, str]:
    """Return the names of the last activation before the body's last stride of 2, and of the last activation."""
    halvings = [at for at, block in enumerate(network.blocks) if block.stride == 2]
    if not halvings or halvings[-1] == 0:
        raise UsageError("a detector needs a body with a stride of 2 after its first block")
    before, kind = halvings[-1], "conv" if network.convolution == "full" else "pw"
    if linear := next((number for number, block in enumerate(network.blocks, 1) if block.expansion), 0):
        raise UsageError(f"block {linear}: a detector needs the blocks of MobileNet v1, which have no expansion")
    last = "head" if network.head else f"{kind}{len(network.blocks)}"
    return f"{kind}{before}_act", f"{last}_act"


@dataclass(frozen=True, slots=True)
class Ssd:
    """The anchors and thresholds of SSD, see `tasks.detection.layout.ssd_config`."""

    detector: Literal["ssd"]
    lite: bool
    maps: tuple[str, str]
    scales: tuple[Annotated[float, Between(0, 10)], ...]
    ratios: tuple[tuple[Ratio, ...], ...]
    score: Share
    overlap: Share
    candidates: Annotated[int, Between(1, 100_000)]
    boxes: Annotated[int, Between(1, 1000)]

    def arrays(self, network: Network) -> Shapes:
        layout = Layout.of(network)
        _check_maps(self.maps, taps(network))
        if len(self.ratios) != len(layout.maps) or len(self.scales) != len(layout.maps) + 1:
            sizes = f"{len(self.ratios)} ratios and {len(self.scales)} scales"
            raise ModelFileError(f"decoding has {sizes} for {len(layout.maps)} maps: one ratio each, one scale more")
        counts = [2 + 2 * len(ratios) for ratios in self.ratios]
        anchors = sum(height * width * count for (height, width), count in zip(layout.maps, counts, strict=True))
        found: Shapes = {f"{TASK}anchor_generator.boxes": (anchors, 4)}
        for i, (inputs, outputs) in enumerate(zip(layout.channels[1:-1], layout.channels[2:], strict=True)):
            for j, shape in enumerate(self._halving(inputs, outputs)):
                found |= _block(f"{TASK}backbone.layers.{i}.{j}", shape)
        for name, columns in (("classification", network.classes + 1), ("regression", 4)):
            for i, (channels, count) in enumerate(zip(layout.channels, counts, strict=True)):
                found |= self._predictor(f"{TASK}head.{name}_head.module_list.{i}", channels, count * columns)
        return found

    def _halving(self, inputs: int, outputs: int) -> list[tuple[int, ...]]:
        """Return the kernel shapes of an extra layer."""
        middle = outputs // 2
        first = (middle, inputs, 1, 1)
        return [first, (middle, 1, 3, 3), (outputs, middle, 1, 1)] if self.lite else [first, (outputs, middle, 3, 3)]

    def _predictor(self, name: str, channels: int, outputs: int) -> Shapes:
        if not self.lite:
            return _layer(name, (outputs, channels, 1, 1))
        return _block(f"{name}.0", (channels, 1, 3, 3)) | _layer(f"{name}.1", (outputs, channels, 1, 1))


@dataclass(frozen=True, slots=True)
class FasterRcnn:
    """The anchors and thresholds of Faster R-CNN, see `tasks.detection.layout.faster_rcnn_config`."""

    detector: Literal["faster-rcnn"]
    maps: tuple[str]
    sizes: tuple[Annotated[float, Between(0, 10)], ...]
    ratios: tuple[Ratio, ...]
    candidates: Annotated[int, Between(1, 100_000)]
    proposals: Annotated[int, Between(1, 10_000)]
    proposal_overlap: Share
    cells: Annotated[int, Between(1, 64)]
    score: Share
    overlap: Share
    boxes: Annotated[int, Between(1, 1000)]

    def arrays(self, network: Network) -> Shapes:
        _check_maps(self.maps, taps(network)[:1])
        ops = expand(network).ops
        height, width, channels = next(op.shape_out for op in ops if op.name == self.maps[0])
        shapes, classes, features = len(self.sizes) * len(self.ratios), network.classes + 1, ops[-1].shape_out[2]
        if not shapes:
            raise ModelFileError("decoding must have at least one of sizes and of ratios")
        predictor = f"{TASK}roi_heads.box_predictor"
        return {
            f"{TASK}rpn.anchor_generator.boxes": (height * width * shapes, 4),
            **_layer(f"{TASK}rpn.head.conv.0.0", (channels, channels, 3, 3)),
            **_layer(f"{TASK}rpn.head.cls_logits", (shapes, channels, 1, 1)),
            **_layer(f"{TASK}rpn.head.bbox_pred", (4 * shapes, channels, 1, 1)),
            **_layer(f"{predictor}.cls_score", (classes, features)),
            **_layer(f"{predictor}.bbox_pred", (4 * classes, features)),
        }


def _check_maps(found: tuple[str, ...], wanted: tuple[str, ...]) -> None:
    if found != wanted:
        refuse("decoding.maps", list(found), f"{', '.join(wanted)}, the feature maps of this network")


def _layer(name: str, shape: tuple[int, ...]) -> Shapes:
    return {f"{name}.weight": shape, f"{name}.bias": shape[:1]}


def _block(name: str, shape: tuple[int, ...]) -> Shapes:
    """Return the shapes of a convolution with its batch norm."""
    norm = {f"{name}.1.{part}": shape[:1] for part in ("weight", "bias", "running_mean", "running_var")}
    return {f"{name}.0.weight": shape, **norm}
