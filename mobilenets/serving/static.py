"""Files of the web page, read once, with their headers."""

from pathlib import Path

__all__ = ["page_files"]

FOLDER = Path(__file__).parent / "page"
COASTS = Path(__file__).parents[1] / "tasks" / "geo" / "coasts.json"  # of the map
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".png": "image/png",
}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; "
    "connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-cache",
}


def page_files() -> dict[str, tuple[bytes, list[tuple[bytes, bytes]]]]:
    """Return content and headers of each file by its address; index.html is / as well."""
    paths = {"/" + path.relative_to(FOLDER).as_posix(): path for path in FOLDER.rglob("*") if path.suffix in TYPES}
    found = {address: (path.read_bytes(), _headers(path)) for address, path in paths.items()}
    return {**found, "/": found["/index.html"], "/coasts.json": (COASTS.read_bytes(), _headers(COASTS))}


def _headers(path: Path) -> list[tuple[bytes, bytes]]:
    headers = {"content-type": TYPES[path.suffix], **HEADERS}
    return [(name.encode(), value.encode()) for name, value in headers.items()]
