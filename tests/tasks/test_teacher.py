"""Teachers of every make: what they say is what is learned, asked once, the same after an interruption."""

import json
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import make_random_model
from marked import NAMES, NETWORK, RECIPE, make_identities, make_marked, save
from safetensors.numpy import load_file
from torch import nn

from mobilenets import resume, train
from mobilenets.errors import DataError, Interrupted, ModelFileError, TrainingError, UsageError, WorkError
from mobilenets.exporters.onnx import to_onnx
from mobilenets.image import Preprocess, normalise, prepare
from mobilenets.model import Model
from mobilenets.progress import Watch
from mobilenets.runtime import open_session
from mobilenets.schema import read
from mobilenets.tasks import Task
from mobilenets.tasks.attributes import Attributes
from mobilenets.tasks.embed import Embed
from mobilenets.tasks.external_teacher import open_external, save_module
from mobilenets.tasks.teacher import with_unlabelled

PREPROCESS = Preprocess(32, 32)
SHORT = replace(RECIPE, epochs=1)


class Bright(nn.Module):
    """How bright each channel is, as a logit: the attributes of `make_marked`. Takes (N, 3, H, W) in [-1, 1]."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 8 * x.mean((2, 3))


@pytest.fixture(scope="module")
def marked_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_marked(tmp_path_factory.mktemp("marked"))


@pytest.fixture(scope="module")
def bright(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_module(Bright(), PREPROCESS, tmp_path_factory.mktemp("bright") / "bright.pt2")


def our_teacher(folder: Path, labels: tuple[str, ...] = NAMES, task: str = "attributes") -> Path:
    output = "sigmoid" if task == "attributes" else "l2_normalise"
    model = make_random_model(NETWORK.replace(classes=len(labels), output=output))
    return replace(model, labels=labels, task=task).save(folder / "teacher.safetensors")


def taught(run: Path) -> np.ndarray:
    return load_file(run / "teacher.safetensors")["outputs"]


def test_a_student_learns_what_a_module_says(marked_data: Path, bright: Path, tmp_path: Path) -> None:
    notes: list[str] = []

    class Listen(Watch):
        def note(self, text: str) -> None:
            notes.append(text)

    task = Attributes(teacher=bright)
    trained = train(marked_data, NETWORK, replace(RECIPE, epochs=4), task=task, project=tmp_path, watch=Listen())
    targets = taught(trained.run)
    assert targets.shape == (trained.model.data["train"], 3) and 0 <= targets.min() and targets.max() <= 1
    assert trained.evaluated.evaluation.score > 0.8
    assert any("its outputs replace the labels of" in note for note in notes)
    settings = json.loads((trained.run / "settings.json").read_text())
    assert settings["task"]["teacher"] == str(bright)


def test_a_model_of_ours_and_its_onnx_say_the_same(marked_data: Path, tmp_path: Path) -> None:
    labels = ("blue", "other", "red", "green")  # in another order, and one more
    ours = our_teacher(tmp_path, labels)
    (tmp_path / "teacher.onnx").write_bytes(to_onnx(open_model(ours)))
    runs = [
        train(marked_data, NETWORK, SHORT, task=Attributes(teacher=file), project=tmp_path).run
        for file in (ours, tmp_path / "teacher.onnx")
    ]
    said = [taught(run) for run in runs]
    np.testing.assert_allclose(*said, atol=1e-4)
    dataset = Attributes().open(marked_data)
    session = open_session(ours)
    image = np.stack([prepare(dataset.splits["train"][0].read(), session.preprocess)])
    np.testing.assert_allclose(said[0][0], session.run(image)[0][[2, 3, 0]], atol=1e-4)


def open_model(path: Path) -> Model:
    from mobilenets.model import load

    return load(path)


@pytest.mark.slow
def test_a_stopped_run_goes_on_with_what_was_said(
    marked_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even where the teacher is gone; and to the same weights."""
    from mobilenets.training import fit as loop

    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", 0.0)
    task = Attributes(teacher=our_teacher(tmp_path))
    recipe = replace(RECIPE, epochs=2)
    whole = train(marked_data, NETWORK, recipe, task=task, project=tmp_path, name="whole")

    class Stop(Watch):
        def epoch(self, row: dict[str, float]) -> None:
            raise Interrupted(2, "stopped")

    with pytest.raises(Interrupted):
        train(marked_data, NETWORK, recipe, task=task, project=tmp_path, name="part", watch=Stop())
    (tmp_path / "teacher.safetensors").unlink()
    assert resume(tmp_path / "part").model.digest() == whole.model.digest()


