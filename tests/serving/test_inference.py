"""The Open Inference Protocol: Triton's own client, sync and async, JSON and binary, and what it refuses."""

import asyncio
import base64
import json
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from served import Running

from mobilenets import open_session, prepare
from mobilenets.image import normalise

triton = pytest.importorskip("tritonclient.http", reason="needs tritonclient[http]")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def pixels(model: Path, jpegs: list[Path]) -> np.ndarray:
    how = open_session(model).preprocess
    return np.stack([prepare(jpeg, how) for jpeg in jpegs[:3]])


@pytest.fixture(scope="module")
def wanted(model: Path, pixels: np.ndarray) -> np.ndarray:
    return open_session(model).run(pixels)


@pytest.fixture
def peer(server: Running) -> Any:
    with triton.InferenceServerClient(f"127.0.0.1:{server.port}") as peer:
        yield peer


def tensor(values: np.ndarray, datatype: str, binary: bool) -> Any:
    made = triton.InferInput("image", list(values.shape), datatype)
    made.set_data_from_numpy(values, binary_data=binary)
    return made


def test_what_the_server_states(peer: Any, model: Path) -> None:
    assert peer.is_server_live() and peer.is_server_ready() and peer.is_model_ready("flowers")
    assert not peer.is_model_ready("nix")
    assert peer.get_server_metadata()["name"] == "mobilenets"
    stated = peer.get_model_metadata("flowers")
    assert stated["inputs"] == [{"name": "image", "datatype": "UINT8", "shape": [-1, 32, 32, 3]}]
    assert stated["outputs"] == [{"name": "probabilities", "datatype": "FP32", "shape": [-1, 3]}]
    assert peer.get_model_metadata("flowers", "1") == stated
    assert peer.get_model_config("flowers")["output"][0]["dims"] == [3]
    assert [one["name"] for one in peer.get_model_repository_index()] == ["flowers"]


@pytest.mark.parametrize("binary_out", [False, True])
@pytest.mark.parametrize("binary_in", [False, True])
def test_bytes_and_floats(
    peer: Any, model: Path, pixels: np.ndarray, wanted: np.ndarray, binary_in: bool, binary_out: bool
) -> None:
    outputs = [triton.InferRequestedOutput("probabilities", binary_data=binary_out)]
    floats = normalise(pixels, open_session(model).preprocess)
    for values, datatype in ((pixels, "UINT8"), (floats, "FP32"), (floats.transpose(0, 3, 1, 2).copy(), "FP32")):
        found = peer.infer("flowers", [tensor(values, datatype, binary_in)], outputs=outputs, request_id="7")
        assert found.get_response()["id"] == "7"
        assert np.array_equal(found.as_numpy("probabilities"), wanted)


def test_files_as_bytes(peer: Any, server: Running, jpegs: list[Path], wanted: np.ndarray) -> None:
    files = [jpeg.read_bytes() for jpeg in jpegs[:3]]
    found = peer.infer("flowers", [tensor(np.array(files, object), "BYTES", True)])
    assert np.array_equal(found.as_numpy("probabilities"), wanted)
    data = [base64.b64encode(file).decode() for file in files]
    body = {"inputs": [{"name": "image", "shape": [3], "datatype": "BYTES", "data": data}]}
    answer = httpx.post(f"{server.address}/v2/models/flowers/infer", json=body).json()
    (output,) = answer["outputs"]
    assert np.array_equal(np.float32(output["data"]).reshape(output["shape"]), wanted)


@pytest.mark.parametrize("binary", [False, True])
def test_classification(peer: Any, pixels: np.ndarray, wanted: np.ndarray, binary: bool) -> None:
    outputs = [triton.InferRequestedOutput("probabilities", binary_data=binary, class_count=2)]
    found = peer.infer("flowers", [tensor(pixels, "UINT8", True)], outputs=outputs).as_numpy("probabilities")
    labels = ("daisy", "rose", "tulip")
    for row, texts in zip(wanted, found, strict=True):
        best = np.argsort(-row)[:2]
        shown = [text.decode() if isinstance(text, bytes) else text for text in texts]
        assert shown == [f"{row[i]:f}:{i}:{labels[i]}" for i in best]


def test_async_client(server: Running, pixels: np.ndarray, wanted: np.ndarray) -> None:
    from tritonclient.http import aio

    async def ask() -> list[np.ndarray]:
        async with aio.InferenceServerClient(f"127.0.0.1:{server.port}") as peer:
            asked = [peer.infer("flowers", [tensor(pixels[i : i + 1], "UINT8", True)]) for i in range(3)]
            return [found.as_numpy("probabilities") for found in await asyncio.gather(*asked)]

    assert np.array_equal(np.concatenate(asyncio.run(ask())), wanted)


def one(**changes: Any) -> dict[str, Any]:
    values = {"name": "image", "shape": [1, 32, 32, 3], "datatype": "UINT8", "data": [0] * 3072, **changes}
    return {"inputs": [{key: value for key, value in values.items() if value is not None}]}


