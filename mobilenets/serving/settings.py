"""Settings of the server, with their defaults and rules; each field is a flag of `mobilenets serve`."""

from dataclasses import dataclass

from ..errors import UsageError
from ..machine import check_threads, cores

__all__ = ["Settings"]


@dataclass(frozen=True, slots=True)
class Settings:
    """Where the server listens and what it accepts; raises `UsageError` for invalid values."""

    host: str = "127.0.0.1"
    """The address to listen on; 0.0.0.0 is every network of this machine."""
    port: int = 8000
    """0 chooses one that is free."""
    threads: int = 0
    """That decode and predict, one image each; 0: one per core."""
    max_queue: int = 64
    """Images that may wait; further requests get status 429."""
    max_body: int = 16 << 20
    """Bytes of a request; larger ones get status 413."""
    timeout: float = 30.0
    """Seconds until a request gets status 504."""

    def __post_init__(self) -> None:
        check_threads(self.threads)
        for name, value, least, most in (
            ("port", self.port, 0, 65535),
            ("max_queue", self.max_queue, 1, 100_000),
            ("max_body", self.max_body, 1, 1 << 30),
            ("timeout", self.timeout, 0.001, 3600),
        ):
            if not least <= value <= most:
                raise UsageError(f"{name} (={value:g}) must be from {least:g} to {most:g}")

    @property
    def used_threads(self) -> int:
        """Return the number of threads that predict."""
        return self.threads or cores()
