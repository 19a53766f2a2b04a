"""Malformed safetensors files and PyTorch pickles: each is refused in one line with its reason, and none is run."""

import io
import json
import os
import pickle
import re
import struct
import subprocess
import sys
import tracemalloc
import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save
from torch import nn
from torch_peer import Listed, randomise, saved

from mobilenets.arch.network import Network
from mobilenets.errors import MobilenetsError, ModelFileError
from mobilenets.weights import Given, import_files
from mobilenets.weights.importing import read_content
from mobilenets.weights.recognise import recognise

pytestmark = pytest.mark.timeout(60)  # a reader that hangs

GIVEN = Given(size=(64, 64), pixels=(127.5, 127.5), activation="relu")
OLD = {"_use_new_zipfile_serialization": False}


def importing(content: bytes, suffix: str) -> None:
    """Bounded in memory, whatever comes of it; the mark above bounds its time."""
    limit = 60 * len(content) + (1 << 20)
    tracemalloc.start()
    try:
        recognise(read_content(content, suffix), GIVEN)
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < limit


def refused(content: bytes, suffix: str, reason: str) -> None:
    with pytest.raises(ModelFileError, match=reason) as caught:
        importing(content, suffix)
    assert len(str(caught.value)) < 400 and str(caught.value).isprintable()


# --- safetensors


@cache
def tensors() -> dict[str, np.ndarray]:
    return {name: t.numpy() for name, t in randomise(Listed()).state_dict().items() if t.is_floating_point()}


@cache
def sound() -> bytes:
    return save(tensors(), {"format": "pt"})


def changed(change: Callable[[dict[str, Any]], object], data: bytes | None = None) -> bytes:
    """The sound file with another header."""
    content = sound()
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:end])
    header = change(header) or header
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + (content[end:] if data is None else data)


def with_tensor(name: str, **entry: Any) -> bytes:
    return changed(lambda header: header[name].update(entry))


def with_values(name: str, *values: float, dtype: type = np.float32) -> bytes:
    array = tensors()[name].astype(dtype)
    array.flat[: len(values)] = values
    return save({**tensors(), name: array})


def raw(length: int, text: bytes) -> bytes:
    return length.to_bytes(8, "little") + text


STEM, NORM = "model.0.0.weight", "model.0.1.running_var"
OWN = {"mobilenets_network": "{", "mobilenets_preprocess": "{}", "mobilenets_labels": "[]"}
PART = {"mobilenets_network": Network(0.25, 64, 64, classes=5).to_json()}
OFFSET = "invalid (shape, data type, or )?offset for tensor"

