"""Requests of every form with bytes changed, cut out and repeated: an answer or one line of error, never a failure."""

import json
from pathlib import Path

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

PART = b'--x\r\ncontent-disposition: form-data; name="image"; filename="a.jpg"\r\n\r\n'
PIXELS = {"name": "image", "shape": [1, 32, 32, 3], "datatype": "UINT8"}
FILES = {"name": "image", "shape": [1], "datatype": "BYTES"}

Damage = tuple[float, int, bytes]


def damaged(content: bytes, damages: list[Damage]) -> bytes:
    """Return `content` with bytes replaced: at a share of its length, so many by others."""
    for share, count, others in damages:
        at = int(share * len(content))
        content = content[:at] + others + content[at + count :]
    return content


def forms(jpeg: bytes) -> list[tuple[str, dict[str, str], bytes, bytes]]:
    """Return (path, headers, what is damaged, what follows)."""
    infer = "/v2/models/flowers/infer"
    sized = json.dumps({"inputs": [PIXELS | {"parameters": {"binary_data_size": 3072}}]}).encode()
    file = len(jpeg).to_bytes(4, "little") + jpeg
    filed = json.dumps({"inputs": [FILES | {"parameters": {"binary_data_size": len(file)}}]}).encode()
    return [
        (infer, {}, json.dumps({"inputs": [PIXELS | {"data": [7] * 3072}], "id": "a"}).encode(), b""),
        (infer, {"inference-header-content-length": str(len(sized))}, sized, bytes(3072)),
        (infer, {"inference-header-content-length": str(len(filed))}, filed + file, b""),
        ("/predict", {"content-type": "multipart/form-data; boundary=x"}, PART + jpeg + b"\r\n--x--\r\n", b""),
        ("/predict", {"content-type": "multipart/form-data; boundary=x"}, PART, jpeg + b"\r\n--x--\r\n"),
        ("/predict", {"content-type": "image/jpeg"}, jpeg, b""),
    ]


DAMAGES = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 9), st.binary(max_size=5)), max_size=3)


@pytest.mark.parametrize("form", range(6))
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(damages=DAMAGES)
def test_damaged_requests(client: httpx.Client, jpegs: list[Path], form: int, damages: list[Damage]) -> None:
    path, headers, start, rest = forms(jpegs[0].read_bytes())[form]
    answer = client.post(path, headers=headers, content=damaged(start, damages) + rest)
    assert answer.status_code in ((200, 400, 413, 415) if damages else (200,)), answer.text
    if answer.status_code != 200:
        error = answer.json()["error"]
        assert error and "\n" not in error


def test_damaged_forms_are_not_logged(client: httpx.Client, caplog: pytest.LogCaptureFixture) -> None:
    headers = {"content-type": "multipart/form-data; boundary=x"}
    assert client.post("/predict", content=b"--x\r\ncontent[: a\r\n\r\n", headers=headers).status_code == 400
    assert caplog.messages == []
