"""The architecture: which part imports which, what starting Python loads, tables whose keys must agree."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import pytest

import mobilenets

PACKAGE = Path(mobilenets.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
MAX_LINES = 350

# part -> the parts that it imports
IMPORTS = {
    "errors": "",
    "demo": "",
    "arrays": "",
    "text": "",
    "files": "errors",
    "machine": "errors",
    "preprocess": "errors",
    "image": "errors preprocess",
    "arch": "errors",
    "schema": "errors",
    "folders": "errors image",
    "heads": "errors arch schema",
    "costs": "errors arch",
    "model": "errors files image arch schema heads text",
    "data": "arrays errors text files machine image folders",
    "designs": "errors arch schema costs",
    "quant": "errors arrays files image arch schema model",
    "weights": "errors arrays files image arch schema model data quant",
    "compiler": "errors arrays files machine image arch model quant",
    "devices": "errors image arch costs compiler quant",
    "web": "errors arrays files image model quant compiler",
    "exporters": "arrays errors image arch model quant",
    "runtime": "errors arrays machine image arch folders costs model quant compiler exporters",
    "tasks": "errors arrays text files machine image arch folders heads data runtime",
    "report": "errors files image arch costs model quant tasks",
    "progress": "machine tasks",
    "opening": "errors model quant weights runtime progress",
    "training": "errors arrays files machine image arch schema costs model data quant compiler exporters runtime "
    "tasks progress",
    "evaluation": "errors arrays image costs model data designs quant runtime tasks report progress opening training",
    "benchmarks": "errors arrays files machine image arch costs model quant compiler exporters runtime progress "
    "training",
    "serving": "errors arrays image machine schema runtime tasks progress opening",
    "sweeps": "errors text files arch schema costs model designs report training",
    "cluster": "errors files machine image schema text folders data runtime training sweeps",
    "verbs": "errors arrays text files machine image arch schema costs model data designs quant weights compiler "
    "devices exporters web runtime tasks report progress opening training evaluation benchmarks sweeps serving cluster",
}
SEES_ALL = ("", "cli", "__main__")  # the package itself (lazily, see below) and the command line
MAY_IMPORT_TORCH = (
    "training/",
    "data/loader.py",
    *(f"tasks/detection/{name}.py" for name in ("parts", "ssd", "faster_rcnn")),
)
IMPORT_TORCH_IN_A_FUNCTION = (
    "tasks/",
    "benchmarks/torch_module.py",
    "costs/peers.py",
    "weights/read/pytorch.py",
    "exporters/pytorch.py",
)


def relative(file: Path) -> str:
    return file.relative_to(PACKAGE).as_posix()


def part_of(file: Path) -> str:
    name = relative(file).removesuffix("__init__.py").removesuffix(".py")
    return name.split("/")[0]


def imported(file: Path) -> Iterator[tuple[str, ast.AST]]:
    """Every absolute dotted name that `file` imports, at any depth, with its statement."""
    package = ("mobilenets", *file.relative_to(PACKAGE).parent.parts)
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node
        elif isinstance(node, ast.ImportFrom):
            base = (
                ".".join((*package[: len(package) - node.level + 1], node.module or "")) if node.level else node.module
            )
            for alias in node.names:
                yield f"{(base or '').rstrip('.')}.{alias.name}", node


def imported_parts(file: Path) -> set[str]:
    names = [name.split(".") for name, _ in imported(file)]
    ours = [name[1] for name in names if name[0] == "mobilenets" and len(name) > 1]
    return {part if (PACKAGE / part).is_dir() or (PACKAGE / f"{part}.py").is_file() else "" for part in ours}


PARTS = sorted({part_of(file) for file in FILES} - {*SEES_ALL})


@pytest.mark.parametrize("part", PARTS)
def test_imports_are_those_of_the_table(part: str) -> None:
    """No part imports another that the table does not list, and the table lists no other."""
    assert part in IMPORTS, f"say above what {part} imports"
    found = {other for file in FILES if part_of(file) == part for other in imported_parts(file)} - {part}
    assert sorted(found) == sorted(IMPORTS[part].split())


def test_no_imports_run_in_a_circle() -> None:
    seen: set[str] = set()
    left = dict(IMPORTS)
    while left:
        free = [part for part, allowed in left.items() if set(allowed.split()) <= seen]
        assert free, f"a circle among {sorted(left)}"
        seen.update(free)
        left = {part: allowed for part, allowed in left.items() if part not in free}


def test_every_part_is_named() -> None:
    assert {part_of(file) for file in FILES} <= {*IMPORTS, *SEES_ALL}


@pytest.mark.parametrize("file", FILES, ids=relative)
def test_torch_is_imported_in_few_places(file: Path) -> None:
    if relative(file).startswith(MAY_IMPORT_TORCH):
        return
    above = {node.lineno for node in ast.parse(file.read_text("utf-8")).body}
    for name, node in imported(file):
        if name.split(".")[0] in ("torch", "torchvision"):
            assert relative(file).startswith(IMPORT_TORCH_IN_A_FUNCTION) and node.lineno not in above, f"imports {name}"


@pytest.mark.parametrize("file", FILES, ids=relative)
def test_nothing_is_pickled(file: Path) -> None:
    for name, _ in imported(file):
        assert name.split(".")[0] not in ("pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal")


@pytest.mark.parametrize("file", FILES, ids=relative)
def test_files_are_short(file: Path) -> None:
    assert len(file.read_text("utf-8").splitlines()) <= MAX_LINES


def loaded_by(statement: str) -> set[str]:
    """The modules in memory after a fresh Python ran `statement`."""
    code = f"{statement}\nimport sys\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        ("import mobilenets", "torch torchvision onnxruntime onnx PIL numpy sklearn rich cyclopts pyarrow"),
        ("import mobilenets.errors", "torch onnxruntime onnx PIL numpy"),
        ("import mobilenets.arch", "torch onnxruntime onnx PIL"),
        ("import mobilenets.costs", "torch torchvision onnxruntime onnx PIL"),
        ("import mobilenets.designs", "torch torchvision"),
        ("import mobilenets.model", "torch onnxruntime onnx"),
        ("import mobilenets.exporters.onnx", "torch onnxruntime"),
        ("import mobilenets.runtime.session", "torch sklearn matplotlib pyarrow"),
        ("import mobilenets.runtime.predict", "torch sklearn matplotlib pyarrow"),
        ("import mobilenets.data", "torch"),
        ("from mobilenets.tasks import attributes, classify, detect, embed, geolocate", "torch torchvision sklearn"),
        ("import mobilenets.training.recipe", "torch"),
        ("import mobilenets.weights", "torch h5py tflite onnx huggingface_hub httpx"),
    ],
)
def test_what_starting_python_loads(statement: str, absent: str) -> None:
    assert not loaded_by(statement) & set(absent.split())


def test_predicting_loads_no_torch(tmp_path: Path, random_model) -> None:
    """Neither does opening a trained model, which is exported on the way."""
    path = random_model(mobilenets.Network(0.25, 32, 32, classes=2)).save(tmp_path / "m.safetensors")
    statement = f"""
