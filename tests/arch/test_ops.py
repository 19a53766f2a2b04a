"""Every part that works on ops has decided for every kind of op, and refuses by name what it does not handle."""

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

import pytest

import mobilenets
from mobilenets.arch.graph import expand
from mobilenets.arch.layers import layers
from mobilenets.arch.network import Block, Network
from mobilenets.arch.ops import OPS, Consumer, OpSpec
from mobilenets.benchmarks.ncnn_file import ncnn_files
from mobilenets.compiler.compile import PRECISIONS, sources_of
from mobilenets.compiler.targets import BF16_TARGETS, TARGETS
from mobilenets.costs import cost
from mobilenets.errors import NetworkError
from mobilenets.exporters import FORMATS, write
from mobilenets.model import Model
from mobilenets.quant.equalise import equalise
from mobilenets.quant.integers import to_integers
from mobilenets.training.fused import takes
from mobilenets.training.module import MobileNet

PACKAGE = Path(mobilenets.__file__).parent
NETWORK = Network(0.25, 32, 32, blocks=(Block(1, 32), Block(2, 64)), classes=3)


def consumers() -> Iterator[Consumer]:
    """Yield those of all modules of the package."""
    for file in sorted(PACKAGE.rglob("*.py")):
        name = file.relative_to(PACKAGE.parent).with_suffix("").as_posix().replace("/", ".")
        if not name.endswith(("__main__", "__init__")):
            yield from (value for value in vars(import_module(name)).values() if isinstance(value, Consumer))


CONSUMERS = {consumer.name: consumer for consumer in consumers()}


@pytest.mark.parametrize("name", CONSUMERS)
def test_each_has_decided_for_every_kind(name: str) -> None:
    consumer = CONSUMERS[name]
    assert consumer.handles | consumer.refuses == set(OPS)
    assert not consumer.handles & consumer.refuses


def test_all_are_found() -> None:
    """Who learns, computes, compiles or writes a network states what it handles."""
    assert set(CONSUMERS) == {
        "training in torch",
        "training in C",
        "int8 arithmetic",
        "equalisation",
        "the compiler to C in fp32",
        "the compiler to C in bf16",
        "the compiler to C in int8",
        "export to ONNX",
        "export to TensorFlow Lite",
        "export to Keras",
        "export to PyTorch and timm",
        "the ncnn file",
        "fine-tuning at another width",
        "object detection",
        "quantisation-aware training",
    }


@pytest.fixture
def mystery(monkeypatch: pytest.MonkeyPatch) -> Network:
    """A network with an activation that nothing but its `OpSpec` knows."""
    monkeypatch.setitem(OPS, "mystery", OpSpec("activation", in_place=True))
    monkeypatch.setattr("mobilenets.arch.network.Activation", Literal["relu", "relu6", "mystery"])
    return NETWORK.replace(activation="mystery")


def refused(consumer: str) -> Any:
    text = f"op conv0_act (mystery): {consumer} does not handle this kind of op"
    return pytest.raises(NetworkError, match=re.escape(text))


def test_a_kind_that_only_its_spec_knows_is_a_graph_with_costs(mystery: Network) -> None:
    assert replace(cost(mystery), network=NETWORK) == cost(NETWORK)
    assert [layer.activation.kind for layer in layers(expand(mystery)) if layer.activation] == ["mystery"] * 5


def test_training_refuses_it(mystery: Network) -> None:
    with refused("training in torch"):
        MobileNet(expand(mystery))
    assert takes(expand(NETWORK))
    assert not takes(expand(mystery))


def test_the_integers_refuse_it(mystery: Network, random_model: Callable[..., Model]) -> None:
    model = random_model(mystery)
    names = [layer.name for layer in layers(model.graph)]
    with refused("int8 arithmetic"):
        to_integers(model, dict.fromkeys(names, (0.0, 1.0)))
    with refused("equalisation"):
        equalise(model, {})


@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_compiler_refuses_it(precision: str, mystery: Network, random_model: Callable[..., Model]) -> None:
    target = next(iter((TARGETS if precision == "fp32" else BF16_TARGETS).values()))
    with refused(f"the compiler to C in {'fp32' if precision == 'fp32' else 'bf16'}"):
        sources_of(random_model(mystery), target, "network", precision=precision)


@pytest.mark.parametrize(
    ("format", "consumer"),
    [
        ("onnx", "export to ONNX"),
        *((name, "export to TensorFlow Lite") for name in ("tflite", "tflite-float16", "tflite-dynamic")),
        ("keras-h5", "export to Keras"),
        *((name, "export to PyTorch and timm") for name in ("timm", "torch")),
    ],
)
def test_exports_refuse_it(format: str, consumer: str, mystery: Network, random_model: Callable[..., Model]) -> None:
    with refused(consumer):
        write(random_model(mystery), format)


def test_every_export_of_floats_is_tried() -> None:
    tried = {format for mark in test_exports_refuse_it.pytestmark for format, _ in mark.args[1]}  # type: ignore[attr-defined]
    assert tried == {name for name, row in FORMATS.items() if row.floats}


def test_the_ncnn_file_refuses_it(mystery: Network, random_model: Callable[..., Model]) -> None:
    with refused("the ncnn file"):
        ncnn_files(random_model(mystery))
