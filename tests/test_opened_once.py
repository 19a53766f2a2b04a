"""How many sessions each verb opens and how often it reads the model's file."""

import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import MakeModel

from mobilenets import Network, Preprocess
from mobilenets.cli import main
from mobilenets.compiler import has_compiler
from mobilenets.data.sources import open_dataset
from mobilenets.exporters.onnx import to_onnx
from mobilenets.runtime import CompiledSession, Session
from mobilenets.runtime.activations import min_max_integers
from mobilenets.runtime.numpy_session import NumpySession

watched: Counter[str] | None = None
folder = ""


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if watched is not None and event == "open" and str(arguments[0]).startswith(folder):
        watched[Path(str(arguments[0])).name] += 1


sys.addaudithook(_audit)


@pytest.fixture
def count(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[list[str]], tuple[int, Counter[str]]]:
    """Run a command; return how many sessions it opened, and how often it read each file of `tmp_path`."""
    global folder
    folder = str(tmp_path)
    found: Counter[str] = Counter()

    def counted(function: Callable[..., Any], name: str | None = None) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            if name is not None:
                found[name] += 1
            elif str(arguments[0]).startswith(folder):
                found[Path(arguments[0]).name] += 1
            return function(*arguments, **named)

        return call

    for kind in (CompiledSession, NumpySession):
        monkeypatch.setattr(kind, "__init__", counted(kind.__init__, "session"))  # type: ignore[misc]
    monkeypatch.setattr(Session, "from_onnx", counted(Session.from_onnx, "session"))
    for module in [module for name, module in sys.modules.items() if name.startswith("mobilenets.")]:
        if hasattr(module, "safe_open"):
            monkeypatch.setattr(module, "safe_open", counted(module.safe_open))

    def run(command: list[str]) -> tuple[int, Counter[str]]:
        global watched
        found.clear()
        watched = found
        try:
            assert main(command) == 0, command
        finally:
            watched = None
        return found.pop("session", 0), Counter({name: n for name, n in found.items() if name.startswith("m.")})

    return run


@pytest.fixture
def model(random_model: MakeModel, photos: Path, tmp_path: Path) -> Path:
    network = Network(alpha=0.125, height=32, width=32, classes=3)
    made = replace(random_model(network), labels=open_dataset(photos).labels, preprocess=Preprocess(32, 32))
    return made.save(tmp_path / "m.safetensors")


# command -> (sessions opened, times that each model's file is read)
TABLE = {
    "describe m.safetensors": (0, 1),
    "evaluate m.safetensors PHOTOS": (1, 1),
    "evaluate m.safetensors PHOTOS --report out.html": (1, 1),
    "evaluate m.safetensors PHOTOS --runtime onnx": (2, 1),  # ONNX Runtime fixes the threads of a session when it opens
    "predict m.safetensors PHOTO": (1, 1),
    "predict m.safetensors PHOTO --pictures out --explain": (1, 1),
    "predict m.safetensors PHOTO --runtime onnx": (1, 1),
    "quantize m.safetensors --data PHOTOS --images 30 --output q.safetensors": (
        2,
        1,
    ),  # float and int8
    "export m.safetensors": (1, 1),
    "compile m.safetensors": (2, 1),
    "benchmark m.safetensors --tune 0s --threads 1 --batch-sizes 1": (2, 1),
    "search PHOTOS PHOTO --model m.safetensors": (1, 1),
    "evaluate m.onnx PHOTOS": (2, 1),
    "predict m.onnx PHOTO": (1, 1),
    "evaluate m.safetensors PHOTOS --report out.html with an int8 sibling": (2, 1),
    "evaluate m.int8.safetensors PHOTOS": (1, 1),
}


@pytest.fixture
def models(random_model: MakeModel, photos: Path, tmp_path: Path) -> Callable[[str], None]:
    """Write the files that a command names."""

    def write(command: str) -> None:
        output = "l2_normalise" if command.startswith("search") else "softmax"
        network = Network(alpha=0.125, height=32, width=32, classes=3, output=output)
        made = replace(random_model(network), labels=open_dataset(photos).labels, preprocess=Preprocess(32, 32))
        if command.startswith("search"):
            made = replace(made, task="embed")
        made.save(tmp_path / "m.safetensors")
        if "m.onnx" in command:
            (tmp_path / "m.onnx").write_bytes(to_onnx(made))
        if "int8" in command:
            pixels = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), np.uint8)
            integers = min_max_integers(made, pixels)
            replace(integers, data={"quantized": {"from_sha256": made.digest()}}).save(tmp_path / "m.int8.safetensors")

    return write


@pytest.mark.skipif(not has_compiler(), reason="no C compiler")
@pytest.mark.parametrize(
    "command",
    [pytest.param(c, marks=[pytest.mark.slow] if c.startswith("benchmark") else []) for c in TABLE],
)
def test_sessions_and_reads(
    command: str,
    models: Callable[[str], None],
    count: Callable[[list[str]], tuple[int, Counter[str]]],
    photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    models(command)
    monkeypatch.chdir(tmp_path)
    places = {"PHOTOS": str(photos), "PHOTO": str(next(photos.rglob("*.jpg")))}
    words = [places.get(word, str(tmp_path / word) if word.startswith("m.") else word) for word in command.split()]
    sessions, reads = count(words[: words.index("with")] if "with" in words else words)
    assert (sessions, set(reads.values())) == (TABLE[command][0], {TABLE[command][1]}), reads
