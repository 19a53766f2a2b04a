"""Choose the images to hold out by their content alone, so that renaming and copying do not change the split."""

import hashlib
from collections.abc import Sequence

from .contents import Digest

__all__ = ["held_out", "split_by_content", "split_by_group"]


def held_out(contents: Sequence[Digest], fraction: float) -> set[Digest]:
    """Return the content hashes of a class that go to val: about `fraction`, of two or more at least one and not all.

    A hash is a uniform random number; those below `fraction` of its range go to val, independent of the others.
    """
    ranked = sorted(set(contents))
    chosen = {content for content in ranked if int.from_bytes(content[:8]) < fraction * 2**64}
    if len(ranked) < 2:
        return set()
    if not chosen:
        return {ranked[0]}
    return chosen - {ranked[-1]} if len(chosen) == len(ranked) else chosen


def split_by_content(labels: Sequence[int], contents: Sequence[Digest | None], fraction: float) -> list[str]:
    """Return 'train' or 'val' for every image. Unreadable images (None) stay in train."""
    of_class: dict[int, list[Digest]] = {}
    for label, content in zip(labels, contents, strict=True):
        if content is not None:
            of_class.setdefault(label, []).append(content)
    val = {label: held_out(found, fraction) for label, found in of_class.items()}
    return [
        "val" if content is not None and content in val[label] else "train"
        for label, content in zip(labels, contents, strict=True)
    ]


def split_by_group(groups: Sequence[str], fraction: float) -> list[str]:
    """Return 'train', 'val' or 'test' for every image, the same for all of a group, chosen by the hash of its name.

    About `fraction` of the groups go to val and as many to test, at least two each; all to train if fewer than two
    would be left there.
    """
    ranked = sorted((hashlib.sha256(name.encode()).digest(), name) for name in set(groups))
    share = [int.from_bytes(digest[:8]) / 2**64 for digest, _ in ranked]
    val = max(2, sum(number < fraction for number in share))
    test = max(2, sum(number < 2 * fraction for number in share) - val)
    names = [name for _, name in ranked]
    if len(names) < val + test + 2:
        return ["train"] * len(groups)
    part = dict.fromkeys(names[:val], "val") | dict.fromkeys(names[val : val + test], "test")
    return [part.get(group, "train") for group in groups]
