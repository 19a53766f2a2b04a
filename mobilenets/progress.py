"""Progress of a verb: `Watch` is told of it, `Bars` shows it on a terminal or in a notebook, on standard error."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from .machine import first_process
from .tasks.result import figure_name

__all__ = ["Bars", "Watch", "watching"]


class Watch:
    """Receives the progress of a verb. Every method does nothing until a subclass overrides it."""

    def downloaded(self, file: str, done: int, total: int | None) -> None: ...

    def decoded(self, split: str, done: int, total: int) -> None: ...

    def measured(self, what: str, done: int, total: int | None) -> None: ...

    def note(self, text: str) -> None: ...

    def step(self, epoch: int, epochs: int, batch: int, batches: int, images_per_second: float) -> None: ...

    def epoch(self, row: dict[str, float]) -> None: ...


class Bars(Watch):
    """Shows progress as bars on a terminal and in a notebook; elsewhere only notes are printed.

    Of the processes that torchrun starts, the first prints.
    """

    def __init__(self) -> None:
        self.console = Console(stderr=True, highlight=False, quiet=not first_process())
        self._progress = Progress(
            TextColumn("{task.description:<9}"),
            BarColumn(40),
            MofNCompleteColumn(),
            TextColumn("{task.fields[speed]}"),
            TimeRemainingColumn(elapsed_when_finished=True),
            console=self.console,
            transient=True,
            disable=not (self.console.is_terminal or self.console.is_jupyter),
        )
        self._tasks: dict[str, TaskID] = {}
        self._headed = False

    def __enter__(self) -> "Bars":
        if not self._progress.disable:  # or rich before 14.3 prints an empty line
            self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        if not self._progress.disable:
            self._progress.stop()

    def note(self, text: str) -> None:
        self.console.print(text, markup=False, soft_wrap=True)

    def downloaded(self, file: str, done: int, total: int | None) -> None:
        if total:
            self._advance(f"download {file}", done, total, "bytes")

    def decoded(self, split: str, done: int, total: int) -> None:
        self._advance(f"decode {split}", done, total, "")

    def measured(self, what: str, done: int, total: int | None) -> None:
        self._advance(what, done, total, "")

    def step(self, epoch: int, epochs: int, batch: int, batches: int, images_per_second: float) -> None:
        self._advance("train", epoch * batches + batch, epochs * batches, f"{images_per_second:,.0f} images/s")

    def epoch(self, row: dict[str, float]) -> None:
        score = next(name for name in row if name.startswith("val_") and name != "val_loss")
        name = f"val {figure_name(score)}"
        width = max(9, len(name))
        if not self._headed:
            self._headed = True
            self.note(f"epoch  train loss  val loss  {name:>{width}}  images/s  seconds")
        loss = "-" if row["val_loss"] != row["val_loss"] else f"{row['val_loss']:.4f}"  # NaN: the task has none
        self.note(
            f"{row['epoch']:5.0f}  {row['train_loss']:10.4f}  {loss:>8}  {row[score]:{width}.1%}"
            f"  {row['images_per_second']:8,.0f}  {row['seconds']:7.1f}"
        )

    def _advance(self, name: str, done: int, total: int | None, speed: str) -> None:
        if name not in self._tasks:
            self._tasks[name] = self._progress.add_task(name, total=total, speed=speed)
        visible = total is None or done < total
        self._progress.update(self._tasks[name], completed=done, total=total, speed=speed, visible=visible)


@contextmanager
def watching(watch: Watch | None) -> Iterator[Watch]:
    """Yield `watch`, or where it is None `Bars` on a terminal and in a notebook and a silent `Watch` elsewhere.

    Of the processes that torchrun starts, all but the first get a silent one.
    """
    if not first_process():
        yield Watch()
        return
    bars = Bars() if watch is None else None
    if bars is None or not (bars.console.is_terminal or bars.console.is_jupyter):
        yield watch or Watch()
    else:
        with bars:
            yield bars