def test_unlabelled_images_are_learned_from_and_none_is_held_out(marked_data: Path, tmp_path: Path) -> None:
    more = tmp_path / "more"
    for i in range(5):
        save(more / f"{i}.png", (30 * i, 90, 10), np.random.default_rng(100 + i))
    dataset = Attributes().open(marked_data)
    (more / "copy.png").write_bytes(dataset.splits["val"][0].read())
    (more / "broken.png").write_bytes(b"")
    task = Attributes(teacher=our_teacher(tmp_path), unlabelled=more)
    wider = task.open(marked_data)
    assert len(wider.splits["train"]) == len(dataset.splits["train"]) + 5
    assert len(wider.splits["val"]) == len(dataset.splits["val"])
    assert wider.fingerprint != dataset.fingerprint
    assert "unlabelled: 5 images" in wider.notes[-1] and "2 left out" in wider.notes[-1]
    trained = train(marked_data, NETWORK, SHORT, task=task, project=tmp_path)
    assert len(taught(trained.run)) == len(wider.splits["train"])
    with pytest.raises(DataError, match="has no image that is not in the data already"):
        with_unlabelled(wider, more, np.full(3, np.nan, np.float32))


def test_embeddings_are_learned_from_a_teacher(tmp_path: Path) -> None:
    data = make_identities(tmp_path / "data", 8, 4)
    teacher = our_teacher(tmp_path, tuple(map(str, range(16))), "embed")
    task = Embed(dimensions=16, teacher=teacher)
    trained = train(data, NETWORK, SHORT, task=task, project=tmp_path)
    np.testing.assert_allclose(np.linalg.norm(taught(trained.run), axis=1), 1, atol=1e-5)
    with pytest.raises(DataError, match=r"dimensions \(=8\) must be 16, those of the teacher"):
        train(data, NETWORK, SHORT, task=Embed(dimensions=8, teacher=teacher), project=tmp_path, name="wrong")
    assert not (tmp_path / "wrong").exists()


@pytest.mark.parametrize("order", ["NCHW", "NHWC", "bytes", "one at a time"])
def test_anyones_onnx(tmp_path: Path, order: str) -> None:
    onnx_file(tmp_path / "a.onnx", order)
    pixels = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3), np.uint8)
    given = (None, (), ()) if order == "bytes" else (None, (127.5,), (127.5,))
    external = open_external(tmp_path / "a.onnx", *given)
    assert external is not None and external.preprocess.height == 32
    expected = (pixels.astype(np.float32) if order == "bytes" else normalise(pixels, PREPROCESS)).mean((1, 2))
    np.testing.assert_allclose(external.run(pixels), expected, rtol=1e-4, atol=1e-5)


