"""`mobilenets train`: from its flags to the network that is trained and to what it starts from."""

import os
import shlex
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from ..errors import UsageError, printable
from ..image import Preprocess
from ..tasks import TASKS
from ..train.recipe import Recipe
from ..train.watch import Watch
from .options import (
    DEFAULT_ALPHA,
    DEFAULT_SIZE,
    TRAINING,
    BudgetFlags,
    ImageFlags,
    Json,
    NetworkFlags,
    image_size,
)
from .task_flags import TaskFlags, task_of

if TYPE_CHECKING:
    from ..api import Trained
    from ..arch import Network
    from ..data.sources import Dataset
    from ..design import Budget, Space
    from ..model import Model
    from ..progress import Bars
    from ..tasks import Task
    from ..train.plan import Plan

__all__ = ["space_of", "train"]

RecipeFlags = Annotated[Recipe, Parameter(name="*", group=TRAINING)]
FROM_SCRATCH = "none"
_HINT = (
    "trained from scratch; with --pretrained imagenet it would start from a network that has learned from a million "
    "photos (flowers, 0.25-128, 20 epochs: 90.9% instead of 70.7%): docs/pretrained.md"
)
_PROJECT = Path("runs")
_NETWORK, _BUDGET, _RECIPE, _TASK, _IMAGE = NetworkFlags(), BudgetFlags(), Recipe(), TaskFlags(), ImageFlags()
_BARE = ("classify", _NETWORK, _BUDGET, _IMAGE)  # neither a network nor a budget is given


def train(
    data: Path | None = None,
    *,
    task: Annotated[str, Parameter(help=f"What is learned: {', '.join(TASKS)}.")] = "classify",
    network: NetworkFlags = _NETWORK,
    image: ImageFlags = _IMAGE,
    budget: BudgetFlags = _BUDGET,
    recipe: RecipeFlags = _RECIPE,
    settings: TaskFlags = _TASK,  # type: ignore[valid-type]
    pretrained: str | None = None,
    resume: Path | None = None,
    calibrate: Annotated[tuple[Path, ...], Parameter(consume_multiple=True, negative=())] = (),
    name: str | None = None,
    project: Path = _PROJECT,
    dry_run: Json = False,
    json: Json = False,
) -> None:
    """Train a network on labelled images, given outright (--alpha, --img-size) or by a budget (--max-...).

    Parameters
    ----------
    data
        A folder per class (with or without train/ val/ test/) or with metadata.csv, a CSV (path,label), Parquet, .tar
        shards.
    pretrained
        Fine-tune a trained network: imagenet (the published one nearest to alpha and image size, downloaded once), a
        name such as keras/0.25-128, or a file or run folder; none: from scratch. Where neither a network nor a budget
        is given, a published network that was downloaded before is taken. A file is taken at its own alpha and size
        unless --alpha, --img-size or a budget say otherwise.
    resume
        A run folder to go on with; it remembers its data and settings. DATA says where the data have moved to, and
        --epochs extends the run.
    calibrate
        With a budget: run folders of yours that move the accuracy prior.
    name
        Of the run folder; by default data and network, with a number where that exists.
    project
        Where run folders are made.
    dry_run
        Say what would be trained, on what and for how long, by a few batches; leave nothing behind.
    json
        Print one JSON object and nothing else.
    """
    from ..api import Trained, resume_run
    from ..machine import need_torch
    from ..progress import Bars
    from . import show

    if data is None and resume is None:
        raise UsageError("train needs DATA, or --resume RUN")
    request = _Request(task, settings, network, image, budget, recipe, pretrained, calibrate, name, project)
    if dry_run and resume is not None:
        raise UsageError("--dry-run is of new runs: leave out --resume")
    if resume is not None:
        request.check_resumed()
    else:
        request = request.checked()
    need_torch()
    from ..train.device import find_device

    find_device(recipe.device)
    with Bars() as bars:
        if resume is not None:
            done: Trained | Plan = resume_run(resume, bars, data=data, epochs=recipe.epochs)
        else:
            assert data is not None
            done = _train(data, request, bars, dry_run)
    show.trained(done, json) if isinstance(done, Trained) else show.planned(done, json)


