"""Batches: what training sees in step t is a function of (seed, epoch, batch) alone, so a resumed run sees the same."""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..image import Pixels, Preprocess, as_image, crop_resize
from .augment import Augmentation, Colour, random_colours, random_view
from .cache import Images

__all__ = ["Batch", "TrainingBatches", "central_batches", "plain_batches"]

_AHEAD = 4  # batches prepared before they are asked for
Labels = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True, slots=True)
class Batch:
    """`pixels` (N, H, W, C) uint8, `labels` (N,) int64, and for training a colour change per image."""

    pixels: Pixels
    labels: Labels
    colour: Colour | None = None


@dataclass(frozen=True, slots=True)
class TrainingBatches:
    """Shuffled, augmented batches; the last, incomplete one of an epoch is left out."""

    images: Images
    preprocess: Preprocess
    augmentation: Augmentation
    batch_size: int
    seed: int
    workers: int
    balanced: bool = False  # draw every class equally often

    def __len__(self) -> int:
        """Batches an epoch, at least one."""
        return max(1, len(self.images) // self.batch_size)

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches of one epoch from number `start` on."""
        order = self._order(epoch)
        jobs = ((epoch, i, order[i * self.batch_size : (i + 1) * self.batch_size]) for i in range(start, len(self)))
        with ThreadPoolExecutor(self.workers) as pool:
            pending: deque[Future[Batch]] = deque()
            try:
                for job in jobs:
                    pending.append(pool.submit(self._batch, *job))
                    if len(pending) > _AHEAD:
                        yield pending.popleft().result()
                while pending:
                    yield pending.popleft().result()
            finally:
                for future in pending:
                    future.cancel()

    def _order(self, epoch: int) -> Labels:
        rng = np.random.default_rng((self.seed, epoch))
        n = len(self.images)
        if not self.balanced:
            return rng.permutation(n)
        counts = np.bincount(self.images.labels)
        weight = 1.0 / counts[self.images.labels]
        return rng.choice(n, n, p=weight / weight.sum())

    def _batch(self, epoch: int, number: int, chosen: Labels) -> Batch:
        rng = np.random.default_rng((self.seed, epoch, number))
        views = [random_view(self.images.pixels(i), self.preprocess, self.augmentation, rng) for i in chosen]
        colour = random_colours(len(chosen), self.preprocess.channels, self.augmentation, rng)
        return Batch(np.stack(views), self.images.labels[chosen], colour)


def plain_batches(images: Images, batch_size: int) -> Iterator[Batch]:
    """Images of the evaluation view, in order."""
    for start in range(0, len(images), batch_size):
        chosen = range(start, min(start + batch_size, len(images)))
        yield Batch(np.stack([images.pixels(i) for i in chosen]), images.labels[chosen.start : chosen.stop])


def central_batches(images: Images, preprocess: Preprocess, batch_size: int, count: int) -> Iterator[Pixels]:
    """(N, H, W, C): about `count` images spread evenly over a training view, cut as evaluation would cut them."""
    chosen = range(0, len(images), max(1, len(images) // count))
    for start in range(0, len(chosen), batch_size):
        part = chosen[start : start + batch_size]
        yield np.stack([crop_resize(as_image(images.pixels(i)), preprocess) for i in part])