def onnx_file(
    path: Path, order: str, side: int | str = 32, channels: int | str = 3, width: int | str | None = None
) -> None:
    """The mean of each channel."""
    from onnx import TensorProto, helper, save_model

    axes = [2, 3] if order in ("NCHW", "one at a time") else [1, 2]
    sides = [side, width or side]
    shape = ["N" if order != "one at a time" else 1, channels, *sides]
    shape = shape if axes == [2, 3] else [shape[0], *sides, channels]
    kind = TensorProto.UINT8 if order == "bytes" else TensorProto.FLOAT
    nodes = [helper.make_node("Cast", ["image"], ["x"], to=TensorProto.FLOAT)]
    nodes.append(helper.make_node("ReduceMean", ["x"], ["y"], axes=axes, keepdims=0))
    graph = helper.make_graph(
        nodes,
        "means",
        [helper.make_tensor_value_info("image", kind, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", channels])],
    )
    save_model(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)


@pytest.mark.parametrize("order", ["NCHW", "NHWC"])
def test_a_graph_that_takes_oblong_images_says_so_itself(tmp_path: Path, order: str) -> None:
    onnx_file(tmp_path / "a.onnx", order, width=64)
    for size in (None, 32):
        external = open_external(tmp_path / "a.onnx", size, (127.5,), (127.5,))
        assert external is not None and (external.preprocess.height, external.preprocess.width) == (32, 64)
        assert external.run(np.zeros((2, 32, 64, 3), np.uint8)).tolist() == [[-1.0] * 3] * 2


def test_a_torch_file_runs_as_the_module(tmp_path: Path, bright: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), np.uint8)
    expected = Bright()(torch.from_numpy(normalise(pixels, PREPROCESS)).permute(0, 3, 1, 2)).numpy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.script(Bright()).save(str(tmp_path / "bright.pt"))
    ours, script = open_external(bright, None, (), ()), open_external(tmp_path / "bright.pt", 32, (127.5,), (127.5,))
    assert ours is not None and script is not None
    for one in (ours, script):
        np.testing.assert_allclose(one.run(pixels), expected, atol=1e-5)
        np.testing.assert_allclose(one.run(pixels[:1]), expected[:1], atol=1e-5)
    with pytest.raises(UsageError, match=r"must end in \.pt2"):
        save_module(Bright(), PREPROCESS, tmp_path / "bright.onnx")


@pytest.mark.parametrize(
    ("make", "given", "said"),
    [
        (lambda path: onnx_file(path, "NCHW"), (None, (), ()), "does not state its normalisation"),
        (lambda path: onnx_file(path, "NCHW"), (64, (0.0,), (255.0,)), "a.onnx, 32x32 pixels"),
        (lambda path: onnx_file(path, "NCHW", width=64), (64, (0.0,), (255.0,)), "a.onnx, 32x64 pixels"),
        (lambda path: onnx_file(path, "NCHW", "side"), (None, (0.0,), (1.0,)), "does not state its input size"),
        (lambda path: onnx_file(path, "bytes"), (None, (0.0,), (1.0,)), "takes uint8 pixels"),
        (lambda path: onnx_file(path, "NCHW", 32, 5), (None, (0.0,), (1.0,)), "must have 1 or 3 channels"),
        (lambda path: path.write_bytes(b"no graph"), (None, (0.0,), (1.0,)), "cannot be opened"),
    ],
)
def test_what_is_wrong_with_an_onnx_file_is_said(tmp_path, make, given, said) -> None:  # type: ignore[no-untyped-def]
    make(tmp_path / "a.onnx")
    with pytest.raises((UsageError, WorkError), match=said) as caught:
        open_external(tmp_path / "a.onnx", *given)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("shapes", [[["N", 3, 32]], [["N", 3, 32, 32], ["N", 3, 32, 32]]])
def test_a_graph_that_takes_no_images_or_more_than_one_is_no_teacher(tmp_path: Path, shapes: list[Any]) -> None:
    from onnx import TensorProto, helper, save_model

    inputs = [helper.make_tensor_value_info(f"x{i}", TensorProto.FLOAT, shape) for i, shape in enumerate(shapes)]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, shapes[0])]
    graph = helper.make_graph([helper.make_node("Sum", [one.name for one in inputs], ["y"])], "sum", inputs, outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    save_model(model, tmp_path / "a.onnx")
    with pytest.raises(WorkError, match="its input must be"):
        open_external(tmp_path / "a.onnx", None, (0.0,), (1.0,))


def test_what_is_wrong_with_a_torch_file_is_said(tmp_path: Path, bright: Path) -> None:
    with pytest.raises(UsageError, match="states its preprocessing"):
        open_external(bright, 32, (), ())
    for name in ("a.pt", "a.pt2"):
        (tmp_path / name).write_bytes(b"nothing")
        with pytest.raises(ModelFileError, match="cannot be opened"):
            open_external(tmp_path / name, 32, (0.0,), (1.0,))


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"unlabelled": Path("more")}, "unlabelled .* needs a teacher"),
        ({"teacher_size": 96}, "teacher_size .* needs a teacher"),
        ({"teacher": Path("t.onnx"), "teacher_mean": (1.0,)}, "must be set together"),
    ],
)
def test_settings_that_contradict(values: dict[str, object], said: str) -> None:
    for task in (Attributes, Embed):
        with pytest.raises(UsageError, match=said):
            task(**values)  # type: ignore[arg-type]


def test_settings_are_kept_and_paths_are_absolute() -> None:
    task = Attributes(teacher=Path("t.onnx"), teacher_mean=(1.0, 2.0, 3.0), teacher_std=(4.0,), unlabelled=Path("more"))
    kept = json.loads(json.dumps(task.settings()))
    here = replace(task, teacher=Path.cwd() / "t.onnx", unlabelled=Path.cwd() / "more")
    assert read(Attributes, kept, "task") == here


def test_a_teacher_that_does_not_fit(marked_data: Path, tmp_path: Path, bright: Path) -> None:
    def refused(task: Task, error: type[Exception], said: str) -> None:
        with pytest.raises(error, match=said):
            train(marked_data, NETWORK, SHORT, task=task, project=tmp_path, name="run")
        assert not (tmp_path / "run").exists()

    refused(Attributes(teacher=tmp_path / "none.onnx"), ModelFileError, "no such file")
    refused(Attributes(teacher=our_teacher(tmp_path, ("red",))), DataError, "does not have the attributes green, blue")
    refused(Attributes(teacher=our_teacher(tmp_path, NAMES, "embed")), ModelFileError, "its task is embed, must be")
    refused(Attributes(teacher=our_teacher(tmp_path), teacher_size=32), UsageError, "states its preprocessing")
    wide = save_module(nn.Sequential(Bright(), nn.Linear(3, 5)), PREPROCESS, tmp_path / "wide.pt2")
    refused(Attributes(teacher=wide), DataError, "has 5 outputs for 3 attributes")


def test_answers_of_other_data_are_not_learned(marked_data: Path, bright: Path, tmp_path: Path) -> None:
    run = train(marked_data, NETWORK, SHORT, task=Attributes(teacher=bright), project=tmp_path).run
    other = make_marked(tmp_path / "other", 40)
    settings = json.loads((run / "settings.json").read_text())
    (run / "settings.json").write_text(json.dumps({**settings, "data": str(other)}))
    with pytest.raises(TrainingError, match="the data have changed"):
        resume(run)
