"""Keras files that are damaged, no MobileNet or meant to harm: each is refused in one line that says why."""

import base64
import io
import json
import marshal
import struct
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from mobilenets.arch.network import Block, Network
from mobilenets.errors import ModelFileError
from mobilenets.exporters.keras import to_keras_h5
from mobilenets.weights import import_files

SMALL = Network(1, 32, 32, classes=3, stem=8, blocks=(Block(1, 16), Block(2, 8)))
Edit = Callable[[h5py.File], None]


@pytest.fixture(scope="module")
def whole(random_model) -> bytes:
    """A sound .h5."""
    return to_keras_h5(random_model(SMALL))


@pytest.fixture(scope="module")
def members(whole: bytes) -> dict[str, bytes]:
    """What a sound .keras of the same network holds; arrays under the names of their layers."""
    content = io.BytesIO()
    with h5py.File(io.BytesIO(whole)) as source, h5py.File(content, "w") as target:
        config = source.attrs["model_config"]
        for name, group in source["model_weights"].items():
            for number, path in enumerate(group.attrs["weight_names"]):
                target[f"layers/{name}/vars/{number}"] = group[path][()]
    metadata = json.dumps({"keras_version": "3.15.1"})
    return {"metadata.json": metadata.encode(), "config.json": config.encode(), "model.weights.h5": content.getvalue()}


def edited(content: bytes, edit: Edit) -> bytes:
    file = io.BytesIO(content)
    with h5py.File(file, "r+") as opened:
        edit(opened)
    return file.getvalue()


