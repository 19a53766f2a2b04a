"""A PyTorch state dict under the names that most MobileNet v1 programs share: `model.{i}.{j}` and `fc`.

It holds tensors only: the reader has to know activation, padding, image size, normalisation and labels.
"""

import io

from ..errors import MissingExtraError
from ..model import Model
from .state_dict import state_dict

__all__ = ["to_pytorch"]


def to_pytorch(model: Model) -> bytes:
    """Return what `torch.save` writes of the state dict.

    Raises `MissingExtraError` without torch, and `NetworkError` for a network with other blocks than V1's.
    """
    try:
        import torch
    except ImportError as exc:
        raise MissingExtraError("torch is not installed, and this format needs it", "train") from exc
    tensors = state_dict(model, _names(len(model.network.blocks)))
    content = io.BytesIO()
    torch.save({name: torch.from_numpy(array) for name, array in tensors.items()}, content)
    return content.getvalue()


def _names(blocks: int) -> dict[str, str]:
    """Return the mapping of our modules to names; a block is a list of convolution, batch norm and activation, once or
    twice.
    """
    names = {"conv0": "model.0.0", "conv0_bn": "model.0.1", "fc": "fc"}
    names |= {"head": f"model.{blocks + 1}.0", "head_bn": f"model.{blocks + 1}.1"}
    for i in range(1, blocks + 1):
        for kind, number in (("conv", 0), ("dw", 0), ("pw", 3)):
            names |= {f"{kind}{i}": f"model.{i}.{number}", f"{kind}{i}_bn": f"model.{i}.{number + 1}"}
    return names
