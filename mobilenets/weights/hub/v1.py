"""Published networks of MobileNet V1."""

from ..recognise import Given
from .published import HUGGING_FACE, File, Published

__all__ = ["V1"]

_KERAS = "https://storage.googleapis.com/tensorflow/keras-applications/mobilenet/"
_KERAS_ALPHAS = {0.25: "2_5", 0.5: "5_0", 0.75: "7_5", 1.0: "1_0"}
# Keras converted TF-slim's checkpoints of 2017-06-14 and prints no figures of its own for twelve of the sixteen; these
# are the table of TF-slim's mobilenet_v1.md at that release
_SLIM = {
    0.25: {128: 41.3, 160: 46.0, 192: 49.0, 224: 50.6},
    0.5: {128: 56.2, 160: 59.9, 192: 62.1, 224: 64.0},
    0.75: {128: 61.8, 160: 65.2, 192: 67.4, 224: 68.4},
    1.0: {128: 64.1, 160: 67.2, 192: 69.3, 224: 70.7},
}


def _keras(alpha: float, height: int) -> Published:
    return Published(
        name=f"keras/{alpha:g}-{height}",
        alpha=alpha,
        height=height,
        what="float32, keras.applications",
        files=(File(f"{_KERAS}mobilenet_{_KERAS_ALPHAS[alpha]}_{height}_tf.h5"),),
        top1=_SLIM[alpha][height],
        source="TF-slim, June 2017",
        licence="Apache-2.0",
        given=Given(size=(height, height)),  # the files hold weights only
    )


_CORAL = "https://raw.githubusercontent.com/google-coral/test_data/104342d2d3480b3e66203073dac24f4e2dbb4c41/"


def _coral(alpha: float, height: int, top1: float | None, *files: File) -> Published:
    return Published(
        name=f"coral/{alpha:g}-{height}",
        alpha=alpha,
        height=height,
        what="uint8, trained with quantisation" + (", in two files" if len(files) > 1 else ""),
        files=files,
        top1=top1,
        source="coral.ai/models" if top1 else "",
        licence="Apache-2.0",
        given=Given(),
        quantised=True,
    )


_CORAL_025 = File(
    f"{_CORAL}mobilenet_v1_0.25_128_quant.tflite",
    "cb273c23ee76374b05b9583177e28aa19744858a7679c56a250e83d0333da785",
    525_598,
)
_CORAL_05 = File(
    f"{_CORAL}mobilenet_v1_0.5_160_quant.tflite",
    "3cc6d2ca460abd2e0f699a6d0d2550c6b61c6e3b0e27a3616e384ea74cb86f43",
    1_392_846,
)
_CORAL_075 = File(
    f"{_CORAL}mobilenet_v1_0.75_192_quant.tflite",
    "41daeb22fdcf947e0e5ec32373aa9df7c31f3ef45dbd0ef7b5940fbce3c20f6a",
    2_652_542,
)
_CORAL_1_BODY = File(
    f"{_CORAL}mobilenet_v1_1.0_224_quant_embedding_extractor.tflite",
    "f409ef4f73fcbb9667841965623c5c8524aac33d41b9bf5f3667161fb4a76319",
    3_251_736,
)
_CORAL_1_CLASSIFIER = File(
    f"{_CORAL}tools/mobilenet_quant_v1_224_head_layers.tflite",
    "65a88984b258c6f3c99d7573acac8cf85bd747293d83d51fafc1c2fb6d632286",
    1_030_768,
)


def _timm(
    variant: str, alpha: float, top1: float, size: int | None = None, sha256: str | None = None, head: bool = False
) -> Published:
    """Return a timm network: 224 px, top-1 of timm's results/results-imagenet.csv at that size."""
    name = f"timm/mobilenetv1_{variant}.ra4_e3600_r224_in1k"
    return Published(
        name=name,
        alpha=alpha,
        height=224,
        what="float32, timm's ra4 recipe, 3600 epochs" + (", with a head" if head else ""),
        files=(File(f"{HUGGING_FACE}{name}/model.safetensors", sha256, size),),
        top1=top1,
        source="timm, results-imagenet.csv",
        licence="Apache-2.0",
        given=Given(size=(224, 224)),
        head=head,
    )


V1 = (
    *(_keras(alpha, height) for alpha, row in _SLIM.items() for height in row),
    _coral(0.25, 128, 40.8, _CORAL_025),
    _coral(0.5, 160, None, _CORAL_05),
    _coral(0.75, 192, 67.2, _CORAL_075),
    _coral(1.0, 224, 69.5, _CORAL_1_BODY, _CORAL_1_CLASSIFIER),
    _timm("100", 1.0, 75.388, 17_030_248, "15c2f1411deb8e0533acbb41fe9523062f80d444d0393e7ad2b429f41378efc3"),
    _timm("100h", 1.0, 75.664, head=True),
    _timm("125", 1.25, 76.920, 25_207_640, "5616b1d4d774ac5bdf3fb254a72da78a5f27b19aa13bcceac03a743077c6acd8"),
)
