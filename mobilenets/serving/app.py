"""The server as an ASGI application: routes, errors, the token, figures and the access log."""

import asyncio
import hmac
import traceback
from collections.abc import Awaitable, Callable
from time import perf_counter

from ..errors import ImageError, MobilenetsError
from .description import description_page, openapi
from .engine import Engine, Full, Late
from .inference import described, infer, of_model, of_server
from .log import AccessLog
from .messages import Held, Receive, Refused, Request, Response, Scope, Send, as_json
from .metrics import Metrics
from .plain import predict_images
from .served import Served
from .settings import Settings
from .static import page_files

__all__ = ["Application"]

BODIES = 16  # of the largest size may be in memory
AGAIN = (b"retry-after", b"1")
CLOSE = (b"connection", b"close")

Handler = Callable[[Request], Awaitable[Response]]


class Application:
    """The server over open models, which `models` maps by name; replacing one takes effect with the next request."""

    engine: Engine

    def __init__(self, models: dict[str, Served], settings: Settings) -> None:
        self.models, self.settings = models, settings
        self.metrics = Metrics()
        self.log = None if settings.quiet else AccessLog()
        self.draining, self.active = False, 0
        self._held = Held(BODIES * settings.max_body)
        self._files = page_files()
        self._routes: dict[str, Handler] = {
            "/predict": self._predict,
            "/models": self._models,
            "/metrics": self._metrics,
            "/openapi.json": self._openapi,
            "/docs": self._docs,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or take part in the start and end of the server."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        begin = perf_counter()
        request = Request(scope, receive, self._held, self.settings.max_body)
        self.active += 1
        try:
            response = await self._answer(request)
            headers = [*response.headers, (b"content-length", b"%d" % len(response.body))]
            if self.draining:
                headers.append(CLOSE)
            await send({"type": "http.response.start", "status": response.status, "headers": headers})
            await send({"type": "http.response.body", "body": response.body})
        finally:
            self.active -= 1
            request.release()
        seconds = perf_counter() - begin
        self.metrics.answered(request, response, seconds)
        if self.log is not None:
            self.log.add(request, response, seconds)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        self.engine = Engine(self.settings.used_threads, self.settings.max_queue, self.settings.timeout)
        await send({"type": "lifespan.startup.complete"})
        await receive()
        self.engine.close()
        if self.log is not None:
            self.log.close()
        await send({"type": "lifespan.shutdown.complete"})

    async def _answer(self, request: Request) -> Response:
        try:
            return await self._routed(request)
        except Refused as exc:
            refused = exc
        except ImageError as exc:
            refused = Refused(415, str(exc))
        except Full as exc:
            refused = Refused(429, str(exc), AGAIN)
        except Late as exc:
            refused = Refused(504, str(exc))
        except asyncio.CancelledError:
            if not request.scope.get("abandoned"):
                raise
            refused = Refused(499, "the client has gone")
        except MobilenetsError as exc:
            refused = Refused(500, str(exc))
        except Exception as exc:  # a defect: the server goes on
            traceback.print_exc()
            refused = Refused(500, f"unexpected {type(exc).__name__}: {exc}")
        return refused.response()

    async def _routed(self, request: Request) -> Response:
        path = request.scope["path"]
        if path in self._files:
            request.allow("GET", "HEAD")
            return Response(200, *self._files[path])
        if path == "/v2/health/live" or (path == "/v2/health/ready" and not self.draining):
            request.allow("GET", "HEAD")
            return as_json({path.rpartition("/")[2]: True})
        if self.draining:
            raise Refused(503, "the server is shutting down", AGAIN)
        self._check_token(request)
        if handler := self._routes.get(path):
            return await handler(request)
        if response := of_server(request, path, self.models):
            return response
        if found := of_model(request, path):
            return await self._of_model(request, *found)
        raise Refused(404, f"{path}: no such address")

    def _check_token(self, request: Request) -> None:
        if self.settings.token is not None:
            wanted = f"Bearer {self.settings.token}".encode()
            if not hmac.compare_digest(request.header(b"authorization").encode(), wanted):
                rule = "the header authorization must be Bearer and the token of this server"
                raise Refused(401, rule, (b"www-authenticate", b"Bearer"))

    def model(self, name: str) -> Served:
        """Return a model by name; refuse another name."""
        if name not in self.models:
            raise Refused(404, f"model {name!r} must be one of {', '.join(self.models)}")
        return self.models[name]

    async def _of_model(self, request: Request, name: str, what: str) -> Response:
        model = self.model(name)
        if what != "infer":
            return described(model, what, self.settings.max_queue)
        request.route, request.model = "infer", name
        self._check_room()
        return await infer(request, model, self.engine, self.metrics)

    async def _predict(self, request: Request) -> Response:
        request.allow("POST")
        self._check_room()
        model = self.model(request.query.get("model") or next(iter(self.models)))
        request.route, request.model = "predict", model.name
        return await predict_images(request, model, self.engine, self.metrics)

    def _check_room(self) -> None:
        """Refuse a request before its body is read, where nothing would be done with it."""
        if self.engine.full:
            raise Refused(429, f"{self.engine.waiting} images wait, and at most {self.engine.most} may", AGAIN)

    async def _models(self, request: Request) -> Response:
        request.allow("GET", "HEAD")
        return as_json({"models": [model.to_dict() for model in self.models.values()]})

    async def _metrics(self, request: Request) -> Response:
        request.allow("GET", "HEAD")
        self.metrics.waiting.set(self.engine.waiting)
        return Response(200, *self.metrics.exposition())

    async def _openapi(self, request: Request) -> Response:
        request.allow("GET", "HEAD")
        return as_json(openapi(self.models, self.settings))

    async def _docs(self, request: Request) -> Response:
        request.allow("GET", "HEAD")
        return Response(200, *description_page(openapi(self.models, self.settings)))
