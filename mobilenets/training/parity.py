"""Comparison of an exported network with the trained one, made at every export."""

import torch

from ..arrays import Floats
from ..image import Pixels, normalise
from ..model import Model
from ..runtime.parity import BOUND, Run, agree
from ..tasks import task_type
from .module import MobileNet, load_weights

__all__ = ["check_parity"]


def check_parity(model: Model, run: Run, bound: float = BOUND) -> float:
    """Return the largest difference between the logits of `run` and torch's, see `runtime.parity.agree`.

    Raises `ParityError` above `bound`.
    """
    module = task_type(model.task)().module(MobileNet(model.graph), model.network, model.head_config).eval()
    load_weights(module, model.weights)
    logits = getattr(module, "logits", module)

    def reference(images: Pixels) -> Floats:
        with torch.no_grad():
            x = torch.from_numpy(normalise(images, model.preprocess)).permute(0, 3, 1, 2)
            return logits(x).numpy()  # type: ignore[no-any-return]

    return agree(run, reference, model.preprocess, "exported logits differ from torch's", bound)
