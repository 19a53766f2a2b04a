"""Several processes that train one network, against one process with as many replicas."""

import os
import pickle
import signal
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from photos import make_photos
from small import PREPROCESS, make_squares

from mobilenets import Recipe
from mobilenets.data.augment import Augmentation
from mobilenets.data.cache import decode_split
from mobilenets.data.loader import TrainingBatches
from mobilenets.data.sources import open_dataset
from mobilenets.errors import DataError, Interrupted, MissingExtraError, MobilenetsError, UsageError
from mobilenets.training.device import resolve
from mobilenets.training.group import Group
from mobilenets.verbs.sweep import sweep
from mobilenets.verbs.train import plan

HERE = Path(__file__).parent
PATH = os.pathsep.join((str(HERE), str(HERE.parent)))
# nothing to compile in the processes: torch's modules train; a connection that another process ends as it is made is
# also told by gloo's own log
SETTINGS = {"CC": "false", "TORCH_CPP_LOG_LEVEL": "FATAL"}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_squares(tmp_path_factory.mktemp("squares") / "data", train=13, val=3)


def start(data: Path, folder: Path, what: str) -> list[subprocess.Popen[str]]:
    """Two processes as torchrun would start them."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, str(HERE / "group_process.py"), str(data), str(folder), what]
    group = {"TORCHELASTIC_RUN_ID": "test", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "PYTHONPATH": PATH}
    group |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    return [
        subprocess.Popen(
            command,
            env=os.environ | SETTINGS | group | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]


def rows(run: Path) -> list[list[str]]:
    """The rows of `results.csv`, its head among them."""
    return [line.split(",") for line in (run / "results.csv").read_text().splitlines()]


def test_two_processes_compute_the_bits_of_two_replicas_and_resume_to_them(data: Path, tmp_path: Path) -> None:
    """Also with an error of one alone before: what waits for it is freed, and the next call is in step again."""
    (first, errors), (second, more) = [p.communicate(timeout=120) for p in start(data, tmp_path, "whole")]
    assert not errors + more
    freed, alone, *of_first = first.splitlines()
    assert freed.startswith("another process of torchrun's group has ended")
    digest = alone.removeprefix("one process ")
    failed, *of_second = second.splitlines()
    assert failed == "alone"
    for lines in (of_first, of_second):
        assert lines == ["same data True False", f"whole {digest}", "stopped 143 True", f"resumed {digest}"]
    losses = [[row[:5] for row in rows(tmp_path / name)] for name in ("alone", "whole")]
    assert losses[0] == losses[1] and len(losses[0]) == 4
    assert (tmp_path / "whole" / "last.safetensors").read_bytes() == (
        tmp_path / "alone" / "last.safetensors"
    ).read_bytes()
    assert {path.name for path in tmp_path.iterdir()} == {"alone", "whole", "cut"}


def test_a_process_that_is_killed_ends_the_others(data: Path, tmp_path: Path) -> None:
    first, last = start(data, tmp_path, "killed")
    assert "another process of torchrun's group has ended" in first.communicate(timeout=120)[1]
    last.communicate()
    assert (first.returncode, last.returncode) == (1, -signal.SIGKILL)


def test_torchrun_starts_anew_after_a_kill_and_the_run_goes_on(tmp_path: Path) -> None:
    """On the command line: the first process alone prints and writes."""
    photos = make_photos(tmp_path / "photos")
    (tmp_path / "killed.py").write_text(
        """
import os, signal, sys
import mobilenets.training.fit as fit
from mobilenets.cli import main

fit.CHECKPOINT_SECONDS, epoch = 0.0, fit.train_epoch

def dying(loop):
    if os.environ["TORCHELASTIC_RESTART_COUNT"] == "0" and os.environ["RANK"] == "1" and loop.state.progress.epoch == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    epoch(loop)

fit.train_epoch = dying
sys.exit(main(sys.argv[1:]))
"""
    )
    flags = "--nproc-per-node 2 --max-restarts 1 --rdzv-backend c10d --rdzv-endpoint localhost:0".split()
    torchrun = [sys.executable, "-m", "torch.distributed.run", *flags]
    how = "--alpha 0.25 --img-size 32 --epochs 2 --batch-size 16 --replicas 2 --device cpu".split()
    command = [*torchrun, "killed.py", "train", str(photos), *how]
    done = subprocess.run(command, cwd=tmp_path, env=os.environ | SETTINGS, capture_output=True, text=True, check=True)
    assert done.stdout.count("wrote") == 2
    assert "started anew by torchrun" in done.stderr
    assert done.stderr.count("best: epoch") == 1
    (run,) = (tmp_path / "runs").iterdir()
    assert [row[0] for row in rows(run)] == ["epoch", "1", "2"]
    assert (run / "report.html").is_file()


class _Third(Group):
    """A member of a group that does not exist."""

    rank, size = 2, 3


def test_parts_of_a_batch_are_those_of_the_whole(data: Path) -> None:
    """The random numbers of the images of others are drawn too."""
    images = decode_split(open_dataset(data).splits["train"], PREPROCESS, short_side=40)

    def batches(part: range | None) -> TrainingBatches:
        more = {} if part is None else {"part": lambda images: part}
        return TrainingBatches(images, PREPROCESS, Augmentation(1.0, True), 16, 0, 1, **more)  # type: ignore[arg-type]

    for whole, first, rest in zip(*(batches(p).epoch(1) for p in (None, range(7), range(7, 16))), strict=True):
        assert whole.images == first.images == rest.images == 16 and len(first.targets) == 7
        assert whole.colour and first.colour and rest.colour
        np.testing.assert_array_equal(whole.pixels, np.concatenate([first.pixels, rest.pixels]))
        np.testing.assert_array_equal(whole.targets, np.concatenate([first.targets, rest.targets]))
        np.testing.assert_array_equal(whole.colour.gain, np.concatenate([first.colour.gain, rest.colour.gain]))


def test_errors_are_the_same_in_another_process() -> None:
    for error in (DataError("a"), Interrupted(15, "b"), MissingExtraError("c", "train")):
        again = pickle.loads(pickle.dumps(error))
        assert (type(again), str(again), again.exit_code) == (type(error), str(error), error.exit_code)


def test_every_process_has_a_replica_at_least() -> None:
    assert resolve(Recipe(batch_size=16, device="cpu"), 0.25, group=_Third()).replicas == 3
    assert resolve(Recipe(batch_size=16, device="cpu", replicas=4), 0.25, group=_Third()).replicas == 4


def test_what_runs_in_one_process_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the data are read, which are not there."""
    for name, value in (("TORCHELASTIC_RUN_ID", "test"), ("WORLD_SIZE", "2"), ("RANK", "0")):
        monkeypatch.setenv(name, value)
    refused = [
        ("dry_run", lambda: plan("nowhere")),
        ("sweep", lambda: sweep("nowhere", ["0.25-96"])),
    ]
    for name, call in refused:
        with pytest.raises(UsageError, match=f"{name} runs in one process, torchrun started 2"):
            call()


def test_one_process_is_a_group_too() -> None:
    group = Group()

    def fail() -> None:
        raise DataError("as it was")

    assert (group.rank, group.size, group.total(0.5), group.highest(3), group.agree("a")) == (0, 1, 0.5, 3, True)
    assert group.decided(lambda: "value") == "value" and group.remembered() is None
    with pytest.raises(MobilenetsError, match="as it was"):
        group.decided(fail)