def binary(request: dict[str, Any], tail: bytes, header: object = None) -> dict[str, Any]:
    text = json.dumps(request).encode()
    stated = str(len(text) if header is None else header)
    return {"content": text + tail, "headers": {"inference-header-content-length": stated}}


SIZED = {"binary_data_size": 3072}
REFUSED = {
    "no JSON": ({"content": b"{"}, "the request is not JSON: "),
    "no UTF-8": ({"content": b"\xff"}, "the request is not UTF-8: invalid start byte at byte 0"),
    "deep": ({"content": b"[" * 100_000}, "the request is not JSON: "),
    "a list": ({"json": []}, "request (=[]) must be a JSON object"),
    "nothing": ({"json": {}}, "request lacks 'inputs'"),
    "unknown field": ({"json": {"inputs": [], "x": 1}}, "request has the unknown field 'x'"),
    "no inputs": ({"json": {"inputs": []}}, "inputs are none: must be one, image"),
    "other input": ({"json": one(name="x")}, "inputs are x: must be one, image"),
    "shape": ({"json": one(shape=[1, 3072])}, "image has shape [1, 3072], must have 4 dimensions"),
    "negative": ({"json": one(shape=[-1, 32, 32, 3])}, "request.inputs[0].shape[0] (=-1) must be from 0 to"),
    "other size": ({"json": one(shape=[1, 48, 64, 1])}, "images are uint8 (1, 48, 64, 1), must be uint8 or"),
    "no image": ({"json": one(shape=[0, 32, 32, 3], data=[])}, "image has shape [0, 32, 32, 3]: it holds nothing"),
    "count": ({"json": one(data=[0])}, "image has 1 numbers, must have those of the shape [1, 32, 32, 3]"),
    "dtype": ({"json": one(datatype="INT64")}, "image has datatype 'INT64', must be UINT8, FP32 or BYTES"),
    "fractions": ({"json": one(data=[0.5] * 3072)}, "image has data that are not an array of UINT8"),
    "range": ({"json": one(data=[256] * 3072)}, "image has numbers from 256 to 256, must be from 0 to 255"),
    "huge": ({"json": one(data=[10**30] * 3072)}, "image has data that are not an array of UINT8"),
    "ragged": ({"json": one(data=[[0], [0, 0]])}, "image has data that are not an array of UINT8"),
    "words": ({"json": one(data=["a"] * 3072)}, "image has data that are not an array of UINT8"),
    "no data": ({"json": one(data=None)}, "image has data that are not an array of UINT8"),
    "floats": ({"json": one(datatype="FP32", data=[9.0] * 3072)}, "float32 images hold 9, must be bytes normalised"),
    "not a number": (
        {"content": json.dumps(one(datatype="FP32", data=[float("nan")] * 3072)).encode()},
        "float32 images hold nan, must be bytes normalised",
    ),
    "base64": ({"json": one(datatype="BYTES", shape=[1], data=["*"])}, "image of BYTES has data that are not base64"),
    "strings": ({"json": one(datatype="BYTES", shape=[2], data=[""])}, "image has 1 strings, its shape states 2"),
    "output": ({"json": one() | {"outputs": [{"name": "x"}]}}, "output 'x' must be probabilities"),
    "classes": (
        {"json": one() | {"outputs": [{"name": "probabilities", "parameters": {"classification": 4}}]}},
        "classification (=4) must be a whole number from 1 to 3",
    ),
    "header": (binary(one(), b"", 10**8), "inference-header-content-length (=100000000) must be at most"),
    "no number": (binary(one(), b"", "x"), "inference-header-content-length (=x) must be at most"),
    "tail": (binary(one(), b"1234"), "4 bytes follow the JSON, and image states no binary_data_size"),
    "both": (binary(one(parameters=SIZED), bytes(3072)), "image has data and binary_data_size"),
    "short": (
        binary(one(parameters=SIZED, data=None), bytes(3071)),
        "binary_data_size (=3072) must be the 3071 bytes that follow the JSON",
    ),
    "string length": (
        binary(one(parameters={"binary_data_size": 5}, data=None, datatype="BYTES", shape=[1]), b"\xff\xff\xff\xff1"),
        "image ends within its string 0",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_requests(client: httpx.Client, name: str) -> None:
    arguments, line = REFUSED[name]
    answer = client.post("/v2/models/flowers/infer", **arguments)
    error = answer.json()["error"]
    assert answer.status_code == 400 and error.startswith(line) and "\n" not in error, answer.text


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("/v2/models/nix", "model 'nix' must be one of flowers"),
        ("/v2/models/flowers/versions/2", "version '2' must be 1"),
        ("/v2/models/flowers/nix", "/v2/models/flowers/nix: no such address"),
        ("/v2/models/..%2f..%2fetc%2fpasswd", "/v2/models/../../etc/passwd: no such address"),
    ],
)
def test_paths_that_are_none(client: httpx.Client, path: str, line: str) -> None:
    answer = client.get(path)
    assert (answer.status_code, answer.json()["error"]) == (404, line)
