"""Requests per second of `mobilenets serve` beside other servers: one network, the same JPEGs, wrk as the client.

    python benchmarks/serving.py small.safetensors photos --peers VENVS --seconds 5

VENVS holds virtual environments: fastapi (with uvicorn[standard], python-multipart), litserve, bentoml, mlserver, each
with onnxruntime and pillow. Servers take turns; the limit is decoding and the network alone, on all cores.
"""

import argparse
import base64
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.request import Request, urlopen

from mobilenets import export, open_session, prepare
from mobilenets.machine import cores

HERE = Path(__file__).parent / "serving_peers"
PHOTOS = 100
LUA = """
local requests = {{}}
function init(args)
  for i = 1, {count} do
    local file = io.open("{folder}/" .. i, "rb")
    requests[i] = wrk.format("POST", "{path}", {{["Content-Type"] = "{kind}"}}, file:read("*a"))
    file:close()
  end
end
local n = 0
function request() n = n + 1; return requests[n % {count} + 1] end
"""


@dataclass(frozen=True)
class Peer:
    """How a server is started and asked; `body` makes the body of a request of a JPEG."""

    name: str
    command: list[str]
    environment: dict[str, str]
    path: str = "/predict"
    kind: str = "multipart/form-data; boundary=x"


@dataclass(frozen=True)
class Rate:
    """What wrk measured: requests per second, and milliseconds."""

    requests: float
    p50: float
    p99: float
    failed: int


def peers(model: Path, onnx: Path, venvs: Path | None, port: int, folder: Path) -> Iterator[Peer]:
    ours = [sys.executable, "-m", "mobilenets", "serve", str(model), "--port", str(port), "--quiet"]
    yield Peer("mobilenets", ours, {}, kind="image/jpeg")
    yield Peer("mobilenets, access log", ours[:-1], {}, kind="image/jpeg")
    yield Peer("mobilenets, 2 workers", [*ours, "--workers", "2"], {}, kind="image/jpeg")
    if venvs is None:
        return
    common = {"MODEL": str(onnx), "PORT": str(port), "PYTHONPATH": str(HERE)}
    uvicorn = ["uvicorn", "fastapi_server:app", "--port", str(port), "--log-level", "error"]
    several = {**common, "WORKERS": str(cores()), "THREADS": "1"}
    yield Peer("FastAPI", [str(venvs / "fastapi/bin/python"), "-m", *uvicorn], common)
    workers = ["--workers", str(cores())]
    yield Peer("FastAPI, a worker per core", [str(venvs / "fastapi/bin/python"), "-m", *uvicorn, *workers], several)
    yield Peer("LitServe", [str(venvs / "litserve/bin/python"), str(HERE / "litserve_server.py")], several)
    bentoml = ["-m", "bentoml", "serve", "bentoml_server:Predictor", "--port", str(port), "--working-dir", str(HERE)]
    yield Peer("BentoML", [str(venvs / "bentoml/bin/python"), *bentoml], several)
    settings = {"http_port": port, "parallel_workers": cores(), "metrics_endpoint": None, "debug": False}
    ports = {"grpc_port": port + 1, "metrics_port": port + 2}
    (folder / "settings.json").write_text(json.dumps({**settings, **ports}))
    (folder / "model-settings.json").write_text(
        json.dumps({"name": "network", "implementation": "mlserver_server.Predictor"})
    )
    mlserver = [str(venvs / "mlserver/bin/mlserver"), "start", str(folder)]
    yield Peer("MLServer", mlserver, several, "/v2/models/network/infer", "application/json")


def body(peer: Peer, jpeg: bytes) -> bytes:
    if peer.kind == "application/json":
        data = base64.b64encode(jpeg).decode()
        tensor = {"name": "image", "shape": [1], "datatype": "BYTES", "data": [data]}
        return json.dumps({"inputs": [{**tensor, "parameters": {"content_type": "base64"}}]}).encode()
    if peer.kind == "image/jpeg":
        return jpeg
    head = b'--x\r\nContent-Disposition: form-data; name="image"; filename="a.jpg"\r\nContent-Type: image/jpeg\r\n\r\n'
    return head + jpeg + b"\r\n--x--\r\n"


