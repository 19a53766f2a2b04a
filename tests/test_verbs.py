"""The verbs: Python and the command line do the same under the same names, and results show themselves."""

import inspect
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conftest import MakeModel

import mobilenets as mn
from mobilenets.benchmarks import Benchmark
from mobilenets.cli import main
from mobilenets.cli.app import app
from mobilenets.compiler import has_compiler
from mobilenets.data.sources import open_dataset
from mobilenets.designs import Design
from mobilenets.evaluation import Evaluated
from mobilenets.training.plan import Plan
from mobilenets.verbs.compile import CompiledFiles
from mobilenets.verbs.cost import CostTable, NetworkCosts
from mobilenets.verbs.device_folder import DeviceFolder
from mobilenets.verbs.export import Exported
from mobilenets.verbs.import_model import ImportedFile
from mobilenets.verbs.parts import Parts
from mobilenets.verbs.quantize import QuantizedFile
from mobilenets.verbs.search import Searched
from mobilenets.verbs.train import Trained

PYTHON = {"describe": "cost", "import": "import_model"}  # other names: the first does more, the second is a keyword
NETWORK = mn.Network(alpha=0.125, height=32, width=32, classes=3)


def commands() -> list[str]:
    return [name for name in app if not name.startswith("-") and name != "demo"]


@pytest.fixture
def model(random_model: MakeModel, photos: Path, tmp_path: Path) -> Path:
    made = replace(random_model(NETWORK), labels=open_dataset(photos).labels)
    return made.save(tmp_path / "m.safetensors")


@pytest.mark.parametrize("command", commands())
def test_each_command_is_a_function_of_python(command: str) -> None:
    function = getattr(mn, PYTHON.get(command, command))
    assert inspect.isfunction(function) and inspect.getdoc(function)


RESULTS = (
    *(Benchmark, CompiledFiles, CostTable, Design, DeviceFolder, Evaluated, Exported, ImportedFile, NetworkCosts),
    *(Parts, Plan, QuantizedFile, Searched, Trained, mn.PredictedImage),
)


@pytest.mark.parametrize("kind", RESULTS)
def test_results_show_themselves_and_become_json(kind: type) -> None:
    assert callable(kind.to_dict) and kind.__str__ is not object.__str__  # type: ignore[attr-defined]


def printed(capsys: pytest.CaptureFixture[str], *command: object) -> dict[str, Any]:
    assert main([*map(str, command), "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def as_json(result: Any) -> Any:
    assert " object at 0x" not in repr(result) and "\n" not in repr(result)
    assert " object at 0x" not in str(result)
    return json.loads(json.dumps(result.to_dict()))


def test_costs_and_designs_are_those_that_are_printed(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert as_json(mn.cost("0.5-160")) == printed(capsys, "describe", "0.5-160")
    assert as_json(mn.cost("0.5-160", classes=10)) == printed(capsys, "describe", "0.5-160", "--classes", 10)
    assert as_json(mn.cost(model)) == printed(capsys, "describe", model) == as_json(mn.cost(mn.load(model)))
    assert as_json(mn.cost("paper")) == printed(capsys, "describe", "paper")
    found = as_json(mn.design({"max_mult_adds": "10M"}, mn.Space(mn.Network(classes=5), ("v1",))))
    assert found == printed(capsys, "design", "--max-mult-adds", "10M", "--classes", 5, "--family", "v1")
    assert str(mn.cost("0.25-96")) == "0.25-96: 7.745 M mult-adds, 470,072 parameters, 1000 classes"


def test_exports_and_imports_are_those_that_are_printed(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted = printed(capsys, "export", model, "--format", "tflite")
    assert as_json(mn.export(model, format="tflite", overwrite=True)) == wanted
    wanted = printed(capsys, "import", tmp_path / "m.tflite", "--output", tmp_path / "again.safetensors")
    again = mn.import_model(tmp_path / "m.tflite", tmp_path / "again.safetensors", overwrite=True)
    assert as_json(again) == wanted and mn.load(again.path).labels == mn.load(model).labels


@pytest.mark.skipif(not has_compiler(), reason="no C compiler")
def test_compiled_files_are_those_that_are_printed(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wanted = printed(capsys, "compile", model)
    assert as_json(mn.compile(model, overwrite=True)) == wanted


def test_predictions_are_those_that_are_printed(
    model: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted = printed(capsys, "predict", model, photos / "val", "--runtime", "onnx")["predictions"]
    found = list(mn.predict(model, photos / "val", runtime="onnx", pictures=tmp_path / "out", explain=True))
    assert [one.to_dict() for one in found] == wanted and len(list((tmp_path / "out").iterdir())) == len(found)
    assert str(found[0]).startswith(f"{found[0].name}  ")


def test_evaluations_have_the_printed_keys(model: Path, photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wanted, result = (
        printed(capsys, "evaluate", model, photos, "--runtime", "onnx"),
        mn.evaluate(model, photos, runtime="onnx"),
    )
    found = as_json(result)
    assert list(found) == list(wanted) and found["top1"] == wanted["top1"] and "top-1" in str(result)


def test_a_plan_with_a_budget(photos: Path) -> None:
    """`train` chooses the network itself, as the command line does."""
    notes: list[str] = []

    class Notes(mn.Watch):
        def note(self, text: str) -> None:
            notes.append(text)

    recipe = {"epochs": 1, "batch_size": 16, "device": "cpu"}
    space = mn.Space(alphas=(0.1, 0.125), resolutions=(32,))
    plan = mn.plan(photos, budget={"max_mult_adds": "1M"}, space=space, recipe=recipe, watch=Notes())
    network = plan.settings.network
    assert (network.alpha, network.height, network.classes) == (0.125, 32, 3)
    assert any(note.startswith("design: 0.125-32") or "design: " in note for note in notes)
    assert any(note.endswith("images") and "3 classes" in note for note in notes)


@pytest.mark.parametrize("function", [mn.load, mn.pretrained])
def test_what_no_catalogue_has(function: Callable[[str], object]) -> None:
    with pytest.raises(mn.MobilenetsError, match=r"no published network is named|no such model file"):
        function("keras/0.33-96")
