"""Our reader of HDF5 against the library itself."""

import io
from typing import Any

import h5py
import numpy as np
import pytest

from mobilenets.errors import ModelFileError
from mobilenets.weights.read.hdf5 import MAX_DEPTH, Dataset, Hdf5


def written(fill: Any, **how: Any) -> bytes:
    content = io.BytesIO()
    with h5py.File(content, "w", **how) as file:
        fill(file)
    return content.getvalue()


def assert_same(content: bytes, below: str = "/") -> int:
    """Every array that h5py finds, and no other, has its numbers; how many there are."""
    ours = Hdf5(content)
    found = ours.arrays(ours.child(ours.root, below))
    with h5py.File(io.BytesIO(content)) as file:
        paths: list[str] = []
        group = file[below]
        group.visititems(lambda path, item: paths.append(path) if isinstance(item, h5py.Dataset) else None)
        assert sorted(found) == sorted(paths)
        for path in paths:
            np.testing.assert_array_equal(ours.read(found[path], path), np.float32(group[path][()]))
            assert found[path].shape == group[path].shape
    return len(paths)


@pytest.mark.parametrize("links", [0, 1, 8, 9, 300, pytest.param(3000, marks=pytest.mark.slow)])
def test_groups_of_any_width(links: int) -> None:
    """Links lie 8 to a table, 32 tables to a node of the tree."""

    def fill(file: h5py.File) -> None:
        for number in np.random.default_rng(0).permutation(links):
            file[f"layer {number}"] = np.float32([number])

    assert assert_same(written(fill)) == links


def test_groups_within_groups() -> None:
    def fill(file: h5py.File) -> None:
        for depth in range(1, 12):
            file["/".join(["group"] * depth) + "/array"] = np.float32([depth])

    assert assert_same(written(fill)) == 11


def test_groups_lie_in_one_another_up_to_a_bound() -> None:
    def nested(depth: int) -> bytes:
        return written(lambda file: file.update({"g/" * depth + "array": np.ones(1)}))

    assert assert_same(nested(MAX_DEPTH)) == 1
    deeper = Hdf5(nested(MAX_DEPTH + 1))
    with pytest.raises(ModelFileError, match=f"groups nested too deeply: at most {MAX_DEPTH} are read"):
        deeper.arrays(deeper.root)


@pytest.mark.parametrize("kind", ["<f2", "<f4", "<f8", ">f2", ">f4", ">f8"])
@pytest.mark.parametrize("shape", [(), (5,), (0,), (2, 3, 4, 5)])
def test_numbers(kind: str, shape: tuple[int, ...]) -> None:
    array = np.random.default_rng(0).normal(size=shape).astype(kind)
    space = h5py.h5s.create_simple(shape) if shape else h5py.h5s.create(h5py.h5s.SCALAR)

    def fill(file: h5py.File) -> None:
        file["plain"] = array
        compact = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        compact.set_layout(h5py.h5d.COMPACT)
        within = h5py.h5d.create(file.id, b"within", h5py.h5t.py_create(array.dtype), space, compact)
        within.write(h5py.h5s.ALL, h5py.h5s.ALL, array)

    content = written(fill)
    ours = Hdf5(content)
    for name in ("plain", "within"):
        dataset = ours.child(ours.root, name)
        assert isinstance(dataset, Dataset) and dataset.shape == shape
        np.testing.assert_array_equal(ours.read(dataset, name), array.astype(np.float32))


def test_texts() -> None:
    texts = {f"text {number}": "ü" * number for number in (0, 1, 7, 8, 1000, 100_000)}

    def fill(file: h5py.File) -> None:
        for name, text in texts.items():
            file.attrs[name] = text
        file.attrs["bytes"] = "größer".encode()
        file.attrs["fixed"] = np.bytes_(b"of fixed length")
        file.attrs["several"] = ["a", "b"]
        file.attrs["number"] = 3

    ours = Hdf5(written(fill))
    assert {name: ours.text(ours.root, name) for name in texts} == texts
    assert (ours.text(ours.root, "bytes"), ours.text(ours.root, "fixed")) == ("größer", "of fixed length")
    assert ours.text(ours.root, "none") is None
    for name in ("several", "number"):
        with pytest.raises(ModelFileError, match=f"attribute {name}: must be one text"):
            ours.text(ours.root, name)


def test_a_text_that_is_padded_with_zeros() -> None:
    """As h5py does not write it, but others do: the padding stands beside the kind of the value."""

    def fill(file: h5py.File) -> None:
        kind = h5py.h5t.C_S1.copy()
        kind.set_size(h5py.h5t.VARIABLE)
        kind.set_strpad(h5py.h5t.STR_NULLPAD)
        attribute = h5py.h5a.create(file.id, b"padded", kind, h5py.h5s.create(h5py.h5s.SCALAR))
        attribute.write(np.array(b"some text", dtype=h5py.string_dtype()))

    ours = Hdf5(written(fill))
    assert ours.text(ours.root, "padded") == "some text"


@pytest.mark.parametrize("how", [{"libver": "latest"}, {"track_order": True}, {"userblock_size": 512}])
def test_other_forms_are_refused(how: dict[str, Any]) -> None:
    content = written(lambda file: file.create_group("a"), **how)
    with pytest.raises(ModelFileError, match=r"superblock of version|no object header of version 1|lacks the sign"):
        Hdf5(content)


def test_a_type_that_stands_alone_is_refused() -> None:
    ours = Hdf5(written(lambda file: file.__setitem__("kind", np.dtype("<f4"))))
    with pytest.raises(ModelFileError, match=r"kind: a group of another form, .*: it is not followed"):
        ours.child(ours.root, "kind")


def test_arrays_within_the_size_of_the_file() -> None:
    """Two data sets that claim the same bytes are one too many where each is most of the file."""
    content = bytearray(written(lambda file: file.update({"a": np.ones(9000), "b": np.zeros(9000)})))
    ours = Hdf5(bytes(content))
    first, second = (ours.child(ours.root, name) for name in "ab")
    ours.read(first, "a")
    ours.read(second, "b")
    with pytest.raises(ModelFileError, match="a: declares 72000 bytes, more than the file has"):
        ours.read(first, "a")


def test_published_files(shared_data) -> None:
    for name in ("vww_96.h5", "mobilenet_v1_0.25_224.h5"):
        assert assert_same((shared_data / "weights" / name).read_bytes(), "model_weights") > 80
