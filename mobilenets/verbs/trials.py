"""All trials of a sweep: one after another in this process, or several side by side in processes of their own."""

import shutil
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import Interrupted
from ..files import remove_left_over
from ..progress import Watch
from ..sweeps import (
    FAILED,
    MEASURED,
    PEER,
    PLAN,
    REPORT,
    RESULTS,
    Measured,
    Row,
    SweepPlan,
    collect,
    counts,
    history,
    run_side_by_side,
    survivors,
    write_page,
    write_results,
)
from ..text import counted
from ..training.logs import prepare_log
from .sweep_plan import jobs_for
from .trial import DECODED, measure_trial, run_trial

if TYPE_CHECKING:
    from ..data.sources import Dataset

__all__ = ["run_trials"]


class _Quiet(Watch):
    """Passes on the progress of a trial, but neither its notes nor its epochs."""

    def __init__(self, watch: Watch) -> None:
        self.decoded = watch.decoded  # type: ignore[method-assign]
        self.step = watch.step  # type: ignore[method-assign]


def run_trials(
    plan: SweepPlan, folder: Path, dataset: "Dataset", jobs: int, watch: Watch, cluster: str | None = None
) -> list[Row]:
    """Train all trials from where they stand, measure those that are done, and write results and report.

    With `cluster` they are trained on that Ray cluster, all of whose nodes see `folder` and the data.
    """
    _remove_left_over(plan, folder)
    dataset, jobs = replace(dataset, decoded=folder / DECODED), jobs_for(plan, jobs)
    peers = [number for number, trial in enumerate(plan.trials) if trial.settings.peer]
    numbers = [number for number, trial in enumerate(plan.trials) if not trial.settings.peer]
    networks = len(numbers)
    with nullcontext(False) if cluster is None else _on_cluster(cluster) as spread:
        for rung in plan.rungs:
            _run(plan, folder, dataset, numbers, rung, jobs, watch, spread)
            numbers = survivors(plan, numbers, _scores(plan, folder, numbers, rung), plan.by_cost)
            watch.note(f"after {counted(rung, 'epoch')} {len(numbers)} of {counted(networks, 'trial')} go on")
        _run(plan, folder, dataset, [*numbers, *peers], None, jobs, watch, spread)
    try:
        _measure(plan, folder, dataset, numbers, watch)
    except KeyboardInterrupt:
        message = f"all trials are trained, not all are measured; go on with: mobilenets sweep --resume {folder}"
        raise Interrupted(signal.SIGINT, message) from None
    finally:
        rows = _write(plan, folder)
    shutil.rmtree(folder / DECODED, ignore_errors=True)
    return rows


def _measure(plan: SweepPlan, folder: Path, dataset: "Dataset", numbers: Sequence[int], watch: Watch) -> None:
    """Quantize, evaluate and time the trials `numbers` one after the other, while nothing else of the sweep runs."""
    runs = {number: plan.run(number, folder) for number in numbers}
    left = {number: run for number, run in runs.items() if run.report.is_file() and Measured.of(run) is None}
    if left:
        _write(plan, folder)
        watch.note(f"training is done; {len(left)} networks are quantized, evaluated and timed")
    for at, (number, run) in enumerate(left.items()):
        watch.measured("latency", at, len(left))
        found = measure_trial(run, dataset)
        name, times = plan.trials[number].name, f"{found.latency:.3g} ms, int8 {found.int8_latency:.3g} ms"
        watch.note(f"{at + 1} of {len(left)}: {name}, int8 top-1 {found.int8_top1:.1%}, {times}")


def _write(plan: SweepPlan, folder: Path) -> list[Row]:
    """Write results and report of what is there, and return the rows."""
    rows = collect(plan, folder)
    write_results(folder, rows)
    write_page(folder, plan, rows)
    return rows


@contextmanager
def _on_cluster(cluster: str) -> Iterator[bool]:
    from ..cluster.ray import connected

    with connected(cluster):
        yield True


