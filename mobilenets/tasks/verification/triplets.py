"""Define the losses of embeddings: triplets of an anchor, a photo of the same identity and one of another.

See Schroff, Kalenichenko and Philbin (2015, FaceNet), Sections 3.1 and 3.2. All distances are squared Euclidean
distances between unit vectors.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["imitation_loss", "photos_of_each", "triplet_loss"]

Array = np.ndarray[Any, np.dtype[Any]]


def triplet_loss(margin: float) -> Callable[[Tensor, Tensor], Tensor]:
    """Return the triplet loss of outputs (N, D) and identities (N,), over all positive pairs with semi-hard negatives.

    The semi-hard negative is the nearest photo of another identity that is further away than the positive, or the
    furthest if there is none. Harder negatives let all vectors collapse to a point early in training.
    """

    def loss(outputs: Tensor, identity: Tensor) -> Tensor:
        from torch.nn import functional

        x = functional.normalize(outputs)
        far = (2 - 2 * x @ x.T).clamp_min(0)  # (N, N)
        same = identity[:, None] == identity[None, :]
        positive = same.clone().fill_diagonal_(False)
        # (anchor, positive, negative): distances to the eligible negatives
        beyond = far[:, None, :] > far[:, :, None]
        outside = far[:, None, :].masked_fill(same[:, None, :] | ~beyond, float("inf")).amin(2)
        furthest = far.masked_fill(same, float("-inf")).amax(1)
        negative = outside.where(outside.isfinite(), furthest[:, None])
        hinge = (far - negative + margin).clamp_min(0)  # 0 without another identity, where `negative` is -inf
        hinge = hinge.masked_fill(~positive | ~negative.isfinite(), 0)
        # the mean over an anchor's positives, then over all images, so that the losses of parts of a batch add up
        return (hinge.sum(1) / positive.sum(1).clamp_min(1)).mean()

    return loss


def imitation_loss(outputs: Tensor, teacher: Tensor) -> Tensor:
    """Return the mean squared distance between the normalised outputs (N, D) and a teacher's unit vectors (N, D)."""
    from torch.nn import functional

    return (functional.normalize(outputs) - teacher).square().sum(1).mean()


def photos_of_each(identities: Array, photos: int) -> Callable[[np.random.Generator], Array]:
    """Return an order with `photos` consecutive photos of an identity, so that batches have pairs.

    Every photo occurs at least once; the last group of an identity is filled up with random photos of it.
    """
    members = [np.flatnonzero(identities == one) for one in np.unique(identities)]

    def order(rng: np.random.Generator) -> Array:
        groups: list[Array] = []
        for own in members:
            drawn = rng.permutation(own)
            short = -len(drawn) % photos
            drawn = np.concatenate([drawn, rng.choice(own, short)]) if short else drawn
            groups += list(drawn.reshape(-1, photos))
        return np.concatenate([groups[i] for i in rng.permutation(len(groups))])

    return order