SAFETENSORS: dict[str, tuple[Callable[[], bytes], str]] = {
    "empty": (lambda: b"", "^damaged: .*header too small"),
    "seven bytes": (lambda: bytes(7), "^damaged: .*header too small"),
    "no header": (lambda: bytes(100), "^damaged: "),
    "a huge header": (lambda: raw(1 << 62, b"{}"), "^damaged: .*header too large"),
    "a header of a gigabyte": (lambda: raw(1 << 30, b"{}"), "^damaged: .*header too large"),
    "a header longer than the file": (lambda: raw(1000, b"{}"), "^damaged: .*invalid header length"),
    "a header that is no text": (lambda: raw(4, b"\xff\xfe\xff\xfe"), "^damaged: .*invalid UTF-8"),
    "a header that is no JSON": (lambda: raw(4, b"{[}]"), "^damaged: .*invalid JSON"),
    "a header that is a list": (lambda: raw(2, b"[]"), "^damaged: .*invalid"),
    "a deep header": (lambda: raw(200_000, b'{"a":' * 40_000), "^damaged: .*(recursion|JSON)"),
    "metadata of numbers": (lambda: changed(lambda h: {**h, "__metadata__": {"a": 1}}), "^damaged: .*JSON"),
    "overlapping tensors": (lambda: overlapping(), f"^damaged: .*{OFFSET}"),
    "a hole between tensors": (lambda: with_tensor(STEM, data_offsets=[4, 868]), f"^damaged: .*{OFFSET}"),
    "data that is cut off": (lambda: changed(lambda h: None, data=bytes(8)), "^damaged: .*incomplete metadata"),
    "data that is left over": (lambda: sound() + bytes(8), "^damaged: .*file not fully covered"),
    "offsets that run backwards": (lambda: with_tensor(STEM, data_offsets=[864, 0]), "^damaged: "),
    "offsets below nothing": (lambda: with_tensor(STEM, data_offsets=[-8, 856]), "^damaged: "),
    "a shape of other size": (lambda: with_tensor(STEM, shape=[8, 3, 3, 4]), f"^damaged: .*{OFFSET}"),
    "a shape below nothing": (lambda: with_tensor(STEM, shape=[-8, -3, 3, 3]), "^damaged: .*invalid"),
    "a shape beyond 64 bits": (lambda: with_tensor(STEM, shape=[1 << 40, 1 << 40]), "^damaged: "),
    "a wrong number format": (lambda: with_tensor(STEM, dtype="F31"), "^damaged: .*JSON"),
    "another number format": (lambda: with_tensor(STEM, dtype="F16"), f"^damaged: .*{OFFSET}"),
    "whole numbers": (lambda: with_tensor(STEM, dtype="I32"), f"^{STEM}: I32, must be floating point"),
    "another shape of the same size": (lambda: with_tensor(STEM, shape=[3, 8, 3, 3]), r"takes|batch norm|values for"),
    "a kernel of two axes": (lambda: with_tensor(STEM, shape=[8, 27]), "^model.0.1: a batch norm with no convolution"),
    "no axes": (lambda: with_array("scale.weight", 1.0), r"^scale: weight \(\): no layer of a MobileNet has these"),
    "a batch norm too long": (lambda: with_array(NORM, np.ones(9)), r"running_var: \(9,\) values for 8 channels"),
    "not a number": (lambda: with_values(STEM, np.nan), "conv0.weight holds values that are not finite"),
    "infinite": (lambda: with_values(NORM, np.inf), "conv0_bn.running_var holds values that are not finite"),
    "too large": (lambda: with_values(STEM, 1e300, dtype=np.float64), "conv0.weight holds values that are not finite"),
    "negative variances": (lambda: with_values(NORM, -1.0), "its batch norm has negative variances"),
    "a long name": (lambda: with_array("a" * 10_000 + ".weight", 1.0), r"^a name of 10007 characters: a{20}\.\.\.$"),
    "no tensors": (lambda: save({}), "only 0 convolutions"),
    "our metadata, damaged": (lambda: save(tensors(), OWN), "^its metadata: the network is not JSON"),
    "our metadata, in part": (lambda: save(tensors(), PART), "^its metadata lacks 'mobilenets_preprocess'"),
}  # fmt: skip


def overlapping() -> bytes:
    """Two tensors claim the same bytes."""
    return changed(lambda header: header["model.1.0.weight"].update(data_offsets=header[STEM]["data_offsets"]))


def with_array(name: str, array: Any) -> bytes:
    return save({**tensors(), name: np.array(array, np.float32)})


@pytest.mark.parametrize("case", SAFETENSORS)
def test_safetensors(case: str) -> None:
    make, reason = SAFETENSORS[case]
    refused(make(), ".safetensors", reason)


