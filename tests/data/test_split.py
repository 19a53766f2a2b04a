"""The split by content hash, class names and order: properties."""

import hashlib
from collections import Counter

from hypothesis import example, given, settings
from hypothesis import strategies as st

from mobilenets.data.contents import fingerprint
from mobilenets.data.labels import ordered_names
from mobilenets.data.split import held_out, split_by_content, split_by_group

hashes = st.binary(max_size=8).map(lambda data: hashlib.sha256(data).digest())
fractions = st.floats(0.01, 0.99)


@given(st.lists(hashes), fractions)
def test_both_sides_hold_something(contents: list[bytes], fraction: float) -> None:
    val = held_out(contents, fraction)
    assert val <= set(contents)
    if len(set(contents)) >= 2:
        assert 0 < len(val) < len(set(contents))
    else:
        assert not val


@given(st.lists(hashes, min_size=2), fractions, st.randoms())
def test_only_content_matters(contents: list[bytes], fraction: float, random) -> None:  # type: ignore[no-untyped-def]
    shuffled = random.sample(contents * 2, 2 * len(contents))
    assert held_out(shuffled, fraction) == held_out(contents, fraction)


@settings(max_examples=15)
@given(st.sets(hashes, min_size=100, max_size=200), st.sets(hashes, max_size=50))
def test_more_images_move_none(contents: set[bytes], more: set[bytes]) -> None:
    before, after = held_out([*contents], 0.3), held_out([*contents | more], 0.3)
    assert after & contents == before


@example([bytes([200]) * 32, bytes([100]) * 32], 0.1, 0.5)
@given(st.lists(hashes), fractions, fractions)
def test_a_larger_fraction_holds_out_the_same_and_more(contents: list[bytes], one: float, other: float) -> None:
    """Also where the one that must be held out, or kept, is the only one."""
    assert held_out(contents, min(one, other)) <= held_out(contents, max(one, other))


@settings(max_examples=15)
@given(st.sets(hashes, min_size=20, max_size=60), fractions)
def test_a_hash_is_a_number_and_the_low_ones_are_held_out(contents: set[bytes], fraction: float) -> None:
    """By the definition: of another one, images that a model was trained on would become val's."""
    numbers = {content: int(content.hex()[:16], 16) / 16**16 for content in contents}
    low = {content for content, number in numbers.items() if number < fraction}
    if 0 < len(low) < len(contents):
        assert held_out([*contents], fraction) == low


@given(st.integers(0, 40), fractions, st.integers(0, 1000))
def test_groups_are_whole_and_two_at_least_of_each_part(count: int, fraction: float, seed: int) -> None:
    groups = [f"{seed} {i % count}" for i in range(3 * count)]
    part = dict(zip(groups, split_by_group(groups, fraction), strict=True))
    assert split_by_group(groups, fraction) == [part[group] for group in groups]
    sizes = Counter(part.values())
    assert sizes.keys() in ({"train", "val", "test"}, {"train"}, set())
    assert len(sizes) < 2 or min(sizes.values()) >= 2
    assert len(sizes) > 1 or count < 6 or fraction > 0.05


def test_about_the_fraction() -> None:
    contents = [hashlib.sha256(bytes([i % 256, i // 256])).digest() for i in range(10_000)]
    assert abs(len(held_out(contents, 0.1)) - 1_000) < 150


@given(st.lists(st.tuples(st.integers(0, 3), st.one_of(st.none(), hashes))), fractions)
def test_split_of_rows(rows: list[tuple[int, bytes | None]], fraction: float) -> None:
    parts = split_by_content([label for label, _ in rows], [content for _, content in rows], fraction)
    assert len(parts) == len(rows)
    side: dict[tuple[int, bytes], str] = {}
    for (label, content), part in zip(rows, parts, strict=True):
        if content is None:
            assert part == "train"
        else:
            assert side.setdefault((label, content), part) == part


@given(st.lists(st.tuples(st.sampled_from(["train", "val"]), st.text(), st.one_of(st.none(), hashes))), st.randoms())
def test_fingerprint_knows_no_order(images: list[tuple[str, str, bytes | None]], random) -> None:  # type: ignore[no-untyped-def]
    assert fingerprint(images) == fingerprint(random.sample(images, len(images)))
    if images:
        assert fingerprint(images) != fingerprint(images[1:])


def test_a_fingerprint_tells_splits_labels_and_contents() -> None:
    image = ("train", "cat", hashlib.sha256(b"a").digest())
    others = [("val", *image[1:]), ("train", "dog", image[2]), (*image[:2], hashlib.sha256(b"b").digest()), image[:2]]
    prints = {fingerprint([(*one, None)[:3]]) for one in (image, *others)}
    assert len(prints) == 5 and all(len(one) == 64 for one in prints)


@given(st.sets(st.integers(0, 5000)))
def test_numbers_are_sorted_by_value(numbers: set[int]) -> None:
    assert [int(name) for name in ordered_names(map(str, numbers))] == sorted(numbers)


@given(st.sets(st.text()))
def test_other_names_are_sorted_as_text(names: set[str]) -> None:
    found = ordered_names([*names, "a"])
    assert list(found) == sorted({*names, "a"})
