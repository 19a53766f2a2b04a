"""Training, whole: from data and a network, or from a run that was stopped, to the model, its figures and report."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .arch.network import Network
from .assess import Evaluated, default_split, few_images, judge, nearly_equal, report
from .beside import Beside, beside_of
from .errors import DataError, UsageError, WorkError
from .given import network_of, pretrained_of, recipe_of, task_of
from .image import Preprocess
from .machine import need_torch
from .model import Model
from .progress import watching
from .tasks import Task
from .train.recipe import Recipe
from .train.watch import Watch

if TYPE_CHECKING:
    from .data.sources import Dataset
    from .train.plan import Plan
    from .train.run import Run, Settings

__all__ = ["Trained", "plan_training", "resume_run", "train_network"]


@dataclass(frozen=True, slots=True, repr=False)
class Trained:
    """A finished run."""

    run: Path
    model: Model
    evaluated: Evaluated
    report: Path
    int8: Beside | None  # of a run that learned in integers

    def __repr__(self) -> str:
        return f"Trained({str(self.run)!r}, {self.model!r}, {self.evaluated!r})"

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


def train_network(
    data: "str | Path | Dataset",
    network: Network | str | Mapping[str, Any] | None = None,
    recipe: Recipe | Mapping[str, Any] | None = None,
    *,
    preprocess: Preprocess | None = None,
    pretrained: Model | str | Path | None = None,
    task: Task | str | Mapping[str, Any] | None = None,
    runs: str | Path = "runs",
    name: str | None = None,
    command: str = "",
    watch: Watch | None = None,
) -> Trained:
    """Train `network` (its classes are those of the data) and evaluate, measure and report the best model.

    `task` (default: classification) says what is learned, see `tasks`.
    With `pretrained` this trained network is fine-tuned; `network` then says alpha and resolution (None: as they are),
    all else is the trained one's.
    The command line's forms are taken too: `network` "0.25-96", `task` "detect", `pretrained` "imagenet" or a path; and
    dictionaries of the fields of `Network`, `Recipe` and of a task (with its "name").
    `watch` is told what goes on; by default that is drawn on a terminal and in a notebook.
    Makes a new folder under `runs`: `name`, or data and network with a number where that exists.
    """
    need_torch()
    with watching(watch) as watch:
        ready = _ready(data, network, recipe, preprocess, pretrained, task, command, watch)
        return _start(ready, Path(runs), name, watch)


def plan_training(
    data: "str | Path | Dataset",
    network: Network | str | Mapping[str, Any] | None = None,
    recipe: Recipe | Mapping[str, Any] | None = None,
    *,
    preprocess: Preprocess | None = None,
    pretrained: Model | str | Path | None = None,
    task: Task | str | Mapping[str, Any] | None = None,
    watch: Watch | None = None,
) -> "Plan":
    """Return what `train_network` would do with these arguments and how long it would take here; nothing is kept.

    Its speed is measured on a few batches. Raises what `train_network` would raise before its first epoch.
    """
    need_torch()
    from .train.plan import plan

    with watching(watch) as watch:
        ready = _ready(data, network, recipe, preprocess, pretrained, task, "", watch)
        return plan(ready.dataset, ready.settings, ready.initial)


@dataclass(frozen=True, slots=True)
class _Ready:
    """All that a run is started with."""

    dataset: "Dataset"
    settings: "Settings"
    initial: Model | None  # what fine-tuning starts from


def _ready(
    data: "str | Path | Dataset",
    network: Network | str | Mapping[str, Any] | None,
    recipe: Recipe | Mapping[str, Any] | None,
    preprocess: Preprocess | None,
    pretrained: Model | str | Path | None,
    task: Task | str | Mapping[str, Any] | None,
    command: str,
    watch: Watch,
) -> _Ready:
    """Check the arguments, read the data and answer every open setting."""
    from .data.sources import Dataset
    from .tasks.classify import Classify
    from .train.device import find_device, resolve
    from .train.run import Settings

    chosen, wishes, learned = network_of(network), recipe_of(recipe), task_of(task)
    start = pretrained_of(pretrained, chosen, watch)
    wishes.check(fine_tuning=start is not None)
    find_device(wishes.device)
    dataset = data if isinstance(data, Dataset) else learned.for_training(learned.open(data, max_bad=wishes.max_bad))
    if wishes.freeze and learned.name != Classify.name:
        raise UsageError(f"freeze trains a classifier, the task is {learned.name}")
    initial = _initial(start, chosen, learned, dataset, watch) if start else None
    if initial:
        chosen, preprocess = initial.network, preprocess or initial.preprocess
        _tell_colours(chosen, dataset, watch)
    chosen = learned.configure_network(chosen or Network(), dataset)
    preprocess = learned.configure_preprocessing(preprocess or Preprocess(chosen.height, chosen.width, chosen.channels))
    answered = resolve(wishes, chosen.alpha, fine_tuning=initial is not None)
    source = str(initial.data.get("imported", {}).get("file", initial.name)) if initial else ""
    settings = Settings(str(dataset.root.absolute()), chosen, preprocess, answered, command, source, learned)
    return _Ready(dataset, settings, initial)


def _tell_colours(network: Network, dataset: "Dataset", watch: Watch) -> None:
    """Say where a trained network sees photos otherwise than they are."""
    from .data.sources import in_colour

    coloured = in_colour(dataset)
    if network.channels == 1 and coloured:
        watch.note("the photos have colours, and the network takes one grey channel: they are converted to grey")
    elif network.channels == 3 and not coloured:
        watch.note("the photos are grey, and the network takes three channels: grey is repeated in all three")


def _start(ready: _Ready, runs: Path, name: str | None, watch: Watch) -> Trained:
    from .train.run import Run

    dataset, settings = ready.dataset, ready.settings
    folder = runs / (name or f"{dataset.root.stem}-{settings.network.name}")
    run = Run.create(folder, settings, settings.task.outputs(dataset), unique=name is None)
    if ready.initial:
        ready.initial.save(run.initial)
    try:
        return _run(dataset, run, watch)
    except (UsageError, WorkError, KeyboardInterrupt):
        run.discard_if_empty()
        raise


def _initial(pretrained: Model, network: Network | None, task: Task, dataset: "Dataset", watch: Watch) -> Model:
    """What fine-tuning starts from; the watcher hears which channels were kept."""
    from .weights import transfer

    wanted = task.configure_network(network or pretrained.network, dataset)
    moved = transfer(pretrained, wanted, task.outputs(dataset))
    watch.note(moved.note)
    return replace(moved.model, task=task.name)


def resume_run(
    path: str | Path, watch: Watch | None = None, *, data: str | Path | None = None, epochs: int | None = None
) -> Trained:
    """Go on with a run that was stopped or killed, to the weights that it would have reached.

    `data` says where its data set lies now, where that has moved. `epochs` extends the run to so many epochs in all:
    the learning rate goes on as a run of that length has it from there.
    Raises `TrainingError` where there is no such run or its data are other ones, and `UsageError` where `epochs` is
    below what was asked before or the run cannot be extended.
    """
    need_torch()
    from .train.run import Run

    run = Run.open(Path(path))
    task = run.settings.task
    root = Path(data or run.settings.data)
    if not root.exists():
        raise DataError(f"{root}: the data of {path} are not there; where they have moved: --resume {path} DATA")
    if epochs is not None:
        run = run.extended(epochs)
    with watching(watch) as watch:
        if epochs is None and run.finished:
            watch.note(f"{path} has finished; to extend it: --resume {path} --epochs N, above {run.epochs_done}")
        run.remove_left_over()
        dataset = task.for_training(task.open(root, max_bad=run.settings.recipe.max_bad))
        return _run(dataset, run.moved(root), watch)


def _run(dataset: "Dataset", run: "Run", watch: Watch) -> Trained:
    """Train to the end, then judge the best model in the runtime that will serve it."""
    if run.settings.recipe.freeze:
        from .train.frozen import fit_frozen as fit
    else:
        from .train.fit import fit
    dataset = replace(dataset, head_config=run.settings.task.head_config(run.settings.network, dataset))
    judged_on = default_split(dataset)
    for note in (*dataset.notes, *few_images(dataset, "val", judged_on)):
        watch.note(note)
    equal = nearly_equal(dataset, watch)
    model = fit(dataset, run, watch)
    judged = judge(run.best, dataset, judged_on, run.settings.recipe.max_bad, 1, watch.decoded)
    model = replace(model, metrics={**model.metrics, **judged.evaluated.metrics()})
    model.save(run.best)
    beside = beside_of(run.best, model, judged)
    report(run.report, model, judged, run, [*([beside.section()] if beside else []), *equal])
    return Trained(run.path, model, judged.evaluated, run.report, beside)
