"""The processes that train one network together, as torchrun starts them; without torchrun there is one.

`Group` is one process, for which all of this is nothing; `joined` gives the group that a process belongs to. The first
process (rank 0) decides and writes; the others follow it and compute their share of every batch.
"""

import hashlib
import os
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import cache
from itertools import count
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed import PrefixStore, TCPStore  # type: ignore[attr-defined]

from ..errors import MobilenetsError, TrainingError, UsageError
from ..machine import cores, started_by_torchrun

__all__ = ["Group", "joined"]

T = TypeVar("T")
STEP = timedelta(minutes=5)  # for a sum over a step: the slowest process may take this much longer than the fastest
DECISION = timedelta(days=30)  # for a decision of rank 0, which may evaluate for hours; its death ends the wait at once
_calls = count()  # of `joined`: all processes of a group count the same


class Group:
    """One process alone: it decides, and there is nothing to add up."""

    rank = 0
    size = 1

    @property
    def cores(self) -> int:
        """Return the number of cores that this process has, of those of the machine."""
        return cores()

    def device(self, name: str) -> torch.device:
        """Return the device of this process, `name` as `Recipe.device` after it was resolved."""
        return torch.device(name)

    def decided(self, decide: Callable[[], T]) -> T:
        """Return in all processes what `decide` returns in the first; raise in all what it raises there."""
        return decide()

    def add_up(self, tensors: Sequence[Tensor]) -> None:
        """Replace each tensor by its sum over the processes."""

    def total(self, value: float) -> float:
        """Return the sum of `value` over the processes."""
        return value

    def highest(self, value: int) -> int:
        """Return the highest `value` of all processes."""
        return value

    def agree(self, text: str) -> bool:
        """Return whether `text` is the same in all processes."""
        return True

    def remember(self, text: str) -> None:
        """Keep `text` for the processes that torchrun starts in place of these after a failure."""

    def remembered(self) -> str | None:
        """Return what was kept before torchrun started these processes anew, None if this is the first start."""
        return None


class _Several(Group):
    """A process that torchrun started."""

    def __init__(self, store: Any, number: int) -> None:
        self.rank, self.size = dist.get_rank(), dist.get_world_size()
        self._store, self._key = store, f"mobilenets/run{number}"
        backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
        self._group: Any = dist.new_group(timeout=DECISION, backend=backend)

    @property
    def cores(self) -> int:
        return max(1, cores() // int(os.environ["LOCAL_WORLD_SIZE"]))

    def device(self, name: str) -> torch.device:
        local = int(os.environ["LOCAL_RANK"])
        if name == "cpu":
            return torch.device(name)
        if name != "cuda":
            raise UsageError(f"device (={name}): the processes of torchrun take cuda, a GPU each, or cpu")
        if local >= torch.cuda.device_count():
            raise UsageError(f"torchrun started {local + 1} processes or more, for {torch.cuda.device_count()} GPUs")
        torch.cuda.set_device(local)
        return torch.device(name, local)

    def decided(self, decide: Callable[[], T]) -> T:
        answer: list[Any] = [None, None]
        if self.rank == 0:
            try:
                answer[0] = decide()
            except MobilenetsError as exc:
                answer[1] = exc
        with _connected():
            dist.broadcast_object_list(answer, 0, self._group, torch.device("cpu"))
        if answer[1] is not None:
            raise answer[1]
        value: T = answer[0]
        return value

    @torch.no_grad()
    def add_up(self, tensors: Sequence[Tensor]) -> None:
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        self._reduce(flat, dist.ReduceOp.SUM)
        parts = torch.split(flat, [tensor.numel() for tensor in tensors])
        torch._foreach_copy_(list(tensors), [part.view(old.shape) for part, old in zip(parts, tensors, strict=True)])

    def total(self, value: float) -> float:
        return float(self._reduce(torch.tensor(value, dtype=torch.float64), dist.ReduceOp.SUM))

    def highest(self, value: int) -> int:
        return int(self._reduce(torch.tensor(value), dist.ReduceOp.MAX))

    def agree(self, text: str) -> bool:
        number = int(hashlib.sha256(text.encode()).hexdigest()[:15], 16)
        seen = self._reduce(torch.tensor([number, -number]), dist.ReduceOp.MAX, DECISION)
        return bool(seen[0] == number == -seen[1])

    def _reduce(self, tensor: Tensor, how: Any, limit: timedelta = STEP) -> Tensor:
        with _connected():
            work: Any = dist.all_reduce(tensor, how, self._group, async_op=True)
            work.wait(limit)
        return tensor

    def remember(self, text: str) -> None:
        self._store.set(self._key, text)

    def remembered(self) -> str | None:
        return self._store.get(self._key).decode() if self._store.check([self._key]) else None

    def leave(self) -> None:
        """Close the connections, so that processes that wait for this one stop waiting."""
        dist.destroy_process_group(self._group)
        self._group = None  # the connections close with the last reference, which an exception would keep


@contextmanager
def joined() -> Iterator[Group]:
    """Yield the group of this process.

    All processes of a group must call it the same number of times. A process that leaves by an exception ends the group
    for the others, which raise `TrainingError`.
    """
    if not started_by_torchrun():
        yield Group()
        return
    if not dist.is_available():
        raise UsageError("torchrun: this build of torch has no torch.distributed")
    with _connected():
        if not dist.is_initialized():
            rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
            own = PrefixStore(_name_of_start(_store(), rank, size), _store())
            dist.init_process_group("gloo", store=own, rank=rank, world_size=size)
        group = _Several(_store(), next(_calls))
    try:
        yield group
    finally:
        group.leave()


@cache
def _store() -> Any:
    """Return the store of torchrun's agent, or without one that of the first process."""
    own = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True" and os.environ["RANK"] == "0"
    return TCPStore(os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]), is_master=own)


def _name_of_start(store: Any, rank: int, size: int) -> str:
    """Return a name that these processes share, and that those which torchrun started before them did not have.

    The store outlives a restart, and no variable of torchrun's differs between all starts: the first process therefore
    chooses a name and gives it to each of the others under a key that this one has just made up.
    """
    own = secrets.token_hex(8)
    if rank:
        store.set(f"mobilenets/new{rank}", own)
        store.wait([f"mobilenets/for{own}"], STEP)
        name: str = store.get(f"mobilenets/for{own}").decode()
        store.add(f"mobilenets/took{name}", 1)
        return name
    end = time.monotonic() + STEP.total_seconds()
    while store.add(f"mobilenets/took{own}", 0) < size - 1:
        for key in (f"mobilenets/new{other}" for other in range(1, size)):
            if store.check([key]):  # perhaps of an earlier start: then it is replaced soon
                store.set(f"mobilenets/for{store.get(key).decode()}", own)
        if time.monotonic() > end:
            raise TrainingError(f"torchrun: not all {size} processes have started within {STEP}")
        time.sleep(0.02)
    return own


@contextmanager
def _connected() -> Iterator[None]:
    """Raise `TrainingError` where another process is gone."""
    try:
        yield
    except RuntimeError as exc:
        raise TrainingError(
            "another process of torchrun's group has ended or does not answer: see its own message; the run goes on "
            "from its last checkpoint with --resume"
        ) from exc
