"""The OpenAPI description of the server, and a page that shows it."""

from collections.abc import Mapping
from html import escape
from importlib.metadata import version
from typing import Any

from .messages import Headers
from .served import Served
from .settings import Settings
from .static import HEADERS

__all__ = ["description_page", "openapi"]

ERRORS = {
    400: "What is wrong with the request.",
    401: "The token is missing or wrong.",
    404: "There is no such model or address.",
    408: "The request did not arrive in time.",
    413: "The body is too large, or holds more images than may wait.",
    415: "The body is no image that can be decoded.",
    429: "The queue is full; Retry-After says when to try again.",
    503: "The server is shutting down.",
    504: "There was no answer in time.",
}
ERROR = {"type": "object", "required": ["error"], "properties": {"error": {"type": "string"}}}
ANY = {"type": "object"}
FILE = {"type": "string", "format": "binary"}
FORM = {"type": "object", "properties": {"image": {"type": "array", "items": FILE}}}
TENSOR = {
    "type": "object",
    "required": ["name", "shape", "datatype"],
    "properties": {
        "name": {"const": "image"},
        "shape": {"type": "array", "items": {"type": "integer", "minimum": 0}},
        "datatype": {"enum": ["UINT8", "FP32", "BYTES"]},
        "parameters": ANY,
        "data": {"type": "array", "items": {}},
    },
}
INFER = {
    "type": "object",
    "required": ["inputs"],
    "properties": {
        "id": {"type": "string"},
        "parameters": ANY,
        "inputs": {"type": "array", "items": TENSOR, "minItems": 1, "maxItems": 1},
        "outputs": {"type": "array", "items": {"type": "object", "required": ["name"]}},
    },
}


def openapi(models: Mapping[str, Served], settings: Settings) -> dict[str, Any]:
    """Return the description in OpenAPI 3.1."""
    names = {"type": "string", "enum": list(models)}
    model = {"name": "model", "in": "path", "required": True, "schema": names}
    wanted = {"name": "model", "in": "query", "schema": names, "description": "By default the first."}
    whole = {"type": "integer", "minimum": 1, "maximum": 999_999_999}
    top = {"name": "top", "in": "query", "schema": whole, "description": "Labels, boxes or places of an answer."}
    bodies = {"image/*": FILE, "application/octet-stream": FILE, "multipart/form-data": FORM}
    paths = {
        "/predict": {"post": _operation("Predict images, as predict --json does.", [wanted, top], bodies)},
        "/models": {"get": _operation("List the models: name, task, classes, precision.")},
        "/metrics": {"get": _operation("Figures for Prometheus.", answer="text/plain")},
        "/v2": {"get": _operation("Name, version and extensions of the server.")},
        "/v2/health/live": {"get": _operation("Whether the server runs.")},
        "/v2/health/ready": {"get": _operation("Whether the server takes requests.")},
        "/v2/repository/index": {"post": _operation("List the models.")},
        "/v2/models/{model}": {"get": _operation("Inputs and outputs of a model.", [model])},
        "/v2/models/{model}/ready": {"get": _operation("Whether a model takes requests.", [model])},
        "/v2/models/{model}/config": {"get": _operation("Configuration of a model, as Triton states it.", [model])},
        "/v2/models/{model}/infer": {
            "post": _operation("Outputs of the network for tensors.", [model], {"application/json": INFER})
        },
    }
    description: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {"title": "mobilenets serve", "version": version("mobilenets")},
        "paths": paths,
    }
    if settings.token is not None:
        description["components"] = {"securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}}
        description["security"] = [{"token": []}]
    return description


def _operation(
    summary: str,
    parameters: list[dict[str, Any]] | None = None,
    bodies: Mapping[str, Any] | None = None,
    answer: str = "application/json",
) -> dict[str, Any]:
    error = {"application/json": {"schema": ERROR}}
    responses: dict[str, Any] = {"200": {"description": "The answer.", "content": {answer: {}}}}
    responses |= {str(status): {"description": text, "content": error} for status, text in ERRORS.items()}
    operation: dict[str, Any] = {"summary": summary, "parameters": parameters or [], "responses": responses}
    if bodies:
        content = {kind: {"schema": schema} for kind, schema in bodies.items()}
        operation["requestBody"] = {"required": True, "content": content}
    return operation


def description_page(description: Mapping[str, Any]) -> tuple[bytes, Headers]:
    """Return the description as a page for people, with the headers of the response."""
    rows = []
    for path, methods in description["paths"].items():
        for method, operation in methods.items():
            parameters = "; ".join(_parameter(one) for one in operation["parameters"])
            bodies = ", ".join(operation.get("requestBody", {}).get("content", {}))
            cells = (f"{method.upper()} {path}", operation["summary"], parameters, bodies)
            rows.append(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in cells)}</tr>")
    errors = "".join(f"<tr><td>{status}</td><td>{escape(text)}</td></tr>" for status, text in ERRORS.items())
    page = f"""<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>mobilenets serve: requests</title>
<meta name="viewport" content="width=device-width"><meta name="color-scheme" content="light dark"></head>
<body><h1>Requests</h1>
<p>The same for programs, in OpenAPI: <a href="/openapi.json">openapi.json</a>.</p>
<table><tr><th>request</th><th>answer</th><th>parameters</th><th>body</th></tr>
{chr(10).join(rows)}</table>
<h2>Errors</h2><p>The body is an object with the key error, one line.</p>
<table><tr><th>status</th><th>meaning</th></tr>{errors}</table></body></html>
"""
    headers = {"content-type": "text/html; charset=utf-8", **HEADERS}
    return page.encode(), [(name.encode(), value.encode()) for name, value in headers.items()]


def _parameter(parameter: Mapping[str, Any]) -> str:
    choices = parameter["schema"].get("enum")
    values = f": {', '.join(choices)}" if choices else ""
    return f"{parameter['name']}{values} {parameter.get('description', '')}".strip()
