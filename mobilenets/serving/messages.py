"""Requests and responses as the routes see them, on top of ASGI."""

import json
import re
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import parse_qsl

from ..errors import shown

__all__ = ["JSON", "Headers", "Receive", "Refused", "Request", "Response", "Scope", "Send", "as_json"]

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

JSON = (b"content-type", b"application/json")


@dataclass(frozen=True, slots=True)
class Response:
    """Status, body and headers."""

    status: int
    body: bytes
    headers: Headers


class Refused(Exception):
    """A request that is answered with an error: its status and one line."""

    def __init__(self, status: int, message: str, *headers: tuple[bytes, bytes]) -> None:
        super().__init__(message)
        self.status, self.message, self.headers = status, shown(message), headers

    def response(self) -> Response:
        """Return {"error": "one line"}."""
        return Response(self.status, json.dumps({"error": self.message}).encode(), [JSON, *self.headers])


def as_json(value: Any) -> Response:
    """Return a response of a value in JSON."""
    return Response(200, json.dumps(value).encode(), [JSON])


@dataclass(slots=True)
class Held:
    """Bytes of requests that are in memory, at most `most`."""

    most: int
    bytes: int = 0


@dataclass
class Request:
    """A request whose body is read once; `route`, `model` and `images` are of figures and the log."""

    scope: Scope
    receive: Receive
    held: Held
    max_body: int
    route: str = "other"
    model: str = ""
    images: int = 0
    taken: int = field(default=0, init=False)  # bytes of the body

    @cached_property
    def query(self) -> dict[str, str]:
        """Return the parameters behind the question mark."""
        text = self.scope["query_string"].decode("latin-1")
        try:
            return dict(parse_qsl(text, keep_blank_values=True, max_num_fields=20))
        except ValueError:
            raise Refused(400, "the query has more than 20 parameters") from None

    def header(self, name: bytes) -> str:
        """Return the value of a header, '' where it is absent."""
        for found, value in self.scope["headers"]:
            if found == name:
                return str(value.decode("latin-1"))
        return ""

    def allow(self, *methods: str) -> None:
        """Refuse other methods."""
        if (given := self.scope["method"]) not in methods:
            rule = f"method {given} must be {' or '.join(methods)}"
            raise Refused(405, rule, (b"allow", ", ".join(methods).encode()))

    async def body(self) -> bytes:
        """Return the body; refuse one that is too large, that is compressed or does not fit beside the others."""
        if (encoding := self.header(b"content-encoding")) not in ("", "identity"):
            raise Refused(415, f"content-encoding {encoding} must be identity")
        length = self.header(b"content-length")
        if re.fullmatch(r"\d{1,18}", length):
            self._take(int(length))
        parts = []
        received, more = 0, True
        while more:
            message = await self.receive()
            if message["type"] == "http.disconnect":
                raise Refused(499, "the client has gone")
            part, more = message.get("body", b""), message.get("more_body", False)
            parts.append(part)
            received += len(part)
            if received > self.taken:
                self._take(received - self.taken)
        return b"".join(parts) if len(parts) > 1 else parts[0]

    def _take(self, more: int) -> None:
        if self.taken + more > self.max_body:
            raise Refused(413, f"the body is larger than {self.max_body} bytes (--max-body)")
        if self.held.bytes + more > self.held.most:
            raise Refused(429, f"requests of {self.held.bytes} bytes are in memory", (b"retry-after", b"1"))
        self.taken += more
        self.held.bytes += more

    def release(self) -> None:
        """Give back the memory of the body."""
        self.held.bytes -= self.taken
