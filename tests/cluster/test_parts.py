"""The plan of parts, their readers and files, without Ray: local folders, shards, tables, other file systems."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from cluster_images import as_json, contents, make_folder, make_shard, make_table, rows_in
from conftest import make_random_model

import mobilenets as mn
from mobilenets.cluster import Job, Part, Place, Plan, Work, read_part
from mobilenets.cluster import plan as planning
from mobilenets.cluster.work import compute_part
from mobilenets.errors import DataError, UsageError
from mobilenets.image import Preprocess
from mobilenets.runtime import Runner, open_session
from mobilenets.verbs.parts import body

pytest.importorskip("pyarrow")
fsspec = pytest.importorskip("fsspec")
FILES = contents(70, damaged=(4, 33))
WORK = Work(("images",), "0" * 64, "predictions", top=2, batch_size=8, runtime="onnx")


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "PART_IMAGES", 20)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same pictures three times: photos/CLASS/*.jpg, shards/*.tar, tables/*.parquet."""
    folder = tmp_path_factory.mktemp("images")
    make_folder(folder / "photos", FILES)
    for at in range(2):
        make_shard(folder / "shards" / f"{at}.tar", FILES[35 * at : 35 * at + 35])
    make_table(folder / "tables" / "a.parquet", FILES, group=15)
    return folder


@pytest.fixture(scope="module")
def model() -> mn.Model:
    network = mn.Network(alpha=0.125, height=32, width=32, classes=3)
    return replace(make_random_model(network), labels=("blue", "green", "red"), preprocess=Preprocess(32, 32))


@pytest.fixture(scope="module")
def session(model: mn.Model) -> Runner:
    return open_session(model, threads=1, runtime="onnx")


@pytest.fixture
def memory() -> Iterator[str]:
    yield "memory://parts"
    fsspec.filesystem("memory").store.clear()


def plan_of(*inputs: Path | str, **work: object) -> Plan:
    return Plan.made(replace(WORK, inputs=tuple(map(str, inputs)), **work))


def test_parts_hold_each_image_once(images: Path) -> None:
    """Of folders so many that a batch is never cut, of tables whole row groups, of shards one each."""
    plan = plan_of(images / "photos", images / "shards", images / "tables")
    assert [part.name for part in plan.parts] == [f"part-{at:05}" for at in range(10)]
    assert [len(part.names) for part in plan.parts if part.kind == "files"] == [16, 16, 16, 16, 6]
    assert [(part.groups, part.row) for part in plan.parts if part.kind == "parquet"] == [
        *(((0, 2), 0), ((2, 4), 30), ((4, 5), 60))
    ]
    assert [Path(part.where).name for part in plan.parts if part.kind == "tar"] == ["0.tar", "1.tar"]
    keys = [item.key for part in plan.parts for item in read_part(part, plan.labels)]
    assert len(keys) == len(set(keys)) == 3 * len(FILES)
    assert keys[:70] == [str(path) for path in sorted((images / "photos").glob("*/*.jpg"))]
    assert f"{images}/shards/1.tar:034.jpg" in keys and f"{images}/tables/a.parquet[69]" in keys


def test_a_plan_is_read_as_it_was_written(images: Path, tmp_path: Path) -> None:
    plan = plan_of(images / "photos", images / "tables")
    Place.of(tmp_path / "new" / "plan.json").write(plan.to_json().encode())
    assert Plan.open(Place.of(tmp_path / "new" / "plan.json")) == plan and plan.labels == ("blue", "green", "red")
    (tmp_path / "plan.json").write_text(plan.to_json().replace('"parquet"', '"csv"'))
    with pytest.raises(DataError, match=r"parts\[5\].kind \(=\"csv\"\) must be one of"):
        Plan.open(Place.of(tmp_path / "plan.json"))


@pytest.mark.parametrize("kind", ["photos", "shards", "tables"])
def test_labels_of_the_data(images: Path, kind: str) -> None:
    plan = plan_of(images / kind)
    found = [item.label for part in plan.parts for item in read_part(part, plan.labels, labelled=True)]
    wanted = [label for label, _ in FILES]
    assert found == (sorted(wanted) if kind == "photos" else wanted)
    assert {item.label for part in plan.parts for item in read_part(part, plan.labels)} == {None}


