"""`mobilenets sweep`: many networks trained under one recipe, in one folder, and their comparison."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..arch.network import Network
from ..cluster import is_url
from ..cluster.ray import check_cluster
from ..designs import is_sweep
from ..errors import DataError, UsageError
from ..files import check_place, make_folder
from ..machine import need_one_process, need_torch, need_torchvision
from ..progress import Watch, watching
from ..sweeps import REPORT, RESULTS, Row, SweepPlan, collect
from ..tasks.classify import Classify
from ..text import counted
from .arguments import AnyNetwork, AnyPreprocess, AnyRecipe, network_of, recipe_of, seconds_of
from .sweep_plan import Wanted, planned
from .trial import open_data
from .trials import run_trials

if TYPE_CHECKING:
    from ..data.sources import Dataset

__all__ = ["Swept", "open_for_sweep", "plan_sweep", "resume_sweep", "stem_of", "sweep", "unused"]


@dataclass(frozen=True, slots=True)
class Swept:
    """A sweep whose trials are all done, stopped or failed."""

    folder: Path
    plan: SweepPlan
    rows: tuple[Row, ...]

    @property
    def report(self) -> Path:
        """Return the path of the report."""
        return self.folder / REPORT

    def __str__(self) -> str:
        count = {state: sum(row.state == state for row in self.rows) for state in ("done", "stopped", "failed")}
        said = [f"{number} {state}" for state, number in count.items() if number or state == "done"]
        left = f", {len(self.plan.left_out)} left out" if self.plan.left_out else ""
        return f"{len(self.rows)} trials: {', '.join(said)}{left}\nresults: {self.folder / RESULTS}" + (
            f"\nreport: {self.report}"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON of `mobilenets sweep`, whose keys docs/json.md lists."""
        return {
            "sweep": str(self.folder),
            "report": str(self.report),
            "left_out": [asdict(one) for one in self.plan.left_out],
            "trials": [asdict(row) for row in self.rows],
        }


def sweep(
    data: "str | Path | Dataset",
    networks: AnyNetwork | Sequence[AnyNetwork],
    recipe: AnyRecipe = None,
    *,
    seeds: int | Sequence[int] = 1,
    preprocess: AnyPreprocess = None,
    peers: bool = False,
    halving: bool = False,
    time: float | str | None = None,
    jobs: int = 0,
    cluster: str | None = None,
    out: str | Path | None = None,
    log: str | None = None,
    command: str = "",
    watch: Watch | None = None,
) -> Swept:
    """Train every network with every seed under one recipe; write their results and the report.

    Parameters
    ----------
    data
        Images in any layout that docs/data.md lists, or an opened data set.
    networks
        One or several of a `Network`, a name such as "0.25-96" and a dictionary of its fields. The classes are those of
        the data.
    recipe
        The training settings of all trials: a `Recipe` or a dictionary of its fields.
    seeds
        Trials of each network, with the seeds from that of the recipe on: one number for all, or one for each.
    preprocess
        A dictionary of the fields of `Preprocess` in which the trials differ from the default.
    peers
        Train GoogLeNet, VGG 16, SqueezeNet and AlexNet of torchvision as well, at the largest size, with one seed.
    halving
        Stop networks early that others beat at no more cost, see docs/sweeps.md.
    time
        Plan no more trials than fit in this time, such as "2h", by speeds measured here; the others are left out.
    jobs
        Trials at a time, each in a process; 0: as many as the cores have room for.
    cluster
        Train the trials on the Ray cluster at this address, or "local": each is a task of as many cores as it has
        replicas, of a GPU where its device is one. A trial whose node dies goes on from its last checkpoint on another.
        All nodes must see `data` and `out` at the same paths.
    out
        The sweep's folder, which must be new; by default named after the data, in `sweeps`.
    log
        Where each trial is logged as well, as a run: as of `train`.
    """
    need_torch()
    need_one_process("sweep")
    _check_cluster(cluster, jobs)
    wanted = _wanted(networks, recipe, seeds, preprocess, peers, halving, time, jobs, command, log)
    with watching(watch) as watch:
        folder = _new_folder(out, data)
        dataset = open_for_sweep(data, wanted.recipe.max_bad, watch)
        plan = planned(wanted, dataset, watch)
        make_folder(folder, "out")
        plan.save(folder)
        return _swept(plan, folder, dataset, jobs, watch, cluster)


def plan_sweep(
    data: "str | Path | Dataset",
    networks: AnyNetwork | Sequence[AnyNetwork],
    recipe: AnyRecipe = None,
    *,
    seeds: int | Sequence[int] = 1,
    preprocess: AnyPreprocess = None,
    peers: bool = False,
    halving: bool = False,
    time: float | str | None = None,
    jobs: int = 0,
    watch: Watch | None = None,
) -> SweepPlan:
    """Return the trials that `sweep` would run with these arguments, with their times, measured on a few batches."""
    need_torch()
    need_one_process("sweep")
    wanted = _wanted(networks, recipe, seeds, preprocess, peers, halving, time, jobs, "")
    with watching(watch) as watch:
        return planned(wanted, open_for_sweep(data, wanted.recipe.max_bad, watch), watch, timed=True)


