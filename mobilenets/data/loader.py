"""Compose batches. Batch i of an epoch depends on (seed, epoch, i) alone, so a resumed run gets the same batches."""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from ..arrays import Array, Ints
from ..image import Pixels, Preprocess, as_image, crop_resize
from .augment import Augmentation, Colour, View, random_colours, same_target, skip_view
from .cache import Images, stacked

__all__ = ["Batch", "Order", "Part", "TrainingBatches", "central_batches", "plain_batches"]

_AHEAD = 4  # batches prepared in advance
Order = Callable[[np.random.Generator], Ints]  # returns the images of one epoch, in order
Part = Callable[[int], range]  # returns which images of a batch of so many this process trains on


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch of N images: `pixels` (N, H, W, C) uint8, `targets` (N, ...), in training a colour change per image."""

    pixels: Pixels
    targets: Array
    colour: Colour | None = None
    whole: int = 0  # images of the batch of which these are a part, 0: of no other

    @property
    def images(self) -> int:
        """Return the number of images of the whole batch."""
        return self.whole or len(self.targets)


@dataclass(frozen=True, slots=True)
class TrainingBatches:
    """Shuffled and augmented batches; the last, incomplete batch of an epoch is left out."""

    images: Images
    preprocess: Preprocess
    augmentation: Augmentation
    batch_size: int
    seed: int
    workers: int
    order: Order | None = None  # None: all images, shuffled
    view: View = same_target
    part: Part = range  # all

    def __len__(self) -> int:
        """Return the number of batches per epoch, at least one."""
        return max(1, len(self.images) // self.batch_size)

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """Yield the batches of one epoch, beginning with number `start`."""
        rng = np.random.default_rng((self.seed, epoch))
        order = self.order(rng) if self.order else rng.permutation(len(self.images))
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

    def _batch(self, epoch: int, number: int, chosen: Ints) -> Batch:
        rng, part = np.random.default_rng((self.seed, epoch, number)), self.part(len(chosen))
        seen = []
        for at, i in enumerate(chosen):
            if at in part:
                image, target = self.images.pixels(i), self.images.targets[i]
                seen.append(self.view(image, target, self.preprocess, self.augmentation, rng))
            else:
                skip_view(rng)
        colour = random_colours(len(chosen), self.preprocess.channels, self.augmentation, rng)
        return Batch(
            np.stack([pixels for pixels, _ in seen]),
            stacked([target for _, target in seen]),
            colour.of(slice(part.start, part.stop)),
            len(chosen),
        )


def plain_batches(images: Images, batch_size: int) -> Iterator[Batch]:
    """Yield batches of images preprocessed for evaluation, in order."""
    for start in range(0, len(images), batch_size):
        chosen = range(start, min(start + batch_size, len(images)))
        yield Batch(np.stack([images.pixels(i) for i in chosen]), images.targets[chosen.start : chosen.stop])


def central_batches(images: Images, preprocess: Preprocess, batch_size: int, count: int) -> Iterator[Pixels]:
    """Yield (N, H, W, C) uint8: about `count` training images, spread evenly, cropped as for evaluation."""
    chosen = range(0, len(images), max(1, len(images) // count))
    for start in range(0, len(chosen), batch_size):
        part = chosen[start : start + batch_size]
        yield np.stack([crop_resize(as_image(images.pixels(i)), preprocess) for i in part])