def test_files_are_grouped_and_patterns_expanded(images: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(images)
    plan = plan_of("photos/red/*.jpg", "photos/blue/000.jpg", "photos/blue/003.jpg")
    assert [len(part.names) for part in plan.parts] == [16, 7, 2]
    assert [item.key for item in read_part(plan.parts[2])] == ["photos/blue/000.jpg", "photos/blue/003.jpg"]
    monkeypatch.chdir("photos/blue")
    assert [item.key for item in read_part(plan_of("000.jpg").parts[0])] == ["000.jpg"]
    monkeypatch.chdir("/")
    assert len([item.source for part in plan.parts for item in read_part(part) if item.source.is_file()]) == 25


def test_what_cannot_be_planned(images: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "a.heic").touch()
    (tmp_path / "words.parquet").write_bytes(b"PAR1")
    for name, said in (
        ("nowhere", "no such file or folder"),
        ("*.png", "no file matches this pattern"),
        ("empty", "holds no image"),
        ("words.parquet", "cannot be read as Parquet"),
    ):
        with pytest.raises(DataError, match=said):
            plan_of(tmp_path / name)
    with pytest.raises(UsageError, match="must be a path or a URL that fsspec opens"):
        plan_of("nosuch://bucket")


def test_work_of_another_kind_is_named() -> None:
    WORK.check_same(WORK, "out")
    with pytest.raises(UsageError, match=r"output \(=out\) holds parts with top 5, not 2: choose another"):
        WORK.check_same(replace(WORK, top=5), "out")


def test_rows_are_those_of_predict(images: Path, model: mn.Model, session: Runner, tmp_path: Path) -> None:
    """To the last bit, damaged images as well."""
    model.save(tmp_path / "m.safetensors")
    plan = plan_of(images / "photos")
    job = Job(plan.work, plan.labels, str(tmp_path / "out"), body)
    outcomes = [compute_part(part, job, session) for part in plan.parts]
    assert not any(outcome.failed for outcome in outcomes)
    assert sum(outcome.images for outcome in outcomes) == 70 and sum(outcome.errors for outcome in outcomes) == 2
    plain = mn.predict(tmp_path / "m.safetensors", images / "photos", 2, batch_size=8, runtime="onnx")
    assert [as_json(row) for row in rows_in(tmp_path / "out")] == [one.to_dict() for one in plain]
    assert [compute_part(part, job, session) for part in plan.parts] == outcomes  # they are there: only counted


@pytest.mark.parametrize("kind", ["photos", "shards", "tables"])
def test_another_file_system(kind: str, images: Path, session: Runner, memory: str, tmp_path: Path) -> None:
    """Inputs and outputs in fsspec's memory give the rows of local files."""
    files = fsspec.filesystem("memory")
    files.put(str(images / kind), f"/parts/{kind}", recursive=True)
    rows = []
    for place, output in ((images / kind, str(tmp_path / "out")), (f"{memory}/{kind}", f"{memory}/out")):
        plan = plan_of(place, wanted="outputs")
        job = Job(plan.work, plan.labels, output, body)
        assert not [outcome for part in plan.parts if (outcome := compute_part(part, job, session)).failed]
        rows.append([{**row, "image": row["image"].removeprefix(f"{place}/")} for row in rows_in(output)])
    assert rows[0] == rows[1] and len(rows[0]) == len(FILES)
    assert sum(row["error"] is not None for row in rows[0]) == 2


def test_an_image_that_vanished_is_a_row(memory: str, session: Runner) -> None:
    files = fsspec.filesystem("memory")
    files.pipe_file("/parts/in/a.jpg", FILES[0][1])
    files.pipe_file("/parts/in/b.jpg", FILES[1][1])
    plan = plan_of(f"{memory}/in")
    files.rm("/parts/in/a.jpg")
    compute_part(plan.parts[0], Job(plan.work, (), f"{memory}/out", body), session)
    assert [row["error"] for row in rows_in(f"{memory}/out")] == ["no such file", None]


def test_a_damaged_shard_is_a_part_that_failed(images: Path, session: Runner, tmp_path: Path) -> None:
    """Without an image lost unseen: nothing is written."""
    (tmp_path / "cut.tar").write_bytes((images / "shards" / "0.tar").read_bytes()[:-10_000])
    plan = plan_of(tmp_path / "cut.tar")
    outcome = compute_part(plan.parts[0], Job(plan.work, (), str(tmp_path / "out"), body), session)
    assert outcome.failed == f"{tmp_path}/cut.tar: has no end-of-archive mark: it is truncated or damaged"
    assert not (tmp_path / "out").exists()


def test_null_cells_are_rows(session: Runner, tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [{"image": FILES[0][1]}, {"image": None}, {"image": FILES[1][1]}]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    part = plan_of(tmp_path / "a.parquet").parts[0]
    compute_part(part, Job(WORK, (), str(tmp_path / "out"), body), session)
    found = rows_in(tmp_path / "out")
    assert [row["error"] for row in found] == [None, "the row has neither bytes nor a path", None]


def test_keys_of_a_part_begin_as_the_user_wrote_it() -> None:
    part = Part("part-00000", "files", "/data/photos", "photos", ("a.jpg",))
    assert [item.key for item in read_part(part)] == ["photos/a.jpg"] and part.file == "part-00000.parquet"
