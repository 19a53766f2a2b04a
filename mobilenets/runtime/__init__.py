"""Running a trained network: no torch."""

from .compiled import CompiledSession
from .explain import Explainer
from .measure import measure_networks, measure_sessions
from .opening import Runner, Runtime, open_session
from .predict import Prediction, find_images, outputs_of
from .session import Session

__all__ = [
    "CompiledSession",
    "Explainer",
    "Prediction",
    "Runner",
    "Runtime",
    "Session",
    "find_images",
    "measure_networks",
    "measure_sessions",
    "open_session",
    "outputs_of",
]