def zipped(members: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", method) as archive:
        for name, member in members.items():
            archive.writestr(name, member)
    return content.getvalue()


@contextmanager
def refused(why: str, megabytes: float = 20) -> Iterator[None]:
    """In one line that matches `why`, and without taking more memory than that."""
    tracemalloc.start()
    try:
        with pytest.raises(ModelFileError, match=why) as raised:
            yield
        assert tracemalloc.get_traced_memory()[1] < megabytes * 1e6
    finally:
        tracemalloc.stop()
    assert "\n" not in str(raised.value) and len(str(raised.value)) < 500


def read(folder: Path, content: bytes, name: str = "m.h5") -> None:
    path = folder / name
    path.write_bytes(content)
    import_files([path])


def test_the_sound_ones_are_read(tmp_path, whole, members) -> None:
    read(tmp_path, whole)
    read(tmp_path, zipped(members), "m.keras")
    read(tmp_path, zipped(members, zipfile.ZIP_DEFLATED), "m.keras")


KERNEL = "conv_pw_1/conv_pw_1/kernel:0"
GAMMA = "conv_pw_1_bn/conv_pw_1_bn/gamma:0"
VARIANCE = "conv_pw_1_bn/conv_pw_1_bn/moving_variance:0"


def put(path: str, make: Callable[[h5py.Group, str], Any]) -> Edit:
    """Another data set, group or link in the place of `path`."""

    def edit(file: h5py.File) -> None:
        group, _, name = f"model_weights/{path}".rpartition("/")
        del file[group][name]
        make(file[group], name)

    return edit


def values(array: np.ndarray, **how: Any) -> Callable[[h5py.Group, str], Any]:
    return lambda group, name: group.create_dataset(name, data=array, **how)


def link(target: Any) -> Callable[[h5py.Group, str], Any]:
    return lambda group, name: group.__setitem__(name, target)


def change(path: str, change: Callable[[np.ndarray], None]) -> Edit:
    def edit(file: h5py.File) -> None:
        array = file[f"model_weights/{path}"][()]
        change(array)
        file[f"model_weights/{path}"][...] = array

    return edit


def huge(group: h5py.Group, name: str) -> None:
    group.create_dataset(name, (1 << 20, 1 << 20), np.float32)  # four terabytes, of which none is stored


def unlimited(group: h5py.Group, name: str) -> None:
    """One small array in a chunk of a gigabyte that packs to a megabyte."""
    group.create_dataset(name, (1, 1, 8, 16), np.float32, chunks=(1, 1, 1 << 14, 1 << 14), maxshape=(None,) * 4)


def outside(group: h5py.Group, name: str) -> None:
    group.create_dataset(name, (1, 1, 8, 16), np.float32, external=[("/etc/passwd", 0, 512)])


def virtual(group: h5py.Group, name: str) -> None:
    layout = h5py.VirtualLayout((1, 1, 8, 16), np.float32)
    layout[...] = h5py.VirtualSource("other.h5", "secret", shape=(1, 1, 8, 16))
    group.create_virtual_dataset(name, layout)


def in_itself(group: h5py.Group, name: str) -> None:
    group[name], group["again"] = group, group


ZEROS = np.zeros((1, 1, 8, 16), np.float32)

ARRAYS: dict[str, tuple[Edit, str]] = {
    "terabytes declared": (put(KERNEL, huge), r"conv_pw_1: its kernel has shape"),
    "terabytes of one axis": (
        put(GAMMA, lambda group, name: group.create_dataset(name, (1 << 40,), np.float32)),
        r"conv_pw_1_bn: its gamma has shape \(1099511627776,\), its config says \(16\)",
    ),
    "a chunk of a gigabyte": (put(KERNEL, unlimited), "conv_pw_1: kernel: stored in chunks"),
    "compressed": (put(KERNEL, values(ZEROS, compression="gzip")), "stored in chunks or compressed"),
    "external link": (
        put(KERNEL, link(h5py.ExternalLink("other.h5", "/secret"))),
        "conv_pw_1/conv_pw_1: a group of another form, which may lead out of the file",
    ),
    "external link for a group": (
        put("conv_pw_1", link(h5py.ExternalLink("other.h5", "/secret"))),
        "/model_weights: a group of another form, which may lead out",
    ),
    "soft link to itself": (
        put(KERNEL, link(h5py.SoftLink(f"/model_weights/{KERNEL}"))),
        "kernel:0: a link to another place, which is not followed",
    ),
    "soft link for all weights": (
        lambda file: (file.move("model_weights", "w"), link(h5py.SoftLink("/w"))(file, "model_weights"))[0],
        "/model_weights: a link to another place, which is not followed",
    ),
    "groups in a ring": (put(KERNEL, in_itself), "groups nested too deeply"),
    "external storage": (put(KERNEL, outside), "conv_pw_1: kernel: its values are in another file"),
    "virtual": (put(KERNEL, virtual), "conv_pw_1: kernel: its values are in another file"),
    "objects": (
        put(
            KERNEL, lambda group, name: group.create_dataset(name, ZEROS.shape, h5py.special_dtype(ref=h5py.Reference))
        ),
        "conv_pw_1: kernel: its values are references",
    ),
    "integers": (
        put(KERNEL, values(ZEROS.astype(np.int8))),
        "its values are integers: weights are floating point numbers",
    ),
    "a group for an array": (
        put(KERNEL, lambda group, name: group.create_group(name)),
        "conv_pw_1: the file lacks its kernel",
    ),
    "wrong width": (
        put(KERNEL, values(ZEROS[..., :15])),
        r"conv_pw_1: its kernel has shape \(1, 1, 8, 15\), its config says \(1, 1, any, 16\)",
    ),
    "wrong inputs": (
        put(KERNEL, values(np.zeros((1, 1, 9, 16), np.float32))),
        "it takes 9 channels, but conv_dw_1 gives 8",
    ),
    "wrong rank": (put(KERNEL, values(ZEROS[0])), r"conv_pw_1: its kernel has shape \(1, 8, 16\)"),
    "empty": (put(GAMMA, values(np.zeros(0, np.float32))), r"its gamma has shape \(0,\), its config says \(16\)"),
    "nothing in a shape": (
        put(KERNEL, lambda group, name: group.create_dataset(name, data=h5py.Empty(np.float32))),
        "conv_pw_1: its kernel has shape None",
    ),
    "missing array": (
        lambda file: file.__delitem__(f"model_weights/{GAMMA}"),
        "conv_pw_1_bn: the file lacks its gamma",
    ),
    "missing layer": (lambda file: file.__delitem__("model_weights/conv_pw_2"), "conv_pw_2: the file lacks its kernel"),
    "no weights": (lambda file: file.__delitem__("model_weights"), "conv1: the file lacks its kernel"),
    "NaN": (change(KERNEL, lambda array: array.fill(np.nan)), "conv_pw_1: kernel: holds values that are not finite"),
    "too large for float32": (put(KERNEL, values(ZEROS.astype(float) + 1e300)), "not finite"),
    "negative variance": (change(VARIANCE, lambda array: array.fill(-1)), "conv_pw_1_bn: negative variances"),
}


@pytest.mark.parametrize("case", ARRAYS)
def test_arrays(tmp_path: Path, whole: bytes, case: str) -> None:
    with h5py.File(tmp_path / "other.h5", "w") as file:  # what links lead to would do, if they were followed
        file["secret"] = ZEROS
    edit, why = ARRAYS[case]
    content = edited(whole, edit)
    with refused(why):
        read(tmp_path, content)


def test_an_array_larger_than_the_file(tmp_path: Path, whole: bytes) -> None:
    """Of a shape that fits the config: a classifier for a thousand million classes."""

    def edit(file: h5py.File) -> None:
        config = json.loads(file.attrs["model_config"])
        config["config"]["layers"][-3]["config"]["filters"] = 10**9
        file.attrs["model_config"] = json.dumps(config)
        put("conv_preds/conv_preds/kernel:0", lambda g, name: g.create_dataset(name, (1, 1, 8, 10**9), np.float32))(
            file
        )

    with refused("conv_preds: kernel: declares 32000000000 bytes, more than the file has"):
        read(tmp_path, edited(whole, edit))


def code(mark: Path) -> dict[str, Any]:
    """A Lambda layer as Keras 3 stores it, whose code leaves a mark where it is run."""
    function = compile(f"lambda x: open({str(mark)!r}, 'w')", "lambda", "eval").co_consts[0]
    packed = base64.b64encode(marshal.dumps(function)).decode()
    return {"function": {"class_name": "__lambda__", "config": {"code": packed, "defaults": None, "closure": None}}}


def configured(change: Callable[[list[dict[str, Any]]], None]) -> Callable[[str], str]:
    def edit(text: str) -> str:
        config = json.loads(text)
        change(config["config"]["layers"])
        return json.dumps(config)

    return edit


def with_config(name: str, **config: Any) -> Callable[[str], str]:
    """Settings of the layer `name` changed."""
    return configured(lambda layers: next(layer for layer in layers if layer["name"] == name)["config"].update(config))


def another(kind: str, name: str = "conv1_relu", **keys: Any) -> Callable[[str], str]:
    """Another layer in the place of `name`."""

    def edit(layers: list[dict[str, Any]]) -> None:
        layer = next(layer for layer in layers if layer["name"] == name)
        layer["class_name"] = kind
        layer.update(keys)

    return configured(edit)


def two_sources(layers: list[dict[str, Any]]) -> None:
    add = {"class_name": "Add", "name": "add", "config": {"name": "add"}}
    sources = ["conv_pw_1_relu", "conv_dw_1_relu"]
    add["inbound_nodes"] = [[[source, 0, 0, {}] for source in sources]]
    place = 1 + next(i for i, layer in enumerate(layers) if layer["name"] == "conv_pw_1_relu")
    layers.insert(place, add)


def two_outputs(text: str) -> str:
    config = json.loads(text)
    config["config"]["output_layers"] = [["predictions", 0, 0], ["conv_pw_1_relu", 0, 0]]
    return json.dumps(config)


def deep(depth: int) -> Callable[[str], str]:
    return lambda text: "[" * depth + "]" * depth


def nested_models(text: str) -> str:
    model: dict[str, Any] = {"class_name": "Sequential", "config": {"name": "inner", "layers": []}}
    for _ in range(300):
        model = {"class_name": "Sequential", "config": {"name": "m", "layers": [model]}}
    return json.dumps(model)


CONFIGS: dict[str, tuple[Callable[[str], str], str]] = {
    "not JSON": (lambda text: text[:-9], "its config is not JSON"),
    "a list": (lambda text: "[]", "its config describes a list: Functional and Sequential models are read"),
    "a class of its author's": (lambda text: text.replace("Functional", "Mine"), "its config describes a Mine"),
    "nested too deeply": (deep(100_000), "its config is JSON nested too deeply"),
    "models nested too deeply": (nested_models, "only 0 convolutions before the classifier"),
    "too large": (
        lambda text: " " * (5 << 20) + text,
        "config.json: unpacks to|attribute model_config: 5247783 bytes of text",
    ),
    "no layers": (lambda text: '{"class_name": "Functional", "config": {}}', "damaged: it lacks 'layers'"),
    "layers of numbers": (configured(lambda layers: layers.__setitem__(2, 3)), "damaged: "),
    "unknown layer": (
        another("LayerNormalization", "conv1_bn"),
        "conv1_bn is a LayerNormalization: MobileNet has none",
    ),
    "a custom layer": (
        another("Conv2D", "conv1", registered_name="Mine>Conv2D"),
        "conv1 is a Mine>Conv2D: a custom layer",
    ),
    "a layer of another module": (another("Conv2D", "conv1", module="os"), "conv1 is a os"),
    "branching": (
        configured(two_sources),
        "layer 4, add: it takes conv_dw_1 and conv_pw_1, where a MobileNet takes conv1 and conv_pw_1",
    ),
    "two outputs": (two_outputs, "its outputs are .*conv_pw_1_relu"),
    "a layer twice over": (another("ReLU", inbound_nodes=[]), "conv1_relu takes nothing"),
    "seven filters": (
        with_config("conv_pw_1", filters=7),
        r"its kernel has shape .*, its config says \(1, 1, any, 7\)",
    ),
    "filters of text": (with_config("conv_pw_1", filters="16"), r"its config says \(1, 1, any, '16'\)"),
    "oblong kernel": (
        with_config("conv1", kernel_size=[3, 5]),
        r"conv1: kernel \[3, 5\]: MobileNet has square ones",
    ),
    "no stride": (
        with_config("conv_dw_1", strides=[0, 0]),
        r"conv_dw_1: strides \[0, 0\]: MobileNet has square ones",
    ),
    "oblong stride": (with_config("conv_dw_1", strides=[1, 2]), r"conv_dw_1: strides \[1, 2\]"),
    "dilation": (with_config("conv_dw_1", dilation_rate=[2, 2]), "conv_dw_1: a dilation or groups"),
    "channels first": (with_config("conv1", data_format="channels_first"), "only channels_last is read"),
    "no epsilon": (with_config("conv1_bn", epsilon=0), r"conv1_bn: epsilon \(=0\) must be above 0"),
    "leaky ReLU": (with_config("conv1_relu", negative_slope=0.1), "conv1_relu: a ReLU with a slope"),
    "ReLU above a threshold": (
        with_config("conv1_relu", threshold=1.0),
        "conv1_relu: a ReLU with a slope, a thres",
    ),
    "ReLU5": (with_config("conv1_relu", max_value=5.0), "conv1_relu: a ReLU .* or a limit other than 6"),
    "another activation": (with_config("conv1", activation="swish"), "conv1: activation swish: MobileNet has ReLU"),
    "activation before the norm": (
        with_config("conv1", activation="relu"),
        "conv1_bn: a batch norm that does not directly",
    ),
    "a norm of rows": (with_config("conv1_bn", axis=1), "conv1_bn: normalises axis 1, not the channels"),
    "a norm of rows, listed": (with_config("conv1_bn", axis=[1]), r"conv1_bn: normalises axis \[1\], not the channels"),
    "softmax in the middle": (
        with_config("conv1", activation="softmax"),
        "conv1_bn: a BatchNormalization after the softmax",
    ),
    "no ReLU": (another("Dropout"), "no ReLU or ReLU6 follows it"),
    "padding of its own": (
        with_config("conv1_pad", padding=[[3, 0], [1, 1]]),
        r"padding \(3, 1, 0, 1\) .* follows no rule",
    ),
    "fewer arrays than there are": (
        with_config("conv1_bn", center=False),
        "conv1_bn: the file has an array (beta|3) of it, its config has not",
    ),
    "padding after the pool": (
        another("ZeroPadding2D", "dropout", config={"name": "dropout", "padding": [[1, 1], [1, 1]]}),
        "dropout: a ZeroPadding2D after the pool",
    ),
    "no pool": (another("Dropout", "global_average_pooling2d"), "reshape_2: a Reshape before the pool"),
    "dense in every place": (
        another("Dense", "dropout", config={"name": "dropout", "units": 8, "use_bias": False}),
        "(dropout|conv1): the file lacks its kernel",
    ),
    "a pool of a part": (
        another(
            "AveragePooling2D",
            "global_average_pooling2d",
            config={"name": "global_average_pooling2d", "pool_size": [2, 2], "padding": "valid"},
        ),
        r"pools windows of \[2, 2\], not the whole feature map \(8x8\)",
    ),
    "division by nothing": (
        another("TFOpLambda", "conv1_pad", config={"name": "conv1_pad", "function": "math.truediv"}),
        "conv1_pad: None: pixels are rescaled by one number",
    ),
    "padding that is no padding": (with_config("conv1_pad", padding="wide"), "damaged: "),
    "rescaling late": (
        another("Rescaling", "conv1_relu", config={"name": "conv1_relu", "scale": 1, "offset": 0}),
        "conv1: no ReLU or ReLU6 follows it",
    ),
}


@pytest.mark.parametrize("case", CONFIGS)
def test_configs(tmp_path: Path, whole: bytes, members: dict[str, bytes], case: str) -> None:
    """The same in an .h5 and in a .keras."""
    edit, why = CONFIGS[case]
    with h5py.File(io.BytesIO(whole)) as file:
        config = edit(file.attrs["model_config"])
    h5 = edited(whole, lambda file: file.attrs.__setitem__("model_config", config))
    archive = zipped({**members, "config.json": config.encode()})
    for name, content in (("m.h5", h5), ("m.keras", archive)):
        with refused(why, megabytes=40):
            read(tmp_path, content, name)


@pytest.mark.parametrize("axis", [-1, 3, [-1], [3]])
def test_the_channels_axis_however_it_is_written(tmp_path: Path, members: dict[str, bytes], axis: Any) -> None:
    config = with_config("conv1_bn", axis=axis)(members["config.json"].decode())
    read(tmp_path, zipped({**members, "config.json": config.encode()}), "m.keras")


@pytest.mark.parametrize("name", ["m.h5", "m.keras"])
def test_lambda_is_not_run(tmp_path: Path, whole: bytes, members: dict[str, bytes], name: str) -> None:
    mark = tmp_path / "run"
    edit = another("Lambda", "conv1_relu", config={"name": "conv1_relu", **code(mark)})
    config = edit(members["config.json"].decode())
    h5 = edited(whole, lambda file: file.attrs.__setitem__("model_config", config))
    with refused("conv1_relu is a Lambda layer: it holds code, which is never run"):
        read(tmp_path, h5 if name == "m.h5" else zipped({**members, "config.json": config.encode()}), name)
    assert not mark.exists()
    assert eval(f"lambda x: open({str(mark)!r}, 'w')")(0).close() is None and mark.exists()  # it works


def test_weights_alone_are_numbered_from_one(tmp_path: Path, whole: bytes) -> None:
    """A block 0 is none of keras.applications."""
    content = io.BytesIO()
    with h5py.File(io.BytesIO(whole)) as source, h5py.File(content, "w") as target:
        for name, group in source["model_weights"].items():
            source.copy(group, target, name.replace("_1", "_0"))
    with refused("conv_dw_0 is not named as in keras.applications"):
        read(tmp_path, content.getvalue())


def flipped(content: bytes, at: int) -> bytes:
    return content[:at] + bytes([content[at] ^ 0xFF]) + content[at + 1 :]


H5_FILES: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "empty": (lambda content: b"", "not an HDF5 file"),
    "text": (lambda content: b"<html>404</html>", "not an HDF5 file"),
    "half": (lambda content: content[: len(content) // 2], r"truncated: \d+ of \d+ bytes"),
    "its first bytes": (lambda content: content[:40], "damaged: "),
    "a byte of its superblock": (
        lambda content: flipped(content, 8),
        "HDF5 with a superblock of version 255: Keras writes version 0",
    ),
    "an archive": (lambda content: zipped({"config.json": b"{}"}), "not an HDF5 file"),
    "no attribute": (lambda content: edited(content, lambda f: f.attrs.__delitem__("model_config")), "weights alone"),
    "numbers for a config": (
        lambda content: edited(content, lambda f: f.attrs.__setitem__("model_config", np.arange(3))),
        "attribute model_config: must be one text",
    ),
    "labels of numbers": (
        lambda content: edited(content, lambda f: f.attrs.__setitem__("mobilenets_labels", "[1, 2, 3]")),
        r"mobilenets_labels\[0\] \(=1\) must be text",
    ),
    "another network's metadata": (
        lambda content: edited(content, lambda f: f.attrs.__setitem__("mobilenets_network", Network().to_json())),
        "its metadata: 3 labels for a network of 1000 classes",
    ),
}


@pytest.mark.parametrize("case", H5_FILES)
def test_h5_files(tmp_path: Path, whole: bytes, case: str) -> None:
    damage, why = H5_FILES[case]
    with refused(why):
        read(tmp_path, damage(whole))


def lying(content: bytes, name: bytes, size: int) -> bytes:
    """The archive's directory says that the member `name` unpacks to `size` bytes."""
    at = content.rindex(name) - 46
    return content[: at + 24] + struct.pack("<I", size) + content[at + 28 :]


def encrypted(content: bytes, name: bytes) -> bytes:
    at = content.rindex(name) - 46
    return content[: at + 8] + struct.pack("<H", 1) + content[at + 10 :]


BOMB = bytes(64 << 20)

ARCHIVES: dict[str, tuple[Callable[[dict[str, bytes]], bytes], str]] = {
    "empty": (lambda members: b"", "damaged: File is not a zip file"),
    "half": (lambda members: zipped(members)[:-200], "damaged: File is not a zip file"),
    "an .h5": (lambda members: members["model.weights.h5"], "damaged: File is not a zip file"),
    "no config": (lambda members: zipped({**members, "config.json": b""}), "its config is not JSON"),
    "config left out": (
        lambda members: zipped({k: v for k, v in members.items() if k != "config.json"}),
        "0 members config.json: a .keras archive has one",
    ),
    "no weights": (
        lambda members: zipped({k: v for k, v in members.items() if k != "model.weights.h5"}),
        "0 members model.weights.h5",
    ),
    "config that is no text": (lambda members: zipped({**members, "config.json": b"\xff\xfe"}), "damaged: .*decode"),
    "weights of zeros that unpack a thousandfold": (
        lambda members: zipped({**members, "model.weights.h5": BOMB}, zipfile.ZIP_DEFLATED),
        r"model.weights.h5: unpacks to 67108864 bytes, at most \d+ are read",
    ),
    "config that unpacks a thousandfold": (
        lambda members: zipped({**members, "config.json": BOMB}, zipfile.ZIP_DEFLATED),
        "config.json: unpacks to 67108864 bytes, at most 4194304 are read",
    ),
    "a bomb that says it is small": (
        lambda members: lying(zipped({**members, "config.json": BOMB}, zipfile.ZIP_DEFLATED), b"config.json", 1000),
        "damaged: Bad CRC-32 for file 'config.json'",
    ),
    "path out of the archive": (
        lambda members: zipped({**members, "../../etc/cron.d/x": b"x"}),
        "'../../etc/cron.d/x': a path out of the archive",
    ),
    "absolute path": (lambda members: zipped({**members, "/etc/x": b"x"}), "'/etc/x': a path out of the archive"),
    "Windows' path": (lambda members: zipped({**members, "a\\..\\..\\x": b"x"}), "a path out of the archive"),
    "encrypted": (lambda members: encrypted(zipped(members), b"config.json"), "config.json: encrypted or packed"),
    "packed by LZMA": (lambda members: zipped(members, zipfile.ZIP_LZMA), "config.json: encrypted or packed"),
    "a byte of its weights": (
        lambda members: flipped(zipped(members), zipped(members).index(b"\x89HDF") + 3000),
        "damaged: Bad CRC-32 for file 'model.weights.h5'",
    ),
    "weights that are no HDF5": (
        lambda members: zipped({**members, "model.weights.h5": b"PK"}),
        "not an HDF5 file: it lacks the signature",
    ),
    "weights of another model": (
        lambda members: zipped({**members, "model.weights.h5": only(members, "layers/conv1")}),
        "conv1: the file lacks its kernel",
    ),
}


def only(members: dict[str, bytes], path: str) -> bytes:
    content = io.BytesIO()
    with h5py.File(io.BytesIO(members["model.weights.h5"])) as source, h5py.File(content, "w") as target:
        source.copy(path, target.create_group("layers"))
    return content.getvalue()


@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")
def test_a_member_twice(tmp_path: Path, members: dict[str, bytes]) -> None:
    content = io.BytesIO(zipped(members))
    with zipfile.ZipFile(content, "a") as archive:
        archive.writestr("config.json", members["config.json"])
    with refused("2 members config.json: a .keras archive has one"):
        read(tmp_path, content.getvalue(), "m.keras")


@pytest.mark.parametrize("case", ARCHIVES)
def test_archives(tmp_path: Path, members: dict[str, bytes], case: str) -> None:
    damage, why = ARCHIVES[case]
    content = damage(members)
    with refused(why):
        read(tmp_path, content, "m.keras")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.keras"]
