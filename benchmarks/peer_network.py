"""timm's MobileNet v1 of any width, padded as TensorFlow pads: the network of the peers in `recipes.py`."""

from safetensors.torch import load_file
from timm.models import EfficientNet
from timm.models.efficientnet import _gen_mobilenet_v1

__all__ = ["peer_network"]


def peer_network(width: float, classes: int, weights: str | None) -> EfficientNet:
    """Build the network; `weights` is a file of `mobilenets export --format timm`, whose classifier is left out."""
    name = f"mobilenetv1_{100 * width:03.0f}"
    model = _gen_mobilenet_v1(name, width, num_classes=classes, pad_type="same", bn_eps=1e-3)
    if weights:
        state = {name: tensor for name, tensor in load_file(weights).items() if not name.startswith("classifier")}
        missing, unexpected = model.load_state_dict(state, strict=False)
        assert not unexpected and all("classifier" in n or "num_batches" in n for n in missing), (missing, unexpected)
    return model
