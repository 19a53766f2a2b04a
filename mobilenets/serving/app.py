"""The ASGI application: routes, answers and errors."""

import json
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import parse_qsl

from ..errors import ImageError, UsageError
from .engine import Engine, Full
from .served import Answer, Served
from .settings import Settings
from .static import page_files

__all__ = ["Application"]

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

JSON = (b"content-type", b"application/json")


@dataclass(frozen=True, slots=True)
class Response:
    """An answer: status, body and headers."""

    status: int
    body: bytes
    headers: Headers


class Refused(Exception):
    """A request that is refused with `status` and one line."""

    def __init__(self, status: int, message: str, headers: Headers | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.headers = status, message, headers or []


class Application:
    """The server as an ASGI application over open models."""

    def __init__(self, models: Mapping[str, Served], settings: Settings) -> None:
        self.models, self.settings = models, settings
        self.files = page_files()
        self.engine: Engine | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        try:
            response = await self._respond(scope, receive)
        except Refused as exc:
            response = refusal(exc)
        headers = [*response.headers, (b"content-length", str(len(response.body)).encode())]
        await send({"type": "http.response.start", "status": response.status, "headers": headers})
        await send({"type": "http.response.body", "body": response.body})

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        self.engine = Engine(self.settings.used_threads, self.settings.max_queue)
        await send({"type": "lifespan.startup.complete"})
        await receive()
        self.engine.close()
        await send({"type": "lifespan.shutdown.complete"})

    async def _respond(self, scope: Scope, receive: Receive) -> Response:
        method, path = scope["method"], scope["path"]
        if path == "/predict":
            _allow(method, "POST")
            return await self._predict(scope, receive)
        if path == "/models":
            _allow(method, "GET", "HEAD")
            return as_json({"models": [model.to_dict() for model in self.models.values()]})
        if path in self.files:
            _allow(method, "GET", "HEAD")
            return Response(200, *self.files[path])
        raise Refused(404, f"{path}: no such address")

    async def _predict(self, scope: Scope, receive: Receive) -> Response:
        query = dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True))
        model = self._model(query.get("model"))
        top = _whole(query["top"], "top") if "top" in query else model.task.top
        body = await self._body(scope, receive)
        assert self.engine is not None
        try:
            answer: Answer = await self.engine.submit(partial(model.predict, "image 0", body, top))
        except ImageError as exc:
            raise Refused(415, str(exc)) from exc
        except Full as exc:
            raise Refused(429, str(exc), [(b"retry-after", b"1")]) from exc
        timing = f"decode;dur={answer.decode * 1e3:.3f}, network;dur={answer.network * 1e3:.3f}"
        text = f'{{"predictions": [\n{json.dumps(answer.image.to_dict())}\n]}}\n'
        return Response(200, text.encode(), [JSON, (b"server-timing", timing.encode())])

    def _model(self, name: str | None) -> Served:
        if name is None:
            return next(iter(self.models.values()))
        if name not in self.models:
            raise Refused(404, f"model {name!r} must be one of {', '.join(self.models)}")
        return self.models[name]

    async def _body(self, scope: Scope, receive: Receive) -> bytes:
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
            if len(body) > self.settings.max_body:
                raise Refused(413, f"the body is larger than {self.settings.max_body} bytes")
        return body


def _allow(method: str, *allowed: str) -> None:
    if method not in allowed:
        raise Refused(405, f"method {method} must be {' or '.join(allowed)}", [(b"allow", ", ".join(allowed).encode())])


def _whole(text: str, name: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text) > 0):
        raise Refused(400, str(UsageError(f"{name} (={text}) must be a whole number of at least 1")))
    return int(text)


def as_json(value: Any) -> Response:
    """Return a response of a value in JSON."""
    return Response(200, json.dumps(value).encode(), [JSON])


def refusal(refused: Refused) -> Response:
    """Return the response of a refused request: {"error": "one line"}."""
    return Response(refused.status, json.dumps({"error": refused.message}).encode(), [JSON, *refused.headers])
