"""The files of a model's folder for browsers and Node."""

import json
import re
from html import escape
from importlib.resources import files
from typing import Any

from ..compiler.compile import sources_of
from ..errors import UsageError
from ..model import Model
from ..quant.scheme import QuantModel
from .build import WASM, wasm_of

__all__ = ["TASKS", "web_files"]

NAME = "network"  # of the emitted function: mobilenets_network_run
_COPIED = ("index.js", "pixels.js")
_PREDICTIONS = {  # of each task: what `predict` of index.js returns, in TypeScript
    "classify": "{ top: { label: string; probability: number }[] }",
    "attributes": "{ attributes: Record<string, number> }",
    "embed": "{ embedding: number[] }",
    "geolocate": "{\n  latitude: number;\n  longitude: number;\n"
    "  top: { cell: string; latitude: number; longitude: number; probability: number }[];\n}",
}
_EXAMPLES = {
    "classify": '{ top: [{ label: "tulips", probability: 0.93 }, ...] }',
    "attributes": "{ attributes: { striped: 0.93, ... } }",
    "embed": "{ embedding: [0.031, ...] }",
    "geolocate": "{ latitude: 48.1, longitude: 11.6, top: [...] }",
}
TASKS = tuple(_PREDICTIONS)


def web_files(model: Model | QuantModel) -> dict[str, bytes]:
    """Return file name -> content of the folder.

    Raises `UsageError` for a task without an answer in the browser, `NetworkError` and `CompileError` for a network
    that is not compiled, and `CompileError` where no compiler for WebAssembly is installed.
    """
    if model.task not in TASKS:
        known = ", ".join(TASKS)
        raise UsageError(f"format web holds networks for {known}, this is one for the task {model.task}: use onnx")
    source, lowered = sources_of(model, WASM, NAME)
    texts = {f"mobilenets_{NAME}.h": source.h, f"{NAME}.c": source.c}
    package = _package(model)
    facts = json.dumps(_facts(model, lowered.weights.size, source.arena.one), ensure_ascii=False)
    contents = {
        **{file: _text(file) for file in _COPIED},
        "index.d.ts": _filled("index.d.ts", PREDICTION=_PREDICTIONS[model.task]),
        "model.js": f"export const MODEL = {facts};\n".encode(),
        **{file: wasm_of(texts, WASM, relaxed=file == "relaxed.wasm") for file in ("simd.wasm", "relaxed.wasm")},
        "weights.bin": lowered.weights.tobytes(),
        "index.html": _filled("index.html", TITLE=escape(model.name)),
        "package.json": f"{json.dumps(package, indent=2)}\n".encode(),
    }
    sizes = "\n".join(f"| `{file}` | {len(content):,} |" for file, content in contents.items())
    about = {"NAME": package["name"], "DESCRIPTION": package["description"], "FILES": sizes}
    return {**contents, "README.md": _filled("README.md", EXAMPLE=_EXAMPLES[model.task], **about)}


def _text(file: str) -> bytes:
    return (files(__package__) / "folder" / file).read_bytes()


def _filled(file: str, **values: str) -> bytes:
    """Return a file of `folder` with each @NAME@ replaced."""
    text = _text(file).decode()
    for name, value in values.items():
        text = text.replace(f"@{name}@", value)
    return text.encode()


def _facts(model: Model | QuantModel, weights: int, arena: int) -> dict[str, Any]:
    """Return what index.js must know of the network: the JSON of model.js."""
    p = model.preprocess
    facts = {
        "task": model.task,
        "precision": model.precision,
        "width": p.width,
        "height": p.height,
        "channels": p.channels,
        "fit": p.fit,
        "crop": p.crop,
        "resize": p.resize,
        "classes": model.network.classes,
        "weights": weights,
        "arena": arena,
        "labels": list(model.labels),
    }
    if model.task == "geolocate":
        facts["cells"] = [list(cell[:3]) for cell in model.head_config["cells"]]
    return facts


def _package(model: Model | QuantModel) -> dict[str, Any]:
    """Return the content of package.json; the licence is that of the published network that the model came from."""
    name = re.sub(r"[^a-z0-9.-]+", "-", model.name.lower()).strip(".-")
    licence = model.data.get("imported", {}).get("licence", "UNLICENSED")
    shown = f"{model.name}, a MobileNet for the task {model.task} in {model.precision}"
    return {
        "name": f"mobilenet-{name.removeprefix('mobilenet-')}",
        "version": "1.0.0",
        "description": shown,
        "license": licence,
        "type": "module",
        "exports": {".": {"types": "./index.d.ts", "default": "./index.js"}, "./*": "./*"},
        "types": "./index.d.ts",
        "files": ["*.js", "*.d.ts", "*.wasm", "weights.bin", "index.html"],
        "sideEffects": False,
        "engines": {"node": ">=18"},
    }
