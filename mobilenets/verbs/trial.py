"""One trial of a sweep: a run folder of `train`, from wherever it stands to its end."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import MobilenetsError, TrainingError
from ..evaluation import default_split
from ..files import write_atomic
from ..model import digest_of
from ..progress import Watch
from ..sweeps import FAILED, Measured, PeerResult, SweepPlan, end_with_parent, is_done
from .quantize import quantize
from .train import finish

if TYPE_CHECKING:
    from ..data.sources import Dataset
    from ..training.run import Run

__all__ = ["DECODED", "measure_trial", "open_data", "run_trial"]

DECODED = "decoded"  # in the sweep's folder: the images that its trials share, until all are done


def open_data(plan: SweepPlan) -> "Dataset":
    """Return the data set of `plan`; raises `TrainingError` where it holds other images than when it was planned."""
    settings = plan.trials[0].settings
    task = settings.task
    dataset = task.for_training(task.open(Path(plan.data), max_bad=settings.recipe.max_bad))
    if dataset.fingerprint != plan.fingerprint:
        raise TrainingError(f"{plan.data} holds other data than the sweep was planned for: not resumed")
    return dataset


def run_trial(
    plan: SweepPlan,
    number: int,
    folder: Path,
    epochs: int | None = None,
    *,
    dataset: "Dataset | None" = None,
    watch: Watch | None = None,
) -> None:
    """Train trial `number` of `plan` in the sweep's `folder`, from its last checkpoint where it has one.

    With `epochs` it stops when so many are done and can go on later; otherwise it trains to its end, and its best model
    is evaluated. A training that cannot go on is recorded in its folder. Raises `Interrupted` after a signal, with the
    state saved, and `DataError`.
    """
    run, watch = plan.run(number, folder), watch or Watch()
    if is_done(run) or (run.path / FAILED).is_file():
        return
    if epochs is not None and run.epochs_done >= epochs:
        return
    dataset = dataset or replace(open_data(plan), decoded=folder / DECODED)
    try:
        _train(dataset, run, epochs, watch)
    except TrainingError as exc:
        write_atomic(run.path / FAILED, f"{exc}\n")


def _train(dataset: "Dataset", run: "Run", epochs: int | None, watch: Watch) -> None:
    from ..training.fit import advance
    from ..training.logs import logged

    run.prepare_folder(run.settings.task.outputs(dataset))
    if run.settings.peer:
        _train_peer(dataset, run, watch)
    elif epochs is not None and epochs < (run.settings.recipe.epochs or 0):
        with logged(run, watch) as log:
            advance(dataset, run, epochs, log or watch)
    else:
        finish(dataset, run, watch, look_for_pairs=False)


def _train_peer(dataset: "Dataset", run: "Run", watch: Watch) -> None:
    """Train a peer to its end; its result is kept, and its checkpoint, four times as large as its weights, is not."""
    from ..training.logs import logged
    from ..training.peer import fit_peer

    split = default_split(dataset)
    with logged(run, watch) as log:
        weights, top1 = fit_peer(dataset, run, split, log or watch)
        if log:
            log.end({"top1": top1}, {"weights": str(run.weights.absolute())})
    PeerResult(split, top1, digest_of(weights)).save(run)
    run.checkpoint.unlink(missing_ok=True)


def measure_trial(run: "Run", dataset: "Dataset") -> Measured:
    """Quantize the best model of a finished run, measure both beside each other, and keep and return the figures."""
    max_bad = run.settings.recipe.max_bad
    quantized = quantize(run.best, dataset, run.integers, max_bad=max_bad, overwrite=True, watch=Watch())
    both = quantized.comparison
    measured = Measured(
        split=both.split,
        top1=both.floats.result.score,
        latency=both.floats.latency.median,
        runtime=both.floats.latency.runtime,
        arena=both.floats.arena_bytes,
        int8_top1=both.integers.result.score,
        int8_latency=both.integers.latency.median,
        int8_arena=both.integers.arena_bytes,
        agreement=both.agreement,
    )
    measured.save(run)
    return measured


def main(folder: str, number: str, epochs: str | None = None) -> int:
    """Run a trial in this process, which ends with the one that started it; return the exit code."""
    end_with_parent()
    path = Path(folder)
    try:
        run_trial(SweepPlan.open(path), int(number), path, None if epochs is None else int(epochs))
    except MobilenetsError as exc:
        print(exc, file=sys.stderr)
        return exc.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
