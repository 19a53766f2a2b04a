"""Which images to hold out: told by their content alone, so that no renaming or copying moves one across."""

from collections.abc import Sequence

from .contents import Digest

__all__ = ["held_out", "split_by_content"]


def held_out(contents: Sequence[Digest], fraction: float) -> set[Digest]:
    """Of one class's content hashes those that go to val: about `fraction`; of two or more, at least one
    and not all.

    A hash is a uniform number; those below `fraction` of its range go to val, whatever else is in the class.
    """
    ranked = sorted(set(contents))
    chosen = {content for content in ranked if int.from_bytes(content[:8]) < fraction * 2**64}
    if len(ranked) < 2:
        return set()
    if not chosen:
        return {ranked[0]}
    return chosen - {ranked[-1]} if len(chosen) == len(ranked) else chosen


def split_by_content(labels: Sequence[int], contents: Sequence[Digest | None], fraction: float) -> list[str]:
    """'train' or 'val' for every image. What cannot be read has no content and stays in train."""
    of_class: dict[int, list[Digest]] = {}
    for label, content in zip(labels, contents, strict=True):
        if content is not None:
            of_class.setdefault(label, []).append(content)
    val = {label: held_out(found, fraction) for label, found in of_class.items()}
    return [
        "val" if content is not None and content in val[label] else "train"
        for label, content in zip(labels, contents, strict=True)
    ]
