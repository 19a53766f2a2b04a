"""Settings of the server, with their defaults and rules; each field is a flag of `mobilenets serve`."""

from dataclasses import dataclass
from pathlib import Path

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
    """That decode and predict, one image each; 0: one per core, shared among the workers."""
    workers: int = 1
    """Processes; each has its own models in memory."""
    watch: bool = False
    """Load a model again when its file changes."""
    max_queue: int = 64
    """Images that may wait in a worker; further requests get status 429."""
    max_body: int = 16 << 20
    """Bytes of a request; larger ones get status 413."""
    max_pixels: int = 50_000_000
    """Pixels of an image; larger ones get status 415."""
    max_connections: int = 1000
    """Open connections of a worker; further ones get status 503."""
    timeout: float = 30.0
    """Seconds in which a request must arrive (else status 408), and then be answered (504)."""
    token: str | None = None
    """Clients must send it: Authorization: Bearer TOKEN. MOBILENETS_TOKEN does the same and is seen by nobody else."""
    certificate: Path | None = None
    """Serve HTTPS with this PEM file."""
    key: Path | None = None
    """The PEM file of the certificate's private key."""
    quiet: bool = False
    """Write no access log, which is a line of JSON on standard output for each request."""

    def __post_init__(self) -> None:
        check_threads(self.threads)
        for name, value, least, most in (
            ("port", self.port, 0, 65535),
            ("workers", self.workers, 1, 256),
            ("max_queue", self.max_queue, 1, 100_000),
            ("max_body", self.max_body, 1, 1 << 30),
            ("max_pixels", self.max_pixels, 1, 178_956_970),
            ("max_connections", self.max_connections, 1, 100_000),
            ("timeout", self.timeout, 0.1, 3600),
        ):
            if not least <= value <= most:
                raise UsageError(f"{name} (={value:.12g}) must be from {least:g} to {most:.12g}")
        if self.token is not None and not (self.token.isascii() and self.token.isprintable() and " " not in self.token):
            raise UsageError("token must be printable ASCII without spaces")
        if self.token == "":
            raise UsageError("token must not be empty")
        if self.key is not None and self.certificate is None:
            raise UsageError(f"key (={self.key}) needs the certificate that it belongs to")

    @property
    def used_threads(self) -> int:
        """Return the number of threads that predict in each worker."""
        return self.threads or max(1, cores() // self.workers)
