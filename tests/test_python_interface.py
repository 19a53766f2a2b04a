"""The package as Python uses it: the documents' snippets, arguments in the command line's forms, what is shown."""

import re
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import MakeModel
from photos import make_photos
from PIL import Image

import mobilenets
from mobilenets import Budget, Network, Preprocess, Recipe, predict, prepare, train
from mobilenets.compiler import has_compiler
from mobilenets.costs import cost
from mobilenets.errors import BudgetError, MobilenetsError, NetworkError, UsageError
from mobilenets.progress import Watch, watching
from mobilenets.runtime import Runtime, open_session
from mobilenets.tasks.classify import Classify
from mobilenets.tasks.detect import Detect
from mobilenets.verbs.arguments import budget_of, network_of, preprocess_of, recipe_of, start_of, task_of
from mobilenets.verbs.sweep import _wanted

ROOT = Path(__file__).parents[1]
SNIPPETS = [
    pytest.param(code, id=f"{page.name}-{at}")
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
    if page.name != "compiler.md"  # tests/compiler/test_extending.py runs its snippets: they change tables
    for at, code in enumerate(re.findall(r"^```python\n(.*?)^```$", page.read_text("utf-8"), re.M | re.S))
]


@pytest.mark.parametrize("code", SNIPPETS)
def test_a_snippet_runs_as_it_stands(
    code: str, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Beside a folder of photos and a photo, with one epoch, since what it learns is not looked at."""
    monkeypatch.chdir(tmp_path)
    make_photos(tmp_path / "photos")
    (tmp_path / "holiday.jpg").write_bytes(next(photos.rglob("*.jpg")).read_bytes())
    exec(compile(re.sub(r"epochs=\d+", "epochs=1", code), "snippet", "exec"), {})
    assert capsys.readouterr().out


def test_forms_of_a_network() -> None:
    network = Network(alpha=0.25, height=96, width=96)
    for form in (network, "0.25-96", {"alpha": 0.25, "height": 96, "width": 96}):
        assert network_of(form) == network
    assert network_of({"blocks": [{"stride": 2, "channels": 64}]}).blocks[0].channels == 64  # type: ignore[union-attr]
    assert network_of(None) is None


def test_forms_of_a_recipe_and_a_task() -> None:
    assert recipe_of({"epochs": 3}) == Recipe(epochs=3) == recipe_of(Recipe(epochs=3)) and recipe_of(None) == Recipe()
    assert task_of("detect") == Detect() == task_of(Detect()) and task_of(None) == Classify()
    assert task_of({"name": "detect", "lite": True}) == Detect(lite=True)


def test_forms_of_a_budget_and_of_preprocessing() -> None:
    assert budget_of({"max_mult_adds": "10M"}) == Budget(max_mult_adds="10M") and budget_of(None) is None
    network, trained = Network(alpha=0.25, height=96, width=64), Preprocess(32, 32, mean=0.0, std=255.0, crop=1.0)
    assert preprocess_of(None, network, None) == Preprocess(96, 64)
    assert preprocess_of({"crop": 0.8}, network, None) == Preprocess(96, 64, crop=0.8)
    assert preprocess_of({"crop": 0.8}, network, trained) == Preprocess(96, 64, mean=0.0, std=255.0, crop=0.8)
    assert preprocess_of(trained, network, None) is trained


def test_forms_of_what_is_fine_tuned(random_model: MakeModel, tmp_path: Path) -> None:
    """What it becomes: alpha, height and width as far as they are given."""
    model = random_model(Network(alpha=0.25, height=32, width=32, classes=3))
    path = model.save(tmp_path / "model.safetensors")
    for form in (model, path, str(path)):
        found, wanted = start_of(form, None, None, Watch())
        assert found.digest() == model.digest() and wanted == model.network
    assert start_of(model, {"alpha": 0.5}, None, Watch())[1] == model.network.replace(alpha=0.5)
    assert start_of(model, "0.5-64", None, Watch())[1] == model.network.replace(alpha=0.5, height=64, width=64)
    with pytest.raises(UsageError, match=r"^network v2-0.5-64: the trained network, .*, has other blocks$"):
        start_of(model, "v2-0.5-64", None, Watch())


def test_a_network_is_needed() -> None:
    with pytest.raises(UsageError, match="cost needs a network"):
        mobilenets.cost(None)  # type: ignore[arg-type]


@pytest.mark.parametrize("networks", ["0.25-32", Network(0.25, 32, 32), {"alpha": 0.25, "height": 32, "width": 32}])
def test_a_sweep_takes_one_network(networks: Any) -> None:
    ((network, seeds),) = _wanted(networks, None, 2, None, False, False, "2h", 0, "").networks
    assert (network.name, seeds) == ("0.25-32", 2)


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        ({"network": "0.25"}, NetworkError, "'0.25' must be ALPHA-SIZE"),
        ({"network": {"alpha": "wide"}}, NetworkError, "alpha"),
        ({"network": {"layers": 3}}, NetworkError, "unknown fields: 'layers'"),
        ({"network": 0.25}, UsageError, r"network \(=0.25\) must be a Network, a name"),
        ({"recipe": {"epoch": 3}}, UsageError, "recipe has the unknown field 'epoch'"),
        ({"recipe": 20}, UsageError, r"recipe \(=20\) must be a Recipe"),
        ({"task": "detection"}, UsageError, "task 'detection' must be one of"),
        ({"task": {"name": "detect", "light": True}}, UsageError, "light"),
        ({"task": Detect}, UsageError, "must be a Task"),
        (
            {"budget": {"max_speed": 3}},
            UsageError,
            "budget has the unknown field 'max_speed': it has max_mult_adds, max_params",
        ),
        ({"budget": {"max_size": "1MB"}, "network": "0.25-96"}, UsageError, "budget and network: give one"),
        ({"preprocess": {"zoom": 3}}, UsageError, "preprocess has the unknown field 'zoom'"),
        ({"pretrained": "keras/0.33-96"}, UsageError, "no published network is named"),
        ({"pretrained": 3}, UsageError, r"pretrained \(=3\) must be a Model"),
    ],
)
def test_forms_that_mean_nothing(
    arguments: dict[str, object], error: type[MobilenetsError], said: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=said):
        train(tmp_path, **arguments)  # type: ignore[arg-type]


def test_a_budget_in_words() -> None:
    words = Budget(max_mult_adds="10M", max_params="300k", max_size="1MiB", max_ram="256KB", max_latency="0.5s")
    assert words == Budget(
        max_mult_adds=10_000_000, max_params=300_000, max_size=2**20, max_ram=256_000, max_latency=500.0
    )
    for wrong in ({"max_mult_adds": "10X"}, {"max_size": "-1MB"}, {"max_latency": ""}):
        with pytest.raises(BudgetError):
            Budget(**wrong)  # type: ignore[arg-type]


def test_what_is_trained_is_shown_in_a_line(photos: Path, tmp_path: Path) -> None:
    recipe = {"epochs": 1, "batch_size": 16, "device": "cpu"}
    trained = train(photos, {"alpha": 0.1, "height": 32, "width": 32}, recipe, project=tmp_path, name="run")
    assert repr(trained.model) == "Model(0.1-32, classify, 3 labels: blue, green, red)"
    assert str(tmp_path / "run") in repr(trained) and "top1=" in repr(trained.evaluated) and len(repr(trained)) < 400


def test_a_model_of_many_labels_is_shown_in_a_line(random_model: MakeModel) -> None:
    model = random_model(Network(alpha=0.1, height=32, width=32, classes=1000))
    assert repr(model) == "Model(0.1-32, classify, 1000 labels: class 0, class 1, class 2, ...)"


class Terminal:
    encoding = "utf-8"

    def __init__(self) -> None:
        self.written = ""

    def write(self, text: str) -> int:
        self.written += text
        return len(text)

    def flush(self) -> None: ...

    def isatty(self) -> bool:
        return True


def test_bars_on_a_terminal_and_silence_elsewhere(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with watching(None) as watch:
        watch.note("not said")
    assert capsys.readouterr() == ("", "")
    own = Watch()
    with watching(own) as watch:
        assert watch is own
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    with watching(None) as watch:
        watch.note("said")
        watch.step(0, 2, 1, 4, 100.0)
    assert "said" in terminal.written and "100 images/s" in terminal.written


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ({"epochs": "3"}, r"epochs \(='3'\) must be a whole number"),
        ({"epochs": 1.5}, r"epochs \(=1.5\) must be a whole number"),
        ({"lr": "fast"}, r"lr \(='fast'\) must be a number"),
        ({"seed": True}, r"seed \(=True\) must be a whole number"),
    ],
)
def test_settings_of_another_type(setting: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        Recipe(**setting)


def test_images_of_another_type(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (50, 40, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    how = Preprocess(32, 32)
    forms = (pixels, Image.fromarray(pixels), tmp_path / "a.png", str(tmp_path / "a.png"))
    assert len({prepare(form, how).tobytes() for form in forms}) == 1
    with pytest.raises(UsageError, match=r"an image \(=3\) must be a path, bytes, a Pillow image or an array"):
        predict(tmp_path, [3])  # type: ignore[list-item]


def test_only_public_names_are_listed() -> None:
    import_module("mobilenets.verbs.train")
    assert dir(mobilenets) == sorted([*mobilenets.__all__, "__version__"])


@pytest.mark.parametrize(
    "runtime",
    ["onnx", pytest.param("compiled", marks=pytest.mark.skipif(not has_compiler(), reason="no C compiler"))],
)
def test_a_session_takes_a_list(random_model: MakeModel, runtime: Runtime) -> None:
    session = open_session(random_model(Network(alpha=0.25, height=32, width=40, classes=3)), runtime=runtime)
    rng = np.random.default_rng(0)
    arrays = [rng.integers(0, 256, (32, 40, 3), np.uint8) for _ in range(3)]
    wanted = session.run(np.stack(arrays))
    assert np.array_equal(session.run(arrays), wanted) and np.array_equal(session.run(tuple(arrays)), wanted)
    assert session.run([]).shape == (0, 3)
    image = Image.fromarray(rng.integers(0, 256, (90, 70, 3), np.uint8))
    fitted = mobilenets.prepare(image, session.preprocess)
    assert np.array_equal(session.run([image, arrays[0]]), session.run(np.stack([fitted, arrays[0]])))
    refused: tuple[Any, ...] = (arrays[0], "photo.jpg", image, None, ["photo.jpg"], [*arrays, arrays[0][:9]])
    for wrong in refused:
        with pytest.raises(UsageError, match=r"images (are|\(a )|a list of images holds"):
            session.run(wrong)


def test_public_objects_are_shown_in_a_line(random_model: MakeModel) -> None:
    model = random_model(Network(alpha=0.25, height=32, width=32, classes=200))
    design = mobilenets.design(mobilenets.Budget(max_mult_adds="10M"), mobilenets.Space(families=("v1",)))
    objects: tuple[Any, ...] = (
        *(open_session(model, runtime="onnx"), mobilenets.Explainer(model), model.graph, model.network, model),
        *(cost(model.network), design, mobilenets.PAPER[0]),
    )
    for one in objects:
        assert len(repr(one)) < 250 and " object at 0x" not in repr(one), repr(one)[:300]
    assert repr(model.network) == "Network(alpha=0.25, height=32, width=32, classes=200)"
    assert repr(open_session(model, runtime="onnx")).startswith("Session(0.25-32, classify, 200 labels, ONNX Runtime ")
