"""`mobilenets train`: from its flags to the arguments of the verbs `train`, `plan` and `resume`."""

import shlex
import sys
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from ..arch.zoo import DEFAULT
from ..devices import DEVICES
from ..errors import UsageError
from ..image import Preprocess
from ..tasks import TASKS
from ..training.logs import LogName
from ..training.recipe import Recipe
from ..verbs.arguments import FROM_SCRATCH
from .options import TRAINING, BudgetFlags, ImageFlags, Json, NetworkFlags
from .task_flags import TaskFlags, task_of

if TYPE_CHECKING:
    from ..designs import Budget
    from ..progress import Bars
    from ..tasks import Task
    from ..training.plan import Plan
    from ..verbs.train import Trained

__all__ = ["train"]


@dataclass(frozen=True, slots=True)
class _RecipeFlags(Recipe):
    """The recipe, whose device may also be the microcontroller that a budget is of."""

    device: str = "auto"
    """auto (a GPU if there is one), cpu, cuda, cuda:N, mps. With a budget also a microcontroller such as cortex-m4, of
    which --max-ram, --max-flash and --max-latency then are."""

    def __post_init__(self) -> None:
        _ = self.recipe

    @property
    def recipe(self) -> Recipe:
        """Return the recipe without the microcontroller."""
        values = {field.name: getattr(self, field.name) for field in fields(Recipe)}
        return Recipe(**{**values, "device": "auto"} if self.microcontroller else values)

    @property
    def microcontroller(self) -> str | None:
        """Return the microcontroller that is given as the device."""
        return self.device if self.device in DEVICES else None


RecipeFlags = Annotated[_RecipeFlags, Parameter(name="*", group=TRAINING)]
_HINT = (
    "trained from scratch; with --pretrained imagenet it would start from a network that has learned from a million "
    "photos (flowers, 0.25-128, 20 epochs: 90.9% instead of 70.7%): docs/pretrained.md"
)
_PROJECT = Path("runs")
_NETWORK, _BUDGET, _RECIPE, _TASK, _IMAGE = NetworkFlags(), BudgetFlags(), Recipe(), TaskFlags(), ImageFlags()
_FLAGS = _RecipeFlags()
_BARE = ("classify", _NETWORK, _BUDGET, _IMAGE)  # neither a network nor a budget is given


def train(
    data: Path | None = None,
    *,
    task: Annotated[str, Parameter(help=f"The task: {', '.join(TASKS)}.")] = "classify",
    network: NetworkFlags = _NETWORK,
    image: ImageFlags = _IMAGE,
    budget: BudgetFlags = _BUDGET,
    recipe: RecipeFlags = _FLAGS,
    settings: TaskFlags = _TASK,  # type: ignore[valid-type]
    pretrained: str | None = None,
    resume: Path | None = None,
    calibrate: Annotated[tuple[Path, ...], Parameter(consume_multiple=True, negative=())] = (),
    search: str | None = None,
    name: str | None = None,
    project: Path = _PROJECT,
    log: LogName | None = None,
    dry_run: Json = False,
    json: Json = False,
) -> None:
    """Train a network on labelled images, given by --alpha and --img-size or by a budget (--max-...).

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
        A run folder to go on with, which holds its settings. DATA says where the data have moved to, and --epochs
        extends the run.
    calibrate
        With a budget: your run folders, whose top-1 moves the accuracy prior, or the folder of a sweep.
    search
        With a budget: train several networks that fit in this time, such as 1h, by successive halving; keep the best.
    name
        Of the run folder; by default data and network, with a number where that exists.
    project
        Where run folders are made.
    log
        Log the run there as well, by the library's own environment variables (docs/training.md).
    dry_run
        Print what would be trained, on which data and for how long, measured on a few batches; write nothing.
    json
        Print one JSON object and nothing else.
    """
    from ..machine import first_process, need_torch
    from ..progress import Bars
    from ..verbs.resume import resume as go_on
    from ..verbs.train import Trained
    from . import show

    if data is None and resume is None:
        raise UsageError("train needs DATA, or --resume RUN")
    request = _Request(task, settings, network, image, budget, recipe.recipe, pretrained, calibrate, name, project)
    request = replace(request, device=recipe.microcontroller, search=search, log=log)
    if dry_run and search is not None:
        raise UsageError("--dry-run is of one network: leave out --search")
    if dry_run and resume is not None:
        raise UsageError("--dry-run is of new runs: leave out --resume")
    if resume is not None:
        request.check_resumed()
    else:
        request = request.checked()
    need_torch()
    from ..training.device import find_device

    find_device(request.recipe.device)
    with Bars() as bars:
        if resume is not None:
            done: Trained | Plan = go_on(resume, data, recipe.epochs, watch=bars)
        else:
            assert data is not None
            done = _train(data, request, bars, dry_run)
    if not first_process():
        return
    show.trained(done, json) if isinstance(done, Trained) else show.planned(done, json)


