"""Every part that works on ops has decided for every kind of op, and refuses by name what it does not handle."""

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import mobilenets
from mobilenets.arch.fold import fold_batch_norm
from mobilenets.arch.graph import Graph, expand
from mobilenets.arch.layers import layers
from mobilenets.arch.network import _CHOICES, Block, Network
from mobilenets.arch.ops import OPS, Consumer, Op, OpSpec
from mobilenets.benchmarks.ncnn_file import ncnn_files
from mobilenets.compiler.compile import PRECISIONS, sources_of
from mobilenets.compiler.formats import FORMATS as FORMATS_OF_C
from mobilenets.costs import cost
from mobilenets.errors import NetworkError
from mobilenets.exporters import FORMATS, write
from mobilenets.model import Model
from mobilenets.quant.conversion import to_integers
from mobilenets.quant.equalise import equalise
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
        "the compiler to C in fp16",
        "the compiler to C in int8",
        "the engine for microcontrollers",
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
    monkeypatch.setitem(_CHOICES, "activation", ("relu", "relu6", "mystery"))
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
    target = next(iter(FORMATS_OF_C[precision].targets.values()))
    with refused(f"the compiler to C in {'bf16' if precision.startswith('bf16') else precision}"):
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


def ops_of(*ops: tuple[str, str, tuple[int, ...]]) -> tuple[Op, ...]:
    """Ops of (kind, name, inputs) behind an image of (4, 4, 8), all of its shape."""
    shape = (4, 4, 8)
    return Op("input", "image", (), shape, shape), *(Op(kind, name, i, shape, shape) for kind, name, i in ops)


def consumer(**settings: Any) -> Consumer:
    return Consumer("the part", "input conv pointwise batch_norm add relu relu6".split(), **settings)


WITH_ACTIVATIONS = {"conv": (None, "relu"), "pointwise": ("relu",)}
PROBLEMS: dict[str, tuple[tuple[Op, ...], str]] = {
    "a kind": (ops_of(("softmax", "out", (0,))), r"op out \(softmax\): the part does not handle this kind of op"),
    "an activation elsewhere": (
        ops_of(("conv", "a", (0,)), ("relu6", "b", (1,))),
        r"op b \(relu6\): the part does not handle it after a \(conv\)",
    ),
    "no activation": (
        ops_of(("pointwise", "a", (0,)), ("batch_norm", "b", (1,))),
        r"op a \(pointwise\): the part does not handle it without an activation",
    ),
    "behind a kind that is not stated": (
        ops_of(("conv", "a", (0,)), ("add", "b", (1, 0)), ("relu", "c", (2,))),
        r"op c \(relu\): the part does not handle it after b \(add\)",
    ),
    "two activations": (
        ops_of(("conv", "a", (0,)), ("relu", "b", (1,)), ("relu", "c", (2,))),
        r"op c \(relu\): the part does not handle an activation by itself",
    ),
    "an activation of what others read": (
        ops_of(("conv", "a", (0,)), ("relu", "b", (1,)), ("add", "c", (2, 1))),
        r"op b \(relu\): the part does not handle an activation by itself",
    ),
}


@pytest.mark.parametrize("problem", PROBLEMS)
def test_a_problem_is_named(problem: str) -> None:
    ops, text = PROBLEMS[problem]
    with pytest.raises(NetworkError, match=f"^{text}$"):
        consumer(activations=WITH_ACTIVATIONS).check(ops)
    assert not consumer(activations=WITH_ACTIVATIONS).handled(ops)
    assert consumer().handled(ops) == (problem != "a kind")  # each op by itself


def test_sizes_are_named() -> None:
    ops = [Op("conv", "a", (0,), (8, 8, 3), (4, 4, 8), kernel=5, stride=2)]
    consumer(kernels={"pointwise": (1,)}, strides={"conv": (2, 3)}).check(ops)
    with pytest.raises(NetworkError, match=r"^op a \(5x5\): the part has conv kernels of 1x1 and 3x3 only$"):
        consumer(kernels={"conv": (1, 3)}).check(ops)
    with pytest.raises(NetworkError, match=r"^op a \(stride 2\): the part has conv strides of 1 only$"):
        consumer(strides={"conv": (1,)}).check(ops)


def test_a_batch_norm_elsewhere_is_not_folded() -> None:
    """It would be dropped in silence."""
    *ops, pool, fc, softmax = expand(NETWORK).ops
    norm = Op("batch_norm", "late_bn", (len(ops) - 1,), ops[-1].shape_out, ops[-1].shape_out)
    after = (replace(op, inputs=(i + len(ops),)) for i, op in enumerate((pool, fc, softmax)))
    graph = Graph(NETWORK, (*ops, norm, *after))
    with pytest.raises(NetworkError, match=r"op late_bn \(batch_norm\): does not follow a convolution"):
        fold_batch_norm(graph, {})
