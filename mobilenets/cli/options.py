"""Flags that several verbs share, as dataclasses that return what they mean."""

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Group, Parameter

from ..arch import Network, named
from ..arch.network import BODY, SHALLOW_BODY, Activation, Convolution, Padding, Rounding
from ..arch.zoo import DEFAULT
from ..designs import Budget, Space
from ..devices import DEVICES
from ..errors import DataError, NetworkError
from ..image import Fit, Preprocess, Resize

if TYPE_CHECKING:
    from ..weights import Given

    DeviceFlag = str
else:  # the choices of the command line are the devices
    DeviceFlag = Literal[tuple(DEVICES)]

__all__ = [
    "TASK",
    "TRAINING",
    "BudgetFlags",
    "ClusterFlags",
    "DeviceFlag",
    "ImageFlags",
    "Json",
    "NetworkFlags",
    "RuntimeFlag",
    "SourceFlags",
    "image_size",
]

# the groups of --help, in their order behind the verb's own flags
NETWORK = Group("Network", sort_key=1)
BUDGET = Group("Budget", sort_key=2)
TRAINING = Group("Training", sort_key=3)
TASK = Group("Task", sort_key=4)
IMAGE = Group("Image", sort_key=5)
SOURCE = Group("What the file does not say", sort_key=6)
CLUSTER = Group("Many images on many machines", sort_key=7)

Json = Annotated[bool, Parameter(negative=())]
RuntimeFlag = Literal["auto", "compiled", "onnx"]


@Parameter(name="*", group=NETWORK)
@dataclass(frozen=True, slots=True)
class NetworkFlags:
    """The network."""

    model: str | None = None
    """Its name, such as 0.25-96 or v3-small-0.75-160: family, alpha and image size in one."""
    family: Annotated[tuple[str, ...], Parameter(consume_multiple=True, negative=())] = ()
    """A search for a budget keeps to these: v1, fd, v2, v3, v4, or a part such as v3-small; by default all."""
    alpha: Annotated[float | None, Parameter(name=("--alpha", "--width"))] = None
    """Width multiplier, by default 0.5. A search for a budget keeps to it where it is given."""
    img_size: str | None = None
    """Input pixels, PIXELS or HEIGHTxWIDTH, each at least 32; by default 128. A search for a budget keeps to it."""
    grey: bool = False
    """One input channel instead of three."""
    conv: Convolution = "separable"
    """full: every block is a full 3x3 convolution (the paper's Conv MobileNet)."""
    shallow: bool = False
    """Without the five 14x14x512 blocks (Table 5)."""
    activation: Activation | None = None
    """relu, or relu6 for networks that must match TensorFlow's; with --pretrained: where its file does not say."""
    padding: Padding | None = None
    """symmetric is PyTorch's, same TensorFlow's; by default symmetric."""
    rounding: Rounding | None = None
    """Of channels under alpha: floor as in V1's paper, or multiple_of_8 as TF-slim and all newer families."""

    def network(self, classes: int = 1000) -> Network:
        """Return the network of the flags; `NetworkError` where a name and flags both give alpha or image size."""
        base = self.base(classes)
        if self.family:
            raise NetworkError(f"--family {self.family[0]} says where a search may look: give a budget (--max-...)")
        if self.model is not None:
            if self.alpha is not None or self.img_size is not None:
                raise NetworkError(f"{self.model} says alpha and image size: leave out --alpha and --img-size")
            return base
        height, width = image_size(self.img_size) if self.img_size else (DEFAULT.height, DEFAULT.width)
        return base.replace(alpha=DEFAULT.alpha if self.alpha is None else self.alpha, height=height, width=width)

    def shape(self) -> str | dict[str, Any]:
        """Return the name that was given, or alpha, height and width as far as they were given."""
        if self.model is not None:
            return self.model
        values: dict[str, Any] = {} if self.alpha is None else {"alpha": self.alpha}
        if self.img_size is not None:
            values["height"], values["width"] = image_size(self.img_size)
        return values

    def space(self, classes: int) -> Space:
        """Return where a search may look: everywhere, except for what the flags fix."""
        if self.model is not None:
            raise NetworkError(f"--model {self.model} leaves nothing to design: give a budget or a network, not both")
        space = Space(base=self.base(classes))
        if self.family:
            space = replace(space, families=self.family)
        if self.alpha is not None:
            space = replace(space, alphas=(self.alpha,))
        if self.img_size is not None:
            height, width = image_size(self.img_size)
            if height != width:
                raise NetworkError(f"--img-size {self.img_size}: a search is over square inputs only")
            space = replace(space, resolutions=(height,))
        return space.within(("v1-shallow",), "--shallow") if self.shallow else space

    def base(self, classes: int = 1000) -> Network:
        """Return a network with the alpha and size of the name, where there is one, and all else by the flags."""
        network = named(self.model) if self.model is not None else Network()
        changes: dict[str, Any] = {
            "channels": 1 if self.grey else 3,
            "classes": classes,
        }
        said = {"activation": self.activation, "padding": self.padding, "rounding": self.rounding}
        changes |= {name: value for name, value in said.items() if value is not None}
        if self.conv == "full":
            changes["convolution"] = "full"
        if self.shallow:
            if network.blocks not in (BODY, SHALLOW_BODY):
                raise NetworkError(f"--shallow: {network.name} is no MobileNet V1")
            changes["blocks"] = SHALLOW_BODY
        return network.replace(**changes)