@dataclass(frozen=True, slots=True)
class _Request:
    """All flags of `train` except the data, the run to resume and --json."""

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
    found: bool = False  # `pretrained` was not asked for, it lies on this machine
    device: str | None = None  # the microcontroller that the budget is of
    search: str | None = None  # the time for several networks
    log: LogName | None = None

    def check_resumed(self) -> None:
        """Raise `UsageError` for a flag that contradicts the settings in the run's folder."""
        kept = (self.task, self.settings, replace(self.recipe, epochs=None), self.network, self.image, self.budget)
        given = (*kept, self.pretrained, self.device, self.search, self.log)
        if given != ("classify", _TASK, _RECIPE, _NETWORK, _IMAGE, _BUDGET, None, None, None, None):
            raise UsageError("--resume keeps the settings that the run was started with: give no others but --epochs")
        if self.name is not None or self.project != _PROJECT or self.calibrate:
            raise UsageError("--resume goes on in the run's own folder: leave out --name, --project and --calibrate")

    def checked(self) -> "_Request":
        """Return the request with its pretrained network; `UsageError` for flags that contradict each other.

        What can be checked is checked before the data are read.
        """
        from ..weights import check_pretrained

        request = replace(self, **self._start())
        self.recipe.check(fine_tuning=request.pretrained is not None)
        if request.pretrained is not None and _made(self.network) != _made(_NETWORK):
            raise UsageError(
                "--pretrained: of the network only --alpha and --img-size can be given, and --activation and --padding "
                "where its file does not state them: all else is as it was trained"
            )
        if request.pretrained is not None:
            check_pretrained(request.pretrained)
        if request.search is not None:
            request.check_searched()
        self.image.image_settings()
        _ = self.network.space(2) if self.bounds else self.network.network(2)
        fitted = self.learned.configure_preprocessing(self.image.changed(Preprocess(32, 32)))
        if self.image.changed(fitted) != fitted:
            raise UsageError(
                f"task {self.task} needs --fit {fitted.fit}, which shows all of each image: leave out --fit and --crop"
            )
        return request

    def check_searched(self) -> None:
        """Raise `UsageError` for a flag that a search of several networks does not take."""
        if not self.bounds:
            raise UsageError("--search trains several networks that fit a budget: give one (--max-...)")
        if self.pretrained is not None or self.task != "classify" or self.device is not None:
            raise UsageError("--search trains classifiers from scratch: leave out --pretrained, --task and --device")

    def _start(self) -> dict[str, Any]:
        """Return what is fine-tuned: by default a published network that lies on this machine, if any does."""
        if self.pretrained == FROM_SCRATCH:
            return {"pretrained": None}
        if self.pretrained is None and (self.task, self.network, self.budget, self.image) == _BARE:
            found = _at_hand()
            return {"pretrained": found, "found": found is not None}
        return {}

    def arguments(self) -> dict[str, Any]:
        """Return the arguments of `verbs.train`."""
        flags, network = self.network, None
        if not self.bounds:
            network = flags.network() if self.pretrained is None else flags.shape()
        return {
            "network": network,
            "recipe": self.recipe,
            "budget": self.bounds,
            "space": flags.space(2) if self.bounds else None,
            "calibrate": self.calibrate,
            "pretrained": self.pretrained,
            "given": replace(self.image.image_settings(), activation=flags.activation, padding=flags.padding),
            "preprocess": self.image.changes(),
            "task": self.learned,
        }

    @property
    def learned(self) -> "Task":
        return task_of(self.task, self.settings)

    @property
    def bounds(self) -> "Budget | None":
        if self.device and not self.budget.given:
            raise UsageError(f"--device {self.device} needs a budget: --max-ram, --max-flash, --max-latency or others")
        return self.budget.budget(self.device) if self.budget.given or self.budget.clock else None


def _train(data: Path, request: _Request, bars: "Bars", dry_run: bool) -> "Trained | Plan":
    from ..verbs.train import plan, train

    if request.found:
        bars.note(f"fine-tunes {request.pretrained}, which is on this machine; from scratch: --pretrained none")
    what = request.arguments()
    if dry_run:
        return plan(data, **what, watch=bars)
    if request.search is not None:
        return _search(data, request, what, bars)
    place: dict[str, Any] = {"project": request.project, "name": request.name, "log": request.log}
    trained = train(data, **what, **place, command=_command(), watch=bars)
    if request.pretrained is None and request.task == "classify":
        bars.note(_HINT)
    return trained


def _search(data: Path, request: _Request, what: dict[str, Any], bars: "Bars") -> "Trained":
    from ..verbs.train_search import train_search

    taken = ("budget", "recipe", "space", "calibrate", "preprocess")
    return train_search(
        data,
        search=request.search or "",
        **{name: what[name] for name in taken},
        project=request.project,
        name=request.name,
        log=request.log,
        command=_command(),
        watch=bars,
    )


def _at_hand() -> str | None:
    """Return the name of the published network on this machine that is nearest to the default, if there is one."""
    from ..weights import at_hand

    published = at_hand(DEFAULT.alpha, DEFAULT.height)
    return published.name if published else None


def _made(flags: NetworkFlags) -> NetworkFlags:
    """Return `flags` without those that can be given for a trained network."""
    return replace(flags, model=None, family=(), alpha=None, img_size=None, activation=None, padding=None)


def _command() -> str:
    return shlex.join(["mobilenets", *sys.argv[1:]])
