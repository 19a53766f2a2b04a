"""The verbs as functions: what the command line does, from Python. Each returns one value that can print itself.

Heavy parts are imported by the verb that needs them; torch only by training and by export's parity check.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .arch.network import Network
from .assess import Evaluated, Judged, default_split, judge, report
from .beside import Beside, compare, pair_with
from .convert import CompiledFiles, Exported, compile_to_c, export_model, import_model, open_model
from .design import Budget, Design, Prior, Space, read_runs, search
from .errors import UsageError, WorkError
from .files import check_output
from .image import Preprocess
from .machine import need_torch
from .model import Model
from .quant.file import load
from .quant.scheme import QuantModel
from .quantize import QuantizedFile, quantize_model
from .tasks import Task
from .train.recipe import Recipe
from .train.watch import Watch

if TYPE_CHECKING:
    from .data.sources import Dataset
    from .runtime import Prediction, Runner, Runtime
    from .train.run import Run

__all__ = [
    "CompiledFiles",
    "Evaluated",
    "Exported",
    "QuantizedFile",
    "Trained",
    "answered",
    "compile_to_c",
    "design_network",
    "evaluate_model",
    "export_model",
    "import_model",
    "open_model",
    "predict_images",
    "quantize_model",
    "resume_run",
    "train_network",
]


@dataclass(frozen=True, slots=True)
class Trained:
    """A finished run."""

    run: Path
    model: Model
    evaluated: Evaluated
    report: Path
    int8: Beside | None  # of a run that learned in integers

    def to_dict(self) -> dict[str, Any]:
        return {
            "run": str(self.run),
            "model": str(self.run / "best.safetensors"),
            "report": str(self.report),
            "network": self.model.name,
            "weights_sha256": self.model.digest(),
            "task": self.model.task,
            **self.evaluated.metrics(),
            "latency_ms": asdict(self.evaluated.latency),
            **({"int8": self.int8.to_dict()} if self.int8 else {}),
        }


def design_network(
    budget: Budget,
    space: Space | None = None,
    *,
    calibrate: Sequence[str | Path] = (),
    threads: int = 1,
    runtime: "Runtime" = "auto",
    precision: str = "fp32",
) -> Design:
    """The Pareto front and one choice for `budget`; latency is measured here, in `runtime`, on `threads` threads.

    `precision`: of the latency, fp32 or int8; that of sizes is the budget's.
    `calibrate`: run folders or models of the user's whose validation top-1 moves the accuracy prior.
    Raises `BudgetError`, `LatencyError`.
    """
    prior = Prior.of_the_paper()
    if calibrate:
        prior = prior.calibrated(read_runs(calibrate))
    if budget.max_latency is None:
        return search(budget, space or Space(), prior)
    from .runtime import measure_networks

    measure = partial(measure_networks, threads=threads, runtime=runtime, precision=precision)
    return search(budget, space or Space(), prior, measure)


def train_network(
    data: "str | Path | Dataset",
    network: Network | None = None,
    recipe: Recipe | None = None,
    *,
    preprocess: Preprocess | None = None,
    pretrained: Model | None = None,
    task: Task | None = None,
    runs: str | Path = "runs",
    name: str | None = None,
    command: str = "",
    watch: Watch | None = None,
) -> Trained:
    """Train `network` (its classes are those of the data) and evaluate, measure and report the best model.

    `task` (default: classification) says what is learned, see `tasks`.
    With `pretrained` this trained network is fine-tuned; `network` then says alpha and resolution (None: as they are),
    all else is the trained one's.
    Makes a new folder under `runs`: `name`, or data and network with a number where that exists.
    """
    need_torch()
    from .data.sources import Dataset
    from .tasks.classify import Classify
    from .train.device import resolve
    from .train.run import Run, Settings

    task = task or Classify()
    watch, recipe = watch or Watch(), recipe or Recipe()
    dataset = data if isinstance(data, Dataset) else task.ready(task.open(data, max_bad=recipe.max_bad))
    if recipe.freeze and pretrained is None:
        raise UsageError("freeze trains the classifier of a trained network alone: there is no pretrained one")
    if recipe.freeze and task.name != Classify.name:
        raise UsageError(f"freeze trains a classifier, the task is {task.name}")
    initial = _initial(pretrained, network, task, dataset, watch) if pretrained else None
    if initial:
        network, preprocess = initial.network, preprocess or initial.preprocess
    network = task.fitted(network or Network(), dataset)
    preprocess = task.prepared(preprocess or Preprocess(network.height, network.width, network.channels))
    recipe = resolve(recipe, network.alpha, fine_tuning=initial is not None)
    source = str(initial.data.get("imported", {}).get("file", initial.name)) if initial else ""
    settings = Settings(str(dataset.root), network, preprocess, recipe, command, source, task)
    folder = Path(runs) / (name or f"{dataset.root.stem}-{network.name}")
    run = Run.create(folder, settings, task.outputs(dataset), unique=name is None)
    if initial:
        initial.save(run.initial)
    try:
        return _run(dataset, run, watch)
    except (UsageError, WorkError):
        run.discard_if_empty()
        raise


def _initial(pretrained: Model, network: Network | None, task: Task, dataset: "Dataset", watch: Watch) -> Model:
    """What fine-tuning starts from; the watcher hears which channels were kept."""
    from .weights import transfer

    wanted = task.fitted(network or pretrained.network, dataset)
    moved = transfer(pretrained, wanted, task.outputs(dataset))
    watch.note(moved.note)
    return replace(moved.model, task=task.name)


def resume_run(path: str | Path, watch: Watch | None = None) -> Trained:
    """Go on with a run that was stopped or killed, to the weights it would have reached."""
    need_torch()
    from .train.run import Run

    run = Run.open(Path(path))
    task = run.settings.task
    dataset = task.ready(task.open(run.settings.data, max_bad=run.settings.recipe.max_bad))
    return _run(dataset, run, watch or Watch())


def _run(dataset: "Dataset", run: "Run", watch: Watch) -> Trained:
    """Train to the end, then judge the best model in the runtime that will serve it."""
    if run.settings.recipe.freeze:
        from .train.frozen import fit_frozen as fit
    else:
        from .train.fit import fit
    dataset = replace(dataset, decoding=run.settings.task.decoding(run.settings.network, dataset))
    for note in dataset.notes:
        watch.note(note)
    model = fit(dataset, run, watch)
    judged = judge(run.best, dataset, default_split(dataset), run.settings.recipe.max_bad, 1, watch.decoded)
    model = replace(model, metrics={**model.metrics, **judged.evaluated.metrics()})
    model.save(run.best)
    beside = _beside(run.best, model, judged)
    report(run.report, model, judged, run, [beside.section()] if beside else [])
    return Trained(run.path, model, judged.evaluated, run.report, beside)


def _beside(path: Path, model: Model | QuantModel, judged: Judged) -> Beside | None:
    """The model and its other half on the images that it was judged on, where both lie in one folder."""
    pair = pair_with(path, model)
    return compare(pair, judged.images, judged.evaluated.split) if pair else None


def evaluate_model(
    model: str | Path,
    data: "str | Path | Dataset",
    split: str | None = None,
    *,
    max_bad: float = 0.01,
    threads: int = 1,
    report_to: str | Path | None = None,
    overwrite: bool = False,
    runtime: "Runtime" = "auto",
    watch: Watch | None = None,
) -> Evaluated:
    """Judge what `open_model` opens on `split` (default: test where there is one, else val).

    "all": on every image, whatever its split, also where none could be held out.
    Latency is for one image on `threads` threads. `report_to` writes the HTML report, for a `.safetensors` or a run,
    over a file that exists only with `overwrite`; where NAME.int8.safetensors lies beside NAME.safetensors it sets the
    two side by side.
    Raises `DataError` where the data's labels are not the model's.
    """
    from .data.sources import Dataset
    from .runtime import open_session
    from .tasks import task_type

    watch = watch or Watch()
    if report_to is not None:
        check_output(Path(report_to), (".html",), overwrite, "--report", any_case=True)
    opened = open_model(model, watch)
    if report_to is not None and isinstance(opened, Path) and opened.suffix == ".onnx":
        raise UsageError("a report needs the .safetensors model: an ONNX file does not say how it was trained")
    if isinstance(data, Dataset):
        dataset = data
    else:
        task = task_type(open_session(opened, runtime=runtime).task)()
        dataset = task.open(data, None, max_bad) if split == "all" else task.open(data, max_bad=max_bad)
    for note in dataset.notes:
        watch.note(note)
    judged = judge(opened, dataset, split or default_split(dataset), max_bad, threads, watch.decoded, runtime)
    if report_to is not None:
        loaded = load(opened) if isinstance(opened, Path) else opened
        beside = _beside(opened, loaded, judged) if isinstance(opened, Path) else None
        report(Path(report_to), loaded, judged, more=[beside.section()] if beside else [])
    return judged.evaluated


def predict_images(
    model: str | Path,
    images: str | Path | Sequence[str | Path],
    top: int | None = None,
    batch_size: int = 32,
    runtime: "Runtime" = "auto",
) -> "Iterator[Prediction]":
    """Predictions for a file, a folder or several, in order and in bounded memory; no torch."""
    from .runtime import open_session
    from .runtime.predict import find_images

    given = [images] if isinstance(images, str | Path) else images
    paths = find_images([Path(image) for image in given])
    session = open_session(open_model(model), runtime=runtime)
    return answered(session, ((str(path), path) for path in paths), top, batch_size)


def answered(
    session: "Runner", images: "Iterable[tuple[str, Path | bytes]]", top: int | None = None, batch_size: int = 32
) -> "Iterator[Prediction]":
    """What an open model says of each (name, file or its content), as its task puts it: `Prediction.answer`.

    `top`: of many classes (boxes, places), how many are told; by default what suits the task.
    """
    from .runtime.predict import predict
    from .tasks import task_type

    task = task_type(session.task)()
    most = task.top if top is None else top
    if most < 1:
        raise UsageError(f"top (={top}) must be at least 1")
    told = predict(session, images, lambda row: task.answer(row, session.labels, session.decoding, most), batch_size)
    return (p if p.size is None else replace(p, answer=task.placed(p.answer, p.size)) for p in told)
