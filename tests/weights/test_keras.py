"""Keras' files, read without Keras, against Keras itself."""

import io
import json
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
from keras_peer import assert_same, keras, keras_logits, noise, our_logits, photographs, randomise, weights_alone

from mobilenets.arch.network import BODY, SHALLOW_BODY, Network
from mobilenets.errors import ModelFileError, UsageError
from mobilenets.weights import Given, Imported, import_files

layers = keras.layers
pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),  # Keras' own, on torch
    pytest.mark.filterwarnings("ignore:The structure of `inputs`:UserWarning"),  # Keras 2's configs list the input
]


def read(path: Path, given: Given | None = None) -> Imported:
    return import_files([path], given)


def saved(model: keras.Model, folder: Path, *names: str) -> list[Path]:
    for name in names:
        save = model.save_weights if name.endswith(".weights.h5") else model.save
        save(folder / name)
    return [folder / name for name in names]


def loadable(path: Path, folder: Path) -> keras.Model:
    """A Keras 2 file as Keras 3 loads it: it no longer takes the `groups` of a depthwise convolution."""
    copy = folder / path.name
    copy.write_bytes(path.read_bytes())
    with h5py.File(copy, "r+") as file:
        config = json.loads(file.attrs["model_config"])
        for layer in config["config"]["layers"]:
            if layer["class_name"] == "DepthwiseConv2D":
                del layer["config"]["groups"]
        file.attrs["model_config"] = json.dumps(config)
    return keras.models.load_model(copy, compile=False)


@pytest.mark.parametrize(
    ("name", "given", "padding", "activation"),
    [
        ("vww_96.h5", Given(pixels=(0.0, 255.0)), "same", "relu"),
        ("mobilenet_v1_0.25_224.h5", None, "keras", "relu6"),
    ],
)
def test_published_networks(shared_data, tmp_path, name, given, padding, activation) -> None:
    path = shared_data / "weights" / name
    model = read(path, given).model
    network = model.network
    assert (network.alpha, network.padding, network.activation) == (0.25, padding, activation)
    assert (network.blocks, network.epsilon) == (BODY, 0.001)
    peer, preprocess = loadable(path, tmp_path), model.preprocess
    for pixels in (photographs(shared_data / "imagenet-1000", model), noise(network.height, network.width)):
        theirs = keras_logits(peer, pixels, preprocess.mean, preprocess.std)
        assert_same(our_logits(model, pixels), theirs)


def test_published_weights_in_keras_applications(shared_data) -> None:
    """The network that keras.applications itself builds for these weights."""
    path = shared_data / "weights" / "mobilenet_v1_0.25_224.h5"
    model = read(path).model
    peer = keras.applications.MobileNet(weights=str(path), alpha=0.25, input_shape=(224, 224, 3))
    pixels = photographs(shared_data / "imagenet-1000", model)
    assert_same(our_logits(model, pixels), keras_logits(peer, pixels, 127.5, 127.5))
    assert model.labels[:2] == ("tench", "goldfish")


def test_what_a_file_does_not_say_is_asked_for(shared_data) -> None:
    with pytest.raises(UsageError, match="how pixels become its input") as raised:
        read(shared_data / "weights" / "vww_96.h5")
    assert "size" not in str(raised.value) and "\n" not in str(raised.value)


# 100: maps of 25 and 13; 140: of 35 and 9; where they are odd, "keras" and "same" are not the same
@pytest.mark.parametrize(
    ("alpha", "size", "classes"),
    [
        (0.25, (100, 100), 7),
        (0.3, (140, 96), 3),
        pytest.param(0.75, (64, 64), 1000, marks=pytest.mark.slow),
        pytest.param(1.0, (128, 160), 2, marks=pytest.mark.slow),
    ],
)
def test_keras_applications_in_every_format(tmp_path, alpha, size, classes) -> None:
    peer = randomise(
        keras.applications.MobileNet(weights=None, alpha=alpha, input_shape=(*size, 3), classes=classes), seed=classes
    )
    whole, archive, numbered = saved(peer, tmp_path, "m.h5", "m.keras", "m.weights.h5")
    alone = weights_alone(whole, tmp_path / "alone.h5")
    pixels = noise(*size)
    theirs = keras_logits(peer, pixels, 127.5, 127.5)
    for path, given in ((whole, None), (archive, None), (numbered, Given(size=size)), (alone, Given(size=size))):
        imported = read(path, given)
        wanted = Network(alpha, *size, classes=classes, activation="relu6", padding="keras", epsilon=1e-3)
        assert imported.model.network == wanted, path.name
        assert_same(our_logits(imported.model, pixels), theirs)
    facts = {fact.name: fact.source for fact in read(alone, given).facts}
    assert facts["padding"] == facts["pixels"] == facts["epsilon"] == "convention of keras.applications"
    assert facts["size"] == "you"


