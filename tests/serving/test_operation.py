"""Figures, logs, the token, TLS, new models under load, and the end of the server."""

import datetime
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from served import Running, gated, serving, until

from mobilenets import Model, Network, load
from mobilenets.cli import main
from mobilenets.serving import Settings
from mobilenets.serving.http import GRACE


def samples(address: str) -> dict[tuple[str, str], float]:
    """The figures at /metrics by name and the values of their labels."""
    text = httpx.get(f"{address}/metrics").text
    return {
        (sample.name, ",".join(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_figures(model: Path, jpegs: list[Path]) -> None:
    with serving([model]) as running:
        for _ in range(3):
            httpx.post(f"{running.address}/predict", content=jpegs[0].read_bytes())
        httpx.post(f"{running.address}/predict", files=[("a", jpeg.read_bytes()) for jpeg in jpegs[:2]])
        httpx.post(f"{running.address}/predict", content=b"x")
        found = samples(running.address)
    assert found["mobilenets_requests_total", "predict,200"] == 4
    assert found["mobilenets_requests_total", "predict,415"] == 1
    assert found["mobilenets_request_seconds_count", "predict"] == 5
    assert found["mobilenets_request_images_sum", "flowers"] == 5
    for stage, count in (("queue", 4), ("decode", 5), ("network", 5)):
        assert found["mobilenets_stage_seconds_count", f"flowers,{stage}"] == count
    assert found["mobilenets_waiting_images", ""] == 0
    assert found["process_resident_memory_bytes", ""] > 10e6


def test_the_access_log(model: Path, jpegs: list[Path], capfd: pytest.CaptureFixture[str]) -> None:
    with serving([model], quiet=False) as running:
        httpx.post(f"{running.address}/predict", content=jpegs[0].read_bytes())
        httpx.get(f"{running.address}/a%0Ab")
    first, second = (json.loads(line) for line in capfd.readouterr().out.splitlines())
    assert first["milliseconds"] > 0 and first["received"] == jpegs[0].stat().st_size
    assert {key: first[key] for key in ("client", "method", "path", "status", "model", "images")} == {
        "client": "127.0.0.1",
        "method": "POST",
        "path": "/predict",
        "status": 200,
        "model": "flowers",
        "images": 1,
    }
    assert (second["path"], second["status"], second["error"]) == ("/a\nb", 404, "/a b: no such address")


def test_the_token(model: Path, jpegs: list[Path]) -> None:
    """Is asked of all but the page and the state of health."""
    with serving([model], token="secret") as running, httpx.Client(base_url=running.address) as client:
        for path in ("/", "/v2/health/live", "/v2/health/ready"):
            assert client.get(path).status_code == 200
        for path in ("/models", "/metrics", "/v2", "/openapi.json", "/nix"):
            assert client.get(path).status_code == 401
        content = jpegs[0].read_bytes()
        for wrong in (
            {},
            {"authorization": "Bearer nix"},
            {"authorization": "secret"},
            {"authorization": "Bearer \xe9"},
        ):
            refused = client.post(
                "/predict", content=content, headers={k: v.encode("latin-1") for k, v in wrong.items()}
            )
            assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
        assert client.post("/predict", content=content, headers={"authorization": "Bearer secret"}).status_code == 200


def test_the_page_loads_nothing_from_elsewhere(client: httpx.Client) -> None:
    for path in ("/", "/docs"):
        page = client.get(path)
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        assert page.headers["content-security-policy"].startswith("default-src 'none'")
    assert client.head("/").headers["content-length"] == str(len(client.get("/").content))


def test_the_description(client: httpx.Client) -> None:
    """States each address that there is, which the page shows."""
    paths = client.get("/openapi.json").json()["paths"]
    page = client.get("/docs").text
    for path, methods in paths.items():
        for method in methods:
            assert f"{method.upper()} {path}" in page
            answer = client.request(method, path.replace("{model}", "flowers"))
            assert answer.status_code in (200, 400), path


@contextmanager
def asking(address: str, content: bytes, clients: int = 4) -> Iterator[list[object]]:
    """Ask all the time, until the server shuts down; what came back is in the list."""
    found: list[object] = []
    end = threading.Event()

    def ask() -> None:
        with httpx.Client(timeout=30) as client:
            while not end.is_set():
                try:
                    answer = client.post(f"{address}/predict", content=content)
                    found.append((answer.status_code, answer.text))
                    if answer.status_code == 503:
                        return
                except httpx.HTTPError as exc:
                    found.append(exc)
                    if isinstance(exc, httpx.ConnectError):
                        return

    with ThreadPoolExecutor(clients) as pool:
        asked = [pool.submit(ask) for _ in range(clients)]
        try:
            yield found
        finally:
            end.set()
    for one in asked:
        one.result()


def test_a_model_whose_file_changes(
    random_model: Callable[..., Model], model: Path, jpegs: list[Path], tmp_path: Path
) -> None:
    """Is loaded again while requests come, none of which fails; a damaged file leaves the old one."""
    path = tmp_path / "m.safetensors"
    old = load(model)
    other = replace(random_model(Network(alpha=0.125, height=48, width=48, classes=3), seed=1), labels=("a", "b", "c"))
    old.save(path)
    with serving([path], watch=True) as running, asking(running.address, jpegs[0].read_bytes()) as found:
        until(lambda: len(found) > 3)
        other.save(path)
        until(lambda: running.notes.lines == ["m was loaded again (fp32)"])
        before = len(found)
        until(lambda: len(found) > before + 8)
        assert '"label": "a"' in str(found[-1])
        path.write_bytes(b"damaged")
        until(lambda: len(running.notes.lines) == 2)
        assert running.notes.lines[1].startswith("m was not loaded again: ")
        assert samples(running.address)["mobilenets_reloads_total", "failed"] == 1
        path.unlink()
        until(lambda: len(found) > before + 16)
    assert {one[0] for one in found if isinstance(one, tuple)} == {200} and all(isinstance(one, tuple) for one in found)


def test_the_end_answers_what_was_accepted(model: Path, jpegs: list[Path]) -> None:
    """New requests are refused, also the state of health."""
    content = jpegs[0].read_bytes()
    with serving([model], threads=2) as running, ThreadPoolExecutor(4) as pool, gated(running) as held:
        asked = [pool.submit(httpx.post, f"{running.address}/predict", content=content, timeout=30) for _ in range(3)]
        until(lambda: running.app.engine.waiting == 3)
        running.server.should_exit = True
        until(lambda: running.app.draining)
        refused = httpx.post(f"{running.address}/predict", content=content)
        assert (refused.status_code, refused.headers["connection"]) == (503, "close")
        assert httpx.get(f"{running.address}/v2/health/ready").status_code == 503
        assert httpx.get(f"{running.address}/v2/health/live").status_code == 200
        held.gate.set()
        assert [one.result().status_code for one in asked] == [200] * 3


def test_the_end_answers_connections_that_wait(model: Path) -> None:
    """A connection that was made but not yet accepted when the socket is closed is refused in words, not reset."""
    request = b"GET /models HTTP/1.1\r\nhost: a\r\n\r\n"
    with serving([model]) as running:
        running.server.should_exit = True
        until(lambda: running.app.draining)
        running.app.engine._loop.call_soon_threadsafe(time.sleep, 2 * GRACE)  # nothing is accepted, then it is the end
        time.sleep(GRACE / 2)
        clients = [socket.create_connection(("127.0.0.1", running.port), timeout=10) for _ in range(8)]
        for client in clients:
            client.sendall(request)
        assert [client.recv(1000).partition(b"\r\n")[0] for client in clients] == [
            b"HTTP/1.1 503 Service Unavailable"
        ] * 8
        for client in clients:
            client.close()


@contextmanager
def command(*arguments: object) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """Start `mobilenets serve`; yields the process and its address."""
    words = [sys.executable, "-m", "mobilenets", "serve", *map(str, arguments), "--port", "0"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            line = process.stderr.readline()
            assert line.startswith("serving "), line + process.stderr.read()
            yield process, line.split()[-1]
        finally:
            process.kill()


def test_sigterm_under_load(model: Path, jpegs: list[Path]) -> None:
    """All that was accepted is answered: 200, or 503 for what came later; exit code 0."""
    with command(model) as (process, address):
        with asking(address, jpegs[0].read_bytes()) as found:
            until(lambda: len(found) > 20)
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
        statuses = {one[0] for one in found if isinstance(one, tuple)}
        assert statuses <= {200, 503} and 200 in statuses
        failed = [one for one in found if not isinstance(one, tuple | httpx.ConnectError)]
        assert failed == []
        assert process.stderr is not None and process.stderr.read() == ""


@pytest.mark.slow
def test_workers(model: Path, jpegs: list[Path]) -> None:
    """Serve one address; one that is killed is replaced; figures are those of all."""
    with command(model, "--workers", 2, "--quiet") as (process, address):
        content = jpegs[0].read_bytes()
        with ThreadPoolExecutor(8) as pool:
            asked = list(pool.map(lambda _: httpx.post(f"{address}/predict", content=content).status_code, range(40)))
        assert asked == [200] * 40
        assert samples(address)["mobilenets_requests_total", "predict,200"] == 40
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        os.kill(int(children[-1]), signal.SIGKILL)
        assert process.stderr is not None
        assert process.stderr.readline() == "a worker ended with exit code -9, another one starts\n"
        assert httpx.post(f"{address}/predict", content=content).status_code == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0


def certificate(folder: Path) -> tuple[Path, Path]:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    paths = folder / "cert.pem", folder / "key.pem"
    paths[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    form = serialization.PrivateFormat.TraditionalOpenSSL
    paths[1].write_bytes(key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))
    return paths


def test_https(model: Path, jpegs: list[Path], tmp_path: Path) -> None:
    pytest.importorskip("cryptography", reason="makes the certificate")
    public, private = certificate(tmp_path)
    with serving([model], certificate=public, key=private) as running:
        trusted = ssl.create_default_context(cafile=public)
        address = f"https://localhost:{running.port}/predict"
        assert httpx.post(address, content=jpegs[0].read_bytes(), verify=trusted).status_code == 200


WRONG = {
    "no model": ([], "serve needs a model: a run folder, a model file or a published network"),
    "no file": (["nix.safetensors"], "nix.safetensors: no such model file"),
    "twice": (["{model}", "{model}"], "two models are named flowers: give one of them another name by NAME={model}"),
    "port": (["{model}", "--port", "70000"], "--port (=70000) must be from 0 to 65535"),
    "host": (["{model}", "--host", "nix.invalid"], "--host (=nix.invalid), --port (=0): "),
    "queue": (["{model}", "--max-queue", "0"], "--max-queue (=0) must be from 1 to 100000"),
    "timeout": (["{model}", "--timeout", "nan"], "--timeout (=nan) must be from 0.1 to 3600"),
    "token": (["{model}", "--token", "a b"], "token must be printable ASCII without spaces"),
    "key": (["{model}", "--key", "k"], "--key (=k) needs the certificate that it belongs to"),
    "certificate": (["{model}", "--certificate", "nix.pem"], "--certificate (=nix.pem): No such file or directory"),
    "image": (["{jpeg}"], "{jpeg}: "),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_arguments(name: str, model: Path, jpegs: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    arguments, line = WRONG[name]
    filled = [argument.format(model=model, jpeg=jpegs[0]) for argument in arguments]
    port = [] if "--port" in arguments else ["--port", "0"]
    assert main(["serve", *filled, *port]) in (1, 2)
    shown = capsys.readouterr().err
    assert shown.startswith(f"mobilenets: {line.format(model=model, jpeg=jpegs[0])}") and shown.count("\n") == 1


def test_a_port_that_is_taken(server: Running, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", str(model), "--port", str(server.port)]) == 2
    assert f"--port (={server.port}): Address already in use" in capsys.readouterr().err


def test_defaults_are_safe() -> None:
    assert Settings().host == "127.0.0.1"
