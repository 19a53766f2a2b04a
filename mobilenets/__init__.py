"""mobilenets: labelled images and a budget in; the small network that fits out, trained, measured and exported.

The names below are loaded when they are first used: `import mobilenets` alone imports nothing heavy.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .api import (
        compile_to_c,
        design_network,
        evaluate_model,
        export_model,
        import_model,
        plan_training,
        predict_images,
        quantize_model,
        resume_run,
        train_network,
    )
    from .arch import PAPER, Block, Graph, Network, expand, named
    from .cost import Cost, Latency
    from .design import Budget
    from .errors import MobilenetsError
    from .image import Preprocess, prepare
    from .model import Model
    from .quant.file import load
    from .runtime import CompiledSession, Explainer, PredictedImage, Session, open_session
    from .train.recipe import Recipe

__version__ = "0.1.0"

_HOME = {
    "api": (
        "compile_to_c",
        "design_network",
        "evaluate_model",
        "export_model",
        "import_model",
        "plan_training",
        "predict_images",
        "quantize_model",
        "resume_run",
        "train_network",
    ),
    "arch": ("PAPER", "Block", "Graph", "Network", "expand", "named"),
    "cost": ("Cost", "Latency"),
    "design": ("Budget",),
    "errors": ("MobilenetsError",),
    "image": ("Preprocess", "prepare"),
    "model": ("Model",),
    "quant.file": ("load",),
    "runtime": ("CompiledSession", "Explainer", "PredictedImage", "Session", "open_session"),
    "train.recipe": ("Recipe",),
}
_MODULE = {name: module for module, names in _HOME.items() for name in names}

__all__ = [
    "PAPER",
    "Block",
    "Budget",
    "CompiledSession",
    "Cost",
    "Explainer",
    "Graph",
    "Latency",
    "MobilenetsError",
    "Model",
    "Network",
    "PredictedImage",
    "Preprocess",
    "Recipe",
    "Session",
    "compile_to_c",
    "design_network",
    "evaluate_model",
    "expand",
    "export_model",
    "import_model",
    "load",
    "named",
    "open_session",
    "plan_training",
    "predict_images",
    "prepare",
    "quantize_model",
    "resume_run",
    "train_network",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULE:
        raise AttributeError(f"module 'mobilenets' has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULE[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