def test_weights_alone_ask_for_the_size(tmp_path) -> None:
    peer = keras.applications.MobileNet(weights=None, alpha=0.25, input_shape=(32, 32, 3), classes=2)
    with pytest.raises(
        UsageError, match=r"the file does not say the image size \(--img-size\): flags of mobilenets import$"
    ):
        read(*saved(peer, tmp_path, "m.weights.h5"))


def test_an_odd_size_is_refused_where_no_rule_gives_it(tmp_path) -> None:
    """keras.applications pads its first convolution by "same" and the rest after: at odd sizes that is no one rule."""
    peer = keras.applications.MobileNet(weights=None, alpha=0.25, input_shape=(65, 65, 3), classes=2)
    with pytest.raises(ModelFileError, match="follows no rule of a MobileNet"):
        read(*saved(peer, tmp_path, "m.keras"))


def body(size: int) -> keras.Model:
    return keras.applications.MobileNet(weights=None, alpha=0.25, input_shape=(size, size, 3), include_top=False)


def sequential(size: int) -> keras.Model:
    top = [layers.GlobalAveragePooling2D(), layers.Dropout(0.2), layers.Dense(5, activation="softmax")]
    augment = keras.Sequential([layers.RandomFlip(), layers.RandomRotation(0.1)])
    first = [keras.Input((size, size, 3)), augment, layers.Rescaling(1 / 127.5, offset=-1)]
    return keras.Sequential([*first, body(size), *top])


def functional(size: int) -> keras.Model:
    """As Keras' own guide to transfer learning has it."""
    inputs = keras.Input((size, size, 3))
    x = keras.applications.mobilenet.preprocess_input(inputs)
    frozen = body(size)
    frozen.trainable = False
    x = layers.GlobalAveragePooling2D()(frozen(x, training=False))
    return keras.Model(inputs, layers.Dense(4)(layers.Dropout(0.2)(x)))


def twice_nested(size: int) -> keras.Model:
    inner = keras.Sequential([keras.Input((size, size, 3)), layers.Rescaling(1 / 255), body(size)])
    return keras.Sequential([inner, keras.Sequential([layers.GlobalAveragePooling2D(), layers.Dense(3)])])


def used_up_names() -> None:
    """Later layers are conv2d_3, dense_1 and so on: what Keras 3 stores them under is counted in the model alone."""
    for layer in (layers.Conv2D(1, 1), layers.Conv2D(1, 1), layers.BatchNormalization(), layers.Dense(1)):
        layer.build((None, 8, 8, 2))


@pytest.mark.parametrize(
    ("build", "pixels"),
    [(sequential, (127.5, 127.5)), (functional, (127.5, 127.5)), (twice_nested, (0, 255))],
)
def test_models_within_models(tmp_path, build, pixels) -> None:
    used_up_names()
    peer = randomise(build(96))
    paths = saved(peer, tmp_path, "m.h5", "m.keras")
    last = peer.layers[-1] if build is not twice_nested else peer.layers[-1].layers[-1]
    last.activation = keras.activations.linear
    theirs = keras.ops.convert_to_numpy(peer(noise(96, 96).astype(np.float32), training=False))
    for model in (read(path).model for path in paths):
        assert (model.preprocess.mean, model.preprocess.std, model.network.padding) == (*pixels, "keras")
        assert_same(our_logits(model, noise(96, 96)), theirs)


def plain(**norm: object) -> keras.Model:
    """A shallow one without names, symmetric padding, ReLU in three spellings, the pool as a window."""
    used_up_names()
    model = keras.Sequential([keras.Input((64, 48, 1)), layers.Rescaling(1 / 64, offset=-2)])
    model.add(layers.ZeroPadding2D(1))
    model.add(layers.Conv2D(8, 3, strides=2, activation=None))
    model.add(layers.BatchNormalization(**norm))
    model.add(layers.Activation("relu"))
    for stride, channels in [(1, 16), (2, 32), (1, 32), (2, 64), (1, 64), (2, 128), (2, 256), (1, 256)]:
        model.add(layers.ZeroPadding2D(((1, 1), (1, 1))))
        model.add(layers.DepthwiseConv2D(3, strides=stride, use_bias=True))
        model.add(layers.BatchNormalization(**norm))
        model.add(layers.ReLU())
        model.add(layers.Conv2D(channels, 1, activation="relu"))  # no batch norm: a bias
    for layer in (layers.AveragePooling2D((2, 2)), layers.Flatten(), layers.Dense(6), layers.Softmax()):
        model.add(layer)
    return randomise(model)


