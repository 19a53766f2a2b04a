"""Work in parts on a Ray cluster of two nodes on this machine: speed beside plain `predict`, and nodes that die.

python benchmarks/cluster.py images DATA OUT [--count 200000]    make small JPEGs from cifar10's Parquet files
python benchmarks/cluster.py speed MODEL OUT/folder              images/s of `predict` and `predict --cluster local`
python benchmarks/cluster.py predict MODEL OUT/shards            a node is killed; every key is counted
python benchmarks/cluster.py sweep DATA                          8 trials, a node is killed; beside a local sweep
"""

import argparse
import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SHARD = 2000
SIDE = 64
FOLDER = 50_000  # images that are files as well, for the comparison of speeds


def pictures(data: Path, count: int) -> Iterator[bytes]:
    """Yield JPEGs of 64x64: each picture of cifar10 enlarged, from the second round on with another crop."""
    import pyarrow.parquet as pq
    from PIL import Image

    table = pq.read_table(data, columns=["image"]).column("image").to_pylist()
    for number in range(count):
        turn, at = divmod(number, len(table))
        with Image.open(io.BytesIO(table[at]["bytes"])) as image:
            larger = image.resize((SIDE, SIDE), box=(turn, turn, 32, 32))
        content = io.BytesIO()
        larger.save(content, "JPEG", quality=90)
        yield content.getvalue()


def make_images(data: Path, out: Path, count: int) -> None:
    (out / "shards").mkdir(parents=True)
    (out / "folder").mkdir()
    archive: Any = None
    for number, content in enumerate(pictures(data, count)):
        if number % SHARD == 0:
            if archive is not None:
                archive.close()
            archive = tarfile.open(out / "shards" / f"{number // SHARD:04}.tar", "w")
        member = tarfile.TarInfo(f"{number:07}.jpg")
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
        if number < FOLDER:
            (out / "folder" / f"{number:07}.jpg").write_bytes(content)
    archive.close()


def speed(model: Path, folder: Path, rounds: int) -> None:
    """Time both commands in turn: as a whole, and without their start (that of Ray and its workers, of imports)."""
    count = len(list(folder.iterdir()))
    one = next(folder.iterdir())
    for turn in range(rounds):
        with tempfile.TemporaryDirectory() as out:
            plain = ["predict", str(model), str(folder), "--json"]
            start = command(["predict", str(model), str(one), "--json"])
            took = command(plain)
            spread = command([*plain, "--cluster", "local", "--output", f"{out}/parts"])
            steady = {"predict": (count - 1) / (took - start), "cluster": steady_rate(Path(out, "parts"))}
        whole = {"predict": count / took, "cluster": count / spread}
        rates = {"whole": whole, "steady": steady}
        rounded = {what: {name: round(rate) for name, rate in both.items()} for what, both in rates.items()}
        print(json.dumps({"round": turn, "images": count, **rounded}), flush=True)


def steady_rate(parts: Path) -> float:
    """Return the images a second between the second part that was written and the one before the last."""
    import pyarrow.parquet as pq

    files = sorted(parts.glob("*.parquet"), key=lambda path: path.stat().st_mtime_ns)[1:-1]
    rows = sum(pq.ParquetFile(file).metadata.num_rows for file in files[1:])
    return float(rows / ((files[-1].stat().st_mtime_ns - files[0].stat().st_mtime_ns) / 1e9))


def command(arguments: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, "-m", "mobilenets", *arguments], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


@contextmanager
def two_nodes() -> Iterator[Any]:
    """A cluster of two nodes of one core each: its address is `cluster.address`, the second is `cluster.second`."""
    os.environ.update(RAY_USAGE_STATS_ENABLED="0", RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO="0")
    from ray.cluster_utils import Cluster

    node = {"num_cpus": 1, "object_store_memory": 256 << 20}
    cluster = Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
    cluster.second = cluster.add_node(**node)
    try:
        yield cluster
    finally:
        cluster.shutdown()


def predict(model: Path, shards: Path) -> None:
    """Kill a node after a fourth of the parts; count the keys."""
    import pyarrow.parquet as pq

    from mobilenets import Watch
    from mobilenets.verbs.parts import predict_parts

    wanted = Counter(key for shard in sorted(shards.iterdir()) for key in keys_of(shard))
    killed: list[float] = []
    with two_nodes() as cluster, tempfile.TemporaryDirectory() as folder:

        class Killer(Watch):
            def measured(self, what: str, done: int, total: int) -> None:
                if 4 * done >= total and not killed:
                    killed.append(time.perf_counter())
                    cluster.remove_node(cluster.second, allow_graceful=False)
                    print(f"a node was killed after {done} of {total} parts", flush=True)

        out = Path(folder) / "out"
        parts = predict_parts(model, shards, out, cluster=cluster.address, watch=Killer())
        print(parts)
        found: Counter[str] = Counter()
        for file in sorted(out.glob("*.parquet")):
            found.update(pq.read_table(file, columns=["image"])["image"].to_pylist())
        print(f"keys: {found.total():,}, different: {len(found):,}, as wanted: {found == wanted}")


def keys_of(shard: Path) -> list[str]:
    with tarfile.open(shard) as archive:
        return [f"{shard}:{name}" for name in archive.getnames()]


def sweep(data: Path) -> None:
    """Train 8 small trials on two nodes, kill one while both train, and compare with a sweep in this process."""
    from mobilenets.verbs.sweep import sweep as train_all

    recipe = {"epochs": 4, "batch_size": 64, "device": "cpu", "replicas": 1, "workers": 1, "precision": "fp32"}
    networks = [f"{alpha}-{side}" for alpha in (0.125, 0.25) for side in (32, 48)]
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        with two_nodes() as cluster:

            def kill() -> None:
                while len(list(out.glob("spread/trials/*/results.csv"))) < 4:
                    time.sleep(0.05)
                names = [path.parent.name for path in out.glob("spread/trials/*/results.csv")]
                cluster.remove_node(cluster.second, allow_graceful=False)
                print(f"a node was killed when {len(names)} trials had begun", flush=True)

            threading.Thread(target=kill, daemon=True).start()
            start = time.perf_counter()
            found["spread"] = train_all(data, networks, recipe, seeds=2, cluster=cluster.address, out=out / "spread")
            print(f"on the cluster: {time.perf_counter() - start:.0f} s", flush=True)
        start = time.perf_counter()
        found["local"] = train_all(data, networks, recipe, seeds=2, jobs=1, out=out / "local")
        print(f"one after another, here: {time.perf_counter() - start:.0f} s", flush=True)
    for spread, local in zip(found["spread"].rows, found["local"].rows, strict=True):
        names = ("state", "weights_sha256", "top1", "int8_top1")
        same = all(getattr(spread, name) == getattr(local, name) for name in names)
        said = "the same" if same else "DIFFERS"
        print(f"{spread.trial}: top-1 {spread.top1:.4f}, weights {spread.weights_sha256[:12]}, {said}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["images", "speed", "predict", "sweep"])
    parser.add_argument("paths", nargs="+", type=Path)
    parser.add_argument("--count", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    if given.what == "images":
        make_images(*given.paths, given.count)
    elif given.what == "speed":
        speed(*given.paths, given.rounds)
    elif given.what == "predict":
        predict(*given.paths)
    else:
        sweep(*given.paths)


if __name__ == "__main__":
    main()