@dataclass(frozen=True, slots=True)
class _Request:
    """All flags of `train` but the data, the run to resume and the form of the answer."""

    task: str
    settings: Any
    network: NetworkFlags
    image: ImageFlags
    budget: BudgetFlags
    recipe: Recipe
    pretrained: str | None
    calibrate: tuple[Path, ...]
    name: str | None
    project: Path
    found: bool = False  # `pretrained` was not asked for: it is on this machine

    def check_resumed(self) -> None:
        """Raise `UsageError` for a flag that says something of a run which only its folder can say."""
        kept = (self.task, self.settings, replace(self.recipe, epochs=None), self.network, self.image, self.budget)
        if (*kept, self.pretrained) != ("classify", _TASK, _RECIPE, _NETWORK, _IMAGE, _BUDGET, None):
            raise UsageError("--resume keeps the settings that the run was started with: give no others but --epochs")
        if self.name is not None or self.project != _PROJECT or self.calibrate:
            raise UsageError("--resume goes on in the run's own folder: leave out --name, --project and --calibrate")

    def checked(self) -> "_Request":
        """Return the request with what it starts from; `UsageError` for flags that contradict each other.

        What cannot be is said before the data are read.
        """
        from ..weights import check_pretrained

        request = replace(self, **self._start())
        self.recipe.check(fine_tuning=request.pretrained is not None)
        _check_folder(self.project, self.name)
        if request.pretrained is not None and _made(self.network) != _made(_NETWORK):
            raise UsageError(
                "--pretrained: of the network only --alpha and --img-size can be said, and --activation and --padding "
                "that its file does not say: all else is as it was trained"
            )
        if request.pretrained is not None:
            check_pretrained(request.pretrained)
        self.image.said()
        _ = self.network.space(2) if self.bounds else self.network.network(2)
        fitted = self.learned.configure_preprocessing(self.image.changed(Preprocess(32, 32)))
        if self.image.changed(fitted) != fitted:
            raise UsageError(
                f"task {self.task} sees images by --fit {fitted.fit}, all of each: leave out --fit and --crop"
            )
        return request

    def _start(self) -> dict[str, Any]:
        """Return what is fine-tuned: what was asked for, or where no network is given one that is at hand."""
        if self.pretrained == FROM_SCRATCH:
            return {"pretrained": None}
        if self.pretrained is None and (self.task, self.network, self.budget, self.image) == _BARE:
            found = _at_hand()
            return {"pretrained": found, "found": found is not None}
        return {}

    @property
    def learned(self) -> "Task":
        return task_of(self.task, self.settings)

    @property
    def bounds(self) -> "Budget | None":
        return self.budget.budget() if self.budget.given else None


def _train(data: Path, request: _Request, bars: "Bars", dry_run: bool) -> "Trained | Plan":
    from ..api import plan_training, train_network

    learned, dataset = request.learned, _opened(data, request, bars)
    if request.bounds:
        fine_tuning = request.pretrained is not None
        chosen = _designed(request.network, request.bounds, learned, dataset, request.calibrate, bars, fine_tuning)
    else:
        chosen = request.network.network(len(dataset.labels))
    start = None
    if request.pretrained is not None:
        fixed = request.bounds is None
        start, chosen = _pretrained(request.pretrained, request.network, request.image, chosen, fixed, watch=bars)
    preprocess = _prepared(request.image, chosen, start)
    if dry_run:
        return plan_training(
            dataset, chosen, request.recipe, preprocess=preprocess, pretrained=start, task=learned, watch=bars
        )
    trained = train_network(
        dataset,
        chosen,
        request.recipe,
        preprocess=preprocess,
        pretrained=start,
        task=learned,
        runs=request.project,
        name=request.name,
        command=_command(),
        watch=bars,
    )
    if start is None and request.task == "classify":
        bars.note(_HINT)
    return trained


