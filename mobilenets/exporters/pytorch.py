"""A PyTorch state dict: of V1 under the names that most programs share, `model.{i}.{j}` and `fc`; of V2 and V3 under
torchvision's, for `torchvision.models.mobilenet_v2`, `mobilenet_v3_large` and `mobilenet_v3_small`.

`torch.load` returns tensors only. What they do not tell (activation, padding, image size, normalisation, labels) is in
a record of its own in the zip file, from which `mobilenets import` restores the network.
"""

import io
import json
import zipfile

from ..arch.graph import Graph
from ..arch.network import Network
from ..arrays import Floats
from ..errors import MissingExtraError, NetworkError, UsageError
from ..model import PREFIX, RECORD, Model, use_to_metadata
from .state_dict import Names, check_family, family_of, has_v1_blocks, module_names, state_dict

__all__ = ["to_pytorch"]

LIBRARY = "torchvision"
V3_EPSILON = 1e-3  # torchvision's, of its V3
V3_WIDTHS = {"stem_scaling": "alpha", "expansion_scaling": "alpha", "hidden_scaling": "alpha"}


def to_pytorch(model: Model) -> bytes:
    """Return what `torch.save` writes of the state dict.

    Raises `MissingExtraError` without torch, and `UsageError` or `NetworkError` for a network that torchvision does not
    have.
    """
    try:
        import torch
    except ImportError as exc:
        raise MissingExtraError("torch is not installed, and this format needs it", "train") from exc
    network = model.network
    v1 = has_v1_blocks(network)
    tensors = state_dict(model, module_names(_v1_names(len(network.blocks)))) if v1 else _torchvision(model)
    content = io.BytesIO()
    torch.save({name: torch.from_numpy(array) for name, array in tensors.items()}, content)
    _append(content, RECORD, json.dumps(use_to_metadata(model, PREFIX)))
    return content.getvalue()


def _append(archive: io.BytesIO, name: str, text: str) -> None:
    """Add a record to what `torch.save` wrote, in its folder; torch reads those that the pickle names and no others."""
    with zipfile.ZipFile(archive, "a") as file:
        folder = file.namelist()[0].partition("/")[0]
        file.writestr(zipfile.ZipInfo(f"{folder}/{name}"), text)


def _v1_names(blocks: int) -> Names:
    """Return V1's names; a block is a list of convolution, batch norm and activation, once or twice."""
    names = {"conv0": ("model.0.0", "model.0.1"), "fc": ("fc", "")}
    names["head"] = f"model.{blocks + 1}.0", f"model.{blocks + 1}.1"
    for i in range(1, blocks + 1):
        for kind, number in (("conv", 0), ("dw", 0), ("pw", 3)):
            names[f"{kind}{i}"] = f"model.{i}.{number}", f"model.{i}.{number + 1}"
    return names


def _torchvision(model: Model) -> dict[str, Floats]:
    """Return the tensors of V2 or V3 under torchvision's names."""
    network = model.network
    family = family_of(network, LIBRARY)
    if family not in ("v2", "v3-large", "v3-small"):
        raise UsageError(f"{network.name}: {LIBRARY} has no network {family}: use the format timm")
    try:
        check_family(network, LIBRARY, **({} if family == "v2" else V3_WIDTHS))
    except NetworkError as exc:
        raise NetworkError(f"{exc}; the format timm may have it") from exc
    if family == "v2":
        return state_dict(model, module_names(_v2_names(model.graph, network)))
    tensors = state_dict(model, module_names(_v3_names(model.graph, network)), V3_EPSILON)
    hidden = "classifier.0.weight"  # a fully connected layer there
    return {name: array[:, :, 0, 0] if name == hidden else array for name, array in tensors.items()}


def _v2_names(graph: Graph, network: Network) -> Names:
    last = len(network.blocks) + 1
    names = {"conv0": ("features.0.0", "features.0.1"), "head": (f"features.{last}.0", f"features.{last}.1")}
    names["fc"] = "classifier.1", ""
    ops = {op.name for op in graph.ops}
    for i in range(1, last):
        parts = [name for name in (f"ex{i}", f"dw{i}") if name in ops]
        for number, name in enumerate(parts):
            names[name] = f"features.{i}.conv.{number}.0", f"features.{i}.conv.{number}.1"
        names[f"pw{i}"] = f"features.{i}.conv.{len(parts)}", f"features.{i}.conv.{len(parts) + 1}"
    return names


def _v3_names(graph: Graph, network: Network) -> Names:
    last = len(network.blocks) + 1
    names = {"conv0": ("features.0.0", "features.0.1"), "head": (f"features.{last}.0", f"features.{last}.1")}
    names |= {"hidden": ("classifier.0", ""), "fc": ("classifier.3", "")}
    ops = {op.name for op in graph.ops}
    for i in range(1, last):
        parts = [name for name in (f"ex{i}", f"dw{i}", f"gate{i}", f"pw{i}") if name in ops]
        for number, name in enumerate(parts):
            block = f"features.{i}.block.{number}"
            if name == f"gate{i}":
                names |= {f"{name}_squeeze": (f"{block}.fc1", ""), f"{name}_excite": (f"{block}.fc2", "")}
            else:
                names[name] = f"{block}.0", f"{block}.1"
    return names
