"""How fast training would be, by a clock of the test's own."""

import time
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from mobilenets.training import plan


class Clocked(nullcontext[None]):
    """A loop of batches of 10 images: the first takes 9 s, all others 2 s."""

    def __init__(self, batches: int) -> None:
        super().__init__()
        self.now, self.learned, self.batches = 100.0, 0, batches
        self.recipe = SimpleNamespace(batch_size=10)
        self.train = SimpleNamespace(epoch=lambda epoch, start: [SimpleNamespace(targets=np.zeros(10))] * batches)
        self.state = SimpleNamespace(optimiser=SimpleNamespace(step=lambda: None), average=lambda epoch: None)
        self.replicas, self.objective = self, None

    def gradients(self, batch: Any, objective: Any) -> None:
        self.now += 2 if self.learned else 9
        self.learned += 1


@pytest.mark.parametrize(("batches", "learned"), [(1, plan.BATCHES), (4, 8)])
def test_the_first_batch_is_not_counted(monkeypatch: pytest.MonkeyPatch, batches: int, learned: int) -> None:
    """It makes what the others use; epochs are whole."""
    loop = Clocked(batches)
    monkeypatch.setattr(time, "monotonic", lambda: loop.now)
    assert plan._speed(loop) == 10 / 2  # type: ignore[arg-type]
    assert loop.learned == learned