def _opened(data: Path, request: _Request, bars: "Bars") -> "Dataset":
    """Return the data set, and say what it holds and what is going to be trained on it."""
    from ..data.rows import listed

    learned = request.learned
    dataset = learned.for_training(learned.open(data, max_bad=request.recipe.max_bad))
    sizes = ", ".join(f"{len(samples):,} {split}" for split, samples in dataset.splits.items())
    bars.note(f"{data}: {len(dataset.labels)} {learned.label_noun}, {sizes} images")
    bars.note(f"{learned.label_noun}: {listed([printable(label) for label in dataset.labels], 10)}")
    if request.found:
        bars.note(f"fine-tunes {request.pretrained}, which is on this machine; from scratch: --pretrained none")
    return dataset


def _at_hand() -> str | None:
    """Return the name of the published network that is on this machine and nearest to the default, if any is."""
    from ..weights import at_hand

    published = at_hand(DEFAULT_ALPHA, int(DEFAULT_SIZE))
    return published.name if published else None


def _made(flags: NetworkFlags) -> NetworkFlags:
    """All that no trained network can be asked to change."""
    return replace(flags, model=None, alpha=None, img_size=None, activation=None, padding=None)


def _prepared(image: ImageFlags, network: "Network", start: "Model | None") -> Preprocess:
    """How images become the input of `network`: as `start` takes them, and as the flags say."""
    height, width, channels = network.height, network.width, network.channels
    if start is None:
        return image.changed(Preprocess(height, width, channels))
    return image.changed(replace(start.preprocess, height=height, width=width, channels=channels))


def _pretrained(
    name: str, flags: NetworkFlags, image: ImageFlags, chosen: "Network", fixed: bool, watch: Watch
) -> "tuple[Model, Network]":
    """The trained network, and what is to become of it: `chosen`, or where no flag says so itself."""
    from ..weights import open_pretrained

    imported = open_pretrained(
        name,
        chosen.alpha,
        chosen.height,
        replace(image.said(), activation=flags.activation, padding=flags.padding),
        progress=watch.downloaded,
        note=watch.note,
        body_only=True,
        size=image_size(flags.img_size) if flags.img_size else None,
    )
    trained = imported.model.network
    for setting in ("activation", "padding"):
        said, has = getattr(flags, setting), getattr(trained, setting)
        if said not in (None, has):
            raise UsageError(f"--{setting} {said}: the trained network has {has}")
    source = imported.model.data.get("imported", {})
    watch.note(f"pretrained: {source.get('published') or name} ({trained.name})")
    imported.tell(watch.note)
    own = trained
    if not fixed or flags.alpha is not None or flags.model is not None:
        own = own.replace(alpha=chosen.alpha)
    if not fixed or flags.img_size is not None or flags.model is not None or name == "imagenet":
        own = own.replace(height=chosen.height, width=chosen.width)
    return imported.model, own


def _designed(
    flags: NetworkFlags,
    budget: "Budget",
    task: "Task",
    dataset: "Dataset",
    calibrate: tuple[Path, ...],
    watch: Watch,
    fine_tuning: bool,
) -> "Network":
    from ..api import design_network
    from ..arch.network import BODY

    space = space_of(flags, dataset)
    space = replace(space, base=task.configure_network(space.base, dataset))
    if fine_tuning:  # nobody publishes a shallow one
        space = replace(space, depths=(BODY,))
    design = design_network(budget, space, calibrate=calibrate)
    watch.note(f"design: {design.reason}")
    return design.choice.network


def _check_folder(project: Path, name: str | None) -> None:
    """Check before the data are read that a run folder can be made; `Run.create` asks again."""
    from ..train.run import taken

    if name is not None and Path(name).name != name:
        raise UsageError(f"--name {name!r} must be a plain folder name; --project says where it goes")
    if name is not None and (project / name).exists():
        raise taken(project / name)
    there = next(folder for folder in (project, *project.absolute().parents) if folder.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        raise UsageError(f"--project {project}: {there} is {'not writable' if there.is_dir() else 'no folder'}")


def _command() -> str:
    return shlex.join(["mobilenets", *sys.argv[1:]])


def space_of(flags: NetworkFlags, dataset: "Dataset") -> "Space":
    """Where a search for these data may look: inputs up to twice the photos' size, since more adds nothing."""
    from ..data.sources import typical_short_side

    return flags.space(len(dataset.labels), max(64, 2 * typical_short_side(dataset)))