@pytest.mark.parametrize("share", range(10))
def test_safetensors_truncated(share: int) -> None:
    content = sound()
    refused(content[: 9 + (len(content) - 9) * share // 10], ".safetensors", "^damaged: ")


# --- pickles that do something


class Reduced:
    """Its pickle calls `function(*arguments)` when it is loaded."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self.call


def attacks(marker: Path) -> dict[str, tuple[Any, str]]:
    """What leaves `marker` behind when it is unpickled, and the name by which it is refused."""
    touch = f"touch {marker}"
    return {
        "os.system": (Reduced(os.system, touch), "posix.system"),
        "eval": (Reduced(eval, f"open({str(marker)!r}, 'w')"), "(builtins|__builtin__).eval"),
        "exec": (Reduced(exec, f"open({str(marker)!r}, 'w')"), "(builtins|__builtin__).exec"),
        "getattr": (Reduced(getattr, "", "join"), "(builtins|__builtin__).getattr"),
        "subprocess": (Reduced(subprocess.Popen, ["touch", str(marker)]), "(subprocess|commands).Popen"),
        "open": (Reduced(open, str(marker), "w"), "io.open"),
        "torch.load": (Reduced(torch.load, io.BytesIO()), "torch.serialization.load"),
        "a whole module": (nn.Linear(2, 2), "torch.nn.modules.linear.Linear"),
        "a module among tensors": ({"state_dict": {"a.weight": nn.ReLU()}}, "torch.nn.modules.activation.ReLU"),
        "beside the tensors": ({"state_dict": {}, "hook": Reduced(os.system, touch)}, "posix.system"),
        "a key": ({Reduced(os.system, touch): 1}, "posix.system"),
        "a NumPy number": ({"accuracy": np.float64(0.5)}, "numpy._core.multiarray.scalar"),
    }


@pytest.mark.parametrize("how", [{}, OLD, {"pickle_protocol": 4}], ids=str)
@pytest.mark.parametrize("attack", attacks(Path("marker")))
def test_pickles_with_code(attack: str, how: dict[str, Any], tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    value, name = attacks(marker)[attack]
    refused(saved(value, **how), ".pt", rf"^holds code \('{name}'\), which is not read: save its tensors alone")
    assert not marker.exists()


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_bare_pickles_with_code(protocol: int, tmp_path: Path) -> None:
    """Not even in the old format; the marker shows that the pickle works."""
    marker = tmp_path / "marker"
    content = pickle.dumps({"a": Reduced(os.system, f"touch {marker}")}, protocol)
    refused(content, ".pth", r"^holds code \('posix.system'\)")
    assert not marker.exists()
    pickle.loads(content)
    assert marker.exists()


@pytest.mark.parametrize("protocol", [0, 1])
def test_pickles_from_before_all_formats(protocol: int, tmp_path: Path) -> None:
    content = pickle.dumps(Reduced(os.system, f"touch {tmp_path / 'marker'}"), protocol)
    refused(content, ".pth", "^neither of the formats|^holds code")
    assert not (tmp_path / "marker").exists()


# --- .pt files


def unzipped(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def zipped(members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return content.getvalue()


def beyond_all_bytes() -> bytes:
    """A member that lies at byte 2^63 and some."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("archive/data.pkl", b"N.")
        archive.infolist()[0].header_offset = 2**63 + 5
    return content.getvalue()


@cache
def pt() -> bytes:
    return saved({"model.0.0.weight": torch.ones(8, 3, 3, 3)})


def with_pickle(data: bytes) -> bytes:
    return zipped({**unzipped(pt()), "archive/data.pkl": data})


def replaced(before: bytes, after: bytes, content: bytes | None = None) -> bytes:
    """The sound file with another pickle; `before` stands in it."""
    members = unzipped(content or pt())
    assert before in members["archive/data.pkl"]
    return with_pickle(members["archive/data.pkl"].replace(before, after))


def without(member: str) -> bytes:
    return zipped({name: data for name, data in unzipped(pt()).items() if name != f"archive/{member}"})


def plus(**members: bytes) -> bytes:
    return zipped({**unzipped(pt()), **{f"archive/{name}": data for name, data in members.items()}})


def script() -> bytes:
    content = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.jit is on its way out; its files are not
        torch.jit.save(torch.jit.trace(nn.Linear(2, 2), torch.zeros(1, 2)), content)
    return content.getvalue()


def overlapped() -> bytes:
    """A directory that lists one member many times over."""
    content = bytearray(zipped({"archive/data.pkl": bytes(10_000)}))
    end = len(content) - 22
    start = int.from_bytes(content[end + 16 : end + 20], "little")
    directory = content[start:end]
    counts = struct.pack("<HHII", 500, 500, 500 * len(directory), start)
    return bytes(content[:start] + directory * 500 + b"PK\x05\x06\0\0\0\0" + counts + b"\0\0")


def claimed(count: int, after: bytes = b"") -> bytes:
    """A storage of that many numbers, of which the tensor is all; `after` b"t": of which it is 200."""
    number = b"\x8a\x08" + count.to_bytes(8, "little")
    return replaced(b"K\xc8" + after, number + after, saved({"a.weight": torch.ones(200)}))


def global_(name: str) -> bytes:
    module, _, function = name.rpartition(".")
    return f"c{module}\n{function}\n".encode()


def doubling(times: int) -> bytes:
    """Each call of the hex codec doubles its text: what torch.load(weights_only=True) runs."""
    body = b"U\x10aaaaaaaaaaaaaaaa"
    for _ in range(times):
        body = global_("_codecs.encode") + body + b"U\x03hex\x86R"
    return b"\x80\x02" + body + b"."


def copying() -> bytes:
    """A dict made of the same long list again and again."""
    pairs = b"".join(b"M" + n.to_bytes(2, "little") + b"N\x86" for n in range(3000))
    copies = (global_("collections.OrderedDict") + b"h\x01\x85R") * 3000
    return b"\x80\x02](" + pairs + b"eq\x01(" + copies + b"t."


def laughing() -> bytes:
    """Lists of lists of lists, each ten times the one before: nobody may write them out."""
    return b"\x80\x02]" + b"".join(b"q%c](" % n + b"h%c" % n * 10 + b"e" for n in range(1, 60)) + b"."


def old(change: Callable[[bytes], bytes] = lambda content: content) -> bytes:
    return change(saved({"a.weight": torch.ones(200)}, **OLD))


PT: dict[str, tuple[Callable[[], bytes], str]] = {
    "empty": (lambda: b"", "^neither of the formats"),
    "no pickle": (lambda: b"\x89PNG\r\n\x1a\n" + bytes(100), "^neither of the formats that torch.save writes"),
    "another pickle": (lambda: pickle.dumps(3, 2), "^neither of the formats that torch.save writes"),
    "a zip file's mark alone": (lambda: b"PK\x03\x04", "^damaged: File is not a zip file"),
    "another zip file": (lambda: zipped({"a.txt": b"a"}), "^a zip file without data.pkl: torch.save did not write it"),
    "a path out of the file": (lambda: zipped({"../../data.pkl": b"N."}), "^a zip file without data.pkl"),
    "two pickles": (lambda: zipped({**unzipped(pt()), "b/data.pkl": b"N."}), "^a zip file without data.pkl"),
    "TorchScript": (script, r"^holds code \(TorchScript\), which is not read: save its tensors alone"),
    "TorchScript's constants": (lambda: plus(**{"constants.pkl": b"N."}), r"^holds code \(TorchScript\)"),
    "a zip bomb": (lambda: zipped({**unzipped(pt()), "archive/data/1": bytes(50_000_000)}, zipfile.ZIP_DEFLATED),
                   r"^a zip bomb: it claims 5\d{7} bytes in a file of \d{5}$"),
    "a bomb of LZMA": (lambda: zipped({"a/data.pkl": bytes(50_000_000)}, zipfile.ZIP_LZMA), "^a zip bomb"),
    "one member many times": (overlapped, r"^(a zip bomb: it claims 5000000 bytes|damaged: Overlapped)"),
    "a member beyond all bytes": (beyond_all_bytes, "^damaged: "),
    "compressed": (lambda: zipped({"a/data.pkl": os.urandom(999)}, zipfile.ZIP_DEFLATED), "^compressed, which torch"),
    "big-endian": (lambda: plus(byteorder=b"big"), "^written on a big-endian machine"),
    "no storage": (lambda: without("data/0"), r"^model.0.0.weight: 0 bytes, 216 values, shape \(8, 3, 3, 3\)"),
    "a short storage": (lambda: plus(**{"data/0": bytes(860)}), "^model.0.0.weight: 860 bytes, 216 values"),
    "a huge storage": (lambda: claimed(1 << 40), r"^its tensors claim 1099511627776 values in a file of \d+ bytes"),
    "a storage beyond 64 bits": (lambda: claimed((1 << 63) - 1), "^its tensors claim 9223372036854775807 values"),
    "a storage below nothing": (lambda: claimed((1 << 64) - 4), "^damaged: a size that is no natural number"),
    "a huge storage, little of it used": (lambda: claimed(1 << 40, b"t"), "^a.weight: 864 bytes, 1099511627776 values"),
    "a tensor beyond its storage": (lambda: replaced(b"K\x08K\x03K\x03K\x03t", b"K\x09K\x03K\x03K\x03t"),
                                    r"^a tensor of shape \(9, 3, 3, 3\) in a storage of 216 values"),
    "an offset beyond its storage": (lambda: replaced(b"QK\x00(", b"QK\x01("), r"^a tensor of shape \(8, 3, 3, 3\)"),
    "strides of nothing": (lambda: saved({"a.weight": torch.ones(1).expand(1 << 40)}), "^a tensor of shape"),
    "many tensors of one storage": (lambda: saved({f"{n}.weight": LARGE for n in range(99)}), "^its tensors claim 990"),
    "nine axes": (lambda: saved({"a.weight": torch.ones([1] * 9)}), "^damaged: a tensor without storage, or of"),
    "too many dicts": (lambda: with_pickle(copying()), "^damaged: "),
    "the hex codec": (lambda: with_pickle(doubling(40)), r"^holds code \('_codecs.encode'\)"),
    "a long bytearray": (lambda: with_pickle(b"\x80\x02cbuiltins\nbytearray\n\x8a\x05\0\0\0\0\x02\x85R."),
                         r"^holds code \('builtins.bytearray'\)"),
    "lists of lists": (lambda: with_pickle(laughing()), "^holds a list, not a state dict"),
    "lists of lists as a name": (lambda: with_pickle(laughing()[:-1] + b"\x8c\x01a\x93."), "^damaged: a name must be"),
    "a dict within itself": (lambda: with_pickle(b"\x80\x02}q\x01X\5\0\0\0modelh\x01s."), "^'model' is no tensor"),
    "deep tuples as a key": (lambda: with_pickle(b"\x80\x02}N" + b"\x85" * 200_000 + b"Ns."),
                             "^damaged: a key must be text or a number"),
    "no end": (lambda: with_pickle(b"\x80\x02}"), "^damaged: pickle exhausted before seeing STOP"),
    "an empty stack": (lambda: with_pickle(b"\x80\x02s."), "^damaged: pop from empty list"),
    "no mark": (lambda: with_pickle(b"\x80\x02t."), "^damaged: pop from empty list"),
    "nothing to remember": (lambda: with_pickle(b"\x80\x02h\x07."), "^damaged: 7"),
    "a number for a dict": (lambda: with_pickle(b"\x80\x02K\x01K\x01K\x01s."), "^damaged: no dict where one should be"),
    "a call of a number": (lambda: with_pickle(b"\x80\x02K\x01)R."), "^damaged: 'int' object has no attribute"),
    "a call of a storage's class": (lambda: with_pickle(b"\x80\x02ctorch\nFloatStorage\n)R."), "^damaged: 'torch"),
    "a tensor of nothing": (lambda: with_pickle(b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n(NNNNtR."), "^damaged: "),
    "a reference that is no storage": (lambda: with_pickle(b"\x80\x02X\1\0\0\0aQ."), "^damaged: no tuple of a few"),
    "an instance": (lambda: with_pickle(b"\x80\x02)\x81."), "^damaged: pop from empty list"),
    "an extension": (lambda: with_pickle(b"\x80\x02\x82\x01."), r"^holds objects \(EXT1\)"),
    "text that is none": (lambda: with_pickle(b"\x80\x02X\2\0\0\0\xff\xff."), "^damaged: 'utf-8' codec"),
    "a name with escapes": (lambda: with_pickle(b"\x80\x02ca\x1b[31m\nb\n."), r"^holds code \('a\\x1b\[31m.b'\)"),
    "not a number": (lambda: saved({**whole(), STEM: torch.full((8, 3, 3, 3), np.nan)}), "conv0.weight holds values"),
    "old: another machine": (lambda: old(lambda c: re.sub(rb"(little_endianq.)\x88", b"\\1\x89", c)),
                             "^written on a big-endian machine"),
    "old: a storage of another size": (lambda: old(lambda c: c[:-808] + (1 << 40).to_bytes(8, "little") + c[-800:]),
                                       "^damaged: storage .* is not of the 200 values that it claims"),
    "old: a huge storage": (lambda: old(huge), "^damaged: storage .* is not of the 1099511627776 values"),
    "old: no data": (lambda: old(lambda c: c[:-4]), "^a.weight: 796 bytes, 200 values"),
    "old: storages that nothing uses": (lambda: old()[: old().rindex(b"\x80\x02")] + pickle.dumps(["x"], 2),
                                        "^damaged: it holds a storage that no tensor uses"),
}  # fmt: skip

LARGE = torch.ones(10_000)


def huge(content: bytes) -> bytes:
    return content.replace(b"K\xc8", b"\x8a\x06" + (1 << 40).to_bytes(6, "little"))


def whole() -> OrderedDict[str, torch.Tensor]:
    return OrderedDict(randomise(Listed()).state_dict())


@pytest.mark.parametrize("case", PT)
def test_pt(case: str) -> None:
    make, reason = PT[case]
    refused(make(), ".pt", reason)


def text(value: str) -> bytes:
    return b"X" + len(value).to_bytes(4, "little") + value.encode()


def stored(mark: str = "storage", kind: str = "torch.FloatStorage", key: bytes = text("0"), more: bytes = b"") -> bytes:
    """Opcodes of a reference to a storage of one number."""
    return b"(" + text(mark) + global_(kind) + key + text("cpu") + b"K\x01" + more + b"tQ"


def called(storage: bytes, shape: bytes, strides: bytes) -> bytes:
    """Opcodes of a tensor."""
    return global_("torch._utils._rebuild_tensor_v2") + b"(" + storage + b"K\x00" + shape + strides + b"tR"


NO_STORAGE, NO_TENSOR = "a reference that is no storage", "a tensor without storage, or of too many dimensions"
ONE, TWO = b"K\x01\x85", b"K\x01K\x01\x86"  # tuples


@pytest.mark.parametrize(
    ("opcodes", "reason"),
    [
        (stored(), "holds a Storage, not a state dict"),
        (stored(more=b"N"), "holds a Storage, not a state dict"),
        (stored(mark="module"), NO_STORAGE),
        (stored(kind="collections.OrderedDict"), NO_STORAGE),
        (stored(key=b"K\x00"), NO_STORAGE),
        (stored(more=text("view")), NO_STORAGE),
        (stored(more=b"NNN"), NO_STORAGE),
        (stored(more=b"NNNN"), "no tuple of a few values"),  # nine
        (called(stored(), ONE, ONE), "holds a tensor, not a state dict"),
        (called(b"K\x01", ONE, ONE), NO_TENSOR),
        (called(stored(), TWO, ONE), NO_TENSOR),
        (called(stored(), ONE, TWO), NO_TENSOR),
        (called(stored(), b"(" + b"K\x01" * 8 + b"t", b"(" + b"K\x01" * 8 + b"t"), "holds a tensor, not a state dict"),
    ],
)
def test_references_and_tensors(opcodes: bytes, reason: str) -> None:
    refused(with_pickle(b"\x80\x02" + opcodes + b"."), ".pt", f"^(damaged: )?{reason}")


@pytest.mark.parametrize("how", [{}, OLD], ids=str)
@pytest.mark.parametrize("share", range(10))
def test_pt_truncated(share: int, how: dict[str, Any]) -> None:
    content = saved(whole(), **how)
    refused(content[: 1 + (len(content) - 1) * share // 10], ".pt", r"^damaged: |bytes, \d+ values|^neither of the")


# --- all of them


@cache
def sound_files() -> dict[str, bytes]:
    return {".safetensors": sound(), ".pt": saved(whole()), ".pth": saved(whole(), **OLD)}


@pytest.mark.parametrize("suffix", [".safetensors", ".pt", pytest.param(".pth", marks=pytest.mark.slow)])
@settings(max_examples=40)
@given(st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=4), st.data())
def test_bytes_changed_anywhere(suffix: str, changes: list[tuple[float, int]], data: st.DataObject) -> None:
    """Never another error than ours, even where headers and pickles are hit."""
    content = bytearray(sound_files()[suffix])
    reach = data.draw(st.sampled_from([len(content), 20_000, 400]))
    start = data.draw(st.sampled_from([0, len(content) - reach]))
    for place, value in changes:
        content[start + int(place * reach)] = value
    try:
        importing(bytes(content), suffix)
    except MobilenetsError as exc:
        assert "\n" not in str(exc)


@pytest.mark.parametrize("suffix", [".safetensors", ".pt", ".pth"])
def test_the_files_to_be_spoiled_are_sound(suffix: str) -> None:
    importing(sound_files()[suffix], suffix)


HUGE = {
    ".safetensors": lambda: raw(99_000_000, b"{" + b" " * 1000),
    ".pt": lambda: claimed(1 << 36),
    ".pth": lambda: old(huge),
    ".bin": lambda: with_pickle(doubling(40)),
}


@pytest.mark.parametrize("suffix", HUGE)
def test_what_claims_to_be_huge_takes_no_memory(suffix: str, tmp_path: Path) -> None:
    """In a process that may not have more than a gigabyte, libraries in other languages included."""
    path = tmp_path / f"m{suffix}"
    path.write_bytes(HUGE[suffix]())
    code = f"""
import resource
from pathlib import Path
from mobilenets.errors import ModelFileError
from mobilenets.weights import import_files
resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
try:
    import_files([Path({str(path)!r})])
except ModelFileError as exc:
    print("refused")"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "refused\n", done.stderr


def test_the_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    path.write_bytes(b"")
    with pytest.raises(ModelFileError, match=rf"^{path}: damaged: "):
        import_files([path])
