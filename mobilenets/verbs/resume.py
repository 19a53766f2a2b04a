"""`mobilenets train --resume`: training goes on from where a run was stopped."""

from pathlib import Path

from ..designs import is_sweep
from ..errors import DataError, UsageError
from ..machine import need_torch
from ..progress import Watch, watching
from .request import check_same
from .train import Trained, finish

__all__ = ["resume"]


def resume(
    run: str | Path, data: str | Path | None = None, epochs: int | None = None, *, watch: Watch | None = None
) -> Trained:
    """Go on with a run that was stopped or killed, to the weights that it would have reached.

    Parameters
    ----------
    run
        The run's folder, which holds its settings.
    data
        Where its data set lies now, if it was moved.
    epochs
        Extend the run to this number of epochs in all: the learning rate goes on as in a run of that length.

    Raises `TrainingError` where there is no such run or its data are others, and `UsageError` where `epochs` is less
    than before or the run cannot be extended.
    """
    need_torch()
    from ..training.group import joined
    from ..training.logs import check_log
    from ..training.run import Run

    def begin(watch: Watch) -> Run:
        """Return the run as it stands, without what a killed process left."""
        if is_sweep(Path(run)):
            raise UsageError(f"{run} is a sweep: mobilenets sweep --resume {run}")
        opened = Run.open(Path(run))
        if opened.settings.peer:
            raise UsageError(f"{run} is a trial of a sweep that train does not make: {opened.go_on}")
        if opened.settings.log:
            check_log(opened.settings.log)
        if epochs is None and opened.finished:
            watch.note(f"{run} has finished; to extend it: --resume {run} --epochs N, above {opened.epochs_done}")
        with opened.held():
            opened.remove_left_over()
        return opened if epochs is None else opened.extended(epochs)

    with watching(watch) as heard, joined() as group:
        opened = group.decided(lambda: begin(heard))
        task, root = opened.settings.task, Path(data or opened.settings.data)
        if not root.exists():
            raise DataError(f"{root}: the data of {run} are not there; where they have moved: --resume {run} DATA")
        dataset = task.for_training(task.open(root, max_bad=opened.settings.recipe.max_bad))
        check_same(dataset, group)
        return finish(dataset, opened.moved(root), heard, group=group)