@pytest.mark.parametrize("norm", [{"scale": False, "epsilon": 1e-5}, {"center": False}])
def test_plain_sequential(tmp_path, norm) -> None:
    peer, x = plain(**norm), noise(64, 48, 1)
    theirs = keras.ops.convert_to_numpy(keras.Sequential(peer.layers[:-1])(x.astype(np.float32)))
    for model in (read(path).model for path in saved(peer, tmp_path, "m.h5", "m.keras")):
        wanted = Network(0.25, 64, 48, 1, 6, blocks=SHALLOW_BODY, epsilon=norm.get("epsilon", 1e-3))
        assert model.network == wanted
        assert (model.preprocess.mean, model.preprocess.std) == (128, 64)
        assert_same(our_logits(model, x), theirs)


def test_any_size(tmp_path) -> None:
    """A model that takes images of every size asks for one, a layer on every place of a map is no classifier."""
    inputs = keras.Input((None, None, 3))
    maps = keras.applications.MobileNet(weights=None, alpha=0.25, include_top=False, input_tensor=inputs).output
    (path,) = saved(keras.Model(inputs, layers.Dense(2)(layers.GlobalAveragePooling2D()(maps))), tmp_path, "m.keras")
    with pytest.raises(UsageError, match=r"does not say the image size \(--img-size\): flags of mobilenets import$"):
        read(path)
    assert read(path, Given(size=(96, 64))).model.network.width == 64
    (path,) = saved(keras.Model(inputs, layers.Dense(2)(maps)), tmp_path, "every.keras")
    with pytest.raises(ModelFileError, match="a Dense before the pool"):
        read(path, Given(size=(96, 64)))


def test_rescaling_by_channel(tmp_path) -> None:
    scale, offset = [1 / 58, 1 / 57, 1 / 59], [-2.0, -1.0, -0.5]
    peer = keras.Sequential([keras.Input((32, 32, 3)), layers.Rescaling(scale, offset=offset), body(32)])
    peer.add(layers.GlobalAveragePooling2D())
    peer.add(layers.Dense(2))
    model = read(*saved(randomise(peer), tmp_path, "m.keras")).model
    assert (model.preprocess.mean, model.preprocess.std) == ((116, 57, 29.5), (58, 57, 59))
    assert_same(our_logits(model, noise(32, 32)), keras_logits(peer, noise(32, 32)))


def test_without_its_top(tmp_path) -> None:
    whole, numbered = saved(body(64), tmp_path, "m.h5", "m.weights.h5")
    for path in (whole, numbered, weights_alone(whole, tmp_path / "alone.h5")):
        with pytest.raises(ModelFileError, match="ends with conv_pw_13, before the classifier"):
            read(path, Given(size=(64, 64)))


def test_weights_alone_under_other_names(tmp_path) -> None:
    whole, numbered = saved(sequential(64), tmp_path, "m.h5", "m.weights.h5")
    for path in (numbered, weights_alone(whole, tmp_path / "alone.h5")):
        with pytest.raises(ModelFileError, match=r"holds weights alone, .* save the whole model \(model.save\)"):
            read(path)


def doubled(group: str) -> str:
    name, _, number = group.rpartition("_")
    return f"{name}_{2 * int(number)}" if number.isdecimal() else group


@pytest.mark.parametrize("layout", ["by name", "of Keras 2.12"])
def test_other_layouts_of_the_archive(tmp_path, layout) -> None:
    """Keras 2.12 and 2.13 counted every layer twice; files of theirs were read so, TensorFlow is not at hand here."""
    peer = plain()
    (path,) = saved(peer, tmp_path, "m.keras")
    expected = read(path).model.digest()
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    content = io.BytesIO(members["model.weights.h5"])
    with h5py.File(content, "r+") as file:
        layers = "layers" if layout == "by name" else "_layer_checkpoint_dependencies"
        file.move("layers", "old")
        for group in file["old"]:
            name = file["old"][group]["vars"].attrs["name"] if layout == "by name" else doubled(group)
            file.move(f"old/{group}", f"{layers}/{name}")
    with zipfile.ZipFile(path, "w") as archive:
        for name, member in {**members, "model.weights.h5": content.getvalue()}.items():
            archive.writestr(name, member)
    assert read(path).model.digest() == expected