def _run(
    plan: SweepPlan,
    folder: Path,
    dataset: "Dataset",
    numbers: Sequence[int],
    epochs: int | None,
    jobs: int,
    watch: Watch,
    spread: bool,
) -> None:
    """Train the trials `numbers` until `epochs` are done, or to their ends; `spread`: on the connected cluster."""
    if jobs > 1 or spread:
        _run_in_processes(plan, folder, dataset, numbers, epochs, jobs, watch, spread)
        return
    for at, number in enumerate(numbers):
        run_trial(plan, number, folder, epochs, dataset=dataset, watch=_Quiet(watch))
        watch.note(_line(plan, folder, number, at + 1, len(numbers)))


def _run_in_processes(
    plan: SweepPlan,
    folder: Path,
    dataset: "Dataset",
    numbers: Sequence[int],
    epochs: int | None,
    jobs: int,
    watch: Watch,
    spread: bool = False,
) -> None:
    _decode(plan, dataset, watch)
    prepare_log(plan.trials[0].settings.log)
    ended: list[str] = []
    # the longest first, so that it does not run alone at the end
    longest_first = sorted(numbers, key=lambda number: counts(plan.trials[number].settings)[0], reverse=True)
    by_name = {plan.trials[number].name: number for number in longest_first}

    def done(name: str) -> None:
        ended.append(name)
        watch.note(_line(plan, folder, by_name[name], len(ended), len(numbers)))

    until = [] if epochs is None else [str(epochs)]
    module = [__package__ + ".trial", str(folder.absolute())]
    modules = {name: [*module, str(number), *until] for name, number in by_name.items()}
    if spread:
        from ..cluster.ray import run_modules

        recipes = [plan.trials[number].settings.recipe for number in numbers]
        gpus = int(any(recipe.device != "cpu" for recipe in recipes))
        run_modules(modules, max(recipe.replicas for recipe in recipes), gpus, done)
    else:
        run_side_by_side({name: [sys.executable, "-m", *given] for name, given in modules.items()}, jobs, done)


def _decode(plan: SweepPlan, dataset: "Dataset", watch: Watch) -> None:
    """Decode, before the processes start, what they share."""
    from ..training.images import decode
    from ..training.interrupt import Interrupts

    with Interrupts() as interrupts:
        for settings in {trial.settings.preprocess: trial.settings for trial in plan.trials}.values():
            decode(dataset, "train", settings, watch, interrupts, settings.stored_side)
            decode(dataset, "val", settings, watch, interrupts, None)


def _line(plan: SweepPlan, folder: Path, number: int, at: int, count: int) -> str:
    """Return what is said of a trial that has ended."""
    run = plan.run(number, folder)
    failed = run.path / FAILED
    if failed.is_file():
        return f"{at} of {count}: {run.path.name} failed: {failed.read_text('utf-8').strip()}"
    rows = history(run)
    best, seconds = max(row["val_top1"] for row in rows), sum(row["seconds"] for row in rows)
    return f"{at} of {count}: {run.path.name}, {len(rows)} epochs, best epoch val top-1 {best:.1%}, {seconds:,.0f} s"


def _scores(plan: SweepPlan, folder: Path, numbers: Sequence[int], epochs: int) -> dict[int, float]:
    """Return the best validation top-1 in the first `epochs` of each trial that has not failed."""
    runs = {number: plan.run(number, folder) for number in numbers}
    return {
        number: max(row["val_top1"] for row in history(run)[:epochs])
        for number, run in runs.items()
        if not (run.path / FAILED).is_file()
    }


def _remove_left_over(plan: SweepPlan, folder: Path) -> None:
    """Remove the temporary files of a process that was killed as it wrote."""
    remove_left_over([folder / name for name in (PLAN, RESULTS, REPORT)])
    for number in range(len(plan.trials)):
        path = plan.run(number, folder).path
        if path.is_dir():
            remove_left_over([path / name for name in (MEASURED, PEER, FAILED)])
