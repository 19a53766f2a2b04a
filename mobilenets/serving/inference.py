"""The Open Inference Protocol, version 2, over HTTP: what KServe, Triton and their clients speak."""

import asyncio
import re
from collections.abc import Mapping
from functools import partial
from importlib.metadata import version
from typing import Any

import numpy as np

from ..errors import ImageError, MobilenetsError
from ..runtime.images import pixels_of
from .engine import Engine
from .messages import Refused, Request, Response, as_json
from .metrics import Metrics
from .served import Served
from .tensors import HEADER, images_of, parse_request, response_of

__all__ = ["infer", "of_model", "of_server"]

VERSION = "1"
EXTENSIONS = ["binary_tensor_data", "classification", "model_repository", "model_configuration"]
OUTPUTS = {"detect": "detections", "embed": "embedding"}
PATH = re.compile(r"/v2/models/(?P<model>[^/]+)(/versions/(?P<version>[^/]+))?(/(?P<what>ready|config|infer))?")


def of_server(request: Request, path: str, models: Mapping[str, Served]) -> Response | None:
    """Return what the server states of itself, None for another path."""
    if path == "/v2":
        request.allow("GET", "HEAD")
        return as_json({"name": "mobilenets", "version": version("mobilenets"), "extensions": EXTENSIONS})
    if path == "/v2/repository/index":
        request.allow("POST")
        return as_json([{"name": name, "version": VERSION, "state": "READY", "reason": ""} for name in models])
    return None


def of_model(request: Request, path: str) -> tuple[str, str] | None:
    """Return the model that a path names and what is asked of it, None for another path."""
    if (found := PATH.fullmatch(path)) is None:
        return None
    if found["version"] not in (None, VERSION):
        raise Refused(404, f"version {found['version']!r} must be {VERSION}")
    request.allow(*(["POST"] if found["what"] == "infer" else ["GET", "HEAD"]))
    return found["model"], found["what"] or "metadata"


def described(model: Served, what: str, most: int) -> Response:
    """Return whether a model is ready, its metadata, or its configuration as Triton's clients expect it."""
    if what == "ready":
        return as_json({"name": model.name, "ready": True})
    p = model.session.preprocess
    taken, given, name = [p.height, p.width, p.channels], model.shape, output_of(model)
    if what == "config":
        configuration: dict[str, Any] = {
            "name": model.name,
            "backend": "mobilenets",
            "max_batch_size": most,
            "input": [{"name": "image", "data_type": "TYPE_UINT8", "dims": taken}],
            "output": [{"name": name, "data_type": "TYPE_FP32", "dims": given}],
        }
        return as_json(configuration)
    return as_json(
        {
            "name": model.name,
            "versions": [VERSION],
            "platform": "mobilenets",
            "inputs": [{"name": "image", "datatype": "UINT8", "shape": [-1, *taken]}],
            "outputs": [{"name": name, "datatype": "FP32", "shape": [-1, *given]}],
        }
    )


def output_of(model: Served) -> str:
    """Return the name of a model's output."""
    return OUTPUTS.get(model.task.name, "probabilities")


async def infer(request: Request, model: Served, engine: Engine, metrics: Metrics) -> Response:
    """Return the outputs of the network for the images of a request."""
    body = await request.body()
    try:
        asked, binary = parse_request(request.header(HEADER), body)
        given = images_of(asked, binary)
        images = given if isinstance(given, list) else list(pixels_of(given, model.session.preprocess))
        if asked.outputs is not None:  # refuse before the network runs
            response_of(asked, model.name, output_of(model), model.no_rows, model.session.labels)
    except MobilenetsError as exc:
        raise Refused(400, str(exc)) from exc
    if len(images) > engine.most:
        raise Refused(413, f"{len(images)} images, at most {engine.most} may wait (--max-queue)")
    request.images = len(images)
    futures = request.scope["futures"] = engine.submit([partial(model.run, image) for image in images])
    done = await asyncio.gather(*futures, return_exceptions=True)
    for at, one in enumerate(done):
        if isinstance(one, ImageError):
            raise Refused(415, f"image {at}: {one}")
        if isinstance(one, BaseException):
            raise one
    good = [one for one in done if not isinstance(one, BaseException)]
    metrics.predicted(model.name, [one.result for one in good], max(one.waited for one in good))
    rows = np.stack([one.result.row for one in good])
    return response_of(asked, model.name, output_of(model), rows, model.session.labels)
