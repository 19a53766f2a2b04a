"""Decoded images of a run; a signal interrupts the decoding."""

from ..data.cache import Images, decode_split
from ..data.shared import shared
from ..data.sources import Dataset
from ..errors import Interrupted, TrainingError
from ..progress import Watch
from ..tasks import Task
from .interrupt import Interrupts
from .run import Settings

__all__ = ["check", "decode"]


def decode(
    dataset: Dataset, split: str, settings: Settings, watch: Watch, interrupts: Interrupts, side: int | None
) -> Images:
    """Return one split, decoded as `settings` says; `side` as in `decode_split`.

    Bad images are reported to `watch`. Raises `Interrupted` after a signal.
    """

    def progress(done: int, total: int) -> None:
        """Report progress, and stop after a signal."""
        watch.decoded(split, done, total)
        if interrupts.number is not None:
            raise Interrupted(interrupts.number, "stopped while decoding: nothing was trained yet")

    images = shared(
        dataset,
        split,
        settings.preprocess,
        side,
        lambda: decode_split(
            dataset.splits[split],
            settings.preprocess,
            short_side=side,
            workers=settings.recipe.workers,
            max_bad=settings.recipe.max_bad,
            progress=progress,
        ),
    )
    for bad in images.bad:
        watch.note(f"skipped {bad.name}: {bad.reason}")
    return images


def check(task: Task, dataset: Dataset, train: Images, val: Images) -> None:
    """Raise `TrainingError` or `DataError` where there are too few images to train on."""
    if len(train) < 2 or len(val) < 1:
        raise TrainingError(f"{len(train)} training and {len(val)} validation images: at least 2 and 1 are needed")
    task.check(dataset, train)
