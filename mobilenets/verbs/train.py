"""`mobilenets train`: from images, and a network or a budget, to a trained model with its figures and report."""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..designs import Space
from ..errors import UsageError, WorkError
from ..evaluation import (
    Comparison,
    Evaluated,
    compare_with_sibling,
    default_split,
    evaluate_split,
    find_near_duplicates,
    notes_on_few_images,
    section_of,
    write_page,
)
from ..files import check_place
from ..machine import need_one_process, need_torch
from ..model import Model
from ..opening import open_model
from ..progress import Watch, watching
from .arguments import AnyBudget, AnyNetwork, AnyPreprocess, AnyPretrained, AnyRecipe, AnyTask
from .request import Ready, Request

if TYPE_CHECKING:
    from ..data.near_duplicates import NearDuplicate
    from ..data.sources import Dataset
    from ..training.group import Group
    from ..training.plan import Plan
    from ..training.run import Run
    from ..weights import Given

__all__ = ["Trained", "check_folder", "finish", "plan", "train"]


@dataclass(frozen=True, slots=True, repr=False)
class Trained:
    """A finished run."""

    run: Path
    model: Model
    evaluated: Evaluated
    report: Path
    int8: Comparison | None  # of a run with quantisation-aware training

    def __repr__(self) -> str:
        return f"Trained({str(self.run)!r}, {self.model!r}, {self.evaluated!r})"

    def __str__(self) -> str:
        return f"{self.evaluated}\nmodel: {self.run / 'best.safetensors'}\nreport: {self.report}"

    def figures(self) -> dict[str, Any]:
        """Return the metrics of the task and the median latency in milliseconds."""
        return {**self.evaluated.metrics(), "latency_ms": self.evaluated.latency.median}

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON of `mobilenets train`, whose keys docs/json.md lists."""
        return {
            "run": str(self.run),
            "model": str(self.run / "best.safetensors"),
            "report": str(self.report),
            "network": self.model.name,
            "weights_sha256": self.model.digest(),
            "task": self.model.task,
            **self.evaluated.metrics(),
            "latency_ms": asdict(self.evaluated.latency),
            "near_duplicates": [pair.to_dict() for pair in self.evaluated.near_duplicates or ()],
            **({"int8": self.int8.to_dict()} if self.int8 else {}),
        }


def train(
    data: "str | Path | Dataset",
    network: AnyNetwork = None,
    recipe: AnyRecipe = None,
    *,
    budget: AnyBudget = None,
    space: Space | None = None,
    calibrate: Sequence[str | Path] = (),
    pretrained: AnyPretrained = None,
    given: "Given | None" = None,
    preprocess: AnyPreprocess = None,
    task: AnyTask = None,
    project: str | Path = "runs",
    name: str | None = None,
    log: str | None = None,
    command: str = "",
    watch: Watch | None = None,
) -> Trained:
    """Train a network on labelled images; evaluate its best model, measure its latency and write a report.

    Parameters
    ----------
    data
        Images in any layout that docs/data.md lists, or an opened data set.
    network
        A `Network`, a name such as "0.25-96" or a dictionary of its fields; by default 0.5-128. The classes are those
        of the data.
    recipe
        The training settings: a `Recipe` or a dictionary of its fields.
    budget
        What the network may cost, instead of `network`: `design` then chooses it, within `space`, by an accuracy prior
        that the runs `calibrate` move.
    pretrained
        A trained network to fine-tune: a `Model`, a file, a run folder, or a published name such as "imagenet";
        None or "none": from scratch. `network` then says alpha, height and width, as far as they shall change.
    given
        What the file of `pretrained` does not say of itself.
    preprocess
        A `Preprocess`, or a dictionary of the fields in which it differs from the default or the pretrained one's.
    task
        The task to learn: a `Task`, its name or a dictionary of its name and settings; by default classification.
    project, name
        The run's folder is `name` in the folder `project`; by default it is named after data and network.
    log
        Where the run is logged as well: "tensorboard", "mlflow" or "wandb", see docs/training.md.
    command
        What the report says was typed.
    watch
        Receives the progress, which by default is drawn on a terminal and in a notebook.
    """
    need_torch()
    from ..training.group import joined
    from ..training.logs import check_log

    if log is not None:
        check_log(log)
    asked = Request(data, network, recipe, budget, space, calibrate, pretrained, given, preprocess, task, command)
    with watching(watch) as watch, joined() as group:
        return _train(asked, Path(project), name, log or "", watch, group)


def plan(
    data: "str | Path | Dataset",
    network: AnyNetwork = None,
    recipe: AnyRecipe = None,
    *,
    budget: AnyBudget = None,
    space: Space | None = None,
    calibrate: Sequence[str | Path] = (),
    pretrained: AnyPretrained = None,
    given: "Given | None" = None,
    preprocess: AnyPreprocess = None,
    task: AnyTask = None,
    watch: Watch | None = None,
) -> "Plan":
    """Return what `train` would do with these arguments and how long it would take here; nothing is kept.

    The speed is measured on a few batches. Raises what `train` would raise before its first epoch.
    """
    need_torch()
    need_one_process("dry_run")
    from ..training.plan import plan

    asked = Request(data, network, recipe, budget, space, calibrate, pretrained, given, preprocess, task)
    with watching(watch) as watch:
        ready = asked.prepared(watch)
        return plan(ready.dataset, ready.settings, ready.initial)


def check_folder(project: Path, name: str | None) -> None:
    """Check, before the data are read, that a run folder can be made; `Run.create` checks it again."""
    from ..training.run import taken

    if name is not None and Path(name).name != name:
        raise UsageError(f"name (={name!r}) must be a plain folder name; project says where it lies")
    if name is not None and (project / name).exists():
        raise taken(project / name)
    check_place(project, "project")


def _train(asked: Request, project: Path, name: str | None, log: str, watch: Watch, group: "Group") -> Trained:
    """Train in a new run, or in the one of before where torchrun has started the processes anew."""
    from ..training.run import Run

    before = group.decided(group.remembered)
    if before is None:
        group.decided(lambda: check_folder(project, name))
    dataset = asked.dataset(watch, group)

    def begin() -> Run:
        """Return the run, with every open setting decided and its folder made."""
        if before is not None and Path(before).is_dir():
            watch.note(f"started anew by torchrun: {before} goes on")
            return Run.open(Path(before))
        return _new_run(asked.settled(dataset, watch, group), project, name, log, group)

    run = group.decided(begin)
    try:
        return finish(dataset, run, watch, group=group)
    except (UsageError, WorkError, KeyboardInterrupt):
        if group.rank == 0:
            run.discard_if_empty()
        raise


def _new_run(ready: Ready, project: Path, name: str | None, log: str, group: "Group") -> "Run":
    from ..training.run import Run

    settings = replace(ready.settings, log=log)
    folder = project / (name or f"{ready.dataset.root.stem}-{settings.network.name}")
    run = Run.create(folder, settings, settings.task.outputs(ready.dataset), unique=name is None)
    if ready.initial:
        ready.initial.save(run.initial)
    group.remember(str(run.path.absolute()))
    return run


def finish(
    dataset: "Dataset", run: "Run", watch: Watch, look_for_pairs: bool = True, group: "Group | None" = None
) -> Trained:
    """Train `run` to its end, then evaluate the best model in the runtime that serves it.

    Near-duplicates are searched with `look_for_pairs` only. All processes of `group` must call it; the first evaluates
    and writes.
    """
    from ..training.fit import fit
    from ..training.group import Group
    from ..training.logs import logged

    group = group or Group()
    dataset = replace(dataset, head_config=run.settings.task.head_config(run.settings.network, dataset))
    split = default_split(dataset)
    for note in (*dataset.notes, *notes_on_few_images(dataset, "val", split)):
        watch.note(note)
    pairs = group.decided(lambda: find_near_duplicates(dataset, watch)) if look_for_pairs else ()
    with logged(run, watch) if group.rank == 0 else nullcontext() as log:
        if run.settings.recipe.freeze:
            from ..training.frozen import fit_frozen

            need_one_process("freeze")
            model = fit_frozen(dataset, run, log or watch)
        else:
            model = fit(dataset, run, log or watch, group)
        trained = group.decided(lambda: _evaluated(dataset, run, model, split, pairs, watch))
        if log:
            log.end(trained.figures(), {"model": str(run.best.absolute()), "report": str(run.report.absolute())})
    return trained


def _evaluated(
    dataset: "Dataset", run: "Run", model: Model, split: str, pairs: "tuple[NearDuplicate, ...]", watch: Watch
) -> Trained:
    """Measure the best model, write its figures and the report."""
    from ..runtime import open_session

    opened, max_bad = open_model(run.best), run.settings.recipe.max_bad
    session = open_session(opened.model)
    measured = evaluate_split(opened, session, dataset, split, max_bad=max_bad, watch=watch)
    measured = replace(measured, evaluated=replace(measured.evaluated, near_duplicates=pairs))
    model = replace(model, metrics={**model.metrics, **measured.evaluated.metrics()})
    model.save(run.best)
    comparison = compare_with_sibling(run.best, model, measured)
    write_page(
        run.report, model, measured, run, [*([comparison.section()] if comparison else []), *section_of(pairs, dataset)]
    )
    return Trained(run.path, model, measured.evaluated, run.report, comparison)
