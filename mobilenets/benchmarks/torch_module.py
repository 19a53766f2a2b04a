"""A model in torch for inference, and the float reference of all runtimes."""

import logging
from collections.abc import Callable
from typing import Any

from ..arch.fold import fold_batch_norm
from ..arrays import Floats
from ..image import Pixels, normalise
from ..model import Model

__all__ = ["inference", "reference"]


def inference(model: Model, precision: str, threads: int, compiled: bool = False) -> Callable[[Pixels], Floats]:
    """Return a function (N, H, W, C) uint8 -> logits: batch norm folded, channels last, normalised inside."""
    import torch

    from ..training.module import MobileNet, load_weights

    torch.set_num_threads(threads)  # torch.compile writes it into its code
    graph, weights = fold_batch_norm(model.graph, model.weights)
    module = MobileNet(graph).eval()
    load_weights(module, weights)
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}[precision]
    module = module.to(dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]
    for layer in module.modules():
        if hasattr(layer, "keep_fp32"):
            layer.keep_fp32 = False  # only its backward is slow
    mean, std = (torch.tensor(values).view(-1, 1, 1) for values in (model.preprocess.mean, model.preprocess.std))

    def forward(pixels: Any) -> Any:
        """Return the logits of uint8 (N, H, W, C)."""
        return module(((pixels.permute(0, 3, 1, 2).float() - mean) / std).to(dtype)).float()

    if compiled:
        logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)  # it warns of missing CUDA
        torch._dynamo.config.recompile_limit = 256  # one program per batch size and number of threads
        forward = torch.compile(forward, dynamic=False, options={"freezing": True})

    def run(images: Pixels) -> Floats:
        """Return the logits of `images` as an array."""
        if torch.get_num_threads() != threads:
            torch.set_num_threads(threads)
        with torch.inference_mode():
            logits: Floats = forward(torch.from_numpy(images)).numpy()
        return logits

    return run


def reference(model: Model, images: Pixels) -> Floats:
    """Return the logits of torch in fp32 of the unfolded network, one image at a time on one thread."""
    import torch

    from ..training.module import MobileNet, load_weights

    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # several would wait where another program uses a core
    module = MobileNet(model.graph).eval()
    load_weights(module, model.weights)
    with torch.inference_mode():
        inputs = (torch.from_numpy(normalise(image[None], model.preprocess)).permute(0, 3, 1, 2) for image in images)
        logits: Floats = torch.cat([module(x) for x in inputs]).numpy()
    torch.set_num_threads(threads)
    return logits
