"""What embeddings are learned from: triplets of an anchor, a photo of the same identity and one of another.

Schroff, Kalenichenko, Philbin 2015 (FaceNet), sections 3.1 and 3.2. All distances are squared, between unit vectors.
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
    """Of sums (N, D) and identities (N,): every pair of one identity with its semi-hard negative.

    That is the nearest photo of another identity that is further away than the positive; where there is none, the
    furthest one. A harder one would let all vectors fall into one point early on.
    """

    def loss(outputs: Tensor, identity: Tensor) -> Tensor:
        from torch.nn import functional

        x = functional.normalize(outputs)
        far = (2 - 2 * x @ x.T).clamp_min(0)  # (N, N)
        same = identity[:, None] == identity[None, :]
        positive = same.clone().fill_diagonal_(False)
        # (anchor, positive, negative): the distance to the negative where it may be chosen
        beyond = far[:, None, :] > far[:, :, None]
        outside = far[:, None, :].masked_fill(same[:, None, :] | ~beyond, float("inf")).amin(2)
        furthest = far.masked_fill(same, float("-inf")).amax(1)
        negative = outside.where(outside.isfinite(), furthest[:, None])
        hinge = (far - negative + margin).clamp_min(0)  # 0 where there is no other identity: -inf becomes +inf there
        hinge = hinge.masked_fill(~positive | ~negative.isfinite(), 0)
        # the mean over an anchor's positives, then over all images: shares of a batch add up to the batch
        return (hinge.sum(1) / positive.sum(1).clamp_min(1)).mean()

    return loss


def imitation_loss(outputs: Tensor, teacher: Tensor) -> Tensor:
    """The squared difference between the unit vectors of sums (N, D) and a teacher's (N, D), averaged over images."""
    from torch.nn import functional

    return (functional.normalize(outputs) - teacher).square().sum(1).mean()


def photos_of_each(identities: Array, photos: int) -> Callable[[np.random.Generator], Array]:
    """An epoch in which `photos` of an identity stand together, so that a batch has pairs: every photo at least once.

    An identity's last few are filled up with others of it.
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
