"""A safetensors file with timm's names, for `timm.create_model("mobilenetv1_100", ...)` and related models.

timm needs settings that names cannot carry: num_classes, in_chans, act_layer, and pad_type="same" where the network
pads as TensorFlow does. All of them are in the metadata, from which `mobilenets import` restores the network.
"""

import json

from safetensors.numpy import save

from ..arch.graph import expand
from ..arch.network import Network, Padding
from ..errors import UsageError
from ..model import Model, in_order
from .state_dict import state_dict

__all__ = ["to_timm"]


def to_timm(model: Model) -> bytes:
    """Return the content of the file.

    Raises `UsageError` or `NetworkError` for a network that timm cannot build.
    """
    _check(model.network)
    metadata = {
        "format": "pt",  # timm and transformers load nothing without it
        "mobilenets_network": model.network.to_json(),
        "mobilenets_preprocess": json.dumps(model.preprocess.to_dict()),
        "mobilenets_labels": json.dumps(list(model.labels)),
    }
    return in_order(save(dict(state_dict(model, _names(model.network))), metadata))


def _check(network: Network) -> None:
    if network.convolution != "separable":
        raise UsageError("a network of full convolutions: timm's MobileNet v1 has separable ones only")
    if not any(_pads(network, rule) == _pads(network, network.padding) for rule in ("symmetric", "same")):
        raise UsageError(
            f"padding {network.padding} on {network.height}x{network.width}: timm pads as PyTorch or TensorFlow does; "
            "sides that are multiples of 32 would make it TensorFlow's"
        )


def _pads(network: Network, rule: Padding) -> list[tuple[int, int, int, int]]:
    return [op.padding for op in expand(network.replace(padding=rule)).ops]


def _names(network: Network) -> dict[str, str]:
    """Return the mapping of our modules to timm's; a stage begins with the first block and with each of stride 2."""
    names = {"conv0": "conv_stem", "conv0_bn": "bn1", "head": "conv_head", "head_bn": "bn2", "fc": "classifier"}
    stage, number = 0, -1
    for i, block in enumerate(network.blocks, 1):
        stage, number = (stage + 1, 0) if block.stride == 2 and i > 1 else (stage, number + 1)
        prefix = f"blocks.{stage}.{number}"
        names |= {f"dw{i}": f"{prefix}.conv_dw", f"dw{i}_bn": f"{prefix}.bn1"}
        names |= {f"pw{i}": f"{prefix}.conv_pw", f"pw{i}_bn": f"{prefix}.bn2"}
    return names
