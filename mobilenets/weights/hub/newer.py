"""Published networks of MobileNet V2, V3 and V4."""

from ..recognise import Given
from .published import HUGGING_FACE, File, Published

__all__ = ["NEWER"]

_KERAS = "https://storage.googleapis.com/tensorflow/keras-applications"
_SIZES = (224, 192, 160, 128, 96)
# Keras converted TF-slim's checkpoints; these are the table of TF-slim's nets/mobilenet/README.md
_SLIM_V2 = {
    0.35: (60.3, 58.2, 55.7, 50.8, 45.5),
    0.5: (65.4, 63.9, 61.0, 57.7, 51.2),
    0.75: (69.8, 68.7, 66.4, 63.2, 58.8),
    1.0: (71.8, 70.7, 68.8, 65.3, 60.3),
    1.3: (74.4,),
    1.4: (75.0,),
}


def _keras(family: str, alpha: float, height: int, top1: float, source: str, file: File) -> Published:
    return Published(
        name=f"keras/{family}-{alpha:g}-{height}",
        alpha=alpha,
        height=height,
        what="float32, keras.applications",
        files=(file,),
        top1=top1,
        source=source,
        licence="Apache-2.0",
        given=Given(size=(height, height)),  # the files hold weights only
        family=family,
    )


def _keras_v2(alpha: float, height: int, top1: float) -> Published:
    file = f"{_KERAS}/mobilenet_v2/mobilenet_v2_weights_tf_dim_ordering_tf_kernels_{alpha}_{height}.h5"
    return _keras("v2", alpha, height, top1, "TF-slim", File(file))


def _keras_v3(kind: str, alpha: float, top1: float, md5: str) -> Published:
    file = f"{_KERAS}/mobilenet_v3/weights_mobilenet_v3_{kind.replace('-', '_')}_224_{alpha}_float.h5"
    return _keras(f"v3-{kind}", alpha, 224, top1, "keras.applications", File(file, md5=md5))


_IMAGENET = ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))  # mean and std of pixels
_SIGNED = (127.5, 127.5)


def _torchvision(model: str, weights: str, digits: str, top1: float, resized: int) -> Published:
    """Return a network of torchvision, whose file names end in the first eight digits of the SHA-256."""
    file = f"https://download.pytorch.org/models/{model}-{digits}.pth"
    return Published(
        name=f"torchvision/{model}.{weights}",
        alpha=1.0,
        height=224,
        what=f"float32, torchvision's {weights}",
        files=(File(file, sha256=digits),),
        top1=top1,
        source="torchvision",
        licence="BSD-3-Clause",
        given=Given(size=(224, 224), pixels=_IMAGENET, crop=224 / resized, resize="bilinear"),
        family=model.removeprefix("mobilenet_").replace("_", "-"),
    )


def _timm(
    family: str,
    alpha: float,
    variant: str,
    top1: float,
    *,
    height: int = 224,
    pixels: tuple[float | tuple[float, ...], float | tuple[float, ...]] = _IMAGENET,
    crop: float = 0.875,
    bicubic: bool = True,
) -> Published:
    """Return a timm network with top-1 of timm's results/results-imagenet.csv at that size."""
    name = f"timm/mobilenet{variant}"
    return Published(
        name=name,
        alpha=alpha,
        height=height,
        what=f"float32, timm's {variant.partition('.')[2].replace('_', ', ')}",
        files=(File(f"{HUGGING_FACE}{name}/model.safetensors"),),
        top1=top1,
        source="timm, results-imagenet.csv",
        licence="Apache-2.0",
        given=Given(size=(height, height), pixels=pixels, crop=crop, resize="bicubic" if bicubic else "bilinear"),
        family=family,
    )


NEWER = (
    *(_keras_v2(alpha, side, top1) for alpha, row in _SLIM_V2.items() for side, top1 in zip(_SIZES, row, strict=False)),
    _keras_v3("large", 1.0, 75.6, "59e551e166be033d707958cf9e29a6a7"),
    _keras_v3("large", 0.75, 73.3, "765b44a33ad4005b3ac83185abf1d0eb"),
    _keras_v3("large-minimalistic", 1.0, 72.3, "675e7b876c45c57e9e63e6d90a36599c"),
    _keras_v3("small", 1.0, 68.1, "8768d4c2e7dee89b9d02b2d03d65d862"),
    _keras_v3("small", 0.75, 65.4, "cb65d4e5be93758266aa0a7f2c6708b7"),
    _keras_v3("small-minimalistic", 1.0, 61.9, "99cd97fb2fcdad2bf028eb838de69e37"),
    _torchvision("mobilenet_v2", "IMAGENET1K_V1", "b0353104", 71.878, 256),
    _torchvision("mobilenet_v2", "IMAGENET1K_V2", "7ebf99e0", 72.154, 232),
    _torchvision("mobilenet_v3_large", "IMAGENET1K_V1", "8738ca79", 74.042, 256),
    _torchvision("mobilenet_v3_large", "IMAGENET1K_V2", "5c1a4163", 75.274, 232),
    _torchvision("mobilenet_v3_small", "IMAGENET1K_V1", "047dcff4", 67.668, 256),
    _timm("v2", 0.5, "v2_050.lamb_in1k", 65.928),
    _timm("v2", 1.0, "v2_100.ra_in1k", 72.91),
    _timm("v2", 1.4, "v2_140.ra_in1k", 76.528),
    _timm("v3-large", 1.0, "v3_large_100.ra_in1k", 75.784),
    _timm("v3-large", 1.0, "v3_large_100.ra4_e3600_r224_in1k", 76.31, pixels=_SIGNED, crop=0.95),
    _timm("v3-large", 1.0, "v3_large_100.miil_in21k_ft_in1k", 77.92, pixels=(0.0, 255.0), bicubic=False),
    _timm("v3-small", 0.5, "v3_small_050.lamb_in1k", 57.918),
    _timm("v3-small", 0.75, "v3_small_075.lamb_in1k", 65.284),
    _timm("v3-small", 1.0, "v3_small_100.lamb_in1k", 67.636),
    _timm("v4-conv-small", 0.5, "v4_conv_small_050.e3000_r224_in1k", 64.778, pixels=_SIGNED),
    _timm("v4-conv-small", 1.0, "v4_conv_small.e1200_r224_in1k", 73.45),
    _timm("v4-conv-small", 1.0, "v4_conv_small.e2400_r224_in1k", 73.756),
    _timm("v4-conv-small", 1.0, "v4_conv_small.e3600_r256_in1k", 74.534, height=256, pixels=_SIGNED, crop=0.95),
    _timm("v4-conv-medium", 1.0, "v4_conv_medium.e500_r224_in1k", 79.092, crop=0.95),
    _timm("v4-conv-medium", 1.0, "v4_conv_medium.e500_r256_in1k", 79.916, height=256, crop=0.95),
    _timm("v4-conv-medium", 1.0, "v4_conv_medium.e250_r384_in12k_ft_in1k", 82.776, height=384, crop=0.95),
)