from mobilenets.verbs.predict import predict_open
from mobilenets.runtime import open_session
print(list(predict_open(open_session({str(path)!r}), [("a", b"")])))"""
    assert not loaded_by(statement) & {"torch", "torchvision", "sklearn", "pyarrow"}


def modules() -> list[str]:
    names = [relative(file).removesuffix(".py").removesuffix("__init__").strip("/") for file in FILES]
    return [".".join(["mobilenets", *name.split("/")]).rstrip(".") for name in names if name != "__main__"]


def sort_key(name: str) -> tuple[int, str]:
    """CONSTANTS, Classes, functions: as ruff sorts (RUF022)."""
    return (0 if name.isupper() else 1 if name[0].isupper() else 2), name


@pytest.mark.parametrize("name", modules())
def test_all_is_sorted_and_true(name: str) -> None:
    module = import_module(name)
    names = getattr(module, "__all__", [])
    assert list(names) == sorted(names, key=sort_key)
    assert [missing for missing in names if not hasattr(module, missing)] == []


def test_a_public_name_is_the_same_whatever_was_imported_before() -> None:
    """A sub-package of the same name would take its place once it is imported."""
    for module in modules():
        import_module(module)
    assert sorted(set(mobilenets.__all__) & {path.stem for path in PACKAGE.iterdir()}) == []
    for verb in sorted(path.stem for path in (PACKAGE / "verbs").glob("*.py")):
        if verb in mobilenets.__all__:
            found = getattr(mobilenets, verb)
            assert (found.__name__, found.__module__) == (verb, f"mobilenets.verbs.{verb}") and callable(found)


SCRIPTS = sorted(path for folder in ("benchmarks", "scripts") for path in (PACKAGE.parent / folder).glob("*.py"))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_what_scripts_import_is_there(script: Path) -> None:
    """Most scripts are run by no test: a renamed function would break them unseen."""
    imports = [node for node in ast.walk(ast.parse(script.read_text())) if isinstance(node, ast.ImportFrom)]
    for node in imports:
        if node.module and node.module.split(".")[0] == "mobilenets":
            module = import_module(node.module)
            missing = [name.name for name in node.names if not has(module, name.name)]
            assert not missing, f"{node.module} has no {missing}"


def has(module: ModuleType, name: str) -> bool:
    """Return whether `from module import name` works."""
    return hasattr(module, name) or find_spec(f"{module.__name__}.{name}") is not None
