"""The files of a model's folder for browsers and Node."""

import json
import re
from html import escape
from importlib.resources import files
from typing import Any

from ..compiler.compile import sources_of
from ..compiler.program import Target
from ..errors import UsageError
from ..model import Model
from ..quant.scheme import LOW, QuantModel
from .build import RELAXED, RELAXED_DOT, UNSIGNED_DOT, WASM, wasm_of

__all__ = ["NAMES", "TASKS", "web_files"]

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
MODULES = ("simd", "relaxed", "vnni")
NAMES = (  # of all files; a module whose weights are those of one before it has no .bin, and floats have no vnni
    *(*_COPIED, "index.d.ts", "model.js", "index.html", "package.json", "README.md"),
    *(f"{module}.{ending}" for ending in ("wasm", "bin") for module in MODULES),
)


def web_files(model: Model | QuantModel) -> dict[str, bytes]:
    """Return file name -> content of the folder.

    Raises `UsageError` for a task without an answer in the browser, `NetworkError` and `CompileError` for a network
    that is not compiled, and `CompileError` where no compiler for WebAssembly is installed.
    """
    if model.task not in TASKS:
        known = ", ".join(TASKS)
        raise UsageError(f"format web holds networks for {known}, this is one for the task {model.task}: use onnx")
    modules: dict[str, bytes] = {}
    weights: dict[bytes, str] = {}  # their files: two modules may read the same
    facts = _facts(model)
    for name, target in _targets(model).items():
        source, lowered = sources_of(model, target, NAME)
        file = weights.setdefault(lowered.weights.tobytes(), f"{name}.bin")
        modules[f"{name}.wasm"] = wasm_of({f"mobilenets_{NAME}.h": source.h, f"{NAME}.c": source.c}, target)
        facts[name] = {"weights": file, "bytes": lowered.weights.size, "arena": source.arena.one}
    files_read = {**modules, **{file: content for content, file in weights.items()}}
    package = _package(model)
    contents = {
        **{file: _text(file) for file in _COPIED},
        "index.d.ts": _filled("index.d.ts", PREDICTION=_PREDICTIONS[model.task]),
        "model.js": _module(facts, tuple(files_read)),
        **files_read,
        "index.html": _filled("index.html", TITLE=escape(f"MobileNet {model.name}")),
        "package.json": f"{json.dumps(package, indent=2)}\n".encode(),
    }
    sizes = "\n".join(f"| `{file}` | {len(content):,} |" for file, content in contents.items())
    about = {"NAME": package["name"], "DESCRIPTION": package["description"], "FILES": sizes}
    return {**contents, "README.md": _filled("README.md", EXAMPLE=_EXAMPLES[model.task], **about)}


def _module(facts: dict[str, Any], names: tuple[str, ...]) -> bytes:
    """Return the content of model.js; bundlers find the files that an address beside `import.meta.url` names."""
    addresses = "".join(f'  "{name}": new URL("./{name}", import.meta.url),\n' for name in names)
    return f"export const MODEL = {json.dumps(facts)};\nexport const FILES = {{\n{addresses}}};\n".encode()


def _text(file: str) -> bytes:
    return (files(__package__) / "folder" / file).read_bytes()


def _filled(file: str, **values: str) -> bytes:
    """Return a file of `folder` with each @NAME@ replaced."""
    text = _text(file).decode()
    for name, value in values.items():
        text = text.replace(f"@{name}@", value)
    return text.encode()


def _targets(model: Model | QuantModel) -> dict[str, Target]:
    """Return the target of each module: of an int8 network "vnni" where the browser's dot product takes unsigned bytes,
    "relaxed" where it takes signed ones, whose weights must be from -127 to 127.
    """
    if model.precision != "int8":
        return {"simd": WASM, "relaxed": RELAXED}
    found = {"simd": WASM, "vnni": UNSIGNED_DOT}
    if all(layer.zero_point == 0 and layer.weight.min(initial=0) > LOW for layer in model.layers.values()):
        found["relaxed"] = RELAXED_DOT
    return found


def _facts(model: Model | QuantModel) -> dict[str, Any]:
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
        "labels": list(model.labels),
    }
    if model.task == "geolocate":
        facts["cells"] = [list(cell[:3]) for cell in model.head_config["cells"]]
    return facts


def _package(model: Model | QuantModel) -> dict[str, Any]:
    """Return the content of package.json; the licence is that of the published network that the model came from."""
    name = re.sub(r"[^a-z0-9.-]+", "-", model.name.lower()).strip(".-")
    imported = model.data.get("imported")
    licence = imported.get("licence") if isinstance(imported, dict) else None
    return {
        "name": f"mobilenet-{name.removeprefix('mobilenet-')}",
        "version": "1.0.0",
        "description": f"MobileNet {model.name} for the task {model.task}",
        "license": licence if isinstance(licence, str) else "UNLICENSED",
        "type": "module",
        "exports": {".": {"types": "./index.d.ts", "default": "./index.js"}, "./*": "./*"},
        "types": "./index.d.ts",
        "files": ["*.js", "*.d.ts", "*.wasm", "*.bin", "index.html"],
        "sideEffects": False,
        "engines": {"node": ">=18"},
    }
