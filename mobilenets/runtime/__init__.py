"""Running a trained network: no torch."""

from .measure import measure_networks, measure_sessions
from .predict import Prediction, find_images
from .session import Session, open_session

__all__ = ["Prediction", "Session", "find_images", "measure_networks", "measure_sessions", "open_session"]
