"""Where fine-tuning starts: the weights of a trained network, made ready for the user's images."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from ..data.cache import Images
from ..data.loader import central_batches, central_labels
from ..image import Preprocess, normalise
from ..model import Model
from .module import MobileNet, load_weights

__all__ = ["class_means", "restate", "start_from"]

BATCH = 128
IMAGES = 4096  # that statistics and class means are taken from
SHRINKAGE = 0.1  # of the covariance towards a sphere: few images say little of many directions


def start_from(module: MobileNet, model: Model, images: Images, preprocess: Preprocess, threads: int) -> None:
    """Weights of `model`; batch norms in the statistics of `images`; the classifier from their class means."""
    load_weights(module, model.weights)
    device = next(module.parameters()).device
    batches = central_batches(images, preprocess, BATCH, IMAGES)
    inputs = (torch.from_numpy(normalise(pixels, preprocess)).to(device).permute(0, 3, 1, 2) for pixels in batches)
    before = torch.get_num_threads()
    torch.set_num_threads(max(1, threads))  # one module now, on all the cores that the replicas will have
    class_means(module, restate(module, inputs), torch.from_numpy(central_labels(images, IMAGES)))
    torch.set_num_threads(before)


@torch.no_grad()
def restate(module: MobileNet, inputs: Iterable[Tensor]) -> Tensor:
    """Rewrite the batch norms in the statistics of `inputs`: the same function. Returns the features (N, channels).

    A folded network's batch norms hold no statistics, and those of a network trained elsewhere fit other images: in
    training mode either would compute something else than what was learned.
    """
    norms = [layer for layer in module.modules() if isinstance(layer, nn.BatchNorm2d)]
    moments: dict[nn.Module, list[Tensor]] = {norm: [] for norm in norms}
    seen: list[Tensor] = []

    def measure(norm: nn.Module, arguments: tuple[Tensor, ...]) -> None:
        var, mean = torch.var_mean(arguments[0], (0, 2, 3), correction=0)
        moments[norm].append(len(arguments[0]) * torch.stack([torch.ones_like(mean), mean, var + mean**2]).double())

    hooks = [norm.register_forward_pre_hook(measure) for norm in norms]
    hooks.append(module.get_submodule("pool").register_forward_hook(lambda _, __, y: seen.append(y.flatten(1))))
    module.eval()
    for x in inputs:
        module(x)
    for hook in hooks:
        hook.remove()
    for norm in norms:
        count, total, squares = torch.stack(moments[norm]).sum(0)
        mean = total / count
        _restate(norm, mean, (squares / count - mean**2).clamp_min(0))
    return torch.cat(seen)


def _restate(norm: nn.BatchNorm2d, mean: Tensor, var: Tensor) -> None:
    """The same function of its input, with `mean` and `var` as its statistics."""
    assert norm.running_mean is not None and norm.running_var is not None
    slope = norm.weight.double() / torch.sqrt(norm.running_var.double() + norm.eps)
    norm.bias.copy_(norm.bias.double() + slope * (mean - norm.running_mean.double()))
    norm.weight.copy_(slope * torch.sqrt(var + norm.eps))
    norm.running_mean.copy_(mean)
    norm.running_var.copy_(var)


@torch.no_grad()
def class_means(module: MobileNet, features: Tensor, labels: Tensor) -> None:
    """Start the classifier from each class's mean features, under one covariance (linear discriminant analysis)."""
    classes = module.graph.network.classes
    x, hot = features.double(), nn.functional.one_hot(labels.to(features.device), classes).double()
    counts = hot.sum(0).clamp_min(1)
    means = hot.T @ x / counts[:, None]
    within = x - hot @ means
    covariance = within.T @ within / len(x)
    sphere = torch.eye(len(covariance), dtype=x.dtype, device=x.device) * covariance.diagonal().mean().clamp_min(1e-12)
    weight = torch.linalg.solve((1 - SHRINKAGE) * covariance + SHRINKAGE * sphere, means.T).T
    bias = torch.log(counts / len(x)) - (weight * means).sum(1) / 2
    module.get_parameter("fc.weight").copy_(weight - weight.mean(0))
    module.get_parameter("fc.bias").copy_(bias - bias.mean())
