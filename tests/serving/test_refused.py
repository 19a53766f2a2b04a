"""Bad requests and bad connections: each gets its status and one line, and the server goes on."""

import json
import socket
import struct
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import httpx
import pytest
from PIL import Image
from served import Running, answer, gated, raw, serving, until


@pytest.fixture(autouse=True)
def still_there(client: httpx.Client, jpegs: list[Path]) -> Iterator[None]:
    """After each test the server of all tests answers."""
    yield
    assert client.post("/predict", content=jpegs[0].read_bytes()).status_code == 200


def png_of(width: int, height: int) -> bytes:
    """A PNG whose header states a size, and which holds one row."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(width + 1)))


def jpeg() -> bytes:
    content = BytesIO()
    Image.new("RGB", (64, 64), "red").save(content, "JPEG")
    return content.getvalue()


FORM = {"content-type": "multipart/form-data; boundary=x"}
PART = b'--x\r\ncontent-disposition: form-data; name="a"; filename="a.jpg"\r\n\r\n'
REFUSED: dict[str, tuple[str, str, dict[str, object], int, str]] = {
    "empty": ("POST", "/predict", {}, 400, "the body is empty: it must be an image, or a form with images"),
    "text": ("POST", "/predict", {"content": b"hello"}, 415, "not an image in a supported format"),
    "truncated": ("POST", "/predict", {"content": jpeg()[:300]}, 415, "cannot be decoded: "),
    "bomb": ("POST", "/predict", {"content": png_of(60_000, 60_000)}, 415, "must be at most 50000000 pixels"),
    "large image": (
        "POST",
        "/predict",
        {"content": png_of(8000, 8000)},
        415,
        "8000x8000 pixels, must be at most 50000",
    ),
    "body": ("POST", "/predict", {"content": bytes(2 << 20)}, 413, "the body is larger than 1048576 bytes"),
    "chunked": ("POST", "/predict", {"content": iter([bytes(1 << 20)] * 2)}, 413, "the body is larger than 1048576"),
    "gzip": (
        "POST",
        "/predict",
        {"content": b"x", "headers": {"content-encoding": "gzip"}},
        415,
        "content-encoding gzip",
    ),
    "top": ("POST", "/predict?top=0", {"content": jpeg()}, 400, "top (=0) must be a whole number of at least 1"),
    "top word": ("POST", "/predict?top=1e9", {"content": jpeg()}, 400, "top (=1e9) must be a whole number"),
    "query": ("POST", "/predict?" + "a=1&" * 30, {"content": jpeg()}, 400, "the query has more than 20 parameters"),
    "model": ("POST", "/predict?model=nix", {"content": jpeg()}, 404, "model 'nix' must be one of flowers"),
    "method": ("GET", "/predict", {}, 405, "method GET must be POST"),
    "path": ("GET", "/../../etc/passwd", {}, 404, "/etc/passwd: no such address"),
    "dots": ("GET", "/%2e%2e/%2e%2e/etc/passwd", {}, 404, "/../../etc/passwd: no such address"),
    "boundary": (
        "POST",
        "/predict",
        {"content": b"x", "headers": {"content-type": "multipart/form-data"}},
        400,
        "content-",
    ),
    "cut form": ("POST", "/predict", {"content": PART + jpeg(), "headers": FORM}, 400, "the form ends before its last"),
    "empty form": ("POST", "/predict", {"content": b"--x--\r\n", "headers": FORM}, 400, "the form"),
    "no form": ("POST", "/predict", {"content": b"hello", "headers": FORM}, 400, "the form cannot be read"),
    "many parts": (
        "POST",
        "/predict",
        {"content": (PART + b"\r\n") * 9 + b"--x--\r\n", "headers": FORM},
        413,
        "9 images, at most 8 may wait",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_requests(client: httpx.Client, name: str) -> None:
    method, path, arguments, status, line = REFUSED[name]
    answer = client.request(method, path, **arguments)  # type: ignore[arg-type]
    error = answer.json()["error"]
    assert answer.status_code == status and error.startswith(line) and "\n" not in error, answer.text


REQUEST = b"POST /predict HTTP/1.1\r\nhost: x\r\n"
RAW = {
    "no HTTP": (b"hello\r\n\r\n", 400, "this is no HTTP"),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, "this is no HTTP"),
    "two lengths": (REQUEST + b"content-length: 1\r\ncontent-length: 2\r\n\r\nab", 400, "this is no HTTP"),
    "length": (REQUEST + b"content-length: -1\r\n\r\n", 400, "this is no HTTP"),
    "large length": (REQUEST + b"content-length: 99999999999\r\n\r\n", 413, "the body is larger than"),
    "chunk": (REQUEST + b"transfer-encoding: chunked\r\n\r\nzz\r\n", 400, "this is no HTTP"),
    "header": (REQUEST + b"a: " + b"b" * 40_000 + b"\r\n\r\n", 431, "the headers are larger than 32768 bytes"),
    "headers": (REQUEST + b"a: b\r\n" * 20_000 + b"\r\n", 431, "the headers are larger than 32768 bytes"),
    "path": (b"GET /" + b"a" * 40_000 + b" HTTP/1.1\r\n\r\n", 431, "the headers are larger than 32768 bytes"),
}


@pytest.mark.parametrize("name", RAW)
def test_what_is_no_request(server: Running, name: str) -> None:
    data, status, line = RAW[name]
    head, _, body = raw(server.port, data).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status), head
    assert json.loads(body)["error"].startswith(line)


def test_a_slow_client(model: Path, jpegs: list[Path]) -> None:
    """Of headers and of a body, which come byte by byte; one that says nothing."""
    with serving([model], timeout=0.5) as running:
        for begin in (b"", b"POST /pre", REQUEST + b"content-length: 9\r\n\r\n"):
            with socket.create_connection(("127.0.0.1", running.port), timeout=10) as slow:
                slow.sendall(begin)
                got = answer(slow)
                assert got.startswith(b"HTTP/1.1 408 "), got
                assert json.loads(got.partition(b"\r\n\r\n")[2])["error"] == "the request did not arrive within 0.5 s"
        assert httpx.post(f"{running.address}/predict", content=jpegs[0].read_bytes()).status_code == 200
        until(lambda: running.app.active == 0)
        assert running.app._held.bytes == 0


def test_too_many_connections(model: Path) -> None:
    with serving([model], max_connections=2) as running:
        kept = [socket.create_connection(("127.0.0.1", running.port)) for _ in range(2)]
        until(lambda: len(running.server.server_state.connections) == 2)
        assert raw(running.port, b"").startswith(b"HTTP/1.1 503 ")
        for one in kept:
            one.close()
        until(lambda: not running.server.server_state.connections)
        assert httpx.get(f"{running.address}/v2").status_code == 200


def test_pipelined_requests(server: Running, jpegs: list[Path]) -> None:
    """Are answered in their order on one connection."""
    content = jpegs[0].read_bytes()
    post = REQUEST + b"content-length: %d\r\n\r\n" % len(content) + content
    get = b"GET /v2 HTTP/1.1\r\nhost: x\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as sent:
        sent.sendall(post + get + post.replace(b"host: x", b"connection: close"))
        got = b""
        while more := sent.recv(65536):
            got += more
    assert got.count(b"HTTP/1.1 200 OK") == 3
    assert got.index(b"predictions") < got.index(b'"extensions"') < got.rindex(b"predictions")


def test_a_client_that_goes(model: Path, jpegs: list[Path]) -> None:
    """Its images are not computed; half-closed connections count as gone."""
    content = jpegs[0].read_bytes()
    post = REQUEST + b"content-length: %d\r\n\r\n" % len(content) + content
    with serving([model], threads=2) as running, gated(running) as held:
        busy = [socket.create_connection(("127.0.0.1", running.port)) for _ in range(2)]
        for one in busy:
            one.sendall(post)
        until(lambda: running.app.engine.waiting == 2)
        assert raw(running.port, post, end=True) == b""
        with socket.create_connection(("127.0.0.1", running.port)) as gone:
            gone.sendall(post)
            until(lambda: running.app.active == 3)
        until(lambda: running.app.active == 2)
        held.gate.set()
        for one in busy:
            assert answer(one).startswith(b"HTTP/1.1 200 OK")
            one.close()
        until(lambda: running.app.engine.waiting == 0)
    assert held.runs == 2


def test_a_full_queue(model: Path, jpegs: list[Path]) -> None:
    """Further requests get 429 at once, those that were accepted are answered."""
    content = jpegs[0].read_bytes()
    with serving([model], max_queue=2, threads=2) as running, ThreadPoolExecutor(8) as pool:
        client = httpx.Client(base_url=running.address, timeout=30)

        def ask() -> httpx.Response:
            return client.post("/predict", content=content)

        with gated(running) as held:
            accepted = [pool.submit(ask) for _ in range(2)]
            until(lambda: running.app.engine.full)
            refused = [future.result() for future in [pool.submit(ask) for _ in range(3)]]
            assert {(one.status_code, one.headers["retry-after"]) for one in refused} == {(429, "1")}
            assert refused[0].json() == {"error": "2 images wait, and at most 2 may"}
            held.gate.set()
            assert [one.result().status_code for one in accepted] == [200, 200]
        assert ask().status_code == 200
        client.close()


def test_bodies_of_many_clients(model: Path) -> None:
    """Bodies that are being received have a bound together, 16 of the largest size."""
    with serving([model], max_body=1 << 20) as running:
        head = REQUEST + b"content-length: %d\r\n\r\n" % (1 << 20)
        open_ones = [socket.create_connection(("127.0.0.1", running.port)) for _ in range(16)]
        for one in open_ones:
            one.sendall(head + b"x")
        until(lambda: running.app._held.bytes == 16 << 20)
        assert raw(running.port, head).startswith(b"HTTP/1.1 429 ")
        for one in open_ones:
            one.close()
        until(lambda: running.app._held.bytes == 0)


def test_a_deadline(model: Path, jpegs: list[Path]) -> None:
    with serving([model], timeout=0.3) as running, gated(running):
        late = httpx.post(f"{running.address}/predict", content=jpegs[0].read_bytes(), timeout=30)
        assert (late.status_code, late.json()["error"]) == (504, "no answer within 0.3 s")


def test_expect_100_continue(server: Running) -> None:
    """Whether a large body is wanted is said before it is sent."""
    head = REQUEST + b"expect: 100-continue\r\ncontent-length: %d\r\n\r\n"
    assert raw(server.port, head % (2 << 20)).startswith(b"HTTP/1.1 413 ")
    content = jpeg()
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as sent:
        sent.sendall(head % len(content))
        assert sent.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        sent.sendall(content)
        assert answer(sent).startswith(b"HTTP/1.1 200 OK")
