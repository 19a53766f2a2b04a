"""The images of a run, decoded; a signal ends that at once."""

from ..data.cache import Images, decode_split
from ..data.sources import Dataset
from ..errors import Interrupted, TrainingError
from ..tasks import Task
from .interrupt import Interrupts
from .run import Settings
from .watch import Watch

__all__ = ["check", "decode"]


def decode(
    dataset: Dataset, split: str, settings: Settings, watch: Watch, interrupts: Interrupts, side: int | None
) -> Images:
    """One split as `settings` wants it: `side` as in `decode_split`. What is bad is told to the watcher."""

    def progress(done: int, total: int) -> None:
        watch.decoded(split, done, total)
        if interrupts.number is not None:
            raise Interrupted(interrupts.number, "stopped while decoding: nothing was trained yet")

    images = decode_split(
        dataset.splits[split],
        settings.preprocess,
        short_side=side,
        workers=settings.recipe.workers,
        max_bad=settings.recipe.max_bad,
        progress=progress,
    )
    for bad in images.bad:
        watch.note(f"skipped {bad.name}: {bad.reason}")
    return images


def check(task: Task, dataset: Dataset, train: Images, val: Images) -> None:
    """`TrainingError` or `DataError` where there is too little to learn from."""
    if len(train) < 2 or len(val) < 1:
        raise TrainingError(f"{len(train)} training and {len(val)} validation images: at least 2 and 1 are needed")
    task.check(dataset, train)
