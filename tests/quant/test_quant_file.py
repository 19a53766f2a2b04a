"""Saving and loading integers; what is not of one piece is refused in one line."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from imported_roundings import with_roundings
from safetensors import safe_open
from safetensors.numpy import save_file
from test_reference import TINY, draw_integers

from mobilenets.arch.network import Block, Network
from mobilenets.errors import ModelFileError
from mobilenets.model import Model
from mobilenets.quant.file import load
from mobilenets.quant.scheme import IntegerLayer, QuantModel, QuantParams
from mobilenets.runtime.activations import min_max_integers


def test_a_file_gives_back_every_bit(tmp_path: Path) -> None:
    model = replace(draw_integers(TINY, weights_zero=5), metrics={"top1": 0.5}, data={"sha": "x"})
    again = load(model.save(tmp_path / "m.int8.safetensors"))
    assert isinstance(again, QuantModel)
    assert again.digest() == model.digest()
    assert again.activations == model.activations
    assert (again.network, again.preprocess, again.labels) == (model.network, model.preprocess, model.labels)
    assert (again.metrics, again.data) == (model.metrics, model.data)
    assert (tmp_path / "m.int8.safetensors").read_bytes() == again.save(tmp_path / "n.safetensors").read_bytes()


GATED = Network(1.0, 32, 32, classes=3, stem=8, blocks=(Block(2, 8, gate=8),), activation="hard_swish")


def tabulated(random_model: Callable[[Network], Model]) -> QuantModel:
    images = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), np.uint8)
    return with_roundings(min_max_integers(random_model(GATED), images))


def test_tables_are_kept(tmp_path: Path, random_model: Callable[[Network], Model]) -> None:
    model = tabulated(random_model)
    again = load(model.save(tmp_path / "m.int8.safetensors"))
    assert isinstance(again, QuantModel) and set(again.tables) == {"gate1_excite_act", "conv0_act", "pw1_act"}
    assert all((again.tables[name] == table).all() for name, table in model.tables.items())
    other = {**model.tables, "conv0_act": model.tables["conv0_act"] ^ 1}
    assert again.digest() == model.digest() != replace(model, tables=other).digest()
    assert again.nbytes == replace(model, tables={**model.tables}).nbytes > 3 * 256


def test_tables_that_do_not_fit_are_refused(random_model: Callable[[Network], Model]) -> None:
    model = tabulated(random_model)
    table = model.tables["conv0_act"]
    with pytest.raises(ModelFileError, match=r"conv0_act\.table is int8 \(255,\), must be int8 \(256,\)"):
        replace(model, tables={**model.tables, "conv0_act": table[1:]})
    with pytest.raises(ModelFileError, match=r"fc\.table: the network has no hard sigmoid or hard swish fc"):
        replace(model, tables={**model.tables, "fc": table})
    with pytest.raises(ModelFileError, match="the activations do not fit the network: has gate1_excite_act"):
        replace(model, tables={})


def test_a_float_model_is_loaded_too(tmp_path: Path, random_model) -> None:
    model = random_model(TINY)
    assert load(model.save(tmp_path / "m.safetensors")).digest() == model.digest()


def test_other_integers_have_another_digest() -> None:
    model = draw_integers(TINY)
    fc = model.layers["fc"]
    others = [
        replace(model, layers={**model.layers, "fc": replace(fc, bias=fc.bias + np.int32(1))}),
        replace(model, layers={**model.layers, "fc": replace(fc, zero_point=1)}),
        replace(model, activations={**model.activations, "fc": QuantParams(0.5, 0)}),
    ]
    assert len({m.digest() for m in (model, *others)}) == 4


def test_what_does_not_fit_is_refused() -> None:
    model = draw_integers(TINY)
    fc = model.layers["fc"]

    def refused(match: str, **changes: IntegerLayer) -> None:
        with pytest.raises(ModelFileError, match=match):
            replace(model, layers={**model.layers, **changes})

    refused(r"fc\.weight is int16 \(3, 5\), must be int8 \(3, 5\)", fc=replace(fc, weight=fc.weight.astype(np.int16)))
    refused(r"fc\.bias is int32 \(2,\), must be int32 \(3,\)", fc=replace(fc, bias=fc.bias[:2]))
    refused(r"fc\.scale must be finite and above 0", fc=replace(fc, scale=fc.scale * 0))
    refused(r"zero point \(=200\) must be a whole number", fc=replace(fc, zero_point=200))
    refused("has head", head=fc)
    refused(r"\(=[\d.e+]+\) must be below 256", fc=replace(fc, scale=fc.scale * np.float32(1e30)))
    with pytest.raises(ModelFileError, match="the layers do not fit the network: lacks fc"):
        replace(model, layers={name: layer for name, layer in model.layers.items() if name != "fc"})
    with pytest.raises(ModelFileError, match="the activations do not fit the network: lacks pool"):
        replace(model, activations={name: a for name, a in model.activations.items() if name != "pool"})
    with pytest.raises(ModelFileError, match="2 labels for a network of 3 classes"):
        replace(model, labels=("a", "b"))


def test_a_layer_whose_sums_could_leave_int32_is_refused() -> None:
    model = draw_integers(TINY)
    fc = model.layers["fc"]
    full = replace(fc, bias=np.full(3, 2**31 - 1, np.int32))
    with pytest.raises(ModelFileError, match=r"fc: its sums may reach 2147\d+, must stay within int32"):
        replace(model, layers={**model.layers, "fc": full})


@pytest.mark.parametrize("scale", [0, -1, float("inf"), float("nan"), 1e-60])
def test_scales_are_above_0(scale: float) -> None:
    with pytest.raises(ModelFileError, match=r"scale \(=.*\) must be a finite float32 above 0"):
        QuantParams(scale, 0)


@pytest.mark.parametrize(
    ("key", "value", "match"),
    [
        ("version", "2", "version '2'"),
        ("activations", "[]", r"activations \(=\[\]\) must be a JSON object"),
        ("activations", '{"fc": [1]}', r"activations.fc \(=\[1\]\) must be a list of 2"),
        ("activations", '{"fc": ["a", 1]}', r"activations.fc\[0\] \(=\"a\"\) must be a finite number"),
        ("zero_points", '{"fc": "a"}', r"zero_points.fc \(=\"a\"\) must be a whole number"),
        ("zero_points", "3", "must be a JSON object"),
        ("activations", '{"fc": [1e400, 1]}', "must be a finite number"),
        ("activations", f'{{"fc": [{10**400}, 1]}}', r"activations.fc\[0\] \(=1000+\.\.\.\) must be a finite number"),
        ("activations", '{"fc": [1e-60, 1]}', "must be a finite float32 above 0"),
        ("zero_points", f'{{"fc": {10**400}}}', "must be a whole number"),
        ("task", "geolocate", "decoding lacks 'cells'"),
        ("labels", "{", "Expecting"),
        ("network", None, "lacks 'network'"),
        ("zero_points", None, "lacks 'zero_points'"),
    ],
)
def test_damaged_metadata_is_one_line(tmp_path: Path, key: str, value: str | None, match: str) -> None:
    path = draw_integers(TINY).save(tmp_path / "m.safetensors")
    with safe_open(path, "numpy") as file:
        metadata, arrays = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}
    metadata = {k: v for k, v in {**metadata, key: value}.items() if v is not None}
    save_file(arrays, path, metadata)
    with pytest.raises(ModelFileError, match=match) as caught:
        load(path)
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)


def test_arrays_that_are_missing_or_cut_are_refused(tmp_path: Path) -> None:
    path = draw_integers(TINY).save(tmp_path / "m.safetensors")
    with safe_open(path, "numpy") as file:
        metadata, arrays = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}
    assert set(json.loads(metadata["zero_points"])) == set()
    save_file({n: a for n, a in arrays.items() if n != "fc.bias"}, path, metadata)
    with pytest.raises(ModelFileError, match="layer 'fc' has scale, weight, must have bias, scale, weight"):
        load(path)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(ModelFileError):
        load(path)
    with pytest.raises(ModelFileError, match="no such model file"):
        load(tmp_path / "absent.safetensors")
