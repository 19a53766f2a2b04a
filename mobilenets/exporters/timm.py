"""A safetensors file with timm's names, for `timm.create_model("mobilenetv1_100", ...)` and related models of V1 to V4.

timm needs settings that names cannot carry: num_classes, in_chans, act_layer, and pad_type="same" where the network
pads as TensorFlow does. All of them are in the metadata, from which `mobilenets import` restores the network.
"""

from safetensors.numpy import save

from ..arch.graph import expand
from ..arch.network import Block, Network, Padding
from ..errors import UsageError
from ..model import PREFIX, Model, in_order, use_to_metadata
from .state_dict import EPSILON, Names, check_family, family_of, has_v1_blocks, module_names, state_dict

__all__ = ["to_timm"]

TENSORFLOW_EPSILON = 1e-3


def to_timm(model: Model) -> bytes:
    """Return the content of the file.

    Raises `UsageError` or `NetworkError` for a network that timm cannot build.
    """
    _check(model.network)
    metadata = {"format": "pt"}  # timm and transformers load nothing without it
    metadata |= use_to_metadata(model, PREFIX)
    tensors = state_dict(model, module_names(_names(model.network)), _epsilon(model.network))
    return in_order(save(dict(tensors), metadata))


def _epsilon(network: Network) -> float:
    """Return batch norm's epsilon in timm, whose minimalistic networks are TensorFlow's."""
    minimalistic = not has_v1_blocks(network) and family_of(network, "timm").endswith("minimalistic")
    return TENSORFLOW_EPSILON if minimalistic else EPSILON


def _check(network: Network) -> None:
    if network.convolution != "separable":
        raise UsageError("a network of full convolutions: timm's MobileNet v1 has separable ones only")
    rules: tuple[Padding, ...] = ("symmetric", "same")
    rule = next((rule for rule in rules if _pads(network, rule) == _pads(network, network.padding)), None)
    if rule is None:
        raise UsageError(
            f"padding {network.padding} on {network.height}x{network.width}: timm pads as PyTorch or TensorFlow does; "
            "sides that are multiples of 32 would make it TensorFlow's"
        )
    if not has_v1_blocks(network):
        check_family(network, "timm", padding=rule, activation=network.activation, hidden_scaling="none")


def _pads(network: Network, rule: Padding) -> list[tuple[int, int, int, int]]:
    return [op.padding for op in expand(network.replace(padding=rule)).ops]


def _names(network: Network) -> Names:
    """Return timm's names. A stage begins with the first block and with each of stride 2 (V1, V4) or of other channels
    (V2, V3).
    """
    family = "" if has_v1_blocks(network) else family_of(network, "timm")
    names = {"conv0": ("conv_stem", "bn1"), "fc": ("classifier", "")}
    ops = {op.name for op in expand(network).ops}
    stage, number, before = 0, -1, network.blocks[0]
    for i, block in enumerate(network.blocks, 1):
        by_channels = family.startswith(("v2", "v3"))
        begins = block.channels != before.channels if by_channels else block.stride == 2 and i > 1
        stage, number, before = (stage + 1, 0, block) if begins else (stage, number + 1, block)
        for ours, (name, norm) in _block_names(i, block, f"ex{i}" in ops, family.startswith("v4")).items():
            prefix = f"blocks.{stage}.{number}."
            names[ours] = prefix + name, norm and prefix + norm
    if network.hidden:
        names["head"] = f"blocks.{stage + 1}.0.conv", f"blocks.{stage + 1}.0.bn1"
        names["hidden"] = "conv_head", "norm_head"
    else:
        names["head"] = "conv_head", "bn2"
    return names


def _block_names(i: int, block: Block, expanded: bool, universal: bool) -> dict[str, tuple[str, str]]:
    """Return the names within a block; V4's are universal inverted bottlenecks."""
    if block.fused and block.expansion:
        return {f"conv{i}": ("conv_exp", "bn1"), f"pw{i}": ("conv_pwl", "bn2")}
    if block.fused or not (block.kernel or block.expansion):
        return {f"conv{i}": ("conv", "bn1"), f"pw{i}": ("conv", "bn1")}
    if universal:
        parts = {"start": "dw_start", "ex": "pw_exp", "dw": "dw_mid", "pw": "pw_proj"}
        return {f"{ours}{i}": (f"{theirs}.conv", f"{theirs}.bn") for ours, theirs in parts.items()}
    gate = {f"gate{i}_squeeze": ("se.conv_reduce", ""), f"gate{i}_excite": ("se.conv_expand", "")}
    if not expanded:
        return gate | {f"dw{i}": ("conv_dw", "bn1"), f"pw{i}": ("conv_pw", "bn2")}
    return gate | {f"ex{i}": ("conv_pw", "bn1"), f"dw{i}": ("conv_dw", "bn2"), f"pw{i}": ("conv_pwl", "bn3")}
