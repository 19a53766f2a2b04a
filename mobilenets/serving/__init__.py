"""The HTTP server: models in memory, a bounded queue, threads that decode and predict. No torch."""

from .server import run_server
from .settings import Settings

__all__ = ["Settings", "run_server"]
