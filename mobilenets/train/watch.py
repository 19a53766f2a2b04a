"""What a user may be told while a verb works."""

__all__ = ["Watch"]


class Watch:
    """Told what goes on; the command line draws bars from it. Every method may be left as it is."""

    def downloaded(self, file: str, done: int, total: int | None) -> None: ...

    def decoded(self, split: str, done: int, total: int) -> None: ...

    def note(self, text: str) -> None: ...

    def step(self, epoch: int, epochs: int, batch: int, batches: int, images_per_second: float) -> None: ...

    def epoch(self, row: dict[str, float]) -> None: ...
