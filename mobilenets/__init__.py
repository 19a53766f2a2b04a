"""mobilenets: labelled images and a budget in; the small network that fits out, trained, measured and exported.

The functions are the commands of the command line, by the same names. All names below are loaded when they are first
used: `import mobilenets` alone imports nothing heavy.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .arch import PAPER, Block, Graph, Network, expand, named
    from .costs import Cost, Latency
    from .designs import Budget, Space
    from .errors import MobilenetsError
    from .image import Preprocess, prepare
    from .model import Model
    from .progress import Watch
    from .quant.scheme import QuantModel
    from .runtime import CompiledSession, Explainer, PredictedImage, Session, open_session
    from .training.recipe import Recipe
    from .verbs.benchmark import benchmark
    from .verbs.compile import compile
    from .verbs.cost import cost
    from .verbs.design import design
    from .verbs.evaluate import evaluate
    from .verbs.export import export
    from .verbs.import_model import import_model
    from .verbs.load import load
    from .verbs.parts import predict_parts
    from .verbs.predict import predict
    from .verbs.pretrained import pretrained
    from .verbs.quantize import quantize
    from .verbs.resume import resume
    from .verbs.search import search
    from .verbs.serve import serve
    from .verbs.sweep import resume_sweep, sweep
    from .verbs.train import plan, train

__version__ = "0.1.0"

_HOME = {
    "arch": (
        "PAPER",
        "Block",
        "Graph",
        "Network",
        "expand",
        "named",
    ),
    "costs": (
        "Cost",
        "Latency",
    ),
    "designs": (
        "Budget",
        "Space",
    ),
    "errors": ("MobilenetsError",),
    "image": (
        "Preprocess",
        "prepare",
    ),
    "model": ("Model",),
    "progress": ("Watch",),
    "quant.scheme": ("QuantModel",),
    "runtime": (
        "CompiledSession",
        "Explainer",
        "PredictedImage",
        "Session",
        "open_session",
    ),
    "training.recipe": ("Recipe",),
    "verbs.benchmark": ("benchmark",),
    "verbs.compile": ("compile",),
    "verbs.cost": ("cost",),
    "verbs.design": ("design",),
    "verbs.evaluate": ("evaluate",),
    "verbs.export": ("export",),
    "verbs.import_model": ("import_model",),
    "verbs.load": ("load",),
    "verbs.parts": ("predict_parts",),
    "verbs.predict": ("predict",),
    "verbs.pretrained": ("pretrained",),
    "verbs.quantize": ("quantize",),
    "verbs.resume": ("resume",),
    "verbs.search": ("search",),
    "verbs.serve": ("serve",),
    "verbs.sweep": (
        "resume_sweep",
        "sweep",
    ),
    "verbs.train": (
        "plan",
        "train",
    ),
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
    "QuantModel",
    "Recipe",
    "Session",
    "Space",
    "Watch",
    "benchmark",
    "compile",
    "cost",
    "design",
    "evaluate",
    "expand",
    "export",
    "import_model",
    "load",
    "named",
    "open_session",
    "plan",
    "predict",
    "predict_parts",
    "prepare",
    "pretrained",
    "quantize",
    "resume",
    "resume_sweep",
    "search",
    "serve",
    "sweep",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULE:
        raise AttributeError(f"module 'mobilenets' has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULE[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
