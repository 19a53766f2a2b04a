"""Running trained networks, without torch."""

from .compiled import CompiledSession
from .explain import Explainer
from .exported import OnnxFile
from .measure import measure_networks, measure_sessions
from .opening import Openable, Runner, Runtime, on_threads, open_session
from .predict import PredictedImage, Readable, find_images, outputs_of
from .session import Session
from .video import VIDEOS, camera_frames, with_frames

__all__ = [
    "VIDEOS",
    "CompiledSession",
    "Explainer",
    "OnnxFile",
    "Openable",
    "PredictedImage",
    "Readable",
    "Runner",
    "Runtime",
    "Session",
    "camera_frames",
    "find_images",
    "measure_networks",
    "measure_sessions",
    "on_threads",
    "open_session",
    "outputs_of",
    "with_frames",
]