@Parameter(name="*", group=BUDGET)
@dataclass(frozen=True, slots=True)
class BudgetFlags:
    """The budget of the network: any of these."""

    max_mult_adds: str | None = None
    """Mult-adds of one image, such as 10M."""
    max_params: str | None = None
    """Parameters, such as 500k."""
    max_size: str | None = None
    """Weights in the file at --budget-precision, such as 500KB; a number alone is bytes."""
    max_ram: str | None = None
    """Peak activation memory at --budget-precision, such as 256KB; a number alone is bytes. With a microcontroller as
    --device: arena and stack there."""
    max_latency: str | None = None
    """One image on this machine, such as 2ms (us, ms, s; a number alone is ms); it is measured. With a microcontroller
    as --device: estimated for it."""
    budget_precision: str = "fp32"
    """fp32, fp16 or int8: of --max-size and --max-ram."""
    max_flash: str | None = None
    """Weights and code on the microcontroller of --device, such as 256KB."""
    clock: str | None = None
    """Of the microcontroller of --device, such as 80MHz; by default a usual one."""

    @property
    def given(self) -> bool:
        bounds = (self.max_mult_adds, self.max_params, self.max_size, self.max_ram, self.max_flash, self.max_latency)
        return any(bound is not None for bound in bounds)

    def budget(self, device: str | None = None) -> Budget:
        """Return the budget; with `device`, a microcontroller, memory and latency are of it."""
        return Budget(
            max_mult_adds=self.max_mult_adds,
            max_params=self.max_params,
            max_size=self.max_size,
            max_ram=self.max_ram,
            max_latency=self.max_latency,
            precision=self.budget_precision,
            max_flash=self.max_flash,
            device=device,
            clock=self.clock,
        )


def image_size(text: str) -> tuple[int, int]:
    """Return (height, width) of `128` or `96x128`."""
    match = re.fullmatch(r"(\d{1,5})(?:x(\d{1,5}))?", text.strip())
    if match is None:
        raise NetworkError(f"--img-size {text!r} must be PIXELS or HEIGHTxWIDTH, such as 128 or 96x128")
    return int(match[1]), int(match[2] or match[1])


@Parameter(name="*", group=IMAGE)
@dataclass(frozen=True, slots=True)
class ImageFlags:
    """The preprocessing of images."""

    fit: Fit | None = None
    """crop: the centre, cut to the network's shape; stretch: all of it, stretched; letterbox: all of it, on black."""
    crop: float | None = None
    """Share of the image that --fit crop keeps, such as 0.875."""
    resize: Resize | None = None
    """The kernel; all but nearest with antialiasing."""
    mean: Annotated[tuple[float, ...], Parameter(consume_multiple=True, negative=())] = ()
    """With --std: the network takes (pixel - mean) / std of pixels from 0 to 255; one number, or one per channel."""
    std: Annotated[tuple[float, ...], Parameter(consume_multiple=True, negative=())] = ()
    """See --mean: 127.5 and 127.5 for [-1, 1], 0 and 255 for [0, 1]."""

    def image_settings(self) -> "Given":
        """Return the settings that were given; `NetworkError` where they contradict each other."""
        from ..weights import Given

        if bool(self.mean) != bool(self.std):
            raise NetworkError("--mean and --std: give both or neither")
        if self.crop is not None and self.fit not in (None, "crop"):
            raise NetworkError(f"--crop {self.crop:g}: --fit {self.fit} shows all of the image")
        pixels = (_one_or_all(self.mean), _one_or_all(self.std)) if self.mean else None
        return Given(pixels=pixels, fit=self.fit, crop=self.crop, resize=self.resize)

    def changed(self, preprocess: Preprocess) -> Preprocess:
        """Return `preprocess` with the changes that were given."""
        return replace(preprocess, **self.changes())

    def changes(self) -> dict[str, Any]:
        """Return the fields of `Preprocess` that were given."""
        given = self.image_settings()
        changes = {name: getattr(given, name) for name in ("fit", "crop", "resize")}
        if given.pixels:
            changes |= {"mean": given.pixels[0], "std": given.pixels[1]}
        return {name: value for name, value in changes.items() if value is not None}


@Parameter(name="*", group=SOURCE)
@dataclass(frozen=True, slots=True)
class SourceFlags(ImageFlags):
    """The settings that the file of another program does not state, or states wrongly."""

    img_size: str | None = None
    """Input pixels, 128 or HEIGHTxWIDTH."""
    activation: Activation | None = None
    """After every convolution."""
    padding: Padding | None = None
    """symmetric is PyTorch's, same TensorFlow's, keras keras.applications'."""
    epsilon: float | None = None
    """Batch norm's."""
    labels: Path | None = None
    """A text file with the name of one class per line."""

    def given(self) -> "Given":
        from ..data.labels import read_list

        if self.labels is not None and not self.labels.is_file():
            rule = "it takes a text file with the name of one class per line, not the names"
            raise DataError(f"--labels {self.labels}: no such file: {rule}")
        return replace(
            self.image_settings(),
            size=image_size(self.img_size) if self.img_size else None,
            activation=self.activation,
            padding=self.padding,
            epsilon=self.epsilon,
            labels=read_list(self.labels) if self.labels else None,
        )


def _one_or_all(numbers: tuple[float, ...]) -> float | tuple[float, ...]:
    return numbers[0] if len(numbers) == 1 else numbers


@Parameter(name="*", group=CLUSTER)
@dataclass(frozen=True, slots=True)
class ClusterFlags:
    """Where the images are computed, and where the results go: both or neither."""

    cluster: str | None = None
    """The address of a Ray cluster, such as 10.0.0.1:6379, or local: the cores of this machine."""
    output: str | None = None
    """With --cluster: the folder of the parts, a path or a URL such as s3://bucket/folder. A second run goes on."""
