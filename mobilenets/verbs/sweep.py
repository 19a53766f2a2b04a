"""`mobilenets sweep`: many networks trained under one recipe, in one folder, and their comparison."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import DataError, UsageError
from ..machine import need_torch
from ..progress import Watch, watching
from ..sweeps import Row, SweepPlan, Trial, collect, is_sweep, write_results
from ..tasks.classify import Classify
from .arguments import AnyNetwork, AnyPreprocess, AnyRecipe, network_of, recipe_of
from .train import Request
from .trial import measure_trial, open_data, run_trial

if TYPE_CHECKING:
    from ..arch.network import Network
    from ..data.sources import Dataset

__all__ = ["Swept", "resume_sweep", "sweep"]


@dataclass(frozen=True, slots=True)
class Swept:
    """A sweep whose trials are all done, stopped or failed."""

    folder: Path
    plan: SweepPlan
    rows: tuple[Row, ...]

    def __str__(self) -> str:
        done = [row for row in self.rows if row.state == "done"]
        return f"{len(done)} of {len(self.rows)} trials done, in {self.folder}"

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON of `mobilenets sweep`, whose keys docs/json.md lists."""
        return {
            "sweep": str(self.folder),
            "left_out": [asdict(one) for one in self.plan.left_out],
            "trials": [asdict(row) for row in self.rows],
        }


def sweep(
    data: "str | Path | Dataset",
    networks: Sequence[AnyNetwork] = (),
    recipe: AnyRecipe = None,
    *,
    paper: bool = False,
    seeds: int = 1,
    preprocess: AnyPreprocess = None,
    out: str | Path | None = None,
    command: str = "",
    watch: Watch | None = None,
) -> Swept:
    """Train every network with every seed under one recipe; collect the results.

    Parameters
    ----------
    data
        Images in any layout that docs/data.md lists, or an opened data set.
    networks
        Each a `Network`, a name such as "0.25-96" or a dictionary of its fields. The classes are those of the data.
    recipe
        The training settings of all trials: a `Recipe` or a dictionary of its fields.
    seeds
        Trials of each network, with the seeds from that of the recipe on.
    preprocess
        A dictionary of the fields of `Preprocess` in which the trials differ from the default.
    out
        The sweep's folder, which must be new; by default named after the data, in `sweeps`.
    """
    need_torch()
    wanted = [network for network in map(network_of, networks) if network is not None]
    with watching(watch) as watch:
        folder = _new_folder(out, data)
        dataset = _opened(data, recipe_of(recipe).max_bad, watch)
        plan = make_plan(dataset, wanted, recipe, seeds, preprocess, command, watch)
        folder.mkdir(parents=True)
        plan.save(folder)
        return _go(plan, folder, dataset, watch)


def resume_sweep(folder: str | Path, data: str | Path | None = None, *, watch: Watch | None = None) -> Swept:
    """Go on with a sweep that was stopped or killed: finished trials are kept, the others go on to the same weights.

    `data` says where its data set lies now, if it was moved.
    """
    need_torch()
    folder = Path(folder)
    plan = SweepPlan.open(folder)
    plan = plan.moved(Path(data)) if data is not None else plan
    if not Path(plan.data).exists():
        raise DataError(
            f"{plan.data}: the data of {folder} are not there; where they have moved: --resume {folder} DATA"
        )
    with watching(watch) as watch:
        plan.save(folder)
        return _go(plan, folder, open_data(plan), watch)


def make_plan(
    dataset: "Dataset",
    networks: "Sequence[Network]",
    recipe: AnyRecipe,
    seeds: int,
    preprocess: AnyPreprocess,
    command: str,
    watch: Watch,
) -> SweepPlan:
    """Return the trials with every open setting decided."""
    base = recipe_of(recipe)
    trials = []
    for seed in range(base.seed, base.seed + seeds):
        for network in networks:
            asked = Request(
                dataset, network, replace(base, seed=seed), None, None, (), None, None, preprocess, None, command
            )
            settings = asked.prepared(watch).settings
            trials.append(Trial(f"{settings.network.name}-seed{seed}", settings))
    return SweepPlan(str(dataset.root.absolute()), dataset.fingerprint, tuple(trials), command=command)


def _go(plan: SweepPlan, folder: Path, dataset: "Dataset", watch: Watch) -> Swept:
    for number, trial in enumerate(plan.trials):
        watch.note(f"{number + 1} of {len(plan.trials)}: {trial.name}")
        run_trial(plan, number, folder, dataset=dataset, watch=watch)
    for number in range(len(plan.trials)):
        measure_trial(plan.run(number, folder), dataset)
    rows = collect(plan, folder)
    write_results(folder, rows)
    return Swept(folder, plan, tuple(rows))


def _opened(data: "str | Path | Dataset", max_bad: float, watch: Watch) -> "Dataset":
    from ..data.sources import Dataset

    if isinstance(data, Dataset):
        return data
    task = Classify()
    dataset = task.for_training(task.open(Path(data), max_bad=max_bad))
    for note in dataset.notes:
        watch.note(note)
    return dataset


def _new_folder(out: str | Path | None, data: "str | Path | Dataset") -> Path:
    """Return the folder of a new sweep; `UsageError` where it exists."""
    if out is not None:
        folder = Path(out)
        if folder.exists():
            raise UsageError(f"out (={folder}) exists: choose another{', or --resume it' if is_sweep(folder) else ''}")
        return folder
    stem = (Path(data) if isinstance(data, str | Path) else data.root).resolve().stem
    number = 1
    while (folder := Path("sweeps") / (stem if number == 1 else f"{stem}-{number}")).exists():
        number += 1
    return folder