def resume_sweep(
    folder: str | Path,
    data: str | Path | None = None,
    *,
    jobs: int = 0,
    cluster: str | None = None,
    watch: Watch | None = None,
) -> Swept:
    """Go on with a sweep that was stopped or killed: finished trials are kept, the others go on to the same weights.

    `data` says where its data set lies now, if it was moved; `jobs` and `cluster` are as of `sweep`.
    """
    need_torch()
    need_one_process("sweep")
    _check_cluster(cluster, jobs)
    folder = Path(folder)
    plan = SweepPlan.open(folder)
    plan = plan.moved(Path(data)) if data is not None else plan
    if any(trial.settings.peer for trial in plan.trials):
        need_torchvision()
    if not Path(plan.data).exists():
        where = f"where they have moved: --resume {folder} DATA"
        raise DataError(f"{plan.data}: the data of {folder} are not there; {where}")
    with watching(watch) as watch:
        dataset = open_data(plan)
        done = sum(row.state == "done" for row in collect(plan, folder))
        watch.note(f"{folder}: {done} of {counted(len(plan.trials), 'trial')} done already")
        plan.save(folder)
        return _swept(plan, folder, dataset, jobs, watch, cluster)


def _check_cluster(cluster: str | None, jobs: int) -> None:
    if cluster is not None and jobs:
        raise UsageError(f"jobs (={jobs}) is of this machine: the cluster (={cluster}) runs as many as it has room for")
    if cluster is not None:
        check_cluster(cluster)


def _wanted(
    networks: AnyNetwork | Sequence[AnyNetwork],
    recipe: AnyRecipe,
    seeds: int | Sequence[int],
    preprocess: AnyPreprocess,
    peers: bool,
    halving: bool,
    time: float | str | None,
    jobs: int,
    command: str,
    log: str | None = None,
) -> Wanted:
    """Return the arguments by their types; `UsageError` for those that are none."""
    several = [networks] if isinstance(networks, Network | str | Mapping) else networks or []
    made = [network for network in map(network_of, several) if network is not None]
    each = [seeds] * len(made) if isinstance(seeds, int) else list(seeds)
    return Wanted(
        networks=tuple(zip(made, each, strict=True)),
        recipe=recipe_of(recipe),
        preprocess=preprocess,
        peers=peers,
        halving=halving,
        seconds=None if time is None else seconds_of(time, "time"),
        jobs=jobs,
        command=command,
        log=log,
    )


def _swept(plan: SweepPlan, folder: Path, dataset: "Dataset", jobs: int, watch: Watch, cluster: str | None) -> Swept:
    return Swept(folder, plan, tuple(run_trials(plan, folder, dataset, jobs, watch, cluster)))


def open_for_sweep(data: "str | Path | Dataset", max_bad: float, watch: Watch) -> "Dataset":
    """Return the data set, after notes on what it holds."""
    from ..data.sources import Dataset
    from ..evaluation import find_near_duplicates

    if isinstance(data, Dataset):
        return data
    task = Classify()
    dataset = task.for_training(task.open(Path(data), max_bad=max_bad))
    sizes = ", ".join(f"{len(samples):,} {split}" for split, samples in dataset.splits.items())
    watch.note(f"{data}: {len(dataset.labels)} {task.label_noun}, {sizes} images")
    for note in dataset.notes:
        watch.note(note)
    find_near_duplicates(dataset, watch)
    return dataset


def _new_folder(out: str | Path | None, data: "str | Path | Dataset") -> Path:
    """Return the folder of a new sweep; `UsageError` where it exists."""
    if out is not None:
        if is_url(out):
            raise UsageError(f"out (={out}) must be a path that all nodes see, such as of NFS: URLs keep no checkpoint")
        folder = Path(out)
        if folder.exists():
            raise UsageError(f"out (={folder}) exists: choose another{', or --resume it' if is_sweep(folder) else ''}")
    else:
        folder = unused(Path("sweeps") / stem_of(data))
    check_place(folder, "out")
    return folder


def stem_of(data: "str | Path | Dataset") -> str:
    """Return the name of a data set."""
    return (Path(data) if isinstance(data, str | Path) else data.root).resolve().stem


def unused(folder: Path) -> Path:
    """Return `folder`, with -2, -3, ... appended where it exists."""
    number, found = 1, folder
    while found.exists():
        number += 1
        found = folder.with_name(f"{folder.name}-{number}")
    return found
