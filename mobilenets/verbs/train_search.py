"""`mobilenets train --search`: several networks that fit a budget, trained by successive halving; the best is kept."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..designs import Space
from ..errors import TrainingError, UsageError
from ..files import make_folder
from ..machine import need_one_process, need_torch
from ..progress import Watch, watching
from ..report.text import duration
from ..sweeps import LeftOut, SweepPlan, share_of_work
from .arguments import AnyBudget, AnyPreprocess, AnyRecipe, budget_of, recipe_of, seconds_of
from .design import design, space_for
from .sweep import open_for_sweep, stem_of, unused
from .sweep_plan import Wanted, planned
from .train import Trained, check_folder, finish
from .trials import run_trials

if TYPE_CHECKING:
    from ..data.sources import Dataset

__all__ = ["train_search"]

MOST = 8  # candidates: the last ones that halving stops have seen a fourth of the epochs


def train_search(
    data: "str | Path | Dataset",
    budget: AnyBudget,
    search: float | str,
    recipe: AnyRecipe = None,
    *,
    space: Space | None = None,
    calibrate: Sequence[str | Path] = (),
    preprocess: AnyPreprocess = None,
    project: str | Path = "runs",
    name: str | None = None,
    log: str | None = None,
    command: str = "",
    watch: Watch | None = None,
) -> Trained:
    """Train the networks of the Pareto front that `design` finds for `budget`, and return the most accurate.

    They are a sweep in the folder `name` of `project`: after a fourth of the epochs the less accurate half of them is
    stopped, after half of the epochs again. There are as many as fit in `search`, a time such as "1h", at most 8. The
    other arguments are those of `train`.
    """
    need_torch()
    need_one_process("search")
    bounds, limit = budget_of(budget), seconds_of(search, "search")
    if bounds is None:
        raise UsageError("search needs a budget: it trains several networks that fit it")
    with watching(watch) as watch:
        check_folder(Path(project), name)
        folder = Path(project) / name if name else unused(Path(project) / f"{stem_of(data)}-search")
        dataset = open_for_sweep(data, recipe_of(recipe).max_bad, watch)
        found = design(bounds, space_for(space or Space(), dataset), calibrate=calibrate, watch=watch)
        watch.note(f"design: {found.reason}")
        networks = [candidate.network for candidate in reversed(found.front)][:MOST]
        wanted = Wanted(
            tuple((network, 1) for network in networks),
            recipe_of(recipe),
            preprocess,
            halving=True,
            by_cost=False,
            command=command,
            log=log,
        )
        plan = _first_that_fit(planned(wanted, dataset, watch, timed=True), limit)
        watch.note(f"training {', '.join(trial.name for trial in plan.trials)}")
        make_folder(folder, "project")
        plan.save(folder)
        return _best(plan, folder, dataset, watch)


def _best(plan: SweepPlan, folder: Path, dataset: "Dataset", watch: Watch) -> Trained:
    """Train the trials; return the one that is most accurate on validation, of equal ones the cheapest."""
    rows = run_trials(plan, folder, dataset, 1, watch)
    done = [(row.val_top1 or 0.0, number) for number, row in enumerate(rows) if row.state == "done"]
    if not done:
        raise TrainingError(f"{folder}: every network failed, the first by: {rows[0].note}")
    done.sort(reverse=True)
    scores = ", ".join(f"{rows[number].network} {top1:.1%}" for top1, number in done)
    watch.note(f"val top-1 of those trained to the end: {scores}; the first is kept")
    return finish(dataset, plan.run(done[0][1], folder), watch)


def _first_that_fit(plan: SweepPlan, limit: float) -> SweepPlan:
    """Return the plan with as many of the first trials, which are expected to be the most accurate, as fit."""
    share = share_of_work(plan.rungs, plan.trials[0].settings.recipe.epochs or 1)
    for count in range(len(plan.trials), 0, -1):
        kept, others = plan.trials[:count], plan.trials[count:]
        if (share if count > 1 else 1) * sum(trial.seconds or 0 for trial in kept) <= limit:
            left = tuple(LeftOut(trial.name, f"more than search (={duration(limit)}) has time for") for trial in others)
            return replace(plan, trials=kept, left_out=left)
    first = plan.trials[0]
    raise UsageError(
        f"search (={duration(limit)}) is too short: {first.name} alone takes about {duration(first.seconds or 0)}; "
        "give fewer epochs or more time"
    )
