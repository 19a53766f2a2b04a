"""Work in parts on a Ray cluster of two nodes on this machine: predict, evaluate, search; S3; a node that dies."""

import json
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cluster_images import CLASSES, as_json, contents, make_folder, make_shard, make_table, rows_in
from conftest import make_random_model
from ray_fixtures import TwoNodes

import mobilenets as mn
from mobilenets.cli import main
from mobilenets.cluster import plan as planning
from mobilenets.errors import Interrupted, UsageError, WorkError
from mobilenets.image import Preprocess
from mobilenets.tasks.verification.index import load_index
from mobilenets.verbs.parts import predict_parts

FILES = contents(200, damaged=(11,))
HOW: dict[str, Any] = {"runtime": "onnx"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos, and two networks: of classes and of embeddings."""
    folder = tmp_path_factory.mktemp("ray")
    make_folder(folder / "photos", FILES)
    network = mn.Network(alpha=0.125, height=32, width=32, classes=3)
    how = Preprocess(32, 32)
    replace(make_random_model(network), labels=CLASSES, preprocess=how).save(folder / "m.safetensors")
    embed = make_random_model(network.replace(classes=8, output="l2_normalise"))
    replace(embed, task="embed", labels=tuple(map(str, range(8)))).save(folder / "embed.safetensors")
    return folder


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "PART_IMAGES", 32)


def test_shards_on_s3_by_the_command_line(
    folder: Path, two_nodes: TwoNodes, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Nothing of what Ray says reaches the user."""
    import fsspec

    files = fsspec.filesystem("s3", skip_instance_cache=True)
    files.mkdir("bucket")
    for at in range(2):
        files.put_file(str(make_shard(tmp_path / f"{at}.tar", FILES[100 * at : 100 * at + 100])), f"bucket/in/{at}.tar")
    command = ["predict", str(folder / "m.safetensors"), "s3://bucket/in", "--cluster", two_nodes.address]
    command += ["--output", "s3://bucket/out", "--runtime", "onnx", "--json"]
    assert main(command) == 0
    out, err = capfd.readouterr()
    found = json.loads(out)
    assert err == "" and (found["images"], found["errors"], found["parts"]) == (200, 1, 2)
    rows = rows_in("s3://bucket/out")
    assert [row["image"] for row in rows[:2]] == ["s3://bucket/in/0.tar:000.jpg", "s3://bucket/in/0.tar:001.jpg"]
    photos = sorted((path.name, path) for path in (folder / "photos").glob("*/*.jpg"))
    plain = mn.predict(folder / "m.safetensors", [path for _, path in photos], runtime="onnx")
    assert [row["top"] for row in rows] == [one.to_dict().get("top") for one in plain]


@pytest.mark.parametrize(
    ("address", "error", "said"),
    [
        ("127.0.0.1:1", WorkError, r"cluster \(=127.0.0.1:1\): no Ray cluster answers there: .*refused"),
        ("ray://127.0.0.1:99999", WorkError, "no Ray cluster answers there"),
        ("everywhere", UsageError, "must be HOST:PORT of a Ray cluster, auto or local"),
    ],
)
def test_addresses_where_no_cluster_is(
    address: str, error: type[Exception], said: str, folder: Path, tmp_path: Path
) -> None:
    pytest.importorskip("ray")
    with pytest.raises(error, match=said):
        predict_parts(folder / "m.safetensors", folder / "photos", tmp_path / "out", cluster=address, **HOW)


def test_a_node_that_dies_loses_nothing(
    folder: Path, two_nodes: TwoNodes, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    class Killer(mn.Watch):
        def measured(self, what: str, done: int, total: int) -> None:
            if done == 1:
                two_nodes.kill_one()

    parts = predict_parts(
        *(folder / "m.safetensors", folder / "photos", tmp_path), cluster=two_nodes.address, watch=Killer(), **HOW
    )
    assert (parts.images, parts.errors) == (200, 1) and capfd.readouterr() == ("", "")
    two_nodes.add_one()
    keys = [row["image"] for row in rows_in(tmp_path)]
    assert sorted(keys) == sorted(map(str, (folder / "photos").glob("*/*.jpg")))


def test_each_row_is_that_of_predict_and_a_second_run_computes_what_is_missing(
    folder: Path, connected: TwoNodes, tmp_path: Path
) -> None:
    model, photos, out = folder / "m.safetensors", folder / "photos", tmp_path / "out"
    parts = predict_parts(model, photos, out, 2, cluster=connected.address, **HOW)
    assert (parts.images, parts.errors, parts.parts, parts.computed) == (200, 1, 7, 7) and parts.images_per_second > 0
    plain = [one.to_dict() for one in mn.predict(model, photos, 2, **HOW)]
    assert [as_json(row) for row in rows_in(out)] == plain
    kept = (out / "part-00003.parquet").stat().st_mtime_ns
    (out / "part-00002.parquet").unlink()
    again = predict_parts(model, photos, out, 2, cluster=connected.address, **HOW)
    assert (again.images, again.errors, again.computed) == (200, 1, 1)
    assert [as_json(row) for row in rows_in(out)] == plain
    assert (out / "part-00003.parquet").stat().st_mtime_ns == kept
    done = predict_parts(model, photos, out, 2, cluster="nowhere: nothing is left to compute", **HOW)
    assert (done.images, done.computed, done.images_per_second) == (200, 0, 0.0)


def test_a_signal_keeps_the_parts_that_are_done(folder: Path, connected: TwoNodes, tmp_path: Path) -> None:
    class Stopper(mn.Watch):
        def measured(self, what: str, done: int, total: int) -> None:
            if done == 2:
                os.kill(os.getpid(), signal.SIGTERM)

    model, photos = folder / "m.safetensors", folder / "photos"
    where = {"cluster": connected.address, **HOW}
    with pytest.raises(Interrupted, match="stopped: the same command computes the missing parts") as stopped:
        predict_parts(model, photos, tmp_path, watch=Stopper(), **where)
    assert stopped.value.exit_code == 143
    again = predict_parts(model, photos, tmp_path, **where)
    assert again.images == 200 and again.computed <= 5  # Ray may have ended some after the signal


def test_metrics_are_those_of_evaluate(folder: Path, connected: TwoNodes, tmp_path: Path) -> None:
    plain = mn.evaluate(folder / "m.safetensors", folder / "photos", "all", **HOW)
    where = {"cluster": connected.address, **HOW}
    found = mn.evaluate(folder / "m.safetensors", folder / "photos", output=tmp_path / "out", **where)
    assert {**found.evaluation.to_dict(), **_order(found)} == {**plain.evaluation.to_dict(), **_order(plain)}
    assert [bad.name for bad in found.bad] == [str(folder / "photos" / plain.bad[0].name)]
    table = make_table(tmp_path / "tables" / "a.parquet", FILES, group=60)
    packed = mn.evaluate(folder / "m.safetensors", table, output=tmp_path / "packed", **where)
    assert packed.evaluation.metrics() == plain.evaluation.metrics() and packed.images_per_second > 0
    with pytest.raises(UsageError, match="give that of the split, and no report"):
        mn.evaluate(folder / "m.safetensors", folder / "photos", "val", output=tmp_path / "out", **where)
    with pytest.raises(UsageError, match="evaluates classifiers, and the model's task is embed"):
        mn.evaluate(folder / "embed.safetensors", folder / "photos", output=tmp_path / "embed", **where)


def _order(found: Any) -> dict[str, Any]:
    """The parts of an evaluation that name images, without their folders."""
    text = json.dumps(found.evaluation.to_dict()).replace(f"{Path(found.model).parent}/photos/", "")
    return {key: json.loads(text)[key] for key in ("mistakes", "confused", "suspects")}


def test_an_index_is_that_of_search(folder: Path, connected: TwoNodes, tmp_path: Path) -> None:
    model, photos = folder / "embed.safetensors", folder / "photos"
    mn.search(photos, model=model, save=tmp_path / "plain.safetensors", **HOW)
    saved = tmp_path / "parts.safetensors"
    mn.search(photos, model=model, save=saved, cluster=connected.address, output=tmp_path / "out", **HOW)
    plain, found = load_index(tmp_path / "plain.safetensors"), load_index(saved)
    assert found.names == plain.names and np.array_equal(found.vectors, plain.vectors)
    with pytest.raises(UsageError, match="is an index already"):
        mn.search(saved, photos, cluster=connected.address, output=tmp_path / "out")


def test_what_is_refused(folder: Path, connected: TwoNodes, tmp_path: Path) -> None:
    model, photos = folder / "m.safetensors", folder / "photos"
    (tmp_path / "mine.txt").touch()
    with pytest.raises(UsageError, match=r"holds other files \(mine.txt\): choose a new folder"):
        predict_parts(model, photos, tmp_path, cluster=connected.address)
    with pytest.raises(UsageError, match="holds other files"):
        predict_parts(model, photos, tmp_path / "mine.txt", cluster=connected.address)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
    with pytest.raises(WorkError, match="all nodes must see the same output"):
        predict_parts(model, photos, "memory://lost", cluster=connected.address, **HOW)
    (tmp_path / "in").mkdir()
    good, cut = make_shard(tmp_path / "in" / "a.tar", FILES[:9]), make_shard(tmp_path / "in" / "b.tar", FILES[:9])
    cut.write_bytes(good.read_bytes()[:-10_240])
    with pytest.raises(WorkError, match=r"1 of 2 parts failed; .*b.tar: has no end-of-archive mark"):
        predict_parts(model, tmp_path / "in", tmp_path / "out", cluster=connected.address, **HOW)
    cut.write_bytes(good.read_bytes())
    assert predict_parts(model, tmp_path / "in", tmp_path / "out", cluster=connected.address, **HOW).computed == 1


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--cluster", "local"], "--cluster (=local) needs output"),
        (["--output", "out"], "--output (=out) needs cluster"),
        (["--cluster", "local", "--output", "out", "--csv"], "--cluster writes files: leave out"),
        (["--cluster", "local", "--output", "out", "--top", "0"], "--top (=0) must be at least 1"),
        (["--cluster", "local", "--output", "nosuch://b"], "must be a path or a URL that fsspec opens"),
    ],
)
def test_flags_that_contradict_each_other(
    flags: list[str], said: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["predict", str(folder / "m.safetensors"), str(folder / "photos"), *flags]) == 2
    assert said in capsys.readouterr().err


def test_without_ray(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mobilenets.cluster.ray.find_spec", lambda name: None)
    with pytest.raises(WorkError, match=r"cluster \(=local\) needs Ray: pip install 'mobilenets\[cluster\]'"):
        predict_parts(folder / "m.safetensors", folder / "photos", tmp_path / "out", **HOW)