@contextmanager
def started(peer: Peer, port: int, content: bytes) -> Iterator[None]:
    """Run a server, which answers the body `content`, until the block ends."""
    environment = {**os.environ, **peer.environment}
    process = subprocess.Popen(
        peer.command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True
    )
    try:
        for _ in range(600):
            if process.poll() is not None:
                raise SystemExit(f"{peer.name} ended: {process.stderr.read().decode()[-2000:]}")
            with suppress(OSError):
                asked = Request(f"http://127.0.0.1:{port}{peer.path}", content, {"content-type": peer.kind})
                urlopen(asked, timeout=10).close()
                break
            time.sleep(0.1)
        else:
            raise SystemExit(f"{peer.name} does not answer")
        time.sleep(2)  # other workers
        yield
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(10)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # also workers that outlive their server, such as LitServe's
        process.wait()


def measured(script: Path, port: int, clients: int, seconds: float) -> Rate:
    command = ["wrk", "-t1", f"-c{clients}", f"-d{seconds:g}s", "--timeout", "30", "--latency", "-s", str(script)]
    done = subprocess.run([*command, f"http://127.0.0.1:{port}"], capture_output=True, text=True, check=True)
    failed = re.search(r"Non-2xx or 3xx responses: (\d+)", done.stdout)
    return Rate(
        float(re.search(r"Requests/sec:\s+([\d.]+)", done.stdout)[1]),
        _milliseconds(done.stdout, "50%"),
        _milliseconds(done.stdout, "99%"),
        int(failed[1]) if failed else 0,
    )


def _milliseconds(text: str, name: str) -> float:
    found = re.search(rf"{name}\s+([\d.]+)(us|ms|s)", text)
    return float(found[1]) * {"us": 1e-3, "ms": 1.0, "s": 1e3}[found[2]]


def limit(model: Path, jpegs: list[bytes], seconds: float) -> float:
    """Images per second that a thread per core decodes and computes, without a server."""
    session = open_session(model, threads=1)
    counts: list[int] = []

    def share(first: int) -> None:
        end, count = time.perf_counter() + seconds, 0
        while time.perf_counter() < end:
            session.run(prepare(jpegs[(first + count) % len(jpegs)], session.preprocess)[None])
            count += 1
        counts.append(count)

    threads = [threading.Thread(target=share, args=(at * 37,)) for at in range(cores())]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--peers", type=Path)
    parser.add_argument("--only", nargs="*", help="names of servers")
    parser.add_argument("--clients", type=int, nargs="*", default=[1, 8, 64])
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--port", type=int, default=8150)
    args = parser.parse_args()
    found = sorted(args.photos.rglob("*.jpg"))
    jpegs = [path.read_bytes() for path in found[:: max(1, len(found) // PHOTOS)][:PHOTOS]]
    rates: dict[tuple[str, int], list[Rate]] = {}
    limits = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        onnx = folder / "model.onnx"
        export(args.model, output=onnx)
        for _ in range(args.rounds):
            limits.append(limit(args.model, jpegs, args.seconds))
            print(f"limit {limits[-1]:.0f} images/s", flush=True)
            for peer in peers(args.model, onnx, args.peers, args.port, folder):
                if args.only and peer.name not in args.only:
                    continue
                bodies = folder / re.sub(r"\W", "-", peer.name)
                bodies.mkdir(exist_ok=True)
                for at, jpeg in enumerate(jpegs, 1):
                    (bodies / str(at)).write_bytes(body(peer, jpeg))
                script = bodies / "post.lua"
                script.write_text(LUA.format(count=len(jpegs), folder=bodies, path=peer.path, kind=peer.kind))
                with started(peer, args.port, body(peer, jpegs[0])):
                    measured(script, args.port, 4, 1)
                    for clients in args.clients:
                        rate = measured(script, args.port, clients, args.seconds)
                        rates.setdefault((peer.name, clients), []).append(rate)
                        print(f"{peer.name}, {clients} clients: {rate}", flush=True)
    show(rates, statistics.median(limits))


def show(rates: dict[tuple[str, int], list[Rate]], most: float) -> None:
    """Print medians, their share of the limit, and how many times as many requests ours answers."""
    print(f"\nlimit: {most:.0f} images/s\n\n| server | clients | requests/s | of the limit | p50 ms | p99 ms | ours |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for (name, clients), measurements in sorted(rates.items(), key=lambda item: item[0][1]):
        requests, p50, p99 = (
            statistics.median(getattr(one, field) for one in measurements) for field in ("requests", "p50", "p99")
        )
        ours = statistics.median(one.requests for one in rates.get(("mobilenets", clients), measurements))
        failed = sum(one.failed for one in measurements)
        note = f", {failed} failed" if failed else ""
        row = f"{requests:.0f}{note} | {requests / most:.0%} | {p50:.1f} | {p99:.1f} | {ours / requests:.2f}"
        print(f"| {name} | {clients} | {row} |")


if __name__ == "__main__":
    main()
