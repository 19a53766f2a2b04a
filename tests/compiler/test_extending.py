"""The examples of docs/compiler.md, as they stand there: a format, a target and an op are each added in one place."""

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import make_random_model
from running import Running, float64_logits, images_of, needs_compiler, relative_rms

from mobilenets.arch.graph import Graph, expand, verify
from mobilenets.arch.network import Block, Network
from mobilenets.arch.ops import OPS
from mobilenets.compiler import Library, compile_model
from mobilenets.compiler.formats import FORMATS
from mobilenets.compiler.formats.fp32 import FP32, Fp32
from mobilenets.compiler.targets import TARGETS
from mobilenets.errors import NetworkError, UsageError
from mobilenets.model import Model

pytestmark = needs_compiler

PAGE = Path(__file__).parents[2] / "docs" / "compiler.md"
NETWORK = Network(0.25, 32, 40, blocks=(Block(1, 64), Block(2, 100)), classes=5)


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """A function that runs the example that holds a text. What examples add is gone after the test."""
    tables: list[dict[Any, Any]] = [FORMATS, TARGETS, OPS, Fp32.bodies]  # type: ignore[list-item]
    before = [dict(table) for table in tables]
    monkeypatch.setattr(FP32, "handles", FP32.handles)

    def run(text: str) -> None:
        (code,) = (code for code in re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.S) if text in code)
        exec(code, {})

    yield run
    for table, rows in zip(tables, before, strict=True):
        table.clear()
        table.update(rows)


def error(library: Library, model: Model) -> float:
    """The relative RMS of its logits to those of torch in float64."""
    run, images = Running(library), images_of(model)
    return relative_rms(np.stack([run(image)[0] for image in images]), float64_logits(model, images))


def test_a_format(example: Callable[[str], None], tmp_path: Path) -> None:
    model = make_random_model(NETWORK)
    with pytest.raises(UsageError, match=r"precision \(='rounded'\) must be one of"):
        compile_model(model, precision="rounded")
    example("class Rounded")
    library = compile_model(model, folder=tmp_path, precision="rounded")
    assert library.precision == "rounded"
    assert 1e-4 < error(library, model) < 1e-2  # that of the weights, not of fp32


def test_a_target(example: Callable[[str], None], tmp_path: Path) -> None:
    model = make_random_model(NETWORK)
    with pytest.raises(UsageError, match="target 'wide' must be auto"):
        compile_model(model, "wide")
    example('TARGETS["wide"]')
    library = compile_model(model, "wide", tmp_path)
    assert library.target == "wide" and error(library, model) < 1e-5


class Halved(Model):
    """A model with an op "halve" before its pool, which no network has."""

    @property
    def graph(self) -> Graph:
        ops = list(expand(self.network).ops)
        at = next(i for i, op in enumerate(ops) if op.name == "pool")
        shape = ops[at].shape_in
        halve = replace(ops[at], kind="halve", name="halve", inputs=(at - 1,), shape_in=shape, shape_out=shape)
        behind = (replace(op, inputs=tuple(i + 1 for i in op.inputs)) for op in ops[at:])
        return verify(Graph(self.network, (*ops[:at], halve, *behind)))


def test_an_op(example: Callable[[str], None], tmp_path: Path) -> None:
    model = make_random_model(NETWORK)
    fields = model.network, model.weights, model.preprocess, model.labels
    with pytest.raises(NetworkError, match=r"op 16 \(halve halve\): unknown kind"):
        Halved(*fields)
    example('OPS["halve"]')
    halved = Halved(*fields)
    weights = {**model.weights, "fc.weight": model.weights["fc.weight"] / 2}
    assert error(compile_model(halved, folder=tmp_path), replace(model, weights=weights)) < 1e-5
    with pytest.raises(NetworkError, match=r"op halve \(halve\): the compiler to C in bf16 does not handle"):
        compile_model(halved, folder=tmp_path, precision="bf16")
